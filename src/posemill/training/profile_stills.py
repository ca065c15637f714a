"""Fit a detector's error profile to its predictions on annotated pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from posemill.training.profile import SCORE_LEVELS, DetectorProfile
from posemill.training.profile_fit import LARGEST, OUTLIER, huber_offsets

__all__ = ["fit_stills"]

# What a body-fixed direction looks like in a still: the picture of this vector, whose length is this share of stature
# (Drillis and Contini as in posemill.twin.body). What is ahead of a joint cannot be seen so.
_TRUNK = (("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"), 0.273)
_HALF_WIDTH = {"hip": 0.0575, "shoulder": 0.105}
_BONES = {
    "knee": ("hip", 0.245),
    "ankle": ("knee", 0.246),
    "elbow": ("shoulder", 0.171),
    "wrist": ("elbow", 0.146),
}


def fit_stills(
    name: str,
    predicted: np.ndarray,
    annotated: np.ndarray,
    names: Sequence[str],
    height_px: np.ndarray,
    like: DetectorProfile,
) -> DetectorProfile:
    """Fit a profile to predictions and annotations of pictures that have nothing to do with each other.

    A picture shows offsets only along what can be seen in it: out and up at the trunk, along the bones. How errors
    divide into constant, slow and new ones a picture does not say: that, spread and spells are taken from ``like``.

    Parameters
    ----------
    predicted, annotated
        (N, J, 2) px; NaN where not annotated.
    names
        The J joints.
    height_px
        (N,) the person's height in the picture.
    """
    at = {joint: annotated[:, names.index(joint)] for joint in names}
    up = sum(at[j] for j in _TRUNK[1]) / 2 - sum(at[j] for j in _TRUNK[0]) / 2
    joints = {}
    for kind in like.joints:
        if kind not in (*_HALF_WIDTH, *_BONES):
            continue
        rows, pictures = [], []
        for side, sign in (("left", 1.0), ("right", -1.0)):
            joint = f"{side}_{kind}"
            if kind in _HALF_WIDTH:
                outward = sign * (at[f"left_{kind}"] - at[f"right_{kind}"]) / 2 / _HALF_WIDTH[kind]
                seen = np.stack([outward, up / _TRUNK[2]], -1)
            else:
                start, share = _BONES[kind]
                seen = ((at[joint] - at[f"{side}_{start}"]) / share)[..., None]
            rows.append((predicted[:, names.index(joint)] - at[joint]) / height_px[:, None])
            pictures.append(seen / height_px[:, None, None])
        row, picture = np.concatenate(rows), np.concatenate(pictures)
        known = np.isfinite(row).all(-1) & np.isfinite(picture).all((-1, -2))
        found, se = huber_offsets(row[known], picture[known], np.tile(np.arange(len(predicted)), 2)[known] % 50)
        axes = [1, 2] if kind in _HALF_WIDTH else [2]
        offset, deviation = np.zeros(3), np.full(3, np.nan)
        offset[axes], deviation[axes] = found, se
        rest = row[known] - picture[known] @ found
        length = np.linalg.norm(rest, axis=-1)
        scale = float(np.median(length)) / 1.1774
        far = length > OUTLIER * scale
        model = like.joints[kind]
        whole = np.sqrt(model.scatter**2 + model.slow**2 + model.jitter**2)
        joints[kind] = replace(
            model,
            offset=tuple(offset),
            offset_se=tuple(deviation),
            scatter=scale * model.scatter / whole,
            slow=scale * model.slow / whole,
            jitter=scale * model.jitter / whole,
            outliers=float(far.mean()),
            outlier_size=float(np.sqrt((np.minimum(length[far], LARGEST) ** 2).sum() / 2 / max(far.sum(), 1))),
            missing=0.0,
            score_quantiles=(1.0,) * len(SCORE_LEVELS),
            score_error=0.0,
        )
    return DetectorProfile(name, joints, like.spread)
