"""Which nodes of a BVH rig are joints of a body, and how long its unit is: neither is said by the format.

posemill's own rigs have the joints' names. Of others (Mixamo, MotionBuilder, Blender's Rigify, Poser, 3ds Max, Unreal)
the twelve limb joints are found by the names that these give to bones, which begin at the joint: ``LeftUpLeg``,
``mixamorig:LeftUpLeg``, ``thigh.L``, ``lThigh``, ``thigh_l`` all begin at the left hip. Roots, spines and heads lie
elsewhere in every rig and are left out; pelvis and thorax follow from hips and shoulders.
"""

from __future__ import annotations

import re

import numpy as np

from posemill.anthropometry import LEG_M, leg_length
from posemill.arrays import Points3
from posemill.errors import InputError, expected
from posemill.skeleton import LIMBS, joint_set

__all__ = ["joints_of_nodes", "metres_per_unit"]

_PARTS = {
    "hip": ("hip", "upleg", "upperleg", "thigh"),
    "knee": ("knee", "leg", "lowleg", "lowerleg", "shin", "calf"),
    "ankle": ("ankle", "foot"),
    # Where a rig has elbows by that name, its shoulders are joints; else they are collar bones.
    "shoulder": ("arm", "uparm", "upperarm", "shldr"),
    "elbow": ("elbow", "forearm", "lowarm", "lowerarm"),
    "wrist": ("wrist", "hand"),
}
_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
_UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}


def joints_of_nodes(names: tuple[str, ...], where: object) -> tuple[str, np.ndarray]:
    """Find a joint set among the nodes of a rig.

    Returns
    -------
    joint_set, index
        Name, and (J,) the node of each of its joints.

    Raises
    ------
    InputError
        The twelve limb joints are not all there.
    """
    for own in ("posemill21", "h36m17"):
        joints = joint_set(own).joints
        if set(joints) <= set(names):
            return own, np.array([names.index(joint) for joint in joints])
    sided = [_sided(name) for name in names]
    elbows = any(part == "elbow" for _, part in sided)
    found = {}
    for joint in LIMBS:
        side, kind = joint.split("_")
        wanted = (*_PARTS[kind], *(("shoulder",) if kind == "shoulder" and elbows else ()))
        node = next((sided.index((side, part)) for part in wanted if (side, part) in sided), None)
        if node is not None:
            found[joint] = node
    missing = [joint for joint in LIMBS if joint not in found]
    if missing:
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        do = "rename the nodes as Mixamo or as posemill does"
        raise InputError(expected("nodes for", ", ".join(missing), shown, where=where, do=do))
    return "limbs12", np.array([found[joint] for joint in LIMBS])


def metres_per_unit(joints: Points3, joints_of: str, where: object) -> float:
    """Metres in a unit of the file, of (T, J, 3) joints in it: the one of m, cm and mm in which legs are a person's.

    Raises
    ------
    InputError
        In none of them.
    """
    leg = leg_length(joints, joints_of)
    for metres in _UNITS.values():
        if LEG_M[0] <= leg * metres <= LEG_M[1]:
            return metres
    want = f"legs of {LEG_M[0]} to {LEG_M[1]} m in {', '.join(_UNITS)}"
    raise InputError(expected("length unit", want, f"{leg:.4g} units", where=where, do="scale the rig"))


def _sided(name: str) -> tuple[str, str]:
    """Side and bone of a node's name in small letters; an empty side where it says none."""
    bare = name.rsplit(":", 1)[-1]
    # lThigh, thigh.L, thigh_l, L_Thigh, Bip01 L Thigh, LeftUpLeg
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", bare)]
    sides = [word for word in words if word in _SIDES]
    if len(sides) != 1:
        return "", bare.lower()
    rest = "".join(word for word in words if word not in _SIDES and not re.fullmatch(r"mixamorig\d*|bip|\d+", word))
    return _SIDES[sides[0]], rest
