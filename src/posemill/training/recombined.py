"""Windows of motion that nobody performed: legs of one recording, trunk of another, arms of a third, on other bodies.

As :mod:`posemill.training.bodies` does it for single poses, in float32 and over time: what is bent, leant or moved
beside what was recorded changes slowly through a window. Directions of bones are kept in a *heading frame*: x to the
person's left along the hips, y backwards, z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from posemill.anthropometry import STATURE_PER_LENGTH, body_length
from posemill.formats.motion import MotionClip
from posemill.geometry import about_x, about_z
from posemill.skeleton import JOINT_SETS
from posemill.training.noise import NoiseLevels
from posemill.training.sequences import FRAME_RATE, Windows, before_cameras

__all__ = ["Changes", "MotionLibrary", "Motions", "Recombined", "draw_motions"]

_SET = JOINT_SETS["posemill21"]
_BODY = len(JOINT_SETS["h36m17"])
_PARENTS = np.array(_SET.parents[1:])
_BONES = len(_PARENTS)
_FLIP = _SET.flip_permutation
_SIDES = np.array([-1, 1, 1], np.float32)


def _bones(*joints: str) -> np.ndarray:
    """Bones by the joints at their ends."""
    return _SET.indices(joints) - 1


_LEG = ("hip", "knee", "ankle", "heel", "big_toe")
_LOWER = _bones(*(f"{side}_{joint}" for side in ("right", "left") for joint in _LEG))
_UPPER = np.setdiff1d(np.arange(_BONES), _LOWER)
_ARMS = _bones(*(f"{side}_{joint}" for side in ("right", "left") for joint in ("elbow", "wrist")))
_THIGHS, _SHANKS = _bones("right_knee", "left_knee"), _bones("right_ankle", "left_ankle")
_FEET = np.stack([_bones("right_heel", "right_big_toe"), _bones("left_heel", "left_big_toe")])
# Bones that may turn a little by themselves; hips belong to the trunk, heel and toe to one foot.
_FREE = np.setdiff1d(np.arange(_BONES), [*_bones("right_hip", "left_hip"), *_FEET.ravel()])
_LIMBS = (("left_knee", "left_ankle"), ("left_elbow", "left_wrist"), ("spine", "thorax"))
_LEFT_HIP, _RIGHT_HIP = _SET.index("left_hip"), _SET.index("right_hip")


@dataclass(frozen=True)
class Changes:
    """By how much windows differ from what was recorded.

    Attributes
    ----------
    mixed
        Share of windows with trunk and arms of another recording; half of those have the arms of a third.
    folded, reaching
        Shares with legs that fold further, and with arms that go anywhere.
    turned
        Standard deviation of a turn of each bone, the same all through a window; radians.
    leaning
        Standard deviation of how the trunk leans further, in half of the windows; radians.
    speed
        Standard deviation of the logarithm of the speed.
    stature_m
        Range of statures.
    """

    mixed: float = 0.5
    folded: float = 0.2
    reaching: float = 0.12
    turned: float = 0.06
    leaning: float = 0.1
    speed: float = 0.15
    stature_m: tuple[float, float] = (1.45, 1.95)


@dataclass(frozen=True)
class Motions:
    """N windows of T frames.

    Attributes
    ----------
    joints
        (N, T, 21, 3) float32 metres, posemill21, z up; the floor is not at 0.
    step_s
        (N,) seconds between frames.
    feet
        (N,) bool: heels and toes were recorded.
    """

    joints: np.ndarray
    step_s: np.ndarray
    feet: np.ndarray


class MotionLibrary:
    """Recordings taken apart into bones, weighted so that rare poses are seen as well as walking.

    Parameters
    ----------
    clips
        All of one frame rate.
    balance
        Share of draws that pick a cluster of alike poses first, then a frame in it; the rest pick any frame.
    """

    def __init__(
        self, clips: Sequence[MotionClip], *, balance: float = 0.5, clusters: int = 400, seed: int = 0
    ) -> None:
        self.fps = clips[0].fps
        parts = [_taken_apart(clip) for clip in clips]
        self.directions, self.lengths, self.roots, self.heading = (
            np.concatenate([p[i] for p in parts]).astype(np.float32) for i in range(4)
        )
        self.count = np.array([len(clip.joints) for clip in clips])
        self.start = np.concatenate([[0], np.cumsum(self.count)[:-1]])
        self.clip = np.repeat(np.arange(len(clips)), self.count)
        self.feet = np.array([clip.feet is not None for clip in clips])
        self._cumulated = np.cumsum(self._probability(balance, clusters, seed))

    def _probability(self, balance: float, clusters: int, seed: int) -> np.ndarray:
        from scipy.cluster.vq import kmeans2

        poses = self.directions[:, : _BODY - 1].reshape(len(self.directions), -1)
        some = poses[:: max(1, round(self.fps / 10))].astype(np.float64)
        clusters = min(clusters, len(some))
        centres, _ = kmeans2(some, clusters, iter=8, minit="points", rng=seed)
        nearest = ((centres**2).sum(1) - 2 * poses @ centres.T).argmin(1)
        members = np.bincount(nearest, minlength=clusters)
        return balance / members[nearest] / np.count_nonzero(members) + (1 - balance) / len(poses)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Numbers (count,) of frames."""
        drawn = np.searchsorted(self._cumulated, rng.random(count) * self._cumulated[-1])
        return np.minimum(drawn, len(self._cumulated) - 1)

    def stretch(self, centre: np.ndarray, step: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Frames (N, T) around others (N,), ``step`` (N,) recorded frames apart: below, above, the share of the latter.

        What would leave its clip goes back through it.
        """
        clip = self.clip[centre]
        start, last = self.start[clip][:, None], (self.count[clip] - 1)[:, None]
        at = (centre[:, None] - start) + step[:, None] * (np.arange(frames) - frames // 2)
        span = np.maximum(last, 1)
        at = np.minimum(np.abs(np.mod(at + span, 2 * span) - span), last)
        low = np.floor(at).astype(np.int64)
        high = np.minimum(low + 1, last)
        return low + start, high + start, (at - low).astype(np.float32)


def _taken_apart(clip: MotionClip) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Directions (T, 20, 3) in the heading frame, lengths (T, 20), roots (T, 3) and headings (T,) of a clip."""
    joints = clip.joints.astype(np.float64)
    ankles = joints[:, np.array(_SET.parents[_BODY:])]
    feet = ankles if clip.feet is None else clip.feet
    whole = np.concatenate([joints, feet], 1)
    hips = joints[:, _LEFT_HIP] - joints[:, _RIGHT_HIP]
    heading = np.unwrap(np.arctan2(hips[:, 1], hips[:, 0]))
    bones = about_z(whole[:, 1:] - whole[:, _PARENTS], -heading[:, None])
    lengths = np.linalg.norm(bones, axis=-1)
    directions = bones / np.maximum(lengths, 1e-6)[..., None]
    if clip.feet is None:
        # Something in the place of feet, which nobody learns from.
        directions[:, _FEET] = (0.0, -1.0, 0.0)
    return directions, lengths, joints[:, 0], heading


def draw_motions(
    library: MotionLibrary,
    count: int,
    frames: int,
    rng: np.random.Generator,
    *,
    frame_rate: tuple[float, float] = (8.0, 35.0),
    changes: Changes | None = None,
) -> Motions:
    """Draw windows.

    Parameters
    ----------
    frame_rate
        Range of the windows' frame rates, drawn log-uniformly.
    """
    changes = changes or Changes()
    step_s = 1 / np.exp(rng.uniform(np.log(frame_rate[0]), np.log(frame_rate[1]), count))
    step = library.fps * step_s * np.exp(rng.normal(0, changes.speed, count))
    legs = library.draw(count, rng)
    low, high, share = library.stretch(legs, step, frames)
    directions = _between(library.directions, low, high, share)
    roots, heading = _between(library.roots, low, high, share), _between(library.heading, low, high, share)
    mixed = np.flatnonzero(rng.random(count) < changes.mixed)
    for rows, bones in ((mixed, _UPPER), (mixed[rng.random(len(mixed)) < 0.5], _ARMS)):
        other = library.stretch(library.draw(len(rows), rng), step[rows], frames)
        directions[_cells(rows, frames, bones)] = _between(library.directions, *other, bones)
    _fold_legs(directions, rng, step_s, changes.folded)
    _move_arms(directions, rng, step_s, changes.reaching)
    lean = rng.normal(0, changes.leaning, count) * (rng.random(count) < 0.5)
    leaning = lean.astype(np.float32)[:, None] * _slowly(rng, frames, step_s)
    directions[:, :, _UPPER] = about_x(directions[:, :, _UPPER], leaning[..., None])
    directions[:, :, _FREE] += rng.normal(0, changes.turned, (count, 1, len(_FREE), 3)).astype(np.float32)
    directions /= np.maximum(np.linalg.norm(directions, axis=-1, keepdims=True), np.float32(1e-6))
    joints = _put_together(directions, library.lengths[legs] * _proportions(count, rng))
    size = rng.uniform(*changes.stature_m, count) / (STATURE_PER_LENGTH * body_length(joints[:, 0, :_BODY]))
    joints *= size.astype(np.float32)[:, None, None, None]
    # A smaller person's way is shorter; where in the world it is does not matter to a camera that follows it.
    way = (roots - roots[:, frames // 2, None]) * size.astype(np.float32)[:, None, None]
    joints = about_z(joints, heading[..., None]) + way[:, :, None]
    mirrored = rng.random(count) < 0.5
    joints[mirrored] = joints[mirrored][:, :, _FLIP] * _SIDES
    return Motions(joints, step_s, library.feet[library.clip[legs]])


@dataclass(frozen=True)
class Recombined:
    """A :class:`~posemill.training.sequences.Source` of recombined motion through virtual cameras.

    Attributes
    ----------
    noise
        Detector errors; None for exact keypoints.
    """

    library: MotionLibrary
    noise: NoiseLevels | None = None
    changes: Changes = field(default_factory=Changes)

    def draw(self, count: int, frames: int, rng: np.random.Generator) -> Windows:
        """Draw windows of bodies of all sizes before cameras of all kinds."""
        motions = draw_motions(self.library, count, frames, rng, frame_rate=FRAME_RATE, changes=self.changes)
        return before_cameras(motions.joints[:, :, :_BODY].astype(np.float64), rng, noise=self.noise)


def _cells(rows: np.ndarray, frames: int, bones: np.ndarray) -> tuple[np.ndarray, ...]:
    return np.ix_(rows, np.arange(frames), bones)


def _between(
    values: np.ndarray, low: np.ndarray, high: np.ndarray, share: np.ndarray, bones: np.ndarray | None = None
) -> np.ndarray:
    """Linear interpolation between rows of ``values``, of all its bones or some."""
    if bones is None:
        first, second = values[low], values[high]
    else:
        first, second = values[low[..., None], bones], values[high[..., None], bones]
    return first + (second - first) * share.reshape(*share.shape, *(1,) * (first.ndim - 2))


def _put_together(directions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Bodies (N, T, 21, 3) of directions and lengths (N, 20), the middle of the hips at 0."""
    bones = directions * lengths[:, None, :, None]
    joints = np.zeros((*bones.shape[:2], _BONES + 1, 3), np.float32)
    for child, parent in enumerate(_PARENTS, start=1):
        joints[:, :, child] = joints[:, :, parent] + bones[:, :, child - 1]
    joints -= (joints[:, :, _LEFT_HIP] + joints[:, :, _RIGHT_HIP])[:, :, None] / 2
    joints[:, :, 0] = 0
    return joints


def _proportions(count: int, rng: np.random.Generator) -> np.ndarray:
    """Factors (count, 20) for bone lengths, equal left and right."""
    factor = 1 + rng.uniform(-0.1, 0.1, (count, _BONES))
    factor[:, _bones("left_hip", "left_shoulder")] = 1 + rng.uniform(-0.2, 0.2, (count, 2))
    # Whole limbs are long or short, and where a wrist is depends on who says so. Whoever were sure of a limb's length
    # would turn every shorter one towards the camera, or away from it.
    for joints in _LIMBS:
        factor[:, _bones(*joints)] *= 1 + rng.uniform(-0.08, 0.08, (count, 1))
    factor[:, _bones("left_wrist")] *= 1 + rng.uniform(-0.1, 0.1, (count, 1))
    for left, right in _SET.flip_pairs:
        factor[:, right - 1] = factor[:, left - 1]
    return factor.astype(np.float32)


def _slowly(rng: np.random.Generator, frames: int, step_s: np.ndarray) -> np.ndarray:
    """Curves (N, T) between 0 and 1 around a level between 0.5 and 1: sines of 0.15 to 1 Hz, some flat."""
    n = len(step_s)
    hertz, phase = rng.uniform(0.15, 1.0, (n, 1)), rng.uniform(0, 2 * np.pi, (n, 1))
    swing = rng.uniform(0, 0.5, (n, 1))
    time = np.arange(frames) * step_s[:, None]
    return (1 - swing + swing * np.sin(2 * np.pi * hertz * time + phase)).astype(np.float32)


def _fold_legs(directions: np.ndarray, rng: np.random.Generator, step_s: np.ndarray, share: float) -> None:
    """Fold legs of some windows, both alike or each on its own, knees apart or not, in place."""
    frames = directions.shape[1]
    chosen = np.flatnonzero(rng.random(len(directions)) < share)
    n = len(chosen)
    both = rng.random(n) < 0.6
    hip, bend = rng.uniform(0, 1.9, (n, 2)), rng.uniform(0.9, 2.2, (n, 2))
    hip[both, 1], bend[both, 1] = hip[both, 0], bend[both, 0]
    course = np.stack([_slowly(rng, frames, step_s[chosen]) for _ in range(2)], -1)
    course[both, :, 1] = course[both, :, 0]
    hips = hip.astype(np.float32)[:, None] * course
    splay = rng.uniform(-0.1, 0.7, (n, 1, 1)).astype(np.float32) * np.minimum(hips, 1) * np.array([-1, 1], np.float32)
    shanks = hips - np.clip(hips * bend.astype(np.float32)[:, None], 0, 2.5)
    for side in (0, 1):
        thigh, shank = (chosen, slice(None), _THIGHS[side]), (chosen, slice(None), _SHANKS[side])
        directions[thigh] = about_z(about_x(directions[thigh], hips[:, :, side]), splay[:, :, side])
        directions[shank] = about_z(about_x(directions[shank], shanks[:, :, side]), splay[:, :, side])
        # The foot stays flat and turns with the knee.
        foot = _cells(chosen, frames, _FEET[side])
        directions[foot] = about_z(directions[foot], splay[:, :, side, None])
    # Whoever folds at the hips usually leans forward for balance.
    lean = -hips.mean(-1) * rng.uniform(-0.05, 0.5, (n, 1)).astype(np.float32)
    trunk = _cells(chosen, frames, _UPPER)
    directions[trunk] = about_x(directions[trunk], lean[..., None])


def _move_arms(directions: np.ndarray, rng: np.random.Generator, step_s: np.ndarray, share: float) -> None:
    """Give some windows arms that reach anywhere but far behind, bent at the elbow by any angle, in place."""
    frames = directions.shape[1]
    chosen = np.flatnonzero(rng.random(len(directions)) < share)
    n, steps = len(chosen), step_s[chosen]

    def way(about: tuple[float, float, float], spread: float) -> np.ndarray:
        ends = np.array(about) + rng.normal(0, spread, (2, n, 1, 3))
        done = _slowly(rng, frames, steps)[..., None]
        return _unit(ends[0] * done + ends[1] * (1 - done))

    for side, (elbow, wrist) in zip((-1.0, 1.0), _ARMS.reshape(2, 2), strict=True):
        upper = way((0.5 * side, -0.7, -0.3), 1.0)
        # An elbow bends towards the front, never backwards.
        bent = way((-0.3 * side, -1.0, 0.4), 0.5)
        across = _unit(bent - (bent * upper).sum(-1, keepdims=True) * upper)
        angle = (rng.uniform(0, 2.2, (n, 1)) * rng.random((n, 1)) * _slowly(rng, frames, steps))[..., None]
        directions[chosen, :, elbow] = upper
        directions[chosen, :, wrist] = np.cos(angle) * upper + np.sin(angle) * across


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
