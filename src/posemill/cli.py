"""The command line: each stage by hand on one file, and what a user asks of the package itself.

Heavy imports happen inside the commands: ``posemill --help`` and a typo answer at once. The commands never read
``config.yaml``; a workflow hands everything over as ``--stage``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import yaml
from cyclopts import App, Parameter

from posemill import registry
from posemill.errors import InputError, PosemillError
from posemill.plan import plan
from posemill.provenance import StageRequest

app = App(
    name="posemill",
    help="From videos of a moving person to 3D animation in world coordinates.",
    help_format="plaintext",
    version_flags=["--version"],
)

Output = Annotated[Path, Parameter(name=["--output", "-o"], help="File (or folder) to write.")]
Options = Annotated[
    list[str] | None,
    Parameter(name=["--option"], help="An option of the method or stage as name=value; may be repeated.", negative=""),
]
Stage = Annotated[
    str | None, Parameter(name=["--stage"], help="Complete request, as the workflow makes it (JSON).", show=False)
]


def _options(pairs: list[str] | None) -> dict[str, Any]:
    values = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--option: expected name=value, got {pair!r}")
        values[name] = yaml.safe_load(value)
    return values


def _request(
    stage: str,
    text: str | None,
    method: str = "",
    options: list[str] | None = None,
    sheet: dict[str, Any] | None = None,
) -> StageRequest:
    """Take the workflow's request as it is, or make one from what was typed; refuse if the code here differs."""
    if text is None:
        return plan(stage, method, _options(options), sheet or {})
    request = StageRequest.from_json(text)
    if request.stage != stage:
        raise InputError(f"--stage: expected a request for {stage}, got one for {request.stage}")
    here = plan(stage, request.method, request.options, request.sheet)
    if here.code != request.code:
        raise InputError(
            f"stage {stage}: expected code {request.code}, got {here.code}: the posemill that runs here is not the one "
            "that planned the run; install the same version in both places or rebuild the image"
        )
    return request


@app.command
def detect(
    video: Path,
    *,
    output: Output,
    detector: str = "mediapipe",
    subject: str = "S1",
    clip: str = "clip",
    fps: float | None = None,
    start_s: float | None = None,
    option: Options = None,
    stage: Stage = None,
) -> None:
    """Find 2D keypoints in one video, image or folder of images.

    Parameters
    ----------
    video
        Video file, image, or folder of images.
    detector
        Which detector (posemill list detectors).
    subject, clip
        Ids in the file that is written.
    fps
        Overrides the frame rate that the video states.
    start_s
        Skip what comes before, in seconds.
    """
    from posemill.clips import IMAGES
    from posemill.stages import detect as run

    kind = "stills" if video.is_dir() or video.suffix.lower() in IMAGES else "video"
    sheet = {"subject": subject, "clip": clip, "kind": kind, "fps": fps, "start_s": start_s}
    run.run(video, output, _request("detect", stage, detector, option, sheet))


