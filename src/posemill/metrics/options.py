"""What a user can set about the judgement of quality.

Where the default gates are from: motion warns above what 95 of 100 clips of real motion capture reach (160 clips of
mocap.cs.cmu.edu with jumps and dances, low-passed at 6 Hz as merge does) and fails above what none does. The others
warn at about two to three times what good clips of the demo, whose truth is known, show with the shipped methods, and
fail where an animation is of no use to anybody.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Gate", "Gates", "QualityConfig", "QualityOptions"]


class Gate(BaseModel):
    """Limits of one measure: above ``warn`` a clip is doubtful, above ``fail`` it is bad; null switches one off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    warn: float | None = Field(None, ge=0, description="Values above this are a warning.")
    fail: float | None = Field(None, ge=0, description="Values above this fail the clip.")

    @model_validator(mode="after")
    def _in_order(self) -> Gate:
        if self.warn is not None and self.fail is not None and self.fail < self.warn:
            raise ValueError(f"fail ({self.fail:g}) is below warn ({self.warn:g})")
        return self


def _gate(warn: float | None, fail: float | None, what: str) -> Any:
    return Field(Gate(warn=warn, fail=fail), description=what)


class Gates(BaseModel):
    """A gate for each measure of :data:`posemill.metrics.measures.MEASURES`; a limit left out keeps its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reprojection_px: Gate = _gate(None, None, "Median distance between projected joints and 2D keypoints, px.")
    reprojection_percent: Gate = _gate(2.5, 8, "The same, % of the person's height.")
    reprojection_p95_percent: Gate = _gate(8, 25, "Its 95th percentile, % of the person's height.")
    bone_length_percent: Gate = _gate(3, 15, "Change of the worst bone's length over time, %.")
    asymmetry_percent: Gate = _gate(5, 20, "Difference between left and right of the worst bone, %.")
    moved_mm: Gate = _gate(90, None, "By how much merging moved joints, mm.")
    acceleration_m_s2: Gate = _gate(32, 80, "Acceleration of joints relative to the pelvis, m/s^2.")
    jerk_m_s3: Gate = _gate(800, 2000, "Jerk of joints relative to the pelvis, m/s^3.")
    root_acceleration_m_s2: Gate = _gate(20, 60, "Acceleration of the pelvis, m/s^2.")
    root_jerk_m_s3: Gate = _gate(400, 1200, "Jerk of the pelvis, m/s^3.")
    root_leap_percent: Gate = _gate(1, 10, "Steps of the pelvis that leap, %.")
    foot_sliding_m_s: Gate = _gate(0.4, 1.2, "Speed of ankles while the foot rests in the image, m/s.")
    floor_piercing_mm: Gate = _gate(50, 200, "Depth of the soles below the floor, mm.")
    floor_piercing_percent: Gate = _gate(25, None, "Frames with a sole below the floor, %.")
    floor_floating_mm: Gate = _gate(100, 500, "Height over the floor that the soles never go below, mm.")
    missing_percent: Gate = _gate(10, 50, "Joints without a position, %.")
    longest_gap_s: Gate = _gate(0.5, None, "Longest time without any joint, s.")
    low_score_percent: Gate = _gate(20, 60, "Limb keypoints not seen or scored low, %.")
    sigma_mm: Gate = _gate(500, None, "Mean stated uncertainty, mm.")
    knee_hyperextension_percent: Gate = _gate(2, 20, "Knees that bend forwards, %.")
    elbow_hyperextension_percent: Gate = _gate(5, 30, "Elbows of hanging arms that bend backwards, %.")

    @model_validator(mode="before")
    @classmethod
    def _keep_defaults(cls, given: Any) -> Any:
        """Let ``{warn: 3}`` leave the measure's other limit as it is."""
        if not isinstance(given, dict):
            return given
        defaults = {name: field.default.model_dump() for name, field in cls.model_fields.items()}
        return {
            name: {**defaults[name], **gate} if name in defaults and isinstance(gate, dict) else gate
            for name, gate in given.items()
        }


class QualityOptions(BaseModel):
    """Options of the stage ``quality``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low_score: float = Field(0.5, ge=0, le=1, description="2D scores below this count as low.")
    gates: Gates = Field(Gates.model_validate({}), description="Limits of the measures: warn and fail, null for none.")


class QualityConfig(QualityOptions):
    """The same, and what a failed gate does to a run."""

    enforce: bool = Field(False, description="A clip over a fail gate ends the run with an error; else it is named.")
