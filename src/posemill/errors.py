"""The errors that posemill raises on purpose.

Every message is one line for the person who typed the command: what was expected, what was found, in which file,
and what to do. The split decides what a stage does with an error:

``InputError``
    The command, the sheet or a foreign file is wrong. The run stops before or at that file.
``ClipError``
    The *content* of one clip is wrong (not a video, no frames, nobody in it). The clip's artifact records
    ``status=failed`` with the reason and the other clips go on.
``ArtifactError``
    One of our own files is truncated, foreign, older, changed or inconsistent.
``MissingError``
    A model, package, container or device that the user asked for is not there.
"""

from __future__ import annotations


class PosemillError(Exception):
    """Base of all errors that posemill raises on purpose; ``str()`` of it is one line."""


class InputError(PosemillError):
    """The command line, configuration, clip sheet or a foreign file is wrong."""


class ArtifactError(PosemillError):
    """A file of posemill's own format cannot be trusted."""


class ClipError(PosemillError):
    """The content of one clip cannot be used; recorded as ``status=failed``, never fatal to other clips."""


class MissingError(PosemillError):
    """Something that the user asked for (weights, package, container, device) is not there."""


def expected(what: str, want: object, got: object, *, where: object = None, do: str = "") -> str:
    """Build the house's one-line message.

    >>> expected("joint set", "h36m17", "coco17", where="a.h5", do="convert it first")
    'a.h5: joint set: expected h36m17, got coco17; convert it first'
    """
    head = f"{where}: " if where is not None else ""
    tail = f"; {do}" if do else ""
    return f"{head}{what}: expected {want}, got {got}{tail}"
