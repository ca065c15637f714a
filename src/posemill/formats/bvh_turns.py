"""Rotations of a rig's nodes from joint positions, and their angles.

What positions say of a node's rotation is met exactly: the direction of its bone, and of a foot all three axes, since
heel and toe turn with it. The twist about a bone comes from the hinges: see :mod:`posemill.formats.bvh_rig`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from posemill.arrays import Matrix3, Vector3
from posemill.errors import ClipError
from posemill.geometry import rotation_between, skew, unit

__all__ = ["euler_zxy", "node_rotations"]

_X, _Y, _Z = np.eye(3)
# Limbs as hinges: bone start, hinge, end, rest direction, rest bend normal (start->hinge) x (hinge->end), and the
# angle from the neutral normal beyond which the bend reads as overstretched rather than turned.
_HINGES = (
    ("right_hip", "right_knee", "right_ankle", -_Y, _X, 100.0),
    ("left_hip", "left_knee", "left_ankle", -_Y, _X, 100.0),
    ("left_shoulder", "left_elbow", "left_wrist", _X, -_Y, 150.0),
    ("right_shoulder", "right_elbow", "right_wrist", -_X, _Y, 150.0),
)
# Below this sine of the bend (14 degrees) the bend plane is noise.
_MIN_BEND = 0.25


def _frame_on(primary: Vector3, secondary: Vector3, rest: Vector3, rest_secondary: Vector3) -> Matrix3:
    """Rotation that takes ``rest`` onto ``primary`` and ``rest_secondary`` as near as can be to ``secondary``."""

    def basis(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a = unit(a)
        b = unit(b - np.sum(a * b, -1, keepdims=True) * a)
        return np.stack([a, b, np.cross(a, b)], -1)

    return basis(primary, secondary) @ basis(rest, rest_secondary).T


def _or(rotation: Matrix3, fallback: Matrix3) -> Matrix3:
    """``rotation`` where it is known, else ``fallback``: an unseen bone keeps its rest pose on its parent."""
    return np.where(np.isfinite(rotation).all((-1, -2))[..., None, None], rotation, fallback)


def _swing(parent: Matrix3, rest: Vector3, direction: Vector3) -> Matrix3:
    """``parent`` turned by the shortest rotation that takes its ``rest`` axis onto ``direction``."""
    return _or(rotation_between(parent @ rest, direction) @ parent, parent)


def node_rotations(at: Mapping[str, np.ndarray], *, temporal: bool) -> dict[str, Matrix3]:
    """Rotation (T, 3, 3) of every node in y-up axes.

    Parameters
    ----------
    at
        Joint to its places (T, 3) in y-up axes, any unit; NaN where it is never seen. Heels and big toes may lack.
    temporal
        False: unrelated stills.
    """
    hips, shoulders = at["left_hip"] - at["right_hip"], at["left_shoulder"] - at["right_shoulder"]
    hips, shoulders = unit(hips), unit(shoulders)
    hips, shoulders = np.where(np.isfinite(hips), hips, shoulders), np.where(np.isfinite(shoulders), shoulders, hips)
    lower, upper = at["spine"] - at["pelvis"], at["thorax"] - at["spine"]
    g: dict[str, Matrix3] = {}
    g["pelvis"] = _held(_frame_on(lower, hips, _Y, _X))
    # The spine carries half of the twist between hips and shoulders, the thorax the rest.
    g["spine"] = _or(_frame_on(upper, hips + shoulders, _Y, _X), g["pelvis"])
    g["thorax"] = _or(_frame_on(upper, shoulders, _Y, _X), g["spine"])
    g["neck"] = _swing(g["thorax"], _Y, at["neck_nose"] - at["thorax"])
    g["neck_nose"] = _swing(g["neck"], _Y, at["head_top"] - at["neck_nose"])
    g["head_top"] = g["neck_nose"]
    for side, out in (("left", _X), ("right", -_X)):
        g[f"{side}_pelvis"] = _swing(g["pelvis"], out, at[f"{side}_hip"] - at["pelvis"])
        g[f"{side}_clavicle"] = _swing(g["thorax"], out, at[f"{side}_shoulder"] - at["thorax"])
    for start, hinge, end, rest, normal, limit in _HINGES:
        side, part = start.split("_")
        parent = g["pelvis"] if part == "hip" else g[f"{side}_clavicle"]
        first, second = at[hinge] - at[start], at[end] - at[hinge]
        swing = _swing(parent, rest, first)
        twist = _hinge_twist(swing @ normal, unit(first), unit(second), np.deg2rad(limit), temporal=temporal)
        g[start] = _turned(swing, swing @ rest, twist)
        g[hinge] = _or(_frame_on(second, g[start] @ normal, rest, normal), g[start])
        g[end] = g[hinge]
    for side in ("left", "right"):
        if f"{side}_heel" in at:
            heel, toe = at[f"{side}_heel"], at[f"{side}_big_toe"]
            up = 2 * at[f"{side}_ankle"] - heel - toe
            foot = _or(_frame_on(toe - heel, up, _Z, _Y), g[f"{side}_ankle"])
            g |= dict.fromkeys((f"{side}_ankle", f"{side}_heel", f"{side}_big_toe"), foot)
    return g


def _held(rotation: Matrix3) -> Matrix3:
    """Fill unknown frames of a rotation with the last known (at the start: the first known)."""
    known = np.flatnonzero(np.isfinite(rotation).all((-1, -2)))
    if known.size == 0:
        raise ClipError("no pose to export: spine and hip line are parallel in every frame")
    return rotation[known[np.clip(np.searchsorted(known, np.arange(len(rotation)), side="right") - 1, 0, None)]]


def _hinge_twist(neutral: Vector3, first: Vector3, second: Vector3, limit: float, *, temporal: bool) -> np.ndarray:
    """Angle (T,) radians about ``first`` from the ``neutral`` bend normal to the seen one.

    Where the limb is too straight to tell, the angle goes over linearly from the last bent frame to the next.
    """
    normal = np.cross(first, second)
    bent = np.nan_to_num(np.linalg.norm(normal, axis=-1)) > _MIN_BEND
    angle = np.arctan2(np.sum(np.cross(neutral, normal) * first, -1), np.sum(neutral * normal, -1))
    frames = np.flatnonzero(bent)
    if frames.size == 0:
        return np.zeros(len(angle))
    # A hinge changes its side only by passing through straight: whether it is overstretched is one question per bend.
    bends = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1) if temporal else frames[:, None]
    for run in bends:
        if np.median(np.abs(angle[run])) > limit:
            angle[run] += np.pi
        angle[run] = np.unwrap(angle[run])
    if not temporal:
        return np.where(bent, angle, 0.0)
    return np.interp(np.arange(len(angle)), frames, np.unwrap(angle[frames]))


def _turned(rotation: Matrix3, axis: Vector3, angle: np.ndarray) -> Matrix3:
    """``rotation`` followed by turns about unit axes (T, 3) (Rodrigues)."""
    k = skew(axis)
    s, c = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return (np.eye(3) + s * k + (1 - c) * (k @ k)) @ rotation


def euler_zxy(r: Matrix3) -> np.ndarray:
    """Angles (T, N, 3) degrees with ``r = Rz Rx Ry``, each frame the branch nearest to the frame before.

    Every rotation has two triples, (z, x, y) and (z + 180, 180 - x, y + 180), each up to whole turns; taking the
    nearest keeps curves free of jumps, also through full turns. At the pole (x = +-90) only z +- y is defined: y is
    then kept from the frame before.
    """
    sine = np.clip(r[..., 2, 1], -1.0, 1.0)
    plain = np.rad2deg(
        np.stack(
            [
                np.arctan2(-r[..., 0, 1], r[..., 1, 1]),
                # From both sine and cosine: arcsine alone loses half the digits near the pole.
                np.arctan2(sine, np.hypot(r[..., 0, 1], r[..., 1, 1])),
                np.arctan2(-r[..., 2, 0], r[..., 2, 2]),
            ],
            -1,
        )
    )
    pole = np.hypot(r[..., 0, 1], r[..., 1, 1]) < 1e-9
    other = np.stack([plain[..., 0] + 180, 180 - plain[..., 1], plain[..., 2] + 180], -1)
    total = np.rad2deg(np.arctan2(r[..., 1, 0], r[..., 0, 0]))
    out = np.empty_like(plain)
    before = np.zeros(plain.shape[1:])
    for t in range(len(r)):
        options = np.stack([plain[t], other[t]])
        if pole[t].any():
            z = total[t] - np.sign(sine[t]) * before[:, 2]
            at_pole = np.stack([z, np.sign(sine[t]) * 90.0, before[:, 2]], -1)
            options = np.where(pole[t][:, None], at_pole, options)
        options = before + (options - before + 180.0) % 360.0 - 180.0
        cost = np.abs(options - before).sum(-1)
        out[t] = before = np.where((cost[1] < cost[0] - 1e-9)[:, None], options[1], options[0])
    return out
