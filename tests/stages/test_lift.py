"""The lift and train stages on files: what goes in, what comes out, what is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from posemill.camera import Camera
from posemill.errors import InputError, MissingError
from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.formats.motion import MOTION_JOINTS
from posemill.formats.weights import read_weights
from posemill.lifters import linear
from posemill.networks.linear import LinearLifter
from posemill.networks.rays import INPUT_WIDTH, OUTPUT_WIDTH
from posemill.provenance import StageRequest, sha256_file
from posemill.skeleton import JOINT_SETS
from posemill.stages import lift, train

COCO = JOINT_SETS["coco17"]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "w.safetensors"
    linear.store(path, LinearLifter(INPUT_WIDTH, OUTPUT_WIDTH, hidden=16), np.ones(OUTPUT_WIDTH // 4), {})
    return path


def request_for(weights: Path, **options) -> StageRequest:
    return StageRequest("lift", "linear", {"weights": str(weights), **options}, weights=sha256_file(weights))


def keypoints(path: Path, *, joint_set: str = "coco17") -> Path:
    """Two clips of 4 frames, the second failed; nobody in frame 2 of the first, no left wrist in frame 1."""
    rng = np.random.default_rng(0)
    joints = len(JOINT_SETS[joint_set])
    points = np.linspace((500, 100), (700, 600), joints) + rng.normal(0, 20, (4, joints, 2))
    valid = np.ones((4, joints), dtype=bool)
    valid[2] = False
    valid[1, COCO.index("left_wrist")] = False
    score = np.where(valid, 0.9, 0.0)
    arrays = {
        "keypoints": np.where(valid[..., None], points, np.nan).astype(np.float32),
        "score": score.astype(np.float32),
        "sigma": np.where(valid, 3.0, np.nan).astype(np.float32),
        "valid": valid,
        "bbox": np.where(valid.any(1)[:, None], (400, 0, 800, 700), np.nan).astype(np.float32),
    }
    good = Clip(
        fps=25.0,
        image_size=(1280, 720),
        time=np.arange(4) / 25,
        camera=Camera.prior(1280, 720),
        tracks={"p1": Track(arrays)},
    )
    clips = {"walk": good, "broken": Clip("failed", "not a video", image_size=(1280, 720))}
    write(path, Artifact("keypoints2d", "S1", joint_set, clips))
    return path


def test_lifts_what_is_there_and_passes_failures_on(tmp_path: Path, weights: Path):
    source, output = keypoints(tmp_path / "k.h5"), tmp_path / "l.h5"
    lift.run(source, output, request_for(weights))
    lifted = read(output, schema="lifted3d")
    assert lifted.joint_set == "h36m17"
    assert (lifted.clips["broken"].status, lifted.clips["broken"].reason) == ("failed", "not a video")
    track = lifted.clips["walk"].tracks["p1"]
    assert track.arrays["valid"].all(1).tolist() == [True, True, False, True]
    assert np.isnan(track.arrays["joints_relative"][2]).all()
    assert not track.arrays["joints_relative"][[0, 1, 3], 0].any()
    np.testing.assert_array_equal(lifted.clips["walk"].time, np.arange(4) / 25)
    assert lifted.provenance["weights"] == sha256_file(weights)
    assert lifted.provenance["inputs"] == {"keypoints2d": sha256_file(source)}
    assert lifted.provenance["weights_state"] == "user's"
    assert lifted.attrs["units"] == "m"


def test_same_work_same_bytes(tmp_path: Path, weights: Path):
    source = keypoints(tmp_path / "k.h5")
    for name in ("1.h5", "2.h5"):
        lift.run(source, tmp_path / name, request_for(weights))
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_without_weights_one_line_names_the_way_out(tmp_path: Path):
    request = StageRequest("lift", "linear", {"weights": str(tmp_path / "none")})
    with pytest.raises(MissingError, match="posemill train linear --motion"):
        lift.run(keypoints(tmp_path / "k.h5"), tmp_path / "l.h5", request)
    assert not (tmp_path / "l.h5").exists()


def test_every_joint_set_with_limbs_can_be_lifted(tmp_path: Path, weights: Path):
    for name in ("coco17", "blazepose33", "openpose25", "halpe26", "mpii16", "h36m17"):
        lift.run(keypoints(tmp_path / f"{name}.h5", joint_set=name), tmp_path / "l.h5", request_for(weights))


# ------------------------------------------------------------------------------------------ train


def motion(path: Path) -> Path:
    rng = np.random.default_rng(0)
    base = np.zeros((17, 3))
    base[[1, 2, 3]] = (-0.13, 0, 0), (-0.13, 0, -0.4), (-0.13, 0, -0.8)
    base[[4, 5, 6]] = (0.13, 0, 0), (0.13, 0, -0.4), (0.13, 0, -0.8)
    base[[7, 8, 9, 10]] = (0, 0, 0.25), (0, 0, 0.5), (0, 0, 0.6), (0, 0, 0.75)
    base[[11, 12, 13]] = (0.17, 0, 0.45), (0.2, 0, 0.2), (0.2, 0, 0)
    base[[14, 15, 16]] = (-0.17, 0, 0.45), (-0.2, 0, 0.2), (-0.2, 0, 0)
    with h5py.File(path, "w") as file:
        file.attrs.update({"joints": list(MOTION_JOINTS), "units": "m", "fps": 50})
        for subject in ("S1", "S2", "S3"):
            noise = rng.normal(0, 0.02, (60, 17, 3)) * (np.arange(17) > 6)[:, None]
            file[f"train/{subject}/walk"] = (base + noise + (0, 0, 0.85)).astype(np.float32)
    return path


OPTIONS = {"groups": ["train"], "held_out": ["S1", "S3"], "epochs": 1, "views_per_epoch": 2048, "hidden": 16}


def test_training_writes_weights_that_lift(tmp_path: Path, capsys: pytest.CaptureFixture):
    output = tmp_path / "w.safetensors"
    train.run("linear", motion(tmp_path / "m.h5"), output, options=OPTIONS)
    _, card = read_weights(output)
    assert card["held_out_subjects"] == ["S1", "S3"]
    assert card["trained_on"]["frames"] == 60
    assert set(card["results"]) == {"exact", "white", "detector", "sigma"}
    assert sha256_file(output) in capsys.readouterr().out
    lift.run(keypoints(tmp_path / "k.h5"), tmp_path / "l.h5", request_for(output))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"epoch": 3},
            "train linear: epoch: .*; options: resume, .*held_out, .*epochs, ",
        ),
        ({"held_out": ["S1", "S7"]}, "held_out: expected two or more of S1, S2, S3, got S1, S7"),
        ({"groups": ["nothing"]}, "group: expected nothing, got train"),
    ],
)
def test_bad_training_options_are_one_line(tmp_path: Path, options: dict, message: str):
    with pytest.raises(InputError, match=message):
        train.run("linear", motion(tmp_path / "m.h5"), tmp_path / "w", options={**OPTIONS, **options})


def test_unknown_method_names_those_that_train(tmp_path: Path):
    with pytest.raises(InputError, match=r"train: expected posemill, linear, .* or pose_resnet, got 'mystery'"):
        train.run("mystery", tmp_path / "m.h5", tmp_path / "w")


def test_windows_training_writes_weights_with_floors_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture):
    output = tmp_path / "gan.safetensors"
    options = {"groups": ["train"], "held_out": ["S1", "S3"], "steps": 8, "batch": 16, "hidden": 8, "windows": 2}
    options |= {"weights_terms": "CC0", "data_terms": "made up"}
    train.run("gan", motion(tmp_path / "m.h5"), output, options=options)
    tensors, card = read_weights(output)
    assert card["lifter"] == "gan"
    assert card["network"]["hidden"] == 8
    assert card["licences"] == {"code": "Apache-2.0", "weights": "CC0", "data": "made up"}
    assert card["held_out_subjects"] == ["S1", "S3"]
    assert tensors["sigma_floor"].shape == (17,)
    assert (tensors["sigma_floor"] > 0).all()
    results = card["results"]
    assert results["exact"]["subjects"].keys() == {"S1", "S3"}
    assert results["exact"]["p_mpjpe17_mm"] <= results["exact"]["mpjpe17_mm"]
    assert results["exact"]["share_answered"] == 1.0
    assert sha256_file(output) in capsys.readouterr().out


def test_sizes_of_the_network_are_options_of_their_method(tmp_path: Path):
    message = "train temporal: wide: .*; options: .*resume, .*, steps, .*, filter_widths, channels"
    with pytest.raises(InputError, match=message):
        train.run("temporal", motion(tmp_path / "m.h5"), tmp_path / "w", options={"wide": 3})
