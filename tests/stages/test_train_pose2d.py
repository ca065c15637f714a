"""posemill draw-people and posemill train hourglass: figures drawn, painted, learnt from; weights that detect."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.pictures import read_figure, read_shard, shards
from posemill.formats.weights import read_card
from posemill.skeleton import joint_set
from posemill.stages import draw_people, train
from posemill.stages.card import page
from posemill.training.pictures.drawn import Shard
from posemill.training.pictures.growing import PaintedPictures
from posemill.training.pictures.painted import LIKELY, Painter
from tests.motion_file import write_people

pytest.importorskip("pyvista", reason="PyVista is not installed")
TINY = {"stacks": 1, "features": 8, "stem": 4, "steps": 3, "batch": 4, "sides": [[1.0, 64]]}


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("motion") / "motion.h5", "ABC")


@pytest.fixture(scope="module")
def drawn(motion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw_people, "SHARD", 8)
        draw_people.run(folder, motion, shards=2, groups=("train",), left_out=("C",), seed=3)
    return folder


def test_joints_lie_on_the_figure(drawn: Path):
    for number in shards(drawn):
        shard = Shard(**read_shard(drawn, number))
        inside = np.unpackbits(shard.shape, axis=-1).reshape(len(shard.shape), 256, 256).astype(bool)
        grown = np.stack([cv2.dilate(m.astype(np.uint8), np.ones((9, 9))) for m in inside])
        for mask, joints in zip(grown, np.round(shard.joints).astype(int), strict=True):
            assert mask[np.clip(joints[:, 1], 0, 255), np.clip(joints[:, 0], 0, 255)].mean() > 0.9
        assert (np.diff(shard.starts()) > 1000).all()
        assert (shard.triangles < len(read_figure(drawn)["kinds"])).all()
        # Up is up: heads are above ankles where the camera is level.
        names = joint_set("mpii16")
        level = shard.up[:, 1] < -0.9
        assert (
            shard.joints[level, names.index("thorax"), 1] < shard.joints[level, names.index("pelvis"), 1] + 40
        ).all()


def test_a_folder_is_gone_on_with_and_others_pictures_are_refused(
    drawn: Path, motion: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(draw_people, "SHARD", 8)
    before = (drawn / "shard-00001.safetensors").read_bytes()
    (drawn / "shard-00001.safetensors").unlink()
    draw_people.run(drawn, motion, shards=2, groups=("train",), left_out=("C",), seed=3)
    assert (drawn / "shard-00001.safetensors").read_bytes() == before
    with pytest.raises(InputError, match="seed"):
        draw_people.run(drawn, motion, shards=2, groups=("train",), left_out=("C",), seed=4)


def test_painted_pictures_are_the_seeds_and_joints_lie_on_the_person(drawn: Path):
    tables = read_figure(drawn)
    painter = Painter(tables["kinds"], tables["places"], LIKELY)
    shard = Shard(**read_shard(drawn, 0))
    first, second = (painter.paint(shard, shard.starts(), 0, 96, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.picture, second.picture)
    np.testing.assert_array_equal(first.joints, second.joints)
    assert first.picture.shape == (96, 96, 3)
    assert first.picture.dtype == np.uint8
    others = PaintedPictures(drawn, 2).draw(6, 64, 0, np.random.default_rng(0))
    assert others["picture"].shape == (6, 64, 64, 3)
    inside = ((others["joints"] > -1) & (others["joints"] < 64)).all(-1)
    assert inside[others["present"]].all()


def test_trained_weights_detect_and_say_what_they_are(drawn: Path, tmp_path: Path):
    output = tmp_path / "hourglass.safetensors"
    options = {**TINY, "pictures": str(drawn), "unseen": str(drawn), "measured": 50}
    train.run("hourglass", None, output, options=options)
    card = read_card(output)
    assert (card["detector"], card["resolution"]) == ("hourglass", 64)
    assert len(card["sigma"]["base"]) == 16
    assert card["trained_on"]["people"] == ["train/A", "train/B"]
    assert "12 limb joints" in page(output)
    from posemill.detectors import hourglass

    with hourglass.create(hourglass.Options(weights=output, boxes="frame"), temporal=False) as detector:
        picture = np.random.default_rng(0).integers(0, 255, (80, 60, 3), dtype=np.uint8)
        assert detector.joint_set == "mpii16"
        detector.detect(picture, 0.0)
    first = output.read_bytes()
    train.run("hourglass", None, output, options=options)
    assert output.read_bytes() == first


def test_annotated_photographs_train_pose_resnet(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8))
    points = np.random.default_rng(1).uniform(10, 80, (4, 17, 2))
    np.savez(tmp_path / "people.npz", image=np.array(["a.png"] * 4), keypoints=points)
    output = tmp_path / "resnet.safetensors"
    options = {"dataset": str(tmp_path / "people.npz"), "steps": 1, "batch": 2, "sides": [[1.0, 64]]}
    train.run("pose_resnet", None, output, options=options)
    card = read_card(output)
    assert card["detector"] == "pose_resnet"
    assert card["deviation"] == [0.229, 0.224, 0.225]
    from posemill.detectors import pose_resnet

    with pose_resnet.create(pose_resnet.Options(weights=output, boxes="frame"), temporal=False) as detector:
        detector.detect(np.zeros((64, 64, 3), np.uint8), 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "pictures or dataset"),
        ({"sides": [[1.0, 100]]}, "64"),
        ({"depth": 50}, "depth"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_wrong_options_are_one_line(tmp_path: Path, options: dict, message: str):
    with pytest.raises(InputError, match=message) as caught:
        train.run("hourglass", None, tmp_path / "w.safetensors", options=options)
    assert "\n" not in str(caught.value)
