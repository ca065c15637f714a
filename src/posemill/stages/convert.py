"""Published weights to posemill's own file: safetensors with the card inside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from posemill import registry
from posemill.errors import InputError, expected
from posemill.formats.checkpoints import read_checkpoint
from posemill.formats.weights import write_weights
from posemill.provenance import sha256_file

__all__ = ["run"]


def run(checkpoint: Path, output: Path, lifter: str, options: Mapping[str, Any] | None = None) -> None:
    """Read weights of any known kind, name them as the lifter's network does, and write them.

    The card that the lifter makes is written with them, and which file they were converted from.

    Parameters
    ----------
    options
        The lifter's: what the checkpoint does not say of itself. They go into the file, which then needs none of them.

    Raises
    ------
    InputError
        No such lifter or option, a lifter that has nothing to convert, or weights that are not its network's.
    MissingError
        No such file.
    """
    module = registry.load("lifters", lifter)
    convert = getattr(module, "convert", None)
    if convert is None:
        able = [name for name in registry.names("lifters") if hasattr(registry.load("lifters", name), "convert")]
        raise InputError(expected("--lifter", f"one with published weights ({', '.join(able) or 'none'})", lifter))
    given = dict(options or {})
    if "weights" in given:
        raise InputError(expected("--option", "what the checkpoint does not say", "weights, which are the checkpoint"))
    checked = registry.options("lifters", lifter, given)
    source = read_checkpoint(checkpoint)
    tensors, card = convert(source, module.Options.model_validate(checked))
    origin = {"file": checkpoint.name, "kind": source.kind, "sha256": sha256_file(Path(source.where))}
    card = {**card, "converted_from": origin}
    with TemporaryDirectory() as folder:
        # The way back first: what is written must be what the lifter itself reads, alone and with these options.
        trial = Path(folder) / "weights.safetensors"
        write_weights(trial, tensors, card)
        try:
            module.create(module.Options.model_validate({"weights": trial}))
            module.create(module.Options.model_validate({**checked, "weights": trial}))
        except InputError as error:
            raise InputError(str(error).replace(str(trial), str(checkpoint))) from None
    write_weights(output, tensors, card)
    size, digest = output.stat().st_size, sha256_file(output)
    print(f"{output}: {len(tensors)} tensors, {size} bytes, sha256 {digest}")
