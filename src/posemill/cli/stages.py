"""Commands that run one stage on files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from posemill.cli.common import NewClip, Options, Output, Stage, app, clip_sheet, said, stage_request
from posemill.clip_sources import parse_box
from posemill.errors import InputError, expected


@app.command
def detect(
    video: Path,
    truth: Path | None = None,
    *,
    output: Output,
    detector: str = "mediapipe",
    new: NewClip | None = None,
    peaks: Path | None = None,
    option: Options = None,
    stage: Stage = None,
) -> None:
    """Find 2D keypoints in one video, image or folder of images.

    Parameters
    ----------
    video
        Video file, image, or folder of images.
    truth
        File of kind truth3d, for the detectors exact and noisy.
    detector
        Which detector (posemill list detectors).
    peaks
        What th predict.lua found in this clip's crops, for the detector hourglass_torch7.
    """
    from posemill.stages import detect as run

    sheet = clip_sheet(video, detector, new)
    run.run(video, output, stage_request("detect", stage, detector, option, sheet), truth, peaks)
    _tell_failed(output, "detections2d", stage)


@app.command(name="camera")
def pan(
    video: Path,
    detections: Path,
    *,
    output: Output,
    calibration: Path | None = None,
    camera: str | None = None,
    focal_px: float | None = None,
    fov_deg: float | None = None,
    start_s: float | None = None,
    stage: Stage = None,
) -> None:
    """Find how a camera panned, tilted and zoomed, from the background of one video.

    Parameters
    ----------
    video
        Video file.
    detections
        File that posemill detect wrote of it: the people are left out.
    calibration, camera
        Calibration file and the camera's name in it: the lens, if it does not zoom.
    focal_px, fov_deg
        Focal length, or horizontal field of view, where there is no calibration.
    start_s
        What detect was told.
    """
    from posemill.stages import camera as run

    sheet: dict[str, Any] = {}
    if stage is None:
        calibrated = None if calibration is None else str(calibration)
        lens = {"camera": camera, "calibration": calibrated, **said(focal_px=focal_px, fov_deg=fov_deg)}
        sheet = {"lens": lens, **said(start_s=start_s)}
    run.run(video, detections, output, stage_request("camera", stage, "", None, sheet))


@app.command
def depth(
    video: Path,
    detections: Path,
    *,
    output: Output,
    model: Path | None = None,
    start_s: float | None = None,
    option: Options = None,
    stage: Stage = None,
) -> None:
    """Ask a metric depth network how far away the people of one clip are; posemill skeleton takes metres from it.

    Parameters
    ----------
    video
        Video file, image, or folder of images.
    detections
        File that posemill detect wrote of it.
    model
        Folder of the network as transformers saves it; nothing is downloaded.
    start_s
        What detect was told.
    """
    from posemill.stages import depth as run

    options = [*(option or []), *([f"model={model}"] if model else [])]
    run.run(video, detections, output, stage_request("depth", stage, "", options, said(start_s=start_s)))


@app.command
def gather(
    detections: list[Path],
    *,
    output: Output,
    calibration: Path | None = None,
    camera: str | None = None,
    focal_px: float | None = None,
    fov_deg: float | None = None,
    camera_path: Path | None = None,
    subject_box: str | None = None,
    option: Options = None,
    stage: Stage = None,
) -> None:
    """Collect one subject's clips, clean the tracks and attach the cameras.

    Parameters
    ----------
    detections
        Files that posemill detect wrote.
    calibration, camera
        Calibration file and the camera's name in it, for all these clips.
    focal_px, fov_deg
        Focal length, or horizontal field of view, where there is no calibration.
    camera_path
        Where a camera that moves was: a TUM trajectory, or JSON as posemill camera writes it.
    subject_box
        Who it is where several people are seen: left,top,right,bottom in px, or seconds:left,top,right,bottom.
    """
    from posemill.formats import artifact
    from posemill.stages import gather as run

    sheet: dict[str, Any] = {}
    if stage is None:
        calibrated = None if calibration is None else str(calibration)
        given: dict[str, Any] = {"camera": camera, "calibration": calibrated}
        given |= said(focal_px=focal_px, fov_deg=fov_deg)
        if camera_path is not None:
            given["camera_path"] = str(camera_path)
        if subject_box is not None:
            parse_box(subject_box)
            given["subject_box"] = subject_box
        sheet = {"clips": {clip: given for path in detections for clip in artifact.read(path, "detections2d").clips}}
    run.run(detections, output, stage_request("gather", stage, "", option, sheet))
    _tell_failed(output, "keypoints2d", stage)


@app.command
def lift(
    keypoints2d: Path,
    *,
    output: Output,
    lifter: str = "posemill",
    pose3d: Annotated[list[str] | None, Parameter(negative="")] = None,
    option: Options = None,
    stage: Stage = None,
) -> None:
    """Lift 2D keypoints to root-relative 3D poses.

    Parameters
    ----------
    keypoints2d
        File that posemill gather wrote.
    lifter
        Which lifter (posemill list lifters).
    pose3d
        CLIP=FILE: poses that another system made of that clip (TRC, BVH, npz, an artifact), taken instead; may be
        repeated.
    """
    from posemill.stages import lift as run

    given = {clip: file for clip, _, file in (text.partition("=") for text in pose3d or [])}
    if not all(given.values()):
        raise InputError(expected("--pose3d", "CLIP=FILE", ", ".join(pose3d or [])))
    sheet = {"pose3d": given} if given else {}
    run.run(keypoints2d, output, stage_request("lift", stage, lifter, option, sheet))
    _tell_failed(output, "lifted3d", stage)


@app.command
def place(
    keypoints2d: Path,
    lifted3d: Path,
    *,
    output: Output,
    skeleton: Path | None = None,
    height_m: float | None = None,
    camera_height_m: float | None = None,
    one_camera: Annotated[bool, Parameter(negative="")] = False,
    option: Options = None,
    stage: Stage = None,
) -> None:
    """Find the camera-to-body translation and the camera's place in the world; metres, too, without a skeleton.

    Parameters
    ----------
    keypoints2d, lifted3d
        Files that posemill gather and posemill lift wrote.
    skeleton
        File that posemill skeleton wrote of the same person; without, the bones are measured over these clips.
    height_m, camera_height_m
        The person's height, barefoot; the camera's above the floor. For the metres where there is no skeleton.
    one_camera
        All clips are from one camera that was not moved between them.
    """
    from posemill.stages import place as run

    if skeleton and (height_m, camera_height_m) != (None, None):
        raise InputError(expected("place", "--skeleton, or heights for the metres without one", "both"))
    sheet = {} if stage else _bodily(keypoints2d, height_m, camera_height_m, one_camera)
    run.run(keypoints2d, lifted3d, output, stage_request("place", stage, "", option, sheet), skeleton)
    _tell_failed(output, "placed3d", stage)


@app.command
def skeleton(
    keypoints2d: Path,
    lifted3d: Path,
    depths: list[Path] | None = None,
    *,
    output: Output,
    height_m: float | None = None,
    camera_height_m: float | None = None,
    one_camera: Annotated[bool, Parameter(negative="")] = False,
    option: Options = None,
    stage: Stage = None,
) -> None:
    """Measure a person's bones over all clips, in metres.

    Parameters
    ----------
    keypoints2d, lifted3d
        Files that posemill gather and posemill lift wrote.
    depths
        Files that posemill depth wrote of these clips.
    height_m, camera_height_m
        The person's height, barefoot; the camera's above the floor.
    one_camera
        All clips are from one camera that was not moved between them.
    """
    from posemill.stages import skeleton as run

    sheet = {} if stage else _bodily(keypoints2d, height_m, camera_height_m, one_camera)
    run.run(keypoints2d, lifted3d, output, stage_request("skeleton", stage, "", option, sheet), depths or [])


def _tell_failed(output: Path, kind: str, stage: str | None) -> None:
    """Say by hand which clips failed; a workflow says it at its end."""
    from posemill.formats import artifact

    for name, clip in artifact.read(output, kind).clips.items() if stage is None else ():
        if clip.status == "failed":
            print(f"posemill: {output}: clip {name} failed: {clip.reason}", file=sys.stderr)


def _bodily(
    keypoints2d: Path, height_m: float | None, camera_height_m: float | None, one_camera: bool
) -> dict[str, Any]:
    """Say of a file's clips what a sheet would say."""
    from posemill.formats import artifact

    numbers = said(height_m=height_m, camera_height_m=camera_height_m)
    clips = sorted(artifact.read(keypoints2d, "keypoints2d").clips)
    return {
        "height_m": numbers["height_m"],
        "camera_heights_m": dict.fromkeys(clips, camera_height_m) if camera_height_m else {},
        "cameras": dict.fromkeys(clips, clips[0]) if one_camera and clips else {},
    }


