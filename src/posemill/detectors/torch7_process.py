"""One ``th predict.lua`` beside posemill: pictures in, peaks out, through pipes."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Self

import numpy as np

from posemill import torch7
from posemill.detectors.heatmaps import Peaks
from posemill.errors import InputError, MissingError, expected
from posemill.formats.crop_files import CropWriter, PeakReader
from posemill.skeleton import joint_set

__all__ = ["Torch7"]

_TAG = np.dtype("<i4")
_PATIENCE_S = 30


class Torch7:
    """A context manager; Torch7 starts with it and ends with it.

    Parameters
    ----------
    write_weights
        Writes the network to the .t7 that it is given.
    program
        As for :func:`posemill.torch7.command`.
    size
        Sides of the pictures in px.
    flip
        Average with the answer for the mirrored picture.
    parabola
        As for :func:`posemill.detectors.heatmaps.peaks`.
    joints
        Name of the joint set of the network.
    """

    def __init__(
        self,
        write_weights: Callable[[Path], None],
        *,
        program: str | None,
        size: int,
        flip: bool,
        parabola: bool = False,
        joints: str = "mpii16",
    ) -> None:
        self._write_weights, self._program = write_weights, program
        self._size, self._flip, self._parabola = size, flip, parabola
        self._joints = len(joint_set(joints))

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="posemill-")))
            network = folder / "network.t7"
            words = torch7.command(self._program, [network.parent])
            self._write_weights(network)
            self._said: IO[bytes] = stack.enter_context(TemporaryFile())
            try:
                self._process = subprocess.Popen(
                    [*words, "-", "-", "-weights", str(network)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._said,
                    env=torch7.environment(),
                )
            except OSError as error:
                raise MissingError(expected("Torch7", "a program", f"{words[0]}: {error.strerror}")) from None
            stack.callback(self._end)
            assert self._process.stdin is not None and self._process.stdout is not None
            self._peaks = PeakReader(self._process.stdout, tag=_TAG, joints=self._joints, where="th predict.lua")
            with self._explained():
                self._crops = CropWriter(
                    self._process.stdin,
                    tag=_TAG,
                    size=self._size,
                    flip=self._flip,
                    parabola=self._parabola,
                )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def peaks(self, pictures: np.ndarray) -> Peaks:
        """Peaks of the heatmaps of pictures (n, 3, size, size), 0 to 1.

        Raises
        ------
        InputError
            Torch7 ended; the message has its last line.
        """
        with self._explained():
            self._crops.write(np.arange(len(pictures)), pictures)
            found = next(self._peaks)
        return Peaks(found.points, found.score, found.spread)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Say with Torch7's last line why it ended."""
        try:
            yield
        except (BrokenPipeError, InputError, StopIteration) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE_S)
            self._said.seek(0)
            lines = self._said.read().decode(errors="replace").strip().splitlines()
            code = self._process.poll()
            why = lines[-1] if lines else "it said nothing"
            raise InputError(f"Torch7 ended with exit code {code}: {why}" if code is not None else str(error)) from None

    def _end(self) -> None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):
            self._crops.end()
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
