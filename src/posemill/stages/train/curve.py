"""A series of checkpoints measured on the held-out subjects: records, and a picture of the curve."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from posemill import registry
from posemill.errors import InputError, expected
from posemill.formats.atomic import write_bytes
from posemill.formats.records import RecordBook, write_records
from posemill.formats.weights import write_weights
from posemill.lifters.loading import as_stored
from posemill.progress import Ticker
from posemill.provenance import code_hash, sha256_file
from posemill.stages.train.data import TrainOptions, read_split
from posemill.stages.train.measuring import FIGURES, FRAMES, quick

__all__ = ["CurveOptions", "run"]

_JOINTS = {"mpjpe17_mm": "h36m17", "p_mpjpe17_mm": "h36m17", "p_mpjpe12_limbs_mm": "limbs12"}


class CurveOptions(BaseModel, extra="forbid"):
    """Options of ``posemill curve``."""

    windows: Annotated[int, Field(ge=1, description="Windows of each held-out subject to measure on")] = 50


def run(folder: Path, motion: Path, output: Path, values: dict[str, Any]) -> RecordBook:
    """Measure every checkpoint of a run folder; write ``output`` (records, JSON) and a PNG beside it.

    Raises
    ------
    InputError
        No run folder, no checkpoint in it, or motion without the held-out subjects.
    """
    from posemill.training.checkpoints import RunFolder, read_checkpoint, read_request
    from posemill.view.curve import draw_curves

    try:
        options = CurveOptions.model_validate(values)
    except ValidationError as error:
        known = ", ".join(CurveOptions.model_fields)
        raise InputError(f"curve: {registry.one_line(error)}; options: {known}") from None
    request = read_request(folder)
    card = request.get("card")
    if not isinstance(card, dict) or "lifter" not in card:
        raise InputError(expected("request of a training", "one of posemill train", "no card", where=folder))
    checkpoints = RunFolder(folder, request).checkpoints()
    if not checkpoints:
        raise InputError(expected("checkpoints", "one or more", "none", where=folder, do="train with --option keep=N"))
    name, said = str(card["lifter"]), request.get("options", {})
    chosen = {key: said[key] for key in ("groups", "held_out") if key in said}
    split = read_split(motion, TrainOptions.model_validate(chosen))
    book = RecordBook(
        data={motion.name: sha256_file(motion)},
        split=f"held-out {', '.join(sorted(split.held_out))}; {options.windows} windows of {FRAMES} frames each",
        protocol="windows through virtual cameras",
        unit="mm",
        averaging="mean over frames and joints, then subjects",
        frames=options.windows * FRAMES * len(split.held_out),
        code=code_hash("posemill.stages.train.curve", f"posemill.lifters.{name}"),
        command=[
            *("posemill", "curve", folder.name, "--motion", motion.name, "--output", output.name),
            *("--option", f"windows={options.windows}"),
        ],
    )
    curves: dict[str, list[tuple[float, float]]] = {}
    with (
        Ticker(2 * len(checkpoints), f"curve {name}", "measurement") as ticker,
        tempfile.TemporaryDirectory() as scratch,
    ):
        for step, path in checkpoints.items():
            checkpoint = read_checkpoint(path)
            weights = Path(scratch, "now.safetensors")
            write_weights(weights, as_stored(checkpoint.under("modules/network/")) | checkpoint.under("extras/"), card)
            method = {"name": name, "options": {"step": step}, "weights": sha256_file(weights)}
            for source in ("exact", "detector"):
                figures = quick(name, weights, split, options.windows, noisy=source == "detector")
                for metric in FIGURES:
                    book.add(
                        metric.removesuffix("_mm"),
                        figures[metric],
                        unknown="" if np.isfinite(figures[metric]) else "nothing was answered",
                        part=f"step {step}",
                        method=method,
                        source_2d={"name": source},
                        joints=[_JOINTS[metric]],
                        alignment="similarity" if metric.startswith("p_") else "root, size given",
                    )
                    line = curves.setdefault(f"{source}: {metric.removesuffix('_mm')}", [])
                    if np.isfinite(figures[metric]):
                        line.append((step, figures[metric]))
                ticker.step()
    write_records(output, book, {"curves": curves})
    write_bytes(output.with_suffix(".png"), draw_curves(f"{name}: held-out subjects", curves))
    return book
