"""Feet as rigid parts: heel and big toe on the ankle that is given, held where they rest, and not below the floor.

The ankle is where the legs put it; a foot can only turn about it. Unknown is, per frame, by how much it is turned from
how the lifter has it: a slowly changing rotation, by which a heel or toe that rests is where it was a frame before, a
foot that stands flat is level, one that stands on heel or toes alone bears on the floor, and nothing is below that. A
foot that swings keeps the lifter's direction, into which corrections fade.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from posemill.arrays import Points3, Times, Vector3
from posemill.geometry import skew, unit
from posemill.merging.banded import BandedSystem, in_windows, matern, on_floor, still
from posemill.merging.contacts import FLAT, HEEL, TOE
from posemill.placement.skeleton_scale import Skeleton
from posemill.skeleton import JOINT_SETS

__all__ = ["ANKLES", "SOLES", "Foot", "held", "rigid_feet", "soles_of"]

_SET = JOINT_SETS["posemill21"]
ANKLES = _SET.indices(("left_ankle", "right_ankle"))
"""(2,) left and right, in h36m17 and posemill21."""
SOLES = np.array([_SET.indices((f"{side}_heel", f"{side}_big_toe")) for side in ("left", "right")])
"""(2, 2) heel and big toe of the left and the right foot, in posemill21."""

_ROUNDS = 4
# How far the lifter turns a foot wrongly, rad, and for how long.
_TURN, _TURN_S = 0.15, 0.1
# A resting point creeps by this much in a second, and heel and toe of a flat foot differ in height by this much, m.
_CREEP, _LEVEL = 0.02, 0.01
_HARD_M = 0.003


@dataclass(frozen=True)
class Foot:
    """One foot in the world; all frames are known.

    Attributes
    ----------
    time
        (T,) seconds.
    ankle
        (T, 3) m.
    sole
        (T, 2, 3) m, heel and big toe relative to the ankle, as lifted, of one rigid foot.
    state
        (T,) of :func:`posemill.merging.contacts.foot_states`.
    bearing_m
        Height over the floor of a heel or toe that bears the foot alone; None: nothing is known of a floor.
    """

    time: Times
    ankle: Vector3
    sole: Points3
    state: np.ndarray
    bearing_m: float | None


def soles_of(joints: Points3) -> np.ndarray:
    """Heel and big toe relative to the ankle, (T, 2, 2, 3), of h36m17 or posemill21 (T, J, 3); NaN where unknown."""
    if joints.shape[1] < len(_SET):
        return np.full((len(joints), 2, 2, 3), np.nan)
    return joints[:, SOLES] - joints[:, ANKLES, None]


def rigid_feet(joints: Points3, skeleton: Skeleton) -> Points3:
    """Pose (T, J, 3) whose feet are the person's: heel and toe turn alike towards each other or apart.

    Of two directions from the ankle with the wrong angle between them neither is believed more.
    """
    if skeleton.joints_of != _SET.name:
        return joints
    out = joints.copy()
    # Joint 0 is the root, so that the bone that ends at a joint comes one earlier.
    lengths = skeleton.lengths_m[SOLES - 1]
    cosine = (np.sum(lengths**2, -1) - skeleton.sole_m**2) / (2 * np.prod(lengths, -1))
    half = np.arccos(np.clip(cosine, -1, 1)) / 2
    heel, toe = np.moveaxis(unit(soles_of(joints)), 2, 0)
    middle, apart = unit(heel + toe), unit(toe - heel)
    for part, sign in enumerate((-1, 1)):
        way = np.cos(half)[:, None] * middle + sign * np.sin(half)[:, None] * apart
        found = joints[:, ANKLES] + lengths[:, part, None] * way
        out[:, SOLES[:, part]] = np.where(np.isfinite(found), found, joints[:, SOLES[:, part]])
    return out


def held(foot: Foot) -> Points3:
    """Heel and big toe (T, 2, 3) m relative to the ankle of a foot that stands where it rests."""

    def solve(rows: slice) -> np.ndarray:
        cut = Foot(foot.time[rows], foot.ankle[rows], foot.sole[rows], foot.state[rows], foot.bearing_m)
        return _turns(cut)

    sole = _turned(in_windows(len(foot.time), solve), foot.sole)
    return sole if foot.bearing_m is None else _over_floor(sole, foot.ankle[:, 2])


def _turned(turn: Vector3, sole: Points3) -> Points3:
    """Points (T, P, 3) turned by rotation vectors (T, 3)."""
    return np.einsum("tab,tpb->tpa", Rotation.from_rotvec(turn).as_matrix(), sole)


def _turns(foot: Foot) -> Vector3:
    """Rotation vectors (T, 3) from how the foot was lifted to how it stands."""
    frames = len(foot.time)
    fixed = BandedSystem(frames, 3)
    matern(fixed, foot.time, np.full(3, 1 / _TURN_S))
    flat = np.flatnonzero(foot.state == FLAT)
    share = np.minimum(np.gradient(foot.time) / _TURN_S, 1.0) if frames > 1 else np.ones(1)
    weight = np.sqrt(share[flat])[:, None] / _LEVEL
    answer = np.zeros((frames, 3))
    for k in range(_ROUNDS):
        rows = BandedSystem(frames, 3, fixed)
        sole = _turned(_TURN * answer, foot.sole)
        # The unknowns are in units of their sigma; about the last answer a small turn moves points linearly.
        moved = -_TURN * skew(sole)
        now = foot.ankle[:, None] + sole
        point = now - np.einsum("tpdn,tn->tpd", moved, answer)
        for part, kind in enumerate((HEEL, TOE)):
            alone = foot.state == kind
            still(rows, foot.time, alone | (foot.state == FLAT), point[:, part], moved[:, part], _CREEP)
            if foot.bearing_m is not None:
                height = np.full(frames, foot.bearing_m)
                place = (point[:, part], now[:, part], moved[:, part])
                on_floor(rows, alone, *place, height, first=k == 0, share=share)
        tilt = moved[flat, 1, 2] - moved[flat, 0, 2]
        rows.vectors(
            flat[:, None],
            tilt[:, None, None] * weight[..., None, None],
            (point[flat, :1, 2] - point[flat, 1:, 2]) * weight,
        )
        if foot.bearing_m is not None and k:
            frame, part = np.nonzero(now[..., 2] < _HARD_M)
            blocks = moved[frame, part, 2][:, None, None] / _HARD_M
            rows.vectors(frame[:, None], blocks, -point[frame, part, 2][:, None] / _HARD_M)
        answer = rows.solve()
    return _TURN * answer


def _over_floor(sole: Points3, ankle_m: np.ndarray) -> Points3:
    """Soles (T, 2, 3) turned about ankles at heights (T,) until nothing is below z = 0."""
    lowest = -ankle_m
    for part in range(2):
        point = sole[:, part]
        far = np.linalg.norm(point, axis=-1)
        below = (point[:, 2] < lowest) & (lowest > -far)
        angle = np.arcsin(np.clip(lowest / far, -1, 1)) - np.arcsin(np.clip(point[:, 2] / far, -1, 1))
        # A foot that hangs straight down goes up the way that its other end points to.
        ahead = np.where(np.hypot(point[:, 0], point[:, 1])[:, None] > 1e-6, point, sole[:, 1 - part])
        axis = unit(np.cross(ahead, [0.0, 0.0, 1.0]))
        sole = _turned(np.where(below[:, None], angle[:, None] * np.nan_to_num(axis), 0.0), sole)
    sunk = (sole[..., 2] < lowest[:, None] - 1e-9).any(-1)
    return np.where(sunk[:, None, None], _level(sole, lowest), sole)


def _level(sole: Points3, lowest: np.ndarray) -> Points3:
    """The same feet with heel and toe at one height, ``lowest`` (T,) or over it: under a low ankle they lean aside."""
    heel, toe = sole[:, 0], sole[:, 1]
    length = np.linalg.norm(toe - heel, axis=-1)
    along = (np.sum(heel**2, -1) - np.sum(toe**2, -1) + length**2) / (2 * length)
    drop = np.sqrt(np.maximum(np.sum(heel**2, -1) - along**2, 0.0))
    ahead = unit((toe - heel) * [1.0, 1.0, 0.0])
    aside = np.cross([0.0, 0.0, 1.0], ahead)
    down = np.maximum(lowest, -drop)
    lean = np.sqrt(np.maximum(drop**2 - down**2, 0.0)) * np.where(np.sum((heel + toe) * aside, -1) < 0, -1, 1)
    under = lean[:, None] * aside + down[:, None] * np.array([0.0, 0.0, 1.0])
    return np.stack([under - along[:, None] * ahead, under + (length - along)[:, None] * ahead], 1)
