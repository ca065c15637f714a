from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from posemill.clip_sources import parse_box
from posemill.errors import ClipError, InputError
from posemill.people.appearance import appearance, unlike
from posemill.people.follow import Candidate, Roster
from posemill.people.subject import choose, stitch
from posemill.skeleton import joint_set
from tests.unit.test_people import walker

FIGURE = walker(1)[0][0]
RED, BLUE = np.full(30, 200.0), np.full(30, 60.0)
FPS = 25


def candidate(x: float, look: np.ndarray, *, size: float = 1000.0, owner: int | None = None) -> Candidate:
    return Candidate((FIGURE - FIGURE.mean(0)) * size / 1000 + [x, 500], size, look, 0.0, owner)


def test_people_who_cross_keep_their_numbers() -> None:
    """Red walks right and blue left; while red is hidden (frames 9 to 13), only blue is seen."""
    roster, numbers = Roster(4), []
    for frame in range(24):
        seen = {"blue": candidate(1200 - 50 * frame, BLUE)}
        if not 9 <= frame <= 13:
            seen["red"] = candidate(50 * frame, RED)
        numbers.append(dict(zip(seen, roster.assign(list(seen.values()), frame / FPS), strict=True)))
    assert {n["blue"] for n in numbers} == {1}
    assert {n["red"] for n in numbers if "red" in n} == {2}


def test_a_region_taken_over_by_somebody_else_leaves_its_person_unseen() -> None:
    roster = Roster(4)
    for frame in range(10):
        assert roster.assign([candidate(0, RED), candidate(800, BLUE)], frame / FPS) == [1, 2]
    taken = [candidate(20, RED, owner=1), candidate(20, RED, owner=2)]
    assert roster.assign(taken, 0.4) == [1, None]
    assert roster.assign([candidate(20, RED, owner=1), candidate(820, BLUE)], 0.44) == [1, 2]


def test_other_clothes_in_the_same_place_are_somebody_else() -> None:
    roster = Roster(4)
    for frame in range(5):
        roster.assign([candidate(0, RED), candidate(1500, RED)], frame / FPS)
    assert roster.assign([candidate(0, BLUE), candidate(1500, RED)], 5 / FPS) == [3, 2]


def test_alone_a_person_may_change_looks_and_turn_fast() -> None:
    roster = Roster(4)
    assert roster.assign([candidate(0, RED)], 0.0) == [1]
    assert roster.assign([candidate(150, RED - 80)], 1 / FPS) == [1]


def test_another_reading_of_a_body_is_nobody_new() -> None:
    roster = Roster(4)
    assert roster.assign([candidate(0, RED)], 0.0) == [1]
    crouching = replace(candidate(100, RED, owner=1), score=0.5)
    standing = replace(candidate(-100, RED), score=0.9)
    assert roster.assign([crouching, standing], 1 / FPS) == [None, 1]
    assert roster.assign([replace(crouching, score=0.9), standing], 2 / FPS) == [1, None]
    misread = replace(standing, look=BLUE, score=0.4)
    assert roster.assign([crouching, misread], 3 / FPS) == [1, None]
    assert roster.assign([crouching, replace(standing, look=BLUE)], 3 / FPS) == [1, 2]


def test_a_body_made_of_two_people_is_nobodys() -> None:
    """One stands above the other; found anew is one of twice their size, seen better, with a part of either."""
    roster = Roster(4)
    above = replace(candidate(0, RED, owner=1), score=0.7)
    below = replace(candidate(100, RED, owner=2), score=0.8)
    below = replace(below, limbs=np.add(below.limbs, [0, 900]))
    assert roster.assign([above, below], 0.0) == [1, 2]
    both = replace(candidate(50, RED, size=2000), score=0.9)
    both = replace(both, limbs=np.add(both.limbs, [0, 400]))
    assert roster.assign([above, below, both], 1 / FPS) == [1, 2, None]
    # Alone, one who was misread is read again.
    alone = Roster(4)
    assert alone.assign([above], 0.0) == [1]
    assert alone.assign([above, both], 1 / FPS) == [None, 1]


def test_who_stands_behind_another_is_known_by_their_clothes() -> None:
    roster = Roster(4)
    assert roster.assign([candidate(0, RED), candidate(600, BLUE)], 0.0) == [1, 2]
    behind = replace(candidate(300, BLUE), score=0.4)
    assert roster.assign([candidate(60, RED, owner=1), behind], 0.3) == [1, 2]


