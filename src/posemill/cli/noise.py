"""``posemill noise``: how detectors err."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from posemill.cli.common import Output, Said, app, stage_options

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

    run.fit(keypoints2d, truth, output, name=name, card=stage_options(option))


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

    run.fit_mpii(predictions, annotations, output, name=name, like=like, card=stage_options(option))


@noise.command(name="show")
def noise_show(profile: str) -> None:
    """Print an error profile: one of posemill's (mediapipe, hourglass_blend, hourglass_mpii), or a file.

    Parameters
    ----------
    profile
        Its name, or a .json file.
    """
    from posemill.stages import noise as run

    run.show(profile)
