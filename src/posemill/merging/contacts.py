"""When a foot stands, and on which part of its sole.

A foot swings, or stands on its heel, flat, or on its toes. Each state says which of heel, big toe and ankle rest; the
likeliest sequence of states is found over the whole clip (a hidden Markov model, Viterbi's algorithm), so that no
threshold switches on noise. Evidence is per second and not per frame: the answer does not depend on the frame rate.

How fast a part moves is taken across the line of sight, where a camera measures ten times better than along it: from
the part's keypoints, and from the placed pose, which bridges a swap of the feet in the image. Along it only what is
faster than errors of depth counts. Of heights only the one over the other foot counts, in which errors of the root and
of the floor are not.

References
----------
Rabiner, "A tutorial on hidden Markov models", Proceedings of the IEEE 1989.
"""

from __future__ import annotations

import numpy as np

from posemill.arrays import Flags, Points2, Times
from posemill.camera import Camera
from posemill.merging.options import MergeOptions
from posemill.skeleton import joint_set
from posemill.smoothing import low_pass

__all__ = ["FLAT", "HEEL", "PARTS", "SWING", "TOE", "clearly_along", "foot_states", "image_speeds"]

PARTS = ("heel", "big_toe", "ankle")
"""Parts of a foot, in the order of the last axis of speeds."""
SWING, HEEL, FLAT, TOE = range(4)

# Per state: the densities of the speeds of heel, big toe and ankle. While a foot pivots its ankle is slow.
_REST, _SLOW, _MOVE = range(3)
_SPEEDS_OF = ((_MOVE, _MOVE, _MOVE), (_REST, _MOVE, _SLOW), (_REST, _REST, _REST), (_MOVE, _REST, _SLOW))
# Mixtures of (share, m/s): a velocity in the image plane has both components normal with that sigma. What is left of
# the shares is a part that rests; the wide part of rest is a keypoint that jumps.
_MIXTURES = {
    _REST: ((0.1, 2.0),),
    _SLOW: ((0.4, 0.25), (0.3, 0.7)),
    _MOVE: ((0.25, 0.5), (0.5, 1.2), (0.25, 2.5)),
}
# Changes per second from state to state, relative to the option's rate. A foot rolls from heel to toe.
_CHANGES = np.array([[0, 1, 1, 0.3], [0.3, 0, 1, 0.05], [0.3, 0.2, 0, 1], [1, 0.05, 0.5, 0]])
# Errors of keypoints last about this long: so many seconds are one observation.
_CORRELATION_S = 0.1
# Over a foot that stands higher than a stair's step, by metres, it takes this much more to be believed to stand.
_STEP_M, _HEIGHT_WEIGHT = 0.25, 40.0
_CUTOFF_HZ, _GAP_S = 12.0, 0.2
# Errors of depth let a resting foot move along the line of sight this fast.
_ALONG_M_S = 1.5
# A source's resting speed, m/s, is found in so many rounds; 1.177 is the median of Rayleigh's distribution.
_LEAST_REST, _ROUNDS, _MEDIAN = 0.03, 3, 1.177


def image_speeds(
    time: Times, keypoints: Points2, valid: Flags, joints_of: str, camera: Camera, depth_m: np.ndarray
) -> np.ndarray:
    """Speeds across the line of sight of the parts of both feet.

    Parameters
    ----------
    time
        (T,) seconds.
    keypoints, valid
        (T, J, 2) px and (T, J) flags.
    joints_of
        Joint set of the keypoints; of heels, big toes and ankles those are used that it has.
    depth_m
        (T, 2) distance of the left and the right foot along the camera's axis.

    Returns
    -------
    (T, 2, 3) m/s of the feet's :data:`PARTS`; NaN where unknown.
    """
    names = joint_set(joints_of)
    out = np.full((len(time), 2, len(PARTS)), np.nan)
    known = [
        (foot, part, names.index(f"{side}_{name}"))
        for foot, side in enumerate(("left", "right"))
        for part, name in enumerate(PARTS)
        if f"{side}_{name}" in names.joints
    ]
    if len(time) < 2 or not known:
        return out
    foot, part, joint = np.array(known).T
    seen = (valid[:, joint] & np.isfinite(keypoints[:, joint]).all(-1)).T
    points = np.where(seen[..., None], np.asarray(keypoints, dtype=np.float64)[:, joint].transpose(1, 0, 2), np.nan)
    if seen.any():
        points = low_pass(time, points, np.ones(seen.shape), seen, cutoff_hz=_CUTOFF_HZ, max_gap_s=_GAP_S)
    velocity = np.gradient(points, time, axis=1)
    out[:, foot, part] = np.linalg.norm(velocity, axis=-1).T * (depth_m / camera.focal_px)[:, foot]
    return out


