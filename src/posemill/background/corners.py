"""Corners of the background, followed from frame to frame.

References
----------
Shi and Tomasi: "Good features to track", CVPR 1994. Bouguet: "Pyramidal implementation of the Lucas Kanade feature
tracker", 2000. Kalal et al.: "Forward-backward error: automatic detection of tracking failures", ICPR 2010.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from posemill.arrays import Times
from posemill.errors import ClipError, expected
from posemill.media import Frame

__all__ = ["Corners", "follow", "people_boxes"]

# Pictures are made this wide at most: corners are found to a tenth of a pixel, and a pan needs no more.
_LONGEST_SIDE = 960
_MOST, _ENOUGH, _FEWEST = 300, 200, 12
_APART_PX, _QUALITY = 10, 0.01
_WINDOW, _LEVELS = (21, 21), 4
# There and back again, and off the one homography that a turning camera's background obeys, px of the smaller picture.
_RETURN_PX, _HOMOGRAPHY_PX = 0.5, 2.0
# Boxes are grown by this share of their longer side: hair, held things, and the blur of moving limbs.
_GROWN = 0.15
_LAST_BOX_S = 1.0
# A corner that looks elsewhere than it was followed to by more than this has changed its look.
_DRIFT_PX = 1.0


@dataclass(frozen=True)
class Corners:
    """Where corners of the background were seen.

    Attributes
    ----------
    frame, corner
        (N,) number of the frame, and of the corner.
    pixels
        (N, 2) px of the video.
    noise_px
        How well a corner is found, px of the video.
    """

    frame: np.ndarray
    corner: np.ndarray
    pixels: np.ndarray
    noise_px: float


def people_boxes(boxes: Mapping[str, np.ndarray], time: Times) -> np.ndarray:
    """Where people are in each frame, (T, P, 4) px, grown; NaN where nobody is.

    Parameters
    ----------
    boxes
        Track to (T, 4) px: left, top, right, bottom; NaN where it is not detected. Its last box, or its next, holds for
        a second: who is lost by a detector is still there.
    """
    out = np.full((len(time), len(boxes), 4), np.nan)
    for person, box in enumerate(boxes.values()):
        seen = np.flatnonzero(np.isfinite(box).all(-1))
        if not len(seen):
            continue
        after = np.clip(np.searchsorted(seen, np.arange(len(time))), 0, len(seen) - 1)
        before = np.clip(np.searchsorted(seen, np.arange(len(time)), side="right") - 1, 0, len(seen) - 1)
        for near in (seen[after], seen[before]):
            close = np.abs(time[near] - time) <= _LAST_BOX_S + 1e-9
            out[close, person] = box[near[close]]
    side = np.maximum(out[..., 2] - out[..., 0], out[..., 3] - out[..., 1])[..., None] * _GROWN
    return out + side * (-1, -1, 1, 1)


def follow(frames: Iterable[Frame], time: Times, people: np.ndarray) -> Corners:
    """Follow corners through a video, leaving people out.

    Parameters
    ----------
    frames
        The pictures, as many as ``time`` says.
    people
        (T, P, 4) px of :func:`people_boxes`.

    Raises
    ------
    ClipError
        Too few corners can be followed, or the video has other frames than those.
    """
    tracker = _Tracker()
    count = 0
    for count, frame in enumerate(frames, 1):
        if count > len(time):
            break
        left = tracker.step(frame.rgb, people[count - 1])
        if left < _FEWEST:
            raise ClipError(
                f"camera_moves: expected a background with {_FEWEST} or more corners that can be followed, got {left} "
                f"at {time[count - 1]:.2f} s; film before a background with texture, or give camera_path"
            )
    if count != len(time):
        do = "run detect again on this video"
        raise ClipError(expected("frames of the video", f"{len(time)} as detected", count, do=do))
    return tracker.corners()


class _Tracker:
    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._points = np.zeros((0, 2), np.float32)
        self._ids = np.zeros(0, int)
        # Where each corner was first seen, and in which picture.
        self._first = np.zeros((0, 2), np.float32)
        self._born = np.zeros(0, int)
        self._pictures: dict[int, np.ndarray] = {}
        self._scale, self._next = 1.0, 0
        self._seen: list[tuple[np.ndarray, np.ndarray]] = []

    def step(self, rgb: np.ndarray, boxes: np.ndarray) -> int:
        """Follow the corners into the next picture, and look for new ones; how many were followed."""
        import cv2

        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        self._scale = min(1.0, _LONGEST_SIDE / max(gray.shape))
        if self._scale < 1:
            gray = cv2.resize(gray, None, fx=self._scale, fy=self._scale, interpolation=cv2.INTER_AREA)
        free = np.full(gray.shape, 255, np.uint8)
        for left, top, right, bottom in boxes[np.isfinite(boxes).all(-1)] * self._scale:
            free[max(int(top), 0) : max(int(bottom) + 1, 0), max(int(left), 0) : max(int(right) + 1, 0)] = 0
        left = None
        if self._last is not None:
            kept, points = self._followed(self._last, gray, free)
            self._points, self._ids = points[kept], self._ids[kept]
            self._first, self._born = self._first[kept], self._born[kept]
            self._anchor(gray)
            left = len(self._ids)
        if len(self._ids) < _ENOUGH:
            self._look(gray, free.copy())
        self._last = gray
        self._seen.append((self._ids.copy(), (self._points + 0.5) / self._scale - 0.5))
        return len(self._ids) if left is None else left

    def _followed(self, last: np.ndarray, gray: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import cv2

        if not len(self._points):
            return np.zeros(0, bool), self._points
        start = self._points[:, None]
        found, there, _ = cv2.calcOpticalFlowPyrLK(last, gray, start, start.copy(), winSize=_WINDOW, maxLevel=_LEVELS)
        back, again, _ = cv2.calcOpticalFlowPyrLK(gray, last, found, found.copy(), winSize=_WINDOW, maxLevel=_LEVELS)
        points = found[:, 0]
        kept = (there.ravel() == 1) & (again.ravel() == 1)
        kept &= np.linalg.norm((back - start)[:, 0], axis=-1) < _RETURN_PX
        inside = np.clip(np.rint(points), 0, np.array(gray.shape)[::-1] - 1).astype(int)
        kept &= (np.abs(points - inside) <= 1).all(-1) & (free[inside[:, 1], inside[:, 0]] > 0)
        if kept.sum() >= _FEWEST:
            _, obeys = cv2.findHomography(self._points[kept], points[kept], cv2.RANSAC, _HOMOGRAPHY_PX)
            if obeys is not None:
                kept[np.flatnonzero(kept)] = obeys.ravel() > 0
        return kept, points

    def _anchor(self, gray: np.ndarray) -> None:
        """Put corners where they look as at first, so that the errors of many frames do not add up."""
        import cv2

        self._pictures = {born: self._pictures[born] for born in np.unique(self._born).tolist()}
        for born, picture in self._pictures.items():
            some = np.flatnonzero(self._born == born)
            near = self._points[some]
            found, there, _ = cv2.calcOpticalFlowPyrLK(
                picture,
                gray,
                self._first[some][:, None],
                near[:, None].copy(),
                winSize=_WINDOW,
                maxLevel=0,
                flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
            )
            good = (there.ravel() == 1) & (np.linalg.norm(found[:, 0] - near, axis=-1) < _DRIFT_PX)
            self._points[some[good]] = found[good, 0]

    def _look(self, gray: np.ndarray, free: np.ndarray) -> None:
        import cv2

        for x, y in np.rint(self._points).astype(int):
            cv2.circle(free, (int(x), int(y)), _APART_PX, (0,), -1)
        more = cv2.goodFeaturesToTrack(gray, _MOST - len(self._ids), _QUALITY, _APART_PX, mask=free)
        if more is None:
            return
        self._points = np.concatenate([self._points, more[:, 0]])
        self._ids = np.concatenate([self._ids, self._next + np.arange(len(more))])
        self._first = np.concatenate([self._first, more[:, 0]])
        self._born = np.concatenate([self._born, np.full(len(more), len(self._seen))])
        self._pictures[len(self._seen)] = gray
        self._next += len(more)

    def corners(self) -> Corners:
        frame = np.concatenate([np.full(len(ids), k) for k, (ids, _) in enumerate(self._seen)])
        ids, pixels = (np.concatenate([part[i] for part in self._seen]) for i in range(2))
        return Corners(frame, ids, pixels.astype(np.float64), 0.25 / self._scale)
