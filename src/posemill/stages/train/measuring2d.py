"""Measure a 2D network on painted pictures of people whom it never saw, and fit its sigma on half of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from posemill.arrays import PerJoint, Points2

if TYPE_CHECKING:
    from posemill.detectors.top_down import Sigma

__all__ = ["Answers", "measure"]

_STEP_PX = 4.0
_BATCH = 16


class Answers(NamedTuple):
    """What a network says of N pictures: keypoints in input px, and its heatmaps' scores and spreads."""

    points: Points2
    score: PerJoint
    spread: PerJoint


def measure(network: Any, pictures: dict[str, np.ndarray], *, parabola: bool) -> dict[str, Any]:
    """Sigma fitted on the first half of the pictures, and figures of the second.

    Parameters
    ----------
    network
        Pixels (N, R, R, 3), 0 to 255, to heatmaps: :class:`posemill.detectors.inference.Runner`.
    pictures
        As :class:`posemill.training.pictures.growing.PaintedPictures` draws them.
    parabola
        As for :func:`posemill.detectors.heatmaps.peaks`.

    Returns
    -------
    ``sigma``, for the card, and ``results``.
    """
    from posemill.detectors.top_down import sigma_of
    from posemill.metrics.keypoints import keypoint_figures
    from posemill.skeleton import joint_set
    from posemill.training.pictures.spread import fit_sigma

    joints = joint_set("mpii16")
    answers = _answers(network, pictures["picture"], parabola=parabola)
    truth, asked, size = pictures["joints"].astype(float), pictures["present"], pictures["size_px"].astype(float)
    half = len(truth) // 2
    first, second = slice(None, half), slice(half, None)
    step = np.full(len(truth), _STEP_PX)
    said = fit_sigma(
        (answers.points - truth)[first], size[first], step[first], answers.spread[first], answers.score[first],
        asked[first],
    )  # fmt: skip
    sigma = _sigma(answers, size, sigma_of({"sigma": said}, len(joints), Path("card")))
    found = np.where((answers.score > 0)[..., None], answers.points, np.nan)

    def figures(chosen: np.ndarray) -> dict[str, float | None]:
        part = chosen & asked
        values = keypoint_figures(found[second], truth[second], size[second], part[second], sigma[second])
        return {k: round(v, 2) if np.isfinite(v) else None for k, v in values.items() if k != "joints"}

    limbs = np.zeros(asked.shape, dtype=bool)
    limbs[:, joints.indices(joint_set("limbs12").joints)] = True
    results: dict[str, Any] = {
        "protocol": (
            f"{len(truth) - half} painted pictures of people held out, sigma fitted on {half} others; joints in the "
            "picture, hidden ones too; pckh: % within half a head (5 % of height); median and p90 in % of standing "
            "height; mirrored twice"
        ),
        "16 joints": figures(np.ones_like(limbs)),
        "12 limb joints": figures(limbs),
    }
    for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        chosen = np.zeros_like(limbs)
        chosen[:, joints.indices((f"left_{name}", f"right_{name}"))] = True
        results[name] = figures(chosen)
    return {"sigma": said, "results": results}


def _answers(network: Any, pictures: np.ndarray, *, parabola: bool) -> Answers:
    from posemill.detectors.heatmaps import found_by, to_crop
    from posemill.skeleton import joint_set

    swap = joint_set("mpii16").flip_permutation
    parts = [
        found_by(pictures[i : i + _BATCH].astype(np.float32), network=network, swap=swap, parabola=parabola)
        for i in range(0, len(pictures), _BATCH)
    ]
    points = to_crop(np.concatenate([p.points for p in parts]), _STEP_PX)
    return Answers(points, *(np.concatenate([getattr(p, k) for p in parts]) for k in ("score", "spread")))


def _sigma(answers: Answers, size: np.ndarray, sigma: Sigma) -> PerJoint:
    from posemill.detectors.heatmaps import Peaks

    found = Peaks(answers.points, answers.score, answers.spread)
    return np.stack([sigma.of(found, i, _STEP_PX, float(size[i])) for i in range(len(size))])
