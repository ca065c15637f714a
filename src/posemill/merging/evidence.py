"""What is known of one person's root and feet before standing feet are held, and how it could all be wrong alike."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posemill.arrays import Times, Vector3

__all__ = ["Evidence"]


@dataclass(frozen=True)
class Evidence:
    """What is known of one person's root and feet; world frame, m.

    Attributes
    ----------
    time
        (T,) seconds.
    root, hips, ankles
        (T, 3), (T, 2, 3), (T, 2, 3) as placed. All are known: frames without them are left out.
    states
        (T, 2) of :func:`posemill.merging.contacts.foot_states`.
    soles
        (T, 2, 2, 3) heel and big toe of each foot, relative to its ankle; NaN where unknown.
    axes, ankle_axes
        (T, 3, 3) and (T, 2, 3, 3) columns: two directions across the line of sight of the root (the ankle), and it.
    root_sigma, ankle_sigma
        (T, 3) and (T, 2, 3) along those axes; the ankles' relative to the root.
    seen, seen_sigma
        (T, 2, 3) points on the rays through the ankles' keypoints, at the ankles' depths, and (T, 2); NaN if unseen.
    leg_m
        Greatest distance (T, 2) of hip and ankle.
    ankle_m, sole_m, lowest_m
        Heights over the floor: of the ankle of a flat foot, of a heel or toe that bears it, and of the lowest ankle.
    """

    time: Times
    root: Vector3
    hips: Vector3
    ankles: Vector3
    states: np.ndarray
    soles: np.ndarray
    axes: np.ndarray
    ankle_axes: np.ndarray
    root_sigma: Vector3
    ankle_sigma: Vector3
    seen: Vector3
    seen_sigma: np.ndarray
    leg_m: np.ndarray
    ankle_m: float
    sole_m: float
    lowest_m: float

    def shifted(self, by: Vector3) -> Evidence:
        """The same person elsewhere, by (T, 3) m."""
        return replace(self, root=self.root + by, hips=self.hips + by[:, None], ankles=self.ankles + by[:, None])
