"""Published weights to posemill's own file: safetensors with the card inside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from posemill import registry
from posemill.errors import InputError, expected
from posemill.formats.checkpoints import Checkpoint, read_checkpoint
from posemill.formats.torch7_writer import write_torch7
from posemill.formats.weights import write_weights
from posemill.provenance import sha256_file

__all__ = ["run"]


def run(
    checkpoint: Path,
    output: Path,
    method: str,
    options: Mapping[str, Any] | None = None,
    *,
    kind: str = "lifters",
) -> None:
    """Read weights of any known kind, name them as the method's network does, and write them.

    The card that the method makes is written with them, and which file they were converted from. An output that ends in
    .t7 is written for Torch7, where the method can; it has no card.

    Parameters
    ----------
    method
        Whose weights they are.
    options
        The method's: what the checkpoint does not say of itself. They go into the file, which then needs none of them.
    kind
        ``lifters`` or ``detectors``.

    Raises
    ------
    InputError
        No such method or option, a method that has nothing to convert, or weights that are not its network's.
    MissingError
        No such file.
    """
    module = registry.load(kind, method)
    convert = getattr(module, "convert", None)
    if convert is None:
        able = [name for name in registry.names(kind) if hasattr(registry.load(kind, name), "convert")]
        want = f"one with published weights ({', '.join(able) or 'none'})"
        raise InputError(expected(f"--{kind[:-1]}", want, method))
    given = dict(options or {})
    if "weights" in given:
        raise InputError(expected("--option", "what the checkpoint does not say", "weights, which are the checkpoint"))
    checked = registry.options(kind, method, given)
    source = read_checkpoint(checkpoint)
    if output.suffix == ".t7":
        _write_torch7(source, output, module, checked)
        return
    tensors, card = convert(source, module.Options.model_validate(checked))
    origin = {"file": checkpoint.name, "kind": source.kind, "sha256": sha256_file(Path(source.where))}
    card = {**card, "converted_from": origin}
    with TemporaryDirectory() as folder:
        # The way back first: what is written must be what the lifter itself reads, alone and with these options.
        trial = Path(folder) / "weights.safetensors"
        write_weights(trial, tensors, card)
        # Neither MediaPipe nor a file of boxes is needed for that.
        plain, more = ({"boxes": "frame"}, {"temporal": False}) if kind == "detectors" else ({}, {})
        try:
            module.create(module.Options.model_validate({**plain, "weights": trial}), **more)
            module.create(module.Options.model_validate({**checked, **plain, "weights": trial}), **more)
        except InputError as error:
            raise InputError(str(error).replace(str(trial), str(checkpoint))) from None
    write_weights(output, tensors, card)
    size, digest = output.stat().st_size, sha256_file(output)
    print(f"{output}: {len(tensors)} tensors, {size} bytes, sha256 {digest}")


def _write_torch7(source: Checkpoint, output: Path, module: ModuleType, options: dict[str, Any]) -> None:
    """Write a network for Torch7: read as the method reads it, then made of its modules."""
    make = getattr(module, "to_torch7", None)
    if make is None:
        raise InputError(expected("output", "safetensors", output.name, do="only hourglasses are written as .t7"))
    if source.kind == "safetensors":
        tensors, card = source.tensors, source.extras
    else:
        tensors, card = module.convert(source, module.Options.model_validate(options))
    write_torch7(output, make(tensors, card, source.where))
    print(f"{output}: {output.stat().st_size} bytes, sha256 {sha256_file(output)}")
