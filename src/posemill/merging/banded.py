"""Linear least squares over a clip, whose equations are of near frames only.

Unknown are N numbers per frame. Each equation is of up to three frames running, so the normal equations are banded and
the work grows with the clip's length; long clips are solved in windows, so that memory stays bounded.

References
----------
Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, appendix B: Matérn processes as stochastic
differential equations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import solveh_banded
from scipy.sparse import coo_array

from posemill.arrays import Flags, Times, Vector3

__all__ = ["WINDOW", "BandedSystem", "in_windows", "matern", "on_floor", "still"]

_SPAN = 3
WINDOW = 4096
"""Most frames that are worked on at once."""
_OVERLAP = 512
# Of a resting point's height over the floor, m; from the second on, standing on something else is likelier.
_FLOOR_SIGMA, _OTHER_FLOOR = 0.02, 0.06


class BandedSystem:
    """Equations ``sum coefficient * unknown = right side``, each already divided by its sigma.

    Parameters
    ----------
    frames, unknowns
        Number of frames, and of unknowns in each.
    begun
        Equations to start with; they are not changed.
    """

    def __init__(self, frames: int, unknowns: int, begun: BandedSystem | None = None) -> None:
        self.frames, self.unknowns = frames, unknowns
        self._count = begun._count if begun else 0
        self._parts = list(begun._parts) if begun else []
        self._right = list(begun._right) if begun else []

    def add(self, columns: np.ndarray, coefficients: np.ndarray, right: np.ndarray) -> None:
        """Equations of columns and coefficients (R, C) and right sides (R,)."""
        rows = self._count + np.arange(len(right))
        self._parts.append((np.repeat(rows, columns.shape[1]), columns.ravel(), coefficients.ravel()))
        self._right.append(right)
        self._count += len(right)

    def vectors(self, frame: np.ndarray, blocks: np.ndarray, right: np.ndarray) -> None:
        """Equations of blocks (R, D, C, N) over the unknowns of frames (R, C), with right sides (R, D)."""
        count, dims, spans, unknowns = blocks.shape
        columns = np.repeat((frame[..., None] * unknowns + np.arange(unknowns))[:, None], dims, 1)
        shape = (count * dims, spans * unknowns)
        self.add(columns.reshape(shape), blocks.reshape(shape), right.reshape(-1))

    def solve(self) -> np.ndarray:
        """Least squares, (T, N)."""
        band, right = self._normal()
        return solveh_banded(band, right, lower=True).reshape(self.frames, self.unknowns)

    def covariance(self) -> np.ndarray:
        """Covariance (T, N, N) of each frame's unknowns, if every equation's right side errs by 1.

        These are blocks of the inverse of the normal equations, by block elimination forth and back.
        """
        pair = (_SPAN - 1) * self.unknowns
        own, next_ = _blocks(self._normal()[0], pair)
        onward = [np.linalg.inv(own[0])]
        for diagonal, coupling in zip(own[1:], next_, strict=True):
            onward.append(np.linalg.inv(diagonal - coupling @ onward[-1] @ coupling.T))
        inverse = np.stack(onward)
        for k in range(len(next_) - 1, -1, -1):
            gain = inverse[k] @ next_[k].T
            inverse[k] += gain @ inverse[k + 1] @ gain.T
        n = self.unknowns
        frames = [inverse[:, k : k + n, k : k + n] for k in range(0, pair, n)]
        return np.stack(frames, 1).reshape(-1, n, n)[: self.frames]

    def _normal(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower diagonals of the normal equations' matrix, in rows, and their right side."""
        unknowns = self.frames * self.unknowns
        row, column, value = (np.concatenate(p) for p in zip(*self._parts, strict=True))
        matrix = coo_array((value, (row, column)), shape=(self._count, unknowns)).tocsr()
        normal = (matrix.T @ matrix).tocsr()
        band = np.zeros((min(_SPAN * self.unknowns, unknowns), unknowns))
        for k in range(len(band)):
            band[k, : unknowns - k] = normal.diagonal(-k)
        return band, matrix.T @ np.concatenate(self._right)


