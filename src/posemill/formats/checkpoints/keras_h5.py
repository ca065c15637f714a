"""Keras's HDF5 weights (``save_weights`` and whole models of Keras 1 and 2) without Keras.

Layout: below ``/`` or ``/model_weights`` one group per layer; the attributes ``layer_names`` and, of each layer,
``weight_names`` give the order. A long list is split into ``layer_names0``, ``layer_names1``, …

The HDF5 library was written for files that mean well: some damaged ones keep it busy without end. It therefore opens
the file in a process of its own, with limits of time and memory.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.checkpoints.checkpoint import Checkpoint

__all__ = ["read_keras"]

_PATIENCE_S = 300


def read_keras(path: Path) -> Checkpoint:
    """Read all weights in the order of the layers.

    Raises
    ------
    InputError
        Damaged, of another program, or with data outside the file.
    """
    # -P: a module is not looked for in the folder that happens to be the current one. One thread: each reserves memory.
    command = [sys.executable, "-P", "-m", "posemill.formats.checkpoints.keras_process", str(path)]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise InputError(expected("weights", "a whole HDF5 file", "one that does not end", where=path)) from None
    if done.returncode:
        why = f"one on which the HDF5 library fails (exit code {done.returncode})"
        raise InputError(expected("weights", "a whole HDF5 file", why, where=path))
    head, _, data = done.stdout.partition(b"\n")
    found = json.loads(head)
    if "error" in found:
        raise InputError(found["error"])
    tensors, at = {}, 0
    for name, text, shape in found["tensors"]:
        dtype, count = np.dtype(text), math.prod(shape)
        tensors[name] = np.frombuffer(data, dtype, count, at).reshape(shape)
        at += count * dtype.itemsize
    return Checkpoint("keras_h5", tensors, {key: found[key] for key in ("layers", "keras_version")}, str(path))