def clearly_along(time: Times, ankles: np.ndarray) -> np.ndarray:
    """Speed (T, 2, 1) along the line of sight of ankles (T, 2, 3), camera axes, above what errors of depth make.

    Who walks straight at the camera swings feet that hardly move in the image.
    """
    speed = np.abs(np.gradient(np.linalg.norm(ankles, axis=-1), time, axis=0))
    return np.maximum(np.nan_to_num(speed) - _ALONG_M_S, 0.0)[..., None]


def foot_states(
    time: Times, speeds: tuple[tuple[np.ndarray, float], ...], height_m: np.ndarray, options: MergeOptions
) -> np.ndarray:
    """Likeliest states of both feet.

    Parameters
    ----------
    time
        (T,) seconds.
    speeds
        Sources of evidence, each with (T, 2, 3) m/s from :func:`image_speeds` (NaN where unknown) and the speed (m/s,
        per axis) that a resting part seems to have in it. They see the same foot, so that their mean counts.
    height_m
        (T, 2) of the ankles; NaN where unknown.

    Returns
    -------
    (T, 2) ``SWING``, ``HEEL``, ``FLAT`` or ``TOE``; ``SWING`` where nothing of a foot is known.
    """
    frames = len(time)
    if frames < 2:
        return np.full((frames, 2), SWING)
    step = np.diff(time, prepend=2 * time[0] - time[1])
    with np.errstate(invalid="ignore"):
        over = np.nan_to_num(height_m - np.fmin.reduce(height_m, axis=1)[:, None])
    doubt = _HEIGHT_WEIGHT * np.maximum(over - _STEP_M, 0.0)
    known = np.stack([np.isfinite(values).any(-1) for values, _ in speeds])
    rest = [most for _, most in speeds]
    states = np.full((frames, 2), SWING)
    for _ in range(_ROUNDS):
        evidence = np.zeros((frames, 2, 4))
        for (values, _), least in zip(speeds, rest, strict=True):
            evidence += _evidence(values, least)
        evidence /= np.maximum(known.sum(0), 1)[..., None]
        evidence[..., HEEL:] -= doubt[..., None]
        evidence *= np.minimum(step / _CORRELATION_S, 1.0)[:, None, None]
        states = np.where(known.any(0), _viterbi(evidence, step, options.contact_changes_hz), SWING)
        rest = [_resting_speed(values, states, most) for values, most in speeds]
    return states


def _resting_speed(speed: np.ndarray, states: np.ndarray, most: float) -> float:
    """How fast resting parts seem to be in a source: exact keypoints rest, a detector's quiver."""
    resting = speed[states == FLAT]
    resting = resting[np.isfinite(resting)]
    return float(np.clip(np.median(resting) / _MEDIAN, _LEAST_REST, most)) if len(resting) else most


def _evidence(speed: np.ndarray, rest: float) -> np.ndarray:
    """Log likelihoods (T, 2, 4) of the states, of speeds (T, 2, 3); 0 where unknown."""
    known = np.isfinite(speed)
    densities = _log_densities(np.where(known, speed, 0.0), rest) * known[..., None]
    return np.stack([sum(densities[:, :, p, kind] for p, kind in enumerate(kinds)) for kinds in _SPEEDS_OF], -1)


def _log_densities(speed: np.ndarray, rest: float) -> np.ndarray:
    """Log densities (..., 3) of a planar velocity of that speed, of a part that rests, is slow, or moves."""
    out = []
    for kind in (_REST, _SLOW, _MOVE):
        left = 1 - sum(share for share, _ in _MIXTURES[kind])
        parts = (*_MIXTURES[kind], *(((left, rest),) if left else ()))
        terms = [np.log(share / sigma**2) - speed**2 / (2 * sigma**2) for share, sigma in parts]
        out.append(np.logaddexp.reduce(terms))
    return np.stack(out, -1)


def _viterbi(evidence: np.ndarray, step: np.ndarray, rate_hz: float) -> np.ndarray:
    """Likeliest states (T, F), given log likelihoods (T, F, S) and the time (T,) since the frame before."""
    frames, feet, states = evidence.shape
    leave = 1 - np.exp(-rate_hz * _CHANGES.sum(1) * step[:, None])
    with np.errstate(divide="ignore"):
        change = np.log(leave[:, :, None] * (_CHANGES / _CHANGES.sum(1, keepdims=True)))
        change[:, range(states), range(states)] = np.log1p(-leave)
    best, back = evidence[0], np.zeros((frames, feet, states), dtype=np.int8)
    for k in range(1, frames):
        paths = best[:, :, None] + change[k]
        back[k] = paths.argmax(1)
        best = paths.max(1) + evidence[k]
    out = np.zeros((frames, feet), dtype=np.int64)
    out[-1] = best.argmax(-1)
    for k in range(frames - 1, 0, -1):
        out[k - 1] = back[k, np.arange(feet), out[k]]
    return out
