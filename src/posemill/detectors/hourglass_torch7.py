"""``hourglass_torch7``: the stacked hourglass run by Torch7 itself, as its authors did.

posemill cuts the crops, ``th predict.lua`` finds the heatmaps' peaks in them, and posemill brings the peaks back to the
picture; in between are plain streams (:mod:`posemill.formats.crop_files`). By hand, one ``th`` works beside the command
through pipes. In the workflow three jobs do one part each, the middle one in the image ``hourglass``. So that both give
the same, no box ever depends on keypoints.

A file of weights is read as data before Torch7 sees it: one that holds Lua functions is refused.

References
----------
A. Newell, K. Yang, J. Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016, arXiv:1603.06937.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

import numpy as np
from pydantic import Field, field_validator

from posemill.detectors import hourglass
from posemill.detectors.heatmaps import Peaks
from posemill.detectors.protocol import Detection, DetectorCard
from posemill.detectors.top_down import Sigma, TopDown, TopDownOptions
from posemill.errors import InputError, expected
from posemill.formats.crop_files import PeakReader
from posemill.skeleton import joint_set

if TYPE_CHECKING:
    from posemill.detectors.torch7_process import Torch7
    from posemill.people.boxes import BoxSource

__all__ = ["CARD", "NAME", "TAG", "Cutter", "Options", "create", "missing", "pictures", "weights", "write_weights"]

NAME = "hourglass_torch7"

TAG = np.dtype([("frame", "<i8"), ("time_s", "<f8"), ("box", "<f8", (4,)), ("person", "<i8")])
"""What goes with each crop: the frames before its own, its time, the box in px, and its person (-1: not known)."""

CARD = DetectorCard(
    joint_set="mpii16",
    people=1,
    weights=hourglass.CARD.weights,
    licences={**hourglass.CARD.licences, "Torch7": "BSD-3-Clause"},
    libraries=("numpy", "scipy"),
    reference=hourglass.CARD.reference,
)

_AT_ONCE = 4


class Options(TopDownOptions):
    """Options of the stacked hourglass in Torch7."""

    weights: Annotated[
        Path | None,
        Field(description="The authors' .t7, safetensors of posemill or a PyTorch version's; null: the shipped ones"),
    ] = None
    torch7: Annotated[
        str | None,
        Field(description="By hand: a th, or an image for Apptainer; null: th on PATH, else the image hourglass."),
    ] = None
    box_every_s: Annotated[
        float,
        Field(ge=0, le=0, description="MediaPipe looks at every frame: crops are cut before keypoints are known."),
    ] = 0.0
    half: Annotated[bool, Field(description="False: Torch7 computes in single precision.")] = False
    blend: Annotated[bool, Field(description="False: what finds the boxes does not wait for Torch7.")] = False

    @field_validator("half", "blend")
    @classmethod
    def _not_here(cls, value: bool) -> bool:
        if value:
            raise ValueError("expected false: Torch7 computes in single precision, and nothing waits for it")
        return value

    def frames_at_once(self) -> int:
        """``batch``, or four: Torch7 keeps the numbers of every layer."""
        return self.batch or _AT_ONCE


def weights(options: Options) -> Path:
    """Path of the weights file that would be used."""
    return options.weights or hourglass.SHIPPED


def missing(path: Path) -> str:
    """The line for who has no weights at ``path``."""
    from posemill.detectors import loading

    return loading.missing(path, NAME)


def write_weights(options: Options, output: Path) -> None:
    """Write the weights as a .t7 that Torch7 may read: read as data here, and written anew.

    Raises
    ------
    InputError
        The file is not a stacked hourglass's.
    MissingError
        There is none.
    """
    from posemill.formats.torch7_writer import write_torch7

    path = weights(options)
    write_torch7(output, hourglass.to_torch7(*_read(path), path))


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and card of any weights that the detector ``hourglass`` takes; both have the same network."""
    from posemill.detectors import loading

    return loading.read(path, hourglass.NAME, hourglass.convert, hourglass.Options())


class _Said(NamedTuple):
    """What a card says of crops and keypoints."""

    size: int
    sigma: Sigma
    margin: float
    parabola: bool


def _said(options: Options) -> _Said:
    from posemill.detectors.loading import card_of
    from posemill.detectors.top_down import says_parabola, sigma_of

    path = weights(options)
    card = card_of(path, hourglass.NAME, hourglass.convert, hourglass.Options())
    joints = len(joint_set(CARD.joint_set))
    return _Said(
        hourglass.crop_size(card, path),
        sigma_of(card, joints, path),
        options.crop_margin(card, path),
        says_parabola(card, path),
    )


# ------------------------------------------------------------------------------------------------ crops


