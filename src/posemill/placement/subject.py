"""One subject over all clips: the floors before its cameras, and its bones in metres.

Metres are from the person's height and from the camera's height above the floor, which is given, or which a calibrated
camera knows; where nothing is known, from the bodies that the lifter was trained on. What is known is fused by its
sigma: a person ``s`` times as large stands ``s`` times as far away, on a floor ``s`` times as far below the camera, so
that a floor found at one size says at which size it lies where the camera's height puts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from posemill.errors import ClipError
from posemill.placement.floor import Floor, fit_floor, height_above
from posemill.placement.observed import Observed, Placed
from posemill.placement.options import PlaceOptions
from posemill.placement.skeleton_scale import Skeleton, fit_skeleton
from posemill.placement.standing import Evidence, look

__all__ = ["Measured", "Scale", "find_floors", "fused", "measure"]

Tracks = Mapping[str, Observed]
# How far apart, in their sigma, the floors of one camera's clips may be before it must have been moved.
_MOVED = 3.0


class Scale(NamedTuple):
    """One word on the scale: where it is from, the factor, and its relative sigma."""

    source: str
    factor: float
    sigma: float


@dataclass(frozen=True)
class Measured:
    """A subject's skeleton, each single word on its scale, and why it cannot be used ("" if it can).

    The factors of ``scales`` are metres per unit of the lifter.
    """

    skeleton: Skeleton
    scales: list[Scale] = field(default_factory=list)
    problem: str = ""


def fused(scales: list[Scale]) -> Scale:
    """Weigh scales by their sigma; where they contradict each other, what comes out is less certain."""
    value = np.log([s.factor for s in scales])
    weight = 1 / np.array([s.sigma for s in scales]) ** 2
    mean = float((weight * value).sum() / weight.sum())
    sigma = float(1 / np.sqrt(weight.sum()))
    if len(scales) > 1:
        excess = float((weight * (value - mean) ** 2).sum() / (len(scales) - 1))
        sigma *= max(1.0, np.sqrt(excess))
    return Scale("+".join(dict.fromkeys(s.source for s in scales)), float(np.exp(mean)), sigma)


def measure(
    clips: Mapping[str, Tracks],
    *,
    height_m: float | None,
    camera_heights_m: Mapping[str, float],
    cameras: Mapping[str, str],
    joints_of: str,
    options: PlaceOptions,
) -> Measured:
    """Fit a subject's bones over all clips, and their scale.

    Parameters
    ----------
    clips
        Clip to track to what was seen and lifted.
    height_m
        The person's standing height, if known.
    camera_heights_m
        Clip to the height of its camera above the floor, where known.
    cameras
        Clip to the camera that it is from; a clip that is not named has a camera of its own.
    joints_of
        Joint set of the poses.
    """
    tracks = [track for found in clips.values() for track in found.values()]
    poses, sigmas = [t.pose[:, :17] for t in tracks], [t.sigma[:, :17] for t in tracks]
    sigma = {"height_sigma": options.height_scale_sigma, "prior_sigma": options.lifter_scale_sigma}
    problem = ""
    try:
        skeleton = fit_skeleton(poses, sigmas, height_m=height_m, **sigma)
    except ClipError as error:
        skeleton, problem = fit_skeleton(poses, sigmas, **sigma), str(error)
    skeleton = skeleton.with_feet([t.pose for t in tracks], joints_of)
    # A height that is believed without doubt leaves no say to anything else.
    first = Scale(skeleton.scale_source, 1.0, max(skeleton.scale_sigma, 1e-6))
    scales = [
        first,
        *_from_cameras(clips, skeleton, camera_heights_m, cameras, options),
        *_from_calibration(clips, skeleton, first.sigma, options),
    ]
    unit = skeleton.scale
    if len(scales) > 1:
        best = fused(scales)
        skeleton = skeleton.scaled(best.factor, best.sigma, best.source)
    return Measured(skeleton, [s._replace(factor=s.factor * unit) for s in scales], problem)


def _from_cameras(
    clips: Mapping[str, Tracks],
    skeleton: Skeleton,
    heights_m: Mapping[str, float],
    cameras: Mapping[str, str],
    options: PlaceOptions,
) -> list[Scale]:
    """What the cameras say together whose height is known and whose floor is found; at most one word."""
    placed = {
        name: [t.on(t.path(skeleton, options), skeleton) for t in tracks.values()]
        for name, tracks in clips.items()
        if name in heights_m
    }
    out: dict[str, Scale] = {}
    for name, floor in find_floors(placed, skeleton.stature_m, cameras, options).items():
        if isinstance(floor, Floor) and floor.height_m > 0:
            sigma = np.hypot(floor.height_sigma_m / floor.height_m, options.camera_height_sigma_m / heights_m[name])
            scale = Scale("camera_height_m", heights_m[name] / floor.height_m, float(sigma))
            # Clips that share a floor say this once.
            out.setdefault(cameras.get(name, name), scale)
    return _one_word(list(out.values()))


def _from_calibration(
    clips: Mapping[str, Tracks], skeleton: Skeleton, sigma: float, options: PlaceOptions
) -> list[Scale]:
    """What cameras with a place in the world say, of people on its floor z = 0; at most one word.

    A camera whose word is further off the scale known so far (relative ``sigma``) than three sigma is not believed: the
    world's floor is then something else's, or the people stand on something else.
    """
    seen: dict[tuple[bytes, ...], list[Evidence]] = {}
    height_up: dict[tuple[bytes, ...], tuple[float, np.ndarray]] = {}
    for tracks in clips.values():
        for one in tracks.values():
            camera = one.camera
            if camera.R is None or camera.t is None or not one.temporal or camera.centre[2] <= 0:
                continue
            # What a travelling camera's place errs by is not the people's size.
            if one.motion is not None and one.motion.travels:
                continue
            key = (camera.K.tobytes(), camera.R.tobytes(), camera.t.tobytes())
            height_up[key] = float(camera.centre[2]), camera.R[:, 2]
            placed = one.on(one.path(skeleton, options), skeleton)
            seen.setdefault(key, []).append(look(one.time, placed.joints, one.joints_of, skeleton.stature_m))
    words = []
    for key, evidence in seen.items():
        height_m, up = height_up[key]
        found = height_above(evidence, up)
        if found is None or found[0] <= 0:
            continue
        word = Scale("calibration", height_m / found[0], found[1] / found[0])
        if abs(np.log(word.factor)) <= _MOVED * np.hypot(word.sigma, sigma):
            words.append(word)
    return _one_word(words)


def _one_word(scales: list[Scale]) -> list[Scale]:
    """Several cameras as one word, or none.

    What a camera errs by is mostly the person, before all cameras alike: how the feet stand, how far one leans. So
    several cameras say no more than one of them does, on average.
    """
    if not scales:
        return []
    sigma = np.array([s.sigma for s in scales])
    return [fused(scales)._replace(sigma=float((1 / sigma).sum() / (1 / sigma**2).sum()))]


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
            {n: [look(o.time, joints, o.joints_of, stature_m) for o, joints in clips[n]] for n in names},
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
