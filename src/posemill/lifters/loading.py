"""From a file's tensors to a network: checked before memory is asked for, each misfit named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from posemill.errors import InputError, MissingError, expected

if TYPE_CHECKING:
    from torch import nn

    from posemill.formats.checkpoints import Checkpoint

    Network = TypeVar("Network", bound=nn.Module)

__all__ = ["as_stored", "build", "device_name", "read", "store"]

Converted = tuple[dict[str, np.ndarray], dict[str, Any]]


def read(
    path: Path, lifter: str, convert: Callable[[Checkpoint, Any], Converted], options: Any, place: str
) -> Converted:
    """Read tensors and card: of our own safetensors as they are, of an official file converted.

    Parameters
    ----------
    convert
        The lifter's own, from a checkpoint to what our file would hold.
    options
        The lifter's, which say what the checkpoint does not.
    place
        What else may stand there, for the message where nothing does.

    Raises
    ------
    MissingError
        No file; the message says how to get one.
    InputError
        The file cannot be read, or is another lifter's.
    """
    if not path.is_file():
        raise MissingError(
            f"lifter {lifter}: expected weights at {path}, got nothing; train them: posemill train {lifter} "
            f"--motion MOTION.h5 --output {path}, or set lifters.{lifter}.weights to {place}"
        )
    from posemill.formats.checkpoints import read_checkpoint

    checkpoint = read_checkpoint(path)
    if checkpoint.kind != "safetensors":
        return convert(checkpoint, options)
    card = dict(checkpoint.extras)
    if card.get("lifter", lifter) != lifter:
        raise InputError(expected("weights", f"those of lifter {lifter}", f"{card['lifter']}'s", where=path))
    return dict(checkpoint.tensors), card


def build(
    network: Callable[..., Network], sizes: Mapping[str, Any], tensors: Mapping[str, np.ndarray], where: object
) -> Network:
    """Make a network of these sizes with exactly these weights, in float32 and ready for inference.

    Parameters
    ----------
    network
        Its class; ``sizes`` are the arguments.
    tensors
        Every parameter and running statistic, and nothing else. Counters of training need not be there.

    Raises
    ------
    InputError
        Sizes that are no sizes, or a tensor that is absent, unknown, of another shape or not finite.
    """
    import torch

    from posemill.formats.weights import check_tensors

    try:
        # Without memory first: the sizes come from a file.
        with torch.device("meta"):
            made = network(**sizes)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(expected("network", "sizes of one", f"{dict(sizes)} ({error})", where=where)) from None
    state = made.state_dict()
    floats = {name: tuple(t.shape) for name, t in state.items() if t.is_floating_point()}
    check_tensors({n: t for n, t in tensors.items() if n not in state or n in floats}, floats, where)
    weights = {name: torch.from_numpy(np.array(tensors[name], dtype=np.float32)) for name in floats}
    counters = {name: torch.zeros(t.shape, dtype=t.dtype) for name, t in state.items() if name not in floats}
    made.load_state_dict({**weights, **counters}, assign=True)
    return made.eval().requires_grad_(False)


def store(
    path: Path, network: nn.Module, card: Mapping[str, Any], more: Mapping[str, np.ndarray] | None = None
) -> None:
    """Write what :func:`read` reads: a network's tensors, matrices in half precision, others beside them, and a card.

    Parameters
    ----------
    card
        With ``lifter`` its name, and what the lifter's module says.
    more
        Tensors beside the network's, in single precision.
    """
    from posemill.formats.weights import write_weights

    tensors = as_stored({name: t.detach().cpu().numpy() for name, t in network.state_dict().items()})
    write_weights(path, {**tensors, **{n: np.asarray(t, np.float32) for n, t in (more or {}).items()}}, card)


def as_stored(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A network's tensors as weights files keep them: matrices in half precision, no counters."""
    return {
        name: t.astype(np.float16 if t.ndim >= 2 else np.float32) for name, t in tensors.items() if t.dtype.kind == "f"
    }


def device_name() -> tuple[str, str]:
    """Torch's name of the device to compute on, and what to call it in the provenance."""
    import torch

    if torch.cuda.is_available():
        return "cuda", f"cuda: {torch.cuda.get_device_name()}"
    return "cpu", "cpu"
