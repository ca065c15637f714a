"""``posemill twin``: film the twin, and write videos, calibrations, truth and clip sheet of a subject."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from posemill.camera import Camera
from posemill.clips import COLUMNS
from posemill.errors import InputError
from posemill.formats.artifact import Artifact, Clip, Track, write
from posemill.formats.atomic import write_bytes
from posemill.formats.calibration import write_calibration
from posemill.progress import progress
from posemill.twin.body import JOINT_SET, Body, Pose
from posemill.twin.cameras import studio
from posemill.twin.motions import BOX, MOTIONS, animate
from posemill.twin.render import Renderer, pyvista
from posemill.twin.scene import box_mesh, room
from posemill.twin.shape import Shape, build
from posemill.twin.video import write_video
from posemill.twin.visibility import visible

__all__ = ["film", "run"]


def run(
    output_dir: Path,
    *,
    subject: str = "S9",
    motions: Sequence[str] = ("walk_and_turn", "squat_and_reach"),
    cameras: int = 2,
    height_m: float = 1.75,
    duration_s: float = 7.0,
    fps: float = 30.0,
    width: int = 640,
    height: int = 480,
    seed: int = 0,
    crf: int = 23,
) -> Path:
    """Make a subject with exact truth.

    Parameters
    ----------
    output_dir
        Gets ``clips.tsv``, and a folder of the subject's name with ``{motion}_{camera}.mp4``, ``{camera}.json`` and
        ``truth.h5``.
    subject
        Its id.
    motions
        Names in :data:`posemill.twin.motions.MOTIONS`.
    cameras
        How many film each motion, at once.
    height_m
        Stature: barefoot, floor to head top. The shoes' soles add 22 mm to the standing figure.
    duration_s, fps
        Of every clip.
    width, height
        Picture size in pixels, even.
    seed
        Of the room's looks.
    crf
        Quality of the video, x264's constant rate factor.

    Returns
    -------
    The clip sheet's path.

    Raises
    ------
    MissingError
        PyVista is not installed.
    InputError
        Unknown motion, impossible number, or the folder cannot be written.
    """
    pyvista()
    _check(motions, cameras, duration_s, fps, width, height)
    body = Body.of_height(height_m)
    shape = build(body)
    folder = Path(output_dir) / subject
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: expected a folder that can be written, got: {error.strerror}") from error
    views = studio(cameras, width, height)
    panels = room(seed)
    time = np.arange(round(duration_s * fps)) / fps
    truth = Artifact("truth3d", subject, JOINT_SET, attrs={"height_m": height_m})
    rows = []
    for name, camera in views.items():
        write_calibration(folder / f"{name}.json", camera)
    for motion in motions:
        pose = animate(motion, body, time)
        box = BOX if motion == "step_up" else None
        for name, camera in views.items():
            clip_id = f"{motion}_{name}"
            seen: list[np.ndarray] = []
            with Renderer(camera, panels, box) as renderer:
                frames = film(renderer, shape, body, pose, camera, seen, box)
                write_video(folder / f"{clip_id}.mp4", progress(frames, len(time), clip_id), fps, crf=crf)
            truth.clips[clip_id] = _truth(body, pose, camera, np.stack(seen), time, fps)
            rows.append(
                {
                    "subject": subject,
                    "clip": clip_id,
                    "video": f"{subject}/{clip_id}.mp4",
                    "kind": "video",
                    "camera": name,
                    "calibration": f"{subject}/{name}.json",
                    "height_m": f"{height_m:g}",
                    "fps": f"{fps:g}",
                    "truth": f"{subject}/truth.h5",
                }
            )
    write(folder / "truth.h5", truth)
    sheet = Path(output_dir) / "clips.tsv"
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS, delimiter="\t", lineterminator="\n", restval="")
    table.writeheader()
    table.writerows(rows)
    write_bytes(sheet, text.getvalue().encode())
    return sheet


def film(
    renderer: Renderer,
    shape: Shape,
    body: Body,
    pose: Pose,
    camera: Camera,
    seen: list[np.ndarray],
    box: tuple[float, float, float, float, float] | None = None,
) -> Iterator[np.ndarray]:
    """Pictures (H, W, 3) uint8 RGB, frame by frame; appends each frame's visibility (28,) to ``seen``."""
    renderer.add_mesh(shape.points, shape.triangles, shape.colours)
    joints = camera.world_to_camera(body.joints(pose))
    triangles, owners = shape.triangles, shape.owners
    corners = np.zeros((0, 3))
    if box is not None:
        corners, sides = box_mesh(box)
        triangles = np.concatenate([triangles, sides + len(shape.points)])
        owners = np.concatenate([owners, np.full(len(sides), -1)])
    for i in range(len(joints)):
        points, normals = shape.posed(pose, i)
        solid = camera.world_to_camera(np.concatenate([points, corners]))
        seen.append(visible(joints[i], solid, triangles, owners, camera))
        yield renderer.frame(points, normals)


def _truth(body: Body, pose: Pose, camera: Camera, seen: np.ndarray, time: np.ndarray, fps: float) -> Clip:
    joints = body.joints(pose)
    in_camera = camera.world_to_camera(joints)
    track = Track(
        {
            "keypoints": camera.project(in_camera).astype(np.float32),
            "visible": seen,
            "joints": joints.astype(np.float32),
            "joints_camera": in_camera.astype(np.float32),
            "contact": pose.contact,
        }
    )
    return Clip(
        fps=fps, image_size=(camera.width, camera.height), time=time, camera=replace(camera), tracks={"p1": track}
    )


def _check(motions: Sequence[str], cameras: int, duration_s: float, fps: float, width: int, height: int) -> None:
    """Refuse what cannot be filmed before anything is built."""
    for motion in motions:
        if motion not in MOTIONS:
            raise InputError(f"unknown motion {motion!r}; known: {', '.join(sorted(MOTIONS))}")
    if not motions or cameras < 1:
        raise InputError(f"twin: expected at least one motion and one camera, got {len(motions)} and {cameras}")
    if not (fps > 0 and round(duration_s * fps) >= 1):
        raise InputError(f"twin: expected a duration and frame rate of at least one frame, got {duration_s} s at {fps}")
    if width < 64 or height < 64 or width % 2 or height % 2:
        raise InputError(f"twin: expected an even picture size of at least 64 pixels, got {width}x{height}")
