"""Pan, tilt and zoom of a camera on one spot, from corners of the background.

Frame by frame first: a rotation and a change of focal length that take the corners along. Then some frames, evenly
apart in what the camera did, are solved together with the directions of the corners, and at last every frame by these
directions. A camera that travels moves near things past far ones: then no rotation fits, and that is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from posemill.arrays import Times
from posemill.background.bundle import Bundle, Sights, residuals, solve, turn_frame
from posemill.background.corners import Corners
from posemill.camera import Camera
from posemill.errors import ClipError
from posemill.formats.camera_path import CameraPath
from posemill.geometry import unit

__all__ = ["Pan", "find_pan"]

# Frames that are solved together: one for so much of a turn, of a zoom, of time; fewer than so many in all.
_KEY_DEG, _KEY_ZOOM, _KEY_S, _MOST_KEYS = 2.0, 0.03, 0.5, 200
# Below this the focal length is taken for one.
_ZOOMS = 0.03
# Residuals of a camera that turns are of the corners' own noise; parallax is several times that.
_MOST_RESIDUAL = 4.0
_FEWEST = 8


@dataclass(frozen=True)
class Pan:
    """A path without a place, and what it was found from: corners, frames solved together, the median residual."""

    path: CameraPath
    corners: int
    keyframes: int
    residual_px: float
    zooms: bool


def find_pan(corners: Corners, time: Times, lens: Camera) -> Pan:
    """Find rotations and focal lengths of all frames.

    Parameters
    ----------
    corners
        Of the background, of every frame.
    time
        (T,) s.
    lens
        The lens as far as it is known; its ``focal_sigma`` is what the background may correct.

    Raises
    ------
    ClipError
        Too few corners in a frame, or the background does not move as before a camera that turns.
    """
    xy = lens.normalise(corners.pixels) * lens.focal_px
    known = np.isfinite(xy).all(-1)
    sights = Sights(corners.frame[known], corners.corner[known], xy[known])
    noise_px = corners.noise_px
    log_focal = float(np.log(lens.focal_px))
    turns, log_zoom = _chain(sights, len(time), log_focal, noise_px)
    zooms = bool(np.ptp(log_zoom) > _ZOOMS)
    if not zooms:
        log_zoom = np.zeros(len(time))
    keys = _keyframes(turns, log_zoom, time)
    chosen = _of_frames(sights, keys)
    if not len(chosen.xy):
        raise ClipError("camera_moves: expected corners that stay in sight for some time, got none; give camera_path")
    chosen, names = _numbered(chosen)
    start = Bundle(
        turns[keys], log_focal + log_zoom[keys], _directions(chosen, turns[keys], log_focal + log_zoom[keys])
    )
    chosen, start, names = _in_front(chosen, start, names)
    sigma = lens.focal_sigma
    bundle = solve(start, chosen, time[keys], focal=(lens.focal_px, sigma), zooms=zooms, noise_px=noise_px)
    if bundle.residual_px > _MOST_RESIDUAL * noise_px:
        raise ClipError(
            f"camera_moves: expected a background that moves as before a camera that only turns and zooms, got one "
            f"{bundle.residual_px:.1f} px off: the camera travels, or what is behind the people moves; give camera_path"
        )
    r, focal = _every_frame(bundle, names, sights, keys, turns, log_zoom, time, noise_px, zooms=zooms)
    k = np.repeat(lens.K[None], len(time), 0)
    k[:, :2, :2] *= (np.exp(focal) / lens.focal_px)[:, None, None]
    path = CameraPath(
        time,
        r,
        None,
        False,
        k,
        lens.dist,
        (lens.width, lens.height),
        bundle.focal_sigma,
        bundle.rotation_sigma_deg,
        lens.intrinsics_source if sigma == 0 and not zooms else f"{lens.intrinsics_source}+background",
    )
    return Pan(path, len(names), len(keys), bundle.residual_px, zooms)


def _chain(sights: Sights, frames: int, log_focal: float, noise_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (T, 3, 3) from the first frame's axes, and logarithms (T,) of the focal length over the first one's."""
    first = np.searchsorted(sights.camera, np.arange(frames + 1))
    turns, zoom = np.empty((frames, 3, 3)), np.zeros(frames)
    turns[0] = np.eye(3)
    for k in range(1, frames):
        before, now = (slice(first[i], first[i + 1]) for i in (k - 1, k))
        _, a, b = np.intersect1d(sights.corner[before], sights.corner[now], assume_unique=True, return_indices=True)
        if len(a) < _FEWEST:
            raise ClipError(f"camera_moves: expected {_FEWEST} or more corners from frame {k - 1} to {k}, got {len(a)}")
        rays = np.concatenate([sights.xy[before][a] / np.exp(log_focal + zoom[k - 1]), np.ones((len(a), 1))], -1)
        turn, focal = turn_frame(
            np.eye(3), log_focal + zoom[k - 1], unit(rays), sights.xy[now][b], focal_sigma=0.1, noise_px=noise_px
        )
        turns[k], zoom[k] = turn @ turns[k - 1], focal - log_focal
    return turns, zoom


