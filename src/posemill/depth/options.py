"""What a user can set of the stage ``depth``."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DepthOptions"]


class DepthOptions(BaseModel):
    """Options of the stage ``depth``; without a model the workflow has no such stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path | None = Field(
        None,
        description="Folder of a metric depth network as transformers saves it (safetensors); null: none.",
    )
    frames: int = Field(12, ge=1, description="Frames of each clip that the network looks at.")
    focal_px_per_width: float | None = Field(
        None,
        gt=0,
        description="Focal length over picture width that the network takes every picture to have: its depths are then "
        "scaled to the clip's. null: they stay as they are.",
    )
