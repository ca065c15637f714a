"""Zero-lag smoothing of trajectories on their real time stamps.

A constant-velocity Kalman filter with the Rauch-Tung-Striebel backward pass: the least-squares answer for a point
that is pushed by white acceleration and measured with known covariance. Each frame weighs by its own covariance, frames
need not be evenly spaced, and gaps are bridged with an uncertainty that grows towards their middle.

For even frames of equal covariance it is a known low-pass filter: its gain ``1 / (1 + (ω/ω₀)⁴)`` is that of a
second-order Butterworth filter run forth and back, with ``ω₀² = q / (sigma √dt)``. See :func:`low_pass`.

References
----------
Rauch, Tung, Striebel, "Maximum likelihood estimates of linear dynamic systems", AIAA Journal 1965.
Winter, "Biomechanics and Motor Control of Human Movement", 2009, for the correction of the dual-pass cutoff.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["bridged", "few_at_a_time", "low_pass", "smooth"]

_WINDOW, _MARGIN, _BATCH, _GAINS = 512, 256, 32, 64
# Margins are as long as that at least: the memory of a low-pass at 1 Hz.
_MEMORY_S = 1.5
# Variance of place and velocity where nothing is known before: (30 m)² and (30 m/s)², wide against any person and
# narrow against rounding; and for low_pass, whose points have any unit and whose variances are about 1/dt.
_DIFFUSE, _DIFFUSE_ANY_UNIT = 900.0, 1e9
# So many points are smoothed at a time, but those of a series together: memory does not grow with the number of series.
_AT_A_TIME = 200_000
# The gain of a dual pass is 1/2 where a single pass has 1/√2; Winter's correction moves it back.
_DUAL_PASS = (np.sqrt(2.0) - 1.0) ** 0.25


def bridged(time: np.ndarray, observed: np.ndarray, max_gap_s: float) -> np.ndarray:
    """Frames that are observed, or between two observed frames at most ``max_gap_s`` apart.

    Parameters
    ----------
    time
        (T,) seconds.
    observed
        (..., T) flags.

    Returns
    -------
    (..., T) flags. The ends are never extrapolated.
    """
    before = np.maximum.accumulate(np.where(observed, time, -np.inf), axis=-1)
    after = np.minimum.accumulate(np.where(observed, time, np.inf)[..., ::-1], axis=-1)[..., ::-1]
    return observed | (after - before <= max_gap_s + 1e-9)


def few_at_a_time(series: int, frames: int) -> Iterator[slice]:
    """Series of so many frames in groups: all at once in short clips, each by itself in long ones."""
    step = max(_AT_A_TIME // max(frames, 1), 1)
    return (slice(start, start + step) for start in range(0, series, step))


def smooth(
    time: np.ndarray,
    points: np.ndarray,
    covariance: np.ndarray,
    observed: np.ndarray,
    *,
    q: float,
    max_gap_s: float,
    gate: float | None = None,
    diffuse: float = _DIFFUSE,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smooth S independent series of points.

    Parameters
    ----------
    time
        (T,) increasing seconds.
    points
        (S, T, n, m): n axes that the covariance couples, m axes that share it (a root: n=3, m=1; a joint with the
        same variance on all axes: n=1, m=3). NaN where not observed.
    covariance
        (S, T, n, n) of each measurement.
    observed
        (S, T) flags.
    q
        Root density of the white acceleration, in points' units · s^-1.5.
    max_gap_s
        Longer gaps are not bridged, and nothing passes over them.
    gate
        Squared Mahalanobis distance from which on a measurement counts less; None counts all alike.
    diffuse
        Variance of place and of velocity before the first measurement and after a gap that is too long.

    Returns
    -------
    points (S, T, n, m), covariance (S, T, n, n), valid (S, T)
        NaN where not valid, see :func:`bridged`.
    """
    valid = bridged(time, observed, max_gap_s)
    points = np.where(observed[..., None, None], points, 0.0).astype(np.float64, copy=False)
    covariance = np.where(observed[..., None, None], covariance, np.eye(points.shape[2]))
    breaks = observed & ~np.concatenate([observed[:, :1], valid[:, :-1]], axis=1)
    mean, posterior = _windows(time, points, covariance, observed, breaks, q, diffuse)
    if gate is not None:
        # Both passes weigh by the residuals of the smoothed path, so that a jump never loses the track.
        precision = np.linalg.inv(covariance)
        for _ in range(2):
            residual = points - mean
            distance = np.einsum("stnm,stnk,stkm->st", residual, precision, residual)
            inflation = np.maximum(1.0, distance / gate)
            inflated = covariance * inflation[..., None, None]
            mean, posterior = _windows(time, points, inflated, observed, breaks, q, diffuse)
    mean[~valid], posterior[~valid] = np.nan, np.nan
    return mean, posterior, valid


