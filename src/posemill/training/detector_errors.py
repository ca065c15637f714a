"""Draw the errors of detectors for windows of motion: fitted profiles, and the detectors nobody has fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr, ndtri

from posemill.anthropometry import STATURE_PER_LENGTH, body_length
from posemill.errors import InputError, expected
from posemill.joint_axes import base_of, joint_axes
from posemill.skeleton import JOINT_SETS, LIMBS
from posemill.training.profile import HIP_WIDTHS, SCORE_LEVELS, DetectorProfile

__all__ = ["DetectorErrors", "Disturbance", "draw_errors", "remembered"]

_LEG = ("knee", "ankle", "heel", "big_toe")
_CHUNK_FRAMES = 4096  # so that what is worked on stays in the processor's caches


@dataclass(frozen=True)
class Disturbance:
    """By how much a detector that nobody has fitted differs from one that was; drawn anew for every window.

    Attributes
    ----------
    offset
        Kind of joint to the standard deviation, per axis, of its offset in shares of stature; alike on both sides.
        An assumption: definitions of hips differ most, those of knees and elbows least.
    level
        Standard deviation of the logarithm of how much it errs beside that, all joints alike.
    """

    offset: dict[str, float] = field(
        default_factory=lambda: {
            "hip": 0.012,
            "shoulder": 0.010,
            "knee": 0.006,
            "ankle": 0.008,
            "elbow": 0.006,
            "wrist": 0.008,
            "heel": 0.012,
            "big_toe": 0.012,
        }
    )
    level: float = 0.3


@dataclass(frozen=True)
class DetectorErrors:
    """What detectors do to K joints in N windows of T frames; float32.

    Attributes
    ----------
    plane
        (N, T, K, 2) errors on the normalised plane; times the focal length they are pixels.
    score
        (N, T, K) the detector's score; 0 where it gives no keypoint.
    present
        (N, T, K) bool. Where it is False, ``plane`` is what it would have been.
    profile
        (N,) index of the profile that each window was drawn from.
    """

    plane: np.ndarray
    score: np.ndarray
    present: np.ndarray
    profile: np.ndarray


def draw_errors(
    profiles: Sequence[DetectorProfile],
    joints_camera: np.ndarray,
    fps: np.ndarray | float,
    rng: np.random.Generator,
    *,
    names: Sequence[str] = JOINT_SETS["h36m17"].joints,
    wanted: Sequence[str] = LIMBS,
    stature_m: np.ndarray | None = None,
    weights: Sequence[float] | None = None,
    disturbance: Disturbance | None = None,
) -> DetectorErrors:
    """Draw errors, each window's by one detector.

    Parameters
    ----------
    profiles
        One is drawn for each window, with probabilities ``weights`` (alike if None).
    joints_camera
        (N, T, J, 3) metres, camera frame, of the joints ``names``, the twelve limb joints among them.
    fps
        (N,) or one: frames per second.
    wanted
        K joints: limb joints, heels, big toes. A detector whose profile does not know one does not give it.
    stature_m
        (N,); by default 1.70 m for a standard length of thigh, shank and trunk, which needs the joints of h36m17.
    disturbance
        None for the fitted detectors themselves.

    Raises
    ------
    InputError
        No profile, or joints are missing.
    """
    if not profiles:
        raise InputError(expected("detector profiles", "at least one", "none"))
    joints = np.asarray(joints_camera, dtype=np.float32)
    count, frames = joints.shape[:2]
    if stature_m is None:
        body = [list(names).index(name) for name in JOINT_SETS["h36m17"].joints if name in names]
        if len(body) != len(JOINT_SETS["h36m17"]):
            raise InputError(expected("stature_m", "given, or all joints of h36m17", f"{len(body)} of them"))
        stature_m = STATURE_PER_LENGTH * body_length(joints[:, frames // 2, body])
    share = None if weights is None else np.asarray(weights) / np.sum(weights)
    chosen = rng.choice(len(profiles), size=count, p=share)
    table = _Table(profiles, wanted)
    rates = np.broadcast_to(np.asarray(fps, dtype=np.float32), count)
    stature = np.broadcast_to(np.asarray(stature_m, dtype=np.float32), count)
    out = DetectorErrors(
        np.empty((count, frames, len(wanted), 2), np.float32),
        np.empty((count, frames, len(wanted)), np.float32),
        np.empty((count, frames, len(wanted)), bool),
        chosen,
    )
    step = max(1, _CHUNK_FRAMES // frames)
    for start in range(0, count, step):
        part = slice(start, start + step)
        drawn = _draw(table, chosen[part], joints[part], rates[part], stature[part], rng, names, disturbance)
        out.plane[part], out.score[part], out.present[part] = drawn
    return out


class _Table:
    """The profiles' numbers as arrays (P, K, ...), float32."""

    def __init__(self, profiles: Sequence[DetectorProfile], wanted: Sequence[str]) -> None:
        self.wanted = tuple(wanted)
        self.kinds = list(dict.fromkeys(base_of(joint) for joint in wanted))
        self.kind_of = np.array([self.kinds.index(base_of(joint)) for joint in wanted])
        self.known = np.array([[base_of(j) in p.joints for j in wanted] for p in profiles])
        self.spread = np.array([p.spread for p in profiles], np.float32)

        def of(name: str) -> np.ndarray:
            # An unknown joint gets any other's numbers; it is never present.
            rows = [[getattr(p.joints.get(base_of(j), p.joints["ankle"]), name) for j in wanted] for p in profiles]
            return np.array(rows, np.float32)

        self.offset, self.score = of("offset"), of("score_quantiles")
        self.scatter, self.slow, self.slow_s, self.jitter = (of(n) for n in ("scatter", "slow", "slow_s", "jitter"))
        self.outliers, self.outlier_size, self.outlier_s = (of(n) for n in ("outliers", "outlier_size", "outlier_s"))
        self.leg_swaps = np.array([p.leg_swaps for p in profiles], np.float32)
        self.whole = np.array([(p.leg_swap_s, p.frames_missing, p.frames_missing_s) for p in profiles], np.float32)
        pairs = [(f"left_{k}", f"right_{k}") for k in _LEG if f"left_{k}" in wanted and f"right_{k}" in wanted]
        self.legs = np.array([[self.wanted.index(joint) for joint in pair] for pair in pairs], int).reshape(-1, 2)
        self.missing, self.missing_s, self.score_error = (of(n) for n in ("missing", "missing_s", "score_error"))


