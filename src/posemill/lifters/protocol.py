"""What a lifter is: the contract between the lift stage and a method, ours or another package's.

A method is a module with

``NAME``
    The name of its entry point in the group ``posemill.lifters``.
``Options``
    A pydantic model with ``extra="forbid"``: what may stand under ``lifters: {NAME: ...}`` in the configuration.
``CARD``
    A :class:`LifterCard`.
``weights(options) -> Path | None``
    The weights file that it would use (whether or not it is there); cheap, imports nothing heavy. May be left out by
    a method without weights. A file that comes with the method has a page beside it (``mine.md`` beside
    ``mine.safetensors``) that states its SHA-256; then ``posemill list`` calls it shipped.
``missing(path) -> str``
    May be left out: the one line for a user whose weights are not at ``path``.
``convert(checkpoint, options) -> (tensors, card)``
    May be left out: brings a published file, as :mod:`posemill.formats.checkpoints` reads it, to the names and the card
    that ``create`` reads; ``posemill convert`` writes them. What the file does not say of itself (statistics, joints,
    whether it is causal) it takes from ``options`` into tensors and card, so that what is written needs no option.
``card(options) -> LifterCard``
    The card of the weights that the options choose, where they decide what the method reads or how far it looks. May
    be left out: then ``CARD``, which otherwise is that of the defaults.
``create(options) -> Lifter``
    The method, ready to run; raises MissingError with the way out where its weights are missing.

Importing the module stays cheap: torch and the like are imported inside ``create``. The whole of a lifter that puts
every joint on a plane at the root's depth::

    NAME = "flat"
    CARD = LifterCard(joint_set_in="h36m17", channels=("x", "y"), normaliser="none", ray_blind=True)

    class Options(BaseModel, extra="forbid"):
        body_height_m: float = 1.7

    def create(options):
        return Flat(options)

    class Flat:
        def __init__(self, options):
            self.options, self.device = options, "cpu"

        def lift(self, clip):
            ...
            return LiftOutput(joints_relative, sigma, valid)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Points3, Times, Vector3
from posemill.camera import Camera
from posemill.errors import PosemillError, expected

__all__ = ["OWN_TERMS", "LiftInput", "LiftOutput", "Lifter", "LifterCard", "check_output"]

OWN_TERMS = {
    "code": "Apache-2.0",
    "weights": "Apache-2.0",
    "data": "CMU motion capture: free for all uses; acknowledge mocap.cs.cmu.edu (NSF EIA-0196217)",
}
"""Licences of a method of ours with weights of ours."""


@dataclass(frozen=True)
class LifterCard:
    """What a user and the workflow need to know of a lifter without running it.

    Attributes
    ----------
    joint_set_in, joint_set_out
        Names from :mod:`posemill.skeleton`. The lift stage converts a detector's joints to the former.
    optional_in
        Joints of ``joint_set_in`` that a detector need not have; they come as never valid.
    channels
        What it reads per joint, e.g. ``("x", "y", "present")``.
    normaliser
        How pixels become its input, in words.
    output_unit
        ``m``, or the lifter's own unit in words; place brings either to metres.
    window, receptive_field
        Rule for clips of any length, in words, and how many frames one answer looks at.
    needs_camera
        Whether intrinsics change its answer.
    ray_blind
        True: it answers as if the person were on the optical axis, and place rotates the pose to the person's ray.
    licences
        Terms of ``code``, ``weights`` and ``data``.
    libraries
        Distributions that compute in it (their versions are part of the fingerprint).
    """

    joint_set_in: str
    joint_set_out: str = "h36m17"
    optional_in: tuple[str, ...] = ()
    channels: tuple[str, ...] = ("x", "y")
    normaliser: str = ""
    output_unit: str = "m"
    window: str = "one frame"
    receptive_field: int = 1
    needs_camera: bool = False
    ray_blind: bool = False
    licences: Mapping[str, str] = field(default_factory=dict)
    libraries: tuple[str, ...] = ("numpy",)


@dataclass(frozen=True)
class LiftInput:
    """One track of one clip, in the card's ``joint_set_in``.

    Attributes
    ----------
    keypoints
        (T, J, 2) px of the upright picture, NaN where not valid.
    score, sigma
        (T, J) the detector's score, and its standard deviation in px (NaN where not valid).
    valid
        (T, J) bool.
    time
        (T,) seconds, increasing.
    camera
        With the picture's intrinsics and distortion; ``intrinsics_source`` says how well they are known. Its place is
        there where a calibration has it: world z is up.
    temporal
        False: neighbouring frames have nothing to do with each other.
    detector
        Name of the 2D source, whose idea of where a joint is may be known; "" if nobody says.
    """

    keypoints: Points2
    score: PerJoint
    sigma: PerJoint
    valid: Flags
    time: Times
    camera: Camera
    temporal: bool = True
    detector: str = ""


@dataclass(frozen=True)
class LiftOutput:
    """Poses of the same T frames.

    Attributes
    ----------
    joints_relative
        (T, J, 3) in the card's unit, camera axes (x right, y down, z forward), pelvis at 0; NaN where not valid. J are
        the joints of the card's ``joint_set_out``, which has those of h36m17.
    sigma
        (T, J, 3) standard deviation along each axis, in the same unit, or (T, J) the same for all three; NaN where not
        valid.
    valid
        (T, J) bool.
    root, root_sigma
        (T, 3) m: where the pelvis is in the camera frame, and its standard deviation per axis, of lifters that answer
        that too; rows of NaN where unknown. Place fuses it by sigma with the root that it solves from the keypoints.
    root_free
        ``root`` is known but for one vector for the whole clip: it is a path, whose place is another's to find.
    """

    joints_relative: Points3
    sigma: PerJoint | Points3
    valid: Flags
    root: Vector3 | None = None
    root_sigma: Vector3 | None = None
    root_free: bool = False

    @property
    def sigma_axes(self) -> Points3:
        """(T, J, 3) standard deviation along each axis."""
        sigma = self.sigma if self.sigma.ndim == 3 else self.sigma[..., None]
        return np.broadcast_to(sigma, self.joints_relative.shape)

    def only(self, joints: np.ndarray) -> LiftOutput:
        """Return the answer for some joints, by number."""
        relative, sigma, valid = (part[:, joints] for part in (self.joints_relative, self.sigma, self.valid))
        return replace(self, joints_relative=relative, sigma=sigma, valid=valid)


@runtime_checkable
class Lifter(Protocol):
    """A method that is ready to run; ``device`` is where it computes, e.g. ``cpu``."""

    device: str

    def lift(self, clip: LiftInput) -> LiftOutput:
        """Lift one track; any length from one frame on."""
        ...


def check_output(output: LiftOutput, frames: int, joints: int, name: str) -> LiftOutput:
    """Hold a lifter, also a stranger's, to the contract: shapes, and numbers exactly where valid.

    Raises
    ------
    PosemillError
        With the lifter's name: what was expected and what it gave.
    """
    shapes = {"joints_relative": (frames, joints, 3), "sigma": (frames, joints), "valid": (frames, joints)}
    for part, shape in shapes.items():
        got = np.shape(getattr(output, part))
        if got != shape and not (part == "sigma" and got == (*shape, 3)):
            raise PosemillError(expected(f"lifter {name}: {part}", shape, got))
    sigma = output.sigma_axes
    finite = np.isfinite(output.joints_relative).all(-1) & np.isfinite(sigma).all(-1)
    wrong = int((finite != output.valid).sum())
    gaps = ~output.valid
    if wrong or np.isfinite(output.joints_relative[gaps]).any() or np.isfinite(sigma[gaps]).any():
        raise PosemillError(
            f"lifter {name}: expected numbers where valid and NaN elsewhere, got {wrong} joints otherwise"
        )
    if output.root is not None or output.root_sigma is not None:
        _check_root(output, frames, name)
    return output


def _check_root(output: LiftOutput, frames: int, name: str) -> None:
    known = []
    for part in ("root", "root_sigma"):
        value = getattr(output, part)
        if value is None or np.shape(value) != (frames, 3):
            raise PosemillError(
                expected(f"lifter {name}: {part}", (frames, 3), np.shape(value) if value is not None else None)
            )
        known.append(np.isfinite(value))
    whole = known[0].all(-1)
    if any((k != whole[:, None]).any() for k in known):
        raise PosemillError(f"lifter {name}: root and root_sigma: expected three numbers or none in a frame")
