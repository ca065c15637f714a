"""What a user can set of place, and of the skeleton that it works with."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PlaceOptions", "SkeletonOptions"]


class SkeletonOptions(BaseModel):
    """Options of the stage ``skeleton``; in the configuration they are among those of ``place``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    height_scale_sigma: float = Field(
        0.03, ge=0, description="Relative sigma of the scale where the person's height is given."
    )
    lifter_scale_sigma: float = Field(
        0.06, ge=0, description="Relative sigma of the scale where only the lifter's training bodies give it."
    )
    camera_height_sigma_m: float = Field(
        0.03, gt=0, description="Sigma of the camera's height above the floor where the sheet gives it."
    )
    depth_scale_sigma: float = Field(
        0.15,
        gt=0,
        description="Relative sigma of a depth network's metres; networks are best before the cameras that they learnt "
        "from, so a stated guess.",
    )


class PlaceOptions(SkeletonOptions):
    """Options of the stage ``place``."""

    joints: Literal["limbs", "all"] = Field(
        "limbs", description="Joints that fix the translation: the twelve that all detectors define alike, or all."
    )
    min_joints: int = Field(4, ge=2, description="Frames with fewer usable joints are not placed.")
    min_depth_m: float = Field(0.3, gt=0, description="Roots nearer than this are rejected.")
    joint_offsets: bool = Field(
        True,
        description="Take off where a detector is known to have joints elsewhere in the body than motion capture has.",
    )
    robust: bool = Field(True, description="Weigh joints down that contradict the others.")
    own_root: bool = Field(
        True, description="Fuse the root that a lifter, or the system that imported poses are from, says itself."
    )
    smoothing: bool = Field(True, description="Smooth the root's path over time (never for stills).")
    smoothing_q: float = Field(
        2.0, gt=0, description="How much the root accelerates: root density of white acceleration, m s^-1.5."
    )
    max_gap_s: float = Field(0.5, ge=0, description="Gaps of the root up to this long are bridged.")
    world: bool = Field(
        True, description="Find up and the floor from the people where a calibration does not say where the camera is."
    )
    max_up_sigma_deg: float = Field(
        5.0, gt=0, description="Where up is known worse than this, the result stays in the camera's frame."
    )