def _draw(
    table: _Table,
    chosen: np.ndarray,
    joints: np.ndarray,
    fps: np.ndarray,
    stature_m: np.ndarray,
    rng: np.random.Generator,
    names: Sequence[str],
    disturbance: Disturbance | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors on the plane, score and presence of some windows."""
    count, frames = joints.shape[:2]
    width = len(table.wanted)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    offset, level = table.offset[chosen], table.spread[chosen] * normal(count)
    if disturbance is not None:
        size = np.array([disturbance.offset[kind] for kind in table.kinds], np.float32)
        offset = offset + (normal(count, len(table.kinds), 3) * size[:, None])[:, table.kind_of]
        level += np.float32(disturbance.level) * normal(count)
    loud = np.exp(level)[:, None]
    at = joints[:, :, [list(names).index(joint) for joint in table.wanted]]
    axes = joint_axes(joints, names, table.wanted)
    moved = at + np.einsum("nka,ntkac->ntkc", offset * stature_m[:, None, None], axes)
    error = moved[..., :2] / moved[..., 2:] - at[..., :2] / at[..., 2:]

    keep = np.exp(-1 / (fps[:, None] * table.slow_s[chosen]))
    image = remembered(normal(count, frames, width, 2), keep[..., None])
    image *= (table.slow[chosen] * loud)[:, None, :, None]
    image += normal(count, frames, width, 2) * (table.jitter[chosen] * loud)[:, None, :, None]
    image += normal(count, 1, width, 2) * (table.scatter[chosen] * loud)[:, None, :, None]
    out = _spells(table.outliers[chosen], table.outlier_s[chosen], fps, frames, rng)
    # Most outliers are small ones: Laplace's law, of variance 1.
    away = normal(count, 1, width, 2) * np.sqrt(rng.standard_exponential((count, 1, width, 1), dtype=np.float32))
    image += out[..., None] * (away * (table.outlier_size[chosen] * loud)[:, None, :, None])
    error += image * (stature_m[:, None, None, None] / at[..., 2:])
    present = table.known[chosen][:, None] & ~_spells(table.missing[chosen], table.missing_s[chosen], fps, frames, rng)
    swap_s, lost, lost_s = np.split(table.whole[chosen], 3, axis=1)
    present &= ~_spells(lost, lost_s, fps, frames, rng)
    score = _score(table, chosen, image, keep, rng) * present
    if len(table.legs) and table.leg_swaps.any():
        view = np.digitize(_hip_width(joints, names), HIP_WIDTHS)
        swap = _spells(np.take_along_axis(table.leg_swaps[chosen], view, 1)[..., None], swap_s, fps, frames, rng)
        place = at[:, :, table.legs, :2] / at[:, :, table.legs, 2:]
        found = place + error[:, :, table.legs]
        found = np.where(swap[..., None, None], found[..., ::-1, :], found)
        error[:, :, table.legs] = found - place
    return error, score, present


def remembered(noise: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """White noise (N, T, ...) of variance 1 to AR(1) of variance 1 with the correlation ``keep`` (N, ...), in place."""
    new = np.sqrt(1 - keep**2)
    for t in range(1, noise.shape[1]):
        noise[:, t] *= new
        noise[:, t] += keep * noise[:, t - 1]
    return noise


def _spells(
    share: np.ndarray, length_s: np.ndarray, fps: np.ndarray, frames: int, rng: np.random.Generator
) -> np.ndarray:
    """Flags (N, T, K), set for this share (N, K) or (N, T, K) of the time, in spells of this mean length (N, K)."""
    share = np.broadcast_to(share if share.ndim == 3 else share[:, None], (len(share), frames, share.shape[-1]))
    out = np.zeros(share.shape, bool)
    if not share.any():
        return out
    share = np.minimum(share, np.float32(0.95))
    leave = np.minimum(1 / np.maximum(length_s * fps[:, None], 1)[:, None], 1 - share)
    enter = leave * share / (1 - share)
    drawn = rng.random(out.shape, dtype=np.float32)
    out[:, 0] = drawn[:, 0] < share[:, 0]
    stay = drawn < 1 - leave
    start = drawn < enter
    for t in range(1, frames):
        out[:, t] = np.where(out[:, t - 1], stay[:, t], start[:, t])
    return out


def _hip_width(joints: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Width of the hips in the picture over their true width, (N, T)."""
    left, right = (joints[:, :, list(names).index(f"{side}_hip")] for side in ("left", "right"))
    seen = np.linalg.norm(left[..., :2] / left[..., 2:] - right[..., :2] / right[..., 2:], axis=-1)
    return seen * (left + right)[..., 2] / 2 / np.maximum(np.linalg.norm(left - right, axis=-1), 1e-6)


def _score(
    table: _Table, chosen: np.ndarray, image: np.ndarray, keep: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Scores (N, T, K) of the profile's distribution, the lower the longer the error, and steady in time."""
    core = (table.scatter**2 + table.slow**2 + table.jitter**2)[chosen][:, None] + np.float32(1e-12)
    far = core + (table.outlier_size**2)[chosen][:, None]
    share = table.outliers[chosen][:, None]
    half = np.einsum("ntki,ntki->ntk", image, image) / 2
    # The share of errors that are longer, from two Rayleigh laws; then to the normal scale.
    tail = (1 - share) * np.exp(-half / core) + share * np.exp(-half / far)
    tail = np.clip(tail, np.float32(1e-6), np.float32(1 - 1e-6))
    # For normal variables, their correlation has this rank correlation.
    tie = (-2 * np.sin(np.pi / 6 * table.score_error[chosen])).astype(np.float32)[:, None]
    own = remembered(rng.standard_normal(image.shape[:3], dtype=np.float32), keep)
    latent = tie * ndtri(tail) + np.sqrt(1 - tie**2) * own
    place = ndtr(latent) * (len(SCORE_LEVELS) - 1)
    low = np.minimum(place.astype(np.int32), len(SCORE_LEVELS) - 2)
    flat = table.score.reshape(-1)
    start = (chosen[:, None] * table.score.shape[1] + np.arange(table.score.shape[1])) * len(SCORE_LEVELS)
    index = start[:, None].astype(np.int32) + low
    below = flat[index]
    return below + (place - low) * (flat[index + 1] - below)
