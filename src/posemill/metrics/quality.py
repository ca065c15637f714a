"""How far a result may be trusted where there is no truth: all measures of one person in one clip."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from posemill.anthropometry import SEGMENTS
from posemill.arrays import PerJoint, Points3, Times, Vector3
from posemill.camera import Camera
from posemill.metrics.body import bone_length_deviation, symmetry_deviation
from posemill.metrics.feet import floor_piercing, joint_foot_sliding, pair_contacts
from posemill.metrics.image_contacts import image_contacts
from posemill.metrics.measures import (
    ANKLE_SHARE,
    MEASURES,
    MIN_LEAP_M_S,
    MIN_MOTION_HZ,
    PERCENTILE,
    ROBUST_SIGMAS,
    SUNK_M,
)
from posemill.metrics.motion import acceleration_errors, jerk
from posemill.metrics.plausible import elbow_hyperextended, knee_hyperextended
from posemill.metrics.pose import joint_errors
from posemill.skeleton import JOINT_SETS, LIMBS, convert

__all__ = ["longest_gap_s", "measure", "weighted_median"]

# A frame that comes after so many times the usual step has others before it that are not there.
_LATE = 1.5
_H36M = JOINT_SETS["h36m17"]
_LIMBS = _H36M.indices(LIMBS)
_ANKLES = _H36M.indices(("left_ankle", "right_ankle"))


def measure(
    time: Times,
    merged: Mapping[str, np.ndarray],
    seen: Mapping[str, np.ndarray],
    camera: Camera,
    *,
    joints_of: str,
    frame: str,
    temporal: bool = True,
    frame_s: float | None = None,
    low_score: float = 0.5,
    offset: Vector3 | None = None,
) -> dict[str, float | None]:
    """Measure one person in one clip.

    Parameters
    ----------
    time
        (T,) seconds; of stills, anything.
    merged
        Arrays of a merged3d track: ``joints`` and ``joints_camera`` (T, 17, 3) m, ``root`` (T, 3) m, ``sigma``
        (T, 17, 3) m, ``moved`` (T, 17) m; NaN where unknown.
    seen
        Arrays of the keypoints2d track: ``keypoints`` (T, J, 2) px, ``sigma`` (T, J) px, ``score`` and ``valid``.
    camera
        Of the clip.
    joints_of
        Joint set of the keypoints.
    frame
        ``world`` or ``camera``: what ``joints`` are in.
    temporal
        False: stills, of which no motion is known.
    frame_s
        How long the last frame lasts; default: as long as the median frame.
    low_score
        Scores below count as low.
    offset
        (T, 3) m, where in the camera's frame each frame was taken from; None: all at its centre. How standing feet
        slide is unknown before a camera that travels: the image does not say which feet stand.

    Returns
    -------
    Each name of :data:`posemill.metrics.measures.MEASURES`, None where unknown.
    """
    joints, in_camera = (np.asarray(merged[name], dtype=np.float64) for name in ("joints", "joints_camera"))
    stature_m = _stature_m(in_camera)
    moves = temporal and len(time) > 1
    out = dict.fromkeys(MEASURES, float("nan"))
    in_view = in_camera if offset is None else in_camera - offset[:, None]
    out |= _image(in_view, seen, camera, joints_of, stature_m, low_score)
    out["bone_length_percent"] = 100 * _largest(bone_length_deviation(joints)) if moves else float("nan")
    out["asymmetry_percent"] = 100 * _largest(np.array(list(symmetry_deviation(joints).values())))
    out["moved_mm"] = 1000 * _quantile(merged["moved"], 50)
    out["sigma_mm"] = 1000 * _mean(merged["sigma"])
    out["missing_percent"] = 100 * (1 - float(np.isfinite(joints).all(-1).mean()))
    for name, judge_limb in (("knee", knee_hyperextended), ("elbow", elbow_hyperextended)):
        wrong, judged = judge_limb(joints)
        out[f"{name}_hyperextension_percent"] = 100 * wrong.sum() / judged.sum() if judged.any() else float("nan")
    if frame == "world":
        out |= _floor(joints[:, _ANKLES], ANKLE_SHARE * stature_m)
    if moves:
        root = np.asarray(merged["root"], dtype=np.float64)
        out |= _motion(time, joints, root)
        if offset is None:
            m_per_px = in_camera[:, _ANKLES, 2] / camera.focal_px
            contact = image_contacts(time, seen["keypoints"], m_per_px, joints_of=joints_of)
            sliding = joint_foot_sliding(joints[:, _ANKLES], pair_contacts(contact), time_s=time)
            out["foot_sliding_m_s"] = _mean(sliding)
        out["longest_gap_s"] = longest_gap_s(time, np.isfinite(joints).all(-1).any(-1), frame_s=frame_s)
    return {name: float(value) if np.isfinite(value) else None for name, value in out.items()}


def _image(
    in_camera: Points3,
    seen: Mapping[str, np.ndarray],
    camera: Camera,
    joints_of: str,
    stature_m: float,
    low_score: float,
) -> dict[str, float]:
    points, valid, score, sigma = convert(
        np.asarray(seen["keypoints"], dtype=np.float64),
        joints_of,
        "h36m17",
        valid=seen["valid"],
        score=seen["score"],
        sigma=np.asarray(seen["sigma"], dtype=np.float64),
    )
    error_px = joint_errors(camera.project(in_camera[:, _LIMBS]), points[:, _LIMBS], valid=valid[:, _LIMBS])
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = 100 * error_px / (camera.focal_px * stature_m / in_camera[:, :1, 2])
        weight = 1 / sigma[:, _LIMBS]
    return {
        "reprojection_px": weighted_median(error_px, weight),
        "reprojection_percent": weighted_median(percent, weight),
        "reprojection_p95_percent": _quantile(percent, PERCENTILE),
        "low_score_percent": 100 * float((~valid | (score < low_score))[:, _LIMBS].mean()),
    }


def _motion(time: Times, joints: Points3, root: np.ndarray) -> dict[str, float]:
    path = root[:, None]
    speed = np.linalg.norm(np.diff(root, axis=0), axis=-1) / np.diff(time)
    known = speed[np.isfinite(speed)]
    leaps = float("nan")
    if len(known):
        middle = np.median(known)
        spread = 1.4826 * np.median(np.abs(known - middle))
        leaps = 100 * float(np.mean(known > middle + max(ROBUST_SIGMAS * spread, MIN_LEAP_M_S)))
    if np.median(np.diff(time)) > 1 / MIN_MOTION_HZ:
        return {"root_leap_percent": leaps}
    return {
        # The acceleration of a motion is its error against one that rests.
        "acceleration_m_s2": _quantile(_limbs_only(acceleration_errors(joints, 0 * joints, time_s=time)), PERCENTILE),
        "jerk_m_s3": _quantile(_limbs_only(jerk(joints, time_s=time, root=0)), PERCENTILE),
        "root_acceleration_m_s2": _quantile(acceleration_errors(path, 0 * path, time_s=time, root=None), PERCENTILE),
        "root_jerk_m_s3": _quantile(jerk(path, time_s=time), PERCENTILE),
        "root_leap_percent": leaps,
    }


def _limbs_only(values: PerJoint) -> PerJoint:
    """Leave out the pelvis, whose exact 0 would dilute a percentile."""
    return values[:, 1:]


def _floor(ankles: Points3, ankle_m: float) -> dict[str, float]:
    over = ankles[..., 2] - ankle_m
    depth = np.maximum(-over, 0)
    share = floor_piercing(ankles, floor_m=ankle_m - SUNK_M).share
    return {
        "floor_piercing_mm": 1000 * _largest(np.array([_quantile(foot, PERCENTILE) for foot in depth.T])),
        "floor_piercing_percent": 100 * _largest(share),
        "floor_floating_mm": 1000 * max(_quantile(np.fmin(over[:, 0], over[:, 1]), 100 - PERCENTILE), 0.0),
    }


def _stature_m(in_camera: Points3) -> float:
    """Stature in metres from the lengths of thighs, shins and trunk; NaN if none is known."""
    shares = []
    for (a, b), share in SEGMENTS.items():
        length = np.linalg.norm(in_camera[:, _H36M.index(a)] - in_camera[:, _H36M.index(b)], axis=-1)
        shares.append(_quantile(length, 50) / share)
    return _quantile(np.array(shares), 50)


def longest_gap_s(time: Times, known: np.ndarray, *, frame_s: float | None = None) -> float:
    """Longest time in seconds without anything, until the next frame that has something; 0 if there is none.

    Frames that are not there count as well: where the next one comes half a frame late or more.

    Parameters
    ----------
    time
        (T,) seconds.
    known
        (T,) flags.
    frame_s
        How long the last frame lasts; default: as long as the median frame.
    """
    if len(time) < 2:
        return 0.0
    steps = np.diff(time)
    usual = float(np.median(steps))
    leap = max(float(steps.max()) - usual, 0.0) if steps.max() > _LATE * usual else 0.0
    if known.all():
        return leap
    last = usual if frame_s is None else frame_s
    ends = np.append(time, time[-1] + last)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (~known).astype(np.int8), [0]])))
    return max(leap, float((ends[edges[1::2]] - ends[edges[::2]]).max()))


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Value below which half of the weight lies; what is not finite, or has no positive weight, does not count.

    >>> weighted_median(np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 3.0]))
    9.0
    """
    use = np.isfinite(values) & np.isfinite(weights) & (weights > 0)
    if not use.any():
        return float("nan")
    order = np.argsort(values[use], kind="stable")
    passed = np.cumsum(weights[use][order])
    return float(values[use][order][np.searchsorted(passed, passed[-1] / 2)])


def _quantile(values: np.ndarray, percent: float) -> float:
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return float(np.percentile(known, percent)) if known.size else float("nan")


def _mean(values: np.ndarray) -> float:
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else float("nan")


def _largest(values: np.ndarray) -> float:
    return _quantile(values, 100)
