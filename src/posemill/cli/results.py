"""Commands that look at results: exports, figures, pictures, summaries, checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from posemill.cli.common import Options, Output, Stage, app, stage_request
from posemill.errors import InputError


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

    run.run(poses3d, output, stage_request("export", stage, format, option))


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
        File of kind truth3d (posemill twin writes one), motion HDF5, TRC, BVH, npz, or a folder of such.
    keypoints2d
        Adds the error of the 2D keypoints.
    protocol
        What is compared, aligned and averaged: posemill-12, posemill-14, posemill-16, posemill-17, h36m-p1, ...
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

    request = stage_request("evaluate", stage)
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

    run.run(merged3d, keypoints2d, output, stage_request("quality", stage, "", option))


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
    request = stage_request("picture", stage, sheet={"clips": ids})
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

    stage_request("summary", stage)
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
