"""The command line: each stage by hand on one file, and what a user asks of the package itself.

Heavy imports happen inside the commands: ``posemill --help`` and a typo answer at once. The commands never read
``config.yaml``; a workflow hands everything over as ``--stage``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from cyclopts import App, Parameter

from posemill import registry, torch7
from posemill.errors import InputError, PosemillError, expected
from posemill.images.command import app as images
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
Said = Annotated[
    list[str] | None,
    Parameter(name=["--option"], help="What the card shall say, as name=value; may be repeated.", negative=""),
]
Stage = Annotated[
    str | None,
    Parameter(
        name=["--stage"],
        help="Complete request, as the workflow makes it (JSON); - reads it from standard input.",
        show=False,
        allow_leading_hyphen=True,
    ),
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
    """Take the workflow's request as it is, or make one from what was typed; refuse if code or weights here differ."""
    if text is None:
        return plan(stage, method, _options(options), sheet or {})
    # A request that names thousands of clips is longer than the system lets one argument be.
    request = StageRequest.from_json(sys.stdin.read() if text == "-" else text)
    if request.stage != stage:
        raise InputError(f"--stage: expected a request for {stage}, got one for {request.stage}")
    # Where stages run in an image, that is another installation than the one that planned the run.
    do = (
        "the posemill that runs here is not the one that planned the run; install the same version in both places or "
        "rebuild the image"
    )
    try:
        here = plan(stage, request.method, request.options, request.sheet)
    except PosemillError as error:
        raise InputError(f"stage {stage}: {error}; the workflow accepted this, so {do}") from None
    for what in ("code", "weights"):
        if getattr(here, what) != getattr(request, what):
            found = f"expected {what} {getattr(request, what)}, got {getattr(here, what) or 'none'}"
            raise InputError(f"stage {stage}: {found}: {do}")
    return request


