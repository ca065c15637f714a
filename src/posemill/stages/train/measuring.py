"""Measure a weights file on windows of held-out subjects, through its own adapter."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posemill.formats.motion import MotionClip
from posemill.stages.train.data import MotionSplit

if TYPE_CHECKING:
    from posemill.training.held_out import HeldOut

__all__ = ["FIGURES", "FRAMES", "figures_mm", "floors", "lifter_of", "mean_figures", "quick", "results"]

FRAMES = 27
"""Frames of a window."""
_FIGURES = {"mpjpe17": "mpjpe17_mm", "p_mpjpe17": "p_mpjpe17_mm", "p_mpjpe12": "p_mpjpe12_limbs_mm"}
FIGURES = tuple(_FIGURES.values())
"""What is measured."""


def _windows(clips: list[MotionClip], count: int, noisy: bool, seed: int) -> Any:
    from posemill.training.noise import NoiseLevels
    from posemill.training.sequences import draw_windows

    fps = clips[0].fps
    rng = np.random.default_rng(seed)
    joints = [clip.joints for clip in clips]
    noise = NoiseLevels() if noisy else None
    return draw_windows(joints, fps, count, FRAMES, rng, frame_rate=(fps, fps), noise=noise)


def lifter_of(name: str, weights: Path) -> tuple[Any, Any]:
    """The lifter with these weights, and its card."""
    module = importlib.import_module(f"posemill.lifters.{name}")
    options = module.Options(weights=weights)
    describe = getattr(module, "card", None)
    return module.create(options), describe(options) if describe else module.CARD


def floors(name: str, weights: Path, split: MotionSplit, count: int) -> np.ndarray:
    """Sigma per joint (17,) m per axis that the lifter leaves on every other held-out subject, detector-like 2D."""
    from posemill.training.held_out import measure

    made, card = lifter_of(name, weights)
    parts = [
        measure(made, card, _windows(split.held_out[subject], count, True, 2000 + i), split.fps).axis_rms
        for i, subject in enumerate(sorted(split.held_out)[::2])
    ]
    # The pelvis is where it is by definition.
    return np.maximum(np.sqrt(np.mean(np.square(parts), axis=0)), 0.01)


def figures_mm(found: HeldOut, names: Mapping[str, str]) -> dict[str, float]:
    """Errors in mm: fields of a measurement by the names that they shall have."""
    return {said: round(1000 * getattr(found, name), 1) for name, said in names.items()}


def mean_figures(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Means over subjects of their figures."""
    names = next(iter(figures.values()))
    return {name: round(float(np.mean([f[name] for f in figures.values()])), 1) for name in names}


def quick(name: str, weights: Path, split: MotionSplit, count: int, *, noisy: bool = False) -> dict[str, float]:
    """Errors in mm on the held-out subjects, means over subjects; NaN where nothing is answered."""
    from posemill.training.held_out import measure

    made, card = lifter_of(name, weights)
    figures = {
        subject: figures_mm(
            measure(made, card, _windows(split.held_out[subject], count, noisy, 3000 + i), split.fps), _FIGURES
        )
        for i, subject in enumerate(sorted(split.held_out))
    }
    return mean_figures(figures)


def results(name: str, weights: Path, split: MotionSplit, count: int) -> dict[str, Any]:
    """Errors in mm on the held-out subjects, means over subjects, with exact and detector-like 2D, and coverage."""
    from posemill.training.held_out import measure

    made, card = lifter_of(name, weights)
    said: dict[str, Any] = {
        "protocol": f"{count} windows of {FRAMES} frames a subject, virtual cameras drawn as in "
        "training; mpjpe17 about the pelvis with the person's size given; p_mpjpe: similarity per frame; mean over "
        "subjects; floors of sigma are from every other subject, its coverage from the rest"
    }
    subjects = sorted(split.held_out)
    for noise in ("exact", "detector"):
        found: Mapping[str, Any] = {
            subject: measure(
                made, card, _windows(split.held_out[subject], count, noise == "detector", 3000 + i), split.fps
            )
            for i, subject in enumerate(subjects)
        }
        figures = {subject: figures_mm(f, _FIGURES) for subject, f in found.items()}
        said[noise] = {
            **mean_figures(figures),
            "subjects": figures,
            "share_answered": round(float(np.mean([f.valid for f in found.values()])), 4),
        }
        if noise == "detector":
            checked = [found[subject].within_sigma for subject in subjects[1::2]]
            said["share_within_one_sigma"] = dict(zip("xyz", np.mean(checked, axis=0).round(3).tolist(), strict=True))
    return said