def low_pass(
    time: np.ndarray,
    points: np.ndarray,
    sigma: np.ndarray,
    observed: np.ndarray,
    *,
    cutoff_hz: float | np.ndarray,
    max_gap_s: float,
) -> np.ndarray:
    """Low-pass S series without lag; frames of larger sigma count less.

    Equal to a dual-pass second-order Butterworth filter whose gain is 1/√2 at ``cutoff_hz`` where frames are even and
    sigma is constant.

    Parameters
    ----------
    points
        (S, T, D), NaN where not observed.
    sigma
        (S, T), only its ratios within a series matter.
    cutoff_hz
        One for all, or (S, T) of each frame.

    Returns
    -------
    (S, T, D), NaN where not observed; gaps up to ``max_gap_s`` are passed over.
    """
    dt = float(np.median(np.diff(time))) if len(time) > 1 else 1.0
    # Series that nothing is observed of have no usual sigma, and need none.
    some = np.where(observed.any(-1, keepdims=True), np.where(observed, sigma, np.nan), 1.0)
    usual = np.nanmedian(some, axis=-1, keepdims=True) if observed.any() else 1.0
    with np.errstate(invalid="ignore"):
        relative = np.where(observed & (sigma > 0), sigma / usual, 1.0)
    # The cutoff is the root of q over sigma: a frame of half the cutoff is one of four times the sigma.
    highest = float(np.max(cutoff_hz))
    variance = np.clip(relative, 0.1, 10.0) ** 2 / dt * np.broadcast_to(highest / cutoff_hz, relative.shape) ** 4
    q = (2 * np.pi * highest / _DUAL_PASS) ** 2
    out = np.empty(points.shape)
    for some in few_at_a_time(*observed.shape):
        mean, _, _ = smooth(
            time,
            points[some, :, None],
            variance[some, :, None, None],
            observed[some],
            q=q,
            max_gap_s=max_gap_s,
            diffuse=_DIFFUSE_ANY_UNIT,
        )
        out[some] = mean[:, :, 0]
    out[~observed] = np.nan
    return out


def _windows(
    time: np.ndarray,
    points: np.ndarray,
    covariance: np.ndarray,
    observed: np.ndarray,
    breaks: np.ndarray,
    q: float,
    diffuse: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Run the smoother over windows side by side; their margins are longer than its memory."""
    series, frames, n, m = points.shape
    margin = max(_MARGIN, int(np.ceil(_MEMORY_S / np.median(np.diff(time))))) if frames > 1 else _MARGIN
    window = max(_WINDOW, margin)
    mean, posterior = np.empty((series, frames, n, m)), np.empty((series, frames, n, n))
    starts = [(s, k) for s in range(series) for k in range(0, frames, window)]
    for first in range(0, len(starts), _BATCH):
        rows = np.array(starts[first : first + _BATCH])
        s, core = rows[:, :1], rows[:, 1]
        begin = np.maximum(core - margin, 0)
        end = np.minimum(core + window + margin, frames)
        index = begin[:, None] + np.arange((end - begin).max())
        inside = index < end[:, None]
        index = np.minimum(index, end[:, None] - 1)
        dt = np.diff(time[index], axis=1, prepend=time[begin][:, None])
        seen = observed[s, index] & inside
        x, p = _rts(dt, points[s, index], covariance[s, index], seen, breaks[s, index], q, diffuse)
        for row, (one, k) in enumerate(rows):
            keep = slice(k - begin[row], min(k + window, frames) - begin[row])
            mean[one, k : k + window] = x[row, keep]
            posterior[one, k : k + window] = p[row, keep]
    return mean, posterior


def _rts(
    dt: np.ndarray, z: np.ndarray, r: np.ndarray, observed: np.ndarray, breaks: np.ndarray, q: float, diffuse: float
) -> tuple[np.ndarray, np.ndarray]:
    """Filter and smooth a batch (B, L): means (B, L, n, m) and covariances (B, L, n, n) of the positions."""
    batch, length, n, m = z.shape
    eye = np.eye(n)
    f = np.tile(np.eye(2 * n), (batch, 1, 1))
    x_f, p_f = np.empty((length, batch, 2 * n, m)), np.empty((length, batch, 2 * n, 2 * n))
    x_p, p_p = np.empty_like(x_f), np.empty_like(p_f)
    x = np.zeros((batch, 2 * n, m))
    x[:, :n] = z[np.arange(batch), np.argmax(observed, axis=1)]
    p = np.tile(diffuse * np.eye(2 * n), (batch, 1, 1))
    for k in range(length):
        step = dt[:, k, None, None]
        f[:, :n, n:] = step * eye
        x, p = f @ x, f @ p @ f.transpose(0, 2, 1)
        p[:, :n, :n] += q**2 * step**3 / 3 * eye
        p[:, :n, n:] += q**2 * step**2 / 2 * eye
        p[:, n:, :n] += q**2 * step**2 / 2 * eye
        p[:, n:, n:] += q**2 * step * eye
        p += np.where(breaks[:, k], diffuse, 0.0)[:, None, None] * np.eye(2 * n)
        x_p[k], p_p[k] = x, p
        gain = p[:, :, :n] @ np.linalg.inv(p[:, :n, :n] + r[:, k])
        gain *= observed[:, k, None, None]
        x = x + gain @ (z[:, k] - x[:, :n])
        # Joseph's form keeps the covariance symmetric and positive.
        keep = np.eye(2 * n) - np.concatenate([gain, np.zeros((batch, 2 * n, n))], axis=2)
        p = keep @ p @ keep.transpose(0, 2, 1) + gain @ r[:, k] @ gain.transpose(0, 2, 1)
        x_f[k], p_f[k] = x, p
    # The gains of the backward pass look at no answer of it: many at a time.
    for end in range(length - 1, 0, -_GAINS):
        begin = max(end - _GAINS, 0)
        moved = p_f[begin:end].copy()
        moved[:, :, :n] += dt.T[begin + 1 : end + 1, :, None, None] * moved[:, :, n:]
        gains = np.linalg.solve(p_p[begin + 1 : end + 1], moved).transpose(0, 1, 3, 2)
        for k in range(end - 1, begin - 1, -1):
            c = gains[k - begin]
            x_f[k] += c @ (x_f[k + 1] - x_p[k + 1])
            p_f[k] += c @ (p_f[k + 1] - p_p[k + 1]) @ c.transpose(0, 2, 1)
    return x_f[:, :, :n].transpose(1, 0, 2, 3), p_f[:, :, :n, :n].transpose(1, 0, 2, 3)
