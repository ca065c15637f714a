"""What a user may set about who is the subject, and about the cleaning of 2D tracks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["GatherOptions"]


class GatherOptions(BaseModel):
    """Options of the gather stage. Of the cleaning nothing is done to stills."""

    model_config = ConfigDict(extra="forbid")

    subject: Annotated[
        Literal["main", "longest", "largest", "most_central", "box"],
        Field(
            description="Whose clip it is where several people are seen: main is seen longest, largest, best "
            "and most in the middle, together; box is who is in the sheet's subject_box, which always wins."
        ),
    ] = "main"
    min_score: Annotated[
        float, Field(ge=0, le=1, description="Keypoints scored lower count as not seen; 0 keeps all.")
    ] = 0.0
    sides: Annotated[
        bool,
        Field(description="Exchange back legs and arms taken for each other; in doubt, between both with more sigma."),
    ] = True
    jump: Annotated[
        float | None,
        Field(
            gt=0,
            description="A keypoint this far (share of stature) from its median over 5 frames is rejected; so is a "
            "pose much too large for its person.",
        ),
    ] = 0.1
    max_gap_s: Annotated[
        float,
        Field(ge=0, description="Gaps up to this long are filled, but not while the body turns over; 0 fills none."),
    ] = 0.25
    cutoff_hz: Annotated[
        float | None, Field(gt=0, description="Low-pass of the keypoints, without lag; null keeps them as detected.")
    ] = 6.0
