from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from posemill.anthropometry import stature_px
from posemill.people.cleaning import Cleaned, clean, fill_gaps, outliers
from posemill.people.options import GatherOptions
from posemill.people.tracks import main_person, match
from posemill.skeleton import joint_set

LIMBS = joint_set("limbs12")
PLAIN: dict[str, Any] = {"sides": False, "jump": None, "max_gap_s": 0, "cutoff_hz": None}


def walker(frames: int, *, speed: float = 60.0, fps: float = 30.0) -> tuple[np.ndarray, np.ndarray]:
    """(T, 12, 2) px and (T,) s: a rigid figure of stature 1000 px that moves right at a steady speed in px/s."""
    places = {"hip": (40, 0), "knee": (40, 245), "ankle": (40, 491), "shoulder": (40, -288)}
    places |= {"elbow": (60, -150), "wrist": (70, -20)}
    figure = np.array(
        [
            (x if side == "left" else -x, y)
            for side, kind in (j.split("_") for j in LIMBS.joints)
            for x, y in [places[kind]]
        ]
    )
    time = np.arange(frames) / fps
    return figure + [500, 500] + np.stack([speed * time, 0 * time], -1)[:, None], time


def cleaned(keypoints: np.ndarray, time: np.ndarray, *, temporal: bool = True, **options: Any) -> Cleaned:
    valid = np.isfinite(keypoints).all(-1)
    score, sigma = np.where(valid, 0.9, 0.0), np.where(valid, 2.0, np.nan)
    given = GatherOptions(**(PLAIN | options))
    return clean(keypoints, score, sigma, valid, time, joints="limbs12", temporal=temporal, options=given)


def test_stature_of_an_upright_figure() -> None:
    keypoints, _ = walker(3)
    assert stature_px(keypoints, "limbs12") == pytest.approx(1000)


def test_stature_survives_foreshortening_and_one_misplaced_joint() -> None:
    """Lying segments are short; one wild knee lengthens thigh and shank of one side, whose other segments stand."""
    keypoints, _ = walker(1)
    lying = keypoints.copy()
    lying[:, :6, 1] = keypoints[:, :1, 1]
    assert stature_px(lying, "limbs12") == pytest.approx(1000)
    assert np.isnan(stature_px(np.full((1, 12, 2), np.nan), "limbs12"))


def test_nothing_switched_on_changes_nothing() -> None:
    keypoints, time = walker(20)
    keypoints[5, 3] = np.nan
    result = cleaned(keypoints, time)
    np.testing.assert_array_equal(result.keypoints, keypoints)
    assert result.audit == {"low_score": 0, "rejected": 0, "filled": 0}
    assert not result.valid[5, 3] and result.score[5, 3] == 0 and np.isnan(result.sigma[5, 3])


def test_stills_are_left_alone() -> None:
    keypoints, time = walker(20)
    keypoints[7, 2] += 400
    keypoints[5, 3] = np.nan
    result = cleaned(keypoints, time, temporal=False, jump=0.1, max_gap_s=1, cutoff_hz=6.0)
    np.testing.assert_array_equal(result.keypoints, keypoints)


def test_steady_motion_passes_unchanged() -> None:
    """A straight line is its own median and its own low-pass, away from its ends."""
    keypoints, time = walker(60, speed=600)
    result = cleaned(keypoints, time, jump=0.1, max_gap_s=0.25, cutoff_hz=6.0)
    assert result.audit["rejected"] == 0
    np.testing.assert_allclose(result.keypoints[15:-15], keypoints[15:-15], atol=0.01)


def test_jump_is_rejected_and_filled() -> None:
    keypoints, time = walker(30)
    true = keypoints.copy()
    keypoints[10:12, 4] += [0, 300]
    result = cleaned(keypoints, time, jump=0.1, max_gap_s=0.25)
    assert result.audit == {"low_score": 0, "rejected": 2, "filled": 2}
    np.testing.assert_allclose(result.keypoints, true)
    assert (result.sigma[10:12, 4] > 2).all() and (np.delete(result.sigma, 4, axis=1) == 2).all()


def test_slow_frames_have_no_outliers() -> None:
    keypoints, time = walker(30, fps=5)
    keypoints[10, 4] += 500
    assert not outliers(keypoints, np.ones((30, 12), bool), time, np.full(30, 100.0)).any()


def test_low_score_counts_as_unseen() -> None:
    keypoints, time = walker(5)
    result = cleaned(keypoints, time, min_score=0.95)
    assert not result.valid.any() and result.audit["low_score"] == 60


def test_gaps_by_hand() -> None:
    """x = 0 at 0 s and 3 at 0.3 s; between, limbs may have strayed by a (t - t0) (t1 - t) / 2."""
    time = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    keypoints = np.array([0, np.nan, np.nan, 3, np.nan])[:, None, None] * np.ones((1, 1, 2))
    valid = np.isfinite(keypoints[..., 0])
    score, sigma = np.array([[0.5], [0], [0], [0.8], [0]]), np.where(valid, 1.0, np.nan)
    points, score, sigma, filled = fill_gaps(keypoints, score, sigma, valid, time, np.full(5, 100.0), 0.3)
    np.testing.assert_array_equal(filled[:, 0], [True, True, True, True, False])
    np.testing.assert_allclose(points[:4, 0, 0], [0, 1, 2, 3])
    np.testing.assert_allclose(score[:4, 0], [0.5, 0.5, 0.5, 0.8])
    np.testing.assert_allclose(sigma[1:3, 0], np.hypot(1, 0.5 * 10 * 100 * 0.1 * 0.2))
    assert not fill_gaps(keypoints, score, sigma, valid, time, np.full(5, 100.0), 0.25)[3][1, 0]


