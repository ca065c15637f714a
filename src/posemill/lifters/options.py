"""Options that several lifters have: how the mirrored person counts, and what may be missing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

__all__ = ["BodyOptions", "BridgeOptions", "FlipOptions", "PublishedOptions"]


class FlipOptions(BaseModel, extra="forbid"):
    """Of every lifter."""

    flip: Annotated[bool, Field(description="Average with the answer for the mirrored person")] = True


class BridgeOptions(FlipOptions, extra="forbid"):
    """Of lifters that look at many frames and cannot be told that a keypoint is missing."""

    max_gap_s: Annotated[
        float, Field(ge=0, le=10, description="Keypoints missing for up to this long are bridged for the network")
    ] = 0.5
    max_missing: Annotated[
        int, Field(ge=0, le=15, description="Frames in which more of the joints are unknown are not lifted")
    ] = 4


class BodyOptions(FlipOptions, extra="forbid"):
    """Of lifters that want a whole body in every frame."""

    max_gap_s: Annotated[float, Field(ge=0, le=2, description="Longest gap of a keypoint that is bridged")] = 0.25
    view: Annotated[
        Literal["picture", "turned"] | None,
        Field(description="turned: as a camera sees it that looks at the pelvis; null: the card's, else picture"),
    ] = None


class PublishedOptions(FlipOptions, extra="forbid"):
    """Of lifters whose published weights read standardised poses: what those weights do not say of themselves."""

    statistics: Annotated[
        Path | None,
        Field(description=".npz with mean_2d, std_2d (32, px), mean_3d, std_3d (48, mm), for weights without them"),
    ] = None
    use_sh: Annotated[
        bool | None, Field(description="Weights for Stacked Hourglass 2D (MPII joints); null: as their card, else no")
    ] = None
    camera_frame: Annotated[
        bool | None,
        Field(description="Weights that answer in camera axes, not the calibrated world's; null: card, else yes"),
    ] = None
