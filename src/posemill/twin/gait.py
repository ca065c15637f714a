"""Planned footsteps to foot trajectories: planted feet do not slide because they are planned, not integrated.

Contact
-------
A heel is in contact while its foot is flat or pivots on the heel after the strike; a toe is in contact while the foot
is flat or the heel rises over it. In contact the landmark (``left_heel``, ``left_big_toe``, ...) does not move at all;
outside contact it is on its way. The plan says so exactly, no threshold is involved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posemill.arrays import Vector3
from posemill.errors import InputError
from posemill.geometry import unit
from posemill.skeleton import joint_set
from posemill.twin.body import JOINT_SET, Body, Pose, bone
from posemill.twin.kinematics import ease, legs, turn

__all__ = ["FootTrack", "Footstep", "foot_track", "sole_points", "stand_on"]

_FLAT_FROM, _HEEL_RISES = 0.14, 0.56


@dataclass(frozen=True)
class Footstep:
    """One planting of one foot.

    Attributes
    ----------
    strike_s, lift_s
        When the foot lands and when it has left the floor.
    x, y, z
        World metres below the ankle centre of the flat foot; z is the floor or the top of a step.
    yaw
        Heading in radians.
    strike_pitch, lift_pitch
        Radians of toe-up at the strike and of heel-up at the lift; 0 for a foot set down flat.
    clearance_m
        How far the swing to the next step lifts the foot.
    """

    strike_s: float
    lift_s: float
    x: float
    y: float
    z: float = 0.0
    yaw: float = 0.0
    strike_pitch: float = 0.26
    lift_pitch: float = 0.75
    clearance_m: float = 0.03


@dataclass(frozen=True)
class FootTrack:
    """A foot over time: ankle centre (T, 3) metres, foot and toe rotations (T, 3, 3), contact (T, 2) heel, toe."""

    ankle: Vector3
    foot: np.ndarray
    toes: np.ndarray
    contact: np.ndarray


def _planted(body: Body, side: str, step: Footstep, time: np.ndarray) -> tuple[Vector3, np.ndarray, np.ndarray]:
    """Ankle (T, 3), foot pitch (T,) and contact (T, 2) of a planted foot; also defined beyond its stance."""
    phase = (time - step.strike_s) / (step.lift_s - step.strike_s)
    rise = np.maximum(0.0, (phase - _HEEL_RISES) / (1 - _HEEL_RISES))
    # Past the lift the heel goes on rising, slower and slower, so that the swing starts without a jerk.
    rise = np.where(rise < 1, rise**2, 1 + (1 - np.exp(-3 * np.maximum(rise - 1, 0))) * 2 / 3)
    pitch = -step.strike_pitch * (1 - ease(phase / _FLAT_FROM)) + step.lift_pitch * rise
    heading = turn("z", step.yaw)
    flat = np.array([step.x, step.y, step.z + body.ankle_height_m])
    rotation = heading @ turn("y", pitch)
    heel = _landmark(body, side + "heel")
    ball = body.offsets[bone(side + "toes")]
    pivot = np.where((pitch < 0)[:, None], heel, ball)
    ankle = flat + pivot @ heading.T - np.einsum("tab,tb->ta", rotation, pivot)
    contact = np.stack(
        [phase <= (_HEEL_RISES if step.lift_pitch else 1), phase >= (_FLAT_FROM if step.strike_pitch else 0)], -1
    )
    return ankle, pitch, contact


def _landmark(body: Body, joint: str) -> np.ndarray:
    """A foot landmark in its bone's frame, (3,) metres."""
    return body.landmarks[joint_set(JOINT_SET).index(joint)]


