"""Train ``linear`` on bodies through virtual cameras, calibrate its sigma, write it with its card."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from posemill.stages.train.data import TrainOptions, check_options, read_split, request_options, terms
from posemill.stages.train.measuring import quick
from posemill.stages.train.running import Start, go, tell

if TYPE_CHECKING:
    from posemill.training.linear import Schedule

__all__ = ["TrainLinearOptions", "planned", "run"]


class TrainLinearOptions(TrainOptions, extra="forbid"):
    """Options of ``posemill train linear``."""

    preset: Annotated[
        Literal["short", "paper"], Field(description="Sizes, loss and schedule: for CPUs, or as published")
    ] = "short"
    epochs: Annotated[int | None, Field(ge=1, description="Rounds of freshly drawn views")] = None
    views_per_epoch: Annotated[int, Field(ge=1024)] = 65536
    batch: Annotated[int | None, Field(ge=2, le=65536)] = None
    learning_rate: Annotated[float | None, Field(gt=0, le=1, description="At its highest")] = None
    hidden: Annotated[int | None, Field(ge=8, le=8192, description="Width of the hidden layers")] = None
    dropout: Annotated[float | None, Field(ge=0, lt=1)] = None


# Of paper: 200 epochs of 1.56 million views, as rounds of 65 536.
_PRESETS: dict[str, dict[str, Any]] = {
    "short": {},
    "paper": {"epochs": 4760, "batch": 64, "learning_rate": 1e-3, "hidden": 1024, "dropout": 0.5, "loss": "squared"},
}


def planned(seed: int, values: dict[str, Any], output: Path) -> tuple[TrainLinearOptions, Schedule]:
    """Options checked, and the schedule that they ask for."""
    from posemill.training.linear import Schedule

    options = check_options("linear", TrainLinearOptions, values, output)
    given = {key: getattr(options, key) for key in ("epochs", "batch", "learning_rate", "hidden", "dropout")}
    chosen = {**_PRESETS[options.preset], **{key: value for key, value in given.items() if value is not None}}
    return options, Schedule(views_per_epoch=options.views_per_epoch, seed=seed, **chosen)


def run(motion: Path, output: Path, seed: int, values: dict[str, Any]) -> float:
    """Train ``linear`` and write its weights; see :func:`posemill.stages.train.run`."""
    options, schedule = planned(seed, values, output)
    split = read_split(motion, options)
    # Ten bodies a second tell what fifty would.
    held_out = {
        subject: np.concatenate([c.joints[:: max(1, round(c.fps / 10))] for c in clips])
        for subject, clips in split.held_out.items()
    }

    import torch

    from posemill.lifters import linear as lifter
    from posemill.training import linear as trainer
    from posemill.training.bodies import pose_library

    torch.set_num_threads(options.threads)
    start = None if options.start is None else Start(options.start, "linear")
    library = pose_library([clip.joints for clip in split.training], seed=seed)
    training = trainer.LinearTraining(library, schedule, start=None if start is None else start.tensors)
    request = {
        "train": "linear",
        "card": {"lifter": "linear", "method": "linear", "network": lifter.RAYS},
        **split.card,
        "schedule": schedule.said,
        "options": request_options(options),
        "start": None if start is None else start.card,
    }

    def measured() -> Mapping[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "now.safetensors")
            lifter.store(path, training.network, training.extras["sigma_factor"], {"method": "linear"})
            return quick("linear", path, split, 30)

    pace = go("linear", training, output, request, options, measured)
    network = training.network.cpu()
    # What is evaluated is what is stored: half precision.
    for parameter in network.parameters():
        if parameter.ndim == 2:
            parameter.data = parameter.data.half().float()
    factor, results = _evaluate(network, held_out, schedule)
    card = {
        "method": "linear",
        **split.card,
        "supervision": "supervised: the 3D of every view",
        "options": options.said,
        "schedule": schedule.said,
        "licences": terms(options),
        **({} if start is None else {"start": start.card}),
        "results": results,
    }
    lifter.store(output, network, factor, card)
    tell(output, results)
    return pace


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
    from posemill.anthropometry import STANDARD_LENGTH_M, body_length
    from posemill.networks.linear import predict
    from posemill.networks.rays import ray_pose
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
    from posemill.training.held_out import FOURTEEN
    from posemill.training.linear import LIMB_INDICES

    joints, truth, size = sample["joints"], sample["truth"], sample["size"]
    values = {
        "mpjpe17_mm": mpjpe(joints, truth),
        "mpjpe17_size_given_mm": mpjpe(joints * size, truth),
        "mpjpe14_size_given_mm": mpjpe((joints * size)[:, FOURTEEN], truth[:, FOURTEEN]),
        "p_mpjpe17_mm": p_mpjpe(joints, truth),
        "p_mpjpe14_mm": p_mpjpe(joints[:, FOURTEEN], truth[:, FOURTEEN]),
        "p_mpjpe12_limbs_mm": p_mpjpe(joints[:, LIMB_INDICES], truth[:, LIMB_INDICES]),
    }
    return {name: round(1000 * value, 1) for name, value in values.items()}
