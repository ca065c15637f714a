"""How good 2D keypoints are, by person's height, and whether the sigma beside them is true."""

from __future__ import annotations

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2
from posemill.metrics.image import pixel_errors

__all__ = ["HEAD_SHARE", "keypoint_figures"]

HEAD_SHARE = 0.1
"""Upper neck to head top over stature; half of it is PCKh's limit."""


def keypoint_figures(
    found: Points2, truth: Points2, size_px: PerJoint, asked: Flags, sigma: PerJoint | None = None
) -> dict[str, float]:
    """Figures of keypoints over all joints that are asked for.

    Parameters
    ----------
    found, truth
        (N, J, 2) px; NaN in ``found`` where a detector says nothing: beyond every limit.
    size_px
        (N,) what the person would measure standing upright there.
    asked
        (N, J): joints with a truth.
    sigma
        (N, J) px, as stated.

    Returns
    -------
    ``pckh`` % of joints within half a head (5 % of height); ``median`` and ``p90`` errors in % of height;
    ``within_sigma`` % of the coordinates of what was found whose error is within one sigma (68 if it is true).
    """
    error = pixel_errors(found, truth, size_px)
    far = np.where(np.isfinite(error), error, np.inf)[asked]
    out = {
        "joints": float(asked.sum()),
        "pckh": 100 * float(np.mean(far <= HEAD_SHARE / 2)),
        "median": 100 * float(np.median(far)),
        "p90": 100 * float(np.quantile(far, 0.9, method="higher")),
    }
    if sigma is not None:
        answered = asked & np.isfinite(error) & np.isfinite(sigma)
        ratio = np.abs(found - truth)[answered] / sigma[answered][:, None]
        out["within_sigma"] = 100 * float(np.mean(ratio <= 1)) if answered.any() else float("nan")
    return out
