"""``posemill motion`` and ``posemill benchmark``: data with an exact truth, and methods judged on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from posemill.cli.common import Options, Output, app, stage_options

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
        options=stage_options(option),
        source_options=stage_options(source_option),
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
        options=stage_options(option),
    )
