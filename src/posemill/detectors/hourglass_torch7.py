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

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field

from posemill.detectors import hourglass
from posemill.detectors.heatmaps import Peaks
from posemill.detectors.protocol import Detection, DetectorCard
from posemill.detectors.top_down import Sigma, TopDown, TopDownOptions
from posemill.errors import InputError, expected

if TYPE_CHECKING:
    from posemill.detectors.crops import Crop
    from posemill.people.boxes import BoxSource

__all__ = ["CARD", "NAME", "TAG", "Cutter", "Options", "create", "cutter", "missing", "weights", "write_weights"]

NAME = "hourglass_torch7"

TAG = np.dtype([("frame", "<i8"), ("time_s", "<f8"), ("box", "<f8", (4,))])
"""What goes with each crop: the number of frames before its own, their time, the box in px."""

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
        Literal[0], Field(description="MediaPipe looks at every frame: crops are cut before any keypoint is known.")
    ] = 0
    half: Annotated[Literal[False], Field(description="Torch7 computes in single precision.")] = False

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


class _Card(NamedTuple):
    size: int
    mean: np.ndarray
    sigma: Sigma


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and card of any weights that the detector ``hourglass`` takes; both have the same network."""
    from posemill.detectors import loading

    return loading.read(path, hourglass.NAME, hourglass.convert, hourglass.Options())


def _said(card: dict[str, Any], path: Path) -> _Card:
    from posemill.detectors.loading import numbers, whole_number
    from posemill.detectors.top_down import sigma_of
    from posemill.skeleton import joint_set

    size = whole_number(card, "resolution", 64, 1024, 256, path)
    if size % 64:
        raise InputError(expected("card: resolution", "a multiple of 64", size, where=path))
    return _Card(size, numbers(card, "mean", (0.0, 0.0, 0.0), path), sigma_of(card, len(joint_set("mpii16")), path))


def write_weights(options: Options, output: Path) -> None:
    """Write the weights as a .t7 that Torch7 may read: read as data here, and written anew.

    Raises
    ------
    InputError
        The file is not a stacked hourglass's; it holds Lua functions.
    MissingError
        There is none.
    """
    from posemill.formats.torch7_writer import write_torch7
    from posemill.lifters.loading import build
    from posemill.networks.hourglass import Hourglass
    from posemill.networks.hourglass_torch7 import graph_module

    path = weights(options)
    tensors, card = _read(path)
    write_torch7(output, graph_module(build(Hourglass, card.get("network", {}), tensors, path)))


class Cutter:
    """Cuts people out of consecutive frames; a context manager, which owns the source of boxes."""

    def __init__(self, options: Options, *, temporal: bool) -> None:
        from posemill.people.boxes import box_source

        path = weights(options)
        said = _said(_read(path)[1], path)
        self.size, self.mean, self.flip, self.at_once = said.size, said.mean, options.flip, options.frames_at_once()
        self._crop = partial(hourglass.crop, margin=options.crop_margin(), size=said.size)
        self._boxes: BoxSource = box_source(options, temporal=temporal)
        self._frame = 0

    def __enter__(self) -> Self:
        self._boxes.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._boxes.__exit__(*error)

    def cut(self, frames: Sequence[tuple[np.ndarray, float]]) -> tuple[np.ndarray, np.ndarray]:
        """Tags (n,) and pictures (n, 3, size, size) of the people in further frames: the picture and its time in s."""
        tags: list[tuple[int, float, np.ndarray]] = []
        crops: list[np.ndarray] = []
        for rgb, time_s in frames:
            for box in self._boxes.for_frame(rgb, time_s, None):
                tags.append((self._frame, time_s, box))
                crops.append(self._crop(rgb, box).pixels)
            self._frame += 1
        pixels = np.stack(crops) if crops else np.zeros((0, self.size, self.size, 3), np.float32)
        return np.array(tags, TAG), pictures(pixels, self.mean)


def cutter(options: Options, *, temporal: bool) -> Cutter:
    """Make what cuts the crops of one clip."""
    return Cutter(options, temporal=temporal)


def pictures(pixels: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Crops (n, H, W, 3), 0 to 255, as the network takes them: (n, 3, H, W) float32, 0 to 1 but for the mean."""
    scaled = pixels * np.float32(1 / 255)
    return (scaled - mean.astype(np.float32) if mean.any() else scaled).transpose(0, 3, 1, 2)


def create(options: Options, *, temporal: bool, peaks: Path | None = None) -> TopDown:
    """Start Torch7, or take the peaks that it has found already.

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
    if peaks is not None:
        return _Replayed(options, peaks)
    from posemill.detectors.torch7_process import Torch7

    path = weights(options)
    tensors, card = _read(path)
    return _Live(options, temporal=temporal, said=_said(card, path), torch7=Torch7(options, write_weights))


class _Torch7Detector(TopDown):
    """The parts of a top-down detector without a network of its own."""

    def __init__(self, options: Options, *, said: _Card, boxes: BoxSource) -> None:
        def none(_: np.ndarray) -> np.ndarray:
            raise NotImplementedError

        super().__init__(
            joints=CARD.joint_set,
            device="torch7",
            boxes=boxes,
            crop=partial(hourglass.crop, margin=options.crop_margin(), size=said.size),
            network=none,
            sigma=said.sigma,
            flip=options.flip,
            batch=options.frames_at_once(),
        )

    def detect_many(self, frames: Sequence[tuple[np.ndarray, float]]) -> list[list[Detection]]:
        self._previous = None
        return super().detect_many(frames)
