"""The twin's skeleton: bones of a person of a given stature, forward kinematics, and the joints of ``posemill28``.

Frames
------
Every bone's frame has x forward, y to the body's left, z up, metres, at its own origin. In the *zero pose* all bone
frames are parallel: the person stands upright with straight legs, hanging arms and palms facing the thighs. A pose is
one world rotation per bone and the world position of the pelvis.

Proportions
-----------
Segment lengths are fractions of the barefoot stature after Drillis & Contini: ankle 0.039, knee 0.285, hip 0.530, chin
0.870, foot length 0.152, forearm 0.146, hand 0.108. Where that table measures surfaces instead of joint centres the
centre is used: glenohumeral centres at 0.803 (below the acromion's 0.818) and 0.210 apart, hip centres 0.115 apart.
Elbow (0.632) and wrist (0.486) heights are the table's.
Shoes add ``SOLE_M`` below the bare foot, so that the head top of the standing twin is at ``height_m + SOLE_M``.

References
----------
Drillis, R. & Contini, R. (1966), Body segment parameters; table in Winter, D. A. (2009), Biomechanics and motor control
of human movement, ch. 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from posemill.arrays import Matrix3, Points3, Vector3
from posemill.errors import InputError
from posemill.skeleton import JOINT_SETS

__all__ = ["BONES", "JOINT_SET", "PARENTS", "SOLE_M", "Body", "Pose", "bone"]

JOINT_SET = "posemill28"
SOLE_M = 0.022
"""Thickness of the shoe's sole in metres."""
CONTACTS = ("left_heel", "left_toe", "right_heel", "right_toe")

_TREE = """pelvis spine<pelvis chest<spine neck<chest head<neck
    left_clavicle<chest left_upper_arm<left_clavicle left_forearm<left_upper_arm left_hand<left_forearm
    right_clavicle<chest right_upper_arm<right_clavicle right_forearm<right_upper_arm right_hand<right_forearm
    left_thigh<pelvis left_shank<left_thigh left_foot<left_shank left_toes<left_foot
    right_thigh<pelvis right_shank<right_thigh right_foot<right_shank right_toes<right_foot"""

BONES: tuple[str, ...] = tuple(word.partition("<")[0] for word in _TREE.split())
PARENTS: tuple[int, ...] = tuple(
    BONES.index(parent) if (parent := word.partition("<")[2]) else -1 for word in _TREE.split()
)

# Origin of each bone relative to its parent's in fractions of stature; left side, the right one mirrors y.
_OFFSETS: dict[str, tuple[float, float, float]] = {
    "spine": (-0.004, 0, 0.055),
    "chest": (0.0, 0, 0.090),
    "neck": (-0.008, 0, 0.150),
    "head": (0.009, 0, 0.072),
    "clavicle": (0.004, 0.012, 0.132),
    "upper_arm": (-0.006, 0.093, -0.004),
    "forearm": (0, 0, -0.171),
    "hand": (0, 0, -0.146),
    "thigh": (0, 0.0575, 0),
    "shank": (0, 0, -0.245),
    "foot": (0, 0, -0.246),
    "toes": (0.073, 0, -0.030),
}
# Joint of posemill28 -> (bone, offset in the bone's frame, fractions of stature). Left side, the right one mirrors y.
_LANDMARKS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "pelvis": ("pelvis", (0, 0, 0)),
    "spine": ("chest", (0, 0, 0)),
    "thorax": ("neck", (0, 0, 0)),
    "neck_nose": ("head", (0.022, 0, 0.003)),
    "head_top": ("head", (0.0, 0, 0.103)),
    "nose": ("head", (0.067, 0, 0.0235)),
    "hip": ("thigh", (0, 0, 0)),
    "knee": ("shank", (0, 0, 0)),
    "ankle": ("foot", (0, 0, 0)),
    "shoulder": ("upper_arm", (0, 0, 0)),
    "elbow": ("forearm", (0, 0, 0)),
    "wrist": ("hand", (0, 0, 0)),
    "eye": ("head", (0.0505, 0.0185, 0.040)),
    "ear": ("head", (0.000, 0.0435, 0.030)),
    "heel": ("foot", (-0.038, 0, -0.030)),
    "big_toe": ("toes", (0.041, -0.008, 0.001)),
    "hand": ("hand", (0, 0, -0.050)),
}
# Mean over adults; a mocap skeleton brings its own lengths.
_HIP_HEIGHT = 0.245 + 0.246 + 0.039


