"""The same person filmed otherwise, on exact points: what the calibration tells must make no difference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemill import media
from posemill.camera import Camera
from posemill.metrics.pose import p_joint_errors
from posemill.metrics.variants import Variant, even
from posemill.skeleton import JOINT_SETS, LIMBS
from posemill.twin.video import write_video
from tests.walker import camera_at, walker

SET = JOINT_SETS["h36m17"]
SIDE = SET.flip_permutation
WINDOW = (120, 60, 700, 840)
CHANGES = (
    Variant("window", window=WINDOW),
    Variant("half", size=0.5),
    Variant("mirror", mirror=True),
    Variant("all", window=WINDOW, size=0.4, mirror=True),
)


def scene() -> tuple[Camera, np.ndarray]:
    """A distorted camera and joints (T, 17, 3) m in its frame."""
    camera = camera_at((4.0, 1.5, 1.2))
    return camera, camera.world_to_camera(walker(12)[1])


@pytest.mark.parametrize("variant", CHANGES, ids=lambda v: v.name)
def test_rays_of_a_changed_picture_are_those_of_the_video(variant: Variant) -> None:
    camera, joints = scene()
    changed = variant.camera(camera)
    rays = changed.normalise(variant.pixels(camera.project(joints), camera))
    expected = joints[..., :2] / joints[..., 2:]
    expected = expected * [-1, 1] if variant.mirror else expected
    # The size is rounded to whole even pixels, and the camera knows it: nothing is lost.
    np.testing.assert_allclose(rays, expected, atol=1e-9)
    assert (changed.width, changed.height) == tuple(even(n) for n in (changed.width, changed.height))


def test_a_mirrored_camera_sees_the_mirrored_scene() -> None:
    camera, joints = scene()
    camera.K[0, 1] = 3.0
    mirrored = camera.mirrored()
    u = camera.project(joints) * [-1, 1] + [camera.width - 1, 0]
    np.testing.assert_allclose(mirrored.project(joints * [-1, 1, 1]), u, atol=1e-9)
    np.testing.assert_array_equal(mirrored.mirrored().K, camera.K)


def test_poses_come_back() -> None:
    """A mirrored video shows the mirrored person, whose right hand is where the left was."""
    _, joints = scene()
    relative = joints - joints[:, :1]
    seen = (relative * [-1, 1, 1])[:, SIDE]
    np.testing.assert_allclose(Variant("m", mirror=True).back(seen), relative)
    assert Variant("w", window=WINDOW).back(seen) is seen
    assert p_joint_errors(seen, relative).mean() > 0.02  # and without it they are other poses


def test_pictures_follow_the_points() -> None:
    """A white dot is found where the points say, to a tenth of a pixel."""
    camera = Camera.from_focal(400, 300, 400.0, source="calibration", sigma=0.0)
    y, x = np.mgrid[0:300, 0:400]
    at = np.array([210.3, 148.6])
    dot = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 6.0**2))
    rgb = np.repeat(dot.astype(np.uint8)[..., None], 3, 2)
    for variant in (Variant("h", size=0.5), Variant("a", window=(101, 53, 250, 202), size=0.5, mirror=True)):
        picture = variant.picture(rgb, camera)[..., 0].astype(float)
        changed = variant.camera(camera)
        assert picture.shape == (changed.height, changed.width)
        rows, columns = np.indices(picture.shape)
        found = np.array([(columns * picture).sum(), (rows * picture).sum()]) / picture.sum()
        np.testing.assert_allclose(found, variant.pixels(at, camera), atol=0.1)


def test_a_video_stored_on_its_side_looks_the_same(tmp_path: Path) -> None:
    camera = Camera.from_focal(96, 64, 90.0, source="calibration", sigma=0.0)
    y, x = np.mgrid[0:64, 0:96]
    rgb = np.stack([2 * x, 3 * y, x + y], -1).astype(np.uint8)
    variant = Variant("side", stored=90)
    stored = variant.picture(rgb, camera)
    assert stored.shape == (96, 64, 3) and variant.camera(camera).width == 96
    write_video(tmp_path / "side.mp4", [stored] * 3, 25.0, crf=4, rotation=variant.stored)
    shown = next(iter(media.frames(tmp_path / "side.mp4"))).rgb
    assert shown.shape == rgb.shape and np.abs(shown.astype(int) - rgb).mean() < 4


def test_a_wrong_focal_length_changes_the_calibration_alone() -> None:
    camera, joints = scene()
    variant = Variant("long", focal_factor=1.15)
    assert variant.same_pictures and not CHANGES[0].same_pictures
    assert variant.camera(camera).focal_px == pytest.approx(1.15 * camera.focal_px)
    pixels = camera.project(joints)
    np.testing.assert_allclose(variant.pixels(pixels, camera), pixels)


def test_linear_gives_the_same_poses_for_changes_that_the_calibration_tells() -> None:
    """Exact points, the shipped weights: window, size and mirror within 0.1 mm, a wrong focal length within 20 mm."""
    from posemill.lifters import linear
    from posemill.lifters.protocol import LiftInput

    camera, joints = scene()
    pixels = camera.project(joints)[:, SET.indices(LIMBS)]
    side = JOINT_SETS["limbs12"].flip_permutation
    lifter = linear.create(linear.Options())

    def answer(variant: Variant) -> np.ndarray:
        points = variant.pixels(pixels, camera)
        points = points[:, side] if variant.mirror else points
        shape = points.shape[:2]
        clip = LiftInput(
            points,
            np.ones(shape),
            np.ones(shape),
            np.ones(shape, bool),
            np.arange(12) / 30,
            variant.camera(camera),
            True,
        )
        return variant.back(lifter.lift(clip).joints_relative)

    own = answer(Variant("itself"))
    for variant in CHANGES:
        assert p_joint_errors(answer(variant), own).max() < 1e-4, variant.name
    assert 1e-5 < p_joint_errors(answer(Variant("long", focal_factor=1.15)), own).mean() < 0.02
