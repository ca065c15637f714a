"""Bodies for training: poses of motion capture, recombined and put on other proportions.

Everything is in a *heading frame*, metres: x to the person's left along the hips, y backwards, z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posemill.anthropometry import STATURE_PER_LENGTH, body_length
from posemill.geometry import about_x, about_z, unit
from posemill.skeleton import JOINT_SETS

__all__ = ["BodyLibrary", "pose_library", "sample_bodies"]

_SET = JOINT_SETS["h36m17"]
_PARENTS = np.array(_SET.parents[1:])
_FLIP = _SET.flip_permutation
_INDEX = {name: i for i, name in enumerate(_SET.joints)}
_THIGHS = (_INDEX["right_knee"] - 1, _INDEX["left_knee"] - 1)
_SHANKS = (_INDEX["right_ankle"] - 1, _INDEX["left_ankle"] - 1)
_LOWER = np.array([_INDEX[f"{side}_{j}"] - 1 for side in ("right", "left") for j in ("hip", "knee", "ankle")])
_ARMS = np.array([_INDEX[f"{side}_{j}"] - 1 for side in ("right", "left") for j in ("elbow", "wrist")])
_UPPER = np.setdiff1d(np.arange(16), _LOWER)
# Bones that may turn a little by themselves; hips and shoulders belong to the trunk.
_FREE = np.setdiff1d(np.arange(16), [_INDEX[f"{side}_{j}"] - 1 for side in ("right", "left") for j in ("hip",)])


@dataclass(frozen=True)
class BodyLibrary:
    """Poses to draw from.

    Attributes
    ----------
    directions
        (F, 16, 3) unit vectors parent to child of the h36m17 bones, heading frame.
    lengths
        (F, 16) bone lengths in metres.
    probability
        (F,) how often each pose is drawn.
    """

    directions: np.ndarray
    lengths: np.ndarray
    probability: np.ndarray


def pose_library(
    clips: Sequence[np.ndarray], *, balance: float = 0.6, clusters: int = 400, seed: int = 0
) -> BodyLibrary:
    """Collect poses and weight them so that rare ones are seen as well as walking.

    Parameters
    ----------
    clips
        Each (T, 17, 3) metres, z up.
    balance
        Share of draws that pick a cluster of alike poses first, then a pose in it; the rest pick any frame.
    """
    from scipy.cluster.vq import kmeans2

    joints = np.concatenate([np.asarray(c, dtype=np.float64) for c in clips])
    hips = joints[:, _INDEX["left_hip"]] - joints[:, _INDEX["right_hip"]]
    heading = np.arctan2(hips[:, 1], hips[:, 0])
    joints = about_z(joints - joints[:, :1], -heading[:, None])
    bones = joints[:, 1:] - joints[:, _PARENTS]
    lengths = np.linalg.norm(bones, axis=-1)
    directions = bones / np.maximum(lengths, 1e-6)[..., None]
    count = len(joints)
    clusters = min(clusters, count)
    _, label = kmeans2(directions.reshape(count, -1), clusters, iter=8, minit="points", rng=seed)
    members = np.bincount(label, minlength=clusters)
    by_cluster = 1.0 / members[label] / np.count_nonzero(members)
    probability = balance * by_cluster + (1 - balance) / count
    return BodyLibrary(directions, lengths, probability / probability.sum())


def sample_bodies(library: BodyLibrary, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw bodies: (count, 17, 3) metres, heading frame, pelvis at 0.

    Half of them are put together from the legs of one recording, the trunk of another and the arms of a third.
    Some fold their legs further (squatting, kneeling, stepping up) or reach somewhere else, every bone turns a little,
    all may be mirrored, and bone lengths vary by group (left as right) and with stature.
    """
    frames = rng.choice(len(library.lengths), (count, 3), p=library.probability)
    mixed = rng.random(count) < 0.5
    arms_mixed = mixed & (rng.random(count) < 0.5)
    d = library.directions[frames[:, 0]].copy()
    trunk = np.where(mixed, frames[:, 1], frames[:, 0])
    d[:, _UPPER] = library.directions[trunk][:, _UPPER]
    arms = np.where(arms_mixed, frames[:, 2], trunk)
    d[:, _ARMS] = library.directions[arms][:, _ARMS]
    _fold_legs(d, rng)
    _move_arms(d, rng)
    # The trunk and all it carries leans a little further, and every bone on its own.
    lean = rng.normal(0, 0.12, count) * (rng.random(count) < 0.5)
    d[:, _UPPER] = about_x(d[:, _UPPER], lean[:, None])
    d[:, _FREE] = unit(d[:, _FREE] + rng.normal(0, 0.07, (count, len(_FREE), 3)))
    lengths = library.lengths[frames[:, 0]] * _proportions(count, rng)
    bones = d * lengths[..., None]
    joints = np.zeros((count, 17, 3))
    for child, parent in enumerate(_PARENTS, start=1):
        joints[:, child] = joints[:, parent] + bones[:, child - 1]
    # A pelvis is the middle of the hips.
    joints -= (joints[:, [_INDEX["left_hip"]]] + joints[:, [_INDEX["right_hip"]]]) / 2
    joints[:, 0] = 0
    mirrored = joints[:, _FLIP] * np.array([-1.0, 1.0, 1.0])
    joints = np.where((rng.random(count) < 0.5)[:, None, None], mirrored, joints)
    height_m = rng.uniform(1.45, 1.95, count)
    return joints * (height_m / (STATURE_PER_LENGTH * body_length(joints)))[:, None, None]


