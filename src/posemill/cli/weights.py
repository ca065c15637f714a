"""Commands that train and bring weights."""

from __future__ import annotations

from pathlib import Path

from posemill.cli.common import Options, Output, app, stage_options
from posemill.errors import InputError, expected


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

    run.run(name, motion, output, seed=seed, options=stage_options(option))


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

    run.run(folder, motion, output, stage_options(option))


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
    run.run(checkpoint, output, str(method), stage_options(option), kind=kind)
