"""The demo's twin as a camera sees it that turns, zooms and travels, with the camera's exact path."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from posemill.camera import Camera
from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.formats.camera_path import CameraPath
from posemill.provenance import StageRequest
from posemill.skeleton import JOINT_SETS
from posemill.stages import gather, merge, place

DEMO = Path(__file__).parents[1] / "resources/demo/S9/truth.h5"
CLIP = "walk_and_turn_cam1"
SEEN, LIFTED = JOINT_SETS["posemill28"], JOINT_SETS["posemill21"]


@cache
def truth() -> Clip:
    """The clip from its camera that stands still."""
    return read(DEMO, "truth3d").clips[CLIP]


def path_of(*, pan_deg: float = 25.0, zoom: float = 1.3, travel_m: float = 0.0) -> CameraPath:
    """A camera that swings about the demo's camera, a whole turn of the swing within the clip."""
    clip = truth()
    camera, time = clip.camera, clip.time
    assert camera is not None and camera.R is not None
    phase = 2 * np.pi * time / time[-1]
    turns = np.radians(np.stack([4 * np.sin(2 * phase), pan_deg * np.sin(phase), 2 * np.cos(phase)], -1))
    k = np.repeat(camera.K[None], len(time), 0)
    k[:, :2, :2] *= (zoom ** np.sin(phase + 1))[:, None, None]
    r = Rotation.from_rotvec(turns).as_matrix() @ camera.R
    way = np.stack([np.sin(phase), 0.3 * np.cos(phase), 0.4 * np.sin(phase)], -1) * travel_m
    centre = camera.centre + way @ camera.R
    return CameraPath(time, r, centre, True, k, camera.dist, (camera.width, camera.height))


def filmed(path: CameraPath) -> np.ndarray:
    """Exact keypoints (T, 28, 2) px of the video that a camera on this path takes."""
    joints = next(iter(truth().tracks.values())).arrays["joints"].astype(np.float64)
    assert path.centre is not None and path.K is not None and path.dist is not None and path.size is not None
    frames = zip(path.R, path.centre, path.K, joints, strict=True)
    return np.stack([Camera(*path.size, k, path.dist).project((one - c) @ r.T) for r, c, k, one in frames])


def detections(file: Path, keypoints: np.ndarray, size: tuple[int, int] | None = None) -> Path:
    """Write a detections2d artifact of the clip with these keypoints, sigma 1 px."""
    flags = np.isfinite(keypoints).all(-1)
    box = np.concatenate([np.nanmin(keypoints, 1), np.nanmax(keypoints, 1)], -1)
    score, sigma = flags * 0.9, np.where(flags, 1.0, np.nan)
    arrays = {"keypoints": keypoints, "score": score, "sigma": sigma, "valid": flags, "bbox": box}
    clip = replace(truth(), image_size=size or truth().image_size, camera=None, tracks={"p1": Track(arrays)}, attrs={})
    write(file, Artifact("detections2d", "S9", SEEN.name, {CLIP: clip}))
    return file


def chain(folder: Path, found: Path, given: dict[str, object], turns: np.ndarray | None = None) -> Artifact:
    """gather, place and merge of detections, with exact poses in the axes of the gathered camera.

    ``turns`` (T, 3, 3): of the frames from the demo's camera, where the gathered one has no place in the world.
    """
    request = StageRequest("gather", options={"cutoff_hz": None, "jump": None}, sheet={"clips": {CLIP: given}})
    gather.run([found], folder / "keypoints2d.h5", request)
    seen = read(folder / "keypoints2d.h5", "keypoints2d").clips[CLIP]
    assert seen.camera is not None, seen.reason
    joints = next(iter(truth().tracks.values())).arrays["joints"].astype(np.float64)[:, SEEN.indices(LIFTED.joints)]
    demo = truth().camera
    assert demo is not None and demo.R is not None
    r = demo.R if seen.camera.R is None else seen.camera.R
    if turns is not None and seen.motion is not None:
        r = Rotation.from_matrix(seen.motion.turn @ turns).mean().as_matrix() @ demo.R
    pose = (joints - joints[:, :1]) @ r.T
    flags = np.ones(pose.shape[:2], dtype=bool)
    arrays = {"joints_relative": pose, "sigma": 0.01 + 0 * pose, "valid": flags}
    lifted = replace(seen, camera=None, motion=None, tracks={"p1": Track(arrays)}, attrs={})
    write(folder / "lifted3d.h5", Artifact("lifted3d", "S9", LIFTED.name, {CLIP: lifted}))
    paths = [folder / f"{name}.h5" for name in ("keypoints2d", "lifted3d", "placed3d", "merged3d")]
    place.run(*paths[:3], StageRequest("place", sheet={"height_m": 1.75}))
    merge.run(*paths, StageRequest("merge"))
    return read(paths[-1], "merged3d")


def root_error_m(merged: Artifact) -> np.ndarray:
    """(T,) distance of the root from the true one in the world."""
    true = next(iter(truth().tracks.values())).arrays["joints"].astype(np.float64)[:, 0]
    return np.linalg.norm(merged.clips[CLIP].tracks["p1"].arrays["root"] - true, axis=-1)