def _blocks(band: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Blocks on the diagonal (B, size, size) and under it (B - 1, size, size) of a matrix whose lower band is given.

    The last block is filled up with ones on its diagonal.
    """
    unknowns = band.shape[1]
    count = -(-unknowns // size)
    full = np.zeros((2 * size, count * size))
    full[: len(band), :unknowns] = band
    full[0, unknowns:] = 1.0
    row, column = np.indices((size, size))
    columns = np.arange(count)[:, None, None] * size + column
    lower = np.where(row >= column, full[np.maximum(row - column, 0), columns], 0.0)
    own = lower + np.tril(lower, -1).transpose(0, 2, 1)
    return own, full[size + row - column, columns][:-1]


def in_windows(frames: int, solve: Callable[[slice], np.ndarray]) -> np.ndarray:
    """Answers (frames, N) of ``solve`` for windows of a clip, which fade into each other.

    A window's answer is the whole clip's but near its ends, where runs are cut: of an overlap only the middle third
    fades, and the third beside an end is the other window's.
    """
    out = np.zeros(0)
    for start in range(0, max(frames - _OVERLAP, 1), WINDOW - _OVERLAP):
        rows = slice(start, min(start + WINDOW, frames))
        found = solve(rows)
        out = out if start else np.zeros((frames, found.shape[1]), found.dtype)
        # What holds through the seam drifts over seconds by the windows' difference.
        beyond = np.arange(len(found)) / _OVERLAP - 1 / 3 if start else np.ones(len(found))
        new = np.clip(3 * beyond, 0.0, 1.0)[:, None].astype(found.dtype)
        out[rows] += new * (found - out[rows])
        if rows.stop == frames:
            break
    return out


def matern(rows: BandedSystem, time: Times, rate: np.ndarray) -> None:
    """Unit Matérn-3/2 processes: ``sqrt(dt / 4 λ³) (λ² u + 2 λ u' + u'') = white noise`` of variance 1.

    Parameters
    ----------
    rate
        (N,) λ of each unknown in 1/s.
    """
    frames, unknowns = len(time), rows.unknowns
    every = np.arange(unknowns)
    # The start: variance 1 of the value and λ² of the slope.
    rows.add(every[:, None], np.ones((unknowns, 1)), np.zeros(unknowns))
    if frames < 2:
        return
    h = 1 / (rate * (time[1] - time[0]))
    rows.add(np.stack([every, every + unknowns], -1), np.stack([-h, h], -1), np.zeros(unknowns))
    if frames < 3:
        return
    a, b = np.diff(time)[:-1, None], np.diff(time)[1:, None]
    weight = np.sqrt((a + b) / 2 / (4 * rate**3))
    first = np.stack([-b / (a * (a + b)), (b - a) / (a * b), a / (b * (a + b))], -1)
    second = np.stack([2 / (a * (a + b)), -2 / (a * b), 2 / (b * (a + b))], -1)
    each = rate[:, None] ** 2 * np.array([0.0, 1, 0]) + 2 * rate[:, None] * first + second
    coefficients = each * weight[..., None]
    columns = (np.arange(frames - 2)[:, None, None] + np.arange(3)) * unknowns + every[:, None]
    rows.add(columns.reshape(-1, 3), coefficients.reshape(-1, 3), np.zeros(unknowns * (frames - 2)))


def still(rows: BandedSystem, time: Times, on: Flags, point: Vector3, moved: np.ndarray, creep: float) -> None:
    """A point that rests in two frames running is in the same place.

    Parameters
    ----------
    on
        (T,) frames in which it rests.
    point, moved
        (T, 3) m where it is if all unknowns are 0, and (T, 3, N) how the unknowns move it.
    creep
        How far it creeps in a second, m.
    """
    k = np.flatnonzero(on[1:] & on[:-1])
    weight = (1 / (creep * np.sqrt(np.diff(time)[k])))[:, None]
    blocks = np.stack([-moved[k], moved[k + 1]], 2) * weight[..., None, None]
    rows.vectors(np.stack([k, k + 1], -1), blocks, -(point[k + 1] - point[k]) * weight)


def on_floor(
    rows: BandedSystem,
    on: Flags,
    point: Vector3,
    now: Vector3,
    moved: np.ndarray,
    height: np.ndarray,
    *,
    first: bool,
    share: np.ndarray | None = None,
) -> None:
    """A point that rests is at its height over the floor z = 0, or else on a step: each run decides as a whole.

    Parameters
    ----------
    on, point, moved
        As for :func:`still`.
    now
        (T, 3) m where it is by the last answer.
    height
        (T,) m.
    first
        Whether there was no answer yet: then a step must be farther off to be believed.
    share
        (T,) of one observation that each frame is; None: a run is one.
    """
    for k in _runs(on):
        miss = float(np.median(now[k, 2] - height[k]))
        likely = 1 / (1 + (miss / (_OTHER_FLOOR * (2 if first else 1))) ** 2) ** 2
        weight = np.sqrt(likely * (np.full(len(k), 1 / len(k)) if share is None else share[k]))[:, None] / _FLOOR_SIGMA
        right = (height[k] - point[k, 2])[:, None] * weight
        rows.vectors(k[:, None], moved[k, 2][:, None, None] * weight[..., None, None], right)


def _runs(on: Flags) -> list[np.ndarray]:
    """Frames of each run in which a flag (T,) is up.

    >>> [run.tolist() for run in _runs(np.array([1, 1, 0, 1], bool))]
    [[0, 1], [3]]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]])))
    return [np.arange(start, stop) for start, stop in edges.reshape(-1, 2)]
