"""Feet in the world: when they stand, and a body whose standing feet hold still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from posemill.anthropometry import ANKLE_HEIGHT, BEARING_HEIGHT, LOWEST_ANKLE
from posemill.arrays import Flags, Points2, Points3, Times, Vector3
from posemill.camera import Camera
from posemill.geometry import axis_sigma, rotation_between
from posemill.merging.contacts import FLAT, SWING, clearly_along, foot_states, image_speeds
from posemill.merging.evidence import Evidence
from posemill.merging.legs import forward_of, reach
from posemill.merging.options import MergeOptions
from posemill.merging.planting import Planted, plant
from posemill.merging.soles import ANKLES, SOLES, Foot, held, soles_of
from posemill.placement.skeleton_scale import Skeleton
from posemill.skeleton import JOINT_SETS, joint_set
from posemill.smoothing import bridged, low_pass

__all__ = ["Locked", "PersonInWorld", "SeenPerson", "flat_on_floor", "lock_feet", "smooth_soles"]

_SET = JOINT_SETS["h36m17"]
_HIPS, _KNEES = (_SET.indices((f"left_{part}", f"right_{part}")) for part in ("hip", "knee"))
# A leg is not stretched further than this, unless the pose has it straighter already.
_STRETCH = 0.99
# A resting foot of the placed pose seems to move more than its keypoints do: the lifter and the root add to it.
_POSE_REST = 5 / 3
_LEAST_SIGMA_M = 0.005
# An error of the root's depth raises or sinks the feet by less than this.
_NEAR_FLOOR_M = 0.25


@dataclass(frozen=True)
class SeenPerson:
    """One person in the image, and what is known in 3D of the feet beyond the ankles.

    Attributes
    ----------
    keypoints, sigma_px, valid
        (T, J, 2) and (T, J) px, and (T, J) flags.
    joints_of
        Joint set of the keypoints.
    soles
        (T, 2, 2, 3) m: heel and big toe of the left and the right foot, relative to the ankle, camera axes; NaN where
        the lifter does not know them.
    centres
        (T, 3) m, world: from where each frame was taken; None: from the camera's centre.
    joint_offsets
        Where in the body the detector's joints are, of :func:`posemill.joint_axes.moved_by`; None: not known.
    """

    keypoints: Points2
    sigma_px: np.ndarray
    valid: Flags
    joints_of: str
    soles: np.ndarray
    centres: Vector3 | None = None
    joint_offsets: Mapping[str, Sequence[float]] | None = None


@dataclass(frozen=True)
class PersonInWorld:
    """One person of one clip, as placed.

    Attributes
    ----------
    time
        (T,) seconds.
    joints
        (T, J, 3) m, world, of the skeleton's joints; NaN where unknown.
    joint_sigma, root_sigma
        (T, J, 3) m, camera axes, relative to the root, and (T, 3) m of :func:`posemill.merging.steady.path_sigma`.
    skeleton
        The bones of ``joints``.
    camera
        With its place in the world.
    seen
        The person in the image; None: feet are judged by the placed pose alone.
    """

    time: Times
    joints: Points3
    joint_sigma: Vector3
    root_sigma: Vector3
    skeleton: Skeleton
    camera: Camera
    seen: SeenPerson | None


@dataclass(frozen=True)
class Locked:
    """A person whose standing feet hold still.

    Attributes
    ----------
    joints
        (T, J, 3) m, world, with the same bone lengths.
    sigma
        (T, J, 3) m, world axes; NaN in frames in which nothing was held.
    contact
        (T, 2) flags of the left and the right foot.
    """

    joints: Points3
    sigma: np.ndarray
    contact: Flags


def smooth_soles(time: Times, joints: Points3, options: MergeOptions | None) -> np.ndarray:
    """Heel and big toe relative to the ankle, (T, 2, 2, 3) in the unit of ``joints``, without jitter.

    Parameters
    ----------
    joints
        (T, J, 3) of h36m17 or posemill21, any frame; NaN where unknown.
    options
        For smoothing over time; None for stills.
    """
    out = np.asarray(soles_of(joints), np.float64)
    known = np.isfinite(out).all(-1)
    if options is None or options.cutoff_hz is None or len(time) < 2 or not known.any():
        return out
    series, known = out.reshape(len(time), 4, 3).transpose(1, 0, 2), known.reshape(len(time), 4).T
    cutoff, gap = options.cutoff_hz, options.max_gap_s
    smooth = low_pass(time, series, np.ones(known.shape), known, cutoff_hz=cutoff, max_gap_s=gap)
    return smooth.transpose(1, 0, 2).reshape(out.shape)


def lock_feet(person: PersonInWorld, options: MergeOptions, larger: PersonInWorld | None = None) -> Locked:
    """Find the contacts of one person, and hold the feet that stand.

    ``larger``: the same person if what ``root_sigma`` leaves out, as one error of the whole path, were one sigma.
    """
    joints = person.joints
    states = _states(person, options)
    known = np.isfinite(joints[:, [0, *_HIPS, *_KNEES, *ANKLES]]).all((-1, -2))
    states[~known] = SWING
    out = Locked(joints.copy(), np.full(joints.shape, np.nan), states != SWING)
    if not options.lock_feet or not out.contact.any():
        return out
    for run in _runs(person.time, known, options.max_gap_s):
        out.joints[run], out.sigma[run] = _locked(person, larger, states, run, options)
    return out


def flat_on_floor(person: PersonInWorld, options: MergeOptions) -> Flags:
    """Feet (T, 2) that stand flat on the world's floor z = 0; none where most standing feet are not near it."""
    states = _states(person, options)
    over = person.joints[:, ANKLES, 2] - ANKLE_HEIGHT * person.skeleton.stature_m
    return (states == FLAT) & _on_floor(over, states)


