"""Two detectors' keypoints of one person as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from posemill.detectors import hourglass, hourglass_torch7
from posemill.detectors.blend import blended
from posemill.detectors.protocol import Detection
from posemill.skeleton import LIMBS, joint_set

MPII, COCO = joint_set("mpii16"), joint_set("coco17")
RNG = np.random.default_rng(3)


def detection(names, places: dict[str, np.ndarray], sigma: float, noise: float = 0.0) -> Detection:
    keypoints = np.array([places.get(name, (50.0, 20.0)) for name in names.joints]) + RNG.normal(
        0, noise, (len(names), 2)
    )
    ones = np.ones(len(names))
    return Detection(keypoints, 0.8 * ones, sigma * ones, np.zeros(4), ones > 0, person=4)


@pytest.fixture
def places() -> dict[str, np.ndarray]:
    return {name: RNG.uniform(20, 280, 2) for name in LIMBS}


def test_the_mean_is_by_certainty_and_surer_than_either(places):
    own = detection(MPII, places, 3.0)
    moved = {name: at + np.array([5.0, 0.0]) for name, at in places.items()}
    out = blended(own, "mpii16", detection(COCO, moved, 4.0), "coco17")
    limbs = MPII.indices(LIMBS)
    want = own.keypoints[limbs] + (5 * 9 / 25, 0)
    np.testing.assert_allclose(out.keypoints[limbs], want)
    np.testing.assert_allclose(out.sigma[limbs], 12 / 5)
    rest = np.setdiff1d(np.arange(16), limbs)
    np.testing.assert_array_equal(out.keypoints[rest], own.keypoints[rest])
    np.testing.assert_array_equal(out.sigma[rest], own.sigma[rest])
    assert out.person == 4
    np.testing.assert_allclose(out.bbox, [*out.keypoints.min(0), *out.keypoints.max(0)])


def test_errors_of_two_make_smaller_ones(places):
    """Of a hundred pairs with errors of 2 and 3 px: 1.66 px, as sigma says."""
    errors, said = [], []
    for _ in range(100):
        out = blended(detection(MPII, places, 2, 2), "mpii16", detection(COCO, places, 3, 3), "coco17")
        limbs = MPII.indices(LIMBS)
        errors.append(out.keypoints[limbs] - [places[name] for name in LIMBS])
        said.append(out.sigma[limbs])
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(6 / np.sqrt(13), rel=0.06)
    assert np.median(said) == pytest.approx(6 / np.sqrt(13))


def test_legs_exchanged_come_back_and_arms_stay(places):
    right = detection(MPII, places, 2)
    order = np.arange(16)
    legs = MPII.indices(("left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle"))
    order[list(legs)] = [*legs[3:], *legs[:3]]
    sigma = np.linspace(1, 2, 16)
    wrong = replace(right, keypoints=right.keypoints[order], sigma=sigma[order])
    out = blended(wrong, "mpii16", detection(COCO, places, 2), "coco17")
    np.testing.assert_allclose(out.keypoints, right.keypoints)
    limbs = MPII.indices(LIMBS)
    np.testing.assert_allclose(out.sigma[limbs], 1 / np.sqrt(1 / sigma[limbs] ** 2 + 1 / 4))


def test_where_they_contradict_the_other_counts_alone(places):
    own = detection(MPII, places, 2.0)
    far = dict(places) | {"left_wrist": places["left_wrist"] + np.array([60.0, 0.0])}
    out = blended(own, "mpii16", detection(COCO, far, 3.0), "coco17")
    wrist = MPII.index("left_wrist")
    np.testing.assert_allclose(out.keypoints[wrist], far["left_wrist"])
    assert out.sigma[wrist] == 3


def test_what_one_does_not_know_is_the_others(places):
    own, other = detection(MPII, places, 2.0), detection(COCO, places, 3.0)
    wrist, knee = "left_wrist", "right_knee"
    own.valid[MPII.index(wrist)] = False
    own.keypoints[MPII.index(wrist)] = 0
    other.valid[COCO.index(knee)] = False
    other.keypoints[COCO.index(knee)] = 0
    out = blended(own, "mpii16", other, "coco17")
    for name in (wrist, knee):
        np.testing.assert_allclose(out.keypoints[MPII.index(name)], places[name])
    assert out.valid.all() and out.sigma[MPII.index(wrist)] == 3 and out.sigma[MPII.index(knee)] == 2


def test_options_say_what_cannot_be_blended():
    assert hourglass.Options(blend=True).box_every_s == 0
    with pytest.raises(ValidationError, match="blend: expected boxes: mediapipe, got frame"):
        hourglass.Options(blend=True, boxes="frame")
    with pytest.raises(ValidationError, match="blend"):
        hourglass_torch7.Options.model_validate({"blend": True})
