"""``posemill noise``: fit to detections and truth how a detector errs, for training by the same errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.artifact import Artifact, Clip, file_sha256, read
from posemill.formats.hourglass_mpii import read_hourglass_mpii
from posemill.joint_axes import FEET
from posemill.metrics.pairing import match_frames
from posemill.skeleton import JOINT_SETS, LIMBS, joint_set
from posemill.training.profile import DetectorProfile, profile_of, profile_text, write_profile
from posemill.training.profile_fit import FitClip, fit_profile
from posemill.training.profile_stills import fit_stills

__all__ = ["fit", "fit_mpii", "show"]


def show(name: str) -> None:
    """Print a profile as a table, with its card."""
    print(profile_text(profile_of(name)), end="")


def fit(
    keypoints2d: Sequence[Path], truths: Sequence[Path], output: Path, *, name: str, card: dict[str, Any]
) -> DetectorProfile:
    """Fit a profile to keypoints and write it.

    Parameters
    ----------
    keypoints2d
        Artifacts that posemill gather wrote, one detector's.
    truths
        The truth3d artifact of each, in the same order.
    card
        What the profile shall say of its data beside what is counted here.

    Raises
    ------
    InputError
        Not as many truths, clips without truth, several detectors, stills, or too little to fit.
    """
    if len(keypoints2d) != len(truths) or not keypoints2d:
        raise InputError(expected("--truth", "one file for each of KEYPOINTS2D", f"{len(truths)}, {len(keypoints2d)}"))
    clips: list[FitClip] = []
    detectors: set[str] = set()
    failed: list[str] = []
    for path, truth_path in zip(keypoints2d, truths, strict=True):
        found, truth = read(path, "keypoints2d"), read(truth_path, "truth3d")
        detectors.add(str(found.attrs.get("detector", "")))
        for clip_id, clip in found.clips.items():
            if clip.status != "ok":
                failed.append(f"{found.subject}/{clip_id}: {clip.reason}")
            elif clip_id not in truth.clips:
                raise InputError(expected(f"clip {clip_id}", "in the truth", sorted(truth.clips), where=truth_path))
            else:
                clips.append(_clip(found, clip, truth, truth.clips[clip_id], f"{path}: {clip_id}"))
    if len(detectors) != 1:
        raise InputError(expected("keypoints2d", "one detector's", ", ".join(sorted(detectors))))
    profile = fit_profile(name, clips)
    told = {
        "detector": detectors.pop(),
        "clips": len(clips),
        "frames": sum(len(c.plane) for c in clips),
        "fps": clips[0].fps,
        "stature_m": f"{min(c.stature_m for c in clips):.2f} to {max(c.stature_m for c in clips):.2f}",
        "failed_clips": failed,
    }
    profile = replace(profile, card=told | card)
    write_profile(output, profile)
    print(profile_text(profile), end="")
    return profile


def _clip(found: Artifact, clip: Clip, truth: Artifact, known: Clip, where: str) -> FitClip:
    if not clip.temporal or clip.camera is None or len(clip.tracks) != 1 or len(known.tracks) != 1:
        raise InputError(expected("clip", "a video of one person with its camera", "another", where=where))
    detected, true = next(iter(clip.tracks.values())).arrays, next(iter(known.tracks.values())).arrays
    names = joint_set(truth.joint_set).joints
    own = joint_set(found.joint_set)
    joints = tuple(j for j in (*LIMBS, *FEET) if j in own.joints and j in names)
    together, nearest = match_frames(clip.time, known.time, 0.5 / known.fps)
    if len(nearest) < 4:
        raise InputError(expected("frames", "four or more at times of the truth", len(nearest), where=where))
    columns = own.indices(joints)
    points = np.where(detected["valid"][..., None], detected["keypoints"], np.nan).astype(np.float64)
    return FitClip(
        joints,
        clip.camera.normalise(points[together][:, columns]),
        detected["score"][together][:, columns].astype(np.float64),
        true["joints_camera"][nearest].astype(np.float64),
        names,
        float(truth.attrs["height_m"]),
        float(clip.fps),
    )


def fit_mpii(
    predictions: Path, annotations: Path, output: Path, *, name: str, like: str, card: dict[str, Any]
) -> DetectorProfile:
    """Fit a profile to a detector's predictions on annotated people of MPII and write it.

    Parameters
    ----------
    predictions, annotations
        Files of :mod:`posemill.formats.hourglass_mpii`.
    like
        Profile (name or file) from which comes what pictures do not tell: how errors go on in time.

    Raises
    ------
    InputError
        A file cannot be read, lacks a dataset, or they are of different people.
    """
    people = read_hourglass_mpii(predictions, annotations)
    pattern = profile_of(like)
    names = JOINT_SETS["mpii16"].joints
    profile = fit_stills(name, people.predicted, people.annotated, names, people.height_px, pattern)
    limbs = JOINT_SETS["mpii16"].indices(LIMBS)
    told = {
        "people": len(people.predicted),
        "annotated_limb_joints": int(np.isfinite(people.annotated[:, limbs]).all(-1).sum()),
        "in_time_like": pattern.name,
        "sha256": {"predictions": file_sha256(predictions), "annotations": file_sha256(annotations)},
    }
    profile = replace(profile, card=told | card)
    write_profile(output, profile)
    print(profile_text(profile), end="")
    return profile
