"""What a heatmap's height and spread say of the error: the coefficients of a detector's sigma, fitted."""

from __future__ import annotations

import numpy as np

from posemill.arrays import PerJoint

__all__ = ["fit_sigma"]

_WITHIN = 0.6827


def fit_sigma(
    error: np.ndarray, size_px: np.ndarray, step: np.ndarray, spread: PerJoint, score: PerJoint, asked: np.ndarray
) -> dict[str, object]:
    """Coefficients of ``sigma² = (base size)² + (wide step)² max(spread² - 1, 0) + (unsure size (1 - score))²``.

    The shape is the most likely one of exponential errors, which forgive the mistaken side; the scale is such that
    68.27 % of the coordinates' errors are within one sigma.

    Parameters
    ----------
    error
        (N, J, 2) px of the picture.
    size_px, step
        (N,) the person's standing height, and a heatmap pixel, in px of the picture.
    spread, score
        (N, J), heatmap px and 0 to 1.
    asked
        (N, J): what to learn from.

    Returns
    -------
    ``base`` (J numbers), ``wide``, ``unsure``, as weights' cards have them.
    """
    from scipy.optimize import minimize

    joints = error.shape[1]
    sizes, steps = size_px[:, None], step[:, None]
    wide2 = (steps / sizes) ** 2 * np.clip(spread**2 - 1, 0, None)
    unsure2 = (1 - np.clip(score, 0, 1)) ** 2
    share = np.abs(error) / sizes[..., None]

    def sigma(log: np.ndarray) -> np.ndarray:
        p = np.exp(2 * log)
        return np.sqrt(p[:joints] + p[joints] * wide2 + p[joints + 1] * unsure2)

    def cost(log: np.ndarray) -> float:
        s = sigma(log)[asked]
        return float(np.mean(2 * np.log(s) + share[asked].sum(-1) / s))

    begin = np.log(np.array([0.012] * joints + [1.0, 0.05]))
    limits = [(np.log(1e-3), np.log(0.2))] * joints + [(np.log(1e-3), np.log(20.0)), (np.log(1e-4), np.log(2.0))]
    best = minimize(cost, begin, method="L-BFGS-B", bounds=limits).x
    ratio = (share / sigma(best)[..., None])[asked]
    scale = float(np.quantile(ratio, _WITHIN))
    base, (wide, unsure) = np.exp(best[:joints]) * scale, np.exp(best[joints:]) * scale
    return {
        "base": [round(float(b), 5) for b in base],
        "wide": round(float(wide), 4),
        "unsure": round(float(unsure), 4),
    }
