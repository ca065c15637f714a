"""Where people are in a picture, for detectors that look at one person at a time (top-down).

``frame``
    The whole picture: it shows one person, large.
``file``
    A table of boxes, :func:`read_boxes`.
``mediapipe``
    MediaPipe Pose finds the person and finds them again; in between the detector's own keypoints say where they are.

A box is (left, top, right, bottom) px around all of a body that is in the picture, from the top of the head to the
soles, with no margin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from posemill.arrays import Points2, Times
from posemill.detectors.protocol import Detection, Detector
from posemill.errors import InputError, expected

__all__ = ["BoxOptions", "BoxSource", "GivenBoxes", "around", "box_source", "read_boxes"]

_COLUMNS = ("left", "top", "right", "bottom")
# The keypoints of a body end at ankles, wrists and face; of the longer side of their box, this much is missing: above
# (the top of the head, where no joint of the set is), below (the feet), at the sides.
_ABOVE, _BELOW, _BESIDE = 0.10, 0.06, 0.06
# A person is looked for again where this share of the keypoints is no longer well seen.
_LOST = 0.5


class BoxOptions(BaseModel):
    """Options of where the boxes come from; a top-down detector's options inherit them."""

    model_config = ConfigDict(extra="forbid")

    boxes: Annotated[
        Literal["mediapipe", "frame", "file"],
        Field(description="Where people are: found by MediaPipe, the whole frame, or read from box_file."),
    ] = "mediapipe"
    box_file: Annotated[
        Path | None, Field(description="CSV with time_s, left, top, right, bottom in px; for boxes: file.")
    ] = None
    box_every_s: Annotated[
        float, Field(ge=0, description="MediaPipe looks again this often; in between keypoints say where people are.")
    ] = 0.5


