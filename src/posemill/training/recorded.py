"""Windows of a dataset's own recordings, for the same training as windows before virtual cameras.

A recording has its own camera, its own (often detected) 2D and its 3D in the camera frame. Its lens is divided out: a
window's pixels are those of the camera without distortion, with square pixels and the principal point in the middle,
which is how :class:`~posemill.training.sequences.Windows` sees all cameras. A person before an unknown camera is seen
from far away, in the middle of the picture: what is left is the shape of the pose in the image.
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
# A focal length and a picture, px, for a person seen from so far away that there is no perspective.
_FAR_PX, _FAR_SIZE = 1e6, (1001.0, 1001.0)


@dataclass(frozen=True)
class _Run:
    """Neighbouring frames in which every joint is known: pixels and, where 3D is seen, metres (T, 17, 2 or 5)."""

    fps: float | None
    values: np.ndarray
    size: np.ndarray
    focal_px: float
    R: np.ndarray


class Recorded:
    """Recordings to draw windows from.

    Gaps of up to 0.25 s in a joint are filled linearly; frames of longer ones are left out.

    Parameters
    ----------
    frame_rate
        Range of the rate at which a window's frames follow each other; None: each recording's own. Stills have none: a
        window holds one.
    see_3d
        False: the 3D is not looked at, and that of the windows is NaN.
    need_camera
        False: recordings before unknown cameras serve too, as seen from far away. Needed where 3D is seen.

    Raises
    ------
    InputError
        No frame with all joints and what is needed is left.
    """

    def __init__(
        self,
        clips: Sequence[TrainingClip],
        *,
        frame_rate: tuple[float, float] | None = None,
        see_3d: bool = True,
        need_camera: bool = True,
    ) -> None:
        runs = [run for clip in clips for run in _runs(clip, see_3d, need_camera or see_3d)]
        if not runs:
            what = " and 3D" * see_3d + " and a camera" * (need_camera or see_3d)
            raise InputError(expected("dataset", f"frames with 17 joints in 2D{what}", "none"))
        self._frame_rate, self._see_3d = frame_rate, see_3d
        self._length = np.array([len(run.values) for run in runs])
        self._start = np.cumsum(self._length) - self._length
        self._values = np.concatenate([run.values for run in runs])
        self._fps = np.array([np.nan if run.fps is None else run.fps for run in runs])
        self._size, self._focal = np.stack([run.size for run in runs]), np.array([run.focal_px for run in runs])
        self._R = np.stack([run.R for run in runs])

    @property
    def frames(self) -> int:
        """How many can be drawn from."""
        return len(self._values)

    def draw(self, count: int, frames: int, rng: np.random.Generator) -> Windows:
        """Draw windows: a recording, a stretch of it, a frame rate, mirrored or not.

        A stretch that is longer than its recording holds the recording's ends.
        """
        chosen = rng.choice(len(self._length), size=count, p=self._length / self._length.sum())
        step = np.ones(count)
        if self._frame_rate is not None:
            low, high = np.log(self._frame_rate)
            drawn = self._fps[chosen] / np.exp(rng.uniform(low, high, count))
            step = np.where(np.isfinite(drawn), drawn, 1.0)
        last = self._length[chosen] - 1
        start = rng.uniform(0, 1, count) * np.maximum(last - step * (frames - 1), 0)
        # Whole frames stay as they are.
        start = np.where(step == 1, np.round(start), start)
        at = np.minimum(start[:, None] + step[:, None] * np.arange(frames), last[:, None])
        values = self._between(self._start[chosen], at, last)
        pixels = values[..., :2]
        joints = values[..., 2:] if self._see_3d else np.full((count, frames, 17, 3), np.nan)
        size, focal, r = self._size[chosen], self._focal[chosen], self._R[chosen]
        mirrored = rng.random(count) < 0.5
        width = (size[mirrored, 0] - 1)[:, None, None]
        pixels[mirrored] = pixels[mirrored][:, :, _FLIP]
        pixels[mirrored, ..., 0] = width - pixels[mirrored, ..., 0]
        joints[mirrored] = joints[mirrored][:, :, _FLIP] @ _MIRROR
        r[mirrored] = _MIRROR @ r[mirrored] @ _MIRROR
        exact = joints[..., :2] / joints[..., 2:] * focal[:, None, None, None] + ((size - 1) / 2)[:, None, None]
        return Windows(joints, pixels, exact, size, focal, r)

    def _between(self, start: np.ndarray, at: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Linear interpolation at fractional frames (N, T) of recordings; (N, T, 17, 2 or 5)."""
        low = np.floor(at).astype(int)
        share = (at - low)[..., None, None]
        first = start[:, None]
        high = self._values[first + np.minimum(low + 1, last[:, None])]
        return self._values[first + low] * (1 - share) + high * share


def _runs(clip: TrainingClip, see_3d: bool, need_camera: bool) -> list[_Run]:
    camera, joints, known = clip.camera, clip.joints_camera, clip.known
    if (camera is None and need_camera) or (see_3d and (joints is None or known is None)):
        return []
    if camera is None:
        size, focal, r = np.array(_FAR_SIZE), _FAR_PX, _LEVEL
        plane = (clip.keypoints - clip.keypoints[:, :1]) / _FAR_PX
    else:
        size, focal = np.array([camera.width, camera.height], dtype=np.float64), camera.focal_px
        r = _LEVEL if camera.R is None else camera.R
        plane = clip.plane
    pixels = np.where(clip.valid[..., None], plane, np.nan) * focal + (size - 1) / 2
    parts = [pixels]
    if see_3d and joints is not None and known is not None:
        parts.append(np.where(known[..., None], joints, np.nan))
    longest = 0 if clip.fps is None else int(_GAP_S * clip.fps)
    values, whole = _filled(np.concatenate(parts, axis=-1), longest)
    # All joints in one place are no pose.
    whole &= np.ptp(values[..., :2], axis=1).max(-1, initial=0) > 0
    if see_3d:
        # Behind the camera, or beyond what its lens shows.
        whole &= values[..., 4].min(axis=1, initial=np.inf) > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], whole.astype(np.int8), [0]])))
    spans = zip(edges[::2], edges[1::2], strict=True)
    if clip.fps is None:
        # Stills are not each other's neighbours.
        spans = ((i, i + 1) for i in np.flatnonzero(whole))
    values = values.astype(np.float32)
    return [_Run(clip.fps, values[a:b], size, focal, r) for a, b in spans]


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
