"""A depth network of a few thousand random numbers, in a folder as transformers saves one."""

from __future__ import annotations

from pathlib import Path

CARD = "---\nlicense: apache-2.0\n---\n# A tiny network\n"


def save_tiny_network(folder: Path, *, kind: str = "metric", seed: int = 0, max_depth: int = 10) -> Path:
    """Write configuration, preprocessing, weights and card of a Depth Anything with random weights."""
    import torch
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessorPil

    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        out_features=["stage1", "stage2"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        reassemble_factors=[2, 1],
        neck_hidden_sizes=[8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
        depth_estimation_type=kind,
        max_depth=max_depth,
    )
    torch.manual_seed(seed)
    network = DepthAnythingForDepthEstimation(config)
    for weights in network.parameters():
        # As they are drawn, the answer is the same everywhere.
        weights.data += 0.2 * torch.randn_like(weights)
    network.save_pretrained(folder)
    processor = DPTImageProcessorPil(
        size={"height": 56, "width": 56}, keep_aspect_ratio=True, ensure_multiple_of=14, resample=3
    )
    processor.save_pretrained(folder)
    (folder / "README.md").write_text(CARD)
    return folder
