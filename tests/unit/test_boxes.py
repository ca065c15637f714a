from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemill.detectors.protocol import Detection
from posemill.errors import InputError
from posemill.people.boxes import BoxOptions, FoundBoxes, around, box_source, read_boxes

PICTURE = np.zeros((40, 60, 3), np.uint8)


def seen(x: float, *, score: float = 0.9) -> Detection:
    keypoints = np.array([[x, 10.0], [x + 10, 30.0]])
    return Detection(keypoints, np.full(2, score), np.ones(2), np.array([x, 10, x + 10, 30.0]), np.ones(2, bool))


class Finder:
    """A detector that always finds somebody at 30 px, and counts how often it is asked."""

    joint_set, device = "limbs12", "cpu"
    asked = 0

    def detect(self, rgb: np.ndarray, time_s: float) -> list[Detection]:
        self.asked += 1
        return [seen(30)]

    def __enter__(self) -> Finder:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    return path


def test_the_whole_frame_is_a_box() -> None:
    with box_source(BoxOptions(boxes="frame"), temporal=True) as source:
        (box,) = source.for_frame(PICTURE, 0.0, None)
    assert box.tolist() == [-0.5, -0.5, 59.5, 39.5]


def test_boxes_of_a_file_move_on_straight_lines(tmp_path: Path) -> None:
    file = table(tmp_path, "time_s,left,top,right,bottom\n0,0,0,10,20\n1,10,0,20,20\n")
    source = box_source(BoxOptions(boxes="file", box_file=file), temporal=True)
    assert source.for_frame(PICTURE, 0.5, None)[0].tolist() == [5, 0, 15, 20]
    assert source.for_frame(PICTURE, 1.2, None) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("time_s,left,top,right\n0,0,0,10\n", r"columns: expected time_s, left, top, right, bottom, got time_s, left"),
        ("time_s,left,top,right,bottom\n", "boxes: expected at least one row, got none"),
        ("time_s,left,top,right,bottom\n0,0,0,1,1\n0,0,0,1,1\n", r"line 3: expected time_s later than the row before"),
        ("time_s,left,top,right,bottom\n0,5,0,1,1\n", r"line 2: .* got time_s 0, box 5, 0, 1, 1"),
        ("time_s,left,top,right,bottom\n0,x,0,1,1\n", "expected numbers"),
    ],
)
def test_a_file_that_is_no_table_of_boxes_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=rf"boxes\.csv: {reason}"):
        read_boxes(table(tmp_path, text))


def test_a_file_must_be_named() -> None:
    with pytest.raises(InputError, match="box_file: expected a CSV of boxes"):
        box_source(BoxOptions(boxes="file"), temporal=True)


def test_keypoints_say_where_the_person_is_until_it_is_time_to_look() -> None:
    finder = Finder()
    source = FoundBoxes(finder, every_s=0.5)
    assert source.for_frame(PICTURE, 0.0, None)[0].tolist() == around(seen(30).keypoints, np.ones(2, bool)).tolist()
    assert len(source.seen) == 1 and source.seen[0] is not None and source.joint_set == finder.joint_set
    near = source.for_frame(PICTURE, 0.1, seen(5))[0]
    assert near.tolist() == around(seen(5).keypoints, np.ones(2, bool)).tolist() and finder.asked == 1
    assert source.seen == [None]
    source.for_frame(PICTURE, 0.2, seen(5, score=0.1))
    source.for_frame(PICTURE, 0.6, seen(5))
    assert finder.asked == 2
    source.for_frame(PICTURE, 0.75, seen(5))
    assert finder.asked == 3


def test_a_box_holds_more_than_the_keypoints() -> None:
    left, top, right, bottom = around(seen(20).keypoints, np.ones(2, bool))
    assert left < 20 and right > 30 and top < 10 and bottom > 30
