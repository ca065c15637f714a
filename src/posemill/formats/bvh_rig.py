"""From joint positions (h36m17) to a BVH rig whose forward kinematics gives the positions back.

The rig has a T-pose at rest (y up, facing +z, left arm along +x) and the person's own bone lengths. Where several
bones leave one joint (pelvis, thorax) a single rotation cannot follow them all, so those bones start at a joint of
their own with offset 0, as in the CMU BVH conversions: ``right_pelvis``, ``left_pelvis``, ``neck``, ``left_clavicle``,
``right_clavicle``. Each bone's direction is then met exactly; what positions do not say, the twist about a bone, comes
from the hinges: the plane of a bent elbow or knee fixes the twist of upper arm or thigh, and through straight phases
the twist is carried over from the bent ones. Feet, hands and the head's yaw follow their parent bone.

Axes: y up, centimetres. World (z up): (x, y, z) -> (x, z, -y). Camera (y down, z forward): (x, y, z) -> (x, -y, -z);
the latter is "up" only as far as the camera was level, so it must be labelled.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from posemill.arrays import Flags, Matrix3, Points3, Vector3
from posemill.errors import ClipError, InputError, expected
from posemill.formats.bvh import ROOT_CHANNELS, ROTATIONS, Bvh, bvh_joints
from posemill.geometry import rotation_between, skew, unit
from posemill.skeleton import joint_set

__all__ = ["bvh_from_joints", "from_y_up", "joints_from_bvh", "to_y_up"]

_H36M = joint_set("h36m17")
_X, _Y, _Z = np.eye(3)
_TO_Y_UP = {
    "world": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "camera": np.diag([1.0, -1, -1]),
}
_CM_PER_M = 100.0
# (node, parent node, rest direction of the bone that ends at the node; None: offset 0). Depth first.
_NODES: tuple[tuple[str, str, np.ndarray | None], ...] = (
    ("pelvis", "", None),
    ("right_pelvis", "pelvis", None),
    ("right_hip", "right_pelvis", -_X),
    ("right_knee", "right_hip", -_Y),
    ("right_ankle", "right_knee", -_Y),
    ("left_pelvis", "pelvis", None),
    ("left_hip", "left_pelvis", _X),
    ("left_knee", "left_hip", -_Y),
    ("left_ankle", "left_knee", -_Y),
    ("spine", "pelvis", _Y),
    ("thorax", "spine", _Y),
    ("neck", "thorax", None),
    ("neck_nose", "neck", _Y),
    ("head_top", "neck_nose", _Y),
    ("left_clavicle", "thorax", None),
    ("left_shoulder", "left_clavicle", _X),
    ("left_elbow", "left_shoulder", _X),
    ("left_wrist", "left_elbow", _X),
    ("right_clavicle", "thorax", None),
    ("right_shoulder", "right_clavicle", -_X),
    ("right_elbow", "right_shoulder", -_X),
    ("right_wrist", "right_elbow", -_X),
)
# End Sites as multiples of the bone before them (Drillis & Contini 1966: foot 0.152 H with the ankle a quarter of it
# before the heel and 0.039 H high, shin 0.246 H; hand 0.108 H, forearm 0.146 H).
_ENDS: dict[str, np.ndarray] = {
    "right_ankle": np.array([0, -0.16, 0.46]),
    "left_ankle": np.array([0, -0.16, 0.46]),
    "head_top": np.array([0, 0.25, 0]),
    "left_wrist": np.array([0.74, 0, 0]),
    "right_wrist": np.array([-0.74, 0, 0]),
}
# Lengths of bones that were never seen on either side, relative to pelvis-spine-thorax (same source).
_TYPICAL = {"hip": 0.33, "knee": 0.85, "ankle": 0.85, "nose": 0.35, "top": 0.3, "shoulder": 0.45, "elbow": 0.65}
_TYPICAL["wrist"] = 0.5
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


def to_y_up(points: Points3, frame: str) -> Points3:
    """Metres in ``world`` or ``camera`` axes to y-up axes, metres; (..., 3)."""
    if frame not in _TO_Y_UP:
        raise InputError(expected("frame", "world or camera", frame))
    return points @ _TO_Y_UP[frame].T


def from_y_up(points: Points3, frame: str) -> Points3:
    """Inverse of :func:`to_y_up`."""
    if frame not in _TO_Y_UP:
        raise InputError(expected("frame", "world or camera", frame))
    return points @ _TO_Y_UP[frame]


def bvh_from_joints(
    joints: Points3,
    *,
    fps: float,
    frame: str,
    valid: Flags | None = None,
    temporal: bool = True,
    names: Mapping[str, str] | None = None,
) -> tuple[Bvh, np.ndarray]:
    """Solve a BVH animation for joint positions.

    Parameters
    ----------
    joints
        (T, 17, 3) h36m17 in metres, in ``frame`` axes. Gaps are filled on the way: positions linearly in time between
        their neighbours and held at the ends (``temporal=False``: the last seen is held). A joint that is never
        valid keeps its rest pose at the end of its parent, with the length of its mirror bone or a typical one.
    fps
        Frames per second.
    frame
        ``world`` or ``camera``.
    valid
        (T, 17); default: where finite.
    temporal
        False for unrelated stills: nothing but gaps is carried from frame to frame.
    names
        Other names for nodes, e.g. of a target rig.

    Returns
    -------
    bvh, deviation_m
        Deviation (T, 17): distance from the given to the rig's joints, NaN where they are not valid. It is below
        0.1 mm where bone lengths are constant; where they vary, the rig has each bone's median.

    Raises
    ------
    ClipError
        Pelvis, spine or thorax are never seen, or neither both hips nor both shoulders are.
    """
    if joints.ndim != 3 or joints.shape[1:] != (17, 3):
        raise InputError(expected("joints", "(frames, 17, 3)", joints.shape))
    points = to_y_up(np.asarray(joints, dtype=np.float64), frame)
    known = np.isfinite(points).all(-1)
    if valid is not None:
        known &= valid
    seen = {name: bool(known[:, i].any()) for i, name in enumerate(_H36M.joints)}
    lost = [name for name in ("pelvis", "spine", "thorax") if not seen[name]]
    if lost or not any(seen[f"left_{p}"] and seen[f"right_{p}"] for p in ("hip", "shoulder")):
        raise ClipError(f"no pose to export: {', '.join(lost) or 'both hips and both shoulders'} never valid")
    lengths = _bone_lengths(points, known)
    filled = _fill_gaps(points, known, temporal=temporal)
    rotations = _rotations({name: filled[:, i] for i, name in enumerate(_H36M.joints)}, temporal=temporal)
    bvh = _assemble(lengths, filled[:, 0], rotations, fps, names or {})
    solved = joints_from_bvh(bvh, frame, names=names)
    deviation = np.linalg.norm(solved - joints, axis=-1)
    return bvh, np.where(known, deviation, np.nan)


def joints_from_bvh(bvh: Bvh, frame: str, *, names: Mapping[str, str] | None = None) -> Points3:
    """Joints (T, 17, 3) h36m17, metres, ``frame`` axes, of a file that :func:`bvh_from_joints` made."""
    nodes = [bvh.index((names or {}).get(joint, joint)) for joint in _H36M.joints]
    return from_y_up(bvh_joints(bvh)[:, nodes] / _CM_PER_M, frame)


def _bone_lengths(points: Points3, valid: Flags) -> dict[str, float]:
    """Median length in metres of the bone that ends at each joint."""
    lengths: dict[str, float] = {}
    for parent, child in _H36M.bones:
        both = valid[:, parent] & valid[:, child]
        if both.any():
            bone = np.linalg.norm(points[both, child] - points[both, parent], axis=-1)
            lengths[_H36M.joints[child]] = float(np.median(bone))
    torso = lengths.get("spine", 0.25) + lengths.get("thorax", 0.25)
    for joint in _H36M.joints[1:]:
        if joint not in lengths:
            side, _, part = joint.partition("_")
            mirror = {"left": f"right_{part}", "right": f"left_{part}"}.get(side, joint)
            lengths[joint] = lengths.get(mirror, _TYPICAL.get(part, 0.5) * torso)
    return lengths


def _fill_gaps(points: Points3, valid: Flags, *, temporal: bool) -> Points3:
    """Fill each joint's invalid frames; NaN stays only where a joint is never valid."""
    filled = np.full(points.shape, np.nan)
    index = np.arange(len(points))
    for joint in range(points.shape[1]):
        known = np.flatnonzero(valid[:, joint])
        if known.size == 0:
            continue
        if temporal:
            for axis in range(3):
                filled[:, joint, axis] = np.interp(index, known, points[known, joint, axis])
        else:
            last = np.clip(np.searchsorted(known, index, side="right") - 1, 0, None)
            filled[:, joint] = points[known[last], joint]
    return filled


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


