"""Mistakes are named; honest bad results pass."""

from __future__ import annotations

import re

import numpy as np
import pytest

from posemill.errors import InputError, PosemillError
from posemill.metrics.checks import check_all, check_joint_order, check_sides, check_units
from posemill.metrics.pose import p_mpjpe
from posemill.metrics.shift import best_lag, check_time_shift
from posemill.skeleton import joint_set
from tests.walker import walker

RNG = np.random.default_rng(7)
ORDER = joint_set("h36m17").flip_permutation
TRUTH = walker(240)[1]
TRUTH = TRUTH - TRUTH[:, :1]
# Unequal arms, as people have them: a body whose sides do the same looks the same in a mirror.
TRUTH[:, 12:14] += TRUTH[:, 11:12] * 0.3 + [0.05, 0.1, 0.2]


def noisy(sigma_m: float) -> np.ndarray:
    return TRUTH + sigma_m * RNG.normal(size=TRUTH.shape)


def later(frames: int, points: np.ndarray) -> np.ndarray:
    return np.concatenate([np.repeat(points[:1], frames, axis=0), points[:-frames]])


def swapped(*pair: int) -> np.ndarray:
    order = np.arange(17)
    order[list(pair)] = order[list(pair)[::-1]]
    return order


@pytest.mark.parametrize("sigma_m", [0.0, 0.03])
@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda x: x * 1000, "units look mixed: .* prediction .* times as large .* divide the prediction by 1000"),
        (lambda x: x / 1000, "units look mixed: .* divide the truth by 1000"),
        (lambda x: x * 100, "divide the prediction by 100 if it is in centimetres"),
        (lambda x: x[:, ORDER], r"left and right look swapped: P-MPJPE falls from \d+ to \d+ mm when swapped"),
        (lambda x: x * [1, 1, -1], "looks mirrored .* when mirrored"),
        (lambda x: (x * [1, -1, 1])[:, ORDER], "mirrored image: .* when mirrored and swapped"),
        (lambda x: x[:, np.random.default_rng(1).permutation(17)], "joints look shuffled: .* and 1[0-9] more; P-MPJPE"),
        (lambda x: x[:, np.random.default_rng(2).permutation(17)], "joints look shuffled"),
        (lambda x: x[:, swapped(8, 10)], "head_top holds thorax, thorax holds head_top; P-MPJPE"),
        (lambda x: later(1, x), "frames look shifted: .* 1 frame late in"),
        (lambda x: later(1, x[::-1])[::-1], "frames look shifted: .* 1 frame early in"),
        (lambda x: later(3, x), "frames look shifted: .* 3 frames late in"),
    ],
)
def test_a_mistake_is_named(mistake, message, sigma_m):
    with pytest.raises(PosemillError, match=message) as caught:
        check_all(mistake(noisy(sigma_m)), TRUTH)
    assert "\n" not in str(caught.value)


def smooth(points: np.ndarray, frames: int) -> np.ndarray:
    kernel = np.ones(frames) / frames
    padded = np.pad(points, ((frames // 2, frames // 2), (0, 0), (0, 0)), mode="edge")
    return np.apply_along_axis(np.convolve, 0, padded, kernel, mode="valid")


@pytest.mark.parametrize(
    "bad",
    [
        TRUTH,
        noisy(0.03),
        noisy(0.3),
        np.broadcast_to(TRUTH.mean(0), TRUTH.shape),
        TRUTH.mean(0) + 0.05 * RNG.normal(size=TRUTH.shape),
        np.broadcast_to(TRUTH[17], TRUTH.shape),
        RNG.normal(size=TRUTH.shape),
        0.6 * TRUTH,
        TRUTH * [1, 0.2, 1],
        TRUTH * [1, 1, 0],
        smooth(TRUTH, 9),
        TRUTH + 0.1 * RNG.normal(size=(1, 17, 3)),
        np.full(TRUTH.shape, np.nan),
        np.zeros(TRUTH.shape),
    ],
    ids=[
        "same",
        "noise30",
        "noise300",
        "mean",
        "mean+noise",
        "frozen",
        "white",
        "small",
        "flat",
        "planar",
        "smooth",
        "biased",
        "nothing",
        "zero",
    ],
)
@pytest.mark.filterwarnings("error")
def test_an_honest_bad_result_passes(bad):
    check_all(bad, TRUTH)


def test_the_figures_in_the_message_are_the_metrics():
    pred = noisy(0.02)
    with pytest.raises(InputError) as caught:
        check_sides(pred[:, ORDER], TRUTH)
    before, after = (int(n) for n in re.findall(r"from (\d+) to (\d+) mm", str(caught.value))[0])
    assert before == round(1000 * p_mpjpe(pred[:, ORDER], TRUTH)) and after == round(1000 * p_mpjpe(pred, TRUTH))


@pytest.mark.filterwarnings("error")
def test_gaps_do_not_stop_the_checks():
    valid = RNG.random(TRUTH.shape[:2]) > 0.2
    pred = np.where(valid[..., None], noisy(0.02), np.nan)
    check_all(pred, TRUTH)
    check_all(noisy(0.02), TRUTH, valid=valid)
    # One joint is never seen, and one side of the body.
    pred[:, 13] = np.nan
    check_all(pred, TRUTH)
    left = np.where(np.isin(np.arange(17), [4, 5, 6, 11, 12])[None, :, None], noisy(0.02), np.nan)
    check_all(left, TRUTH)
    with pytest.raises(InputError, match="swapped"):
        check_sides(pred[:, ORDER], TRUTH)
    with pytest.raises(InputError, match="times as large"):
        check_units(1000 * pred, TRUTH)


def test_the_lag_is_found_to_a_fraction_of_a_frame():
    time, points = walker(400, fps=60.0)
    shifted = np.stack([np.interp(time - 1.5 / 60, time, p) for p in points.reshape(400, -1).T], -1)
    lags = best_lag(shifted.reshape(points.shape), points, parts=4)
    np.testing.assert_allclose(lags, 1.5, atol=0.1)
    check_time_shift(points[:40], points[3:43])  # too short to tell


def test_joint_order_needs_the_joints_of_its_set():
    with pytest.raises(InputError, match="expected the 17 of coco17, got 16"):
        check_joint_order(TRUTH[:, 1:], TRUTH[:, 1:], joints_of="coco17")
    with pytest.raises(InputError, match=r"expected \(T, J, 3\)"):
        check_units(TRUTH[0], TRUTH[0])
