"""Noise of the source ``noisy``: size, tail and memory by hand, and the tail fitted again to real predictions."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from posemill.detectors import exact, noisy
from posemill.detectors.noise import (
    FIT_QUANTILES,
    HOURGLASS,
    TIME_CONSTANT_S,
    HeavyTail,
    errors_over_time,
    fit_tail,
    ornstein_uhlenbeck,
)
from posemill.detectors.protocol import Truth
from posemill.errors import InputError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def correlation(x: np.ndarray, lag: int) -> float:
    return float((x[:-lag] * x[lag:]).mean() / (x**2).mean())


def truth(clip: str = "S1/walk", frames: int = 40, fps: float = 25.0, height_px: float = 500.0) -> Truth:
    points = np.stack(np.meshgrid(np.arange(frames), np.arange(17)), -1).transpose(1, 0, 2) + 100.0
    flags = np.ones((frames, 17), dtype=bool)
    return Truth(clip, np.arange(frames) / fps, points, flags, "h36m17", np.full(frames, height_px))


def test_tail_of_two_degrees_by_hand():
    # nu = 2: P(r > R) = 1 / (1 + R²/2), so R(1/2) = sqrt(2), and half the mean square up to C is ln(1 + C²/2).
    law = HeavyTail(nu=2.0, cap=0.99)
    np.testing.assert_allclose(law.radius(np.array([0.0, 0.5, 0.8, 0.99, 0.999])), np.sqrt([0, 2, 8, 198, 198]))
    assert law.deviation == pytest.approx(np.sqrt(np.log(100)))


def test_light_tail_is_gaussian():
    law = HeavyTail(nu=1e7, cap=1 - 1e-9)
    assert law.deviation == pytest.approx(1, rel=1e-3)
    assert float(law.radius(0.5)) == pytest.approx(np.sqrt(2 * np.log(2)), rel=1e-3)


def test_size_and_quantiles_are_the_laws():
    errors = errors_over_time(np.arange(3000) * 10.0, 100, rng())
    np.testing.assert_allclose(errors.std(axis=(0, 1)), 1, atol=0.015)
    np.testing.assert_allclose(errors.mean(axis=(0, 1)), 0, atol=0.01)
    length = np.linalg.norm(errors, axis=-1)
    levels = np.array(FIT_QUANTILES[:-1])
    np.testing.assert_allclose(np.quantile(length, levels), HOURGLASS.radius(levels) / HOURGLASS.deviation, rtol=0.02)
    assert length.max() == pytest.approx(float(HOURGLASS.radius(1.0)) / HOURGLASS.deviation)
    # As the module says: half of all within half a size, the longest 7.6 sizes.
    assert np.median(length) == pytest.approx(0.5, abs=0.01) and length.max() == pytest.approx(7.65, abs=0.01)


def test_memory_is_exponential_in_seconds():
    paths = ornstein_uhlenbeck(np.arange(4000) / 50, (200,), 0.4, rng())
    assert paths.std() == pytest.approx(1, abs=0.01)
    for lag in (1, 10, 20, 60):
        assert correlation(paths, lag) == pytest.approx(np.exp(-lag / 50 / 0.4), abs=0.02)


def test_uneven_times_have_the_memory_of_their_steps():
    time = np.cumsum(np.tile([0.02, 0.3], 2000))
    paths = ornstein_uhlenbeck(time, (200,), 0.4, rng())
    for start, step in ((1, 0.02), (0, 0.3)):
        pairs = (paths[start::2][:1999] * paths[start + 1 :: 2][:1999]).mean()
        assert pairs == pytest.approx(np.exp(-(0.3 if start == 0 else 0.02) / 0.4), abs=0.02), step


@pytest.mark.parametrize("fps", [25.0, 100.0])
def test_noise_does_not_depend_on_the_frame_rate(fps):
    errors = errors_over_time(np.arange(int(160 * fps)) / fps, 100, rng(int(fps)))
    assert errors.std() == pytest.approx(1, abs=0.03)
    # The sign of an error is that of a Gaussian process, whatever the tail: sin(pi/2 <s s'>) is its correlation.
    lag_s = 0.2
    signs = np.sign(errors)
    agree = correlation(signs, round(lag_s * fps))
    assert np.sin(np.pi / 2 * agree) == pytest.approx(np.exp(-lag_s / TIME_CONSTANT_S), abs=0.02)


def test_outliers_last():
    length = np.linalg.norm(errors_over_time(np.arange(20000) / 50, 50, rng()), axis=-1)
    far = length > np.quantile(length, 0.95)
    assert (far[:-5] & far[5:]).mean() / far.mean() > 5 * far.mean()


def test_stills_do_not_know_of_each_other():
    errors = errors_over_time(np.arange(4000.0) / 50, 50, rng(), temporal=False)
    assert abs(correlation(np.sign(errors), 1)) < 0.01


def test_time_that_stands_still():
    with pytest.raises(InputError, match="each later"):
        ornstein_uhlenbeck(np.zeros(3), (1,), 0.4, rng())


def test_seed_and_clip_decide_the_noise():
    def keypoints(seed: int, clip: str) -> np.ndarray:
        return noisy.observe(noisy.Options(seed=seed), truth(clip)).keypoints

    first = keypoints(0, "S1/walk")
    np.testing.assert_array_equal(first, keypoints(0, "S1/walk"))
    for other in (keypoints(1, "S1/walk"), keypoints(0, "S1/run"), keypoints(0, "S2/walk")):
        assert np.abs(first - other).min() > 0


def test_noise_grows_with_the_person_and_is_said():
    small, large = (noisy.observe(noisy.Options(), truth(height_px=h)) for h in (100.0, 400.0))
    exactly = truth().keypoints
    np.testing.assert_allclose(large.keypoints - exactly, 4 * (small.keypoints - exactly))
    np.testing.assert_allclose(large.sigma, 0.012 * 400)
    many = noisy.observe(noisy.Options(), truth(frames=20000, fps=1.0))
    assert (many.keypoints - truth(frames=20000).keypoints).std() == pytest.approx(0.012 * 500, rel=0.02)


def test_exact_is_the_truth():
    observed = exact.observe(exact.Options(), truth())
    np.testing.assert_array_equal(observed.keypoints, truth().keypoints)
    assert (observed.sigma == exact.SIGMA_PX).all()


def test_frames_and_joints_that_are_not_there():
    picture = np.zeros((600, 115, 3), np.uint8)
    with exact.create(exact.Options(), temporal=True, truth=truth()) as detector:
        (seen,) = detector.detect(picture, 0.4 + 0.019)
        # Frame 10: x = 110, y = 100 + joint; h36m17 has no nose, which is in posemill28.
        np.testing.assert_allclose(seen.keypoints[:17, 0], 110)
        assert seen.valid.tolist() == [True] * 17 + [False] * 11 and seen.bbox.tolist() == [110, 100, 110, 116]
        assert detector.detect(picture, 1.6) == []  # later than half a frame after the last
        assert detector.detect(picture, 0.8) == []  # outside the picture: x = 120


def test_tail_fitted_again(shared_data):
    folder = shared_data / "formats" / "hourglass_mpii"
    if not folder.is_dir():
        pytest.skip(f"no hourglass predictions at {folder}")
    with h5py.File(folder / "annot_valid.h5") as a, h5py.File(folder / "preds_valid-example.h5") as p:
        part, scale, found = a["part"][:], a["scale"][:], p["preds"][:]  # pyright: ignore
    annotated = (part > 0).all(-1)
    lengths = (np.linalg.norm(found - part, axis=-1) / (200 * scale[:, None]))[annotated]
    assert len(lengths) == 44195
    np.testing.assert_allclose(
        100 * np.quantile(lengths, FIT_QUANTILES), [1.18, 1.95, 2.80, 7.05, 12.3, 29.0], atol=0.05
    )
    size, law = fit_tail(lengths)
    assert law.nu == pytest.approx(HOURGLASS.nu, abs=0.001) and size == pytest.approx(0.01353, abs=1e-4)
    np.testing.assert_allclose(
        size * law.radius(np.array(FIT_QUANTILES)), np.quantile(lengths, FIT_QUANTILES), rtol=0.11
    )
