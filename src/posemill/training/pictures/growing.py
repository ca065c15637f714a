"""Painted examples from a folder of drawn figures that may still grow."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.pictures import read_figure, read_shard, shard_path
from posemill.training.engine import Arrays
from posemill.training.pictures.drawn import Shard
from posemill.training.pictures.painted import WIDE, Painter, Variety

__all__ = ["PaintedPictures"]

_SHARDS = 3
"""From so many shards a pool is painted."""
_PATIENCE_S = 900.0


class PaintedPictures:
    """Paints what a folder has.

    Parameters
    ----------
    shards
        How many it has, or will have.
    first, growth
        Pool i is painted from the first ``first + growth * i`` of them, and waits for those: so a training can begin
        while they are drawn, and what it learns from does not depend on how fast that is.
    """

    def __init__(
        self, folder: Path, shards: int, *, first: int | None = None, growth: float = 0.0,
        variety: Variety = WIDE,
    ) -> None:  # fmt: skip
        self._folder, self._shards = Path(folder), shards
        self._first, self._growth = shards if first is None else first, growth
        tables = read_figure(folder)
        self._painter = Painter(tables["kinds"], tables["places"], variety)

    def draw(self, count: int, side: int, index: int, rng: np.random.Generator) -> Arrays:
        """Paint examples; see :class:`posemill.training.pictures.pose2d.Pictures`; ``size_px`` (N,) beside it."""
        there = max(1, min(self._shards, int(self._first + self._growth * index)))
        # New ones at once, old ones again.
        newest = there - 1 - index % max(1, min(there, int(self._growth) or 1))
        chosen = {newest, *rng.choice(there, min(there, _SHARDS), replace=False).tolist()}
        made = []
        for number in sorted(chosen)[: _SHARDS + 1]:
            shard = self._shard(number)
            starts = shard.starts()
            rows = self._painter.rows(shard, -(-count // len(chosen)), rng)
            made += [self._painter.paint(shard, starts, int(row), side, rng) for row in rows]
        made = made[:count]
        return {
            "picture": np.stack([m.picture for m in made]),
            "joints": np.stack([m.joints for m in made]),
            "present": np.stack([m.present for m in made]),
            "size_px": np.array([m.size_px for m in made], dtype=np.float32),
            "asked": np.ones((len(made), made[0].joints.shape[0]), dtype=bool),
        }

    def _shard(self, number: int) -> Shard:
        path = shard_path(self._folder, number)
        until = time.monotonic() + _PATIENCE_S
        while not path.is_file():
            if time.monotonic() > until:
                do = "draw it with posemill draw-people"
                raise InputError(expected("pictures", path.name, "nothing for 15 minutes", where=self._folder, do=do))
            time.sleep(1)
        return Shard(**read_shard(self._folder, number))