class Cutter:
    """Cuts people out of consecutive frames; a context manager, which owns the source of boxes."""

    def __init__(self, options: Options, *, temporal: bool) -> None:
        from posemill.people.boxes import box_source

        said = _said(options)
        self.size, self.flip, self.at_once = said.size, options.flip, options.frames_at_once()
        self.parabola = said.parabola
        self._crop = partial(hourglass.crop, margin=said.margin, size=said.size)
        self._boxes: BoxSource = box_source(options, temporal=temporal)
        self._frame = 0

    def __enter__(self) -> Self:
        self._boxes.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._boxes.__exit__(*error)

    def cut(self, frames: Sequence[tuple[np.ndarray, float]]) -> tuple[np.ndarray, np.ndarray]:
        """Tags (n,) and pictures (n, 3, size, size) of the people in further frames: the picture and its time in s."""
        tags: list[tuple[int, float, np.ndarray, int]] = []
        crops: list[np.ndarray] = []
        for rgb, time_s in frames:
            boxes = self._boxes.for_frame(rgb, time_s, None)
            for box, who in zip(boxes, self._boxes.persons, strict=True):
                tags.append((self._frame, time_s, box, -1 if who is None else who))
                crops.append(self._crop(rgb, box).pixels)
            self._frame += 1
        pixels = np.stack(crops) if crops else np.zeros((0, self.size, self.size, 3), np.float32)
        return np.array(tags, TAG), pictures(pixels)


def pictures(pixels: np.ndarray) -> np.ndarray:
    """Crops (n, H, W, 3), 0 to 255, as the network takes them: (n, 3, H, W) float32, 0 to 1."""
    return (pixels * np.float32(1 / 255)).transpose(0, 3, 1, 2)


def create(options: Options, *, temporal: bool, peaks: Path | None = None) -> TopDown:
    """Make the detector: with Torch7 beside it, or with the peaks that it has found already.

    Parameters
    ----------
    peaks
        What ``th predict.lua`` made of this clip's crops.

    Raises
    ------
    MissingError
        No weights, no Torch7 or no MediaPipe for the boxes.
    InputError
        Weights of another network; peaks that are none.
    """
    said = _said(options)
    if peaks is not None:
        recorded = _Recorded(peaks)
        return _Detector(options, said, recorded, lambda pixels: recorded.next(len(pixels)))
    from posemill.detectors.torch7_process import Torch7
    from posemill.people.boxes import box_source

    process = Torch7(
        partial(write_weights, options),
        program=options.torch7,
        size=said.size,
        flip=options.flip,
        parabola=said.parabola,
    )
    return _Live(options, said, box_source(options, temporal=temporal), process)


class _Detector(TopDown):
    """A top-down detector that is told the peaks."""

    def __init__(self, options: Options, said: _Said, boxes: BoxSource, find: Callable[[np.ndarray], Peaks]) -> None:
        super().__init__(
            joints=CARD.joint_set,
            device="torch7",
            boxes=boxes,
            crop=partial(hourglass.crop, margin=said.margin, size=said.size),
            find=find,
            sigma=said.sigma,
            batch=options.frames_at_once(),
            size=said.size,
        )

    def detect_many(self, frames: Sequence[tuple[np.ndarray, float]]) -> list[list[Detection]]:
        # Whoever cuts the crops beforehand does not know it either.
        self._previous = None
        return super().detect_many(frames)


class _Live(_Detector):
    """With a ``th`` beside it."""

    def __init__(self, options: Options, said: _Said, boxes: BoxSource, process: Torch7) -> None:
        super().__init__(options, said, boxes, lambda pixels: process.peaks(pictures(pixels)))
        self._process = process

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._process)
            found = super().__enter__()
            self._stack = stack.pop_all()
        return found

    def __exit__(self, *error: Any) -> None:
        with self._stack:
            super().__exit__(*error)


class _Recorded:
    """The boxes and peaks of a file, frame by frame; a source of boxes."""

    joint_set: str | None = None

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            chunks = list(PeakReader(file, tag=TAG, joints=len(joint_set(CARD.joint_set)), where=path))
        self._path = path
        self._tags = np.concatenate([chunk.tags for chunk in chunks]) if chunks else np.zeros(0, TAG)
        self._values = [np.concatenate([chunk[k] for chunk in chunks]) for k in (1, 2, 3)] if chunks else []
        self._frame = self._told = self._given = 0
        self.persons: list[int | None] = []
        self.seen: list[Detection | None] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def for_frame(self, rgb: np.ndarray, time_s: float, previous: Detection | None) -> list[np.ndarray]:
        """Boxes of the next frame, as they were when its crops were cut."""
        boxes, self.persons, self.seen = [], [], []
        while self._told < len(self._tags) and self._tags[self._told]["frame"] <= self._frame:
            tag = self._tags[self._told]
            if tag["frame"] != self._frame or abs(tag["time_s"] - time_s) > 1e-6:
                got = f"frame {tag['frame']} at {tag['time_s']:g} s"
                want = f"frame {self._frame} at {time_s:g} s"
                raise InputError(expected("peaks", want, got, where=self._path, do="they are another video's"))
            boxes.append(tag["box"].astype(np.float64))
            self.persons.append(int(tag["person"]) if tag["person"] >= 0 else None)
            self.seen.append(None)
            self._told += 1
        self._frame += 1
        return boxes

    def next(self, count: int) -> Peaks:
        """Peaks of so many further crops."""
        chosen = slice(self._given, self._given + count)
        self._given += count
        return Peaks(*(values[chosen] for values in self._values))
