"""Legs that reach for where the feet are, and hinges that bend the way they can.

A leg is two bones of fixed lengths between hip and ankle: where the ankle is to be leaves the knee one circle, and on
it the knee stays in the plane in which the leg was bent. Nothing is searched for, so all frames are solved at once.
"""

from __future__ import annotations

import numpy as np

from posemill.arrays import Points3, Vector3
from posemill.geometry import rotation_between, unit
from posemill.skeleton import JOINT_SETS

__all__ = ["bend_forwards", "bent_forwards", "forward_of", "reach"]

# A knee (elbow) that is nearer than this to the line from end to end, in shares of the limb, has no plane of its own.
_STRAIGHT = 0.02
# Cosines of the angle between upper arm and trunk: an arm that hangs, and one that is too high to judge its elbow.
_HANGING, _RAISED = 0.8, 0.5
_SET = JOINT_SETS["h36m17"]


def reach(hip: Vector3, knee: Vector3, ankle: Vector3, target: Vector3, forward: Vector3) -> tuple[Vector3, Vector3]:
    """Two-bone inverse kinematics.

    Parameters
    ----------
    hip, knee, ankle
        (..., 3) m, the limb as it is.
    target
        (..., 3) m, where the ankle is to be. Nearer or farther than the bones allow, the ankle comes as near as it can.
    forward
        (..., 3) the way the knee bends where the leg is straight.

    Returns
    -------
    knee, ankle
        (..., 3) m. Lengths are kept; NaN where a joint is unknown.
    """
    upper = np.linalg.norm(knee - hip, axis=-1, keepdims=True)
    lower = np.linalg.norm(ankle - knee, axis=-1, keepdims=True)
    before, way = unit(ankle - hip), target - hip
    far = np.linalg.norm(way, axis=-1, keepdims=True)
    way = np.where(far > 1e-9, unit(way), before)
    far = np.clip(far, np.abs(upper - lower), upper + lower)
    turn = rotation_between(before, way)
    bend = _across(np.einsum("...ab,...b->...a", turn, knee - hip), way)
    depth = np.linalg.norm(bend, axis=-1, keepdims=True)
    # Towards straight the plane fades into the one of the way forward: noise does not turn it.
    lacking = np.maximum(_STRAIGHT * (upper + lower) - depth, 0.0)
    bend = unit(bend + lacking * np.nan_to_num(unit(_across(forward, way))))
    known = np.isfinite(way).all(-1, keepdims=True)
    aside = np.eye(3)[np.argmin(np.abs(np.where(known, way, 0.0)), -1)]
    bend = np.where(np.isfinite(bend), bend, unit(np.cross(way, aside)))
    with np.errstate(invalid="ignore", divide="ignore"):
        along = np.where(far > 1e-9, (upper**2 - lower**2 + far**2) / (2 * far), 0.0)
    side = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    return hip + along * way + side * bend, hip + far * way


def bent_forwards(top: Vector3, middle: Vector3, end: Vector3, forward: Vector3, weight: np.ndarray) -> Vector3:
    """Middle joint (..., 3) of a hinge, mirrored to the other side of the limb where it bends backwards.

    Both ends stay, and lengths with them. Seen from the front a bend forwards and one backwards look alike, which is
    why lifters confuse them; from one to the other the limb is straight, so that nothing jumps.

    Parameters
    ----------
    top, middle, end
        (..., 3) m: hip, knee, ankle, or shoulder, elbow, wrist.
    forward
        (..., 3) the side to which the middle joint may go; NaN where nothing is to be changed.
    weight
        (...,) 0 to 1, how much of it is applied.
    """
    axis = unit(end - top)
    bend = _across(middle - top, axis)
    ahead = unit(_across(forward, axis))
    back = np.minimum(np.sum(bend * ahead, -1, keepdims=True), 0.0)
    turned = unit(bend - 2 * weight[..., None] * back * ahead) * np.linalg.norm(bend, axis=-1, keepdims=True)
    return np.where(np.isfinite(turned) & (back < 0), middle - bend + turned, middle)


def forward_of(joints: Points3, part: str) -> Vector3:
    """The body's forward (T, 3) at its hips or shoulders: across the line of both and across the trunk.

    Parameters
    ----------
    joints
        (T, J, 3) of h36m17 or posemill21.
    part
        ``hip`` or ``shoulder``.
    """
    left = joints[:, _SET.index(f"left_{part}")] - joints[:, _SET.index(f"right_{part}")]
    up = joints[:, _SET.index("thorax")] - joints[:, _SET.index("pelvis")]
    return unit(np.cross(left, up))


def bend_forwards(joints: Points3) -> Points3:
    """Pose (T, J, 3) whose knees bend forwards and whose elbows bend backwards; ankles and wrists stay.

    An arm that is raised can turn its elbow to any side: elbows are judged where the upper arm hangs.
    """
    out = joints.copy()
    forward = forward_of(joints, "hip")
    ahead = forward_of(joints, "shoulder")
    down = unit(joints[:, _SET.index("pelvis")] - joints[:, _SET.index("thorax")])
    for side in ("left", "right"):
        hip, knee, ankle, shoulder, elbow, wrist = (
            _SET.index(f"{side}_{name}") for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
        )
        everywhere = np.ones(len(joints))
        out[:, knee] = bent_forwards(joints[:, hip], joints[:, knee], joints[:, ankle], forward, everywhere)
        cosine = np.sum(unit(joints[:, elbow] - joints[:, shoulder]) * down, -1)
        hanging = np.clip((cosine - _RAISED) / (_HANGING - _RAISED), 0, 1)
        out[:, elbow] = bent_forwards(joints[:, shoulder], joints[:, elbow], joints[:, wrist], -ahead, hanging)
    return out


def _across(v: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return the part of vectors that is across unit vectors."""
    return v - np.sum(v * axis, -1, keepdims=True) * axis
