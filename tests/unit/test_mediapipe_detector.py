from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from posemill import media, registry
from posemill.detectors import mediapipe
from posemill.errors import InputError, MissingError
from posemill.skeleton import joint_set

J = joint_set("blazepose33")


@pytest.fixture(scope="module")
def photo(shared_data: Path) -> np.ndarray:
    """A man standing on a surfboard, side view, 1000 x 667."""
    return next(media.frames(shared_data / "videos" / "pose.jpg")).rgb


def test_a_person_is_found(photo: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    with mediapipe.create(mediapipe.Options(), temporal=False) as detector:
        (found,) = detector.detect(photo, 0.0)
        (again,) = detector.detect(photo, 1.0)
        assert detector.detect(np.zeros_like(photo), 2.0) == []
    assert detector.joint_set == mediapipe.CARD.joint_set == "blazepose33"
    assert found.keypoints.shape == (33, 2)
    height, width = photo.shape[:2]
    assert (found.keypoints[found.valid] < [width * 1.02, height * 1.02]).all()
    nose, ankle = found.keypoints[J.index("nose")], found.keypoints[J.index("left_ankle")]
    assert nose[1] < ankle[1]
    assert ((found.score >= 0) & (found.score <= 1)).all() and (found.sigma > 0).all()
    # Stills: nothing is carried over.
    np.testing.assert_array_equal(found.keypoints, again.keypoints)
    assert "XNNPACK" not in capfd.readouterr().err


def test_shifting_the_picture_shifts_the_keypoints(photo: np.ndarray) -> None:
    """By 40 px, within the two pixels by which the network's own answer varies."""
    shifted = np.roll(photo, 40, axis=1)
    with mediapipe.create(mediapipe.Options(), temporal=False) as detector:
        (first,), (second,) = detector.detect(photo, 0.0), detector.detect(shifted, 0.0)
    seen = (first.score > 0.9) & first.valid & second.valid
    np.testing.assert_allclose(np.median((second.keypoints - first.keypoints)[seen], axis=0), [40, 0], atol=2.0)


@pytest.mark.parametrize("complexity", [0, 2])
def test_networks_that_the_wheel_lacks_are_asked_for(complexity: Literal[0, 2]) -> None:
    with pytest.raises(MissingError, match=rf"no network for complexity {complexity} .* has complexity 1.*put it at"):
        mediapipe.create(mediapipe.Options(complexity=complexity), temporal=True)


def test_wrong_neighbours_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mediapipe, "version", lambda name: "5.29.1" if name == "protobuf" else version(name))
    with pytest.raises(MissingError, match=r"protobuf beside mediapipe: expected below 5, got 5\.29\.1; pip install"):
        mediapipe.create(mediapipe.Options(), temporal=True)


def test_option_typos_name_the_options() -> None:
    with pytest.raises(InputError, match=r"complexity, min_detection_confidence"):
        registry.options("detectors", "mediapipe", {"complexty": 1})


def test_sigma_grows_with_size_and_invisibility() -> None:
    keypoints = np.random.default_rng(0).normal(size=(33, 2)) * 100
    sigma = mediapipe.sigma_px(keypoints, np.ones(33))
    np.testing.assert_allclose(mediapipe.sigma_px(3 * keypoints, np.ones(33)), 3 * sigma)
    assert (mediapipe.sigma_px(keypoints, np.full(33, 0.5)) > sigma).all()
