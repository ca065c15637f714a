"""What a detector is.

A detector is a module named by an entry point of the group ``posemill.detectors``, with

``NAME``
    The name that users write.
``Options``
    A pydantic model with ``extra="forbid"``; its fields are the detector's options.
``CARD``
    A :class:`DetectorCard`.
``create(options, *, temporal)``
    Returns a :class:`Detector`, used as a context manager. ``temporal`` is False for stills: nothing may then be
    carried from one picture to the next. If the card says ``needs_truth`` it also gets ``truth``, a :class:`Truth`.

It may also have ``weights(options)``, ``missing(path)``, ``convert(checkpoint, options)`` and ``card(options)``, which
mean what they mean to lifters (:mod:`posemill.lifters.protocol`); the card of a weights file names it as ``detector``.
``to_torch7(tensors, card, where)`` makes of weights what ``posemill convert`` writes as .t7.

Heavy libraries are imported inside ``create``, so that looking a detector up stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Times

__all__ = ["BatchDetector", "Detection", "Detector", "DetectorCard", "Truth", "bounds"]


@dataclass(frozen=True, slots=True)
class Detection:
    """One person in one picture.

    Attributes
    ----------
    keypoints
        (J, 2) px; the centre of the top-left pixel is (0, 0).
    score
        (J,), 0 to 1, higher is better.
    sigma
        (J,) px, standard deviation of each of a keypoint's two coordinates.
    bbox
        (4,) px: left, top, right, bottom.
    valid
        (J,); False where the detector cannot know, for instance outside the picture.
    person
        Number by which a detector that follows people knows this one in all frames; None where it does not, and the
        detect stage goes by how boxes move.
    contested
        (J,); True where it is clear that there is a left or right joint, and not which; None: nowhere.
    """

    keypoints: Points2
    score: PerJoint
    sigma: PerJoint
    bbox: np.ndarray
    valid: Flags
    person: int | None = None
    contested: Flags | None = None


def bounds(keypoints: Points2, valid: Flags) -> np.ndarray:
    """Box (4,) px, left, top, right, bottom, of the valid ones of keypoints (J, 2); there must be one."""
    inside = keypoints[valid]
    return np.concatenate([inside.min(0), inside.max(0)])


@dataclass(frozen=True)
class DetectorCard:
    """What a user should know before using a detector.

    Attributes
    ----------
    joint_set
        Name of the joint set of its keypoints.
    people
        Most people that it finds in a picture.
    weights
        Where its weights come from, in words.
    licences
        Terms of ``code``, ``weights`` and ``data``.
    libraries
        Distributions whose versions decide its results.
    reference
        The paper.
    notes
        What else a user should know, a line each.
    needs_truth
        It looks at the truth instead of the picture: for evaluation only, and on clips that have one.
    profile
        Of its errors, which says where in the body its joints are: the name of a shipped one, or the path of a .json
        that ``posemill noise fit`` wrote; "" where nobody has fitted one.
    """

    joint_set: str
    people: int
    weights: str
    licences: Mapping[str, str]
    libraries: tuple[str, ...]
    reference: str = ""
    notes: tuple[str, ...] = field(default=())
    needs_truth: bool = False
    profile: str = ""


@dataclass(frozen=True, slots=True)
class Truth:
    """Where a clip's person really is in the image.

    Attributes
    ----------
    clip
        Name that tells the clip from all others, ``subject/clip``.
    time
        (T,) seconds from the first frame, increasing.
    keypoints
        (T, J, 2) px, exact projections, distortion included.
    visible
        (T, J); False where something hides the joint, or it is outside the picture.
    joint_set
        Name of the joint set.
    person_height_px
        (T,) height in the image of the person standing upright where the pelvis is.
    """

    clip: str
    time: Times
    keypoints: Points2
    visible: Flags
    joint_set: str
    person_height_px: np.ndarray


class Detector(Protocol):
    """A detector at work on one clip."""

    joint_set: str
    device: str

    def detect(self, rgb: np.ndarray, time_s: float) -> list[Detection]:
        """Find people in one (H, W, 3) uint8 picture, the most prominent first."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


@runtime_checkable
class BatchDetector(Detector, Protocol):
    """A detector that may be given several consecutive frames at once, decoded while it was busy with those before."""

    batch: int

    def detect_many(self, frames: Sequence[tuple[np.ndarray, float]]) -> list[list[Detection]]:
        """Find people in up to ``batch`` consecutive pictures, each with its time in s."""
        ...
