"""Jitter taken out of motion without lag."""

from __future__ import annotations

import numpy as np

from posemill.arrays import PerJoint, Points3, Times, Vector3
from posemill.merging.options import MergeOptions
from posemill.smoothing import few_at_a_time, low_pass

__all__ = ["LEAST_SIGMA_M", "path_sigma", "smooth_motion"]

# The speed that sets the cutoff is that of points below the first, and is itself smoothed by the second.
_PROBE_HZ, _SPEED_HZ = 3.0, 1.0
LEAST_SIGMA_M = 0.005
"""No root is known better."""


def smooth_motion(time: Times, points: Points3, sigma: PerJoint, options: MergeOptions) -> Points3:
    """Low-pass points (T, J, 3) m without lag, the stronger the slower they move and the worse they are known.

    What rests has nothing that a low cutoff could take away, and shows jitter most; what is fast needs its high
    frequencies. The cutoff grows with the smoothed speed over sigma, and looks forwards and back alike.

    Parameters
    ----------
    sigma
        (T, J) m.

    Returns
    -------
    (T, J, 3) m; NaN stays NaN.
    """
    known, gap = np.isfinite(points).all(-1).T, options.max_gap_s
    series, spread = points.transpose(1, 0, 2), sigma.T
    cutoff = np.empty(known.shape)
    for some in few_at_a_time(*known.shape):
        cutoff[some] = _cutoffs(time, series[some], spread[some], known[some], options)
    return low_pass(time, series, spread, known, cutoff_hz=cutoff, max_gap_s=gap).transpose(1, 0, 2)


def _cutoffs(
    time: Times, series: np.ndarray, spread: np.ndarray, known: np.ndarray, options: MergeOptions
) -> np.ndarray:
    """Cutoffs (J, T) in Hz of joints' own paths (J, T, 3) m, their sigma and flags (J, T)."""
    assert options.cutoff_hz is not None
    gap = options.max_gap_s
    even = np.ones(known.shape)
    rough = low_pass(time, series, even, known, cutoff_hz=_PROBE_HZ, max_gap_s=gap)
    speed = np.linalg.norm(np.gradient(rough, time, axis=1), axis=-1)
    moving = np.isfinite(speed)
    speed = low_pass(time, speed[..., None], even, moving, cutoff_hz=_SPEED_HZ, max_gap_s=gap)[..., 0]
    lasting = options.sigmas_s_per_hz * np.where(spread > 0, spread, np.inf)
    with np.errstate(invalid="ignore"):
        faster = np.where(spread == 0, np.inf, np.maximum(np.nan_to_num(speed), 0.0) / lasting)
    return np.clip(options.still_cutoff_hz + faster, None, max(options.cutoff_hz, options.still_cutoff_hz))


def path_sigma(root: Vector3, sigma: Vector3, shared: float) -> Vector3:
    """Sigma (T, 3) m of a root across its line of sight (twice) and along it, less what is one error of the whole path.

    Parameters
    ----------
    root, sigma
        (T, 3) m, camera frame.
    shared
        Relative sigma of the distance of all frames.
    """
    # Beside the optical axis the depth's error leaks into the camera's sides; the smaller side has least of it.
    side = np.minimum(sigma[:, 0], sigma[:, 1])
    depth = np.sqrt(np.maximum(sigma[:, 2] ** 2 - (root[:, 2] * shared) ** 2, 0.0))
    return np.maximum(np.stack([side, side, depth], -1), LEAST_SIGMA_M)