@app.command
def detect(
    video: Path,
    truth: Path | None = None,
    *,
    output: Output,
    detector: str = "mediapipe",
    subject: str = "S1",
    clip: str = "clip",
    fps: float | None = None,
    start_s: float | None = None,
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
    subject, clip
        Ids in the file that is written.
    fps
        Overrides the frame rate that the video states.
    start_s
        Skip what comes before, in seconds.
    peaks
        What th predict.lua found in this clip's crops, for the detector hourglass_torch7.
    """
    from posemill.stages import detect as run

    sheet = _clip_sheet(video, detector, subject=subject, clip=clip, fps=fps, start_s=start_s)
    run.run(video, output, _request("detect", stage, detector, option, sheet), truth, peaks)


def _clip_sheet(video: Path, detector: str, **said: Any) -> dict[str, Any]:
    """Say of a clip what a sheet would say, and which Lua works on it where one does."""
    from posemill.clips import IMAGES

    kind = "stills" if video.is_dir() or video.suffix.lower() in IMAGES else "video"
    return {**said, "kind": kind, **torch7.sheet(detector)}


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
        lens = {"camera": camera, "calibration": calibrated, "focal_px": focal_px, "fov_deg": fov_deg}
        sheet = {"lens": lens, "start_s": start_s}
    run.run(video, detections, output, _request("camera", stage, "", None, sheet))


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
    """
    from posemill.formats import artifact
    from posemill.stages import gather as run

    sheet: dict[str, Any] = {}
    if stage is None:
        calibrated = None if calibration is None else str(calibration)
        given = {"camera": camera, "calibration": calibrated, "focal_px": focal_px, "fov_deg": fov_deg}
        if camera_path is not None:
            given["camera_path"] = str(camera_path)
        sheet = {"clips": {clip: given for path in detections for clip in artifact.read(path, "detections2d").clips}}
    run.run(detections, output, _request("gather", stage, "", option, sheet))


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
        CLIP=FILE: poses that another system made of that clip (TRC, npz, an artifact), taken instead; may be repeated.
    """
    from posemill.stages import lift as run

    given = {clip: file for clip, _, file in (text.partition("=") for text in pose3d or [])}
    if not all(given.values()):
        raise InputError(expected("--pose3d", "CLIP=FILE", ", ".join(pose3d or [])))
    sheet = {"pose3d": given} if given else {}
    run.run(keypoints2d, output, _request("lift", stage, lifter, option, sheet))


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

    sheet = {} if stage else _bodily(keypoints2d, height_m, camera_height_m, one_camera)
    run.run(keypoints2d, lifted3d, output, _request("place", stage, "", option, sheet), skeleton)


@app.command
def skeleton(
    keypoints2d: Path,
    lifted3d: Path,
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
    height_m, camera_height_m
        The person's height, barefoot; the camera's above the floor.
    one_camera
        All clips are from one camera that was not moved between them.
    """
    from posemill.stages import skeleton as run

    sheet = {} if stage else _bodily(keypoints2d, height_m, camera_height_m, one_camera)
    run.run(keypoints2d, lifted3d, output, _request("skeleton", stage, "", option, sheet))


def _bodily(
    keypoints2d: Path, height_m: float | None, camera_height_m: float | None, one_camera: bool
) -> dict[str, Any]:
    """Say of a file's clips what a sheet would say."""
    from posemill.formats import artifact

    clips = sorted(artifact.read(keypoints2d, "keypoints2d").clips)
    return {
        "height_m": height_m,
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
    prediction: Path | None = None,
    truth: Path | None = None,
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="JSON to write; tables go beside it.")
    ] = None,
    keypoints2d: Path | None = None,
    protocol: str = "posemill-12",
    accept: Annotated[list[str] | None, Parameter(negative="")] = None,
    also: Annotated[list[tuple[Path, Path]] | None, Parameter(negative="")] = None,
    rerun: Path | None = None,
    folder: Path | None = None,
    stage: Stage = None,
) -> None:
    """Compare poses with the truth: tables, and JSON with a record for every number.

    Parameters
    ----------
    prediction
        File that posemill merge, publish or lift wrote; or what may be a truth.
    truth
        File of kind truth3d (posemill twin writes one), motion HDF5, TRC, npz, or a folder of TRC or npz per clip.
    keypoints2d
        Adds the error of the 2D keypoints.
    protocol
        What is compared, aligned and averaged: posemill-12, posemill-14, posemill-17, h36m-p1, h36m-p2, ...
    accept
        Accept what a check suspects (units, sides, order, shift), and record it; may be repeated.
    also
        Prediction and truth of a further subject, for protocols over several; may be repeated.
    rerun
        Instead of all that: repeat the evaluation of this JSON and compare every number.
    folder
        Where --rerun looks for the inputs, by name and content; default: beside the JSON.
    """
    from posemill.stages import evaluate as run

    request = _request("evaluate", stage)
    if rerun is not None:
        run.rerun(rerun, request, folder)
        return
    given = {"PREDICTION": prediction, "TRUTH": truth, "--output": output}
    if prediction is None or truth is None or output is None:
        missing = ", ".join(name for name, value in given.items() if value is None)
        raise InputError(f"evaluate: expected PREDICTION TRUTH --output FILE, or --rerun FILE; missing {missing}")
    run.run(
        prediction,
        truth,
        output,
        request,
        keypoints2d,
        protocol_name=protocol,
        accept=accept or [],
        also=also or [],
    )


@app.command
def quality(merged3d: Path, *, keypoints2d: Path, output: Output, option: Options = None, stage: Stage = None) -> None:
    """Judge an animation without a truth: reprojection, bones, jerk, sliding, floor, gaps; each ok, warn or fail.

    Parameters
    ----------
    merged3d
        File that posemill merge or publish wrote.
    keypoints2d
        File that posemill gather wrote, of the same clips.
    """
    from posemill.stages import quality as run

    run.run(merged3d, keypoints2d, output, _request("quality", stage, "", option))


@app.command
def picture(
    keypoints2d: Path,
    merged3d: Path,
    videos: list[Path],
    *,
    output: Output,
    clip: Annotated[list[str] | None, Parameter(negative="")] = None,
    stage: Stage = None,
) -> None:
    """Draw a frame of each clip, its 2D keypoints beside the 3D pose, into a folder.

    Parameters
    ----------
    keypoints2d, merged3d
        What was made of the videos.
    videos
        The clips' sources.
    clip
        Id of each video's clip, in the same order; may be repeated. Without it, the videos' names.
    """
    from posemill.clips import safe_id
    from posemill.stages import picture as run

    ids = clip or [safe_id(path.name if path.is_dir() else path.stem) for path in videos]
    request = _request("picture", stage, sheet={"clips": ids})
    run.run(run.pair(request.sheet["clips"], videos), keypoints2d, merged3d, output, request)


