"""Lifters compared: each taught for the same time from the same people, measured on the same windows of others."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.atomic import write_bytes
from posemill.formats.records import RecordBook, write_records
from posemill.formats.weights import read_weights
from posemill.progress import Ticker
from posemill.provenance import code_hash, sha256_file
from posemill.stages.train.budget import Trained, train_for
from posemill.stages.train.calibration import seen_windows
from posemill.stages.train.compare_report import FIGURES, SOURCES, add_bars, report
from posemill.stages.train.compare_rows import CONSTANTS, ROWS, SUPERVISED, Row
from posemill.stages.train.data import MotionSplit, TrainOptions, read_split
from posemill.stages.train.measuring import FRAMES, lifter_of

__all__ = ["run"]

_SPEED_FRAMES, _SPEED_TURNS = 1000, 3
_POSES = 4096
# Windows of every training's own measurement.
_FEW = {"windows": 10}


def run(
    motion: Path,
    output: Path,
    *,
    seconds: float,
    only: Sequence[str] = (),
    supervised: bool = False,
    reference: Sequence[str] = (),
    windows: int = 100,
    seed: int = 0,
    options: dict[str, Any] | None = None,
) -> RecordBook:
    """Train what is not trained yet, measure all, and write ``lifters.json`` (records) and ``lifters.txt`` (tables).

    Parameters
    ----------
    motion
        Motion file as :func:`posemill.formats.motion.read_motion` reads it.
    output
        Folder; the weights, their cards and run folders stay in it, so that a killed comparison goes on.
    seconds
        Of training of each, on one thread.
    only
        Labels of rows; all if empty.
    supervised
        Also the adversarial ones shown the 3D of every window.
    reference
        Weights that are measured as they are: a lifter's name for those that come with posemill, or NAME=FILE.
    windows
        Of each held-out subject.
    options
        Of all trainings (``held_out``, ``groups``), or of one lifter's as ``lifter.option``.

    Raises
    ------
    InputError
        Unknown rows, lifters or options; an output folder of another request.
    """
    if not seconds > 0 or windows < 1:
        raise InputError(expected("seconds and windows", "above 0", f"{seconds:g} and {windows}"))
    rows = _chosen(tuple(only), supervised)
    common, each = _apart(options or {}, rows)
    split = read_split(motion, TrainOptions.model_validate({k: v for k, v in common.items() if k in _SPLITTING}))
    output.mkdir(parents=True, exist_ok=True)
    trained: dict[str, Trained] = {}
    for row in rows:
        print(f"compare: {row.label}", file=sys.stderr)
        few = {} if row.lifter == "linear" else _FEW
        given = {**few, **common, **each.get(row.lifter, {})}
        # Its own measurement, on fewer windows, is not what is compared.
        with redirect_stdout(io.StringIO()):
            trained[row.label] = train_for(row, motion, split, output, seconds=seconds, seed=seed, common=given)
    others = {f"{name}, as given": (name, path) for name, path in map(_reference, reference)}
    book = RecordBook(
        protocol="windows through virtual cameras",
        data={motion.name: sha256_file(motion)},
        split=f"held-out {', '.join(sorted(split.held_out))}; {windows} windows of {FRAMES} frames each; seed {seed}",
        code=code_hash("posemill.stages.train.compare"),
        command=_command(motion, output, seconds, only, supervised, reference, windows, seed, options or {}),
        averaging="mean over frames and joints, then subjects",
        frames=windows * FRAMES * len(split.held_out),
    )
    count = len(rows) + len(others) + len(CONSTANTS)
    with Ticker(count, "compare", "lifter") as ticker:
        for label, lifter, card in _constants(split, seed):
            _measure(book, label, {"name": label, "options": {}, "weights": ""}, lifter, card, split, windows)
            ticker.step(label)
        for label, (name, path) in others.items():
            _judge(book, label, name, path, {}, split, windows)
            ticker.step(label)
        for row in rows:
            done = trained[row.label]
            taught = {**row.options, "supervision": done.supervision, "seconds": seconds, "code": done.code}
            _judge(book, row.label, row.lifter, done.weights, taught, split, windows)
            fields = _fields(book, row.label)
            book.add("steps", done.steps, unit="steps", **fields)
            book.add("frames_seen", done.frames_seen, unit="frames", **fields)
            book.add("training", done.seconds, unit="s", **fields)
            ticker.step(row.label)
    add_bars(book)
    labels = [*CONSTANTS, "", *(row.label for row in rows), *([""] if others else []), *others]
    text = report(book, labels, {label: done.supervision for label, done in trained.items()}, seconds)
    write_records(output / "lifters.json", book)
    write_bytes(output / "lifters.txt", text.encode())
    print(text, end="")
    return book


_SPLITTING = ("groups", "held_out")


def _chosen(only: tuple[str, ...], supervised: bool) -> tuple[Row, ...]:
    known = {row.label: row for row in (*ROWS, *SUPERVISED)}
    unknown = [label for label in only if label not in known]
    if unknown:
        raise InputError(expected("--only", " | ".join(known), ", ".join(unknown)))
    if only:
        return tuple(row for label, row in known.items() if label in only)
    return (*ROWS, *SUPERVISED) if supervised else ROWS


def _apart(options: dict[str, Any], rows: Sequence[Row]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Options of all, and those of one lifter."""
    common: dict[str, Any] = {}
    each: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        lifter, dot, option = name.partition(".")
        if not dot:
            common[name] = value
        elif lifter in {row.lifter for row in rows}:
            each.setdefault(lifter, {})[option] = value
        else:
            known = ", ".join(sorted({row.lifter for row in rows}))
            raise InputError(expected(f"--option {name}", f"an option of {known}", lifter))
    return common, each


