"""Time bases: a network's own rate beside the clip's frames, and the way between the two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

__all__ = ["Grid", "rows_at"]

_CHUNK = 4096


class Grid:
    """The time base of a network on one run of frames.

    Where the clip's rate is the network's (within 2 %), or the network has none, the grid is the frames themselves.

    Parameters
    ----------
    time
        (N,) seconds of the run's frames.
    fps
        The network's rate, or None.
    """

    def __init__(self, time: np.ndarray, fps: float | None) -> None:
        self._time, self._fps = time, None
        if fps is not None and len(time) > 1:
            rate = (len(time) - 1) / float(time[-1] - time[0])
            self._fps = fps if abs(rate / fps - 1) > 0.02 else None
        span = 0.0 if self._fps is None else float(time[-1] - time[0]) * self._fps
        self._count = len(time) if self._fps is None else int(np.ceil(span - 1e-6)) + 1

    def __len__(self) -> int:
        return self._count

    def frames(self, points: np.ndarray) -> np.ndarray:
        """Where points of the grid lie among the frames: (N,) fractional frame numbers from 0."""
        if self._fps is None:
            return points.astype(np.float64)
        wanted = self._time[0] + points / self._fps
        left = np.clip(np.searchsorted(self._time, wanted, side="right") - 1, 0, len(self._time) - 2)
        share = (wanted - self._time[left]) / (self._time[left + 1] - self._time[left])
        return left + np.clip(share, 0.0, 1.0)

    def points(self, start: int, stop: int) -> np.ndarray:
        """Where frames start to stop lie on the grid: (stop - start,) fractional grid points from 0."""
        if self._fps is None:
            return np.arange(start, stop, dtype=np.float64)
        return np.clip((self._time[start:stop] - self._time[0]) * self._fps, 0, self._count - 1)

    def to_frames(self, blocks: Iterable[np.ndarray]) -> Iterator[tuple[slice, np.ndarray]]:
        """Bring answers for the grid's points to the frames, each as soon as it can be.

        Parameters
        ----------
        blocks
            Answers (n, ...) for the points from 0 on, in order.

        Yields
        ------
        Frames of the run, and their answers; in order, each frame once.
        """
        points = self.points(0, len(self._time))
        waiting, first, done = None, 0, 0
        for block in blocks:
            if not len(block):
                continue
            waiting = block if waiting is None else np.concatenate([waiting, block])
            last = first + len(waiting) - 1
            ready = int(np.searchsorted(points, last, side="right"))
            for start in range(done, ready, _CHUNK):
                part = slice(start, min(start + _CHUNK, ready))
                yield part, rows_at(waiting, points[part] - first)
            # Frames between this point and the next need it again.
            waiting, first, done = waiting[-1:], last, ready


def rows_at(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Interpolate rows (m, ...) linearly at fractional places (n,) from 0 to m - 1."""
    left = np.clip(np.floor(places).astype(np.intp), 0, len(rows) - 1)
    share = places - left
    if not share.any():
        return rows[left]
    right = np.minimum(left + 1, len(rows) - 1)
    share = share.reshape(-1, *(1,) * (rows.ndim - 1))
    return (1 - share) * rows[left] + share * rows[right]
