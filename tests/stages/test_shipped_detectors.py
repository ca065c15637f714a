"""The hourglass's own weights: small, with a page and free terms, and they find the people of the demo's films."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import posemill
from posemill.anthropometry import stature_px
from posemill.detectors import hourglass
from posemill.formats.artifact import read
from posemill.formats.weights import read_card
from posemill.media import frames
from posemill.skeleton import convert
from posemill.stages.card import page

FILE = Path(posemill.__file__).parent / "models" / "hourglass.safetensors"
DEMO = Path(__file__).parents[2] / "resources" / "demo" / "S9"


def test_weights_are_small_with_a_page_and_free_terms():
    assert hourglass.weights(hourglass.Options()) == FILE
    assert FILE.stat().st_size < 12e6
    card = read_card(FILE)
    assert card["licences"]["weights"] == "Apache-2.0"
    assert "free for all uses" in card["licences"]["data"]
    assert not {"S007", "S011", "S026", "S080", "S094"} & {p.split("/")[1] for p in card["trained_on"]["people"]}
    assert FILE.with_suffix(".md").read_text() == page(FILE)


def test_they_find_the_demos_person():
    truth = read(DEMO / "truth.h5", "truth3d")
    name = sorted(truth.clips)[0]
    arrays = truth.clips[name].tracks["p1"].arrays
    exact = convert(arrays["keypoints"].astype(np.float64), truth.joint_set, "limbs12")[0]
    shown = [f for i, f in enumerate(frames(DEMO / f"{name}.mp4")) if i in (0, 60, 120)]
    errors = []
    with hourglass.create(hourglass.Options(), temporal=False) as detector:
        for frame, truth_px in zip(shown, exact[[0, 60, 120]], strict=True):
            found = detector.detect(frame.rgb, 0.0)
            assert found, "nobody was found"
            points = convert(found[0].keypoints, "mpii16", "limbs12")[0]
            errors.append(np.linalg.norm(points - truth_px, axis=-1) / stature_px(truth_px, "limbs12"))
    # Half a head is 5 % of stature.
    assert np.median(np.concatenate(errors)) < 0.05
