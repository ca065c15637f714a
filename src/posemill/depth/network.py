"""A metric depth network of transformers, read from a folder of this machine and run on one picture at a time.

References
----------
Yang et al.: "Depth Anything V2", NeurIPS 2024, arXiv:2406.09414 (its metric models). Kim et al.: "Global-local path
networks for monocular depth estimation with vertical CutDepth", 2022, arXiv:2201.07436.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, MissingError, expected

__all__ = ["DepthNetwork"]


class DepthNetwork:
    """The network of a folder that :func:`posemill.depth.model_folder.check_model` accepts.

    Raises
    ------
    MissingError
        transformers, or what it needs for this network, is not installed.
    InputError
        The weights are damaged, or not those of the configuration.
    """

    def __init__(self, folder: Path) -> None:
        from posemill.lifters.loading import device_name

        where, self.device = device_name()
        self._processor, self._network = _load(folder)
        self._network.to(where).eval()

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Depth of one picture (H, W, 3) uint8 RGB: (H, W) metres along the optical axis, of what each pixel shows."""
        import torch

        with torch.inference_mode():
            given = self._processor(images=rgb, return_tensors="pt").to(self._network.device)
            said = self._network(**given)
            (found,) = self._processor.post_process_depth_estimation(said, target_sizes=[rgb.shape[:2]])
        return found["predicted_depth"].float().cpu().numpy()


def _load(folder: Path) -> tuple[Any, Any]:
    """Image processor and network, in single precision."""
    # Read when transformers is imported: a configuration that names weights elsewhere gets none.
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import torch
        import transformers
        from safetensors import SafetensorError
    except ImportError as error:
        do = "pip install 'posemill[depth]'"
        raise MissingError(expected("depth", "the package transformers", f"none ({error})", do=do)) from None
    transformers.utils.logging.disable_progress_bar()
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        # So that answers do not depend on whether torchvision is there.
        processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", **local)
        network, loaded = transformers.AutoModelForDepthEstimation.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **local
        )
    except ImportError as error:
        raise MissingError(f"{folder}: transformers cannot load it here: {' '.join(str(error).split())}") from None
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{folder}: expected a depth network, got: {' '.join(str(error).split())}") from None
    # What the file lacks, transformers fills with random numbers.
    wrong = sorted(loaded["missing_keys"]) + sorted(str(key) for key in loaded["mismatched_keys"])
    if wrong:
        got = f"{len(wrong)} absent or of another shape, first {wrong[0]}"
        raise InputError(expected("weights", "all of the network's tensors", got, where=folder))
    return processor, network
