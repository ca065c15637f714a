"""Shape-typed aliases for the arrays that travel through posemill, and how records of them are cut.

``...`` in front stands for any leading axes (time, clips). Frames and units are said where the array is used.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from jaxtyping import Bool, Float

Points2 = Float[np.ndarray, "... joint 2"]
"""Image points in pixels or on the normalised plane."""
Points3 = Float[np.ndarray, "... joint 3"]
"""Points in metres."""
Vector3 = Float[np.ndarray, "... 3"]
PerJoint = Float[np.ndarray, "... joint"]
Flags = Bool[np.ndarray, "... joint"]
Times = Float[np.ndarray, " time"]
Matrix3 = Float[np.ndarray, "... 3 3"]

__all__ = ["Flags", "Matrix3", "PerJoint", "Points2", "Points3", "Times", "Vector3", "part_of"]

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def part_of(record: Record, rows: slice) -> Record:
    """Some frames of a dataclass whose arrays all begin with time (T, ...); what is no array holds for all frames."""
    return replace(record, **{k: v[rows] for k, v in vars(record).items() if isinstance(v, np.ndarray)})
