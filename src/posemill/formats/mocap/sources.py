"""The skeletons that captures come with, as data.

All of them are conversions of the CMU Graphics Lab Motion Capture Database (mocap.cs.cmu.edu), which is free for all
uses. Its own form is ASF/AMC. In the conversions to BVH that others made ("MotionBuilder-friendly", "3ds
Max-friendly") each bone became the offset of the node at its end, except for two: the thorax bone, whose end three
nodes share that got offset 0 (0.117 m on average), and the wrist bone, the distal third of the forearm (0.095 m). Both
are put back here. The "DAZ-friendly" conversion moved the motion to one generic body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from posemill.errors import InputError, expected
from posemill.formats.motion import MOTION_JOINTS

__all__ = ["SOURCES", "Foot", "Source", "recognise"]

_CMU_M = 0.0254 / 0.45
"""CMU's unit: ``:units length 0.45`` in its ASF files, of an inch."""
_CMU = (
    "The data used in this project was obtained from mocap.cs.cmu.edu. "
    "The database was created with funding from NSF EIA-0196217."
)


@dataclass(frozen=True)
class Foot:
    """Nodes of one leg and foot.

    Attributes
    ----------
    ankle, ball
        Nodes at the ends of the shank and of the metatarsus.
    toe
        End of the toes; None: the skeleton ends at the ball, and the toes are half as long again as the metatarsus, as
        in CMU's own skeletons.
    metatarsus, toes
        Nodes whose rotations carry the two parts of the foot.
    thigh, shank
        Nodes whose rest bones they are.
    """

    ankle: str
    ball: str
    toe: str | None
    metatarsus: str
    toes: str
    thigh: str
    shank: str


@dataclass(frozen=True)
class Source:
    """One kind of skeleton.

    Attributes
    ----------
    name
        How a motion file calls it.
    suffix
        ``.amc`` or ``.bvh``.
    metres_per_unit
        None: the file says it.
    joints
        For each of :data:`~posemill.formats.motion.MOTION_JOINTS`, nodes with weights that sum to 1.
    left, right
        The feet.
    splayed
        True: in the rest pose the sole is at right angles to the shank; False: it lies in the ground plane.
    rest_pose
        Whether the file begins with a rest pose, from which some jump, and some run over several frames, to the motion.
    fps
        Frame rate where the file says none.
    own_body
        Whether the bones are the subject's own.
    thorax
        Node whose children lack the thorax bone; the wrists lack the wrist bone then. Empty: nothing is lost.
    wrists
        Nodes whose offset is two thirds of the forearm.
    terms
        Acknowledgement that the data's owner asks for.
    """

    name: str
    suffix: str
    metres_per_unit: float | None
    joints: Mapping[str, Mapping[str, float]]
    left: Foot
    right: Foot
    splayed: bool = True
    rest_pose: bool = True
    fps: float | None = None
    own_body: bool = True
    thorax: str = ""
    wrists: tuple[str, ...] = ()
    terms: str = _CMU


def _joints(
    pelvis: tuple[str, str], middle: tuple[str, str], nose: str, head: str, *limbs: str
) -> dict[str, dict[str, float]]:
    """Joints that are nodes: hips' middle, spine and thorax, nose and head as ``a+b`` (mean) or ``2a-b``, limbs."""

    def recipe(text: str) -> dict[str, float]:
        if "+" in text:
            a, b = text.split("+")
            return {a: 0.5, b: 0.5}
        if text.startswith("2"):
            a, b = text[1:].split("-")
            return {a: 2.0, b: -1.0}
        return {text: 1.0}

    right_leg, left_leg, left_arm, right_arm = limbs[:3], limbs[3:6], limbs[6:9], limbs[9:]
    texts = ("+".join(pelvis), *right_leg, *left_leg, *middle, nose, head, *left_arm, *right_arm)
    return dict(zip(MOTION_JOINTS, map(recipe, texts), strict=True))


