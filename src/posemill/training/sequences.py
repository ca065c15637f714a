"""Windows of motion in front of static virtual cameras: what temporal lifters train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from posemill.anthropometry import STANDARD_LENGTH_M, STATURE_PER_LENGTH, body_length
from posemill.skeleton import JOINT_SETS
from posemill.training.noise import NoiseLevels, image_noise
from posemill.training.virtual_cameras import CameraRange, view

__all__ = ["FRAME_RATE", "Captured", "Source", "Windows", "before_cameras", "draw_windows"]

_SET = JOINT_SETS["h36m17"]
_FLIP = _SET.flip_permutation
_HIPS, _SHOULDERS = ((_SET.index(f"left_{j}"), _SET.index(f"right_{j}")) for j in ("hip", "shoulder"))
FRAME_RATE = (24.0, 60.0)
"""Rates, frames per second, at which the frames of a window follow each other in training."""


@dataclass(frozen=True)
class Windows:
    """N windows of T frames, each seen by one static camera.

    Attributes
    ----------
    joints_camera
        (N, T, 17, 3) metres, camera frame; NaN where windows of 2D alone are drawn.
    keypoints
        (N, T, 17, 2) px as a detector would give them, and ``exact`` the same without its errors.
    size, focal_px
        (N, 2) px and (N,) px; square pixels, principal point at the picture's centre, no distortion.
    R
        (N, 3, 3) world (z up) to camera.
    """

    joints_camera: np.ndarray
    keypoints: np.ndarray
    exact: np.ndarray
    size: np.ndarray
    focal_px: np.ndarray
    R: np.ndarray

    @property
    def plane(self) -> np.ndarray:
        """(N, T, 17, 2) keypoints on the normalised plane."""
        return (self.keypoints - ((self.size - 1) / 2)[:, None, None]) / self.focal_px[:, None, None, None]

    @property
    def stature_px(self) -> np.ndarray:
        """(N,) height in px of each person standing upright where the pelvis is, mean over the window."""
        return _stature_px(self.joints_camera, self.focal_px)

    @property
    def relative(self) -> np.ndarray:
        """(N, T, 17, 3) metres relative to the pelvis, camera axes."""
        return self.joints_camera - self.joints_camera[:, :, :1]

    @property
    def standard(self) -> np.ndarray:
        """Like ``relative``, each person brought to the standard body's size."""
        size = body_length(self.joints_camera).mean(axis=1)
        return self.relative * (STANDARD_LENGTH_M / size)[:, None, None, None]


class Source(Protocol):
    """What a training draws its windows from."""

    def draw(self, count: int, frames: int, rng: np.random.Generator) -> Windows:
        """Draw ``count`` windows of ``frames`` frames."""
        ...


@dataclass(frozen=True)
class Captured:
    """Motion capture through virtual cameras.

    Attributes
    ----------
    clips, fps, noise
        As :func:`draw_windows` takes them.
    """

    clips: Sequence[np.ndarray]
    fps: float
    noise: NoiseLevels | None = None

    def draw(self, count: int, frames: int, rng: np.random.Generator) -> Windows:
        """Draw windows of bodies of all sizes before cameras of all kinds."""
        return draw_windows(self.clips, self.fps, count, frames, rng, noise=self.noise)


def draw_windows(
    clips: Sequence[np.ndarray],
    fps: float,
    count: int,
    frames: int,
    rng: np.random.Generator,
    *,
    frame_rate: tuple[float, float] = FRAME_RATE,
    noise: NoiseLevels | None = None,
    cameras: CameraRange | None = None,
) -> Windows:
    """Draw windows: a clip, a stretch of it, a frame rate, mirrored or not, a body size, a camera, a detector's errors.

    Parameters
    ----------
    clips
        Each (T, 17, 3) metres, z up, at ``fps``. A stretch that is longer than its clip holds the clip's ends.
    frames
        Frames per window.
    frame_rate
        Range of the rate at which the window's frames follow each other.
    noise
        Detector errors; None for exact keypoints.
    """
    lengths = np.array([len(c) for c in clips])
    chosen = rng.choice(len(clips), size=count, p=lengths / lengths.sum())
    step = fps / np.exp(rng.uniform(np.log(frame_rate[0]), np.log(frame_rate[1]), count))
    span = step * (frames - 1)
    start = rng.uniform(0, 1, count) * np.maximum(lengths[chosen] - 1 - span, 0)
    at = np.minimum(start[:, None] + step[:, None] * np.arange(frames), lengths[chosen, None] - 1)
    bodies = np.stack([_between(clips[c], row) for c, row in zip(chosen, at, strict=True)])
    mirrored = rng.random(count) < 0.5
    bodies[mirrored] = bodies[mirrored][:, :, _FLIP] * (-1, 1, 1)
    bodies *= rng.uniform(0.88, 1.12, count)[:, None, None, None]
    return before_cameras(bodies, rng, noise=noise, cameras=cameras)


def before_cameras(
    bodies: np.ndarray,
    rng: np.random.Generator,
    *,
    noise: NoiseLevels | None = None,
    cameras: CameraRange | None = None,
) -> Windows:
    """Put a static camera before each window of bodies (N, T, 17, 3) metres, z up, and a detector behind it."""
    views = view(bodies.reshape(len(bodies), -1, 3), rng, cameras)
    joints_camera = views.joints_camera.reshape(bodies.shape)
    exact = views.keypoints.reshape(*bodies.shape[:3], 2)
    keypoints = exact
    if noise is not None:
        stature = _stature_px(joints_camera, views.focal_px)
        keypoints = _as_detected(image_noise(exact, stature, rng, noise), stature, rng)
    return Windows(joints_camera, keypoints, exact, views.size, views.focal_px, views.R)


def _between(clip: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Linear interpolation of (T, 17, 3) at fractional frames."""
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(clip) - 1)
    share = (at - low)[:, None, None]
    return clip[low] * (1 - share) + clip[high] * share


def _as_detected(keypoints: np.ndarray, stature_px: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make trunk and head what detectors that know limbs and a face have for them.

    The middle of hips and of shoulders, in half of the windows the middle of both for the spine; nose and head top
    anywhere about motion capture's, by 4 % of stature, the same over a window.
    """
    out = keypoints.copy()
    hips, shoulders = (keypoints[:, :, list(pair)].mean(axis=2) for pair in (_HIPS, _SHOULDERS))
    out[:, :, _SET.index("pelvis")], out[:, :, _SET.index("thorax")] = hips, shoulders
    half = rng.random(len(out)) < 0.5
    out[half, :, _SET.index("spine")] = (hips[half] + shoulders[half]) / 2
    head = [_SET.index("neck_nose"), _SET.index("head_top")]
    out[:, :, head] += rng.normal(0, 0.04, (len(out), 1, 2, 2)) * stature_px[:, None, None, None]
    return out


def _stature_px(joints_camera: np.ndarray, focal_px: np.ndarray) -> np.ndarray:
    stature = STATURE_PER_LENGTH * body_length(joints_camera)
    return (stature * focal_px[:, None] / joints_camera[:, :, 0, 2]).mean(axis=1)
