"""Errors of 2D keypoints with the tails of a real detector and a memory in time; pure functions.

The law
-------
The length of an error has the tail of a two-dimensional Student t: ``P(r > R) = (1 + R² / (nu s²))^(-nu/2)``, all
directions alike. Lengths above the law's 99 % quantile are set to it, as its variance is infinite for ``nu <= 2``. The
*size* of such noise is the standard deviation of each coordinate after that. Half of all errors are then shorter than
half a size, one in ten is longer than 1.76 sizes, and one in a hundred has the greatest length, 7.6 sizes.

``nu`` was fitted to the predictions of a stacked hourglass on the MPII validation people (Newell, Yang, Deng, "Stacked
Hourglass Networks for Human Pose Estimation", ECCV 2016): 44 195 annotated joints, error length over person height
(200 px times the annotated scale), least squares on the logarithms of the quantiles 25, 50, 68, 90, 95 and 99 %
(:func:`fit_tail`). The data have 1.18, 1.95, 2.80, 7.05, 12.3 and 29.0 % there, the fit 1.13, 2.01, 3.04, 7.02, 11.0
and 30.5 %, with a scale of 1.35 % and so a size of 4.0 %. Only the shape is taken over: at a size of 1.2 % errors are
0.3 times those of the hourglass. One shape serves all joints: by groups ``nu`` is 1.4 (wrists, ankles) to 2.9 (hips),
and a scale of its own for each would make the size of the noise depend on the joint.

The memory
----------
Each coordinate follows an Ornstein-Uhlenbeck process in seconds, ``corr(dt) = exp(-dt / tau)``, and so does, on the
normal scale, the precision that makes the tail: an outlier lasts. Nothing depends on the frame rate. ``tau`` is that of
MediaPipe against the exact truth of the demo (12 limb joints, 1260 frames, clip median taken out): the signs of its
errors correlate like a Gaussian process of 0.91, 0.69, 0.50, 0.29 and 0.09 after 1/30, 0.13, 0.27, 0.5 and 1 s, which
is 0.38 s within 0.04 (``benchmarks/noise_memory.py``). Joints err independently of each other, and there is
no constant bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv, ndtr

from posemill.arrays import Times
from posemill.errors import InputError, expected

__all__ = [
    "FIT_QUANTILES",
    "HOURGLASS",
    "TIME_CONSTANT_S",
    "HeavyTail",
    "errors_over_time",
    "fit_tail",
    "ornstein_uhlenbeck",
]

TIME_CONSTANT_S = 0.38
FIT_QUANTILES: tuple[float, ...] = (0.25, 0.5, 0.68, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class HeavyTail:
    """Two-dimensional Student t whose lengths are capped, in units of its scale ``s``.

    Attributes
    ----------
    nu
        Degrees of freedom; the smaller, the heavier the tail.
    cap
        Probability at whose quantile lengths are capped.
    """

    nu: float
    cap: float = 0.99

    def radius(self, probability: np.ndarray | float) -> np.ndarray:
        """Length that is not exceeded with this probability, in scales."""
        p = np.minimum(probability, self.cap)
        return np.sqrt(self.nu * ((1 - p) ** (-2 / self.nu) - 1))

    @property
    def deviation(self) -> float:
        """Standard deviation of each coordinate, in scales.

        Half the mean square length, ``½ ∫ 2 R P(r > R) dR`` up to the cap.
        """
        top = (1 - self.cap) ** (-2 / self.nu)
        power = 1 - self.nu / 2
        area = np.log(top) if power == 0 else (top**power - 1) / power
        return float(np.sqrt(self.nu / 2 * area))


HOURGLASS = HeavyTail(nu=1.597)
"""Fitted to the stacked hourglass; see the module's head."""


def fit_tail(lengths: np.ndarray) -> tuple[float, HeavyTail]:
    """Fit scale and tail to error lengths by their quantiles.

    Parameters
    ----------
    lengths
        (N,) lengths of 2D errors, any unit.

    Returns
    -------
    The scale in that unit, and the law.
    """
    from scipy.optimize import least_squares

    levels = np.array(FIT_QUANTILES)
    target = np.log(np.quantile(lengths, levels))

    def residual(parameters: np.ndarray) -> np.ndarray:
        log_scale, log_nu = parameters
        return log_scale + np.log(HeavyTail(float(np.exp(log_nu))).radius(levels)) - target

    log_scale, log_nu = least_squares(residual, [target[1], np.log(2.0)], xtol=1e-12).x
    return float(np.exp(log_scale)), HeavyTail(float(np.exp(log_nu)))


def ornstein_uhlenbeck(
    time_s: Times, shape: tuple[int, ...], time_constant_s: float, rng: np.random.Generator
) -> np.ndarray:
    """Stationary Gaussian paths of variance 1 with ``corr(dt) = exp(-dt / time_constant_s)``, (T, *shape).

    Exact at the given times, which may be uneven; infinite steps and a time constant of 0 make white noise.

    Raises
    ------
    InputError
        Time does not go on from frame to frame, or a negative time constant.
    """
    steps = np.diff(np.asarray(time_s, dtype=np.float64))
    if not (steps > 0).all():
        raise InputError(expected("times of the frames", "each later than the one before", "some that are not"))
    if time_constant_s < 0:
        raise InputError(expected("time constant", "0 s or more", time_constant_s))
    paths = rng.normal(size=(len(time_s), *shape))
    kept = np.exp(-steps / time_constant_s) if time_constant_s > 0 else np.zeros(len(steps))
    for frame, keep in enumerate(kept, 1):
        paths[frame] = keep * paths[frame - 1] + np.sqrt(1 - keep**2) * paths[frame]
    return paths


def errors_over_time(
    time_s: Times,
    joints: int,
    rng: np.random.Generator,
    *,
    temporal: bool = True,
    time_constant_s: float = TIME_CONSTANT_S,
    law: HeavyTail = HOURGLASS,
) -> np.ndarray:
    """Errors (T, J, 2) of standard deviation 1 per coordinate.

    A Gaussian vector divided by the root of an independent gamma variable of mean 1 is Student t at every moment; both
    move in time.

    Parameters
    ----------
    time_s
        (T,) seconds, increasing.
    temporal
        False: frames have nothing to do with each other.
    """
    constant = time_constant_s if temporal else 0.0
    vector = ornstein_uhlenbeck(time_s, (joints, 2), constant, rng)
    state = ornstein_uhlenbeck(time_s, (joints,), constant, rng)
    half = law.nu / 2
    # Below the smallest probability that its inverse can take the length is capped anyway.
    precision = np.maximum(gammaincinv(half, ndtr(state)) / half, 1e-12)
    errors = vector / np.sqrt(precision)[..., None]
    length = np.linalg.norm(errors, axis=-1, keepdims=True)
    return errors * np.minimum(1.0, law.radius(law.cap) / length) / law.deviation
