"""``posemill draw-people``: draw figures of captured motion for 2D training, shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.motion import read_motion
from posemill.formats.pictures import SHARD, shard_path, write_figure, write_shard
from posemill.progress import Ticker
from posemill.provenance import code_hash, sha256_file

__all__ = ["run"]


def run(
    output: Path,
    motion: Path,
    *,
    shards: int,
    groups: Sequence[str] = ("train", "extra"),
    left_out: Sequence[str] = (),
    only: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Draw pictures into a folder; what is there already is left as it is.

    Parameters
    ----------
    output
        Folder; see :mod:`posemill.formats.pictures`.
    motion
        Motion capture: HDF5 with Human3.6M-17 joints in metres, z up.
    shards
        How many shall be there in the end, of 250 pictures each.
    groups, left_out, only
        Groups of the file, subjects in them that are not drawn, or the only ones that are.

    Returns
    -------
    What the pictures are made from.

    Raises
    ------
    MissingError
        PyVista is not installed.
    InputError
        The motion cannot be read or has nobody left; the folder has other pictures.
    """
    from posemill.training.pictures.drawn import draw_shard
    from posemill.training.recombined import MotionLibrary
    from posemill.twin.buffers import Buffers
    from posemill.twin.figure import figure
    from posemill.twin.render import pyvista

    pyvista()
    clips = [
        c for c in read_motion(motion, groups=groups) if c.subject not in left_out and (not only or c.subject in only)
    ]
    if not clips or shards < 1:
        found = f"{len(clips)} clips, {shards} shards"
        raise InputError(expected("pictures", "at least one clip and one shard", found, where=motion))
    request = {
        "motion_sha256": sha256_file(motion),
        "people": sorted({f"{c.group}/{c.subject}" for c in clips}),
        "seed": seed,
        "code": code_hash("posemill.training.pictures.drawn"),
    }
    shape = figure()
    write_figure(output, {"kinds": shape.kinds.astype(np.uint8), "places": shape.places}, request)
    library = MotionLibrary(clips)
    missing = [number for number in range(shards) if not shard_path(output, number).is_file()]
    with Ticker(len(missing), "draw-people", "shard") as ticker, Buffers(shape) as buffers:
        for number in missing:
            shard = draw_shard(library, buffers, SHARD, np.random.default_rng([seed, number]))
            write_shard(output, number, {f.name: getattr(shard, f.name) for f in fields(shard)})
            ticker.step()
    return request