def _reference(text: str) -> tuple[str, Path]:
    from posemill.stages.train import TRAINED

    name, equals, path = text.partition("=")
    if name not in TRAINED:
        raise InputError(expected("--reference", f"NAME or NAME=FILE of {', '.join(TRAINED)}", text))
    if equals:
        return name, Path(path)
    import importlib

    module = importlib.import_module(f"posemill.lifters.{name}")
    return name, module.weights(module.Options())


def _constants(split: MotionSplit, seed: int) -> list[tuple[str, Any, Any]]:
    from posemill.training.constant_pose import CARD, Constant, aligned_mean, training_poses

    poses = training_poses([clip.joints for clip in split.training], split.fps, _POSES, seed)
    means = (poses.mean(0), aligned_mean(poses))
    return [(label, Constant(pose), CARD) for label, pose in zip(CONSTANTS, means, strict=True)]


def _judge(
    book: RecordBook, label: str, name: str, path: Path, options: dict[str, Any], split: MotionSplit, windows: int
) -> None:
    """Errors of a weights file, how large it is and how fast."""
    import torch

    torch.set_num_threads(1)
    lifter, card = lifter_of(name, path)
    tensors, _ = read_weights(path)
    # What belongs to the weights beside the network, and what batch norm keeps, are no parameters.
    size = sum(
        t.size for n, t in tensors.items() if not n.startswith(("sigma_", "statistics.")) and "running_" not in n
    )
    _measure(
        book, label, {"name": name, "options": options, "weights": sha256_file(path)}, lifter, card, split, windows
    )
    fields = _fields(book, label)
    book.add("parameters", size, unit="parameters", **fields)
    book.add("speed", _speed(lifter, card, split), unit="frames/s", **{**fields, "frames": _SPEED_FRAMES})


def _measure(
    book: RecordBook, label: str, method: dict[str, Any], lifter: Any, card: Any, split: MotionSplit, windows: int
) -> None:
    from posemill.training.held_out import measure

    for source in SOURCES:
        found = [
            measure(lifter, card, seen_windows(split.held_out[s], windows, source, 3000 + i), split.fps, source)
            for i, s in enumerate(sorted(split.held_out))
        ]
        shared = {"part": label, "method": method, "source_2d": {"name": source}}
        for figure in FIGURES:
            value = 1000 * float(np.mean([getattr(f, figure.attribute) for f in found]))
            unknown = "" if np.isfinite(value) else "nothing was answered of a subject"
            fields = {"joints": figure.joints, "alignment": figure.alignment, "unit": "mm", **shared}
            book.add(figure.metric, value, unknown=unknown, **fields)
        answered = float(np.mean([f.valid for f in found]))
        book.add("answered", answered, joints=["h36m17"], alignment="none", unit="share of frames", **shared)


def _fields(book: RecordBook, label: str) -> dict[str, Any]:
    method = next(record.method for record in book if record.part == label)
    return {
        **{"part": label, "method": method, "source_2d": {"name": "none"}, "joints": ["h36m17"], "alignment": "none"},
        "averaging": "one number",
    }


def _speed(lifter: Any, card: Any, split: MotionSplit) -> float:
    """Frames per second of this process on a long clip, through the adapter; the best of some turns."""
    from posemill.training.held_out import as_clip

    clips = split.held_out[min(split.held_out)]
    clip = as_clip(seen_windows(clips, 1, "exact", 1, frames=_SPEED_FRAMES), 0, card, split.fps)
    seconds = []
    for _ in range(_SPEED_TURNS):
        start = time.process_time()
        lifter.lift(clip)
        seconds.append(time.process_time() - start)
    return _SPEED_FRAMES / min(seconds)


def _command(
    motion: Path,
    output: Path,
    seconds: float,
    only: Sequence[str],
    supervised: bool,
    reference: Sequence[str],
    windows: int,
    seed: int,
    options: dict[str, Any],
) -> list[str]:
    command = ["posemill", "benchmark", "lifters", motion.name, "--output", output.name or "."]
    command += ["--seconds", f"{seconds:g}", "--windows", str(windows), "--seed", str(seed)]
    command += ["--supervised"] if supervised else []
    for flag, values in (("--only", only), ("--reference", [_without_folder(text) for text in reference])):
        for value in values:
            command += [flag, value]
    for name, value in options.items():
        command += ["--option", f"{name}={value}"]
    return command


def _without_folder(reference: str) -> str:
    name, equals, path = reference.partition("=")
    return f"{name}={Path(path).name}" if equals else name
