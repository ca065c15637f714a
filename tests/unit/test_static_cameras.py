"""Static virtual cameras keep the whole motion in the picture, from where they are said to stand."""

from __future__ import annotations

import numpy as np
import pytest

from posemill.training.static_cameras import FULL_RANGE, watch
from tests.walker import walker

_, WALK = walker(60)


def watched(joints: np.ndarray, seed: int) -> tuple[np.ndarray, float, float, float]:
    """Pixels, distance from the middle in m, focal length in widths, elevation in degrees."""
    camera = watch(joints, np.random.default_rng(seed))
    pixels = camera.project(camera.world_to_camera(joints))
    low, high = joints.min((0, 1)), joints.max((0, 1))
    from_middle = camera.centre - (low + high) / 2
    distance = float(np.linalg.norm(from_middle))
    assert np.isfinite(pixels).all() and (pixels >= 0).all() and (pixels <= (camera.width - 1, camera.height - 1)).all()
    return pixels, distance, camera.focal_px / camera.width, float(np.degrees(np.arcsin(from_middle[2] / distance)))


def test_everybody_stays_in_the_picture_and_the_camera_in_its_ranges():
    views = [watched(WALK, seed) for seed in range(100)]
    for value, (low, high) in (
        (1, FULL_RANGE.distance_m),
        (2, FULL_RANGE.focal_widths),
        (3, FULL_RANGE.elevation_deg),
    ):
        drawn = np.array([v[value] for v in views])
        assert (drawn >= low - 1e-9).all() and (drawn <= high + 1e-9).all()
        assert np.ptp(drawn) > 0.5 * (high - low)


def test_roll_is_even_over_its_range():
    rolls = []
    for seed in range(200):
        camera = watch(WALK[:1] * (0.5, 0.5, 0.5), np.random.default_rng(seed))
        assert camera.R is not None
        up = camera.R @ (0.0, 0.0, 1.0)
        rolls.append(np.degrees(np.arctan2(up[0], -up[1])))
    assert np.abs(rolls).max() < 33 and 12 < np.abs(rolls).mean() < 18  # 15 if even; off-centre views tilt it a little


def test_long_way_is_seen_from_further_away():
    way = WALK + np.linspace(0, 30, len(WALK))[:, None, None] * (1.0, 0, 0)
    _, distance, focal, _ = watched(way, 3)
    assert distance > 8 and focal == pytest.approx(0.8)


def test_same_seed_same_camera():
    one, other = (watch(WALK, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.centre, other.centre)
    assert not np.allclose(one.centre, watch(WALK, np.random.default_rng(6)).centre)
