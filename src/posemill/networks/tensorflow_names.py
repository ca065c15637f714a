"""Variables of TensorFlow 1 to our parameters: what every published checkpoint of that kind needs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from posemill.errors import InputError, expected

__all__ = ["renamed"]

# TensorFlow up to 1.1.
_OLD_SPELLING = {"weights": "kernel", "biases": "bias"}
_OPTIMISER = ("Adam", "Adam_1")
_COUNTERS = {"learning_rate", "global_step", "beta1_power", "beta2_power"}


def renamed(tensors: Mapping[str, np.ndarray], names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Rename variables, and transpose matrices, which TensorFlow has as (in, out).

    The optimiser's variables and the counters of training are left out.

    Parameters
    ----------
    names
        Variable to parameter, every one of the network's.

    Raises
    ------
    InputError
        Naming the variable that belongs to another network, or that is missing.
    """
    ours: dict[str, np.ndarray] = {}
    for name, tensor in tensors.items():
        head, _, leaf = name.rpartition("/")
        if leaf in _OPTIMISER or name in _COUNTERS:
            continue
        known = names.get(name) or names.get(f"{head}/{_OLD_SPELLING.get(leaf, leaf)}")
        if known is None:
            raise InputError(expected("variable", f"one of the network's {len(names)}", name))
        ours[known] = np.ascontiguousarray(tensor.T)
    for official, name in names.items():
        if name not in ours:
            raise InputError(expected(f"variable {official}", "weights", "none"))
    return ours
