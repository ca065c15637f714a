"""One made-up person as CMU's ASF/AMC and as its MotionBuilder-friendly BVH, which lost two bones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posemill.formats.bvh import ROOT_CHANNELS, ROTATIONS, Bvh, write_bvh

UNIT = 0.0254 / 0.45
# (bone, parent, rest vector in units, degrees of freedom); y up, facing +z, left is +x. Legs hang straight down.
BONES = (
    ("lhipjoint", "root", (1.8, -1.7, 0.0), ""),
    ("lfemur", "lhipjoint", (0, -7.2, 0), "rx"),
    ("ltibia", "lfemur", (0, -7.6, 0), "rx"),
    ("lfoot", "ltibia", (0, -0.5, 2.2), ""),
    ("ltoes", "lfoot", (0, 0, 1.1), ""),
    ("rhipjoint", "root", (-1.8, -1.7, 0.0), ""),
    ("rfemur", "rhipjoint", (0, -7.2, 0), "rx"),
    ("rtibia", "rfemur", (0, -7.6, 0), "rx"),
    ("rfoot", "rtibia", (0, -0.5, 2.2), ""),
    ("rtoes", "rfoot", (0, 0, 1.1), ""),
    ("lowerback", "root", (0, 2.0, 0), ""),
    ("upperback", "lowerback", (0, 2.0, 0), ""),
    ("thorax", "upperback", (0, 2.02, 0), "rx"),
    ("lowerneck", "thorax", (0, 1.6, 0), ""),
    ("upperneck", "lowerneck", (0, 1.6, 0), ""),
    ("head", "upperneck", (0, 1.6, 0), ""),
    ("lclavicle", "thorax", (3.0, 1.0, 0), ""),
    ("lhumerus", "lclavicle", (5.0, 0, 0), ""),
    ("lradius", "lhumerus", (3.4, 0, 0), ""),
    ("lwrist", "lradius", (1.7, 0, 0), ""),
    ("rclavicle", "thorax", (-3.0, 1.0, 0), ""),
    ("rhumerus", "rclavicle", (-5.0, 0, 0), ""),
    ("rradius", "rhumerus", (-3.4, 0, 0), ""),
    ("rwrist", "rradius", (-1.7, 0, 0), ""),
)
# BVH node and the ASF bone that ends there (its offset) and whose rotation the next bone is; None: the lost bone.
_NODES = (
    ("LHipJoint", "Hips", None),
    ("LeftUpLeg", "LHipJoint", "lhipjoint"),
    ("LeftLeg", "LeftUpLeg", "lfemur"),
    ("LeftFoot", "LeftLeg", "ltibia"),
    ("LeftToeBase", "LeftFoot", "lfoot"),
    ("LeftToeBase_end", "LeftToeBase", "ltoes"),
    ("RHipJoint", "Hips", None),
    ("RightUpLeg", "RHipJoint", "rhipjoint"),
    ("RightLeg", "RightUpLeg", "rfemur"),
    ("RightFoot", "RightLeg", "rtibia"),
    ("RightToeBase", "RightFoot", "rfoot"),
    ("RightToeBase_end", "RightToeBase", "rtoes"),
    ("LowerBack", "Hips", None),
    ("Spine", "LowerBack", "lowerback"),
    ("Spine1", "Spine", "upperback"),
    ("Neck", "Spine1", None),
    ("Neck1", "Neck", "lowerneck"),
    ("Head", "Neck1", "upperneck"),
    ("Head_end", "Head", "head"),
    ("LeftShoulder", "Spine1", None),
    ("LeftArm", "LeftShoulder", "lclavicle"),
    ("LeftForeArm", "LeftArm", "lhumerus"),
    ("LeftHand", "LeftForeArm", "lradius"),
    ("LeftHand_end", "LeftHand", "lwrist"),
    ("RightShoulder", "Spine1", None),
    ("RightArm", "RightShoulder", "rclavicle"),
    ("RightForeArm", "RightArm", "rhumerus"),
    ("RightHand", "RightForeArm", "rradius"),
    ("RightHand_end", "RightHand", "rwrist"),
)
_TURNS = {"thorax": "Spine1", "lfemur": "LeftUpLeg", "ltibia": "LeftLeg", "rfemur": "RightUpLeg", "rtibia": "RightLeg"}


def asf(path: Path, *, length: str = "0.45", drop: str = "", splay: float = 0.0) -> Path:
    """Write the skeleton; ``drop`` is left out of the hierarchy."""
    lines = [":version 1.10", ":units", f" length {length}", " angle deg", ":root", " order TX TY TZ RX RY RZ"]
    lines += [" axis XYZ", " position 0 0 0", " orientation 0 0 0", ":bonedata"]
    for name, _, vector, dof in BONES:
        size = float(np.linalg.norm(vector))
        direction = " ".join(f"{v / size:.12f}" for v in vector)
        lines += [" begin", f"  name {name}", f"  direction {direction}", f"  length {size:.12f}"]
        lines += ["  axis 0 0 0 XYZ", *([f"  dof {dof}"] if dof else []), " end"]
    lines += [":hierarchy", " begin"]
    for parent in dict.fromkeys(parent for _, parent, _, _ in BONES):
        lines.append(f"  {parent} " + " ".join(name for name, above, _, _ in BONES if above == parent and name != drop))
    path.write_text("\r\n".join([*lines, " end", ""]))
    return path


def amc(path: Path, roots: np.ndarray, turns: dict[str, np.ndarray] | None = None) -> Path:
    """Write a motion: root positions (T, 3) in units, and degrees (T,) about x for bones that turn."""
    lines = ["#!OML:ASF made up", ":FULLY-SPECIFIED", ":DEGREES"]
    for t, root in enumerate(roots):
        lines += [str(t + 1), "root " + " ".join(f"{v:.12f}" for v in root) + " 0 0 0"]
        lines += [f"{name} {(turns or {}).get(name, np.zeros(len(roots)))[t]:.12f}" for name, _, _, dof in BONES if dof]
    path.write_text("\n".join(lines) + "\n")
    return path


def bvh(path: Path, roots: np.ndarray, turns: dict[str, np.ndarray] | None = None, *, fps: float = 120.0) -> Path:
    """Write the same as BVH, with a T-pose at the origin as frame 0."""
    rest = {name: np.array(vector, float) for name, _, vector, _ in BONES}
    names, parents = ["Hips"], [-1]
    offsets, channels = [np.zeros(3)], [ROOT_CHANNELS]
    for name, parent, bone in _NODES:
        names.append(name)
        parents.append(names.index(parent))
        offsets.append(np.zeros(3) if bone is None else rest[bone])
        channels.append(() if name.endswith("_end") else ROTATIONS)
    motion = np.zeros((len(roots) + 1, sum(map(len, channels))))
    motion[1:, :3] = roots
    starts = np.cumsum([0, *map(len, channels)])
    for bone, degrees in (turns or {}).items():
        motion[1:, starts[names.index(_TURNS[bone])] + 1] = degrees
    write_bvh(path, Bvh(tuple(names), tuple(parents), np.array(offsets), tuple(channels), motion, 1 / fps))
    return path
