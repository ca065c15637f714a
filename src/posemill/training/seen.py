"""How windows of motion look to a camera and to whoever finds joints in its picture: examples for ``posemill``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from posemill.anthropometry import STANDARD_LENGTH_M, STATURE_PER_LENGTH, body_length
from posemill.detectors.noise import HOURGLASS, TIME_CONSTANT_S
from posemill.geometry import unit
from posemill.networks.clip_rays import DEFINITIONS, JOINTS_IN, ClipInputs, clip_inputs
from posemill.skeleton import JOINT_SETS
from posemill.training.detector_errors import Disturbance, draw_errors, remembered
from posemill.training.noise import drop_joints
from posemill.training.profile import shipped
from posemill.training.recombined import Motions
from posemill.training.virtual_cameras import CameraRange, view

__all__ = ["DETECTORS", "Sources", "as_seen"]

DETECTORS = ("mediapipe", "hourglass_mpii", "hourglass_blend")
"""Names of the profiles that examples are drawn with."""

_SET = JOINT_SETS["posemill21"]
_SEEN = _SET.indices(JOINTS_IN.joints)
_BODY = len(JOINT_SETS["h36m17"])
_LIMBS = len(JOINT_SETS["limbs12"])


@dataclass(frozen=True)
class Sources:
    """Who finds the joints, and how well; lengths are shares of stature.

    Attributes
    ----------
    capture, mediapipe
        Shares of windows whose joints are motion capture's with errors of any law, and MediaPipe's as fitted. The rest
        are all other detectors.
    fitted
        Share of those with the errors of our hourglass, blended with MediaPipe. The others are of detectors that nobody
        has fitted: one of those that were, disturbed.
    exact
        Share of the first kind without errors worth mentioning.
    levels
        Range of the size of the first kind's errors.
    feet
        Share of windows whose source knows heels and toes.
    unnamed
        Share of windows whose source is not told.
    focal_known
        Share of windows with a calibrated focal length; the others' is wrong by up to 25 %.
    up_known
        Share of windows whose camera knows where up is, within ``up_deg`` degrees (a standard deviation per axis,
        drawn evenly up to this).
    """

    capture: float = 0.45
    mediapipe: float = 0.35
    fitted: float = 0.4
    exact: float = 0.35
    levels: tuple[float, float] = (0.001, 0.02)
    feet: float = 0.6
    unnamed: float = 0.15
    focal_known: float = 0.5
    up_known: float = 0.5
    up_deg: float = 1.0
    cameras: CameraRange = field(default_factory=lambda: CameraRange(wide_roll_share=0.6))


def as_seen(motions: Motions, rng: np.random.Generator, sources: Sources) -> tuple[ClipInputs, np.ndarray]:
    """Put a camera before each window and a detector behind it.

    Returns
    -------
    The network's inputs, and its targets (N, T, 20, 3) float32: metres of the standard body relative to the pelvis, in
    the frame of the inputs
    """
    count, frames = motions.joints.shape[:2]
    views = view(motions.joints.reshape(count, -1, 3), rng, sources.cameras)
    joints = views.joints_camera.reshape(motions.joints.shape).astype(np.float32)
    length = body_length(joints[:, frames // 2, :_BODY])
    stature = (STATURE_PER_LENGTH * length).astype(np.float32)
    at = joints[:, :, _SEEN]
    plane = at[..., :2] / np.maximum(at[..., 2:], np.float32(0.1))
    # A statures' length on the plane, where each joint is.
    unit = stature[:, None, None] / np.maximum(at[..., 2], np.float32(0.1))
    kind = rng.choice(3, size=count, p=(sources.capture, sources.mediapipe, 1 - sources.capture - sources.mediapipe))
    error = np.zeros(plane.shape, np.float32)
    told = np.empty(plane.shape[:3], np.float32)
    present = np.ones(plane.shape[:3], bool)
    captured = np.flatnonzero(kind == 0)
    noise, told[captured] = _any_errors(len(captured), frames, motions.step_s[captured], rng, sources)
    error[captured] = noise * unit[captured][..., None]
    mild = Disturbance({kind: size / 2 for kind, size in Disturbance().offset.items()}, level=0.2)
    fitted = rng.random(count) < sources.fitted
    for chosen, names, disturbance in (
        (kind == 1, ("mediapipe",), mild),
        ((kind == 2) & fitted, ("hourglass_blend",), mild),
        ((kind == 2) & ~fitted, DETECTORS, Disturbance()),
    ):
        rows = np.flatnonzero(chosen)
        if not len(rows):
            continue
        drawn = draw_errors(
            [shipped(name) for name in names],
            joints[rows],
            1 / motions.step_s[rows],
            rng,
            names=_SET.joints,
            wanted=JOINTS_IN.joints,
            stature_m=stature[rows],
            disturbance=disturbance,
        )
        error[rows], present[rows] = drawn.plane, drawn.present
        # What a detector says of its errors: one level, more where it is unsure.
        base = np.exp(rng.normal(np.log(0.011), 0.2, (len(rows), 1, len(JOINTS_IN))))
        told[rows] = base + 0.03 * np.clip(1 - drawn.score, 0, 1)
    told *= np.exp(rng.normal(0, 0.3, (count, 1, 1)))
    present &= _kept(count, frames, motions, rng, sources)
    known_focal = rng.random(count) < sources.focal_known
    focal_sigma = np.where(known_focal, 0.0, rng.uniform(0.05, 0.25, count))
    wrong = np.exp(focal_sigma * rng.normal(size=count)).astype(np.float32)[:, None, None]
    named = np.where(rng.random(count) < sources.unnamed, DEFINITIONS.index("other"), kind)
    inputs = clip_inputs(
        (plane + error) / wrong[..., None],
        present,
        told * unit / wrong,
        motions.step_s,
        [DEFINITIONS[i] for i in named],
        focal_sigma,
        _told_up(views.R[:, :, 2], rng, sources),
    )
    relative = (joints[:, :, 1:] - joints[:, :, :1]) @ np.swapaxes(inputs.rotation, -1, -2)
    return inputs, relative * (STANDARD_LENGTH_M / length).astype(np.float32)[:, None, None, None]


def _told_up(up: np.ndarray, rng: np.random.Generator, sources: Sources) -> np.ndarray:
    """Up (N, 3), camera frame, as a calibration has it; NaN for cameras that have none."""
    sigma = np.radians(rng.uniform(0, sources.up_deg, (len(up), 1)))
    told = unit(up + sigma * rng.normal(size=up.shape))
    told[rng.random(len(up)) >= sources.up_known] = np.nan
    return told


def _any_errors(
    count: int, frames: int, step_s: np.ndarray, rng: np.random.Generator, sources: Sources
) -> tuple[np.ndarray, np.ndarray]:
    """Errors (N, T, 16, 2) of motion capture's joints and their true sizes (N, T, 16), in statures.

    Of any size, of any memory, a part of them constant, with normal tails or those of a real detector.
    """
    width = len(JOINTS_IN)

    def between(low: float, high: float, *shape: int) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), shape)).astype(np.float32)

    exact = rng.random(count) < sources.exact
    level = np.where(exact, 1e-5, between(*sources.levels, count)).astype(np.float32)[:, None, None]
    level = level * between(0.6, 1.7, count, 1, width)
    seconds = np.where(rng.random(count) < 0.5, TIME_CONSTANT_S, between(0.01, 1.0, count))
    keep = np.exp(-step_s / seconds).astype(np.float32)[:, None]
    vector = remembered(rng.standard_normal((count, frames, width, 2), dtype=np.float32), keep[..., None])
    state = remembered(rng.standard_normal((count, frames, width), dtype=np.float32), keep)
    normal = np.where(rng.random(count) < 0.4, np.float32(0), np.float32(1))[:, None, None]
    size = level * np.exp(normal * np.log(np.interp(state, *_TAILS)).astype(np.float32))
    constant = rng.normal(size=(count, 1, width, 2)).astype(np.float32) * (level * rng.random((count, 1, 1)))[..., None]
    told = level * np.exp(rng.normal(0, 0.3, (count, 1, width))).astype(np.float32)
    return (vector * size[..., None] + constant).astype(np.float32), np.broadcast_to(told, (count, frames, width))


def _tails() -> tuple[np.ndarray, np.ndarray]:
    """Of a normal state, by how much an error of that moment is larger than the mean square one."""
    from scipy.special import gammaincinv, ndtr

    state = np.linspace(-4, 4, 401)
    half = HOURGLASS.nu / 2
    precision = np.maximum(gammaincinv(half, ndtr(state)) / half, 1e-2)
    return state, 1 / np.sqrt(precision) / HOURGLASS.deviation


_TAILS = _tails()


def _kept(count: int, frames: int, motions: Motions, rng: np.random.Generator, sources: Sources) -> np.ndarray:
    """Presence (N, T, 16): limbs, joints and frames go missing, for a while or all the time."""
    present = np.ones((count, frames, len(JOINTS_IN)), bool)
    time = np.arange(frames) / max(frames - 1, 1)
    gone = ~drop_joints(count, rng)
    begin = rng.uniform(-0.5, 1.0, count)
    end = begin + np.exp(rng.uniform(np.log(0.05), np.log(1.5), count))
    while_gone = (time >= begin[:, None]) & (time <= end[:, None])
    present[..., :_LIMBS] &= ~(while_gone[..., None] & gone[:, None])
    flicker = rng.random(count) * 0.08 * (rng.random(count) < 0.2)
    present &= rng.random(present.shape, dtype=np.float32) >= flicker.astype(np.float32)[:, None, None]
    lost = rng.random(count) * 0.15 * (rng.random(count) < 0.15)
    present &= (rng.random((count, frames)) >= lost[:, None])[..., None]
    feet = motions.feet & (rng.random(count) < sources.feet)
    present[~feet, :, _LIMBS:] = False
    return present