def _states(person: PersonInWorld, options: MergeOptions) -> np.ndarray:
    time, camera, seen = person.time, person.camera, person.seen
    in_camera = camera.world_to_camera(person.joints)
    ankles = in_camera[:, ANKLES]
    projected = camera.project(_with_soles(in_camera[:, : len(_SET)], seen))
    flags = np.isfinite(projected).all(-1)
    along = clearly_along(time, ankles)
    speeds = np.hypot(image_speeds(time, projected, flags, "posemill21", camera, ankles[..., 2]), along)
    evidence = [(speeds, options.contact_rest_m_s * _POSE_REST)]
    if seen is not None:
        depth = np.where(
            np.isfinite(ankles[..., 2]), ankles[..., 2], np.nanmedian(ankles[..., 2]) if flags.any() else 1
        )
        speeds = np.hypot(image_speeds(time, seen.keypoints, seen.valid, seen.joints_of, camera, depth), along)
        evidence.append((speeds, options.contact_rest_m_s))
    return foot_states(time, tuple(evidence), person.joints[:, ANKLES, 2], options)


def _with_soles(joints: Points3, seen: SeenPerson | None) -> Points3:
    """posemill21 from h36m17 (T, 17, 3) in camera axes, with the soles that are known."""
    out = np.full((len(joints), len(joint_set("posemill21")), 3), np.nan)
    out[:, : len(_SET)] = joints
    if seen is not None:
        out[:, SOLES] = joints[:, ANKLES, None] + seen.soles
    return out


def _runs(time: Times, known: np.ndarray, max_gap_s: float) -> list[np.ndarray]:
    """Frames that are known, in pieces between gaps that are too long to say anything over them."""
    frames = np.flatnonzero(known)
    inside = bridged(time, known, max_gap_s)
    starts = [k for k in range(1, len(frames)) if not inside[frames[k - 1] : frames[k]].all()]
    return [run for run in np.split(frames, starts) if len(run)]


def _locked(
    person: PersonInWorld, larger: PersonInWorld | None, states: np.ndarray, run: np.ndarray, options: MergeOptions
) -> tuple[Points3, np.ndarray]:
    """Joints of the frames ``run``, corrected, and their sigma."""
    camera, world, height = person.camera, person.joints[run], person.skeleton.stature_m
    assert camera.R is not None
    evidence = _evidence(person, states, run)
    floor = options.use_floor and _on_floor(evidence.ankles[..., 2] - evidence.ankle_m, evidence.states)
    wrong = larger and _evidence(larger, states, run)
    found = plant(evidence, wrong, root=options.correct_root, floor=floor)
    out = world + found.root[:, None]
    target = out[:, ANKLES] + found.ankles
    if floor:
        target[..., 2] = np.maximum(target[..., 2], evidence.lowest_m)
    way = target - out[:, _HIPS]
    far = np.linalg.norm(way, axis=-1)
    target = out[:, _HIPS] + way * np.minimum(1.0, evidence.leg_m / np.maximum(far, 1e-9))[..., None]
    forward = np.broadcast_to(forward_of(out, "hip")[:, None], target.shape)
    out[:, _KNEES], out[:, ANKLES] = reach(out[:, _HIPS], out[:, _KNEES], out[:, ANKLES], target, forward)
    if world.shape[1] > len(_SET):
        bearing = BEARING_HEIGHT * height if floor else None
        out[:, SOLES] = _with_ankles(person.time[run], out[:, ANKLES], soles_of(world), states[run], bearing)
    return out, _sigma(axis_sigma(person.joint_sigma[run], camera.R.T), found)


