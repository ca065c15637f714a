"""``posemill twin``: film the twin, and write videos, calibrations, truth and clip sheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from posemill.camera import Camera
from posemill.clip_sources import COLUMNS
from posemill.errors import InputError, expected
from posemill.formats.artifact import Artifact, Clip, Track, write
from posemill.formats.atomic import write_bytes
from posemill.formats.calibration import write_calibration
from posemill.formats.motion import read_motion
from posemill.progress import progress
from posemill.twin.body import JOINT_SET, Body, Pose
from posemill.twin.bystander import Bystander, walk_round
from posemill.twin.cameras import studio
from posemill.twin.captured import camera_before, draw_take
from posemill.twin.mocap import from_motion
from posemill.twin.motions import BOX, MOTIONS, animate
from posemill.twin.render import Renderer, pyvista
from posemill.twin.scene import box_mesh, room
from posemill.twin.shape import Shape, build
from posemill.twin.video import write_video
from posemill.twin.visibility import visible

__all__ = ["film", "run", "run_captured"]


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
    bystander: bool = False,
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
    bystander
        A second person walks round the subject; the truth is the subject's alone.

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
            other = walk_round(time, views["cam1"]) if bystander else None
            with Renderer(camera, panels, box) as renderer:
                frames = film(renderer, shape, body, pose, camera, seen, box, other)
                write_video(folder / f"{clip_id}.mp4", progress(frames, len(time), clip_id), fps, crf=crf)
            truth.clips[clip_id] = _truth(body, pose, camera, np.stack(seen), time, fps)
            rows.append(_row(subject, clip_id, name, height_m, fps))
    write(folder / "truth.h5", truth)
    return _write_sheet(output_dir, rows)


def run_captured(
    output_dir: Path,
    captured: Path,
    *,
    clips: int,
    groups: Sequence[str] = ("train",),
    left_out: Sequence[str] = (),
    duration_s: float = 3.0,
    fps: float = 25.0,
    seed: int = 0,
    crf: int = 23,
) -> Path:
    """Film captured motion: bodies of its own sizes and of others, in other rooms, each by a camera of its own.

    Parameters
    ----------
    output_dir
        As for :func:`run`; a body is a subject of one clip, N01, N02, ...
    captured
        Motion capture: HDF5 with Human3.6M-17 joints in metres, z up.
    clips
        How many.
    groups, left_out
        Groups of the file, and subjects in them that are not filmed.
    seed
        Of motions, bodies, cameras and rooms.

    Returns
    -------
    The clip sheet's path.

    Raises
    ------
    MissingError
        PyVista is not installed.
    InputError
        The file cannot be read, or holds nobody else or nothing long enough.
    """
    pyvista()
    recordings = [m for m in read_motion(captured, groups=groups) if m.subject not in left_out]
    if not recordings or clips < 1 or not (fps > 0 and round(duration_s * fps) >= 2):
        found = f"{len(recordings)} recordings, {clips} clips of {duration_s} s at {fps}/s"
        raise InputError(expected("twin", "recordings, clips and at least two frames of each", found, where=captured))
    rng = np.random.default_rng(seed)
    time = np.arange(round(duration_s * fps)) / fps
    rows = []
    for number in range(1, clips + 1):
        subject = f"N{number:02d}"
        take = draw_take(
            [m.joints for m in recordings],
            [f"{m.group}/{m.subject}" for m in recordings],
            recordings[0].fps,
            len(time),
            fps,
            rng,
        )
        body, pose = from_motion(take.joints, fps)
        camera = camera_before(body.joints(pose), rng)
        panels = room(int(rng.integers(2**31)))
        recording = recordings[take.clip]
        clip_id = f"{recording.group}_{recording.clip}"
        folder = Path(output_dir) / subject
        folder.mkdir(parents=True, exist_ok=True)
        write_calibration(folder / "cam1.json", camera)
        seen: list[np.ndarray] = []
        with Renderer(camera, panels, None) as renderer:
            frames = film(renderer, build(body), body, pose, camera, seen)
            write_video(folder / f"{clip_id}.mp4", progress(frames, len(time), f"{subject} {clip_id}"), fps, crf=crf)
        truth = Artifact("truth3d", subject, JOINT_SET, attrs={"height_m": body.height_m})
        truth.clips[clip_id] = _truth(body, pose, camera, np.stack(seen), time, fps)
        write(folder / "truth.h5", truth)
        rows.append(_row(subject, clip_id, "cam1", body.height_m, fps))
    return _write_sheet(output_dir, rows)


def _row(subject: str, clip_id: str, camera: str, height_m: float, fps: float) -> dict[str, Any]:
    return {
        "subject": subject,
        "clip": clip_id,
        "video": f"{subject}/{clip_id}.mp4",
        "kind": "video",
        "camera": camera,
        "calibration": f"{subject}/{camera}.json",
        "height_m": f"{height_m:g}",
        "fps": f"{fps:g}",
        "truth": f"{subject}/truth.h5",
    }


def _write_sheet(output_dir: Path, rows: Sequence[dict[str, Any]]) -> Path:
    sheet = Path(output_dir) / "clips.tsv"
    text = io.StringIO(newline="")
    table: csv.DictWriter[str] = csv.DictWriter(text, COLUMNS, delimiter="\t", lineterminator="\n", restval="")
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
    other: Bystander | None = None,
) -> Iterator[np.ndarray]:
    """Pictures (H, W, 3) uint8 RGB, frame by frame; appends each frame's visibility (28,) to ``seen``."""
    solid, triangles, owners, colours = shape.points, shape.triangles, shape.owners, shape.colours
    if other is not None:
        triangles = np.concatenate([triangles, other.shape.triangles + len(solid)])
        owners = np.concatenate([owners, np.full(len(other.shape.triangles), -1)])
        colours = np.concatenate([colours, other.shape.colours])
        solid = np.concatenate([solid, other.shape.points])
    renderer.add_mesh(solid, triangles, colours)
    joints = camera.world_to_camera(body.joints(pose))
    corners = np.zeros((0, 3))
    if box is not None:
        corners, sides = box_mesh(box)
        triangles = np.concatenate([triangles, sides + len(solid)])
        owners = np.concatenate([owners, np.full(len(sides), -1)])
    for i in range(len(joints)):
        points, normals = shape.posed(pose, i)
        if other is not None:
            second = other.shape.posed(other.pose, i)
            points, normals = (np.concatenate(pair) for pair in zip((points, normals), second, strict=True))
        there = camera.world_to_camera(np.concatenate([points, corners]))
        seen.append(visible(joints[i], there, triangles, owners, camera))
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