def _proportions(count: int, rng: np.random.Generator) -> np.ndarray:
    """Factors (count, 16) for bone lengths, equal left and right."""
    factor = 1 + rng.uniform(-0.1, 0.1, (count, 16))
    factor[:, _SET.indices(("left_hip", "left_shoulder")) - 1] = 1 + rng.uniform(-0.2, 0.2, (count, 2))
    for left, right in _SET.flip_pairs:
        factor[:, right - 1] = factor[:, left - 1]
    return factor


def _fold_legs(d: np.ndarray, rng: np.random.Generator) -> None:
    """Fold legs of a quarter of the bodies, both alike or each on its own, knees apart or not, in place."""
    chosen = np.flatnonzero(rng.random(len(d)) < 0.25)
    n = len(chosen)
    if n == 0:
        return
    both = rng.random(n) < 0.6
    hip = rng.uniform(0, 1.9, (n, 2))
    bend = rng.uniform(0.9, 2.2, (n, 2))
    hip[both, 1], bend[both, 1] = hip[both, 0], bend[both, 0]
    splay = rng.uniform(-0.1, 0.7, (n, 1)) * np.minimum(hip, 1.0) * (-1, 1)
    shank = hip - np.clip(hip * bend, 0, 2.5)
    for side in (0, 1):
        thigh_bone, shank_bone = _THIGHS[side], _SHANKS[side]
        d[chosen, thigh_bone] = about_x(d[chosen, thigh_bone], hip[:, side])
        d[chosen, shank_bone] = about_x(d[chosen, shank_bone], shank[:, side])
        # Right and left knee part by turning about the vertical in opposite directions.
        leg = np.ix_(chosen, np.array([thigh_bone, shank_bone]))
        d[leg] = about_z(d[leg], splay[:, side, None])
    # Whoever folds at the hips usually leans forward for balance.
    lean = -hip.mean(-1) * rng.uniform(-0.05, 0.5, n)
    d[np.ix_(chosen, _UPPER)] = about_x(d[np.ix_(chosen, _UPPER)], lean[:, None])


def _move_arms(d: np.ndarray, rng: np.random.Generator) -> None:
    """Give 15 % of the bodies arms that reach anywhere but far behind, bent at the elbow by any angle, in place."""
    chosen = np.flatnonzero(rng.random(len(d)) < 0.15)
    n = len(chosen)
    for side, (elbow, wrist) in zip((-1.0, 1.0), _ARMS.reshape(2, 2), strict=True):
        upper = unit(np.array([0.5 * side, -0.7, -0.3]) + rng.normal(0, 1, (n, 3)))
        # An elbow bends towards the front, never backwards.
        bent = unit(np.array([-0.3 * side, -1.0, 0.4]) + rng.normal(0, 0.5, (n, 3)))
        across = unit(bent - (bent * upper).sum(-1, keepdims=True) * upper)
        angle = rng.uniform(0, 2.2, (n, 1)) * rng.random((n, 1))
        d[chosen, elbow] = upper
        d[chosen, wrist] = np.cos(angle) * upper + np.sin(angle) * across
