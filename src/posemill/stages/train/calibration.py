"""Calibrate the sigmas of ``posemill`` on held-out subjects, and measure it on all of them, through its own adapter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posemill.formats.motion import MotionClip
from posemill.stages.train.data import MotionSplit
from posemill.stages.train.measuring import FRAMES, figures_mm, mean_figures

if TYPE_CHECKING:
    from posemill.training.held_out import HeldOut
    from posemill.training.sequences import Windows

__all__ = ["SOURCES", "calibrate", "measured", "seen_windows"]

SOURCES = ("exact", "noisy", "mediapipe")
"""2D that is measured on: without errors; 1.2 % of stature with the tails and the memory of a real detector; as
MediaPipe was found to err."""

_NOISE = 0.012
_FIGURES = {name: f"{name}_mm" for name in ("mpjpe17", "p_mpjpe17", "mpjpe14", "p_mpjpe14", "p_mpjpe12")}
_PROTOCOL = (
    "{count} windows of {frames} frames a subject at the file's rate, virtual cameras as in training but drawn anew, "
    "roll -30 to 30 deg evenly; mpjpe about the pelvis with the person's size given; p_mpjpe: similarity per frame; 14 "
    "joints: without spine, nose and head; mean over subjects; sigma calibrated on {calibrated}, checked on {checked}"
)


def calibrate(weights: Path, split: MotionSplit, count: int) -> np.ndarray:
    """Factors (20, 3) that put 68.27 % of the errors of each joint and axis within one sigma, or more, for each source.

    From every other held-out subject. Heels and toes, which the truth here lacks, get those of the ankles.
    """
    from posemill.networks.posemill import JOINTS_OUT

    body = np.zeros((16, 3))
    for source in SOURCES:
        ratios = [
            _measure(weights, split.held_out[subject], source, count, 2000 + i).sigma_ratios[:, 1:]
            for i, subject in enumerate(_calibrated(split))
        ]
        # Rather too unsure of one source than too sure of another.
        body = np.maximum(body, np.quantile(np.concatenate(ratios), 0.6827, axis=0))
    ankles = body[[5, 2]]  # left, right: joints 6 and 3 of h36m17
    return np.concatenate([body, ankles, ankles])[:JOINTS_OUT]


def measured(weights: Path, split: MotionSplit, count: int) -> dict[str, Any]:
    """Errors in mm on the held-out subjects by source, shares within one sigma by axis, and without later frames."""
    checked = sorted(set(split.held_out) - set(_calibrated(split)))
    out: dict[str, Any] = {
        "protocol": _PROTOCOL.format(
            count=count, frames=FRAMES, calibrated=", ".join(_calibrated(split)), checked=", ".join(checked)
        )
    }
    shares: dict[str, dict[str, float]] = {}
    for source in SOURCES:
        found = _by_subject(weights, split, source, count)
        figures = {subject: figures_mm(f, _FIGURES) for subject, f in found.items()}
        within = np.mean([found[subject].within_sigma for subject in checked], axis=0)
        out[source] = {
            **mean_figures(figures),
            "subjects": figures,
            "share_answered": round(float(np.mean([f.valid for f in found.values()])), 4),
        }
        shares[source] = dict(zip("xyz", within.round(3).tolist(), strict=True))
    out["share_within_one_sigma"] = shares
    for source, name, how in (
        ("noisy", "causal", {"causal": True}),
        *((source, "up known", {"in_world": True}) for source in SOURCES),
    ):
        found = _by_subject(weights, split, source, count, **how)
        out[f"{source}, {name}"] = mean_figures({subject: figures_mm(f, _FIGURES) for subject, f in found.items()})
    return out


def _calibrated(split: MotionSplit) -> list[str]:
    return sorted(split.held_out)[::2]


def _by_subject(weights: Path, split: MotionSplit, source: str, count: int, **how: bool) -> dict[str, HeldOut]:
    return {
        subject: _measure(weights, split.held_out[subject], source, count, 3000 + i, **how)
        for i, subject in enumerate(sorted(split.held_out))
    }


def _measure(
    weights: Path,
    clips: list[MotionClip],
    source: str,
    count: int,
    seed: int,
    *,
    causal: bool = False,
    in_world: bool = False,
) -> HeldOut:
    from posemill.lifters import posemill
    from posemill.training.held_out import measure

    options = posemill.Options(weights=weights, causal=causal)
    windows = seen_windows(clips, count, source, seed)
    return measure(posemill.create(options), posemill.card(options), windows, clips[0].fps, source, in_world=in_world)


def seen_windows(clips: list[MotionClip], count: int, source: str, seed: int, frames: int = FRAMES) -> Windows:
    """Windows of held-out people as they are, and their 2D as a source (one of :data:`SOURCES`) gives it."""
    from posemill.detectors.noise import errors_over_time
    from posemill.skeleton import JOINT_SETS, LIMBS
    from posemill.training.detector_errors import draw_errors
    from posemill.training.profile import shipped
    from posemill.training.sequences import draw_windows
    from posemill.training.virtual_cameras import CameraRange

    fps = clips[0].fps
    rng = np.random.default_rng(seed)
    windows = draw_windows(
        [clip.joints for clip in clips],
        fps,
        count,
        frames,
        rng,
        frame_rate=(fps, fps),
        cameras=CameraRange(wide_roll_share=1.0),
    )
    keypoints = windows.exact.copy()
    if source == "noisy":
        time = np.arange(frames) / fps
        errors = np.stack([errors_over_time(time, keypoints.shape[2], rng) for _ in range(count)])
        keypoints += _NOISE * windows.stature_px[:, None, None, None] * errors
    elif source == "mediapipe":
        limbs = JOINT_SETS["h36m17"].indices(LIMBS)
        drawn = draw_errors([shipped("mediapipe")], windows.joints_camera, fps, rng)
        seen = keypoints[:, :, limbs] + windows.focal_px[:, None, None, None] * drawn.plane
        keypoints[:, :, limbs] = np.where(drawn.present[..., None], seen, np.nan)
    return replace(windows, keypoints=keypoints)
