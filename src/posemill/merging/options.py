"""What a user can set of merge."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MergeOptions"]


class MergeOptions(BaseModel):
    """Options of the stage ``merge``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cutoff_hz: float | None = Field(
        6.0, gt=0, description="Low-pass over time, without lag, of what moves fast; null smooths nothing."
    )
    still_cutoff_hz: float = Field(1.0, gt=0, description="Low-pass of what does not move.")
    sigmas_s_per_hz: float = Field(
        20.0,
        gt=0,
        description="The cutoff grows by 1 Hz for every so many sigmas per second of speed, up to cutoff_hz.",
    )
    max_gap_s: float = Field(0.5, ge=0, description="The low-pass does not reach over longer gaps of a joint.")
    fit_image: bool = Field(
        True, description="Pose and root are fitted to the rays of the keypoints, the bones and the floor, by sigma."
    )
    joint_offsets: bool = Field(
        True,
        description="Take off where a detector is known to have joints elsewhere in the body than motion capture has.",
    )
    joint_limits: bool = Field(True, description="Knees and elbows do not bend backwards.")
    contact_rest_m_s: float = Field(
        0.15, gt=0, description="Speed across the line of sight that the keypoints of a resting foot seem to have."
    )
    contact_changes_hz: float = Field(
        3.0, gt=0, description="How often a foot changes between heel, flat, toe and swing, per second."
    )
    lock_feet: bool = Field(True, description="In the world, feet that stand do not move; legs reach for them.")
    correct_root: bool = Field(True, description="With lock_feet: the root follows the standing feet, by its sigma.")
    use_floor: bool = Field(
        True,
        description="With lock_feet: feet stand on the world's floor z = 0, unless clearly above it; none is below.",
    )
