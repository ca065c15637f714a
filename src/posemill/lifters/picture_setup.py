"""Weights and options of lifters that answer in units of the picture: what dstformer and agformer share.

Weights
-------
Ours are safetensors: the network's tensors by their published names, and ``sigma_floor`` (17,) metres per axis where
errors were measured. Their card may say

``network``
    Arguments of the network; what is absent is read off the shapes.
``normaliser``
    What the units are; see :data:`posemill.networks.picture_units.Normaliser`.
``root_relative``
    Whether it was trained on poses with the pelvis at 0. Then the answer's pelvis is set to 0, as published; else the
    answer is taken relative to its pelvis.
``fps``
    The rate that it was trained at; other clips are resampled to it inside. Null: any rate.

A published file says none of it: it is ``picture``, relative to the pelvis, 50 fps (Human3.6M), unless the options say
otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import numpy as np
from pydantic import Field

from posemill.errors import InputError, expected
from posemill.lifters.answers import DEFAULT_SIGMA_M
from posemill.lifters.cards import agreed, card_arguments, card_fps, take_sigma_floor
from posemill.lifters.options import BridgeOptions
from posemill.lifters.protocol import LifterCard
from posemill.networks.picture_units import Normaliser

if TYPE_CHECKING:
    from torch import nn

    from posemill.formats.checkpoints import Checkpoint

__all__ = ["PictureOptions", "Setup", "picture_card", "published", "setup"]

_OFFICIAL_FPS = 50.0

NetworkT = TypeVar("NetworkT", bound="nn.Module")


class PictureOptions(BridgeOptions, extra="forbid"):
    """Options of lifters that answer in units of the picture."""

    weights: Annotated[
        Path | None, Field(description="safetensors of posemill train or convert, or a published file; null: ours")
    ] = None
    normaliser: Annotated[
        Normaliser | None,
        Field(description="What the network's units are; null: as the card of the weights says, else picture"),
    ] = None
    root_relative: Annotated[
        bool | None,
        Field(description="Weights trained with the pelvis at 0; null: as their card says, else true"),
    ] = None
    overlap: Annotated[
        float, Field(ge=0, le=0.9, description="Share of a window that the next one sees too; 0 as published")
    ] = 0.5
    resample: Annotated[bool, Field(description="Bring clips of other rates to that of the training, and back")] = True


@dataclass(frozen=True)
class Setup:
    """A network with what its numbers mean.

    Attributes
    ----------
    network
        (b, window, 17, channels) to (b, window, 17, 3).
    channels
        3: x, y and score; 2 without the latter.
    window
        Frames looked at once.
    any_length
        Whether it takes shorter windows too; else a shorter run is stretched to the window.
    normaliser, root_relative, fps
        See the module; ``fps`` None takes clips as they are.
    sigma_floor
        (17,) metres per axis.
    """

    network: nn.Module
    channels: int
    window: int
    any_length: bool
    normaliser: Normaliser
    root_relative: bool
    fps: float | None
    sigma_floor: np.ndarray


def setup(
    make: Callable[..., NetworkT],
    sizes: Callable[[Mapping[str, np.ndarray]], dict[str, int]],
    tensors: dict[str, np.ndarray],
    about: Mapping[str, Any],
    options: PictureOptions,
    where: Path,
    *,
    any_length: bool,
    window: int | None = None,
) -> Setup:
    """Build the network of a weights file.

    Parameters
    ----------
    make, sizes
        The network's class, and the reader of its sizes from the shapes of tensors.
    tensors, about
        The file's tensors and card.
    any_length
        Whether the network takes fewer frames than its own window.
    window
        Frames to look at at once, of one that does; None: its own window.

    Raises
    ------
    InputError
        A tensor or an entry of the card does not fit, or an option contradicts the card.
    """
    from posemill.lifters.loading import build

    given = card_arguments(about, where)
    normaliser = agreed("normaliser", options.normaliser, about.get("normaliser"), "picture", where)
    root_relative = agreed("root_relative", options.root_relative, about.get("root_relative"), True, where)
    fps = card_fps(about, where)
    if normaliser not in get_args(Normaliser):
        raise InputError(expected("card: normaliser", " or ".join(get_args(Normaliser)), normaliser, where=where))
    if not isinstance(root_relative, bool):
        raise InputError(expected("card: root_relative", "true or false", root_relative, where=where))
    tensors = dict(tensors)
    floor = take_sigma_floor(tensors, DEFAULT_SIGMA_M, where)
    arguments = {**sizes(tensors), **given}
    network = build(make, arguments, tensors, where)
    channels, frames = arguments["channels"], arguments["frames"]
    if channels not in (2, 3):
        raise InputError(expected("tensor joints_embed.weight", "2 or 3 columns (x, y, score)", channels, where=where))
    if window is not None and window > frames:
        raise InputError(
            expected("window", f"at most the {frames} frames that these weights know", window, where=where)
        )
    return Setup(
        network,
        channels,
        window or frames,
        any_length,
        normaliser,
        root_relative,
        fps if options.resample else None,
        floor,
    )


def published(
    checkpoint: Checkpoint, options: PictureOptions, names: tuple[str, ...], lifter: str, source: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Bring a published checkpoint to what our own file holds: tensors and card, what the options say in it.

    Parameters
    ----------
    names
        Of the dictionary in which its training wrote the network.

    Raises
    ------
    InputError
        None of them is there.
    """
    said = {"normaliser": options.normaliser, "root_relative": options.root_relative}
    about = {"lifter": lifter, "fps": _OFFICIAL_FPS, "source": source, "licences": {"weights": "Apache-2.0"}}
    return checkpoint.part(*names), about | {name: value for name, value in said.items() if value is not None}


def picture_card(card: LifterCard, made: Setup, about: Mapping[str, Any]) -> LifterCard:
    """Return the card of one weights file."""
    return replace(
        card,
        channels=("x", "y", "score")[: made.channels],
        normaliser=made.normaliser,
        receptive_field=made.window,
        licences={**card.licences, **about.get("licences", {})},
    )
