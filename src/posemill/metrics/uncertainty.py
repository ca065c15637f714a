"""Whether a stated sigma is the error's.

Errors are signed and per axis (of the camera, or along and across the ray, as the caller rotates them), with a sigma
for each; both (..., A). What is not finite is left out.

References
----------
Kuleshov et al.: "Accurate Uncertainties for Deep Learning Using Calibrated Regression", ICML 2018 (reliability).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from posemill.errors import InputError, expected
from posemill.metrics.reduce import Mean, frame_blocks, pooled

__all__ = ["LEVELS", "Reliability", "gaussian_nll", "mean_nll", "reliability", "share_within"]

LEVELS: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


_BLOCK = 1 << 17


class Reliability(NamedTuple):
    """How often the error lies in the central interval that should hold it with probability ``levels``.

    ``observed`` (L, A) are shares, ``counted`` (A,) numbers of errors; ``gap`` (A,) is the mean of
    ``|observed - levels|``, 0 if calibrated.
    """

    levels: np.ndarray
    observed: np.ndarray
    counted: np.ndarray
    gap: np.ndarray


def _pairs(error: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors and sigmas as (N, A), of one shape."""
    error, sigma = np.asarray(error), np.asarray(sigma)
    try:
        sigma = np.broadcast_to(sigma, error.shape)
    except ValueError:
        raise InputError(expected("sigma of the errors' shape", error.shape, sigma.shape)) from None
    if (sigma <= 0).any():
        raise InputError(expected("sigma", "positive, or NaN where unknown", float(np.nanmin(sigma))))
    return error.reshape(-1, error.shape[-1]), sigma.reshape(-1, error.shape[-1])


def _inside(error: np.ndarray, sigma: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of errors within each limit in sigmas, (L, A), and of those that are known, (A,)."""
    error, sigma = _pairs(error, sigma)
    inside, counted = np.zeros((len(limits), error.shape[-1])), np.zeros(error.shape[-1], dtype=int)
    for part in frame_blocks(len(error), _BLOCK):
        ratio = np.abs(error[part].astype(np.float64)) / sigma[part]
        counted += np.isfinite(ratio).sum(0)
        inside += [(ratio <= limit).sum(0) for limit in limits]
    return inside, counted


def share_within(error: np.ndarray, sigma: np.ndarray, *, sigmas: float = 1.0) -> np.ndarray:
    """Share (A,) of errors within so many sigma; of a Gaussian 0.683 within one, 0.954 within two.

    Raises
    ------
    InputError
        A sigma is zero or negative, or the shapes do not fit.
    """
    inside, counted = _inside(error, sigma, np.array([sigmas]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return inside[0] / counted


def reliability(error: np.ndarray, sigma: np.ndarray, *, levels: tuple[float, ...] = LEVELS) -> Reliability:
    """Compare the shares of errors in central Gaussian intervals with their probabilities, per axis."""
    want = np.asarray(levels, dtype=np.float64)
    inside, counted = _inside(error, sigma, ndtri(0.5 + 0.5 * want))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = inside / counted
    return Reliability(want, observed, counted, np.abs(observed - want[:, None]).mean(0))


def gaussian_nll(error: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Negative log-likelihood (..., A) in nats, ``(e/sigma)²/2 + ln sigma + ln(2 pi)/2``.

    A density, so the unit of the error matters: in metres it is ln 1000 = 6.9 lower than in millimetres.
    """
    spread = _pairs(error, sigma)[1].reshape(np.shape(error)).astype(np.float64)
    return 0.5 * (np.asarray(error, dtype=np.float64) / spread) ** 2 + np.log(spread) + 0.5 * np.log(2 * np.pi)


def mean_nll(error: np.ndarray, sigma: np.ndarray) -> Mean:
    """Mean of :func:`gaussian_nll` over all that is known."""
    error, sigma = _pairs(error, sigma)
    parts = [pooled(gaussian_nll(error[part], sigma[part])) for part in frame_blocks(len(error), _BLOCK)]
    counted = sum(part.counted for part in parts)
    total = sum(part.value * part.counted for part in parts if part.counted)
    return Mean(total / counted if counted else float("nan"), counted, error.size)
