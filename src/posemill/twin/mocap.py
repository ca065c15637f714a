"""Driving the twin by motion capture: from 17 joint positions to a body of that size and a pose of every bone.

Positions say where limbs point, not how they turn about themselves. The turn is taken from the plane in which elbow
and knee bend, and, the straighter the limb, from the trunk. Feet and hands are not captured: a foot is flat while its
ankle is at standing height and hangs from the shank when it is lifted, a hand goes on with its forearm.
"""

from __future__ import annotations

import numpy as np

from posemill.arrays import Matrix3, Points3, Vector3
from posemill.errors import InputError
from posemill.geometry import unit
from posemill.skeleton import joint_set
from posemill.twin.body import BONES, Body, Pose, bone
from posemill.twin.kinematics import hinge, turn

__all__ = ["from_motion"]

_LIMBS = {
    "thigh": "hip",
    "shank": "knee",
    "foot": "ankle",
    "upper_arm": "shoulder",
    "forearm": "elbow",
    "hand": "wrist",
}
_LOWEST = 0.02  # quantile of ankle heights that is taken for standing
CONTACT_RISE_M, CONTACT_SPEED_M_S = 0.03, 0.25
"""A captured foot is in contact while its ankle is this near to standing height and slower than this."""


def from_motion(
    joints: Points3, fps: float, *, height_m: float | None = None, on_floor: bool = True
) -> tuple[Body, Pose]:
    """Body and pose whose hips, knees, ankles, shoulders, elbows and wrists are the captured ones exactly.

    The head sits on the neck at its own size and points where the captured head does.

    Parameters
    ----------
    joints
        (T, 17, 3) h36m17, world metres, z up, floor near z = 0, finite.
    fps
        Frames a second, for the contacts.
    height_m
        Stature in metres; by default the one whose legs have the captured length.
    on_floor
        Move the whole motion up or down so that the lowest ankles are at the height that the shoes need, and the soles
        meet the floor z = 0; captures place the ankle joint differently.

    Returns
    -------
    body : Body
        With the captured bone lengths (medians over time).
    pose : Pose
        Contacts by threshold, heel and toe alike: see ``CONTACT_RISE_M``.

    Raises
    ------
    InputError
        If the joints have another shape or are not finite.
    """
    joints = np.asarray(joints, dtype=np.float64)
    if joints.ndim != 3 or joints.shape[1:] != (17, 3) or not np.isfinite(joints).all():
        raise InputError(f"motion: expected finite joints of shape (time, 17, 3) in h36m17, got shape {joints.shape}")
    h36m = joint_set("h36m17")

    def at(name: str) -> Points3:
        return joints[:, h36m.index(name)]

    body = _body(at, height_m)
    if on_floor:
        ankles = np.concatenate([at("left_ankle"), at("right_ankle")])[:, 2]
        joints = joints + np.array([0, 0, body.ankle_height_m - np.quantile(ankles, _LOWEST)])
    rotations = np.tile(np.eye(3), (len(joints), len(BONES), 1, 1))
    hips = (at("left_hip") + at("right_hip")) / 2
    pelvis = _upright(at("spine") - hips, at("left_hip") - at("right_hip"))
    chest = _upright(at("thorax") - at("spine"), at("left_shoulder") - at("right_shoulder"))
    head = _upright(at("head_top") - at("thorax"), at("left_shoulder") - at("right_shoulder"))
    rotations[:, bone("pelvis")], rotations[:, bone("chest")] = pelvis, chest
    rotations[:, bone("spine")] = _between(pelvis, chest)
    rotations[:, bone("neck")] = rotations[:, bone("head")] = head
    contact = []
    for side in ("left_", "right_"):
        rotations[:, bone(side + "clavicle")] = chest
        for names, bends, trunk in (
            (("upper_arm", "forearm", "hand"), 1.0, chest),
            (("thigh", "shank", "foot"), -1.0, pelvis),
        ):
            a, b, c = (at(side + _LIMBS[name]) for name in names)
            lateral = _lateral(b - a, c - b, bends, trunk[:, :, 1])
            rotations[:, bone(side + names[0])] = hinge(b - a, lateral)
            rotations[:, bone(side + names[1])] = hinge(c - b, lateral)
        rotations[:, bone(side + "hand")] = rotations[:, bone(side + "forearm")]
        ankle = at(side + "ankle")
        foot, planted = _foot(ankle, rotations[:, bone(side + "shank")], fps)
        rotations[:, bone(side + "foot")] = rotations[:, bone(side + "toes")] = foot
        contact += [planted, planted]
    positions = body.forward(hips, rotations)
    for side in ("left_", "right_"):
        for name, joint in _LIMBS.items():
            positions[:, bone(side + name)] = at(side + joint)
        toes, foot = bone(side + "toes"), bone(side + "foot")
        positions[:, toes] = positions[:, foot] + rotations[:, foot] @ body.offsets[toes]
    positions[:, bone("chest")], positions[:, bone("neck")] = at("spine"), at("thorax")
    positions[:, bone("head")] = at("thorax") + head @ body.offsets[bone("head")]
    return body, Pose(positions, rotations, np.stack(contact, -1))


