"""Train a lifter of the zoo on windows of motion through virtual cameras, measure it through its own adapter."""

from __future__ import annotations

import importlib
import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, create_model

from posemill.formats.motion import MotionClip
from posemill.progress import Ticker
from posemill.provenance import sha256_file
from posemill.stages.train.data import MotionSplit, TrainOptions, check_options, read_split, terms

__all__ = ["TrainWindowsOptions", "run"]


class TrainWindowsOptions(TrainOptions, extra="forbid"):
    """Options of ``posemill train`` for the lifters that learn from windows; null: the method's own."""

    steps: Annotated[int | None, Field(ge=1, description="Batches to learn from")] = None
    batch: Annotated[int | None, Field(ge=2, le=65536, description="Windows per batch")] = None
    learning_rate: Annotated[float | None, Field(gt=0, le=1, description="Peak of the one-cycle schedule")] = None
    windows: Annotated[int, Field(ge=1, description="Windows of each held-out subject to measure on")] = 150


def run(name: str, motion: Path, output: Path, seed: int, values: dict[str, Any]) -> None:
    """Train a lifter and write its weights; see :func:`posemill.stages.train.run`."""
    from posemill.training.recipes import RECIPES

    recipe = RECIPES[name]
    # The network's sizes are options too, each of the type of its default.
    sizes: dict[str, Any] = {key: (type(value), value) for key, value in recipe.network.items()}
    model = create_model("Options", __base__=TrainWindowsOptions, **sizes)
    options = check_options(name, model, values, output)
    recipe = replace(recipe, network={key: getattr(options, key) for key in sizes})
    chosen = {key: getattr(options, key) for key in ("steps", "batch", "learning_rate")}
    schedule = replace(recipe.schedule, seed=seed, **{k: v for k, v in chosen.items() if v is not None})
    split = read_split(motion, options)

    import torch

    from posemill.lifters.loading import store
    from posemill.training.supervised import train_recipe

    torch.set_num_threads(options.threads)
    with Ticker(schedule.steps, f"train {name}", "step") as ticker:
        recent = 0.0

        def report(loss: float) -> None:
            nonlocal recent
            recent = loss if not recent else 0.99 * recent + 0.01 * loss
            ticker.step(f"loss {recent:.4f}")

        clips = [clip.joints for clip in split.training]
        network, constants = train_recipe(recipe, clips, split.fps, schedule, report=report)
    lifter = importlib.import_module(f"posemill.lifters.{name}")
    card = {
        "lifter": name,
        "network": recipe.network,
        **recipe.card,
        **split.card,
        "options": options.model_dump(mode="json"),
        "schedule": asdict(schedule),
        "licences": terms(options),
    }
    with tempfile.TemporaryDirectory() as folder:
        # Without floors first: what is measured is the stored network in its own adapter.
        bare = Path(folder, output.name)
        store(bare, network, card, constants)
        floors = {"sigma_floor": _floors(lifter, bare, split, options.windows)}
        store(bare, network, card, constants | floors)
        card["results"] = _results(lifter, bare, split, options.windows)
    store(output, network, card, constants | floors)
    print(json.dumps(card["results"], indent=1))
    print(f"{output}: sha256 {sha256_file(output)}, {output.stat().st_size} bytes")


_FRAMES = 27


def _windows(clips: list[MotionClip], count: int, noisy: bool, seed: int) -> Any:
    from posemill.training.noise import NoiseLevels
    from posemill.training.sequences import draw_windows

    fps = clips[0].fps
    rng = np.random.default_rng(seed)
    joints = [clip.joints for clip in clips]
    noise = NoiseLevels() if noisy else None
    return draw_windows(joints, fps, count, _FRAMES, rng, frame_rate=(fps, fps), noise=noise)


def _floors(lifter: Any, weights: Path, split: MotionSplit, count: int) -> np.ndarray:
    """Sigma per joint (17,) m per axis that the lifter leaves on every other held-out subject, detector-like 2D."""
    from posemill.training.held_out import measure

    made = lifter.create(lifter.Options(weights=weights))
    parts = [
        measure(
            made, _card(lifter, weights), _windows(split.held_out[subject], count, True, 2000 + i), split.fps
        ).axis_rms
        for i, subject in enumerate(sorted(split.held_out)[::2])
    ]
    # The pelvis is where it is by definition.
    return np.maximum(np.sqrt(np.mean(np.square(parts), axis=0)), 0.01)


def _card(lifter: Any, weights: Path) -> Any:
    describe = getattr(lifter, "card", None)
    return describe(lifter.Options(weights=weights)) if describe else lifter.CARD


def _results(lifter: Any, weights: Path, split: MotionSplit, count: int) -> dict[str, Any]:
    """Errors in mm on the held-out subjects, means over subjects."""
    from posemill.training.held_out import measure

    made, card = lifter.create(lifter.Options(weights=weights)), _card(lifter, weights)
    results: dict[str, Any] = {
        "protocol": f"{count} windows of {_FRAMES} frames a subject, virtual cameras drawn as in "
        "training; mpjpe17 about the pelvis with the person's size given; p_mpjpe: similarity per frame; mean over "
        "subjects; floors of sigma are from every other subject, its coverage from the rest"
    }
    subjects = sorted(split.held_out)
    for noise in ("exact", "detector"):
        found = {
            subject: measure(
                made, card, _windows(split.held_out[subject], count, noise == "detector", 3000 + i), split.fps
            )
            for i, subject in enumerate(subjects)
        }
        figures = {
            subject: {
                "mpjpe17_mm": round(1000 * f.mpjpe17, 1),
                "p_mpjpe17_mm": round(1000 * f.p_mpjpe17, 1),
                "p_mpjpe12_limbs_mm": round(1000 * f.p_mpjpe12, 1),
            }
            for subject, f in found.items()
        }
        results[noise] = {
            **{key: round(float(np.mean([f[key] for f in figures.values()])), 1) for key in figures[subjects[0]]},
            "subjects": figures,
            "share_answered": round(float(np.mean([f.valid for f in found.values()])), 4),
        }
        if noise == "detector":
            checked = [found[subject].within_sigma for subject in subjects[1::2]]
            results["share_within_one_sigma"] = dict(
                zip("xyz", np.mean(checked, axis=0).round(3).tolist(), strict=True)
            )
    return results
