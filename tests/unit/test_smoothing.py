"""The zero-lag smoother against motions whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from posemill import smoothing
from posemill.smoothing import bridged, low_pass, smooth


def run(time, x, sigma=0.1, observed=None, **options):
    """Smooth one series (T, 3) of constant sigma."""
    observed = np.isfinite(x).all(-1) if observed is None else observed
    covariance = np.broadcast_to(np.eye(3) * sigma**2, (1, len(time), 3, 3))
    options = {"q": 1.0, "max_gap_s": 0.5, **options}
    mean, cov, valid = smooth(time, x[None, :, :, None], covariance, observed[None], **options)
    return mean[0, :, :, 0], cov[0], valid[0]


def test_uniform_motion_stays_also_at_uneven_times():
    time = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.08, 200))
    x = np.array([1.0, -2, 4]) + time[:, None] * (0.5, 0, -1)
    mean, cov, valid = run(time, x)
    np.testing.assert_allclose(mean, x, atol=2e-3)
    np.testing.assert_allclose(mean[10:-10], x[10:-10], atol=1e-5)
    assert valid.all() and (np.linalg.eigvalsh(cov) > 0).all()


def test_it_is_the_least_squares_path():
    rng = np.random.default_rng(1)
    frames, q, sigma = 12, 3.0, 0.2
    time = np.cumsum(rng.uniform(0.02, 0.1, frames))
    z = rng.normal(size=(frames, 1))
    rows, right = [], []
    for k in range(frames):
        row = np.zeros(2 * frames)
        row[2 * k] = 1 / sigma
        rows.append(row)
        right.append(z[k, 0] / sigma)
    for k in range(frames - 1):
        dt = time[k + 1] - time[k]
        noise = q**2 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        root = np.linalg.inv(np.linalg.cholesky(noise))
        block = np.zeros((2, 2 * frames))
        block[:, 2 * k : 2 * k + 2] = -root @ np.array([[1, dt], [0, 1]])
        block[:, 2 * k + 2 : 2 * k + 4] = root
        rows += list(block)
        right += [0, 0]
    a = np.array(rows)
    best = np.linalg.lstsq(a, np.array(right), rcond=None)[0][::2]
    variance = np.diag(np.linalg.inv(a.T @ a))[::2]
    cov = np.full((1, frames, 1, 1), sigma**2)
    mean, p, _ = smooth(time, z[None, :, :, None], cov, np.ones((1, frames), bool), q=q, max_gap_s=1)
    np.testing.assert_allclose(mean[0, :, 0, 0], best, atol=2e-3)
    np.testing.assert_allclose(p[0, :, 0, 0], variance, rtol=2e-2)


def test_windows_side_by_side_give_the_same_as_one(monkeypatch):
    rng = np.random.default_rng(2)
    time = np.arange(1500) / 30
    x = np.cumsum(rng.normal(0, 0.02, (1500, 3)), axis=0)
    x[700:706] = np.nan
    x[900:1000] = np.nan
    parts = run(time, x, 0.03)
    monkeypatch.setattr(smoothing, "_WINDOW", 10_000)
    whole = run(time, x, 0.03)
    for a, b in zip(parts, whole, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_gaps():
    time = np.arange(10) * 0.1
    observed = np.array([0, 1, 1, 0, 0, 1, 0, 0, 0, 0], bool)
    np.testing.assert_array_equal(bridged(time, observed, 0.3), [0, 1, 1, 1, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(bridged(time, observed, 0.2), observed)
    assert not bridged(time, np.zeros(10, bool), 9.0).any()


def test_nothing_passes_over_a_long_gap():
    time = np.arange(100) / 30
    x = np.zeros((100, 3))
    x[40:70] = np.nan
    near, _, _ = run(time, x)
    x[70:] = 3.0
    far, _, valid = run(time, x)
    np.testing.assert_allclose(near[:40], far[:40], atol=1e-3)
    np.testing.assert_allclose(far[70:], 3.0, atol=1e-3)
    assert not valid[40:70].any() and np.isnan(far[40:70]).all()


@pytest.mark.parametrize("fps", [60.0, 240.0])
@pytest.mark.parametrize("hz", [1.0, 4.0, 6.0, 12.0])
def test_low_pass_has_the_gain_of_a_dual_pass_butterworth_and_no_lag(fps, hz):
    time = np.arange(int(6 * fps)) / fps
    wave = np.cos(2 * np.pi * hz * time)
    points = wave[None, :, None] * np.ones(3)
    out = low_pass(time, points, np.ones((1, len(time))), np.ones((1, len(time)), bool), cutoff_hz=6.0, max_gap_s=1)
    inner = slice(int(2 * fps), int(4 * fps))
    gain = 1 / (1 + (np.sqrt(2) - 1) * (hz / 6) ** 4)
    # The discrete gain is the continuous one up to terms of (hz / fps)².
    np.testing.assert_allclose(out[0, inner, 0], gain * wave[inner], atol=0.01 + 3 * (hz / fps) ** 2)


def test_margins_are_as_long_as_the_memory_of_a_fast_clip(monkeypatch):
    rng = np.random.default_rng(3)
    time = np.arange(6000) / 1000
    points = np.cumsum(rng.normal(0, 1, (1, 6000, 1)), axis=1)
    parts, whole = (
        low_pass(time, points, np.ones((1, 6000)), np.ones((1, 6000), bool), cutoff_hz=1.0, max_gap_s=1)
        for _ in (monkeypatch.setattr(smoothing, "_WINDOW", 512), monkeypatch.setattr(smoothing, "_WINDOW", 10_000))
    )
    assert np.abs(parts - whole).max() < 1e-3 * points.std()


def test_low_pass_weighs_by_sigma_and_keeps_gaps():
    time = np.arange(60) / 30
    points, sigma = np.zeros((1, 60, 3)), np.ones((1, 60))
    points[0, 30], sigma[0, 30] = 1.0, 10.0
    observed = np.ones((1, 60), bool)
    observed[0, 40:43] = False
    points[0, 40:43] = np.nan
    out = low_pass(time, points, sigma, observed, cutoff_hz=6.0, max_gap_s=0.5)
    assert np.nanmax(np.abs(out)) < 0.03
    np.testing.assert_array_equal(np.isnan(out[0, :, 0]), ~observed[0])
    nothing = low_pass(time, points * np.nan, sigma, ~observed & False, cutoff_hz=6.0, max_gap_s=0.5)
    assert np.isnan(nothing).all()


def test_low_pass_leaves_a_fast_ramp_alone_from_its_first_frame():
    """x = 1000 px/s from t = 0: constant velocity is the model, so nothing is to be smoothed away."""
    time = np.arange(30) / 30
    ramp = (1000 * time)[None, :, None]
    out = low_pass(time, ramp, np.ones((1, 30)), np.ones((1, 30), bool), cutoff_hz=6.0, max_gap_s=0.25)
    np.testing.assert_allclose(out, ramp, atol=1e-3)
