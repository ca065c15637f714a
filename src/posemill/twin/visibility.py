"""Which joints a camera sees, decided by casting the camera's ray through the joint against the twin's own mesh.

Definition
----------
A joint is visible if it projects inside the image and nothing lies in front of it, where the joint's own flesh counts
as nothing: a triangle of a bone that meets at the joint hides it only if it is nearer to the camera than the joint by
more than that flesh is thick; any other triangle hides it if it is nearer by more than ``OTHER_M``.
Landmarks on the skin (nose, eyes, ears) have no flesh over them: everything nearer by ``SKIN_M`` hides them.
"""

from __future__ import annotations

import numpy as np

from posemill.arrays import Points3
from posemill.camera import Camera
from posemill.skeleton import JOINT_SETS
from posemill.twin.body import BONES, JOINT_SET

__all__ = ["own_bones", "visible"]

OTHER_M, SKIN_M = 0.01, 0.03

# Joint -> (bones that meet there, largest depth below their surface in metres). Sides are filled in.
_FLESH: dict[str, tuple[tuple[str, ...], float]] = {
    "pelvis": (("pelvis", "spine", "left_thigh", "right_thigh"), 0.17),
    "spine": (("spine", "chest", "pelvis"), 0.17),
    "thorax": (("chest", "neck", "left_clavicle", "right_clavicle"), 0.12),
    "neck_nose": (("head", "neck"), 0.13),
    "head_top": (("head",), 0.06),
    "hip": (("pelvis", "spine", "thigh"), 0.15),
    "knee": (("thigh", "shank"), 0.09),
    "ankle": (("shank", "foot"), 0.07),
    "shoulder": (("chest", "clavicle", "upper_arm"), 0.11),
    "elbow": (("upper_arm", "forearm"), 0.07),
    "wrist": (("forearm", "hand"), 0.06),
    "hand": (("hand", "forearm"), 0.06),
    "heel": (("foot", "shank"), 0.07),
    "big_toe": (("toes", "foot"), 0.07),
}


def _flesh() -> tuple[np.ndarray, np.ndarray]:
    """(J, B) whether a bone is a joint's own, and (J,) the depth allowed under it."""
    joints = JOINT_SETS[JOINT_SET].joints
    own, depth = np.zeros((len(joints), len(BONES)), dtype=bool), np.full(len(joints), SKIN_M)
    for j, joint in enumerate(joints):
        side, _, base = joint.partition("_") if joint.startswith(("left_", "right_")) else ("", "", joint)
        if base in _FLESH:
            names, depth[j] = _FLESH[base]
            for name in names:
                own[j, BONES.index(name if name in BONES else f"{side}_{name}")] = True
    return own, depth


def own_bones() -> np.ndarray:
    """(28, B) whether a bone's flesh is a joint's own."""
    return _flesh()[0]


def visible(joints: Points3, points: Points3, triangles: np.ndarray, owners: np.ndarray, camera: Camera) -> np.ndarray:
    """Visibility of one frame's joints; see the module's definition.

    Parameters
    ----------
    joints
        (28, 3) metres, camera frame.
    points
        (V, 3) metres, camera frame: the mesh, and anything else that can hide.
    triangles
        (F, 3) vertex indices.
    owners
        (F,) bone index of each triangle, -1 for things that are no part of the body.
    camera
        For the image border, distortion included; its extrinsics are not used.

    Returns
    -------
    (28,) bool
    """
    own, depth = _flesh()
    pixels = camera.project(joints)
    with np.errstate(invalid="ignore"):
        seen = ((pixels > -0.5) & (pixels < (camera.width - 0.5, camera.height - 0.5))).all(-1)
    flat = points[:, :2] / points[:, 2:]
    corners = flat[triangles]
    low = np.minimum(np.minimum(corners[:, 0], corners[:, 1]), corners[:, 2])
    high = np.maximum(np.maximum(corners[:, 0], corners[:, 1]), corners[:, 2])
    # Sorted by left edge, the triangles that may cover a joint are a slice, narrowed by the rest of their boxes.
    widest = (high[:, 0] - low[:, 0]).max()
    order = np.argsort(low[:, 0])
    left = low[order, 0]
    for j in np.flatnonzero(seen):
        at = joints[j, :2] / joints[j, 2]
        near = order[np.searchsorted(left, at[0] - widest) : np.searchsorted(left, at[0], side="right")]
        hit = near[(high[near, 0] >= at[0]) & (low[near, 1] <= at[1]) & (high[near, 1] >= at[1])]
        a, b, c = (corners[hit, i] for i in range(3))
        e0, e1, e2 = b - a, c - a, at - a
        area = e0[:, 0] * e1[:, 1] - e0[:, 1] * e1[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            v = (e2[:, 0] * e1[:, 1] - e2[:, 1] * e1[:, 0]) / area
            w = (e0[:, 0] * e2[:, 1] - e0[:, 1] * e2[:, 0]) / area
            inside = (v >= 0) & (w >= 0) & (v + w <= 1)
        hit, v, w = hit[inside], v[inside], w[inside]
        # 1/Z is linear on the image plane.
        inverse = 1 / points[triangles[hit], 2]
        z = 1 / (inverse[:, 0] * (1 - v - w) + inverse[:, 1] * v + inverse[:, 2] * w)
        is_own = (owners[hit] >= 0) & own[j, owners[hit]]
        slack = np.where(is_own, depth[j], SKIN_M if not own[j].any() else OTHER_M)
        seen[j] = not np.any(z < joints[j, 2] - slack)
    return seen