def bone(name: str) -> int:
    """Index of a bone in :data:`BONES`."""
    return BONES.index(name)


def _side(name: str) -> tuple[str, float]:
    """Name without its side, and the sign of y: +1 left or middle, -1 right."""
    if name.startswith("left_"):
        return name[5:], 1.0
    return (name[6:], -1.0) if name.startswith("right_") else (name, 1.0)


@dataclass(frozen=True)
class Pose:
    """The body's bones over time.

    Attributes
    ----------
    positions
        (T, B, 3) metres, world: the origin of each bone of :data:`BONES`.
    rotations
        (T, B, 3, 3): bone to world.
    contact
        (T, 4) bool in the order of ``CONTACTS``; see :mod:`posemill.twin.gait` for the definition.
    """

    positions: Points3
    rotations: np.ndarray
    contact: np.ndarray


@dataclass(frozen=True)
class Body:
    """Bone lengths and landmarks of one person.

    Attributes
    ----------
    height_m
        Stature: barefoot, floor to head top.
    offsets
        (B, 3) metres: origin of each bone in its parent's frame; zeros for the pelvis.
    landmarks
        (28, 3) metres: each joint of posemill28 in the frame of its bone.
    landmark_bones
        (28,) index into :data:`BONES`.
    """

    height_m: float
    offsets: np.ndarray = field(repr=False)
    landmarks: np.ndarray = field(repr=False)
    landmark_bones: np.ndarray = field(repr=False)

    @classmethod
    def of_height(cls, height_m: float) -> Body:
        """Mean adult proportions at a stature in metres.

        Raises
        ------
        InputError
            If the stature is not between 0.8 and 2.5 m.
        """
        if not 0.8 <= height_m <= 2.5:
            raise InputError(f"height_m: expected a stature between 0.8 and 2.5 metres, got {height_m}")
        offsets = np.zeros((len(BONES), 3))
        for i, name in enumerate(BONES[1:], start=1):
            base, sign = _side(name)
            offsets[i] = np.array(_OFFSETS[base]) * (1, sign, 1)
        landmarks, owners = [], []
        for joint in JOINT_SETS[JOINT_SET].joints:
            base, sign = _side(joint)
            owner, offset = _LANDMARKS[base]
            prefix = joint[: len(joint) - len(base)]
            owners.append(bone(prefix + owner if prefix + owner in BONES else owner))
            landmarks.append(np.array(offset) * (1, sign, 1))
        return cls(height_m, offsets * height_m, np.array(landmarks) * height_m, np.array(owners))

    @property
    def hip_height_m(self) -> float:
        """Height of the hip centres above the floor when standing in shoes."""
        return _HIP_HEIGHT * self.height_m + SOLE_M

    @property
    def ankle_height_m(self) -> float:
        """Height of the ankle centre above the floor in a flat shoe."""
        return 0.039 * self.height_m + SOLE_M

    def length(self, name: str) -> float:
        """Distance in metres from a bone's origin to its parent's."""
        return float(np.linalg.norm(self.offsets[bone(name)]))

    def with_offsets(self, lengths: dict[str, Vector3]) -> Body:
        """Return this body with other bone offsets (metres, parent's frame), by bone name."""
        offsets = self.offsets.copy()
        for name, offset in lengths.items():
            offsets[bone(name)] = offset
        return replace(self, offsets=offsets)

    def forward(self, root: Vector3, rotations: Matrix3) -> Points3:
        """Forward kinematics.

        Parameters
        ----------
        root
            (T, 3) metres, world position of the pelvis (midway between the hip centres).
        rotations
            (T, B, 3, 3) bone to world.

        Returns
        -------
        (T, B, 3) metres, world origin of each bone.
        """
        positions = np.empty((*rotations.shape[:-2], 3))
        positions[..., 0, :] = root
        for i, parent in enumerate(PARENTS[1:], start=1):
            positions[..., i, :] = positions[..., parent, :] + rotations[..., parent, :, :] @ self.offsets[i]
        return positions

    def joints(self, pose: Pose) -> Points3:
        """Return the joints of posemill28 in the world, (T, 28, 3) metres."""
        r = pose.rotations[..., self.landmark_bones, :, :]
        return pose.positions[..., self.landmark_bones, :] + np.einsum("...jab,jb->...ja", r, self.landmarks)
