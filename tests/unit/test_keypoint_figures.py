"""Figures of 2D keypoints by hand, and a sigma that is fitted to errors of known size."""

from __future__ import annotations

import numpy as np

from posemill.metrics.keypoints import keypoint_figures
from posemill.training.pictures.spread import fit_sigma


def test_figures_by_hand():
    truth = np.zeros((1, 5, 2))
    found = np.array([[[1, 0], [0, 4.9], [5.1, 0], [np.nan, np.nan], [90, 0]]], dtype=float)
    asked = np.array([[True, True, True, True, False]])
    sigma = np.full((1, 5), 2.0)
    figures = keypoint_figures(found, truth, np.array([100.0]), asked, sigma)
    assert figures["pckh"] == 50.0, "what is not found is missed; what nobody asks for counts nothing"
    assert figures["median"] > 4.9
    assert figures["p90"] == float("inf")
    # Six coordinates of what was found, of which 4.9 and 5.1 are further than 2 px.
    np.testing.assert_allclose(figures["within_sigma"], 100 * 4 / 6)


def test_fitted_sigma_holds_two_thirds_of_the_errors_and_knows_the_worse_joints():
    rng = np.random.default_rng(0)
    n, size = 4000, np.full(4000, 300.0)
    score = rng.uniform(0.2, 1, (n, 2))
    true = 300 * np.sqrt(np.array([0.01, 0.02]) ** 2 + (0.1 * (1 - score)) ** 2)
    error = rng.normal(0, 1, (n, 2, 2)) * true[..., None]
    said = fit_sigma(error, size, np.full(n, 4.0), np.ones((n, 2)), score, np.ones((n, 2), dtype=bool))
    base = np.array(said["base"])
    assert base[1] > 1.5 * base[0]
    stated = 300 * np.sqrt(base**2 + (said["unsure"] * (1 - score)) ** 2)
    assert abs(float(np.mean(np.abs(error) <= stated[..., None])) - 0.6827) < 0.01
    sure, unsure = score > 0.9, score < 0.4
    for part in (sure, unsure):
        assert 0.6 < float(np.mean((np.abs(error) <= stated[..., None])[part])) < 0.76
