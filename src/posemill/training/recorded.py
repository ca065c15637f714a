"""Windows of a dataset's own recordings, for the same training as windows before virtual cameras.

A recording has its own camera, its own (often detected) 2D and its 3D in the camera frame. Its lens is divided out: a
window's pixels are those of the camera without distortion, with square pixels and the principal point in the middle,
which is how :class:`~posemill.training.sequences.Windows` sees all cameras.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.datasets import TrainingClip
from posemill.skeleton import JOINT_SETS
from posemill.training.sequences import Windows

__all__ = ["Recorded", "normalised_poses"]

_SET = JOINT_SETS["h36m17"]
_FLIP = _SET.flip_permutation
_GAP_S = 0.25
# World z up to a level camera that looks along y, where a dataset does not say how its cameras stand.
_LEVEL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
_MIRROR = np.diag([-1.0, 1, 1])


@dataclass(frozen=True)
class _Run:
    """Neighbouring frames in which every joint is known, in 2D and 3D."""

    fps: float | None
    pixels: np.ndarray
    joints: np.ndarray
    size: np.ndarray
    focal_px: float
    R: np.ndarray


class Recorded:
    """Recordings to draw windows from.

    Gaps of up to 0.25 s in a joint are filled linearly; frames of longer ones are left out.

    Raises
    ------
    InputError
        No frame with all joints, a camera and 3D is left.
    """

    def __init__(self, clips: Sequence[TrainingClip]) -> None:
        self._runs = [run for clip in clips for run in _runs(clip)]
        if not self._runs:
            raise InputError(expected("dataset", "frames with 17 joints in 2D and 3D and a camera", "none"))

    @property
    def frames(self) -> int:
        """How many can be drawn from."""
        return sum(len(run.joints) for run in self._runs)

    def draw(
        self, count: int, frames: int, rng: np.random.Generator, *, frame_rate: tuple[float, float] | None = None
    ) -> Windows:
        """Draw windows: a recording, a stretch of it, a frame rate, mirrored or not.

        Parameters
        ----------
        frames
            Frames per window. A stretch that is longer than its recording holds the recording's ends.
        frame_rate
            Range of the rate at which the window's frames follow each other; None: each recording's own.
        """
        chosen = self._choice(count, rng)
        first = self._runs[0]
        pixels, joints = np.empty((count, frames, 17, 2)), np.empty((count, frames, 17, 3))
        size, focal, r = np.empty((count, 2)), np.empty(count), np.empty((count, *first.R.shape))
        for i, run in enumerate(self._runs[c] for c in chosen):
            step = 1.0
            if frame_rate is not None and run.fps is not None:
                step = run.fps / np.exp(rng.uniform(*np.log(frame_rate)))
            last = len(run.joints) - 1
            at = np.minimum(rng.uniform(0, max(last - step * (frames - 1), 0)) + step * np.arange(frames), last)
            if step == 1.0:
                at = np.minimum(np.floor(at[0]) + np.arange(frames), last)
            pixels[i], joints[i] = _between(run.pixels, at), _between(run.joints, at)
            size[i], focal[i], r[i] = run.size, run.focal_px, run.R
        mirrored = rng.random(count) < 0.5
        width = (size[mirrored, 0] - 1)[:, None, None]
        pixels[mirrored] = pixels[mirrored][:, :, _FLIP]
        pixels[mirrored, ..., 0] = width - pixels[mirrored, ..., 0]
        joints[mirrored] = joints[mirrored][:, :, _FLIP] @ _MIRROR
        r[mirrored] = _MIRROR @ r[mirrored] @ _MIRROR
        exact = joints[..., :2] / joints[..., 2:] * focal[:, None, None, None] + ((size - 1) / 2)[:, None, None]
        return Windows(joints, pixels, exact, size, focal, r)

    def _choice(self, count: int, rng: np.random.Generator) -> np.ndarray:
        lengths = np.array([len(run.joints) for run in self._runs], dtype=np.float64)
        return rng.choice(len(self._runs), size=count, p=lengths / lengths.sum())


def _runs(clip: TrainingClip) -> list[_Run]:
    camera, joints, known = clip.camera, clip.joints_camera, clip.known
    if camera is None or joints is None or known is None:
        return []
    plane = np.where(clip.valid[..., None], clip.plane, np.nan)
    both = np.concatenate([plane, np.where(known[..., None], joints, np.nan)], axis=-1)
    longest = 0 if clip.fps is None else int(_GAP_S * clip.fps)
    filled, whole = _filled(both, longest)
    # Behind the camera, or beyond what its lens shows.
    whole &= filled[..., 4].min(axis=1, initial=np.inf) > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], whole.astype(np.int8), [0]])))
    size = np.array([camera.width, camera.height], dtype=np.float64)
    pixels = filled[..., :2] * camera.focal_px + (size - 1) / 2
    r = _LEVEL if camera.R is None else camera.R
    spans = zip(edges[::2], edges[1::2], strict=True)
    if clip.fps is None:
        # Stills are not each other's neighbours.
        spans = ((i, i + 1) for a, b in zip(edges[::2], edges[1::2], strict=True) for i in range(a, b))
    return [_Run(clip.fps, pixels[a:b], filled[a:b, :, 2:], size, camera.focal_px, r) for a, b in spans]


def _filled(values: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Fill gaps of up to ``longest`` frames between known ones; also which frames (T,) are whole then."""
    out = values.copy()
    frames = np.arange(len(values))
    whole = np.ones(len(values), dtype=bool)
    for joint in range(values.shape[1]):
        seen = np.isfinite(values[:, joint]).all(-1)
        at = np.flatnonzero(seen)
        if not len(at):
            return out, np.zeros(len(values), dtype=bool)
        ok = seen.copy()
        gaps = np.diff(at) - 1
        for gap in np.flatnonzero((gaps > 0) & (gaps <= longest)):
            ok[at[gap] : at[gap + 1]] = True
        for axis in range(values.shape[2]):
            out[:, joint, axis] = np.interp(frames, at, values[at, joint, axis])
        whole &= ok
    return out, whole


def _between(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Linear interpolation of (T, ...) at fractional frames."""
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    share = (at - low).reshape(-1, *[1] * (values.ndim - 1))
    return values[low] * (1 - share) + values[high] * share


def normalised_poses(clips: Sequence[TrainingClip]) -> np.ndarray:
    """2D poses for unsupervised training: (N, 17, 2), pelvis at 0, mean distance of the other joints from it 1.

    Of every frame with all joints; on the normalised plane where the camera is known, else from pixels.

    Raises
    ------
    InputError
        No frame has all joints.

    References
    ----------
    Kudo, Ogaki, Matsui, Odagiri: "Unsupervised Adversarial Learning of 3D Human Pose from 2D Joint Locations", 2018.
    """
    parts = []
    for clip in clips:
        points = clip.keypoints if clip.camera is None else clip.plane
        points = points[np.isfinite(points).all((-1, -2)) & clip.valid.all(-1)]
        points = points - points[:, :1]
        size = np.linalg.norm(points[:, 1:], axis=-1).mean(-1)
        parts.append(points[size > 0] / size[size > 0][:, None, None])
    poses = np.concatenate(parts) if parts else np.zeros((0, 17, 2))
    if not len(poses):
        raise InputError(expected("dataset", "frames with 17 joints in 2D", "none"))
    return poses
