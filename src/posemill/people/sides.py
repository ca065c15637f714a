"""Sides that a detector took for each other, told by how limbs move and hang and how well each is seen.

Seen from the side, detectors exchange the legs for some frames at a time, mostly while one passes the other; against
the light, or far away, they take a front for a back, and all that is left for right. First the whole body is looked
at, then legs and arms by themselves. In each frame they are right or exchanged; a hidden Markov model over two frames
in a row says how likely which is. Its evidence is the acceleration that a way of naming the limbs needs, against what
is usual in the clip itself (Student t, since detectors have outliers), the jump of each limb's score (the far leg is
seen worse, and its score stays with it), and that knees lie as the hips do that they hang on, elbows as shoulders.
Where it may be either, the keypoints are where they are to be expected, between both, and sigma says so: a choice that
a little noise decides would make another animation of each copy of a video.

References
----------
Rabiner, "A tutorial on hidden Markov models", Proceedings of the IEEE 1989, for the forward-backward recursion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from posemill.arrays import Flags, PerJoint, Points2, Times
from posemill.people.parts import exchanging, of_sides
from posemill.skeleton import JointSet, joint_set

__all__ = ["Sides", "mend_sides"]

# What may be exchanged, in the order in which it is looked at, and the joints that tell.
_TOLD_BY: dict[str, tuple[str, ...]] = {
    "body": ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"),
    "legs": ("knee", "ankle", "heel", "big_toe"),
    "arms": ("elbow", "wrist"),
}
# Frames further apart say nothing of each other.
_SPAN_S = 0.1
# Changes to exchanged and back, per second.
_ENTER, _LEAVE = 0.2, 10.0
# Degrees of freedom of accelerations; what a limb's joints say counts as this many independent ones.
_NU, _INDEPENDENT = 1.5, 0.6
# Least usual acceleration, statures per second squared; usual jump of a score.
_LEAST, _SCORE_JUMP = 3.0, 0.15
# Sides that are wrong less likely than this are taken for right.
_POSSIBLE = 0.05
# What a limb hangs on, and its own first joint. From left to right that joint lies as the other does, this much
# further apart, with this standard deviation in statures (captured motion, all views); for this long it says it once.
_HANGS = {"legs": ("hip", "knee"), "arms": ("shoulder", "elbow")}
_WIDER, _SPREAD, _LASTS_S = 1.3, 0.10, 0.3
# Where a detector contests sides it is as unsure in the frames around, this far.
_AROUND_S = 0.1


@dataclass(frozen=True)
class Sides:
    """Keypoints, scores, sigmas and valid flags with sides mended.

    Attributes
    ----------
    keypoints, score, sigma, valid
        (T, J, 2) px, (T, J), (T, J) px, (T, J).
    exchanged, doubtful
        Of ``body``, ``legs`` and ``arms``: (T,) frames in which these were exchanged, and frames whose sigma grew.
    """

    keypoints: Points2
    score: PerJoint
    sigma: PerJoint
    valid: Flags
    exchanged: dict[str, np.ndarray]
    doubtful: dict[str, np.ndarray]


def mend_sides(
    keypoints: Points2,
    score: PerJoint,
    sigma: PerJoint,
    valid: Flags,
    time: Times,
    size_px: np.ndarray,
    joints: str,
    contested: Flags | None = None,
) -> Sides:
    """Exchange back the bodies, legs and arms whose sides were taken for each other.

    Parameters
    ----------
    keypoints, score, sigma, valid
        (T, J, 2) px, (T, J), (T, J) px, (T, J).
    time
        (T,) s.
    size_px
        (T,) stature in px.
    joints
        Name of the joint set.
    contested
        (T, J), where whoever detected could not tell left from right: either is then as likely, until the frames
        around say more; None: nowhere.
    """
    names = joint_set(joints)
    arrays = [np.array(a, copy=True) for a in (keypoints, score, sigma, valid)]
    exchanged, doubtful = {}, {}
    for part, kinds in _TOLD_BY.items():
        left, right = of_sides(names, kinds)
        if len(left) < 2 or len(time) < 5:
            continue
        points, scores = np.where(arrays[3][..., None], arrays[0], np.nan) / size_px[:, None, None], arrays[1]
        crossed = _crossed(points, names, *_HANGS[part]) if part in _HANGS else np.zeros(len(time))
        evidence = _evidence(points[:, left], points[:, right], scores[:, left], scores[:, right], crossed, time)
        free = np.zeros(len(time)) if contested is None else _around(_free(contested, names, part), time)
        likely = _forward_backward(evidence, np.diff(time), free)
        swap, order = likely > 0.5, exchanging(names, part)
        for values in arrays:
            values[swap] = values[swap][:, order]
        wrong = np.where(swap, 1 - likely, likely)
        unsure = wrong > _POSSIBLE
        _expect(arrays[0], arrays[2], arrays[3], order, np.where(unsure, wrong, 0.0))
        exchanged[part], doubtful[part] = swap, unsure
    return Sides(arrays[0], arrays[1], arrays[2], arrays[3], exchanged, doubtful)


def _expect(keypoints: Points2, sigma: PerJoint, valid: Flags, order: np.ndarray, wrong: np.ndarray) -> None:
    """Put joints, in place, where they are to be expected if sides are wrong with this probability (T,)."""
    share = wrong[:, None] * (valid & valid[:, order])
    away = np.nan_to_num(keypoints[:, order] - keypoints)
    keypoints += share[..., None] * away
    # Of two places one is right: the spread of that along the line between them, half of it on each axis.
    sigma[:] = np.hypot(sigma, np.sqrt(share * (1 - share) / 2) * np.linalg.norm(away, axis=-1))


def _crossed(points: np.ndarray, names: JointSet, trunk: str, limb: str) -> np.ndarray:
    """Log likelihood ratio (T,) that limbs are named wrongly, from where they hang; points (T, J, 2) in statures."""
    if not {f"left_{trunk}", f"right_{trunk}"} <= set(names.joints):
        return np.zeros(len(points))
    upper, lower = (
        points[:, names.joints.index(f"left_{kind}")] - points[:, names.joints.index(f"right_{kind}")]
        for kind in (trunk, limb)
    )
    return -2 * _WIDER * np.nan_to_num((upper * lower).sum(-1)) / _SPREAD**2


def _free(contested: Flags, names: JointSet, part: str) -> np.ndarray:
    """Frames (T,) in which a part's sides are contested, those of a limb against the trunk's."""
    trunk, limb = (contested[:, names.index(f"left_{kind}")] for kind in _HANGS.get(part, ("hip", "shoulder")))
    return trunk & limb if part == "body" else trunk != limb


def _around(free: Flags, time: Times) -> np.ndarray:
    """How free (T,) frames are, 0 to 1: those that are, and the others by how many around them are."""
    step = float(np.median(np.diff(time)))
    return np.maximum(free, gaussian_filter1d(free.astype(float), _AROUND_S / step))


def _evidence(
    left: np.ndarray,
    right: np.ndarray,
    left_score: np.ndarray,
    right_score: np.ndarray,
    crossed: np.ndarray,
    time: Times,
) -> np.ndarray:
    """Log likelihoods (T, 2, 2, 2) of three frames in a row of limbs (T, K, 2), in statures, as named or exchanged.

    ``crossed`` (T,) is as of :func:`_crossed`.
    """
    sides = np.stack([np.concatenate([left, right], 1), np.concatenate([right, left], 1)])
    scores = np.stack([np.concatenate([left_score, right_score], 1), np.concatenate([right_score, left_score], 1)])
    count = len(time)
    step = np.diff(time)
    near = step <= _SPAN_S
    evidence = np.zeros((count, 2, 2, 2))
    # Accelerations of three frames, by how each is named. What is usual is told by the names as they are, but of both
    # sides together: else it would speak for them.
    first, second = step[:-1, None, None], step[1:, None, None]
    plain = _acceleration(sides[0, :-2], sides[0, 1:-1], sides[0, 2:], first, second)
    either = np.concatenate(np.split(plain, 2, axis=1))
    seen = np.isfinite(either).any(axis=0)
    known = np.zeros(either.shape[1])
    known[seen] = np.nanmedian(either[:, seen], axis=0)
    usual = np.tile(np.fmax(known, _LEAST), 2)
    both = (near[:-1] & near[1:])[:, None]
    for a, b, c in np.ndindex(2, 2, 2):
        change = _acceleration(sides[a, :-2], sides[b, 1:-1], sides[c, 2:], first, second)
        ratio = np.where(np.isfinite(change) & both, change / usual, 0.0)
        evidence[2:, a, b, c] = -(_NU + 2) / 2 * np.log1p(ratio**2 / _NU).mean(1) * _INDEPENDENT * 2
    for b, c in np.ndindex(2, 2):
        jump = np.abs(scores[c, 1:] - scores[b, :-1])
        evidence[1:, :, b, c] -= (np.where(near[:, None], jump, 0.0).mean(1) * 2 / _SCORE_JUMP)[:, None]
    # Of two frames in a row this is the later one's, which has the state 1.
    evidence[1:, :, :, 1] += (crossed[1:] * np.minimum(step / _LASTS_S, 1))[:, None, None]
    return evidence


def _acceleration(a: np.ndarray, b: np.ndarray, c: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Length of the accelerations (N, K) of three frames (N, K, 2)."""
    change = ((c - b) / second - (b - a) / first) / ((first + second) / 2)
    return np.linalg.norm(change, axis=-1)


