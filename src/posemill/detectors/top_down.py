"""What detectors share that look at one person at a time: boxes, crops, batches, flip averaging, keypoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from posemill.anthropometry import stature_px
from posemill.arrays import PerJoint, Points2
from posemill.detectors.blend import blended
from posemill.detectors.heatmaps import Peaks, to_crop
from posemill.detectors.protocol import Detection, bounds
from posemill.errors import InputError, expected
from posemill.people.boxes import BoxOptions, BoxSource

if TYPE_CHECKING:
    from posemill.detectors.crops import Crop

__all__ = ["Sigma", "TopDown", "TopDownOptions", "says_parabola", "sigma_of"]


_MARGIN = 1.25


class TopDownOptions(BoxOptions):
    """Options of every top-down detector."""

    flip: Annotated[bool, Field(description="Average with the answer for the mirrored picture; twice the work.")] = True
    margin: Annotated[
        float | None,
        Field(
            ge=1,
            le=3,
            description="The crop is this much larger than the person's box (not than the frame); null: as the weights "
            "say, else 1.25.",
        ),
    ] = None
    batch: Annotated[
        int | None,
        Field(ge=1, le=256, description="Frames at once; null: 8, or 1 where keypoints say where the next box is."),
    ] = None
    half: Annotated[bool, Field(description="Half precision on a GPU.")] = True
    blend: Annotated[
        bool,
        Field(
            description="Average the limb joints by certainty with MediaPipe's, which then looks at every frame; needs "
            "boxes: mediapipe."
        ),
    ] = False

    @model_validator(mode="after")
    def _blends_what_is_there(self) -> Self:
        if self.blend:
            if self.boxes != "mediapipe":
                raise ValueError(f"blend: expected boxes: mediapipe, got {self.boxes}")
            self.box_every_s = 0.0
        return self

    def crop_margin(self, card: Mapping[str, Any], where: object) -> float:
        """How much larger than its box a crop is; where the frame is the box there is nothing beyond it.

        Raises
        ------
        InputError
            The weights' card has no such number under ``margin``.
        """
        said = card.get("margin", _MARGIN)
        if type(said) not in (int, float) or not 1 <= said <= 3:
            raise InputError(expected("card: margin", "1 to 3", said, where=where))
        return 1.0 if self.boxes == "frame" else float(said if self.margin is None else self.margin)

    def frames_at_once(self) -> int:
        """``batch``, or what is best where it is not said."""
        if self.batch is not None:
            return self.batch
        # A box that is as many frames old as a batch is long would miss a person who runs.
        return 1 if self.boxes == "mediapipe" and not self.blend else 8


@dataclass(frozen=True)
class Sigma:
    """How far keypoints are from the truth, as a standard deviation per coordinate.

    ``sigma² = (base · stature)² + (wide · step)² max(spread² - 1, 0) + (unsure · stature · (1 - score))²``

    where ``step`` is a heatmap pixel in px of the picture and ``spread`` that of the heatmap's peak, in heatmap px (the
    target's is 1).

    Attributes
    ----------
    base
        (J,) share of stature: of a joint that is surely seen.
    wide, unsure
        No unit; share of stature.
    """

    base: PerJoint
    wide: float
    unsure: float

    def of(self, found: Peaks, person: int, step: float, size_px: float) -> PerJoint:
        """Sigma (J,) px of one person."""
        wide = (self.wide * step) ** 2 * np.clip(found.spread[person] ** 2 - 1, 0, None)
        unsure = (self.unsure * size_px * (1 - np.clip(found.score[person], 0, 1))) ** 2
        return np.sqrt((self.base * size_px) ** 2 + wide + unsure)


# Of weights whose card says nothing; chosen, not measured.
_BASE, _WIDE, _UNSURE = 0.012, 1.0, 0.03


def sigma_of(card: dict[str, Any], joints: int, where: object) -> Sigma:
    """What the weights' card says under ``sigma``: ``base`` (a number or one per joint), ``wide`` and ``unsure``.

    Raises
    ------
    InputError
        It says something else.
    """
    from posemill.detectors.loading import numbers

    said = card.get("sigma", {})
    if not isinstance(said, dict) or set(said) - {"base", "wide", "unsure"}:
        raise InputError(expected("card: sigma", "base, wide and unsure", said, where=where))
    base = numbers(said, "base", (_BASE,) * joints, where)
    (wide,), (unsure,) = numbers(said, "wide", (_WIDE,), where), numbers(said, "unsure", (_UNSURE,), where)
    if (base <= 0).any() or wide < 0 or unsure < 0:
        raise InputError(expected("card: sigma", "positive numbers", said, where=where))
    return Sigma(base, float(wide), float(unsure))


def says_parabola(card: Mapping[str, Any], where: object) -> bool:
    """Whether the weights' card says under ``peaks`` ``parabola``, and not ``quarter``, which is meant by nothing.

    Raises
    ------
    InputError
        It says something else.
    """
    said = card.get("peaks", "quarter")
    if said not in ("quarter", "parabola"):
        raise InputError(expected("card: peaks", "quarter or parabola", said, where=where))
    return said == "parabola"


class TopDown:
    """A :class:`~posemill.detectors.protocol.BatchDetector` of one clip.

    Parameters
    ----------
    joints
        Name of the joint set.
    device
        What to call the device in the provenance.
    boxes
        Where people are.
    crop
        From a picture (H, W, 3) uint8 and a box (4,) px to the crop.
    find
        From crops (N, H, W, 3) float32, 0 to 255, to the peaks of their heatmaps.
    sigma
        How far off its keypoints are.
    batch
        Frames at once.
    size
        Width of the crops in px.
    blend
        Average with what the source of boxes saw of the limbs.
    """

    def __init__(
        self,
        *,
        joints: str,
        device: str,
        boxes: BoxSource,
        crop: Callable[[np.ndarray, np.ndarray], Crop],
        find: Callable[[np.ndarray], Peaks],
        sigma: Sigma,
        batch: int = 1,
        size: int = 256,
        blend: bool = False,
    ) -> None:
        self._blend = blend
        self.joint_set, self.device, self.batch, self.size = joints, device, batch, size
        self._boxes, self._crop, self.find, self._sigma = boxes, crop, find, sigma
        self._previous: Detection | None = None

    def __enter__(self) -> Self:
        self._boxes.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._boxes.__exit__(*error)

    def detect(self, rgb: np.ndarray, time_s: float) -> list[Detection]:
        """Find the people in whose boxes to look in one (H, W, 3) uint8 picture."""
        return self.detect_many([(rgb, time_s)])[0]

    def detect_many(self, frames: Sequence[tuple[np.ndarray, float]]) -> list[list[Detection]]:
        """Find people in consecutive frames: the picture and its time in s."""
        crops: list[Crop] = []
        owners: list[tuple[int, int | None, Detection | None]] = []
        for number, (rgb, time_s) in enumerate(frames):
            found_boxes = self._boxes.for_frame(rgb, time_s, self._previous)
            for box, who, seen in zip(found_boxes, self._boxes.persons, self._boxes.seen, strict=True):
                crops.append(self._crop(rgb, box))
                owners.append((number, who, seen))
        answers: list[list[Detection]] = [[] for _ in frames]
        if crops:
            found = self.find(np.stack([crop.pixels for crop in crops]))
            for person, (crop, (number, who, seen)) in enumerate(zip(crops, owners, strict=True)):
                detection = self._detection(found, person, crop, frames[number][0].shape[1::-1])
                if detection is None:
                    continue
                if self._blend and seen is not None and self._boxes.joint_set is not None:
                    detection = blended(detection, self.joint_set, seen, self._boxes.joint_set)
                answers[number].append(replace(detection, person=who))
        self._previous = answers[-1][0] if answers and answers[-1] else None
        return answers

    def _detection(self, found: Peaks, person: int, crop: Crop, size: tuple[int, ...]) -> Detection | None:
        stride = 4.0
        keypoints: Points2 = crop.to_image(to_crop(found.points[person], stride))
        score = np.clip(found.score[person], 0, 1)
        inside = ((keypoints >= -0.5) & (keypoints <= np.array(size) - 0.5)).all(-1)
        valid = (score > 0) & inside
        # What lies beyond the picture's edge is a guess, but says how large the person is.
        size_px = float(stature_px(np.where((score > 0)[:, None], keypoints, np.nan), self.joint_set))
        if not valid.any() or not np.isfinite(size_px):
            return None
        sigma = self._sigma.of(found, person, stride * float(crop.step.mean()), size_px)
        return Detection(keypoints, score, sigma, bounds(keypoints, valid), valid)