def test_no_more_people_than_asked_for() -> None:
    assert Roster(1).assign([candidate(0, RED), candidate(1500, BLUE)], 0.0) == [1, None]


def test_looks_are_those_of_trunk_and_thighs() -> None:
    figure, joints = FIGURE / 2, joint_set("limbs12").joints
    hips = int(figure[joints.index("left_hip"), 1])
    picture = np.zeros((700, 700, 3), np.uint8)
    picture[:hips], picture[hips:] = (200, 20, 20), (20, 20, 200)
    look = appearance(picture, figure, np.ones(12, bool), "limbs12")
    assert look[:5] == pytest.approx(80) and look[5:10] == pytest.approx(180)
    assert look[15:20] == pytest.approx(80) and look[20:25] == pytest.approx(0)
    bright = np.clip(picture.astype(int) + 12, 0, 255).astype(np.uint8)
    assert unlike(look, appearance(bright, figure, np.ones(12, bool), "limbs12")) < 8
    assert unlike(look, appearance(picture[..., ::-1], figure, np.ones(12, bool), "limbs12")) > 60
    assert np.isnan(appearance(picture, figure - 2000, np.ones(12, bool), "limbs12")).all()


def track(frames: slice, x: float, *, height: float = 100.0, count: int = 100) -> dict[str, np.ndarray]:
    seen = np.zeros(count, bool)
    seen[frames] = True
    box = np.array([x, 200 - height / 2, x + 40, 200 + height / 2])
    return {
        "keypoints": np.where(seen[:, None, None], x, np.nan) * np.ones((count, 2, 2)),
        "score": np.where(seen[:, None], 0.9, 0.0) * np.ones((count, 2)),
        "sigma": np.where(seen[:, None], 1.0, np.nan) * np.ones((count, 2)),
        "valid": seen[:, None] & np.ones((count, 2), bool),
        "bbox": np.where(seen[:, None], box, np.nan),
    }


TIME = np.arange(100) / FPS
TRACKS = {
    "p1": track(slice(0, 40), 100),
    "p2": track(slice(0, 100), 600, height=60),
    "p3": track(slice(50, 100), 120),
    "p4": track(slice(42, 100), 300, height=160),
}


def test_broken_tracks_of_one_person_come_together() -> None:
    assert stitch(TRACKS, TIME, {}) == [("p1", "p3"), ("p2",), ("p4",)]
    looks = {"p1": RED, "p3": BLUE}
    assert stitch(TRACKS, TIME, looks) == [("p1",), ("p2",), ("p4",), ("p3",)]


@pytest.mark.parametrize(
    ("by", "tracks"), [("longest", ("p2",)), ("largest", ("p4",)), ("most_central", ("p2",)), ("main", ("p4",))]
)
def test_the_subject_is_chosen(by: str, tracks: tuple[str, ...]) -> None:
    assert choose(TRACKS, TIME, (840, 400), by=by).tracks == tracks


def test_a_box_says_who_it_is() -> None:
    chosen = choose(TRACKS, TIME, (1240, 400), box=np.array([0.4, 90, 150, 150, 250]))
    assert chosen.tracks == ("p1", "p3")
    assert np.isfinite(chosen.arrays["bbox"]).all(1).tolist() == [True] * 40 + [False] * 10 + [True] * 50
    with pytest.raises(ClipError, match="subject_box: expected somebody in 900, 0, 999, 9, got 3 elsewhere"):
        choose(TRACKS, TIME, (1240, 400), box=np.array([np.nan, 900, 0, 999, 9]))
    with pytest.raises(ClipError, match="subject_box: expected a box in the clip sheet, got none"):
        choose(TRACKS, TIME, (1240, 400), by="box")


def test_boxes_of_the_sheet() -> None:
    assert parse_box("1.5: 200,80,420,690") == (1.5, 200, 80, 420, 690)
    assert np.isnan(parse_box("200, 80, 420, 690")[0])
    for text in ("200,80,420", "a,b,c,d", "420,80,200,690", "-1:1,2,3,4"):
        with pytest.raises(InputError, match="subject_box: expected left,top,right,bottom in pixels"):
            parse_box(text)