def turned(figure: np.ndarray, degrees: float) -> np.ndarray:
    """The figure (12, 2) turned about its middle."""
    turn = np.radians(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (figure - figure.mean(0)) @ rotation.T + figure.mean(0)


@pytest.mark.parametrize(("degrees", "filled"), [(40, True), (120, False)])
def test_nothing_is_filled_in_while_a_body_turns_over(degrees: float, filled: bool) -> None:
    keypoints, time = walker(30)
    keypoints[15:] = [turned(one, degrees) for one in keypoints[15:]]
    keypoints[12:15] = np.nan
    result = cleaned(keypoints, time, max_gap_s=0.25)
    assert result.valid[[11, 15]].all() and (result.valid[12:15] == filled).all()


def test_a_pose_too_large_for_its_person_is_none() -> None:
    keypoints, time = walker(40, speed=0)
    keypoints[20] = 1.6 * keypoints[20]
    keypoints[21:24] = np.nan
    result = cleaned(keypoints, time, jump=0.1)
    assert result.audit["rejected"] == 12 and not result.valid[20:24].any() and result.valid[[19, 24]].all()
    assert cleaned(keypoints, time).valid[20].all()


def test_jitter_becomes_smaller_without_lag() -> None:
    keypoints, time = walker(300)
    noise = np.random.default_rng(0).normal(0, 3, keypoints.shape)
    error = (cleaned(keypoints + noise, time, cutoff_hz=3.0).keypoints - keypoints)[30:-30]
    assert error.std() < 1.7
    assert abs(error.mean()) < 0.1


def test_cutoff_keeps_slow_and_removes_fast() -> None:
    keypoints, time = walker(300, speed=0)
    for hertz, kept in ((0.5, 0.99), (12.0, 0.2)):
        wave = 20 * np.sin(2 * np.pi * hertz * time)[:, None, None]
        out = cleaned(keypoints + wave, time, cutoff_hz=6.0).keypoints - keypoints
        gain = out[50:-50].std() / wave[50:-50].std()
        assert (gain > kept) if hertz < 6 else (gain < kept)


def test_a_leap_is_another_person() -> None:
    """Half a box height and three a second: 10 px at once and 130 px in two seconds, of a box 20 px high."""
    known, near, far = (np.array([[x, 0, x + 10, 20.0]]) for x in (0, 9, 120))
    assert match(known, near, np.array([1e-9])).tolist() == [0]
    assert match(known, far, np.array([1.0])).tolist() == [-1]
    assert match(known, far, np.array([2.0])).tolist() == [0]
    assert match(known, far, np.array([np.inf])).tolist() == [0]


def test_people_keep_their_tracks() -> None:
    known = np.array([[0, 0, 10, 20.0], [100, 0, 110, 20.0]])
    found = np.array([[103, 0, 113, 20.0], [400, 0, 410, 20.0], [2, 0, 12, 20.0]])
    assert match(known, found, np.full(2, 0.04)).tolist() == [1, -1, 0]
    assert match(np.zeros((0, 4)), found, np.zeros(0)).tolist() == [-1, -1, -1]
    assert match(known, np.zeros((0, 4)), np.full(2, 0.04)).tolist() == []


def test_main_person_is_seen_longest_and_largest() -> None:
    scores = {"p1": np.ones((10, 3)), "p2": np.ones((10, 3))}
    scores["p1"][3:] = 0
    boxes = {name: np.tile([0.0, 0, 10, 100], (10, 1)) for name in scores}
    boxes["p1"][3:] = np.nan
    assert main_person(scores, boxes) == "p2"
    boxes["p1"][:3, 3] = 1000
    assert main_person(scores, boxes) == "p1"


def test_somebody_seen_from_the_chest_up_is_cleaned_by_the_width_of_the_shoulders() -> None:
    arms = [j for j, name in enumerate(LIMBS.joints) if name.endswith(("shoulder", "elbow", "wrist"))]
    left = [j for j in arms if LIMBS.joints[j].startswith("left")]
    keypoints, time = walker(40)
    keypoints[:, [j for j in range(12) if j not in arms]] = np.nan
    keypoints[20:23] = np.nan
    keypoints[30, left[2]] += 200
    result = cleaned(keypoints, time, jump=0.1, max_gap_s=0.25, sides=True)
    assert result.valid[20:23][:, arms].all() and np.isfinite(result.sigma[result.valid]).all()
    assert result.audit["rejected"] == 1
    # Of one arm alone nobody's size is known: nothing is filled.
    keypoints[:, [j for j in arms if j not in left]] = np.nan
    alone = cleaned(keypoints, time, jump=0.1, max_gap_s=0.25)
    assert not alone.valid[20:23].any() and alone.valid[:20][:, left].all()