@app.command
def gather(
    detections: list[Path],
    *,
    output: Output,
    calibration: Path | None = None,
    camera: str | None = None,
    focal_px: float | None = None,
    fov_deg: float | None = None,
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
    """
    from posemill.formats import artifact
    from posemill.stages import gather as run

    sheet: dict[str, Any] = {}
    if stage is None:
        calibrated = None if calibration is None else str(calibration)
        given = {"camera": camera, "calibration": calibrated, "focal_px": focal_px, "fov_deg": fov_deg}
        sheet = {"clips": {clip: given for path in detections for clip in artifact.read(path, "detections2d").clips}}
    run.run(detections, output, _request("gather", stage, "", option, sheet))


@app.command
def lift(
    keypoints2d: Path, *, output: Output, lifter: str = "linear", option: Options = None, stage: Stage = None
) -> None:
    """Lift 2D keypoints to root-relative 3D poses.

    Parameters
    ----------
    keypoints2d
        File that posemill gather wrote.
    lifter
        Which lifter (posemill list lifters).
    """
    from posemill.stages import lift as run

    run.run(keypoints2d, output, _request("lift", stage, lifter, option))


@app.command
def place(
    keypoints2d: Path,
    lifted3d: Path,
    *,
    output: Output,
    height_m: float | None = None,
    option: Options = None,
    stage: Stage = None,
) -> None:
    """Find metric scale and camera-to-body translation, and the camera's place in the world.

    Parameters
    ----------
    keypoints2d, lifted3d
        Files that posemill gather and posemill lift wrote.
    height_m
        The person's height, barefoot.
    """
    from posemill.stages import place as run

    run.run(keypoints2d, lifted3d, output, _request("place", stage, "", option, {"height_m": height_m}))


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

    run.run(keypoints2d, lifted3d, placed3d, output, _request("merge", stage, "", option))


@app.command
def publish(merged3d: Path, *, output: Output, stage: Stage = None) -> None:
    """Check a merged animation and copy it to its public name.

    Parameters
    ----------
    merged3d
        File that posemill merge wrote.
    """
    from posemill.stages import publish as run

    _request("publish", stage)
    run.run(merged3d, output)


@app.command
def export(poses3d: Path, *, output: Output, format: str = "bvh", option: Options = None, stage: Stage = None) -> None:
    """Write an animation in another program's format, one file per clip and person.

    Parameters
    ----------
    poses3d
        File that posemill merge or publish wrote.
    format
        bvh or csv.
    """
    from posemill.stages import export as run

    run.run(poses3d, output, _request("export", stage, format, option))


@app.command
def evaluate(
    merged3d: Path, truth: Path, *, output: Output, keypoints2d: Path | None = None, stage: Stage = None
) -> None:
    """Compare an animation with the truth: a table, and JSON with the protocol of every number.

    Parameters
    ----------
    merged3d
        File that posemill merge or publish wrote.
    truth
        File of kind truth3d (posemill twin writes one).
    keypoints2d
        Adds the error of the 2D keypoints.
    """
    from posemill.stages import evaluate as run

    run.run(merged3d, truth, output, _request("evaluate", stage), keypoints2d)


@app.command
def picture(video: Path, keypoints2d: Path, merged3d: Path, *, output: Output, clip: str, stage: Stage = None) -> None:
    """Draw a frame with its 2D keypoints beside the 3D pose.

    Parameters
    ----------
    video, keypoints2d, merged3d
        The source and what was made of it.
    clip
        Which clip of the files.
    """
    from posemill.stages import picture as run

    run.run(video, keypoints2d, merged3d, clip, output, _request("picture", stage))


@app.command
def summary(merged3d: list[Path], *, output: Output, stage: Stage = None) -> None:
    """Tabulate all clips of all subjects: status, length, validity, frame, sigma.

    Parameters
    ----------
    merged3d
        Files that posemill merge or publish wrote.
    """
    from posemill.stages import summary as run

    _request("summary", stage)
    run.run(merged3d, output)


@app.command
def check(table: Path) -> None:
    """End with an error that names the failed clips of a summary, if there are any.

    Parameters
    ----------
    table
        File that posemill summary wrote.
    """
    from posemill.stages import summary as run

    run.check(table)


@app.command
def twin(
    output: Path,
    *,
    subject: str = "S9",
    motion: Annotated[list[str] | None, Parameter(negative="")] = None,
    cameras: int = 2,
    height_m: float = 1.75,
    duration_s: float = 7.0,
    fps: float = 30.0,
    width: int = 640,
    height: int = 480,
    seed: int = 0,
) -> None:
    """Make a synthetic subject: rendered videos with exact truth, cameras and a clip sheet.

    Parameters
    ----------
    output
        Folder to write.
    motion
        Which motions (walk_and_turn, squat_and_reach, wave, step_up); may be repeated.
    cameras
        Number of calibrated cameras around the body.
    height_m
        Stature of the body, barefoot.
    width, height
        Image size in pixels.
    """
    from posemill.stages import twin as run

    run.run(
        output,
        subject=subject,
        motions=tuple(motion or ("walk_and_turn", "squat_and_reach")),
        cameras=cameras,
        height_m=height_m,
        duration_s=duration_s,
        fps=fps,
        width=width,
        height=height,
        seed=seed,
    )


@app.command
def train(
    name: str,
    *,
    motion: Path,
    output: Output,
    seed: int = 0,
    option: Options = None,
) -> None:
    """Train a method's weights.

    Parameters
    ----------
    name
        Which lifter (linear).
    motion
        Motion capture: HDF5 with Human3.6M-17 joints in metres, z up.
    seed
        Of weights, cameras, noise and order.
    """
    from posemill.stages import train as run

    run.run(name, motion, output, seed=seed, options=_options(option))


@app.command(name="list")
def list_(kind: str = "all") -> None:
    """List what is installed.

    Parameters
    ----------
    kind
        detectors, lifters or all.
    """
    from posemill.stages import inventory

    if kind not in ("all", *registry.KINDS):
        raise InputError(f"list: expected all, {' or '.join(registry.KINDS)}, got {kind!r}")
    inventory.print_methods(registry.KINDS if kind == "all" else (kind,))


@app.command
def doctor() -> None:
    """Say what this machine can run, and what is missing for what."""
    from posemill.stages import inventory

    inventory.print_doctor()


def main(arguments: list[str] | None = None) -> None:
    """Run one command; an expected error is one line on standard error and exit code 1."""
    try:
        app(arguments)
    except PosemillError as error:
        print(f"posemill: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
