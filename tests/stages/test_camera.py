"""camera: the demo's film, panned and zoomed by exact warps, from its pixels to the root's path."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posemill.errors import ArtifactError
from posemill.formats.artifact import Artifact, read, write
from posemill.formats.calibration import write_calibration
from posemill.formats.camera_path import read_camera_path
from posemill.media import frames
from posemill.provenance import StageRequest
from posemill.stages import camera
from posemill.twin.video import write_video
from tests.moving_camera import CLIP, DEMO, chain, detections, truth
from tests.unit.test_pan import angles_deg

SIZE, FOCAL = (400, 300), 620.0


def swing() -> tuple[np.ndarray, np.ndarray]:
    """Rotations (T, 3, 3) from the axes of the film's camera, and K (T, 3, 3): six degrees each way, zoom by 1.15."""
    phase = 2 * np.pi * truth().time / truth().time[-1]
    turns = np.stack([2 * np.cos(phase), 6 * np.sin(phase), np.sin(2 * phase)], -1)
    k = np.zeros((len(phase), 3, 3))
    k[:, 0, 0] = k[:, 1, 1] = FOCAL * 1.15 ** np.sin(phase + 2)
    k[:, :2, 2] = (np.array(SIZE) - 1) / 2
    k[:, 2, 2] = 1
    return Rotation.from_rotvec(np.radians(turns)).as_matrix(), k


@pytest.fixture(scope="module")
def panned(tmp_path_factory):
    """Folder with the film pan.mp4, exact detect.h5, and camera.json that the stage found."""
    folder = tmp_path_factory.mktemp("panned")
    still = truth().camera
    turns, k = swing()
    warps = k @ turns @ np.linalg.inv(still.K)
    shown = zip(warps, frames(DEMO.parent / f"{CLIP}.mp4"), strict=True)
    film = (cv2.warpPerspective(picture.rgb, warp, SIZE, flags=cv2.INTER_LINEAR) for warp, picture in shown)
    write_video(folder / "pan.mp4", film, 30.0, crf=20)
    keypoints = next(iter(truth().tracks.values())).arrays["keypoints"].astype(np.float64)
    seen = np.concatenate([keypoints, np.ones((*keypoints.shape[:2], 1))], -1) @ warps.transpose(0, 2, 1)
    detections(folder / "detect.h5", seen[..., :2] / seen[..., 2:], size=SIZE)
    run(folder, {"focal_px": 0.985 * FOCAL})
    return folder


def run(folder: Path, lens: dict[str, float], detect: str = "detect.h5") -> None:
    request = StageRequest("camera", sheet={"lens": lens})
    camera.run(folder / "pan.mp4", folder / detect, folder / "camera.json", request)


def test_turns_and_zoom_are_found(panned):
    path = read_camera_path(panned / "camera.json")
    turns, k = swing()
    assert path.K is not None and not path.in_world and path.centre is None
    assert angles_deg(path.R, turns).max() < 0.3
    assert np.abs(path.K[:, 0, 0] / k[:, 0, 0] - 1).max() < 0.02
    assert path.source == "sheet+background"
    about = json.loads((panned / "camera.json").read_text())["about"]
    assert about["zooms"] and about["provenance"]["inputs"].keys() == {"video", "detections"}


def test_the_root_is_where_the_film_at_rest_puts_it(panned, tmp_path):
    still = truth().camera
    write_calibration(tmp_path / "cam.json", replace(still, R=None, t=None))
    keypoints = next(iter(truth().tracks.values())).arrays["keypoints"].astype(np.float64)
    root = still.world_to_camera(next(iter(truth().tracks.values())).arrays["joints"].astype(np.float64)[:, 0])
    wide = detections(tmp_path / "detect.h5", keypoints)
    error = {}
    for folder, found, given in (
        (tmp_path, wide, {"calibration": str(tmp_path / "cam.json")}),
        (panned, panned / "detect.h5", {"camera_path": str(panned / "camera.json"), "focal_px": 0.985 * FOCAL}),
    ):
        clip = chain(folder, found, given, turns=swing()[0])
        placed = read(folder / "placed3d.h5").clips[CLIP]
        to_still = np.eye(3)
        if placed.motion is not None:
            to_still = Rotation.from_matrix(placed.motion.turn @ swing()[0]).mean().as_matrix()
        error[folder] = np.linalg.norm(placed.tracks["p1"].arrays["root_camera"] - root @ to_still.T, axis=-1)
        assert clip.clips[CLIP].attrs["world_source"] == "body"
    # Of the focal length one per cent may be wrong, and so much of the distance.
    distance = np.linalg.norm(root, axis=-1)
    assert np.median(error[panned]) < 1.1 * np.median(error[tmp_path]) + 0.02 * np.median(distance)


def test_a_clip_that_failed_is_no_run_that_failed(panned, tmp_path):
    clip = read(panned / "detect.h5").clips[CLIP]
    write(tmp_path / "detect.h5", Artifact("detections2d", "S9", "posemill28", {CLIP: clip.failed("nobody seen")}))
    (tmp_path / "pan.mp4").symlink_to(panned / "pan.mp4")
    run(tmp_path, {})
    assert json.loads((tmp_path / "camera.json").read_text())["failed"] == "nobody seen"
    both = {"a": clip.failed("x"), "b": clip.failed("y")}
    write(tmp_path / "detect.h5", Artifact("detections2d", "S9", "posemill28", both))
    with pytest.raises(ArtifactError, match="clips: expected one, got a, b"):
        run(tmp_path, {})


def test_a_background_without_texture_is_said(tmp_path):
    write_video(tmp_path / "pan.mp4", (np.full((120, 160, 3), 90, np.uint8) for _ in truth().time), 30.0)
    detections(tmp_path / "detect.h5", np.full((len(truth().time), 28, 2), 50.0), size=(160, 120))
    run(tmp_path, {})
    said = json.loads((tmp_path / "camera.json").read_text())["failed"]
    assert said.startswith("camera_moves: expected a background with 12 or more corners that can be followed, got 0")
