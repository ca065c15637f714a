"""What a user can set of place."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PlaceOptions"]


class PlaceOptions(BaseModel):
    """Options of the stage ``place``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    joints: Literal["limbs", "all"] = Field(
        "limbs", description="Joints that fix the translation: the twelve that all detectors define alike, or all."
    )
    min_joints: int = Field(4, ge=2, description="Frames with fewer usable joints are not placed.")
    min_depth_m: float = Field(0.3, gt=0, description="Roots nearer than this are rejected.")
    robust: bool = Field(True, description="Weigh joints down that contradict the others.")
    smoothing: bool = Field(True, description="Smooth the root's path over time (never for stills).")
    smoothing_q: float = Field(
        2.0, gt=0, description="How much the root accelerates: root density of white acceleration, m s^-1.5."
    )
    max_gap_s: float = Field(0.5, ge=0, description="Gaps of the root up to this long are bridged.")
    height_scale_sigma: float = Field(
        0.03, ge=0, description="Relative sigma of the scale where the person's height is given."
    )
    lifter_scale_sigma: float = Field(
        0.06, ge=0, description="Relative sigma of the scale where only the lifter's training bodies give it."
    )