def _rotations(at: Mapping[str, np.ndarray], *, temporal: bool) -> dict[str, Matrix3]:
    """Rotation (T, 3, 3) of every node in y-up axes."""
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


def _assemble(
    lengths: Mapping[str, float], root: Vector3, rotations: Mapping[str, Matrix3], fps: float, names: Mapping[str, str]
) -> Bvh:
    """Offsets, channels and motion of the rig; centimetres and degrees."""
    node_names, parents, offsets, channels, local = [], [], [], [], []
    index: dict[str, int] = {}
    for name, parent, rest in _NODES:
        index[name] = len(node_names)
        node_names.append(names.get(name, name))
        parents.append(index.get(parent, -1))
        offsets.append(np.zeros(3) if rest is None else rest * lengths[name] * _CM_PER_M)
        channels.append(ROTATIONS if parent else ROOT_CHANNELS)
        local.append(np.swapaxes(rotations[parent], -1, -2) @ rotations[name] if parent else rotations[name])
        if name in _ENDS:
            node_names.append(f"{names.get(name, name)}_end")
            parents.append(index[name])
            offsets.append(_ENDS[name] * lengths[name] * _CM_PER_M)
            channels.append(())
    degrees = _euler_zxy(np.stack(local, 1))
    motion = np.concatenate([root * _CM_PER_M, degrees.reshape(len(root), -1)], 1)
    return Bvh(tuple(node_names), tuple(parents), np.array(offsets), tuple(channels), motion, 1.0 / fps)


def _euler_zxy(r: Matrix3) -> np.ndarray:
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
