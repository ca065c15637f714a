"""From joint positions (h36m17, posemill21) to a BVH rig whose forward kinematics gives the positions back.

The rig has a T-pose at rest (y up, facing +z, left arm along +x) and the person's own bone lengths. Where several
bones leave one joint (pelvis, thorax) a single rotation cannot follow them all, so those bones start at a joint of
their own with offset 0, as in the CMU BVH conversions: ``right_pelvis``, ``left_pelvis``, ``neck``, ``left_clavicle``,
``right_clavicle``. Each bone's direction is then met exactly; what positions do not say, the twist about a bone, comes
from the hinges: the plane of a bent elbow or knee fixes the twist of upper arm or thigh, and through straight phases
the twist is carried over from the bent ones. Hands and the head's yaw follow their parent bone, and so do feet without
heels and toes; with them a foot is a rigid part that turns about the ankle, and its sole is level at rest.

Axes: y up, centimetres. World (z up): (x, y, z) -> (x, z, -y). Camera (y down, z forward): (x, y, z) -> (x, -y, -z);
the latter is "up" only as far as the camera was level, so it must be labelled.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from posemill.arrays import Flags, Matrix3, Points3, Vector3
from posemill.errors import ClipError, InputError, expected
from posemill.formats.bvh import ROOT_CHANNELS, ROTATIONS, Bvh, bvh_joints
from posemill.formats.bvh_turns import euler_zxy, node_rotations
from posemill.skeleton import JointSet, joint_set

__all__ = ["bvh_from_joints", "from_y_up", "joints_from_bvh", "to_y_up"]

_SETS = (joint_set("posemill21"), joint_set("h36m17"))
_X, _Y, _ = np.eye(3)
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
# Feet stand after their ankle, where there are heels and toes.
_FEET = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("heel", "big_toe"))
# End Sites as multiples of the bone before them (Drillis & Contini 1966: foot 0.152 H with the ankle a quarter of it
# before the heel and 0.039 H high, shin 0.246 H; hand 0.108 H, forearm 0.146 H). Those of heel and toe only show where
# they point.
_ENDS: dict[str, np.ndarray] = {
    "right_ankle": np.array([0, -0.16, 0.46]),
    "left_ankle": np.array([0, -0.16, 0.46]),
    "head_top": np.array([0, 0.25, 0]),
    "left_wrist": np.array([0.74, 0, 0]),
    "right_wrist": np.array([-0.74, 0, 0]),
    **dict.fromkeys(("left_heel", "right_heel"), np.array([0, 0, -0.1])),
    **dict.fromkeys(("left_big_toe", "right_big_toe"), np.array([0, 0, 0.1])),
}
# Lengths of bones that were never seen on either side, relative to pelvis-spine-thorax (same source).
_TYPICAL = {"hip": 0.33, "knee": 0.85, "ankle": 0.85, "nose": 0.35, "top": 0.3, "shoulder": 0.45, "elbow": 0.65}
_TYPICAL |= {"wrist": 0.5, "heel": 0.23, "big_toe": 0.42, "sole": 0.56}


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
    joints_of: str = "h36m17",
    valid: Flags | None = None,
    temporal: bool = True,
    names: Mapping[str, str] | None = None,
) -> tuple[Bvh, np.ndarray]:
    """Solve a BVH animation for joint positions.

    Parameters
    ----------
    joints
        (T, J, 3) in metres, in ``frame`` axes. Gaps are filled on the way: positions linearly in time between
        their neighbours and held at the ends (``temporal=False``: the last seen is held). A joint that is never
        valid keeps its rest pose at the end of its parent, with the length of its mirror bone or a typical one.
    fps
        Frames per second.
    frame
        ``world`` or ``camera``.
    joints_of
        ``h36m17``, or ``posemill21`` with heels and toes.
    valid
        (T, J); default: where finite.
    temporal
        False for unrelated stills: nothing but gaps is carried from frame to frame.
    names
        Other names for nodes, e.g. of a target rig.

    Returns
    -------
    bvh, deviation_m
        Deviation (T, J): distance from the given to the rig's joints, NaN where they are not valid. It is below
        0.1 mm where bone lengths are constant and feet rigid; where they vary, the rig has each bone's median.

    Raises
    ------
    ClipError
        Pelvis, spine or thorax are never seen, or neither both hips nor both shoulders are.
    """
    body = next((s for s in _SETS if s.name == joints_of), None)
    if body is None:
        raise InputError(expected("joint set", " or ".join(s.name for s in _SETS), joints_of))
    if joints.ndim != 3 or joints.shape[1:] != (len(body), 3):
        raise InputError(expected("joints", f"(frames, {len(body)}, 3)", joints.shape))
    points = to_y_up(np.asarray(joints, dtype=np.float64), frame)
    known = np.isfinite(points).all(-1)
    if valid is not None:
        known &= valid
    seen = {name: bool(known[:, i].any()) for i, name in enumerate(body.joints)}
    lost = [name for name in ("pelvis", "spine", "thorax") if not seen[name]]
    if lost or not any(seen[f"left_{p}"] and seen[f"right_{p}"] for p in ("hip", "shoulder")):
        raise ClipError(f"no pose to export: {', '.join(lost) or 'both hips and both shoulders'} never valid")
    lengths = _bone_lengths(points, known, body)
    filled = _fill_gaps(points, known, temporal=temporal)
    rotations = node_rotations({name: filled[:, i] for i, name in enumerate(body.joints)}, temporal=temporal)
    bvh = _assemble(lengths, filled[:, 0], rotations, fps, names or {})
    solved = joints_from_bvh(bvh, frame, names=names)
    deviation = np.linalg.norm(solved - joints, axis=-1)
    return bvh, np.where(known, deviation, np.nan)


def joints_from_bvh(bvh: Bvh, frame: str, *, names: Mapping[str, str] | None = None) -> Points3:
    """Joints (T, J, 3), metres, ``frame`` axes, of a file that :func:`bvh_from_joints` made: 21 with feet, else 17."""
    named = {joint: (names or {}).get(joint, joint) for joint in _SETS[0].joints}
    body = _SETS[0] if {named[joint] for joint in _FEET} <= set(bvh.names) else _SETS[1]
    nodes = [bvh.index(named[joint]) for joint in body.joints]
    return from_y_up(bvh_joints(bvh)[:, nodes] / _CM_PER_M, frame)


def _bone_lengths(points: Points3, valid: Flags, body: JointSet) -> dict[str, float]:
    """Median length in metres of the bone that ends at each joint, and of each sole, from heel to big toe."""
    ends = {body.joints[child]: (parent, child) for parent, child in body.bones}
    if _FEET[0] in ends:
        ends |= {f"{s}_sole": (body.index(f"{s}_heel"), body.index(f"{s}_big_toe")) for s in ("left", "right")}
    lengths: dict[str, float] = {}
    for name, (a, b) in ends.items():
        both = valid[:, a] & valid[:, b]
        if both.any():
            lengths[name] = float(np.median(np.linalg.norm(points[both, b] - points[both, a], axis=-1)))
    torso = lengths.get("spine", 0.25) + lengths.get("thorax", 0.25)
    for name in ends:
        if name not in lengths:
            side, _, part = name.partition("_")
            mirror = {"left": f"right_{part}", "right": f"left_{part}"}.get(side, name)
            lengths[name] = lengths.get(mirror, _TYPICAL.get(part, 0.5) * torso)
    return lengths


def _nodes(lengths: Mapping[str, float]) -> list[tuple[str, str, np.ndarray]]:
    """(node, parent node, offset at rest in metres) of the rig with these bones, depth first."""
    out = []
    for name, parent, rest in _NODES:
        out.append((name, parent, np.zeros(3) if rest is None else rest * lengths[name]))
        side, _, part = name.partition("_")
        if part == "ankle" and f"{side}_heel" in lengths:
            heel, toe = _foot_at_rest(*(lengths[f"{side}_{part}"] for part in ("heel", "big_toe", "sole")))
            out += [(f"{side}_heel", name, heel), (f"{side}_big_toe", name, toe)]
    return out


def _foot_at_rest(heel: float, toe: float, sole: float) -> tuple[np.ndarray, np.ndarray]:
    """Heel and toe (3,) from the ankle, both on one level: a triangle of these sides; forwards is z."""
    back = float(np.clip((heel**2 - toe**2 + sole**2) / (2 * sole), -heel, heel))
    down = np.sqrt(heel**2 - back**2)
    return np.array([0, -down, -back]), np.array([0, -down, np.sqrt(max(toe**2 - down**2, 0.0))])


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


def _assemble(
    lengths: Mapping[str, float], root: Vector3, rotations: Mapping[str, Matrix3], fps: float, names: Mapping[str, str]
) -> Bvh:
    """Offsets, channels and motion of the rig; centimetres and degrees."""
    node_names, parents, offsets, channels, local = [], [], [], [], []
    index: dict[str, int] = {}
    nodes = _nodes(lengths)
    inner = {parent for _, parent, _ in nodes}
    for name, parent, offset in nodes:
        index[name] = len(node_names)
        node_names.append(names.get(name, name))
        parents.append(index.get(parent, -1))
        offsets.append(offset * _CM_PER_M)
        channels.append(ROTATIONS if parent else ROOT_CHANNELS)
        local.append(np.swapaxes(rotations[parent], -1, -2) @ rotations[name] if parent else rotations[name])
        if name not in inner:
            node_names.append(f"{names.get(name, name)}_end")
            parents.append(index[name])
            offsets.append(_ENDS[name] * lengths[name] * _CM_PER_M)
            channels.append(())
    degrees = euler_zxy(np.stack(local, 1))
    motion = np.concatenate([root * _CM_PER_M, degrees.reshape(len(root), -1)], 1)
    return Bvh(tuple(node_names), tuple(parents), np.array(offsets), tuple(channels), motion, 1.0 / fps)
