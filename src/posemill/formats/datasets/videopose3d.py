"""VideoPose3D's archives.

``data_3d_h36m.npz``: ``positions_3d`` = {subject: {action: (F, 32, 3) float32}}, metres, world.
``data_2d_h36m_{detector}.npz``: ``positions_2d`` = {subject: {action: [of four cameras (F, J, 2 or 3) px]}} and
``metadata`` with ``num_joints`` and ``keypoints_symmetry``. A third column is the score. Detections may be some frames
longer than the motion capture. ``data_2d_custom_{name}.npz``: {video: {"custom": [(F, 17, 2)]}} with
``video_metadata``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posemill.camera import Camera
from posemill.errors import InputError, expected
from posemill.formats.datasets.human36m import CAMERAS, FPS, H36MCamera, action_name, camera_of, damaged, project
from posemill.formats.datasets.objects import read_npz_objects
from posemill.formats.datasets.recording import Recording
from posemill.skeleton import joint_set

__all__ = ["read_videopose3d", "read_videopose3d_custom"]


def read_videopose3d(
    data_3d: Path | None,
    data_2d: Path | None = None,
    cameras: Mapping[tuple[str, str], H36MCamera] | None = None,
    *,
    keep_damaged: bool = False,
) -> list[Recording]:
    """One recording per subject, action and camera, in the files' order.

    Parameters
    ----------
    data_3d, data_2d
        Either may be missing. Without ``data_2d`` the keypoints are the 3D projected by the dataset's own model.
    cameras
        Of :func:`~posemill.formats.datasets.human36m.read_cameras`; needed for 3D, which is in world axes.
    keep_damaged
        Keep S11's Directions.

    Raises
    ------
    InputError
        Another layout, or 3D without cameras.
    """
    if data_3d is None and data_2d is None:
        raise InputError(expected("dataset", "data_3d_*.npz, data_2d_*.npz or both", "neither"))
    if data_3d is not None and cameras is None:
        raise InputError(expected("cameras", "metadata.xml or cameras.h5, for 3D in world axes", "none", where=data_3d))
    world = _positions(data_3d, "positions_3d") if data_3d is not None else None
    flat, joints_of = None, ""
    if data_2d is not None:
        arrays = read_npz_objects(data_2d)
        flat, joints_of = _positions(data_2d, "positions_2d", arrays), _layout(arrays, data_2d)
    out = []
    for subject, actions in (world if world is not None else flat or {}).items():
        for action in actions:
            if damaged(subject, action) and not keep_damaged:
                continue
            place = _world(world, subject, action, data_3d)
            views = _views(flat, subject, action, data_2d)
            if (data_2d is not None and views is None) or (data_3d is not None and place is None):
                continue
            for number, (name, size) in enumerate(CAMERAS.items()):
                if views is not None and number >= len(views):
                    continue
                inner = camera_of(cameras, subject, name, data_3d or data_2d)
                joints = None if place is None or inner is None else inner.to_camera(place)
                keypoints, score = None, None
                if views is not None:
                    keypoints, score = _keypoints(views[number], joints_of, f"{data_2d}: {subject} {action}")
                elif joints is not None and inner is not None:
                    keypoints, joints_of = project(inner, joints), "h36m32"
                if joints is not None and keypoints is not None:
                    frames = min(len(joints), len(keypoints))
                    joints, keypoints = joints[:frames], keypoints[:frames]
                    score = score if score is None else score[:frames]
                out.append(
                    Recording(
                        "Human3.6M",
                        subject,
                        action_name(action),
                        name,
                        keypoints_of=joints_of,
                        keypoints=keypoints,
                        score=score,
                        joints_of="h36m32",
                        joints=joints,
                        camera=None if inner is None else inner.camera,
                        image_size=size,
                        fps=FPS,
                        exact=views is None,
                    )
                )
    return out


def read_videopose3d_custom(path: Path, fps: float | None = None) -> list[Recording]:
    """2D of anybody's videos; cameras are unknown, picture sizes are not.

    Raises
    ------
    InputError
        Another layout.
    """
    arrays = read_npz_objects(path)
    joints_of = _layout(arrays, path)
    sizes = (arrays.get("metadata") or {}).get("video_metadata")
    if not isinstance(sizes, dict):
        raise InputError(expected("metadata", "video_metadata with w and h", "none", where=path))
    out = []
    for video, actions in _positions(path, "positions_2d", arrays).items():
        for action, views in actions.items():
            size = sizes.get(video)
            for number, view in enumerate(views if isinstance(views, list) else [views]):
                if not isinstance(size, dict) or not {"w", "h"} <= set(size):
                    raise InputError(expected(f"video_metadata of {video}", "w and h", "none", where=path))
                keypoints, score = _keypoints(view, joints_of, f"{path}: {video} {action}")
                width, height = int(size["w"]), int(size["h"])
                out.append(
                    Recording(
                        "custom",
                        str(video),
                        "" if action == "custom" else str(action),
                        str(number) if number else "",
                        keypoints_of=joints_of,
                        keypoints=keypoints,
                        score=score,
                        camera=Camera.prior(width, height),
                        image_size=(width, height),
                        fps=fps,
                    )
                )
    return out


def _positions(path: Path | None, key: str, arrays: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    arrays = read_npz_objects(Path(path or "")) if arrays is None else arrays
    found = arrays.get(key)
    if not isinstance(found, dict) or not all(isinstance(actions, dict) for actions in found.values()):
        got = ", ".join(arrays) or "nothing"
        raise InputError(expected("arrays", f"{key} with subjects and actions", got, where=path))
    return found


def _world(world: dict[str, Any] | None, subject: str, action: str, path: Path | None) -> np.ndarray | None:
    place = (world or {}).get(subject, {}).get(action)
    if place is None:
        return None
    if not isinstance(place, np.ndarray) or place.ndim != 3 or place.shape[1:] != (32, 3):
        got = getattr(place, "shape", type(place).__name__)
        raise InputError(expected(f"{subject} {action}", "(F, 32, 3)", got, where=path))
    return place.astype(np.float32)


def _views(flat: dict[str, Any] | None, subject: str, action: str, path: Path | None) -> list[Any] | None:
    views = (flat or {}).get(subject, {}).get(action)
    if views is None:
        return None
    if isinstance(views, np.ndarray) and views.ndim == 4:
        views = list(views)
    if not isinstance(views, list):
        raise InputError(expected(f"{subject} {action}", "a list of cameras", type(views).__name__, where=path))
    return views


def _keypoints(view: Any, joints_of: str, where: str) -> tuple[np.ndarray, np.ndarray | None]:
    count = len(joint_set(joints_of))
    if not isinstance(view, np.ndarray) or view.ndim != 3 or view.shape[1] != count or view.shape[2] not in (2, 3):
        got = getattr(view, "shape", type(view).__name__)
        raise InputError(expected(f"keypoints of {joints_of}", f"(F, {count}, 2 or 3)", got, where=where))
    points = view[..., :2].astype(np.float32)
    return points, view[..., 2].astype(np.float32) if view.shape[2] == 3 else None


# First of the left joints' numbers tells layouts of equal size apart.
_LAYOUTS = {(17, 1): "coco17", (17, 4): "h36m17", (16, 3): "mpii16", (16, 4): "h36m16", (32, 6): "h36m32"}


def _layout(arrays: dict[str, Any], path: Path) -> str:
    """Joint set by ``keypoints_symmetry`` and the number of joints."""
    metadata = arrays.get("metadata")
    symmetry = metadata.get("keypoints_symmetry") if isinstance(metadata, dict) else None
    count = metadata.get("num_joints") if isinstance(metadata, dict) else None
    try:
        first = min(int(n) for n in np.ravel(np.asarray(symmetry[0]))) if symmetry else -1
        key = (int(count), first) if count else (0, first)
    except (TypeError, ValueError, IndexError):
        key = (0, -1)
    if key not in _LAYOUTS:
        want = "num_joints and keypoints_symmetry of " + ", ".join(dict.fromkeys(_LAYOUTS.values()))
        raise InputError(expected("metadata", want, f"{key[0]} joints, first left one {key[1]}", where=path))
    return _LAYOUTS[key]
