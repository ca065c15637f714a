"""What a clip says of up and of the floor, before any world is known: upright frames, and spots where feet stand.

All of it is in the axes of a camera that does not move.

Up
    A body that stands or walks has its centre of mass over the soles that stand, or it would fall; the mean over a walk
    takes out what a single step leans. The thorax is over them, too. Up is the mean of the two directions over upright
    frames: one leg nearly straight, the trunk in line with it.
Floor
    A foot stands where its sole is slow across the line of sight and no higher than the other one. Speed along the line
    of sight says nothing: depth is ten times as noisy. A spot is the median of the sole while it stands.

References
----------
Winter, "Biomechanics and Motor Control of Human Movement", 2009, table 4.1: masses of segments and where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from posemill.anthropometry import ANKLE_HEIGHT, SOLE_HEIGHT
from posemill.arrays import Flags, Points3, Times, Vector3
from posemill.geometry import unit
from posemill.skeleton import JointSet, joint_set

__all__ = ["Evidence", "Spots", "lateral_speed", "look"]

_SLOW_M_S, _LOWEST_M, _SPOT_M, _SPOT_S, _BREAK_S = 0.3, 0.04, 0.25, 0.1, 0.5
_STRAIGHT, _IN_LINE_DEG, _AGREE_DEG = 0.85, 35.0, 20.0
# From the ankle to the middle of the sole, forwards, as a share of stature; for bodies without heels and toes.
_SOLE_AHEAD = 0.03
_FEET = ("left_heel", "left_big_toe", "right_heel", "right_big_toe")


@dataclass(frozen=True)
class Spots:
    """Where feet stood: ``points`` (N, 3) m in camera axes, ``above_m`` (N,) how high they are above the floor."""

    points: Vector3
    above_m: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """What one person of one clip says.

    Attributes
    ----------
    up
        (3,) unit vector, camera axes; NaN without upright frames.
    upright_s
        How long the frames last whose directions agree with it.
    agreeing
        Their share of the upright frames.
    spots
        Where the feet stood.
    """

    up: np.ndarray
    upright_s: float
    agreeing: float
    spots: Spots


def look(time: Times, joints: Points3, joints_of: str, stature_m: float) -> Evidence:
    """Collect the evidence of one person.

    Parameters
    ----------
    time
        (T,) seconds.
    joints
        (T, J, 3) m, placed before the camera, camera axes; NaN where unknown.
    joints_of
        ``h36m17``, or ``posemill21`` with heels and toes, which then say where the soles are if any are known.
    stature_m
        The person's.
    """
    joints = np.asarray(joints, dtype=np.float64)
    names = joint_set(joints_of)
    if _FEET[0] in names.joints and not np.isfinite(joints[:, names.indices(_FEET)]).any((0, 2)).all():
        # Imported poses may have none.
        joints, names = joints[:, names.indices(joint_set("h36m17").joints)], joint_set("h36m17")
    step_s = float(np.median(np.diff(time))) if len(time) > 1 else 0.0
    soles, above = _soles(joints, names, stature_m)
    upright = _upright(joints, names) & np.isfinite(soles).all((-1, -2))
    # Which foot is lower than the other is asked of a rough up, from both feet.
    rough, _, _ = _up(joints, soles.mean(1), names, upright)
    nothing = Spots(np.zeros((0, 3)), np.zeros(0))
    if np.isnan(rough).any() or len(time) < 2:
        return Evidence(rough, 0.0, 0.0, nothing)
    stands = _stands(time, soles, rough)
    up, count, agreeing = _up(joints, _support(soles, stands), names, upright & stands.any(-1))
    spots = nothing if np.isnan(up).any() else _spots(time, step_s, soles, above, _stands(time, soles, up))
    return Evidence(up, count * step_s, agreeing, spots)


def lateral_speed(time: Times, points: Points3) -> np.ndarray:
    """Speed (T, F) in m/s across the line of sight, of points (T, F, 3) in camera axes; NaN next to a gap."""
    depth = points[..., 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        ray = points[..., :2] / depth[..., None]
    return np.linalg.norm(np.gradient(ray, time, axis=0), axis=-1) * depth


def _soles(joints: Points3, names: JointSet, stature_m: float) -> tuple[np.ndarray, float]:
    """Left and right soles (T, 2, 3) m, and how high they are while they stand."""
    if _FEET[0] in names.joints:
        feet = [joints[:, names.indices(pair)].mean(1) for pair in (_FEET[:2], _FEET[2:])]
        return np.stack(feet, 1), SOLE_HEIGHT * stature_m
    ankles = joints[:, names.indices(("left_ankle", "right_ankle"))]
    left, right, thorax = (joints[:, names.index(n)] for n in ("left_hip", "right_hip", "thorax"))
    # Up of the body times its left: where it looks to, x forwards being left to right turned about up.
    ahead = unit(np.cross(left - right, thorax - (left + right) / 2))
    return ankles + _SOLE_AHEAD * stature_m * ahead[:, None], ANKLE_HEIGHT * stature_m


def _up(joints: Points3, support: Vector3, names: JointSet, frames: Flags) -> tuple[np.ndarray, int, float]:
    """Up (3,) of bodies over their ``support`` (T, 3), the number of frames that agree on it, and their share."""
    unknown = np.full(3, np.nan)
    if not frames.any():
        return unknown, 0, 0.0
    masses = _masses(names)
    heavy = masses > 0
    balance = (np.einsum("j,tjd->td", masses[heavy], joints[:, heavy]) - support)[frames]
    trunk = (joints[:, names.index("thorax")] - support)[frames]
    each = unit(unit(balance) + unit(trunk))
    middle = unit(np.median(each, axis=0))
    agree = each @ middle > np.cos(np.radians(_AGREE_DEG))
    if not agree.any():
        return unknown, 0, 0.0
    return unit(unit(balance[agree].mean(0)) + unit(trunk[agree].mean(0))), int(agree.sum()), float(agree.mean())


def _support(soles: Points3, stands: Flags) -> Vector3:
    """Middle (T, 3) of the soles that stand; NaN where none does."""
    weight = stands[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight, soles, 0.0).sum(1) / weight.sum(1)


def _upright(joints: Points3, names: JointSet) -> Flags:
    """Frames (T,) with one leg nearly straight and the trunk in line with it; all joints known that have a mass."""
    known = np.isfinite(joints[:, _masses(names) > 0]).all((-1, -2))
    pelvis, thorax = joints[:, names.index("pelvis")], joints[:, names.index("thorax")]
    out = np.zeros(len(joints), dtype=bool)
    for side in ("left", "right"):
        hip, knee, ankle = (joints[:, names.index(f"{side}_{n}")] for n in ("hip", "knee", "ankle"))
        with np.errstate(invalid="ignore", divide="ignore"):
            length = np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1)
            straight = np.linalg.norm(ankle - hip, axis=-1) > _STRAIGHT * length
            in_line = (unit(hip - ankle) * unit(thorax - pelvis)).sum(-1) > np.cos(np.radians(_IN_LINE_DEG))
        out |= straight & in_line
    return out & known


def _masses(names: JointSet) -> np.ndarray:
    """Share (J,) of the body's mass that each joint stands for."""
    out = np.zeros(len(names))

    def segment(first: str, second: str, mass: float, along: float) -> None:
        out[names.index(first)] += mass * (1 - along)
        out[names.index(second)] += mass * along

    segment("neck_nose", "neck_nose", 0.081, 0.0)
    segment("thorax", "pelvis", 0.497, 0.5)
    for side in ("left", "right"):
        for first, second, mass, along in (
            ("shoulder", "elbow", 0.028, 0.436),
            ("elbow", "wrist", 0.022, 0.682),
            ("hip", "knee", 0.100, 0.433),
            ("knee", "ankle", 0.0465, 0.433),
            ("ankle", "ankle", 0.0145, 0.0),
        ):
            segment(f"{side}_{first}", f"{side}_{second}", mass, along)
    return out


