"""Crops and the way back; peaks of heatmaps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from posemill.detectors.crops import affine_crop, hourglass_crop, hourglass_region
from posemill.detectors.heatmaps import averaged, peaks, to_crop


def gradient(height: int, width: int) -> np.ndarray:
    """A picture whose red is its x and whose green its y, so that a crop says where it came from."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8)


@pytest.mark.parametrize("box", [(20, 30, 84, 94), (10, 0, 210, 200), (3, 7, 180, 192), (50, 60, 100, 110)])
def test_hourglass_crop_knows_where_it_is(box: tuple[int, int, int, int]) -> None:
    """Reduced or enlarged: a crop's pixel shows the picture at the place that the way back names."""
    crop = hourglass_crop(gradient(220, 240), box, 64)
    u, v = np.meshgrid(np.arange(64), np.arange(64))
    places = crop.to_image(np.stack([u, v], -1))
    # The mean over parts of pixels is that over whole ones only nearly.
    np.testing.assert_allclose(crop.pixels[..., :2], places, atol=0.05)
    np.testing.assert_allclose(crop.to_crop(places), np.stack([u, v], -1), atol=1e-9)


def test_reducing_averages_boxes() -> None:
    """512 pixels to 256: each the mean of four, as Torch7's image.scale."""
    picture = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    crop = hourglass_crop(picture, (0, 0, 512, 512), 256)
    np.testing.assert_allclose(crop.pixels, picture.reshape(256, 2, 256, 2, 3).mean((1, 3)), atol=1e-4)


def test_enlarging_aligns_corners() -> None:
    """As Torch7's image.scale."""
    picture = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    crop = hourglass_crop(picture, (0, 0, 120, 120), 256)
    tensor = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None]
    wanted = functional.interpolate(tensor, (256, 256), mode="bilinear", align_corners=True)[0].permute(1, 2, 0)
    np.testing.assert_allclose(crop.pixels, wanted.numpy(), atol=5e-3)


@pytest.mark.parametrize("box", [(-40, -10, 88, 118), (200, 100, 300, 200), (-500, -500, -400, -400)])
def test_black_outside_the_picture(box: tuple[int, int, int, int]) -> None:
    """What the picture does not have is 0, and nothing fails."""
    white = np.full((150, 250, 3), 255, np.uint8)
    crop = hourglass_crop(white, box, 64)
    u, v = np.meshgrid(np.arange(64), np.arange(64))
    x, y = np.moveaxis(crop.to_image(np.stack([u, v], -1)), -1, 0)
    # A pixel's width away from the border, where shares of pixels are mixed.
    outside = (x < -2) | (y < -2) | (x > 251) | (y > 151)
    inside = (x > 2) & (y > 2) & (x < 247) & (y < 147)
    assert (crop.pixels[outside] == 0).all()
    np.testing.assert_allclose(crop.pixels[inside], 255, atol=1e-3)


def test_published_region() -> None:
    """Centre (300.3, 220.7) counted from 1 and scale 1.37: corners at 164, 84 counted from 1."""
    left, top, right, bottom = hourglass_region(np.array([299.3, 219.7]), 274.0)
    assert (left, top) == (163, 83)
    assert (right - left, bottom - top) == (274, 274)


def test_annotations_of_mpii() -> None:
    """15 scale down, a quarter larger."""
    plain = hourglass_region(np.array([300.0, 230.0]), 250.0)
    assert hourglass_region(np.array([300.0, 215.0]), 200.0, annotated=True) == plain


def test_affine_crop_knows_where_it_is() -> None:
    """The crop's middle is half a pixel beyond its own, as published; the way back agrees with what is seen."""
    crop = affine_crop(gradient(200, 220), np.array([110.0, 100.0]), 96.0, (48, 64))
    assert crop.pixels.shape == (64, 48, 3)
    u, v = np.meshgrid(np.arange(48), np.arange(64))
    np.testing.assert_allclose(crop.pixels[..., :2], crop.to_image(np.stack([u, v], -1)), atol=1e-3)
    np.testing.assert_allclose(crop.to_image(np.array([24, 32])), [110, 100])


def test_peak_steps_towards_the_higher_neighbour() -> None:
    """A quarter of a pixel, on each axis by itself; not at the border."""
    maps = np.zeros((1, 3, 16, 16), np.float32)
    maps[0, 0, 5, 7], maps[0, 0, 5, 8], maps[0, 0, 4, 7] = 1, 0.5, 0.3
    maps[0, 1, 0, 3] = 0.7
    found = peaks(maps)
    np.testing.assert_allclose(found.points[0], [[7.25, 4.75], [3, 0], [0, 0]])
    np.testing.assert_allclose(found.score[0], [1, 0.7, 0], atol=1e-6)


def test_a_parabola_finds_a_peak_between_pixels() -> None:
    """Within 0.05 px of a Gaussian's middle, which a quarter of a pixel can be 0.25 px away from. Not at the border."""
    y, x = np.mgrid[:16, :16]
    at = np.array([[7.4, 9.0], [5.1, 6.75], [8.0, 0.2]])
    maps = np.stack([np.exp(-((x - u) ** 2 + (y - v) ** 2) / 2) for u, v in at])[None].astype(np.float32)
    found = peaks(maps, parabola=True)
    np.testing.assert_allclose(found.points[0, :2], at[:2], atol=0.05)
    np.testing.assert_array_equal(found.points[0, 2], [8, 0])
    flat = peaks(np.ones((1, 1, 8, 8), np.float32), parabola=True)
    np.testing.assert_array_equal(flat.points[0], [[0, 0]])


@pytest.mark.parametrize("width", [1.0, 1.5])
def test_spread_is_that_of_the_target(width: float) -> None:
    """A Gaussian of one pixel has a spread of one, a wider one more."""
    y, x = np.mgrid[:32, :32]
    blob = np.exp(-((x - 15) ** 2 + (y - 12) ** 2) / (2 * width**2)).astype(np.float32)
    (spread,) = peaks(blob[None, None]).spread[0]
    assert spread == pytest.approx(width, abs=0.02 if width == 1 else 0.2)


def test_mirrored_maps_come_back() -> None:
    """Right and left change places, and so do the columns."""
    maps = np.random.default_rng(0).random((2, 3, 8, 8))
    swap = np.array([1, 0, 2])
    np.testing.assert_allclose(averaged(maps, maps[:, swap, :, ::-1], swap), maps)


def test_heatmap_pixels_in_the_crop() -> None:
    """The first heatmap pixel covers crop pixels 0 to 3."""
    np.testing.assert_allclose(to_crop(np.array([0.0, 1.0]), 4), [1.5, 5.5])
