"""A camera that moves, seen from one that does not.

A camera that turns and zooms about its centre sees the rays of any other camera there: pixels of a frame are exactly
pixels of one *reference camera* of the clip, which stands still, has one focal length and no distortion. So what comes
after gather works on a still camera. A camera that also travels sees from another centre in each frame, which no
mapping of pixels undoes: there the frames have the reference camera's axes and focal length, and ``offset`` says where
each was taken from.

Rays that are far off the reference camera's axis have no useful place in its picture, so they are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posemill.arrays import Points2, Points3, Vector3
from posemill.camera import Camera, distort, undistort

__all__ = ["WIDEST_DEG", "CameraMotion"]

WIDEST_DEG = 75.0
"""Rays further off the reference camera's axis than this are left out."""
_STEP_PX = 0.5
_STANDS_M = 1e-4


@dataclass(frozen=True)
class CameraMotion:
    """How each frame's camera stands to the clip's reference camera.

    Attributes
    ----------
    K
        (T, 3, 3) intrinsic matrix of each frame in pixels of the video.
    dist
        (5,) distortion of the lens, OpenCV's order, the same in all frames.
    turn
        (T, 3, 3) from the frame's axes to the reference camera's: ``X_ref = turn @ X_frame + offset``.
    offset
        (T, 3) m, the frame's camera centre in the reference camera's frame; zeros if the camera only turns.
    known
        (T,) frames of which all this is known; the others hold the identity, or what lies between their neighbours.
    """

    K: np.ndarray
    dist: np.ndarray
    turn: np.ndarray
    offset: Vector3
    known: np.ndarray

    @property
    def travels(self) -> bool:
        """Whether the camera's centre moves."""
        return bool(np.abs(self.offset).max(initial=0.0) > _STANDS_M)

    def to_reference(self, pixels: Points2, reference: Camera) -> Points2:
        """Pixels of the video (T, J, 2) to pixels of the reference camera.

        NaN in unknown frames, and for rays more than :data:`WIDEST_DEG` off the reference camera's axis. Where the
        camera travels, only directions are mapped: the pixel is that of the ray from the frame's own centre.
        """
        turned = self._rays(np.asarray(pixels, dtype=np.float64)) @ np.swapaxes(self.turn, -1, -2)
        with np.errstate(invalid="ignore"):
            far = ~(turned[..., 2] > np.cos(np.radians(WIDEST_DEG)) * np.linalg.norm(turned, axis=-1))
        out = reference.project(turned)
        out[far | ~self.known[:, None]] = np.nan
        return out

    def to_video(self, pixels: Points2, reference: Camera) -> Points2:
        """Pixels of the reference camera (T, J, 2) to pixels of the video; the inverse of :meth:`to_reference`."""
        plane = reference.normalise(np.asarray(pixels, dtype=np.float64))
        turned = np.concatenate([plane, np.ones((*plane.shape[:-1], 1))], -1) @ self.turn
        with np.errstate(invalid="ignore", divide="ignore"):
            xy = np.where(turned[..., 2:] > 0, turned[..., :2] / turned[..., 2:], np.nan)
        out = distort(xy, self.dist) @ np.swapaxes(self.K[:, :2, :2], -1, -2) + self.K[:, None, :2, 2]
        out[~self.known] = np.nan
        return out

    def magnification(self, pixels: Points2, reference: Camera) -> np.ndarray:
        """How much larger a small thing at pixels (T, J, 2) of the video is in the reference camera, (T, J).

        The root of the area's factor: off the axis lengths grow more away from it than around it.
        """
        here = self.to_reference(pixels, reference)
        right, down = (
            self.to_reference(pixels + step, reference) - here for step in ((_STEP_PX, 0.0), (0.0, _STEP_PX))
        )
        return np.sqrt(np.abs(right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0])) / _STEP_PX

    def from_centres(self, points: Points3) -> Points3:
        """Points (T, J, 3) m of the reference camera's frame, relative to the centre of each frame's camera."""
        return points - self.offset[:, None]

    def to_frames(self, points: Points3) -> Points3:
        """Points (T, J, 3) m of the reference camera's frame, in each frame's own axes; NaN in unknown frames."""
        out = self.from_centres(points) @ self.turn
        out[~self.known] = np.nan
        return out

    def _rays(self, pixels: Points2) -> Points3:
        inverse = np.linalg.inv(self.K[:, :2, :2])
        plane = undistort((pixels - self.K[:, None, :2, 2]) @ np.swapaxes(inverse, -1, -2), self.dist)
        return np.concatenate([plane, np.ones((*plane.shape[:-1], 1))], -1)