@app.command
def summary(
    merged3d: list[Path],
    *,
    output: Output,
    quality: Annotated[list[Path] | None, Parameter(negative="", consume_multiple=True)] = None,
    stage: Stage = None,
) -> None:
    """Tabulate all clips of all subjects: status, length, validity, frame, sigma, quality.

    Parameters
    ----------
    merged3d
        Files that posemill merge or publish wrote.
    quality
        Files that posemill quality wrote of them; without, their columns are empty.
    """
    from posemill.stages import summary as run

    _request("summary", stage)
    run.run(merged3d, output, quality or [])


@app.command
def check(
    table: Path,
    *,
    enforce_quality: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """End with an error that names the failed clips of a summary, if there are any; name those of doubtful quality.

    Parameters
    ----------
    table
        File that posemill summary wrote.
    enforce_quality
        Clips over a fail gate are an error too.
    """
    from posemill.stages import summary as run

    run.check(table, enforce_quality=enforce_quality)


@app.command
def pictures(
    output: Path,
    *,
    motion: Path,
    shards: int = 200,
    group: Annotated[list[str] | None, Parameter(negative="")] = None,
    left_out: Annotated[list[str] | None, Parameter(negative="")] = None,
    only: Annotated[list[str] | None, Parameter(negative="")] = None,
    seed: int = 0,
) -> None:
    """Draw figures of captured motion, which 2D trainings paint; a folder that is not finished is gone on with.

    Parameters
    ----------
    output
        Folder to write.
    motion
        Motion capture: HDF5 with Human3.6M-17 joints in metres, z up.
    shards
        How many shall be there in the end, of 250 pictures each.
    group, left_out, only
        Groups of that file (train, extra), subjects that are not drawn, or the only ones that are; may be repeated.
    """
    from posemill.stages import pictures as run

    groups, others = tuple(group or ("train", "extra")), tuple(left_out or ())
    run.run(output, motion, shards=shards, groups=groups, left_out=others, only=tuple(only or ()), seed=seed)


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
    bystander: bool = False,
    captured: Path | None = None,
    clips: int = 40,
    group: Annotated[list[str] | None, Parameter(negative="")] = None,
    left_out: Annotated[list[str] | None, Parameter(negative="")] = None,
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
    bystander
        A second person walks round the subject; the truth is the subject's alone.
    captured
        Instead of all that but duration, rate and seed: film motion capture (HDF5 with Human3.6M-17 joints in metres,
        z up), each clip another body, room and camera.
    clips
        How many of it.
    group, left_out
        Groups of that file (train), and subjects that are not filmed; may be repeated.
    """
    from posemill.stages import twin as run

    if captured is not None:
        groups, others = tuple(group or ("train",)), tuple(left_out or ())
        run.run_captured(
            output, captured, clips=clips, groups=groups, left_out=others, duration_s=duration_s, fps=fps, seed=seed
        )
        return

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
        bystander=bystander,
    )


@app.command
def train(
    name: str,
    *,
    motion: Path | None = None,
    output: Output,
    seed: int = 0,
    option: Options = None,
) -> None:
    """Train a method's weights; what was killed goes on from its newest checkpoint in OUTPUT.run.

    Parameters
    ----------
    name
        Which lifter or detector (posemill list).
    motion
        Motion capture: HDF5 with Human3.6M-17 joints in metres, z up. Detectors learn from pictures: --option.
    seed
        Of weights, cameras, noise and order.
    """
    from posemill.stages import train as run

    run.run(name, motion, output, seed=seed, options=_options(option))


@app.command
def curve(folder: Path, *, motion: Path, output: Output, option: Options = None) -> None:
    """Measure a training's checkpoints on its held-out subjects: records (JSON), and a picture beside them (PNG).

    Parameters
    ----------
    folder
        Run folder of posemill train: OUTPUT.run. A series is kept with --option series_every=STEPS.
    motion
        Motion capture that the training had, or other of the same subjects.
    """
    from posemill.stages.train import curve as run

    run.run(folder, motion, output, _options(option))


@app.command
def card(weights: Path) -> None:
    """Print what a safetensors weights file says of itself: terms, how it was made, what was measured; Markdown."""
    from posemill.stages.card import page

    print(page(weights), end="")


@app.command
def convert(
    checkpoint: Path,
    *,
    lifter: str | None = None,
    detector: str | None = None,
    output: Output,
    option: Options = None,
) -> None:
    """Write a published checkpoint as safetensors with its card, for --option weights=FILE.

    An --option says what the checkpoint does not (statistics=FILE, joint_set_in=coco17, causal=true); it goes in.

    Parameters
    ----------
    checkpoint
        PyTorch .bin, .pth, .pt; Torch7 .t7; Chainer .npz; Keras .h5; TensorFlow .index with its .data files beside it.
    lifter, detector
        Whose weights they are (posemill list). An hourglass is also written for Torch7: --output FILE.t7.
    """
    from posemill.stages import convert as run

    if (lifter is None) == (detector is None):
        raise InputError(expected("convert", "--lifter or --detector", "both" if lifter else "neither"))
    kind, method = ("lifters", lifter) if lifter is not None else ("detectors", detector)
    run.run(checkpoint, output, str(method), _options(option), kind=kind)


hourglasses = App(name="hourglass", help="The parts of the detector hourglass_torch7, and MPII.")
app.command(hourglasses)


@hourglasses.command(name="weights")
def hourglass_weights(*, output: Output, option: Options = None, stage: Stage = None) -> None:
    """Write the weights of hourglass_torch7 as a .t7 for th predict.lua, read as data before Torch7 sees them."""
    from posemill.stages import hourglass as run

    run.write_weights(output, _request("detect", stage, "hourglass_torch7", option))


@hourglasses.command(name="crop")
def hourglass_crop(
    video: Path,
    *,
    output: Output,
    subject: str = "S1",
    clip: str = "clip",
    fps: float | None = None,
    start_s: float | None = None,
    option: Options = None,
    stage: Stage = None,
) -> None:
    """Cut people out of a video for th predict.lua; posemill detect --peaks FILE goes on with its answer.

    Parameters
    ----------
    video
        Video file, image, or folder of images.
    subject, clip, fps, start_s
        As for posemill detect.
    """
    from posemill.stages import hourglass as run

    sheet = _clip_sheet(video, "hourglass_torch7", subject=subject, clip=clip, fps=fps, start_s=start_s)
    run.crop(video, output, _request("detect", stage, "hourglass_torch7", option, sheet))


@hourglasses.command(name="predict")
def hourglass_predict(
    annotations: Path,
    images: Path,
    *,
    output: Output,
    detector: str = "hourglass",
    variant: Literal["demo", "train"] = "demo",
    raw: Annotated[bool, Parameter(negative="")] = False,
    option: Options = None,
) -> None:
    """Find the joints of MPII's annotated people, in the layout of the published demo: HDF5 with preds (N, 16, 2).

    Parameters
    ----------
    annotations
        HDF5 with center and scale; the pictures' names in it, or beside it in {name}_images.txt.
    images
        Folder of MPII's pictures.
    detector
        hourglass or hourglass_torch7.
    variant
        Crop, decode and rounding of the published demo, or of the training code.
    raw
        Centre and scale are MPII's own, not yet lowered and enlarged as in the demo's annotations.
    """
    from posemill.stages import hourglass_mpii as run

    options = _options(option)
    run.predict(annotations, images, output, detector=detector, variant=variant, raw=raw, options=options)


@hourglasses.command(name="pckh")
def hourglass_pckh(
    predictions: Path,
    annotations: Path,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="JSON to write.")] = None,
) -> None:
    """Print PCKh at half the head's size, as published.

    Parameters
    ----------
    predictions
        HDF5 with preds, as posemill hourglass predict and the published demo write it.
    annotations
        HDF5 with part and normalize.
    """
    from posemill.stages import hourglass_mpii as run

    print(run.pckh(predictions, annotations, output))


motions = App(name="motion", help="Motion capture to train and judge on.")
app.command(motions)


@motions.command(name="import")
def import_(
    files: list[Path],
    *,
    output: Output,
    fps: float = 50.0,
    group: str | None = None,
    feet: bool = True,
    max_speed: float = 14.0,
    add: Path | None = None,
) -> None:
    """Make a motion file from motion capture: BVH, and ASF/AMC as mocap.cs.cmu.edu has it.

    Parameters
    ----------
    files
        BVH and AMC files with the ASF files of their subjects, or folders of them.
    fps
        Frame rate to write.
    group
        Group of all clips; default: train for the subject's own skeleton, else extra.
    feet
        Write heels and toes too.
    max_speed
        Leave clips out in which a joint moves faster, in m/s.
    add
        A motion file whose clips are taken over where they are not among the files.
    """
    from posemill.stages import motion as run

    run.import_motion(files, output, fps=fps, group=group, feet=feet, max_speed_m_s=max_speed, add=add)


benchmark = App(name="benchmark", help="Judge a method on data with an exact truth.")
app.command(benchmark)


@benchmark.command
def motion(
    file: Path,
    *,
    output: Output,
    lifter: str = "posemill",
    source: str = "noisy",
    subjects: str = "",
    group: str = "train",
    views: int = 16,
    seed: int = 0,
    option: Options = None,
    source_option: Annotated[
        list[str] | None, Parameter(help="An option of the 2D source as name=value; may be repeated.", negative="")
    ] = None,
) -> None:
    """Judge a lifter on motion capture seen through virtual cameras, by every protocol.

    Parameters
    ----------
    file
        Motion capture: HDF5 with Human3.6M-17 joints in metres, z up.
    lifter
        Which lifter (posemill list lifters).
    source
        Where its 2D is from: exact or noisy.
    subjects
        Whom to evaluate, separated by commas; all of the group if left out.
    group
        Group of the file that they are in.
    views
        Cameras per clip.
    seed
        Of cameras and noise.
    """
    from posemill.stages import benchmark as run

    run.run(
        file,
        output,
        lifter=lifter,
        source=source,
        subjects=tuple(name.strip() for name in subjects.split(",") if name.strip()),
        group=group,
        views=views,
        seed=seed,
        options=_options(option),
        source_options=_options(source_option),
    )


@benchmark.command
def lifters(
    file: Path,
    *,
    output: Output,
    seconds: float = 150.0,
    only: Annotated[list[str] | None, Parameter(negative="")] = None,
    supervised: Annotated[bool, Parameter(negative="")] = False,
    reference: Annotated[list[str] | None, Parameter(negative="")] = None,
    windows: int = 100,
    seed: int = 0,
    option: Options = None,
) -> None:
    """Train every lifter by its own loss on the same people for the same time, and compare them on others.

    What was killed goes on; what is finished in OUTPUT is not trained again.

    Parameters
    ----------
    file
        Motion capture: HDF5 with Human3.6M-17 joints in metres, z up.
    seconds
        Of training of each, one thread of this machine; steps are counted out beforehand and written down.
    only
        Label of a row; may be repeated. Without it, all.
    supervised
        Also gan, repnet and video_gan with the 3D of every window.
    reference
        NAME of a lifter whose own weights are measured too, or NAME=FILE; may be repeated.
    windows
        Of each held-out subject.
    seed
        Of the trainings.
    option
        An option of all trainings as name=value, or of one lifter's as lifter.name=value; may be repeated.
    """
    from posemill.stages.train import compare as run

    run.run(
        file,
        output,
        seconds=seconds,
        only=only or (),
        supervised=supervised,
        reference=reference or (),
        windows=windows,
        seed=seed,
        options=_options(option),
    )


noise = App(name="noise", help="How detectors err: fit it, look at it; training draws from it.")
app.command(noise)


@noise.command(name="fit")
def noise_fit(
    keypoints2d: list[Path],
    *,
    truth: Annotated[list[Path], Parameter(negative="", consume_multiple=True)],
    output: Output,
    name: str,
    option: Said = None,
) -> None:
    """Fit a detector's error profile to its keypoints and the truth.

    Parameters
    ----------
    keypoints2d
        Files that posemill gather wrote of videos, one detector's.
    truth
        The truth of each (posemill twin writes one), in the same order.
    name
        What the profile shall be called.
    """
    from posemill.stages import noise as run

    run.fit(keypoints2d, truth, output, name=name, card=_options(option))


@noise.command(name="fit-mpii")
def noise_fit_mpii(
    predictions: Path,
    annotations: Path,
    *,
    output: Output,
    name: str,
    like: str = "mediapipe",
    option: Said = None,
) -> None:
    """Fit a detector's error profile to its predictions on annotated pictures of MPII.

    Parameters
    ----------
    predictions, annotations
        HDF5 with preds, and with part and scale.
    name
        What the profile shall be called.
    like
        Profile that says what pictures do not: how errors go on in time.
    """
    from posemill.stages import noise as run

    run.fit_mpii(predictions, annotations, output, name=name, like=like, card=_options(option))


@noise.command(name="show")
def noise_show(profile: str) -> None:
    """Print an error profile: one that comes with posemill (mediapipe, hourglass_mpii), or a file.

    Parameters
    ----------
    profile
        Its name, or a .json file.
    """
    from posemill.stages import noise as run

    run.show(profile)


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


app.command(images)


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