def _evidence(person: PersonInWorld, states: np.ndarray, run: np.ndarray) -> Evidence:
    """What is known of the frames ``run``."""
    camera, seen, world, height = person.camera, person.seen, person.joints[run], person.skeleton.stature_m
    hips, knees, ankles = world[:, _HIPS], world[:, _KNEES], world[:, ANKLES]
    bones = np.linalg.norm(knees - hips, axis=-1) + np.linalg.norm(ankles - knees, axis=-1)
    soles, rays, ray_sigma = _seen_of(world, camera, seen, run)
    centres = np.broadcast_to(camera.centre, world[:, 0].shape)
    if seen is not None and seen.centres is not None:
        centres = seen.centres[run]
    return Evidence(
        person.time[run],
        world[:, 0],
        hips,
        ankles,
        states[run],
        soles,
        _sight(world[:, 0], camera, centres),
        _sight(ankles, camera, centres[:, None]),
        person.root_sigma[run],
        np.maximum(person.joint_sigma[run][:, ANKLES], _LEAST_SIGMA_M),
        rays,
        ray_sigma,
        np.maximum(_STRETCH * bones, np.linalg.norm(ankles - hips, axis=-1)),
        ANKLE_HEIGHT * height,
        BEARING_HEIGHT * height,
        LOWEST_ANKLE * height,
    )


def _sigma(relative: np.ndarray, found: Planted) -> np.ndarray:
    """Sigma (T, J, 3) of joints on a root and ankles as ``found``, of one relative to the root before, world axes."""
    out = np.hypot(relative, found.root_sigma[:, None])
    out[:, ANKLES] = found.ankle_sigma
    if relative.shape[1] > len(_SET):
        beyond = np.maximum(relative[:, SOLES] ** 2 - relative[:, ANKLES, None] ** 2, 0.0)
        out[:, SOLES] = np.sqrt(found.ankle_sigma[:, :, None] ** 2 + beyond)
    return out


def _with_ankles(
    time: Times, ankles: np.ndarray, soles: np.ndarray, states: np.ndarray, bearing_m: float | None
) -> np.ndarray:
    """Heels and big toes (T, 2, 2, 3) in the world on ankles (T, 2, 3), held where they rest."""
    out = ankles[:, :, None] + soles
    for foot in range(2):
        k = np.flatnonzero(np.isfinite(soles[:, foot]).all((-1, -2)))
        if len(k):
            one = Foot(time[k], ankles[k, foot], soles[k, foot], states[k, foot], bearing_m)
            out[k, foot] = one.ankle[:, None] + held(one)
    return out


def _seen_of(
    world: Points3, camera: Camera, seen: SeenPerson | None, run: np.ndarray
) -> tuple[np.ndarray, Vector3, np.ndarray]:
    """Soles in the world's axes, points on the ankles' rays at the ankles' depths, and the sigma across them in m."""
    assert camera.R is not None
    frames = len(run)
    rays, sigma = np.full((frames, 2, 3), np.nan), np.full((frames, 2), np.nan)
    if seen is None:
        return np.full((frames, 2, 2, 3), np.nan), rays, sigma
    names = joint_set(seen.joints_of)
    depth = camera.world_to_camera(world[:, ANKLES])[..., 2]
    for foot, side in enumerate(("left", "right")):
        if f"{side}_ankle" not in names.joints:
            continue
        joint = names.index(f"{side}_ankle")
        points = seen.keypoints[run, joint].astype(np.float64)
        plane = camera.normalise(np.where(seen.valid[run, joint, None], points, np.nan))
        points = np.concatenate([plane, np.ones((frames, 1))], -1) * depth[:, foot, None]
        rays[:, foot] = camera.camera_to_world(points)
        sigma[:, foot] = seen.sigma_px[run, joint].astype(np.float64) * depth[:, foot] / camera.focal_px
    return seen.soles[run] @ camera.R, rays, sigma


def _sight(points: Vector3, camera: Camera, centres: Vector3) -> np.ndarray:
    """Camera axes turned to look from centres at points (..., 3): columns (..., 3, 3) in the world."""
    assert camera.R is not None
    line = (points - centres) @ camera.R.T
    return camera.R.T @ rotation_between(np.array([0.0, 0, 1]), line)


def _on_floor(over: np.ndarray, states: np.ndarray) -> bool:
    """Whether most standing feet, ``over`` (T, 2) m over it, are near z = 0: else that is not the floor they are on."""
    standing = over[states != SWING]
    return bool(len(standing)) and float(np.mean(np.abs(standing) < _NEAR_FLOOR_M)) > 0.5
