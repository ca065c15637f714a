"""Everybody in view, with stand-ins for the networks: what is looked at where, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from posemill.detectors.blazepose import Pose, Region
from posemill.detectors.mediapipe import _detection
from posemill.detectors.mediapipe_people import Follower
from posemill.skeleton import joint_set
from tests.unit.test_people import walker

NAMES = joint_set("blazepose33")
PICTURE = np.zeros((600, 800, 3), np.uint8)
PICTURE[:, :10] = 255
FIGURE = walker(1)[0][0]
WRIST = joint_set("limbs12").index("left_wrist")
FPS = 10


@dataclass
class Networks:
    """One person in the picture, 500 px tall. How well a region fits decides how well the pose does.

    ``contrary``: the mirrored picture is read with left for right. ``arm``: the left wrist is this much lower, px.
    """

    x: float = 400.0
    contrary: bool = False
    arm: float = 0.0
    asked: list[Region] = field(default_factory=list)

    def find(self, rgb: np.ndarray, tile: Any = None) -> list[Region]:
        return [Region(self.x, 300, 600, 0)] if tile is None else []

    def pose(self, rgb: np.ndarray, region: Region) -> Pose:
        self.asked.append(region)
        mirrored = not rgb[0, 0].any()
        x = 800 - self.x if mirrored else self.x
        table = np.full((33, 3), 0.95)
        table[:, :2] = (x / 800, 0.5)
        points = (FIGURE - FIGURE.mean(0)) / 2 * ([-1, 1] if mirrored else [1, 1])
        points[WRIST, 1] += self.arm
        # A pose that is looked for beside the person comes out beside the person.
        off = 0.3 * (region.x - x) if abs(region.x - x) > 20 else 0.0
        table[NAMES.indices(joint_set("limbs12").joints), :2] = (points + np.array([x + off, 300])) / (800, 600)
        table = table[NAMES.flip_permutation] if mirrored and not self.contrary else table
        return Pose(table, Region(x, 300, 600, 0))


def follower(networks: Networks, mirror: str = "never") -> Follower:
    return Follower(cast("Any", networks), _detection, 4, mirror)


def middle(found: Any) -> float:
    return float(found.keypoints[NAMES.indices(joint_set("limbs12").joints), 0].mean())


@pytest.mark.parametrize("rate", [1, 2, 3])
def test_a_picture_is_read_alike_however_long_ago_the_last_one_was(rate: int) -> None:
    networks = Networks()
    watch = follower(networks)
    for frame in range(0, 9, rate):
        networks.x = 380 + 30 * frame
        (found,) = watch.detect(PICTURE, frame / FPS)
        assert middle(found) == pytest.approx(networks.x - 0.5, abs=0.1)
        assert found.person == 1


def test_who_stands_still_is_looked_at_once() -> None:
    networks = Networks()
    watch = follower(networks)
    for frame in range(4):
        watch.detect(PICTURE, frame / FPS)
    assert len(networks.asked) == 4


def test_who_goes_on_is_looked_for_where_they_went() -> None:
    networks = Networks(x=200)
    watch = follower(networks)
    for frame in range(8):
        networks.x = 200 + 15 * frame
        watch.detect(PICTURE, frame / FPS)
    networks.asked.clear()
    networks.x += 15
    watch.detect(PICTURE, 0.8)
    assert abs(networks.asked[0].x - networks.x) < 5


def test_a_mirror_that_takes_left_for_right_confirms_the_pose() -> None:
    agreeing, contrary = (
        follower(Networks(x=380, contrary=flag), "always").detect(PICTURE, 0.0) for flag in (False, True)
    )
    np.testing.assert_allclose(contrary[0].keypoints, agreeing[0].keypoints, atol=1e-6)
    np.testing.assert_allclose(contrary[0].sigma, agreeing[0].sigma, atol=1e-6)


@pytest.mark.parametrize(("contrary", "looks"), [(False, 2), (True, 6)])
def test_readings_that_contradict_each_other_are_asked_for_again(contrary: bool, looks: int) -> None:
    networks = Networks(contrary=contrary)
    follower(networks, "always").detect(PICTURE, 0.0)
    assert len(networks.asked) == looks
    assert sorted({region.side for region in networks.asked}) == ([600] if looks == 2 else [540, 600, 750])


def test_a_limb_that_leaps_is_looked_at_again_and_for_a_while() -> None:
    networks = Networks()
    watch = follower(networks, "always")
    asked = []
    for time_s, networks.arm in ((0.0, 0.0), (0.1, 10.0), (0.2, 90.0), (0.3, 90.0), (0.6, 90.0)):
        networks.asked.clear()
        watch.detect(PICTURE, time_s)
        asked.append(len(networks.asked))
    assert asked == [2, 2, 6, 6, 2]