def _body(at, height_m: float | None) -> Body:
    """Return a body with the captured lengths."""

    def span(a: str, b: str) -> float:
        return float(np.median(np.linalg.norm(at(a) - at(b), axis=-1)))

    def both(a: str, b: str) -> float:
        return (span("left_" + a, "left_" + b) + span("right_" + a, "right_" + b)) / 2

    thigh, shank = both("hip", "knee"), both("knee", "ankle")
    body = Body.of_height((thigh + shank) / 0.491 if height_m is None else height_m)
    k = body.height_m / 1.75
    clavicle, girdle = body.offsets[bone("left_clavicle")], body.offsets[bone("left_upper_arm")]
    half = span("left_shoulder", "right_shoulder") / 2 - clavicle[1]
    offsets = {}
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        offsets |= {
            side + "thigh": np.array([0, sign * span("left_hip", "right_hip") / 2, 0]),
            side + "shank": np.array([0, 0, -thigh]),
            side + "foot": np.array([0, 0, -shank]),
            side + "upper_arm": np.array([girdle[0], sign * max(half, 0.05 * k), girdle[2]]),
            side + "forearm": np.array([0, 0, -both("shoulder", "elbow")]),
            side + "hand": np.array([0, 0, -both("elbow", "wrist")]),
        }
    return body.with_offsets(offsets)


def _upright(up: Vector3, left: Vector3) -> Matrix3:
    """Rotation whose z axis is ``up`` and whose y axis is nearest to ``left``."""
    return hinge(-up, left)


def _between(a: Matrix3, b: Matrix3) -> Matrix3:
    """Rotation half-way between two that are not opposite."""
    u, _, vt = np.linalg.svd(a + b)
    return u @ vt


def _lateral(first: Vector3, second: Vector3, bends: float, trunk: Vector3) -> Vector3:
    """Hinge axis of a limb: from its bending plane when it is bent by more than some 20 degrees, else the trunk's."""
    first, second = unit(first), unit(second)
    axis = np.cross(second, first) * bends
    bend = np.linalg.norm(axis, axis=-1, keepdims=True)
    weight = np.clip((bend - 0.15) / 0.25, 0, 1)
    # An axis against the trunk's is a limb bent the wrong way by noise, or an arm behind the back.
    return weight * axis / np.maximum(bend, 1e-9) + (1 - weight) * trunk


def _foot(ankle: Vector3, shank: Matrix3, fps: float) -> tuple[Matrix3, np.ndarray]:
    """Foot rotation (T, 3, 3) and contact (T,)."""
    rise = ankle[:, 2] - np.quantile(ankle[:, 2], _LOWEST)
    speed = np.linalg.norm(np.gradient(ankle, axis=0), axis=-1) * fps if len(ankle) > 1 else np.zeros(len(ankle))
    forward = shank[:, :, 0]
    flat = turn("z", np.arctan2(forward[:, 1], forward[:, 0]))
    lifted = np.clip((rise - 0.02) / 0.13, 0, 1)[:, None, None]
    u, _, vt = np.linalg.svd((1 - lifted) * flat + lifted * shank)
    return u @ vt, (rise < CONTACT_RISE_M) & (speed < CONTACT_SPEED_M_S)
