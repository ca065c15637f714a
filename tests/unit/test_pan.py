"""Pan, tilt and zoom from corners whose directions, and errors, are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posemill.background.corners import Corners, people_boxes
from posemill.background.pan import find_pan
from posemill.camera import Camera
from posemill.errors import ClipError

WIDTH, HEIGHT, FOCAL = 640, 480, 700.0
TIME = np.arange(60) / 15


def swing(pan_deg: float = 20.0, zoom: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (T, 3, 3), and focal lengths (T,) px."""
    phase = 2 * np.pi * TIME / TIME[-1]
    turns = np.stack([4 * np.cos(phase), pan_deg * np.sin(phase), 2 * np.sin(2 * phase)], -1)
    return Rotation.from_rotvec(np.radians(turns)).as_matrix(), FOCAL * zoom ** np.sin(phase)


def corners(
    turns: np.ndarray,
    focal: np.ndarray,
    *,
    travel_m: float = 0.0,
    noise_px: float = 0.2,
    dist: np.ndarray | None = None,
) -> Corners:
    """Corners of a room of 3 to 9 m; each errs by as much all the time, and by as much again from frame to frame."""
    rng = np.random.default_rng(0)
    points = rng.uniform((-1.2, -0.6, 1), (1.2, 0.6, 1), (500, 3)) * rng.uniform(3, 9, (500, 1))
    lasting = rng.normal(0, noise_px, (500, 2))
    frame, corner, pixels = [], [], []
    for k in range(len(turns)):
        camera = Camera.from_focal(WIDTH, HEIGHT, focal[k], source="sheet", sigma=0)
        camera = Camera(WIDTH, HEIGHT, camera.K, np.zeros(5) if dist is None else dist)
        where = np.array([travel_m * k / len(turns), 0, 0])
        uv = camera.project((points - where) @ turns[k].T) + lasting + rng.normal(0, noise_px, (500, 2))
        seen = np.flatnonzero(((uv > 0) & (uv < (WIDTH, HEIGHT))).all(-1))
        frame.append(np.full(len(seen), k))
        corner.append(seen)
        pixels.append(uv[seen])
    return Corners(np.concatenate(frame), np.concatenate(corner), np.concatenate(pixels), 0.25)


def angles_deg(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """How far each rotation is off, after the one turn that the common axes are free to have."""
    apart = Rotation.from_matrix(np.swapaxes(true, -1, -2) @ found).mean().as_matrix()
    return np.degrees(Rotation.from_matrix(found @ apart.T @ np.swapaxes(true, -1, -2)).magnitude())


@pytest.mark.parametrize(("zoom", "guess", "sigma"), [(1.0, 1.0, 0.0), (1.0, 1.2, 0.25), (1.3, 1.1, 0.25)])
def test_rotations_and_focal_lengths_are_found(zoom, guess, sigma):
    turns, focal = swing(zoom=zoom)
    lens = Camera.from_focal(WIDTH, HEIGHT, FOCAL * guess, source="prior", sigma=sigma)
    pan = find_pan(corners(turns, focal), TIME, lens)
    assert angles_deg(pan.path.R, turns).max() < 0.3
    assert pan.path.K is not None
    off = pan.path.K[:, 0, 0] / focal - 1
    assert np.abs(off).max() < 0.02
    assert pan.zooms == (zoom > 1)
    assert np.median(angles_deg(pan.path.R, turns)) < 3 * pan.path.rotation_sigma_deg * np.sqrt(3)
    assert np.abs(np.median(off)) < 3 * pan.path.focal_sigma + 1e-9
    assert pan.path.focal_sigma < 0.03


def test_a_known_lens_stays_as_it_is():
    turns, focal = swing()
    dist = np.array([-0.1, 0.02, 0.001, 0.0, 0.0])
    lens = Camera(WIDTH, HEIGHT, Camera.from_focal(WIDTH, HEIGHT, FOCAL, source="x", sigma=0).K, dist)
    pan = find_pan(corners(turns, focal, dist=dist), TIME, lens)
    assert pan.path.K is not None and pan.path.source == "calibration"
    np.testing.assert_allclose(pan.path.K, np.broadcast_to(lens.K, (60, 3, 3)), rtol=1e-4)
    assert angles_deg(pan.path.R, turns).max() < 0.3


def test_a_camera_that_travels_is_told_from_one_that_turns():
    turns, focal = swing()
    lens = Camera.from_focal(WIDTH, HEIGHT, FOCAL, source="sheet", sigma=0.02)
    with pytest.raises(ClipError, match="px off: the camera travels"):
        find_pan(corners(turns, focal, travel_m=0.5), TIME, lens)


def test_corners_that_end_are_no_path():
    turns, focal = swing()
    found = corners(turns, focal)
    some = (found.frame < 30) | (found.corner < 5)
    thin = Corners(found.frame[some], found.corner[some], found.pixels[some], found.noise_px)
    with pytest.raises(ClipError, match=r"expected 8 or more corners from frame 29 to 30, got \d"):
        find_pan(thin, TIME, Camera.prior(WIDTH, HEIGHT))


def test_boxes_grow_and_outlast_a_detector_that_misses():
    box = np.full((60, 4), np.nan)
    box[20] = 100, 100, 140, 200
    found = people_boxes({"p1": box, "p2": np.full((60, 4), np.nan)}, TIME)
    there = np.isfinite(found[:, 0]).all(-1)
    np.testing.assert_array_equal(np.flatnonzero(there), np.arange(5, 36))
    np.testing.assert_allclose(found[there][:, 0], np.broadcast_to([85, 85, 155, 215], (31, 4)))
    assert np.isnan(found[:, 1]).all()
