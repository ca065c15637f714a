"""Joint sets by name, and linear converters between them.

A joint set is an ordered tuple of joint names from one shared vocabulary, a tree over it, and its left/right pairs.
Because the names are shared, a converter is a (J_out, J_in) matrix: each target joint is its namesake, else a fixed
weighted mean of source joints, else unknown. Linear means that 2D and 3D use the same converter, that a projection
error is never hidden in a heuristic, and that sigma goes through exactly.

Sources: Human3.6M (raw 32 and the usual 17 of it), COCO, MPII, OpenPose COCO-18 and BODY_25, Halpe-26, BlazePose
(MediaPipe), MPI-INF-3DHP (28 of the training set, 17 of the test set).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from posemill.arrays import Flags, PerJoint
from posemill.errors import InputError
from posemill.geometry import unit

__all__ = [
    "JOINT_SETS",
    "LIMBS",
    "TORSO",
    "JointSet",
    "bone_lengths",
    "convert",
    "converter",
    "joint_set",
    "normalise_pose",
]


@dataclass(frozen=True)
class JointSet:
    """An ordered set of named joints.

    Attributes
    ----------
    name
        How artifacts and cards call it.
    joints
        Joint names in order; left and right are the subject's own.
    parents
        Index of each joint's parent, -1 at a root. For detector sets the tree is for drawing only.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Position of a joint; raises InputError with the names that exist."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise InputError(f"{self.name} has no joint {joint!r}; it has {', '.join(self.joints)}") from None

    def indices(self, joints: tuple[str, ...]) -> np.ndarray:
        """Positions of several joints, shape (len(joints),)."""
        return np.array([self.index(joint) for joint in joints])

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) index pairs."""
        return tuple((parent, child) for child, parent in enumerate(self.parents) if parent >= 0)

    @property
    def flip_pairs(self) -> tuple[tuple[int, int], ...]:
        """(left, right) index pairs."""
        return tuple(
            (i, self.joints.index("right" + name[4:])) for i, name in enumerate(self.joints) if name.startswith("left")
        )

    @property
    def flip_permutation(self) -> np.ndarray:
        """Order that swaps left and right: ``mirrored = points[..., flip_permutation, :]``."""
        order = np.arange(len(self))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return order


def _tree(name: str, text: str) -> JointSet:
    """Parse ``joint<parent`` words in order; a word without ``<`` is a root."""
    joints, parents = [], []
    for word in text.split():
        joint, _, parent = word.partition("<")
        joints.append(joint)
        parents.append(parent)
    index = {joint: i for i, joint in enumerate(joints)}
    return JointSet(name, tuple(joints), tuple(index[p] if p else -1 for p in parents))


_H36M17 = """pelvis right_hip<pelvis right_knee<right_hip right_ankle<right_knee
    left_hip<pelvis left_knee<left_hip left_ankle<left_knee
    spine<pelvis thorax<spine neck_nose<thorax head_top<neck_nose
    left_shoulder<thorax left_elbow<left_shoulder left_wrist<left_elbow
    right_shoulder<thorax right_elbow<right_shoulder right_wrist<right_elbow"""

_FACE_AND_LIMBS = """nose left_eye<nose right_eye<nose left_ear<left_eye right_ear<right_eye
    left_shoulder<nose right_shoulder<nose left_elbow<left_shoulder right_elbow<right_shoulder
    left_wrist<left_elbow right_wrist<right_elbow left_hip<left_shoulder right_hip<right_shoulder
    left_knee<left_hip right_knee<right_hip left_ankle<left_knee right_ankle<right_knee"""

_LIMBS12 = """right_hip right_knee<right_hip right_ankle<right_knee left_hip<right_hip left_knee<left_hip
    left_ankle<left_knee left_shoulder<left_hip left_elbow<left_shoulder left_wrist<left_elbow
    right_shoulder<right_hip right_elbow<right_shoulder right_wrist<right_elbow"""

JOINT_SETS: dict[str, JointSet] = {
    s.name: s
    for s in (
        _tree("h36m17", _H36M17),
        _tree("h36m16", _H36M17.replace("neck_nose<thorax head_top<neck_nose", "head_top<thorax")),
        _tree(
            "h36m32",
            """pelvis right_hip<pelvis right_knee<right_hip right_ankle<right_knee right_toe_base<right_ankle
            right_toe_site<right_toe_base left_hip<pelvis left_knee<left_hip left_ankle<left_knee
            left_toe_base<left_ankle left_toe_site<left_toe_base spine_base<pelvis spine<spine_base thorax<spine
            neck_nose<thorax head_top<neck_nose left_clavicle<spine left_shoulder<left_clavicle
            left_elbow<left_shoulder left_wrist<left_elbow left_wrist_end<left_wrist left_thumb<left_wrist_end
            left_hand<left_wrist left_hand_end<left_hand right_clavicle<spine right_shoulder<right_clavicle
            right_elbow<right_shoulder right_wrist<right_elbow right_wrist_end<right_wrist
            right_thumb<right_wrist_end right_hand<right_wrist right_hand_end<right_hand""",
        ),
        _tree("coco17", _FACE_AND_LIMBS),
        _tree(
            "mpii16",
            """right_ankle<right_knee right_knee<right_hip right_hip<pelvis left_hip<pelvis left_knee<left_hip
            left_ankle<left_knee pelvis thorax<pelvis upper_neck<thorax head_top<upper_neck right_wrist<right_elbow
            right_elbow<right_shoulder right_shoulder<thorax left_shoulder<thorax left_elbow<left_shoulder
            left_wrist<left_elbow""",
        ),
        _tree(
            "openpose18",
            """nose<neck neck right_shoulder<neck right_elbow<right_shoulder right_wrist<right_elbow
            left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow right_hip<neck right_knee<right_hip
            right_ankle<right_knee left_hip<neck left_knee<left_hip left_ankle<left_knee right_eye<nose left_eye<nose
            right_ear<right_eye left_ear<left_eye""",
        ),
        _tree(
            "openpose25",
            """nose<neck neck<pelvis right_shoulder<neck right_elbow<right_shoulder right_wrist<right_elbow
            left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow pelvis right_hip<pelvis
            right_knee<right_hip right_ankle<right_knee left_hip<pelvis left_knee<left_hip left_ankle<left_knee
            right_eye<nose left_eye<nose right_ear<right_eye left_ear<left_eye left_big_toe<left_ankle
            left_small_toe<left_big_toe left_heel<left_ankle right_big_toe<right_ankle
            right_small_toe<right_big_toe right_heel<right_ankle""",
        ),
        _tree(
            "halpe26",
            _FACE_AND_LIMBS
            + """ head_top<neck neck<pelvis pelvis left_big_toe<left_ankle right_big_toe<right_ankle
            left_small_toe<left_big_toe right_small_toe<right_big_toe left_heel<left_ankle right_heel<right_ankle""",
        ),
        _tree(
            "blazepose33",
            """nose left_eye_inner<nose left_eye<left_eye_inner left_eye_outer<left_eye right_eye_inner<nose
            right_eye<right_eye_inner right_eye_outer<right_eye left_ear<left_eye_outer right_ear<right_eye_outer
            left_mouth<nose right_mouth<nose left_shoulder<nose right_shoulder<nose left_elbow<left_shoulder
            right_elbow<right_shoulder left_wrist<left_elbow right_wrist<right_elbow left_pinky<left_wrist
            right_pinky<right_wrist left_index<left_wrist right_index<right_wrist left_thumb<left_wrist
            right_thumb<right_wrist left_hip<left_shoulder right_hip<right_shoulder left_knee<left_hip
            right_knee<right_hip left_ankle<left_knee right_ankle<right_knee left_heel<left_ankle
            right_heel<right_ankle left_big_toe<left_ankle right_big_toe<right_ankle""",
        ),
        _tree(
            "mpi_inf_3dhp28",
            """spine_upper<spine thorax_lower<spine_upper spine_lower<pelvis spine<spine_lower pelvis neck<thorax_lower
            head<neck head_top<head left_clavicle<neck left_shoulder<left_clavicle left_elbow<left_shoulder
            left_wrist<left_elbow left_hand<left_wrist right_clavicle<neck right_shoulder<right_clavicle
            right_elbow<right_shoulder right_wrist<right_elbow right_hand<right_wrist left_hip<pelvis
            left_knee<left_hip left_ankle<left_knee left_foot<left_ankle left_toe<left_foot right_hip<pelvis
            right_knee<right_hip right_ankle<right_knee right_foot<right_ankle right_toe<right_foot""",
        ),
        _tree(
            "mpi_inf_3dhp17",
            """head_top<head neck<spine right_shoulder<neck right_elbow<right_shoulder right_wrist<right_elbow
            left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow right_hip<pelvis right_knee<right_hip
            right_ankle<right_knee left_hip<pelvis left_knee<left_hip left_ankle<left_knee pelvis spine<pelvis
            head<neck""",
        ),
        # What the twin's truth knows: h36m17, then face, feet and hands.
        _tree(
            "posemill28",
            _H36M17
            + """ nose<neck_nose left_eye<nose right_eye<nose left_ear<left_eye right_ear<right_eye
            left_heel<left_ankle right_heel<right_ankle left_big_toe<left_ankle right_big_toe<right_ankle
            left_hand<left_wrist right_hand<right_wrist""",
        ),
        # h36m17, and where the feet touch the ground.
        _tree(
            "posemill21",
            _H36M17
            + """ left_heel<left_ankle right_heel<right_ankle left_big_toe<left_ankle right_big_toe<right_ankle""",
        ),
        _tree(
            "limbs12",
            _LIMBS12,
        ),
        # What posemill's own lifter can see of a body; not every detector has the feet.
        _tree(
            "limbs16",
            _LIMBS12
            + """ left_heel<left_ankle right_heel<right_ankle left_big_toe<left_ankle right_big_toe<right_ankle""",
        ),
    )
}

LIMBS: tuple[str, ...] = JOINT_SETS["limbs12"].joints
"""The twelve joints that every detector and every truth shares and defines alike."""

TORSO: tuple[str, ...] = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
"""The corners of the trunk: what of a body is large in a picture and moves least."""

_SHOULDERS = {"left_shoulder": 0.5, "right_shoulder": 0.5}
_HIPS = {"left_hip": 0.5, "right_hip": 0.5}
# What a joint may be made of where its own name is missing, best first. Signed weights extrapolate (sum is 1).
_RECIPES: dict[str, tuple[Mapping[str, float], ...]] = {
    "pelvis": (_HIPS,),
    "thorax": ({"neck": 1.0}, _SHOULDERS),
    "neck": ({"thorax": 1.0}, _SHOULDERS),
    "spine": ({"left_hip": 0.25, "right_hip": 0.25, "left_shoulder": 0.25, "right_shoulder": 0.25},),
    "neck_nose": ({"nose": 1.0}, {"upper_neck": 1.0}, {"head": 1.0}),
    "upper_neck": ({"neck_nose": 1.0}, {"head": 1.0}),
    "head_top": (
        {"nose": 1.6, "left_shoulder": -0.3, "right_shoulder": -0.3},
        {"neck_nose": 1.6, "thorax": -0.6},
    ),
    "head": ({"neck_nose": 1.0}, {"nose": 1.0}, {"upper_neck": 1.0}),
}
# Pairs for which the field agreed on something else than the recipes.
_OVERRIDES: dict[tuple[str, str], dict[str, Mapping[str, float]]] = {
    ("halpe26", "h36m17"): {"spine": {"neck": 0.5, "pelvis": 0.5}},
    ("h36m17", "coco17"): {"nose": {"neck_nose": 1.0}},
    ("h36m17", "openpose18"): {"nose": {"neck_nose": 1.0}},
    ("openpose18", "h36m17"): {
        "thorax": _SHOULDERS,
        "head_top": {"nose": 2.0, "left_shoulder": -0.5, "right_shoulder": -0.5},
    },
}


def joint_set(name: str) -> JointSet:
    """Look a joint set up by name; raises InputError with the names that exist."""
    try:
        return JOINT_SETS[name]
    except KeyError:
        raise InputError(f"unknown joint set {name!r}; known: {', '.join(sorted(JOINT_SETS))}") from None


@cache
def converter(source: str, target: str) -> np.ndarray:
    """Matrix (J_target, J_source) that converts joints of ``source`` to ``target``.

    Every row sums to 1; the row of a joint that cannot be had is NaN.

    >>> bool(converter("coco17", "h36m17")[0].sum() == 1.0)
    True
    """
    src, dst = joint_set(source), joint_set(target)
    matrix = np.full((len(dst), len(src)), np.nan)
    overrides = _OVERRIDES.get((source, target), {})
    for row, joint in enumerate(dst.joints):
        options = (overrides[joint],) if joint in overrides else ({joint: 1.0}, *_RECIPES.get(joint, ()))
        for recipe in options:
            if all(name in src.joints for name in recipe):
                matrix[row] = 0.0
                for name, weight in recipe.items():
                    matrix[row, src.index(name)] = weight
                break
    matrix.setflags(write=False)
    return matrix


def convert(
    points: np.ndarray,
    source: str,
    target: str,
    *,
    valid: Flags | None = None,
    score: PerJoint | None = None,
    sigma: PerJoint | None = None,
) -> tuple[np.ndarray, Flags, PerJoint, PerJoint]:
    """Convert points from one joint set to another.

    Parameters
    ----------
    points
        (..., J_source, D), any unit and frame; NaN where unknown.
    valid, score, sigma
        (..., J_source); default: finite points, 1 and NaN. Sigma has the unit of ``points``.

    Returns
    -------
    points, valid, score, sigma
        Of the target set. A joint is valid if all that it is made of is; its score is the smallest, its sigma
        the root of the weighted sum of squares (sources taken as independent).
    """
    matrix = converter(source, target)
    missing = np.isnan(matrix).any(axis=1)
    weights = np.where(missing[:, None], 0.0, matrix)
    used = weights != 0
    flags = np.isfinite(points).all(-1) if valid is None else valid
    scores = np.ones(points.shape[:-1]) if score is None else score
    sigmas = np.full(points.shape[:-1], np.nan) if sigma is None else sigma
    valid_out = ~((~flags[..., None, :]) & used).any(-1) & ~missing
    clean = np.where(flags[..., None], points, 0.0)
    points_out = np.einsum("oi,...id->...od", weights, clean)
    points_out = np.where(valid_out[..., None], points_out, np.nan)
    score_out = np.where(valid_out, np.min(np.where(used, scores[..., None, :], np.inf), axis=-1), 0.0)
    # Only the sigmas that enter a joint may make its own unknown (0 * NaN is NaN).
    known = np.isfinite(sigmas)
    sigma_out = np.sqrt(np.einsum("oi,...i->...o", weights**2, np.where(known, sigmas, 0.0) ** 2))
    sigma_known = ~((~known[..., None, :]) & used).any(-1)
    sigma_out = np.where(valid_out & sigma_known, sigma_out, np.nan)
    return points_out, valid_out, score_out, sigma_out


def bone_lengths(joints: np.ndarray, joints_of: str = "h36m17") -> np.ndarray:
    """Distance from parent to child of each bone: (..., J, D) to (..., B), NaN where an end is unknown."""
    parent, child = np.array(joint_set(joints_of).bones).T
    return np.linalg.norm(joints[..., child, :] - joints[..., parent, :], axis=-1)


def normalise_pose(joints: np.ndarray, lengths: np.ndarray, joints_of: str = "h36m17") -> np.ndarray:
    """Give a pose the bone lengths of its person; every bone keeps its direction.

    Joints are set from the root outwards: ``child = parent + length * unit(observed child - observed parent)``.

    Parameters
    ----------
    joints
        (..., J, 3), any unit and frame; NaN where unknown.
    lengths
        (..., B) in the unit wanted, in the order of :attr:`JointSet.bones`.

    Returns
    -------
    (..., J, 3). The root stays where it is. A joint is NaN where it, or a joint between it and the root, is unknown.
    """
    out = np.array(joints, dtype=np.float64)
    bones = joint_set(joints_of).bones
    if any(parent > child for parent, child in bones):
        raise InputError(f"{joints_of}: expected parents before children, as in h36m17; its tree is for drawing only")
    for bone, (parent, child) in enumerate(bones):
        direction = unit(joints[..., child, :] - joints[..., parent, :])
        out[..., child, :] = out[..., parent, :] + lengths[..., bone, None] * direction
    return out