class BoxSource(Protocol):
    """Boxes of one clip, asked for frame by frame.

    Attributes
    ----------
    persons
        Of each box of the last answer, the number by which its person is known in all frames; None where that is not
        known. For :attr:`posemill.detectors.protocol.Detection.person`.
    seen, joint_set
        Of each box of the last answer, what found the person there saw of them, and the joint set of that; None where
        nothing did.
    """

    persons: list[int | None]
    seen: list[Detection | None]
    joint_set: str | None

    def for_frame(self, rgb: np.ndarray, time_s: float, previous: Detection | None) -> list[np.ndarray]:
        """Boxes (4,) px, the subject's first; none where nobody is.

        Parameters
        ----------
        rgb
            (H, W, 3) uint8.
        time_s
            Of the frame, from the first one.
        previous
            What the detector made of the subject in the frame before; None at the start and where it saw nobody.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def box_source(options: BoxOptions, *, temporal: bool) -> BoxSource:
    """Make the source of boxes of one clip.

    Raises
    ------
    InputError
        ``boxes: file`` without a file, or a file that cannot be read.
    MissingError
        ``boxes: mediapipe`` where MediaPipe is not there.
    """
    if options.boxes == "frame":
        return WholeFrame()
    if options.boxes == "file":
        if options.box_file is None:
            raise InputError(expected("box_file", "a CSV of boxes", "none", do="say box_file, or boxes: mediapipe"))
        return GivenBoxes(*read_boxes(options.box_file))
    from posemill.detectors import mediapipe

    detector = mediapipe.create(mediapipe.Options(), temporal=temporal)
    return FoundBoxes(detector, every_s=options.box_every_s if temporal else 0.0)


class _Source:
    joint_set: str | None = None

    def __init__(self) -> None:
        self.persons: list[int | None] = [None]
        self.seen: list[Detection | None] = [None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class WholeFrame(_Source):
    """The picture itself is the box."""

    def for_frame(self, rgb: np.ndarray, time_s: float, previous: Detection | None) -> list[np.ndarray]:
        """One box, whoever was seen before."""
        height, width = rgb.shape[:2]
        return [np.array([-0.5, -0.5, width - 0.5, height - 0.5])]


class GivenBoxes(_Source):
    """Boxes at given times, on straight lines in between; none before the first and after the last.

    Parameters
    ----------
    time
        (N,) s, increasing.
    boxes
        (N, 4) px.
    """

    def __init__(self, time: Times, boxes: np.ndarray, *, slack_s: float = 0.02) -> None:
        super().__init__()
        self._time, self._boxes, self._slack_s = time, boxes, slack_s

    def for_frame(self, rgb: np.ndarray, time_s: float, previous: Detection | None) -> list[np.ndarray]:
        """The box of this moment; one box alone is that of every frame."""
        if len(self._time) > 1 and not self._time[0] - self._slack_s <= time_s <= self._time[-1] + self._slack_s:
            return []
        return [np.array([np.interp(time_s, self._time, side) for side in self._boxes.T])]


class FoundBoxes(_Source):
    """Boxes by a detector that looks at whole pictures, and by the top-down detector's own keypoints in between.

    Parameters
    ----------
    detector
        Finds people in a picture.
    every_s
        How often it looks while the top-down detector sees the one person well; 0, or several people: at each frame.
    """

    def __init__(self, detector: Detector, *, every_s: float) -> None:
        super().__init__()
        self._detector, self._every_s = detector, every_s
        self.joint_set: str | None = detector.joint_set
        self._several = False
        self._looked_s = -np.inf

    def __enter__(self) -> Self:
        self._detector.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._detector.__exit__(*error)

    def for_frame(self, rgb: np.ndarray, time_s: float, previous: Detection | None) -> list[np.ndarray]:
        """The box of the keypoints seen before, or those of the people found now, who was seen longest first."""
        seen = previous is not None and bool((previous.valid & (previous.score > _LOST)).mean() > _LOST)
        if seen and not self._several and time_s - self._looked_s < self._every_s:
            assert previous is not None
            return self._as_before(previous)
        found = self._detector.detect(rgb, time_s)
        if found:
            self._looked_s, self._several = time_s, len(found) > 1
            self.persons, self.seen = [one.person for one in found], list(found)
            return [around(one.keypoints, one.valid) for one in found]
        if previous is None or not seen or self._several:
            self.persons, self.seen = [], []
            return []
        return self._as_before(previous)

    def _as_before(self, previous: Detection) -> list[np.ndarray]:
        self.persons, self.seen = [previous.person], [None]
        return [around(previous.keypoints, previous.valid)]


def around(keypoints: Points2, valid: np.ndarray) -> np.ndarray:
    """Box (4,) px of the body whose valid keypoints (J, 2) px these are: they end at ankles and face."""
    inside = np.asarray(keypoints)[np.asarray(valid, bool)]
    low, high = inside.min(0), inside.max(0)
    size = (high - low).max()
    return np.array(
        [low[0] - _BESIDE * size, low[1] - _ABOVE * size, high[0] + _BESIDE * size, high[1] + _BELOW * size]
    )


def read_boxes(path: Path) -> tuple[Times, np.ndarray]:
    """Read a table of boxes: CSV, a header with ``time_s``, ``left``, ``top``, ``right``, ``bottom``; px.

    Returns
    -------
    time (N,) s increasing, boxes (N, 4) px

    Raises
    ------
    InputError
        No such file, no such columns, no rows, times that do not increase, or a box without an inside.
    """
    from posemill.formats.csv_table import read_csv_table

    table: dict[str, Any] = read_csv_table(path)
    missing = [name for name in ("time_s", *_COLUMNS) if name not in table]
    if missing:
        want = ", ".join(("time_s", *_COLUMNS))
        raise InputError(expected("columns", want, ", ".join(table) or "none", where=path))
    time, boxes = table["time_s"], np.stack([table[name] for name in _COLUMNS], 1)
    if not len(time):
        raise InputError(expected("boxes", "at least one row", "none", where=path))
    whole = np.isfinite(time) & np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    whole[1:] &= np.diff(time) > 0
    if not whole.all():
        row = int(np.argmin(whole))
        want = "time_s later than the row before, left < right, top < bottom"
        got = f"time_s {time[row]:g}, box {', '.join(f'{v:g}' for v in boxes[row])}"
        raise InputError(expected(f"line {row + 2}", want, got, where=path))
    return time, boxes
