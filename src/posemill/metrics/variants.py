"""The same person filmed otherwise: pictures, points, cameras and answers of a changed video.

A :class:`Variant` says how a video is changed; a lifter that does not depend on that gives the same poses for it, once
they are brought back. Where a calibration tells of the change (another picture size, a window of the picture, a
mirror), :meth:`Variant.camera` is its truth; ``focal_factor`` alone makes a calibration lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posemill.arrays import Points2, Points3
from posemill.camera import Camera
from posemill.skeleton import joint_set

__all__ = ["Variant", "even"]


def even(length: float) -> int:
    """Greatest even number of pixels, which video needs."""
    return 2 * int(length // 2)


@dataclass(frozen=True)
class Variant:
    """One change of a video, in this order: every ``step``-th frame, ``window``, ``size``, ``mirror``.

    Attributes
    ----------
    window
        x0, y0, width, height px, even sizes: what is kept of the picture; the focal length in picture widths changes.
    size
        Factor of the picture's size.
    mirror
        Left and right exchanged.
    stored
        Degrees counterclockwise, a multiple of 90, by which a player turns what is stored; the video looks the same.
    focal_factor
        By how much the focal length in the calibration is wrong.
    """

    name: str
    step: int = 1
    window: tuple[int, int, int, int] | None = None
    size: float = 1.0
    mirror: bool = False
    stored: int = 0
    focal_factor: float = 1.0

    @property
    def same_pictures(self) -> bool:
        """Whether only the calibration is another."""
        return replace(self, name="", focal_factor=1.0) == Variant("")

    def _sized(self, camera: Camera) -> tuple[Camera, tuple[int, int]]:
        """Camera of the window, and the size that its picture is given."""
        kept = camera if self.window is None else camera.cropped(*self.window)
        size = (even(kept.width * self.size), even(kept.height * self.size))
        return kept, size if self.size != 1 else (kept.width, kept.height)

    def camera(self, camera: Camera) -> Camera:
        """Return the calibration of the changed video: the intrinsics alone, as no world survives a mirror."""
        kept, size = self._sized(camera)
        changed = replace(kept.resized(*size), R=None, t=None)
        changed = changed.mirrored() if self.mirror else changed
        k = changed.K.copy()
        k[0, :2] *= self.focal_factor
        k[1, 1] *= self.focal_factor
        return replace(changed, K=k)

    def pixels(self, pixels: Points2, camera: Camera) -> Points2:
        """Where points (..., J, 2) px of the video are in the changed one; sides keep their names."""
        kept, (width, height) = self._sized(camera)
        corner = (0, 0) if self.window is None else self.window[:2]
        scale = np.array([width / kept.width, height / kept.height])
        out = (pixels - np.array(corner) + 0.5) * scale - 0.5
        return np.stack([width - 1 - out[..., 0], out[..., 1]], -1) if self.mirror else out

    def picture(self, rgb: np.ndarray, camera: Camera) -> np.ndarray:
        """Return the changed picture of one (H, W, 3) uint8; resized by the mean over what a pixel covers."""
        kept, size = self._sized(camera)
        if self.window is not None:
            x0, y0, width, height = self.window
            rgb = rgb[y0 : y0 + height, x0 : x0 + width]
        if size != (kept.width, kept.height):
            import cv2

            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if self.size < 1 else cv2.INTER_LINEAR)
        rgb = rgb[:, ::-1] if self.mirror else rgb
        return np.rot90(rgb, -self.stored // 90)

    def back(self, joints: Points3, joints_of: str = "h36m17") -> Points3:
        """Bring poses (..., J, 3) m relative to the root, camera axes, back to what the video shows."""
        if not self.mirror:
            return joints
        return joints[..., joint_set(joints_of).flip_permutation, :] * np.array([-1.0, 1.0, 1.0])