def _keyframes(turns: np.ndarray, log_zoom: np.ndarray, time: Times) -> np.ndarray:
    angle = Rotation.from_matrix(turns[1:] @ turns[:-1].transpose(0, 2, 1)).magnitude()
    done = np.degrees(angle) / _KEY_DEG + np.abs(np.diff(log_zoom)) / _KEY_ZOOM + np.diff(time) / _KEY_S
    done = np.concatenate([[0.0], np.cumsum(done)])
    count = int(np.clip(np.ceil(done[-1]) + 1, 2, _MOST_KEYS)) if len(time) > 1 else 1
    return np.unique(np.searchsorted(done, np.linspace(0, done[-1], count)).clip(0, len(time) - 1))


def _of_frames(sights: Sights, frames: np.ndarray) -> Sights:
    """Sights in these frames, numbered anew, of corners that two or more of them see."""
    number = np.full(int(sights.camera.max()) + 1, -1)
    inside = frames[frames < len(number)]
    number[inside] = np.arange(len(inside))
    some = number[sights.camera] >= 0
    camera, corner, xy = number[sights.camera[some]], sights.corner[some], sights.xy[some]
    often = np.bincount(corner)[corner] > 1
    return Sights(camera[often], corner[often], xy[often])


def _numbered(sights: Sights) -> tuple[Sights, np.ndarray]:
    names, corner = np.unique(sights.corner, return_inverse=True)
    return sights._replace(corner=corner), names


def _directions(sights: Sights, turns: np.ndarray, log_focal: np.ndarray) -> np.ndarray:
    """Mean direction of each corner in the common axes."""
    focal = np.exp(log_focal[sights.camera])[:, None]
    rays = unit(np.concatenate([sights.xy / focal, np.ones((len(sights.xy), 1))], -1))
    back = np.einsum("nji,nj->ni", turns[sights.camera], rays)
    total = np.zeros((int(sights.corner.max()) + 1, 3))
    np.add.at(total, sights.corner, back)
    return unit(total)


def _in_front(sights: Sights, start: Bundle, names: np.ndarray) -> tuple[Sights, Bundle, np.ndarray]:
    """Leave out sights that the beginning puts behind their camera, and corners that then no two cameras see."""
    kept = residuals(start, sights)[1][:, 2] > 0.1
    often = np.bincount(sights.corner[kept], minlength=len(names)) > 1
    kept &= often[sights.corner]
    some, left = _numbered(Sights(*(part[kept] for part in sights)))
    return some, replace(start, directions=start.directions[left]), names[left]


def _every_frame(
    bundle: Bundle,
    names: np.ndarray,
    sights: Sights,
    keys: np.ndarray,
    turns: np.ndarray,
    log_zoom: np.ndarray,
    time: Times,
    noise_px: float,
    *,
    zooms: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (T, 3, 3) and logarithms (T,) of the focal length, px, by the solved corners."""
    first = np.searchsorted(sights.camera, np.arange(len(time) + 1))
    number = np.full(int(sights.corner.max()) + 1, -1)
    number[names] = np.arange(len(names))
    out, focal = np.empty_like(turns), np.empty(len(time))
    near = np.clip(np.searchsorted(keys, np.arange(len(time)), side="right") - 1, 0, len(keys) - 1)
    for k in range(len(time)):
        key = near[k]
        begun = turns[k] @ turns[keys[key]].T @ bundle.R[key]
        log_focal = float(bundle.log_focal[key] + log_zoom[k] - log_zoom[keys[key]])
        part = slice(first[k], first[k + 1])
        corner = number[sights.corner[part]]
        there = corner >= 0
        if there.sum() < _FEWEST:
            out[k], focal[k] = begun, log_focal
            continue
        out[k], focal[k] = turn_frame(
            begun,
            log_focal,
            bundle.directions[corner[there]],
            sights.xy[part][there],
            focal_sigma=0.05 if zooms else 0.0,
            noise_px=noise_px,
        )
    return out, focal