def _forward_backward(evidence: np.ndarray, step: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Probability (T,) of state 1, from log evidence (T, 2, 2, 2) of three states in a row.

    Of frames that are ``free`` (T,), 0 to 1, nothing is known before; nor does their state say anything of their
    neighbours'.
    """
    count = len(evidence)
    rate = _ENTER + _LEAVE
    share = free * 0.5 + (1 - free) * _ENTER / rate
    freer = np.maximum(free[1:], free[:-1])
    mixed = freer + (1 - freer) * (1 - np.exp(-rate * step))
    # (T - 1, from, to)
    change = np.empty((count - 1, 2, 2))
    change[:, 0, 1], change[:, 1, 0] = mixed * share[1:], mixed * (1 - share[1:])
    change[:, 0, 0], change[:, 1, 1] = 1 - change[:, 0, 1], 1 - change[:, 1, 0]
    start = np.array([1 - share[0], share[0]])
    weight = np.exp(evidence - evidence.max(axis=(1, 2, 3), keepdims=True))
    forward = np.empty((count, 2, 2))
    forward[1] = start[:, None] * change[0] * weight[1, 0]
    forward[1] /= forward[1].sum()
    for t in range(2, count):
        forward[t] = (forward[t - 1][:, :, None] * weight[t]).sum(0) * change[t - 1]
        forward[t] /= forward[t].sum()
    backward = np.ones((count, 2, 2))
    for t in range(count - 1, 1, -1):
        backward[t - 1] = (weight[t] * change[t - 1][None] * backward[t][None]).sum(2)
        backward[t - 1] /= backward[t - 1].sum()
    pairs = forward[1:] * backward[1:]
    pairs /= pairs.sum((1, 2), keepdims=True)
    return np.concatenate([pairs[:1, 1].sum(1), pairs[:, :, 1].sum(1)])
