"""Shape-typed aliases for the arrays that travel through posemill.

``...`` in front stands for any leading axes (time, clips). Frames and units are said where the array is used.
"""

from __future__ import annotations

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

__all__ = ["Flags", "Matrix3", "PerJoint", "Points2", "Points3", "Times", "Vector3"]
