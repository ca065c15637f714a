"""What a user can set of merge."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MergeOptions"]


class MergeOptions(BaseModel):
    """Options of the stage ``merge``. Speeds and heights of contacts are those of the ankles."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cutoff_hz: float | None = Field(
        6.0, gt=0, description="Low-pass of the pose over time, without lag; null leaves it as lifted."
    )
    max_gap_s: float = Field(0.5, ge=0, description="The low-pass does not reach over longer gaps of a joint.")
    contact_enter_m_s: float = Field(0.25, gt=0, description="A foot slower than this, and low, comes to stand.")
    contact_leave_m_s: float = Field(0.5, gt=0, description="A foot faster than this stands no more.")
    contact_enter_m: float = Field(0.05, gt=0, description="Height over the foot's lowest at which it comes to stand.")
    contact_leave_m: float = Field(
        0.10, gt=0, description="Height over the foot's lowest from which it stands no more."
    )
    contact_min_s: float = Field(0.1, ge=0, description="Shorter contacts are dropped.")
    contact_gap_s: float = Field(0.07, ge=0, description="Shorter breaks of a contact are closed.")
