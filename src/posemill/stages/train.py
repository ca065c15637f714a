"""Train a lifter's weights from motion capture, evaluate them on subjects held out, write them with their card."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from posemill import registry
from posemill.errors import InputError, expected
from posemill.formats.motion import MotionClip, read_motion
from posemill.progress import Ticker
from posemill.provenance import sha256_file

__all__ = ["TrainLinearOptions", "run"]


class TrainLinearOptions(BaseModel, extra="forbid"):
    """Options of ``posemill train linear``."""

    groups: Annotated[tuple[str, ...], Field(description="Groups of the motion file to train on")] = ("train", "extra")
    held_out: Annotated[
        tuple[str, ...], Field(description="Subjects of the first group never trained on: validation")
    ] = ("S007", "S011", "S026", "S080", "S094")
    epochs: Annotated[int, Field(ge=1, description="Rounds of freshly drawn views")] = 200
    views_per_epoch: Annotated[int, Field(ge=1024)] = 65536
    hidden: Annotated[int, Field(ge=8, le=8192, description="Width of the hidden layers; 1024 in the paper")] = 512
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    threads: Annotated[int, Field(ge=1, description="CPU threads; part of what decides the bytes")] = 1


def run(name: str, motion: Path, output: Path, *, seed: int = 0, options: dict[str, Any] | None = None) -> None:
    """Train a method and write its weights to ``output`` (safetensors, card inside).

    Raises
    ------
    InputError
        No trainer of that name, bad options, a motion file that cannot be used, or an output that cannot be written.
    """
    trainers: dict[str, Callable[..., None]] = {"linear": _train_linear}
    if name not in trainers:
        raise InputError(f"train: expected {' or '.join(trainers)}, got {name!r}")
    trainers[name](motion, output, seed, options or {})


def _train_linear(motion: Path, output: Path, seed: int, values: dict[str, Any]) -> None:
    try:
        options = TrainLinearOptions.model_validate(values)
    except ValidationError as error:
        known = ", ".join(TrainLinearOptions.model_fields)
        raise InputError(f"train linear: {registry.one_line(error)}; options: {known}") from None
    if not os.access(output.parent if output.parent.exists() else Path(), os.W_OK):
        raise InputError(f"{output}: cannot be written; choose a folder that you may write to")
    clips = read_motion(motion, groups=options.groups)
    held_out, training = _split(clips, options, motion)

    import torch

    from posemill.lifters import linear as lifter
    from posemill.training import linear as trainer
    from posemill.training.bodies import pose_library

    torch.set_num_threads(options.threads)
    schedule = trainer.Schedule(
        epochs=options.epochs,
        views_per_epoch=options.views_per_epoch,
        hidden=options.hidden,
        dropout=options.dropout,
        seed=seed,
    )
    library = pose_library([clip.joints for clip in training], seed=seed)
    with Ticker(options.epochs, "train linear", "epoch") as ticker:

        def report(epoch: int, loss_m: float) -> None:
            ticker.step(f"{1000 * loss_m:.1f} mm")

        network = trainer.train(library, schedule, report=report)
    # What is evaluated is what is stored: half precision.
    for parameter in network.parameters():
        if parameter.ndim == 2:
            parameter.data = parameter.data.half().float()
    factor, results = _evaluate(network, held_out, schedule)
    card = {
        "method": "linear",
        "trained_on": {"motion_sha256": sha256_file(motion), "clips": len(training), "frames": _frames(training)},
        "held_out_subjects": sorted(held_out),
        "options": options.model_dump(mode="json"),
        "seed": seed,
        "licences": dict(lifter.CARD.licences),
        "results": results,
    }
    lifter.store(output, network, factor, card)
    print(json.dumps(results, indent=1))
    print(f"{output}: sha256 {sha256_file(output)}, {output.stat().st_size} bytes")


def _frames(clips: list[MotionClip]) -> int:
    return sum(len(clip.joints) for clip in clips)


def _split(
    clips: list[MotionClip], options: TrainLinearOptions, path: Path
) -> tuple[dict[str, np.ndarray], list[MotionClip]]:
    """Validation bodies by subject, ten a second; and the clips to train on."""
    first = options.groups[0] if options.groups else ""
    subjects = sorted({clip.subject for clip in clips if clip.group == first})
    unknown = [s for s in options.held_out if s not in subjects]
    if unknown or len(options.held_out) < 2:
        raise InputError(
            expected("held_out", f"two or more of {', '.join(subjects)}", ", ".join(options.held_out), where=path)
        )
    # A held-out subject is left out under whichever group its name appears.
    training = [clip for clip in clips if clip.subject not in options.held_out]
    held_out = {
        subject: np.concatenate(
            [c.joints[:: max(1, round(c.fps / 10))] for c in clips if c.subject == subject and c.group == first]
        )
        for subject in options.held_out
    }
    if not training:
        raise InputError(expected("clips to train on", "some", "none", where=path))
    return held_out, training


_VIEWS_PER_SUBJECT = 4000


def _evaluate(network: Any, held_out: dict[str, np.ndarray], schedule: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Calibrate sigma on every other held-out subject, and measure: errors on all, coverage on the others."""
    from posemill.training import linear as trainer

    subjects = sorted(held_out)
    samples = {noise: [_predicted(network, held_out[s], noise, schedule, i) for i, s in enumerate(subjects)]
               for noise in ("exact", "white", "detector")}  # fmt: skip
    calibration = samples["detector"][::2]
    factor = trainer.sigma_factor(
        np.concatenate([s["error"] for s in calibration]), np.concatenate([s["sigma"] for s in calibration])
    )
    results: dict[str, Any] = {}
    for noise, parts in samples.items():
        per_subject = {subject: _errors_mm(part) for subject, part in zip(subjects, parts, strict=True)}
        names = next(iter(per_subject.values()))
        results[noise] = {
            **{name: round(float(np.mean([p[name] for p in per_subject.values()])), 1) for name in names},
            "subjects": per_subject,
        }
    check = samples["detector"][1::2]
    coverage = trainer.sigma_coverage(
        np.concatenate([s["error"] for s in check]), np.concatenate([s["sigma"] for s in check]) * factor
    )
    results["sigma"] = {
        "calibrated_on": subjects[::2],
        "checked_on": subjects[1::2],
        "share_within_one_sigma": {axis: round(share, 3) for axis, share in coverage.items()},
    }
    return factor, results


