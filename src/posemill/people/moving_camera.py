"""Keypoints of a camera that moves, as a camera that stands still sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from posemill.arrays import Times
from posemill.camera import Camera
from posemill.camera_motion import CameraMotion
from posemill.errors import ClipError, expected
from posemill.formats.camera_path import CameraPath

__all__ = ["Still", "seen_from_still"]


@dataclass(frozen=True)
class Still:
    """One track as the reference camera sees it.

    Attributes
    ----------
    arrays
        ``keypoints``, ``score``, ``sigma`` and ``valid`` of the track, in pixels of the reference camera.
    camera, motion
        The reference camera, and how each frame's camera stands to it.
    unknown, beside
        Number of frames whose camera is not known, and of keypoints too far off the reference camera's axis.
    """

    arrays: dict[str, np.ndarray]
    camera: Camera
    motion: CameraMotion
    unknown: int
    beside: int


def seen_from_still(arrays: Mapping[str, np.ndarray], time: Times, lens: Camera, path: CameraPath) -> Still:
    """Map one track into the reference camera of its clip.

    That camera looks where the frames' cameras look on average, from the mean of their centres, with the median of
    their focal lengths; it has no distortion, and its picture is as large as the video's, but keypoints may lie beyond.

    Parameters
    ----------
    arrays
        ``keypoints`` (T, J, 2) px, ``score`` (T, J), ``sigma`` (T, J) px and ``valid`` (T, J).
    time
        (T,) s.
    lens
        Of the video, where the path says no intrinsics; its place in the world is not used.

    Raises
    ------
    ClipError
        The path is of another picture size, or of another time.
    """
    if path.size is not None and path.size != (lens.width, lens.height):
        want, got = f"{lens.width}x{lens.height} as the video", f"{path.size[0]}x{path.size[1]}"
        raise ClipError(expected("camera path's image size", want, got))
    at, known = path.at(time)
    if not known.any():
        want, got = (
            f"times of the video ({time[0]:.2f} to {time[-1]:.2f} s)",
            f"{path.time[0]:g} to {path.time[-1]:g} s",
        )
        raise ClipError(expected("camera path", want, got, do="count its times from the video's first frame"))
    camera, motion = _reference(at, known, lens)
    keypoints = np.asarray(arrays["keypoints"], dtype=np.float64)
    mapped = motion.to_reference(keypoints, camera)
    seen = arrays["valid"] & np.isfinite(mapped).all(-1)
    sigma = arrays["sigma"] * motion.magnification(keypoints, camera)
    # The camera's own error moves all joints of a frame together; a root found from them errs with it.
    sigma = np.hypot(sigma, camera.focal_px * np.radians(path.rotation_sigma_deg))
    out = {
        "keypoints": np.where(seen[..., None], mapped, np.nan),
        "score": np.where(seen, arrays["score"], 0.0),
        "sigma": np.where(seen, sigma, np.nan),
        "valid": seen,
    }
    beside = int((arrays["valid"] & ~seen & known[:, None]).sum())
    if not seen.any():
        raise ClipError("camera path: expected frames in which the person is seen, got other ones")
    return Still(out, camera, motion, int((~known).sum()), beside)


def _reference(path: CameraPath, known: np.ndarray, lens: Camera) -> tuple[Camera, CameraMotion]:
    frames = len(path.time)
    own = path.K is not None
    k = path.K if path.K is not None else np.broadcast_to(lens.K, (frames, 3, 3))
    dist = path.dist if path.dist is not None else lens.dist
    focal = float(np.median(np.sqrt(k[known, 0, 0] * k[known, 1, 1])))
    camera = Camera.from_focal(
        lens.width,
        lens.height,
        focal,
        source=path.source if own else lens.intrinsics_source,
        sigma=path.focal_sigma if own else lens.focal_sigma,
    )
    r = Rotation.from_matrix(path.R[known]).mean().as_matrix()
    turn = r @ np.swapaxes(path.R, -1, -2)
    offset = np.zeros((frames, 3))
    if path.centre is not None:
        middle = path.centre[known].mean(0)
        offset = (path.centre - middle) @ r.T
        if path.in_world:
            camera = replace(camera, R=r, t=-r @ middle)
    return camera, CameraMotion(np.array(k), dist, turn, offset, known)
