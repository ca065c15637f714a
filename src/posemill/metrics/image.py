"""Errors of 2D keypoints.

References
----------
Andriluka et al.: "2D Human Pose Estimation: New Benchmark and State of the Art Analysis", CVPR 2014 (PCKh). Lin et al.:
"Microsoft COCO", ECCV 2014, and its keypoint evaluation (OKS and AP). Jin et al.: "Whole-Body Human Pose Estimation in
the Wild", ECCV 2020 (sigmas of the feet).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2
from posemill.errors import InputError, expected
from posemill.metrics.pose import joint_errors
from posemill.skeleton import joint_set

__all__ = [
    "AP_THRESHOLDS",
    "OKS_SIGMAS",
    "PCKH_LEFT_OUT",
    "Pckh",
    "average_precision",
    "oks",
    "oks_sigmas",
    "pckh",
    "pckh_by_size",
    "pixel_errors",
]

PCKH_LEFT_OUT: tuple[str, ...] = ("pelvis", "thorax")
"""Joints of MPII that its mean leaves out."""
# Of the diagonal of the head's box; MPII's evaluation sets it, so that the segment is about the head's length.
_HEAD_SHARE = 0.6

AP_THRESHOLDS: tuple[float, ...] = tuple(percent / 100 for percent in range(50, 100, 5))
_RECALLS = np.linspace(0.0, 1.0, 101)

_PAIRED = {
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
}
OKS_SIGMAS: dict[str, float] = {
    "nose": 0.026,
    **{f"{side}_{joint}": sigma for joint, sigma in _PAIRED.items() for side in ("left", "right")},
    # COCO-WholeBody, which gives the two feet different ones.
    **{"left_big_toe": 0.068, "left_small_toe": 0.066, "left_heel": 0.066},
    **{"right_big_toe": 0.092, "right_small_toe": 0.094, "right_heel": 0.094},
    # Not published: posemill gives joints of other sets the sigma of the COCO joints beside or around them.
    **dict.fromkeys(("pelvis", "spine"), 0.107),
    **dict.fromkeys(("thorax", "neck", "upper_neck"), 0.079),
    **dict.fromkeys(("neck_nose", "head"), 0.026),
    "head_top": 0.035,
}
"""Standard deviation of annotation by the root of the person's area: COCO's for its 17 joints, then what is stated."""


class Pckh(NamedTuple):
    """``by_joint`` (J,) shares 0 to 1 (NaN where nothing is labelled), ``labelled`` (J,), and the ``mean``."""

    by_joint: np.ndarray
    labelled: np.ndarray
    mean: float


def pixel_errors(pred: Points2, truth: Points2, height_px: np.ndarray, *, valid: Flags | None = None) -> PerJoint:
    """Image distance as a fraction of the person's height in the image.

    Parameters
    ----------
    pred, truth
        (..., J, 2) pixels.
    height_px
        (...) pixels that the standing person's height takes at the person's depth, ``f height_m / Z``: unlike a
        bounding box it does not shrink when the person bends.
    """
    return joint_errors(pred, truth, valid=valid) / np.asarray(height_px, dtype=np.float64)[..., None]


def pckh(
    pred: Points2,
    truth: Points2,
    head_boxes: np.ndarray,
    *,
    labelled: Flags | None = None,
    threshold: float = 0.5,
    joints_of: str = "mpii16",
) -> Pckh:
    """Share of labelled joints nearer than half the head's size, ``0.6 * diagonal of the head's box``.

    Parameters
    ----------
    pred, truth
        (N, J, 2) pixels. A missing prediction (NaN) is a miss.
    head_boxes
        (N, 4) pixels, x0 y0 x1 y1.
    labelled
        (N, J) joints that the truth knows; default: the finite ones.

    Returns
    -------
    Pckh
        The mean is over labelled joints (joints weigh by their number), without pelvis and thorax.
    """
    boxes = np.asarray(head_boxes, dtype=np.float64)
    if boxes.shape != (len(truth), 4):
        raise InputError(expected("head boxes x0 y0 x1 y1 of shape", (len(truth), 4), boxes.shape))
    size = _HEAD_SHARE * np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=-1)
    return pckh_by_size(pred, truth, size, labelled=labelled, threshold=threshold, joints_of=joints_of)


def pckh_by_size(
    pred: Points2,
    truth: Points2,
    size: np.ndarray,
    *,
    labelled: Flags | None = None,
    threshold: float = 0.5,
    joints_of: str = "mpii16",
) -> Pckh:
    """:func:`pckh` with the heads' sizes (N,) px given, as MPII's annotations in HDF5 have them."""
    names = joint_set(joints_of).joints
    known = np.isfinite(truth).all(-1) if labelled is None else np.asarray(labelled, dtype=bool)
    # A comparison with NaN is False.
    hit = (joint_errors(pred, truth) <= threshold * size[:, None]) & known
    count = known.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        by_joint = hit.sum(0) / count
        kept = np.array([name not in PCKH_LEFT_OUT for name in names])
        mean = float(hit[:, kept].sum() / np.float64(count[kept].sum()))
    return Pckh(by_joint, count, mean)


def oks_sigmas(joints_of: str) -> np.ndarray:
    """Sigmas (J,) of a joint set; raises InputError where the table has none for a joint."""
    names = joint_set(joints_of).joints
    missing = [name for name in names if name not in OKS_SIGMAS]
    if missing:
        raise InputError(expected(f"OKS sigmas for {joints_of}", "one per joint", f"none for {', '.join(missing)}"))
    return np.array([OKS_SIGMAS[name] for name in names])


def oks(
    pred: Points2, truth: Points2, area_px: np.ndarray, *, labelled: Flags | None = None, joints_of: str = "coco17"
) -> np.ndarray:
    """Object keypoint similarity, ``mean exp(-d² / (2 area (2 sigma)²))`` over labelled joints.

    Parameters
    ----------
    pred, truth
        (..., J, 2) pixels. A missing prediction (NaN) adds 0.
    area_px
        (...) square pixels of the person (COCO: of the segmentation).
    labelled
        (..., J) joints with COCO's v > 0; default: where the truth is finite.

    Returns
    -------
    (...) 0 to 1; NaN where nothing is labelled.
    """
    known = np.isfinite(truth).all(-1) if labelled is None else np.asarray(labelled, dtype=bool)
    area = np.asarray(area_px, dtype=np.float64)[..., None] + np.spacing(1.0)
    squared = ((np.asarray(pred, dtype=np.float64) - np.asarray(truth, dtype=np.float64)) ** 2).sum(-1)
    exponent = squared / (2 * area * (2 * oks_sigmas(joints_of)) ** 2)
    alike = np.where(known & np.isfinite(exponent), np.exp(-exponent), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(alike.sum(-1) / known.sum(-1))


def average_precision(
    images: Iterable[tuple[np.ndarray, np.ndarray]], *, thresholds: tuple[float, ...] = AP_THRESHOLDS
) -> tuple[float, np.ndarray]:
    """COCO's average precision of detected persons, and that at each OKS threshold.

    In each image, detections choose a person in the order of their scores: the most similar one that is still free, if
    the similarity reaches the threshold. Precision is made monotonous and averaged over 101 recalls.

    Parameters
    ----------
    images
        Of each image: OKS (D, G) between its D detections and G persons, and scores (D,). Persons without a labelled
        joint are left out by the caller, as are all but the 20 best detections of an image.

    Returns
    -------
    mean, by_threshold
        0 to 1, and (len(thresholds),); NaN if there is no person at all.
    """
    pairs = [(np.asarray(s, dtype=np.float64), np.asarray(score, dtype=np.float64)) for s, score in images]
    for similarity, score in pairs:
        if similarity.ndim != 2 or len(similarity) != len(score):
            raise InputError(expected("OKS (detections, persons) and scores", (len(score), "G"), similarity.shape))
    persons = sum(similarity.shape[1] for similarity, _ in pairs)
    if persons == 0:
        return float("nan"), np.full(len(thresholds), np.nan)
    scores = np.concatenate([score for _, score in pairs])
    order = np.argsort(-scores, kind="stable")
    by_threshold = np.array(
        [
            _precision(np.concatenate([_matches(s, score, limit) for s, score in pairs])[order], persons)
            for limit in thresholds
        ]
    )
    return float(by_threshold.mean()), by_threshold


def _matches(similarity: np.ndarray, score: np.ndarray, limit: float) -> np.ndarray:
    """Mark the detections (D,) of one image that get a person."""
    free = np.where(np.isfinite(similarity), similarity, -1.0)
    matched = np.zeros(len(score), dtype=bool)
    if free.shape[1] == 0:
        return matched
    for detection in np.argsort(-score, kind="stable"):
        person = int(np.argmax(free[detection]))
        if free[detection, person] >= limit:
            matched[detection] = True
            free[:, person] = -1.0
    return matched


def _precision(hits: np.ndarray, persons: int) -> float:
    """Mean interpolated precision of detections in the order of their scores."""
    true = np.cumsum(hits)
    recall = true / persons
    precision = true / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    index = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.where(index < len(hits), np.append(precision, 0.0)[np.minimum(index, len(hits))], 0.0).mean())
