"""Cleaning of one person's 2D track: sides put right, outliers out, jitter down, short gaps filled.

What was done is counted and listed, and sigma says where a keypoint is a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from posemill.anthropometry import SHOULDERS, stature_px
from posemill.arrays import Flags, PerJoint, Points2, Times
from posemill.people.options import GatherOptions
from posemill.people.sides import mend_sides
from posemill.skeleton import joint_set
from posemill.smoothing import bridged, low_pass

__all__ = ["Cleaned", "clean", "fill_gaps", "outliers"]

# Human limbs rarely accelerate more than this, in statures per second squared (about 17 m/s²): it bounds how far a
# keypoint can have left the straight line across a gap.
_ACCELERATION = 10.0
# A second's frames show a person about equally large; a pose this much larger is nobody's.
_LARGER = 1.4
# Cosine of the angle that a trunk turns by while nothing is seen of it: then what is on a line between is no pose.
_TURNED = np.cos(np.radians(60))
# The median over five frames needs neighbours that show nearly the same pose.
_MEDIAN_FRAMES, _MEDIAN_SPAN_S = 5, 0.2


@dataclass(frozen=True)
class Cleaned:
    """A cleaned track and what was done to it.

    Attributes
    ----------
    keypoints, score, sigma, valid
        (T, J, 2) px, (T, J), (T, J) px, (T, J); NaN and score 0 where not valid.
    audit
        Number of keypoints ``low_score``, ``rejected``, ``filled``; of frames ``exchanged_legs``, ``exchanged_arms``,
        ``doubtful_legs``, ``doubtful_arms``, where sides were looked at.
    trail
        The same in full: joint (or legs, arms) to the frames, as pairs of the first and the last one.
    """

    keypoints: Points2
    score: PerJoint
    sigma: PerJoint
    valid: Flags
    audit: dict[str, int]
    trail: dict[str, dict[str, list[tuple[int, int]]]]


def clean(
    keypoints: Points2,
    score: PerJoint,
    sigma: PerJoint,
    valid: Flags,
    time: Times,
    *,
    joints: str,
    temporal: bool,
    options: GatherOptions,
    contested: Flags | None = None,
) -> Cleaned:
    """Clean one track.

    Parameters
    ----------
    keypoints, score, sigma, valid
        (T, J, 2) px, (T, J), (T, J) px, (T, J).
    time
        (T,) s.
    joints
        Name of the joint set.
    temporal
        False for stills: then only ``min_score`` applies.
    options
        See :class:`~posemill.people.options.GatherOptions`.
    contested
        (T, J), where a joint may as well be the other side's; None: nowhere.

    Notes
    -----
    Smoothing does not lower sigma: a detector's error is mostly a slowly changing bias, and jitter a small part.
    """
    kept = valid & (score >= options.min_score)
    names = joint_set(joints).joints
    changed = {"low_score": valid & ~kept, "rejected": np.zeros_like(kept), "filled": np.zeros_like(kept)}
    sides: dict[str, np.ndarray] = {}
    if temporal and kept.any():
        size, torn = _size(np.where(kept[..., None], keypoints, np.nan), time, joints)
        if options.jump is not None:
            changed["rejected"], kept = kept & torn[:, None], kept & ~torn[:, None]
        if options.sides:
            mended = mend_sides(keypoints, score, sigma, kept, time, size, joints, contested)
            keypoints, score, sigma, kept = mended.keypoints, mended.score, mended.sigma, mended.valid
            sides = {f"exchanged_{limbs}": frames for limbs, frames in mended.exchanged.items()}
            sides |= {f"doubtful_{limbs}": frames for limbs, frames in mended.doubtful.items()}
        if options.jump is not None:
            bad = outliers(keypoints, kept, time, options.jump * size)
            changed["rejected"], kept = changed["rejected"] | bad, kept & ~bad
        points = np.where(kept[..., None], keypoints, np.nan).astype(np.float64)
        if options.cutoff_hz is not None and kept.any():
            points = low_pass(
                time,
                points.swapaxes(0, 1),
                np.asarray(sigma, np.float64).T,
                kept.T,
                cutoff_hz=options.cutoff_hz,
                max_gap_s=options.max_gap_s,
            ).swapaxes(0, 1)
        keypoints, score, sigma, filled = fill_gaps(points, score, sigma, kept, time, size, options.max_gap_s)
        filled &= ~_turned_over(points, joints)[:, None]
        changed["filled"] = filled & ~kept
        kept = filled
    return Cleaned(
        np.where(kept[..., None], keypoints, np.nan),
        np.where(kept, score, 0.0),
        np.where(kept, sigma, np.nan),
        kept,
        {what: int(flags.sum()) for what, flags in (changed | sides).items()},
        {
            **{
                what: {name: _runs(flags[:, j]) for j, name in enumerate(names) if flags[:, j].any()}
                for what, flags in changed.items()
                if flags.any()
            },
            **{what: {what.partition("_")[2]: _runs(frames)} for what, frames in sides.items() if frames.any()},
        },
    )


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and last frame of each run of True in (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]


def outliers(keypoints: Points2, valid: Flags, time: Times, distance_px: np.ndarray) -> Flags:
    """Keypoints further than ``distance_px`` (T,) from their median over five frames, (T, J).

    Only where five valid frames lie within 0.2 s: between slower frames a person may be anywhere. Jumps of one
    or two frames are found; a steady motion, however fast, is its own median.
    """
    half = _MEDIAN_FRAMES // 2
    bad = np.zeros(valid.shape, dtype=bool)
    if len(time) < _MEDIAN_FRAMES:
        return bad
    windows = np.lib.stride_tricks.sliding_window_view
    inner = slice(half, len(time) - half)
    dense = windows(valid, _MEDIAN_FRAMES, axis=0).all(-1)
    dense &= (time[2 * half :] - time[: -2 * half] <= _MEDIAN_SPAN_S)[:, None]
    middle = np.median(windows(np.where(valid[..., None], keypoints, 0.0), _MEDIAN_FRAMES, axis=0), axis=-1)
    away = np.linalg.norm(np.where(valid[..., None], keypoints, 0.0)[inner] - middle, axis=-1)
    bad[inner] = dense & (away > distance_px[inner, None])
    return bad


def fill_gaps(
    keypoints: Points2,
    score: PerJoint,
    sigma: PerJoint,
    valid: Flags,
    time: Times,
    size_px: np.ndarray,
    max_gap_s: float,
) -> tuple[Points2, PerJoint, PerJoint, Flags]:
    """Fill gaps up to ``max_gap_s`` on a straight line; the ends are never extrapolated.

    Nothing is filled where nobody's size is known (infinite). Sigma of a filled keypoint is that of its ends, plus how
    far a limb of a person of ``size_px`` (T,) can have left the line: half the acceleration times the times to both
    ends. Its score is the lower one of its ends.

    Returns
    -------
    keypoints (T, J, 2), score (T, J), sigma (T, J), valid (T, J)
    """
    filled = bridged(time, valid.T, max_gap_s).T if max_gap_s > 0 else valid
    filled = valid | filled & np.isfinite(size_px)[:, None]
    index = np.arange(len(time))[:, None]
    before = np.maximum.accumulate(np.where(valid, index, 0), axis=0)
    after = np.minimum.accumulate(np.where(valid, index, len(time) - 1)[::-1], axis=0)[::-1]
    column = np.arange(valid.shape[1])
    t, t0, t1 = time[:, None], time[before], time[after]
    share = np.where(t1 > t0, (t - t0) / np.where(t1 > t0, t1 - t0, 1.0), 0.0)
    between = (1 - share)[..., None] * keypoints[before, column] + share[..., None] * keypoints[after, column]
    size = np.where(np.isfinite(size_px), size_px, 0.0)[:, None]
    strayed = 0.5 * _ACCELERATION * size * (t - t0) * (t1 - t)
    grown = np.hypot(np.maximum(sigma[before, column], sigma[after, column]), strayed)
    lower = np.minimum(score[before, column], score[after, column])
    new = filled & ~valid
    return (
        np.where(new[..., None], between, keypoints),
        np.where(new, lower, score),
        np.where(new, grown, sigma),
        filled,
    )


def _size(keypoints: Points2, time: Times, joints: str) -> tuple[np.ndarray, Flags]:
    """Stature in px per frame, (T,), steadied over a second; the median where it is not known.

    Of somebody whose trunk and legs are never seen it follows from the shoulders at their widest; without those, too,
    it is infinite. And frames (T,) whose own pose is too large for it.
    """
    size = stature_px(keypoints, joints)
    known = np.isfinite(size)
    usual = float(np.median(size[known])) if known.any() else _from_shoulders(keypoints, joints)
    half_s = 0.5 / float(np.median(np.diff(time))) if len(time) > 1 else 0.0
    steady = median_filter(np.where(known, size, usual), size=2 * round(half_s) + 1, mode="nearest")
    return steady, np.where(known, size, 0.0) > _LARGER * steady


def _from_shoulders(keypoints: Points2, joints: str) -> float:
    names = joint_set(joints)
    if not {"left_shoulder", "right_shoulder"} <= set(names.joints):
        return np.inf
    left, right = (keypoints[:, names.index(f"{side}_shoulder")] for side in ("left", "right"))
    wide = np.linalg.norm(left - right, axis=-1)
    widest = float(np.nanquantile(wide, 0.95)) if np.isfinite(wide).any() else 0.0
    return widest / SHOULDERS if widest > 0 else np.inf


def _turned_over(keypoints: Points2, joints: str) -> Flags:
    """Frames (T,) in which no trunk is seen, and between the last and the next one that is it turns too far."""
    names = joint_set(joints)
    told = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    over = np.zeros(len(keypoints), bool)
    if not set(told) <= set(names.joints):
        return over
    corners = keypoints[:, names.indices(told)]
    trunk = corners[:, :2].mean(1) - corners[:, 2:].mean(1)
    seen = np.flatnonzero(np.isfinite(trunk).all(-1))
    gaps = np.flatnonzero(np.diff(seen) > 1)
    for last, following in zip(seen[gaps], seen[gaps + 1], strict=True):
        a, b = trunk[last], trunk[following]
        over[last + 1 : following] = a @ b < _TURNED * np.linalg.norm(a) * np.linalg.norm(b)
    return over
