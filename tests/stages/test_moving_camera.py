"""Cameras that move, from a file: the chain from detections to the world, beside the same clip of a camera at rest."""

from __future__ import annotations

import numpy as np
import pytest

from posemill.formats.artifact import read
from posemill.formats.calibration import write_calibration
from posemill.formats.camera_path import write_camera_path
from posemill.metrics.feet import contact_score
from tests.moving_camera import CLIP, chain, detections, filmed, path_of, root_error_m, truth


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    folder = tmp_path_factory.mktemp("still")
    clip = truth()
    write_calibration(folder / "cam.json", clip.camera)
    found = detections(folder / "detect.h5", next(iter(clip.tracks.values())).arrays["keypoints"].astype(np.float64))
    return chain(folder, found, {"calibration": str(folder / "cam.json")})


@pytest.mark.parametrize("travel_m", [0.0, 1.5])
def test_the_root_is_where_a_camera_at_rest_puts_it(tmp_path, still, travel_m):
    path = path_of(travel_m=travel_m)
    write_camera_path(tmp_path / "path.json", path)
    found = detections(tmp_path / "detect.h5", filmed(path))
    merged = chain(tmp_path, found, {"camera_path": str(tmp_path / "path.json")})
    here, there = root_error_m(merged), root_error_m(still)
    assert np.isfinite(here).all()
    assert np.median(here) < 1.1 * np.median(there) + 0.001
    assert np.quantile(here, 0.95) < 1.1 * np.quantile(there, 0.95) + 0.002
    clip = merged.clips[CLIP]
    assert clip.motion is not None and clip.motion.travels == (travel_m > 0)
    true = next(iter(truth().tracks.values())).arrays["contact"].reshape(-1, 2, 2).any(-1)
    assert (contact_score(clip.tracks["p1"].arrays["contact"], true).f1 > 0.95).all()


def test_frames_outside_the_path_are_unknown(tmp_path):
    path = path_of()
    part = path._every(np.arange(30, len(path.time)))
    write_camera_path(tmp_path / "path.json", part)
    found = detections(tmp_path / "detect.h5", filmed(path))
    merged = chain(tmp_path, found, {"camera_path": str(tmp_path / "path.json")})
    valid = merged.clips[CLIP].tracks["p1"].arrays["valid"].any(-1)
    assert not valid[:30].any() and valid[30:].all()
    attrs = read(tmp_path / "keypoints2d.h5").clips[CLIP].attrs
    assert attrs["cleaning"]["camera_unknown_frames"] == 30


def test_a_path_of_another_time_fails_the_clip_alone(tmp_path):
    path = path_of()
    late = path._every(np.arange(len(path.time)))
    late.time[:] += 1e9
    write_camera_path(tmp_path / "path.json", late)
    found = detections(tmp_path / "detect.h5", filmed(path))
    with pytest.raises(AssertionError, match="count its times from the video's first frame"):
        chain(tmp_path, found, {"camera_path": str(tmp_path / "path.json")})
