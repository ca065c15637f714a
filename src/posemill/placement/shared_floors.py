"""The floors before the cameras of a subject's clips: clips of one camera have one.

What is fitted, and how surely, is :mod:`posemill.placement.floor`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from posemill.placement.floor import Floor, fit_floor
from posemill.placement.observed import Placed
from posemill.placement.options import PlaceOptions
from posemill.placement.standing import Evidence, look

__all__ = ["evidence_of", "find_floors"]

# How far apart, in their sigma, the floors of one camera's clips may be before it must have been moved.
_MOVED = 3.0


def evidence_of(people: Iterable[Placed], stature_m: float) -> list[Evidence]:
    """Collect what people say of up and of the floor, by :func:`posemill.placement.standing.look`."""
    return [look(o.time, joints, o.joints_of, stature_m) for o, joints in people]


def find_floors(
    clips: Mapping[str, Sequence[Placed]], stature_m: float, cameras: Mapping[str, str], options: PlaceOptions
) -> dict[str, Floor | str]:
    """Find the floor before the camera of each clip, or one line that says why there is none.

    Clips of one camera (``cameras``: clip to its name) are fitted together. Where one of them contradicts the others,
    the camera was moved between them, and each has its own.
    """
    groups: dict[tuple[object, ...], list[str]] = {}
    result: dict[str, Floor | str] = {}
    for name, people in clips.items():
        if not people:
            result[name] = "nobody is placed"
        elif not people[0].observed.temporal:
            result[name] = "stills need not be from one place"
        else:
            camera = people[0].observed.camera
            key = (cameras.get(name, name), camera.width, camera.height, camera.K.tobytes(), camera.dist.tobytes())
            groups.setdefault(key, []).append(name)
    for names in groups.values():
        focal_sigma = clips[names[0]][0].observed.camera.focal_sigma
        result |= _shared(
            {n: evidence_of(clips[n], stature_m) for n in names},
            focal_sigma,
            options.max_up_sigma_deg,
        )
    return result


def _shared(
    evidence: Mapping[str, Sequence[Evidence]], focal_sigma: float, max_sigma_deg: float
) -> dict[str, Floor | str]:
    def fit(some: Sequence[Evidence]) -> Floor | str:
        return fit_floor(some, focal_sigma=focal_sigma, max_sigma_deg=max_sigma_deg)

    own = {name: fit(found) for name, found in evidence.items()}
    together = fit([e for found in evidence.values() for e in found])
    if isinstance(together, str) or any(_contradicts(floor, together) for floor in own.values()):
        return own
    return dict.fromkeys(evidence, together)


def _contradicts(floor: Floor | str, other: Floor) -> bool:
    if isinstance(floor, str):
        return False
    angle_deg = np.degrees(np.arccos(np.clip(floor.up @ other.up, -1, 1)))
    apart_m = abs(floor.height_m - other.height_m)
    return bool(angle_deg > _MOVED * floor.up_sigma_deg or apart_m > _MOVED * floor.height_sigma_m)
