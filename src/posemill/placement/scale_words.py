"""Words on a subject's size: what cameras and a depth network say of people who were placed at a size assumed so far.

One view cannot tell a large person far away from a small one near by: a person ``s`` times as large stands ``s`` times
as far away, on a floor ``s`` times as far below the camera. So whoever knows how high a camera is, or how far away
somebody is, says the size: the known length over the one found at the assumed size. Words are fused by their sigma.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from posemill.camera import Camera
from posemill.placement.floor import Floor, height_above
from posemill.placement.observed import Observed, Placed
from posemill.placement.options import PlaceOptions
from posemill.placement.shared_floors import evidence_of, find_floors
from posemill.placement.skeleton_scale import Skeleton
from posemill.placement.torso_depth import TorsoDepth, log_ratio

__all__ = ["People", "Scale", "believed", "from_calibration", "from_camera_heights", "from_depths", "fused", "one_word"]

# A word further off what else is known, in sigma, is of something else.
_BELIEVED = 3.0


class Scale(NamedTuple):
    """One word on the scale: where it is from, the factor, and its relative sigma."""

    source: str
    factor: float
    sigma: float


@dataclass(frozen=True)
class People:
    """A subject's clips (clip to track to who was seen) at one size; each clip is placed when first asked for, once."""

    clips: Mapping[str, Mapping[str, Observed]]
    skeleton: Skeleton
    options: PlaceOptions
    _placed: dict[str, dict[str, Placed]] = field(default_factory=dict, init=False)

    def placed(self, clip: str) -> dict[str, Placed]:
        """Track to the person before the camera."""
        if clip not in self._placed:
            paths = {name: one.path(self.skeleton, self.options) for name, one in self.clips[clip].items()}
            self._placed[clip] = {name: one.on(paths[name], self.skeleton) for name, one in self.clips[clip].items()}
        return self._placed[clip]


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


def one_word(scales: list[Scale]) -> list[Scale]:
    """Several cameras, or clips of one network, as one word, or none.

    What they err by is mostly alike in all: how the person stands and leans, what the network takes a room to be. So
    several say no more than one of them does, on average.
    """
    if not scales:
        return []
    sigma = np.array([s.sigma for s in scales])
    return [fused(scales)._replace(sigma=float((1 / sigma).sum() / (1 / sigma**2).sum()))]


def believed(words: Iterable[Scale], known: Scale) -> tuple[list[Scale], list[Scale]]:
    """Part words into those within three sigma of what is ``known``, and the others."""
    good: list[Scale] = []
    others: list[Scale] = []
    for word in words:
        apart = abs(np.log(word.factor / known.factor))
        (good if apart <= _BELIEVED * np.hypot(word.sigma, known.sigma) else others).append(word)
    return good, others


def from_camera_heights(people: People, heights_m: Mapping[str, float], cameras: Mapping[str, str]) -> list[Scale]:
    """A word of each camera whose height is given (clip to height) and whose floor is found.

    ``cameras`` has clips that share one, and so one word.
    """
    placed = {name: list(people.placed(name).values()) for name in people.clips if name in heights_m}
    words: dict[str, Scale] = {}
    for name, floor in find_floors(placed, people.skeleton.stature_m, cameras, people.options).items():
        if isinstance(floor, Floor) and floor.height_m > 0:
            given = people.options.camera_height_sigma_m / heights_m[name]
            sigma = float(np.hypot(floor.height_sigma_m / floor.height_m, given))
            word = Scale("camera_height_m", heights_m[name] / floor.height_m, sigma)
            words.setdefault(cameras.get(name, name), word)
    return list(words.values())


def from_calibration(people: People) -> list[Scale]:
    """A word of each camera with a place in the world, of people on its floor z = 0."""
    before: dict[tuple[bytes, ...], tuple[Camera, list[Placed]]] = {}
    for name, tracks in people.clips.items():
        if not tracks or not all(_stands_in_the_world(one) for one in tracks.values()):
            continue
        camera = next(iter(tracks.values())).camera
        assert camera.R is not None and camera.t is not None
        key = (camera.K.tobytes(), camera.R.tobytes(), camera.t.tobytes())
        before.setdefault(key, (camera, []))[1].extend(people.placed(name).values())
    words = []
    for camera, placed in before.values():
        assert camera.R is not None
        found = height_above(evidence_of(placed, people.skeleton.stature_m), camera.up)
        if found is not None and found[0] > 0:
            words.append(Scale("calibration", float(camera.centre[2]) / found[0], found[1] / found[0]))
    return words


def _stands_in_the_world(one: Observed) -> bool:
    """Whether the camera's place is known and above the floor, and does not change: a path errs by more than people."""
    travels = one.motion is not None and one.motion.travels
    return one.camera.in_world and one.temporal and one.camera.centre[2] > 0 and not travels


def from_depths(people: People, depths: Mapping[str, Mapping[str, TorsoDepth]]) -> list[Scale]:
    """A word of each clip of which a depth network says how far away people are (clip to track to depth).

    Sigma has the network's own (``depth_scale_sigma``), the scatter of the frames, and, unless the depths are scaled to
    the clip's focal length, that focal length's: where somebody of a size is placed is proportional to it.
    """
    words = []
    for name in people.clips:
        # Of a clip that failed, there or in lift, nobody knows both.
        asked = [(depths[name][track], one) for track, one in people.placed(name).items()] if name in depths else []
        ratio = np.concatenate([np.zeros(0), *(log_ratio(depth, one) for depth, one in asked)])
        ratio = ratio[np.isfinite(ratio)]
        if not len(ratio):
            continue
        middle = float(np.median(ratio))
        scatter = 1.4826 * float(np.median(np.abs(ratio - middle))) / np.sqrt(len(ratio))
        lens = max(one.observed.camera.focal_sigma if depth.focal_px is None else 0.0 for depth, one in asked)
        sigma = np.sqrt(people.options.depth_scale_sigma**2 + scatter**2 + lens**2)
        words.append(Scale("depth_network", float(np.exp(middle)), float(sigma)))
    return words
