"""The published code's arithmetic, and PCKh of its own predictions."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from posemill.detectors.published import decoded, region, to_image
from posemill.errors import InputError
from posemill.stages.hourglass_mpii import pckh, predict

CENTRE, SCALE = np.array([300.3, 220.7]), 1.37
# Of the original functions, run in Torch7: heatmap point from 1, demo, training code.
TABLE = [
    ((1, 1), (167, 87), (164, 84)),
    ((64, 64), (437, 357), (434, 354)),
    ((33, 20), (304, 169), (301, 166)),
    ((10.25, 40.75), (207, 258), (203, 254)),
]


@pytest.mark.parametrize(("point", "demo", "train"), TABLE)
def test_points_come_back_as_by_the_original_functions(point, demo, train):
    assert tuple(to_image(np.array(point), CENTRE, SCALE, 64, "demo")) == demo
    assert tuple(to_image(np.array(point), CENTRE, SCALE, 64, "train")) == train


def test_the_demo_takes_the_quarter_step_back_and_the_training_code_adds_a_half():
    peak = np.array([32.25, 18.75])
    assert tuple(decoded(peak, CENTRE, SCALE, 64, "demo")) == tuple(
        to_image(np.array([33.0, 20.0]), CENTRE, SCALE, 64, "demo")
    )
    assert tuple(decoded(peak, CENTRE, SCALE, 64, "train")) == tuple(
        to_image(np.array([33.75, 20.25]), CENTRE, SCALE, 64, "train")
    )


def test_the_demo_crops_from_its_first_to_its_last_point():
    # x: 300.3 + (1/256 - 1/2) 274 = 164.37 and 300.3 + 137 = 437.3; y: 84.77 and 357.7.
    assert region(CENTRE, SCALE, 256, "demo") == (164, 84, 437, 357)
    left, top, right, bottom = region(CENTRE, SCALE, 256, "train")
    assert (right - left, bottom - top) == (274, 274)


def write_people(folder: Path) -> tuple[Path, Path]:
    """Two people: one found but for an ankle that is off by 0.6 heads, one not annotated but for the wrists."""
    part = np.random.default_rng(0).uniform(10, 200, (2, 16, 2))
    preds = part.copy()
    preds[0, 0] += (30, 0)
    part[1, :10] = 0
    part[1, 11:15] = 0
    preds[1, 10] += (24, 0)
    for name, data in {
        "a.h5": {"part": part, "normalize": np.array([50.0, 50.0])},
        "p.h5": {"preds": preds},
    }.items():
        with h5py.File(folder / name, "w") as file:
            for key, value in data.items():
                file[key] = value
    return folder / "p.h5", folder / "a.h5"


def test_pckh_counts_annotated_joints(tmp_path):
    table = pckh(*write_people(tmp_path), tmp_path / "out.json")
    rows = dict(line.split() for line in table.splitlines())
    # Ankles: 1 of 2. All: 16 - pelvis - thorax = 14 of the first, 2 wrists of the second; one miss.
    assert rows["ankle"] == "50.00" and rows["wrist"] == "100.00" and rows["mean"] == f"{100 * 15 / 16:.2f}"
    assert '"people": 2' in (tmp_path / "out.json").read_text()


def test_other_people_are_refused(tmp_path):
    _, annotations = write_people(tmp_path)
    with h5py.File(tmp_path / "q.h5", "w") as file:
        file["preds"] = np.zeros((3, 16, 2))
    with pytest.raises(InputError, match="preds, part and normalize"):
        pckh(tmp_path / "q.h5", annotations)


def test_pckh_of_the_demos_example_is_the_published_one():
    data = Path(os.environ.get("POSEMILL_DATA", "../shared/data")) / "formats" / "hourglass_mpii"
    if not (data / "preds_valid-example.h5").is_file():
        pytest.skip("no optional data: formats/hourglass_mpii")
    rows = dict(line.split() for line in pckh(data / "preds_valid-example.h5", data / "annot_valid.h5").splitlines())
    assert rows["mean"] == "83.93" and rows["head"] == "94.98"


@pytest.fixture
def tiny(tmp_path) -> Path:
    """Weights of 64 px, and two pictures with annotations."""
    import torch

    from posemill.formats.weights import write_weights
    from posemill.networks.hourglass import Hourglass

    torch.manual_seed(0)
    network = Hourglass(stacks=1, features=8, stem=4)
    card = {"detector": "hourglass", "network": {"stacks": 1, "features": 8, "stem": 4}, "resolution": 64}
    write_weights(tmp_path / "w.safetensors", {k: v.numpy() for k, v in network.state_dict().items()}, card)
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name in ("1.png", "2.png"):
        Image.fromarray(rng.integers(0, 256, (80, 100, 3), dtype=np.uint8)).save(tmp_path / "images" / name)
    with h5py.File(tmp_path / "test.h5", "w") as file:
        file["center"] = np.array([[50.0, 40.0], [30.0, 30.0], [60.0, 50.0]])
        file["scale"] = np.array([0.3, 0.2, 0.4])
    (tmp_path / "test_images.txt").write_text("1.png\n1.png\n2.png\n")
    return tmp_path


def test_predictions_have_the_demos_layout(tiny):
    for variant in ("demo", "train"):
        predict(
            tiny / "test.h5",
            tiny / "images",
            tiny / f"{variant}.h5",
            variant=variant,
            options={"weights": tiny / "w.safetensors"},
        )
        with h5py.File(tiny / f"{variant}.h5") as file:
            preds = file["preds"][()]
        assert preds.shape == (3, 16, 2) and preds.dtype == np.float64
        assert np.array_equal(preds, np.rint(preds))
        assert (np.abs(preds - [[[50, 40]], [[30, 30]], [[60, 50]]]) <= 41).all()


def test_a_missing_picture_and_a_strange_name_are_named(tiny):
    options = {"weights": tiny / "w.safetensors"}
    (tiny / "images" / "2.png").unlink()
    with pytest.raises(InputError, match="person 3 of MPII"):
        predict(tiny / "test.h5", tiny / "images", tiny / "out.h5", options=options)
    assert not (tiny / "out.h5").exists()
    (tiny / "test_images.txt").write_text("1.png\n../1.png\n2.png\n")
    with pytest.raises(InputError, match="no folders in them"):
        predict(tiny / "test.h5", tiny / "images", tiny / "out.h5", options=options)