SOURCES: tuple[Source, ...] = (
    Source(
        "CMU ASF/AMC",
        ".amc",
        None,
        # A bone's end is the joint. The nose has no bone; it lies on the neck's axis here, 5 to 8 cm behind a real one.
        _joints(
            ("lhipjoint", "rhipjoint"),
            ("lowerback", "thorax"),
            "lowerneck+upperneck",
            "head",
            *("rhipjoint", "rfemur", "rtibia", "lhipjoint", "lfemur", "ltibia"),
            *("lclavicle", "lhumerus", "lwrist", "rclavicle", "rhumerus", "rwrist"),
        ),
        Foot("ltibia", "lfoot", "ltoes", "lfoot", "ltoes", "lfemur", "ltibia"),
        Foot("rtibia", "rfoot", "rtoes", "rfoot", "rtoes", "rfemur", "rtibia"),
        rest_pose=False,
        fps=120.0,
    ),
    Source(
        "CMU BVH, MotionBuilder names",
        ".bvh",
        _CMU_M,
        _joints(
            ("LeftUpLeg", "RightUpLeg"),
            ("Spine", "Neck"),
            "Neck1+Head",
            "Head_end",
            *("RightUpLeg", "RightLeg", "RightFoot", "LeftUpLeg", "LeftLeg", "LeftFoot"),
            *("LeftArm", "LeftForeArm", "LeftHand", "RightArm", "RightForeArm", "RightHand"),
        ),
        Foot("LeftFoot", "LeftToeBase", "LeftToeBase_end", "LeftFoot", "LeftToeBase", "LeftLeg", "LeftFoot"),
        Foot("RightFoot", "RightToeBase", "RightToeBase_end", "RightFoot", "RightToeBase", "RightLeg", "RightFoot"),
        thorax="Spine1",
        wrists=("LeftHand", "RightHand"),
    ),
    Source(
        "CMU BVH, 3ds Max names",
        ".bvh",
        _CMU_M,
        _joints(
            ("LeftHip", "RightHip"),
            ("Chest", "lowerneck"),
            "Neck+Head",
            "Head_end",
            *("RightHip", "RightKnee", "RightAnkle", "LeftHip", "LeftKnee", "LeftAnkle"),
            *("LeftShoulder", "LeftElbow", "LeftWrist", "RightShoulder", "RightElbow", "RightWrist"),
        ),
        Foot("LeftAnkle", "LeftToe", "LeftToe_end", "LeftAnkle", "LeftToe", "LeftKnee", "LeftAnkle"),
        Foot("RightAnkle", "RightToe", "RightToe_end", "RightAnkle", "RightToe", "RightKnee", "RightAnkle"),
        thorax="Chest2",
        wrists=("LeftWrist", "RightWrist"),
    ),
    Source(
        "CMU BVH, DAZ names",
        ".bvh",
        0.01,
        _joints(
            ("lThigh", "rThigh"),
            ("chest", "lShldr+rShldr"),
            "leftEye+rightEye",
            "2head-neck",
            *("rThigh", "rShin", "rFoot", "lThigh", "lShin", "lFoot"),
            *("lShldr", "lForeArm", "lHand", "rShldr", "rForeArm", "rHand"),
        ),
        Foot("lFoot", "lFoot_end", None, "lFoot", "lFoot", "lShin", "lFoot"),
        Foot("rFoot", "rFoot_end", None, "rFoot", "rFoot", "rShin", "rFoot"),
        splayed=False,
        own_body=False,
    ),
)

_NEEDS = {
    source.name: {node for recipe in source.joints.values() for node in recipe}
    | {node for foot in (source.left, source.right) for node in (foot.ball, foot.toe) if node}
    for source in SOURCES
}


def recognise(suffix: str, nodes: tuple[str, ...], where: object) -> Source:
    """The source of a file by its node names.

    Raises
    ------
    InputError
        None has all its nodes in the file: says what was found.
    """
    for source in SOURCES:
        if source.suffix == suffix and _NEEDS[source.name] <= set(nodes):
            return source
    want = " or ".join(source.name for source in SOURCES if source.suffix == suffix)
    found = ", ".join(nodes[:8]) + (f" and {len(nodes) - 8} more" if len(nodes) > 8 else "")
    raise InputError(expected("skeleton", want, f"joints {found}", where=where))
