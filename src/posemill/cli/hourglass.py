"""``posemill hourglass``: the parts of the detector hourglass_torch7, and MPII."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from posemill.cli.common import NewClip, Options, Output, Stage, app, clip_sheet, stage_options, stage_request

hourglasses = App(name="hourglass", help="The parts of the detector hourglass_torch7, and MPII.")
app.command(hourglasses)


@hourglasses.command(name="weights")
def hourglass_weights(*, output: Output, option: Options = None, stage: Stage = None) -> None:
    """Write the weights of hourglass_torch7 as a .t7 for th predict.lua, read as data before Torch7 sees them."""
    from posemill.stages import hourglass as run

    run.write_weights(output, stage_request("detect", stage, "hourglass_torch7", option))


@hourglasses.command(name="crop")
def hourglass_crop(
    video: Path,
    *,
    output: Output,
    new: NewClip | None = None,
    option: Options = None,
    stage: Stage = None,
) -> None:
    """Cut people out of a video for th predict.lua; posemill detect --peaks FILE goes on with its answer.

    Parameters
    ----------
    video
        Video file, image, or folder of images.
    """
    from posemill.stages import hourglass as run

    sheet = clip_sheet(video, "hourglass_torch7", new)
    run.crop(video, output, stage_request("detect", stage, "hourglass_torch7", option, sheet))


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

    options = stage_options(option)
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
