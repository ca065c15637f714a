from __future__ import annotations

import numpy as np
import pytest

from posemill.people.parts import exchanging
from posemill.people.readings import agreed, leapt
from posemill.skeleton import joint_set
from tests.unit.test_sides import jumping_jack

NAMES = joint_set("blazepose33")
LIMBS = NAMES.indices(joint_set("limbs12").joints)
LEGS, ARMS = exchanging(NAMES, "legs"), exchanging(NAMES, "arms")
LEG = NAMES.indices(("left_knee", "left_ankle", "left_heel", "left_big_toe"))
STATURE = 1000.0
MOVED = np.array([4, -2, -0.1])


def figure(frame: int = 15) -> np.ndarray:
    """(33, 3): x and y in px and score, legs and arms astride."""
    table = np.zeros((33, 3))
    table[LIMBS, :2], table[:, 2] = jumping_jack(30)[frame], 0.9
    return table


@pytest.mark.parametrize(("what", "joints"), [("body", 32), ("legs", 8), ("arms", 10), ("none", 0)])
def test_two_readings_get_the_sides_of_the_better_seen(what: str, joints: int) -> None:
    order = np.arange(33) if what == "none" else exchanging(NAMES, what)
    first, second = figure(), figure()[order] + MOVED
    for readings in ((first, second), (second, first)):
        said = agreed(np.array(readings), STATURE, "blazepose33")
        assert said.contested.sum() == joints
        np.testing.assert_allclose(said.table, first + MOVED / 2)
        np.testing.assert_allclose(said.spread, np.linalg.norm(MOVED[:2]) / 2)


def test_contested_sides_are_those_of_the_picture_before() -> None:
    first, second = figure(), figure()[LEGS] + MOVED
    said = agreed(np.array([first, second]), STATURE, "blazepose33", before=second[:, :2] + 3)
    np.testing.assert_allclose(said.table, (first[LEGS] + second) / 2)


def test_the_majority_says_sides_whatever_was_before() -> None:
    readings = np.array([figure()] * 5 + [figure()[LEGS]])
    said = agreed(readings, STATURE, "blazepose33", before=figure()[LEGS][:, :2])
    assert not said.contested.any()
    np.testing.assert_allclose(said.table, figure())


def test_a_limb_put_elsewhere_each_time_is_where_most_see_it() -> None:
    readings = np.array([figure()] * 6)
    for reading, away in zip(readings, ((300, -200), (-250, 0), (0, 0), (0, 0), (0, 0), (400, 100)), strict=True):
        reading[LEG, :2] += away
    said = agreed(readings, STATURE, "blazepose33")
    np.testing.assert_allclose(said.table, figure())
    rest = np.setdiff1d(np.arange(33), np.flatnonzero(np.arange(33) != LEGS))
    assert (said.spread[LEG] > 100).all() and (said.spread[rest] < 1e-9).all()


def test_a_leap_is_not_that_of_the_body_nor_of_names() -> None:
    before = figure()[:, :2]
    assert leapt(before + 400, before, STATURE, "blazepose33") == pytest.approx(0)
    assert leapt(before[LEGS][ARMS], before, STATURE, "blazepose33") == pytest.approx(0)
    after = before.copy()
    after[NAMES.index("left_wrist"), 0] += 120
    assert leapt(after, before, STATURE, "blazepose33") == pytest.approx(0.11, abs=1e-9)
