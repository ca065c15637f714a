"""What every reader of foreign weights returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from posemill.errors import InputError, expected

__all__ = ["Checkpoint"]


@dataclass(frozen=True)
class Checkpoint:
    """Tensors of a weights file by the names that its own framework gave them.

    Attributes
    ----------
    kind
        ``torch``, ``torch7``, ``chainer_npz``, ``keras_h5``, ``tf_bundle`` or ``safetensors``.
    tensors
        Name to array. Arrays may be read-only; bfloat16 has become float32.

        - torch: nested dictionaries are joined by dots (``model_pos.expand_conv.weight``); a leading ``module.`` is
          gone, and so are ``num_batches_tracked`` (counters of training, which older files lack) and the optimiser.
        - torch7: by place in the network (``5.1.2.3.weight``).
        - chainer_npz: with slashes, as stored (``l1/W``).
        - keras_h5: layer's weight names in the order of the layers (``dense_1/kernel:0``).
        - tf_bundle: variables without the optimiser's slots (``linear_model/w1``).
    extras
        What is in the file beside tensors, as plain data: ``epoch``, ``lr``, names of layers; for safetensors the card.
    where
        The file, for messages.
    """

    kind: str
    tensors: Mapping[str, np.ndarray]
    extras: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""

    def part(self, *names: str) -> dict[str, np.ndarray]:
        """Tensors of the first of the dictionaries ``names`` that the file has, without its name in front.

        An empty name means the file's outermost dictionary, as in a file that is one state_dict.

        >>> file = Checkpoint("torch", {"model_pos.shrink.bias": np.zeros(51)})
        >>> list(file.part("model_pos", "state_dict", ""))
        ['shrink.bias']

        Raises
        ------
        InputError
            None of them is there; the message has those that are.
        """
        for name in names:
            start = f"{name}." if name else ""
            found = {key[len(start) :]: value for key, value in self.tensors.items() if key.startswith(start)}
            if found:
                return found
        there = sorted({key.split(".")[0] for key in self.tensors})
        shown = ", ".join(there[:12]) + (f" and {len(there) - 12} more" if len(there) > 12 else "")
        wanted = " or ".join(repr(name) if name else "a plain state_dict" for name in names)
        raise InputError(expected("weights", f"tensors under {wanted}", shown or "none", where=self.where or None))
