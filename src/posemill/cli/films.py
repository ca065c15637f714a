"""Commands that make people with an exact truth: drawn pictures and films."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from posemill.cli.common import app


@app.command
def draw_people(
    output: Path,
    *,
    motion: Path,
    shards: int = 200,
    group: Annotated[list[str] | None, Parameter(negative="")] = None,
    left_out: Annotated[list[str] | None, Parameter(negative="")] = None,
    only: Annotated[list[str] | None, Parameter(negative="")] = None,
    seed: int = 0,
) -> None:
    """Draw people of captured motion, whom 2D trainings paint; a folder that is not finished is gone on with.

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
    from posemill.stages import draw_people as run

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