def _predicted(network: Any, bodies: np.ndarray, noise: str, schedule: Any, seed: int) -> dict[str, np.ndarray]:
    """Predict views of one subject; camera frame, metres, relative to the pelvis."""
    from posemill.networks.linear import predict
    from posemill.networks.rays import ray_pose
    from posemill.training.bodies import STANDARD_LENGTH_M, body_length
    from posemill.training.linear import held_out_views

    repeated = np.concatenate([bodies] * -(-_VIEWS_PER_SUBJECT // len(bodies)))[:_VIEWS_PER_SUBJECT]
    views, pixels = held_out_views(repeated, noise, schedule, 1000 + seed)
    pose = ray_pose(views.normalise(pixels), np.ones(pixels.shape[:2], dtype=bool))
    turned, sigma = predict(network, pose.inputs, flip=True)
    joints = np.concatenate([np.zeros((len(turned), 1, 3)), turned @ pose.rotation], 1)
    truth = views.joints_camera - views.joints_camera[:, :1]
    size = (body_length(truth) / STANDARD_LENGTH_M)[:, None, None]
    return {"joints": joints, "truth": truth, "size": size, "sigma": sigma, "error": (joints - truth / size)[:, 1:]}


def _errors_mm(sample: dict[str, np.ndarray]) -> dict[str, float]:
    from posemill.metrics.pose import mpjpe, p_mpjpe
    from posemill.training.linear import LIMB_INDICES

    joints, truth, size = sample["joints"], sample["truth"], sample["size"]
    fourteen = np.setdiff1d(np.arange(17), (7, 9, 10))
    values = {
        "mpjpe17_mm": mpjpe(joints, truth),
        "mpjpe17_size_given_mm": mpjpe(joints * size, truth),
        "mpjpe14_size_given_mm": mpjpe((joints * size)[:, fourteen], truth[:, fourteen]),
        "p_mpjpe17_mm": p_mpjpe(joints, truth),
        "p_mpjpe14_mm": p_mpjpe(joints[:, fourteen], truth[:, fourteen]),
        "p_mpjpe12_limbs_mm": p_mpjpe(joints[:, LIMB_INDICES], truth[:, LIMB_INDICES]),
    }
    return {name: round(1000 * value, 1) for name, value in values.items()}