def _stands(time: Times, soles: Points3, up: np.ndarray) -> Flags:
    """Frames (T, 2) in which a sole is slow across the line of sight and no higher than the other."""
    height = soles @ up
    with np.errstate(invalid="ignore"):
        lowest = np.fmin(height[:, :1], height[:, 1:])
        return (lateral_speed(time, soles) < _SLOW_M_S) & (height <= lowest + _LOWEST_M)


def _spots(time: Times, step_s: float, soles: Points3, above_m: float, stands: Flags) -> Spots:
    points = [
        np.median(soles[run, foot], axis=0)
        for foot in range(2)
        for run in _runs(time, soles[:, foot], np.flatnonzero(stands[:, foot]))
        if len(run) * step_s > _SPOT_S
    ]
    return Spots(np.array(points).reshape(-1, 3), np.full(len(points), above_m))


def _runs(time: Times, sole: Vector3, frames: np.ndarray) -> list[np.ndarray]:
    """Cut frames in which a sole stands where it has gone on to another place, or was not seen to stand for long."""
    runs, start = [], 0
    for n, (before, frame) in enumerate(pairwise(frames.tolist()), 1):
        away = np.linalg.norm(sole[frame] - sole[frames[start]]) > _SPOT_M
        if away or time[frame] - time[before] > _BREAK_S:
            runs.append(frames[start:n])
            start = n
    return [*runs, frames[start:]] if len(frames) else []
