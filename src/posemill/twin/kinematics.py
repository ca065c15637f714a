"""Rotations for posing the twin: axis turns, trunk and arm posture, two-bone leg inverse kinematics."""

from __future__ import annotations

import numpy as np

from posemill.arrays import Matrix3, PerJoint, Vector3
from posemill.geometry import unit
from posemill.twin.body import BONES, Body, bone

__all__ = ["ease", "hinge", "keys", "legs", "turn", "upper_body"]


def turn(axis: str, angle: np.ndarray | float) -> Matrix3:
    """Rotation about a frame axis, (..., 3, 3); radians, right-handed."""
    angle = np.asarray(angle, dtype=np.float64)
    c, s, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    rows = {
        "x": (one, zero, zero, zero, c, -s, zero, s, c),
        "y": (c, zero, s, zero, one, zero, -s, zero, c),
        "z": (c, -s, zero, s, c, zero, zero, zero, one),
    }[axis]
    return np.stack(rows, -1).reshape(*angle.shape, 3, 3)


def ease(s: np.ndarray | float) -> np.ndarray:
    """Minimum-jerk step (Flash & Hogan 1985): 0 before 0, 1 after 1, at rest at both ends."""
    s = np.clip(s, 0.0, 1.0)
    return s**3 * (10 - 15 * s + 6 * s**2)


def keys(time: np.ndarray, times: list[float], values: list[float]) -> np.ndarray:
    """Minimum-jerk movement through key values, held before the first and after the last; (T,)."""
    out = np.full(time.shape, float(values[0]))
    for t0, t1, a, b in zip(times[:-1], times[1:], values[:-1], values[1:], strict=True):
        out += (b - a) * ease((time - t0) / (t1 - t0))
    return out


def upper_body(time: np.ndarray, pelvis: Matrix3, angles: dict[str, np.ndarray | float]) -> Matrix3:
    """World rotations of all bones above the pelvis; legs are left at the pelvis' rotation.

    Parameters
    ----------
    time
        (T,), gives the length.
    pelvis
        (T, 3, 3) world rotation of the pelvis.
    angles
        Radians, each (T,) or a number, default 0. ``bend``, ``side``, ``twist``: the trunk forward, to the left, to the
        left about its axis (shared by spine and chest). ``nod``, ``tilt``, ``look``: the same of neck and head. With
        ``left_`` or ``right_`` in front: ``raise`` (upper arm forward), ``abduct`` (away from the trunk), ``inward``
        (axial turn that brings the flexed forearm to the midline), ``elbow`` (flexion), ``wrist`` (flexion),
        ``pronate``.

    Returns
    -------
    (T, B, 3, 3)
    """

    def get(name: str) -> np.ndarray:
        return np.broadcast_to(np.asarray(angles.get(name, 0.0), dtype=np.float64), time.shape)

    out = np.repeat(pelvis[:, None], len(BONES), axis=1)

    def trunk(part: float, bend: str, side: str, twist: str) -> Matrix3:
        return turn("z", part * get(twist)) @ turn("x", -part * get(side)) @ turn("y", part * get(bend))

    out[:, bone("spine")] = pelvis @ trunk(0.45, "bend", "side", "twist")
    out[:, bone("chest")] = out[:, bone("spine")] @ trunk(0.55, "bend", "side", "twist")
    out[:, bone("neck")] = out[:, bone("chest")] @ trunk(0.4, "nod", "tilt", "look")
    out[:, bone("head")] = out[:, bone("neck")] @ trunk(0.6, "nod", "tilt", "look")
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        swing = turn("y", -get(side + "raise")) @ turn("x", sign * get(side + "abduct"))
        # The shoulder girdle takes part above 30 degrees of elevation (scapulohumeral rhythm).
        elevation = np.arccos(np.clip(swing[:, 2, 2], -1, 1))
        lift = 0.22 * np.maximum(0.0, elevation - np.radians(30)) ** 2 / (elevation + 0.3)
        out[:, bone(side + "clavicle")] = out[:, bone("chest")] @ turn("x", sign * lift)
        upper = out[:, bone("chest")] @ swing @ turn("z", -sign * get(side + "inward"))
        # Pronation turns the forearm about its own axis; half of it there, half at the wrist.
        pronate = turn("z", -0.5 * sign * get(side + "pronate"))
        forearm = upper @ turn("y", -get(side + "elbow")) @ pronate
        out[:, bone(side + "upper_arm")] = upper
        out[:, bone(side + "forearm")] = forearm
        out[:, bone(side + "hand")] = forearm @ pronate @ turn("x", -sign * get(side + "wrist"))
    return out


def hinge(down: Vector3, lateral: Vector3) -> Matrix3:
    """Rotation of a limb bone whose -z axis is ``down`` and whose y axis is nearest to ``lateral``."""
    z = -unit(down)
    y = unit(lateral - (lateral * z).sum(-1, keepdims=True) * z)
    return np.stack([np.cross(y, z), y, z], -1)


def legs(body: Body, side: str, hip: Vector3, ankle: Vector3, forward: Vector3) -> tuple[Matrix3, Matrix3, PerJoint]:
    """Two-bone inverse kinematics of one leg.

    Parameters
    ----------
    body
        Gives the lengths.
    side
        ``left_`` or ``right_``.
    hip, ankle
        (T, 3) metres, world.
    forward
        (T, 3), the direction to which the knee points.

    Returns
    -------
    thigh, shank : (T, 3, 3)
        World rotations.
    stretch : (T,)
        Distance from hip to ankle over leg length; above 1 the ankle is out of reach and is not met.
    """
    thigh_m, shank_m = body.length(side + "shank"), body.length(side + "foot")
    span = ankle - hip
    reach = np.linalg.norm(span, axis=-1)
    stretch = reach / (thigh_m + shank_m)
    reach = np.clip(reach, abs(thigh_m - shank_m) + 1e-6, (thigh_m + shank_m) * (1 - 1e-9))
    along = unit(span)
    pole = unit(forward - (forward * along).sum(-1, keepdims=True) * along)
    cosine = (thigh_m**2 + reach**2 - shank_m**2) / (2 * thigh_m * reach)
    sine = np.sqrt(np.maximum(0.0, 1 - cosine**2))
    knee = thigh_m * (cosine[:, None] * along + sine[:, None] * pole)
    lateral = np.cross(pole, along)
    return hinge(knee, lateral), hinge(reach[:, None] * along - knee, lateral), stretch