@app.command
def merge(
    keypoints2d: Path, lifted3d: Path, placed3d: Path, *, output: Output, option: Options = None, stage: Stage = None
) -> None:
    """Put pose and translation together into one animation.

    Parameters
    ----------
    keypoints2d, lifted3d, placed3d
        Files that posemill gather, lift and place wrote.
    """
    from posemill.stages import merge as run

    run.run(keypoints2d, lifted3d, placed3d, output, stage_request("merge", stage, "", option))
    _tell_failed(output, "merged3d", stage)


@app.command
def publish(merged3d: Path, *, output: Output, stage: Stage = None) -> None:
    """Check a merged animation and copy it to its public name.

    Parameters
    ----------
    merged3d
        File that posemill merge wrote.
    """
    from posemill.stages import publish as run

    stage_request("publish", stage)
    run.run(merged3d, output)


@app.command
def calibration(poses3d: Path, *, output: Output) -> None:
    """Write where a subject's cameras stand, so that other people before them are put into the same world.

    Parameters
    ----------
    poses3d
        File that posemill merge or publish wrote.
    """
    from posemill.stages import calibration as run

    for clip, reason in run.run(poses3d, output).items():
        print(f"posemill: {poses3d}: {clip} is not in {output}: {reason}", file=sys.stderr)
