"""Takes for films of captured motion: who moves how, and where a camera stands, drawn from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from posemill.arrays import Points3
from posemill.camera import Camera
from posemill.errors import InputError, expected
from posemill.geometry import unit
from posemill.twin.cameras import looking_at
from posemill.twin.scene import HALF_M

__all__ = ["PICTURES", "Take", "camera_before", "draw_take"]

PICTURES = ((960, 720), (720, 960), (800, 800))
"""Picture sizes, px."""
# Where cameras stand: distance from the middle of the motion, height above the floor, and how near anyone may come.
_DISTANCE_M, _ABOVE_M, _NEAREST_M = (2.6, 5.2), (0.3, 2.6), 1.6
_ROLL_DEG = 6.0
_MARGIN_M = 0.35
"""What a head, hands and shoes need beyond the captured joints."""


@dataclass(frozen=True)
class Take:
    """One stretch of captured motion.

    Attributes
    ----------
    clip
        Index of its recording.
    joints
        (T, 17, 3) h36m17, world metres, z up, the middle of the motion at the room's middle.
    """

    clip: int
    joints: Points3


def draw_take(
    clips: Sequence[Points3], owners: Sequence[str], fps: float, frames: int, rate: float, rng: np.random.Generator
) -> Take:
    """Draw a person, one of their recordings, a stretch of it, a heading and a body size.

    Parameters
    ----------
    clips
        Each (T, 17, 3) metres, z up, at ``fps``.
    owners
        Whose each is.
    frames, rate
        Length wanted, and its frame rate.

    Raises
    ------
    InputError
        No recording is long enough.
    """
    span = (frames - 1) * fps / rate
    long = [i for i, clip in enumerate(clips) if len(clip) - 1 >= span]
    if not long:
        want = f"a recording of at least {span / fps:.1f} s"
        raise InputError(expected("motion", want, f"{len(clips)} shorter ones"))
    people = sorted({owners[i] for i in long})
    person = people[rng.integers(len(people))]
    own = [i for i in long if owners[i] == person]
    chosen = own[rng.integers(len(own))]
    clip = np.asarray(clips[chosen], dtype=np.float64)
    at = rng.uniform(0, len(clip) - 1 - span) + np.arange(frames) * fps / rate
    low = np.minimum(np.floor(at).astype(int), len(clip) - 2)
    share = (at - low)[:, None, None]
    joints = clip[low] * (1 - share) + clip[low + 1] * share
    angle = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(angle), np.sin(angle)
    joints = joints @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    floor = joints[..., 2].min()
    middle = (joints[:, 0, :2].max(0) + joints[:, 0, :2].min(0)) / 2
    return Take(chosen, (joints - [*middle, floor]) * rng.uniform(0.88, 1.12))


def camera_before(joints: Points3, rng: np.random.Generator) -> Camera:
    """Place a camera in the room that has all of a motion (T, J, 3) in its picture; drawn height, side, roll and lens.

    Its focal length is the longest that keeps the motion inside, shortened by up to a third.
    """
    width, height = PICTURES[rng.integers(len(PICTURES))]
    points = joints.reshape(-1, 3)
    target = (points.max(0) + points.min(0)) / 2
    dist = np.array([rng.uniform(-0.12, 0.03), 0.02, 0, 0, 0]) if rng.random() < 0.4 else np.zeros(5)
    best: Camera | None = None
    distance = rng.uniform(*_DISTANCE_M)
    for _ in range(50):
        angle = rng.uniform(0, 2 * np.pi)
        at = target + distance * np.array([np.cos(angle), np.sin(angle), 0])
        centre = np.array([*np.clip(at[:2], -HALF_M + 0.3, HALF_M - 0.3), rng.uniform(*_ABOVE_M)])
        best = looking_at(centre, target, width, height, float(width), dist)
        if np.linalg.norm(points[:, :2] - centre[:2], axis=-1).min() >= _NEAREST_M:
            break
        distance = min(distance * 1.1, _DISTANCE_M[1])
    assert best is not None
    roll = np.radians(rng.normal(0, _ROLL_DEG))
    c, s = np.cos(roll), np.sin(roll)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    camera = replace(best, R=turn @ best.R, t=turn @ best.t)
    seen = camera.world_to_camera(points)
    # Room around the joints in every direction of the picture.
    away = unit(seen[:, :2] - seen[:, :2].mean(0)) * _MARGIN_M
    plane = np.abs((seen[:, :2] + away) / seen[:, 2:]).max(0)
    focal = float(min(width / 2 / plane[0], height / 2 / plane[1], 3.0 * width)) * rng.uniform(0.67, 1.0)
    k = camera.K.copy()
    k[0, 0] = k[1, 1] = focal
    return replace(camera, K=k)