def foot_track(body: Body, side: str, steps: list[Footstep], time: np.ndarray) -> FootTrack:
    """Trajectory of one foot through its planned steps.

    Parameters
    ----------
    body
        Gives foot dimensions.
    side
        ``left_`` or ``right_``.
    steps
        In order of time; the first must strike before, the last lift after the times asked for.
    time
        (T,) seconds.
    """
    count = time.size
    ankle, pitch, yaw, toe_pitch = np.empty((count, 3)), np.empty(count), np.empty(count), np.zeros(count)
    contact = np.zeros((count, 2), dtype=bool)
    which = np.clip(np.searchsorted([s.strike_s for s in steps], time, side="right") - 1, 0, len(steps) - 1)
    for k in np.unique(which):
        rows = which == k
        step, t = steps[k], time[rows]
        here, here_pitch, touching = _planted(body, side, step, t)
        following = steps[min(k + 1, len(steps) - 1)]
        there, there_pitch, _ = _planted(body, side, following, t)
        swing = (t - step.lift_s) / max(following.strike_s - step.lift_s, 1e-9)
        airborne = (swing > 0) & (following is not step)
        s = np.where(airborne, np.clip(swing, 0, 1), 0.0)
        w = ease(s)
        # Up first, then forward; forward first, then down: so that a step's edge is cleared.
        climb = following.z - step.z
        w_z = ease(1.5 * s) if climb > 0.02 else ease(1.5 * s - 0.5) if climb < -0.02 else w
        p = (1 - w) * here_pitch + w * there_pitch
        position = (1 - w)[:, None] * here + w[:, None] * there
        position[:, 2] = (1 - w_z) * here[:, 2] + w_z * there[:, 2]
        position[:, 2] += step.clearance_m * np.sin(np.pi * s) ** 2
        turned = (following.yaw - step.yaw + np.pi) % (2 * np.pi) - np.pi
        direction = step.yaw + w * turned
        toes = np.where(p > 0, p * ease(1.6 * s), p)
        if abs(climb) <= 0.02:
            sunk = step.z - _lowest(body, side, position[:, 2], p, toes)
            position[:, 2] += np.where(airborne, np.maximum(0.0, sunk), 0.0)
        ankle[rows], pitch[rows], yaw[rows], toe_pitch[rows] = position, p, direction, toes
        contact[rows] = touching & ~airborne[:, None]
    heading = turn("z", yaw)
    return FootTrack(ankle, heading @ turn("y", pitch), heading @ turn("y", toe_pitch), contact)


def _lowest(body: Body, side: str, ankle_z: np.ndarray, pitch: np.ndarray, toe_pitch: np.ndarray) -> np.ndarray:
    """Height of the lowest of heel, ball and toe tip of the sole."""
    heel, ball = _landmark(body, side + "heel"), body.offsets[bone(side + "toes")]
    tip = _landmark(body, side + "big_toe")
    sole = -body.ankle_height_m
    c, s = np.cos(pitch), np.sin(pitch)
    heights = [ankle_z - s * x + c * sole for x in (heel[0] * 0.8, ball[0] * 0.8)]
    joint_z = ankle_z - s * ball[0] + c * ball[2]
    heights += [joint_z + (sole - ball[2]), joint_z - np.sin(toe_pitch) * tip[0] + np.cos(toe_pitch) * (sole - ball[2])]
    return np.minimum.reduce(heights)


def stand_on(
    body: Body, root: Vector3, rotations: np.ndarray, feet: dict[str, FootTrack], *, knee_out: float = 0.0
) -> Pose:
    """Put the legs between pelvis and feet and run forward kinematics.

    Parameters
    ----------
    body
        Lengths.
    root
        (T, 3) world metres.
    rotations
        (T, B, 3, 3) of pelvis and above; the legs' are filled in.
    feet
        ``left_`` and ``right_``.
    knee_out
        Radians by which the knees point outward of the feet.

    Returns
    -------
    Pose

    Raises
    ------
    InputError
        If a planned foot is out of the leg's reach, so that it would slide (a very small body on the 0.2 m high step).
    """
    contacts = []
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        track = feet[side]
        hip = root + rotations[:, 0] @ body.offsets[bone(side + "thigh")]
        ahead = track.foot[:, :, 0] * (1, 1, 0)
        forward = unit(ahead) + 0.5 * rotations[:, 0, :, 0]
        forward = np.einsum("ab,tb->ta", turn("z", sign * knee_out), unit(forward * (1, 1, 0)))
        # A toe-down foot points its sagittal axis up at the ankle, but the knee stays in the same vertical plane.
        thigh, shank, stretch = legs(body, side, hip, track.ankle, forward)
        if stretch.max() > 1:
            at = int(stretch.argmax())
            raise InputError(
                f"twin of {body.height_m:g} m, frame {at}: {side}foot: expected a leg that reaches the step, got "
                f"one {100 * (stretch[at] - 1):.1f} % too short; choose a taller body or another motion"
            )
        for name, value in (("thigh", thigh), ("shank", shank), ("foot", track.foot), ("toes", track.toes)):
            rotations[:, bone(side + name)] = value
        contacts.append(track.contact)
    return Pose(body.forward(root, rotations), rotations, np.concatenate(contacts, -1))


def sole_points(body: Body, pose: Pose) -> np.ndarray:
    """Sole below heel, ball and toe tip of both feet, (T, 6, 3) world metres."""
    out = []
    for side in ("left_", "right_"):
        foot, toes = bone(side + "foot"), bone(side + "toes")
        ball_z = body.offsets[toes][2]
        for which, xyz in (
            (foot, (_landmark(body, side + "heel")[0] * 0.8, 0, -body.ankle_height_m)),
            (toes, (0, 0, -body.ankle_height_m - ball_z)),
            (toes, (_landmark(body, side + "big_toe")[0], 0, -body.ankle_height_m - ball_z)),
        ):
            out.append(pose.positions[:, which] + pose.rotations[:, which] @ np.array(xyz))
    return np.stack(out, 1)
