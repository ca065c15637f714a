"""Windows of recordings: the camera divided out, gaps, mirror and frame rate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.datasets import Recording, read_videopose3d, training_clips
from posemill.formats.datasets.human36m import read_cameras
from posemill.skeleton import bone_lengths, joint_set
from posemill.training.recipes import RECIPES
from posemill.training.recorded import Recorded, normalised_poses
from tests.formats import dataset_files as made

SET = joint_set("h36m17")


@pytest.fixture
def clips(tmp_path: Path):
    data_3d, exact, _ = made.videopose3d(tmp_path, frames=100)
    cameras = read_cameras(made.metadata_xml(tmp_path / "m.xml"))
    return [c for c in training_clips(read_videopose3d(data_3d, exact, cameras)) if c.subject == "S1"]


def test_windows_have_no_lens_and_agree_with_their_3d(clips):
    windows = Recorded(clips).draw(200, 9, np.random.default_rng(0))
    assert windows.keypoints.shape == (200, 9, 17, 2) and windows.joints_camera.shape == (200, 9, 17, 3)
    # The 2D is the exact projection of the 3D, but for the dataset's lens being OpenCV's only nearly; mirrored or not.
    assert np.abs(windows.keypoints - windows.exact).max() < 0.5
    np.testing.assert_allclose(bone_lengths(windows.joints_camera).std(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(np.linalg.det(windows.R), 1, atol=1e-6)
    # Up is up: the head lies above the pelvis in the world of every camera.
    up = np.einsum("nij,ntj->nti", np.swapaxes(windows.R, 1, 2), windows.relative[:, :, SET.index("head_top")])
    assert (up[..., 2] > 0.5).all()


def test_every_recipe_takes_them(clips):
    recorded, rng = Recorded(clips), np.random.default_rng(0)
    for recipe in RECIPES.values():
        windows = recorded.draw(16, recipe.frames, rng)
        for array in recipe.prepare(windows, recipe.constants(windows) if recipe.constants else {}).values():
            assert len(array) == 16 and np.isfinite(array).all()


def test_a_window_is_a_stretch_of_its_recording(clips):
    (clip, *_) = clips
    windows = Recorded([clip]).draw(40, 5, np.random.default_rng(1))
    pelvis, truth = windows.joints_camera[:, :, 0], clip.joints_camera[:, 0]
    for path in pelvis:
        path = path if np.abs(truth - path[0]).sum(-1).min() < 1e-6 else path * (-1, 1, 1)
        start = int(np.abs(truth - path[0]).sum(-1).argmin())
        np.testing.assert_allclose(path, truth[start : start + 5], atol=1e-6)


def test_frame_rate(clips):
    (clip, *_) = clips
    moved = [
        np.linalg.norm(np.diff(w.joints_camera[:, :, 0], axis=1), axis=-1).mean()
        for w in (Recorded([clip], frame_rate=(f, f)).draw(200, 4, np.random.default_rng(2)) for f in (50.0, 25.0))
    ]
    assert moved[1] / moved[0] == pytest.approx(2, rel=0.05)


def test_short_gaps_are_filled_and_long_ones_left_out(clips):
    (clip, *_) = clips
    keypoints, valid = clip.keypoints.copy(), clip.valid.copy()
    for frames in (slice(10, 15), slice(40, 70)):
        keypoints[frames, 3], valid[frames, 3] = np.nan, False
    recorded = Recorded([replace(clip, keypoints=keypoints, valid=valid)])
    assert recorded.frames == 100 - 30
    windows = recorded.draw(300, 9, np.random.default_rng(3))
    assert np.isfinite(windows.keypoints).all()
    # What is filled over 5 frames is near the truth.
    assert np.abs(windows.keypoints - windows.exact).max() < 12


def test_what_cannot_be_drawn_from(clips):
    (clip, *_) = clips
    with pytest.raises(InputError, match="frames with 17 joints in 2D and 3D and a camera, got none"):
        Recorded([replace(clip, joints_camera=None), replace(clip, camera=None)])
    never = clip.valid.copy()
    never[:, 5] = False
    with pytest.raises(InputError, match="got none"):
        Recorded([replace(clip, valid=never)])


def test_stills_are_single_frames(clips):
    (clip, *_) = clips
    windows = Recorded([replace(clip, fps=None)]).draw(20, 3, np.random.default_rng(4))
    np.testing.assert_array_equal(windows.joints_camera, np.repeat(windows.joints_camera[:, :1], 3, axis=1))


def test_windows_of_2d_alone_have_no_3d(clips):
    (clip, *_) = clips
    unknown = replace(clip, joints_camera=None, known=None, camera=None)
    with pytest.raises(InputError, match="frames with 17 joints in 2D and a camera, got none"):
        Recorded([unknown], see_3d=False)
    known = Recorded([clip], see_3d=False).draw(50, 9, np.random.default_rng(5))
    same = Recorded([clip]).draw(50, 9, np.random.default_rng(5))
    np.testing.assert_array_equal(known.keypoints, same.keypoints)
    assert np.isnan(known.joints_camera).all() and np.isfinite(same.joints_camera).all()
    # Before an unknown camera the pose in the picture is left, in the middle.
    far = Recorded([unknown], see_3d=False, need_camera=False).draw(50, 1, np.random.default_rng(6))
    np.testing.assert_allclose(far.keypoints[:, :, 0], 500)
    pose = normalised_poses([unknown])
    for drawn in RECIPES["gan"].prepare(far, {})["inputs"].reshape(50, 17, 2):
        both = np.stack([drawn, drawn[SET.flip_permutation, :] * (-1, 1)])
        assert np.abs(both[:, None] - pose).max((2, 3)).min() < 1e-4


def test_normalised_poses():
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 900, (20, 17, 2))
    keypoints[3, 4] = np.nan
    (clip,) = training_clips([Recording("MPII", keypoints=keypoints, stills=True)])
    poses = normalised_poses([clip])
    assert poses.shape == (19, 17, 2)
    np.testing.assert_allclose(poses[:, 0], 0)
    np.testing.assert_allclose(np.linalg.norm(poses[:, 1:], axis=-1).mean(-1), 1)
    with pytest.raises(InputError, match="frames with 17 joints in 2D, got none"):
        normalised_poses([])
