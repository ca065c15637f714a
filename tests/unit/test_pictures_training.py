"""2D training: targets where joints are, photographs augmented with their joints, resumed byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from posemill.detectors.heatmaps import peaks, to_crop
from posemill.errors import InputError
from posemill.formats.datasets.annotated import Annotated2d, read_annotated
from posemill.skeleton import joint_set
from posemill.training.engine import Running, run
from posemill.training.pictures.photographs import Augmentation, Photographs
from posemill.training.pictures.pose2d import Pose2d, Schedule2d
from posemill.training.pictures.presets import build, preset2d
from posemill.training.pictures.targets import coarse_errors, heatmap_loss, heatmaps


def test_a_target_decodes_to_its_joint():
    joints = torch.tensor([[[37.0, 90.5], [64.2, 20.1], [10.0, 10.0]]])
    present = torch.tensor([[True, True, False]])
    target = heatmaps(joints, present, 32, 1.0)
    found = peaks(target.numpy())
    # Of a heatmap pixel a quarter step leaves at most a quarter.
    assert np.abs(to_crop(found.points, 4)[0, :2] - joints[0, :2].numpy()).max() <= 4 * 0.26
    assert found.score[0, 2] == 0
    assert coarse_errors(target, joints, present).shape == (2,)


def test_loss_counts_what_is_asked_and_nothing_else():
    target = torch.zeros(1, 2, 4, 4)
    target[0, 0, 1, 1] = 1
    asked = torch.tensor([[1.0, 0.0]])
    answer = torch.ones(1, 2, 4, 4)
    assert heatmap_loss([answer], target, asked, 0.0) == 15
    assert heatmap_loss([answer, target], target, asked, 0.0) == 15
    assert heatmap_loss([torch.zeros_like(answer)], target, asked, 3.0) == 4


# ------------------------------------------------------------------------------------------------ photographs


@pytest.fixture
def marked(tmp_path: Path) -> list[Annotated2d]:
    """A photograph with a red dot at each joint that is marked."""
    picture = np.zeros((240, 320, 3), np.uint8)
    joints = np.full((16, 2), np.nan)
    for j, at in ((0, (120, 150)), (5, (200, 150)), (9, (160, 60))):
        joints[j] = at
        cv2.circle(picture, at, 3, (0, 0, 255) if j != 5 else (255, 0, 0), -1)
    cv2.imwrite(str(tmp_path / "one.png"), picture)
    return [Annotated2d("one.png", np.array([160.0, 110.0]), 180.0, joints)]


def test_joints_go_where_their_pixels_go(marked: list[Annotated2d], tmp_path: Path):
    source = Photographs(marked, tmp_path, "mpii16", augmentation=Augmentation(colour=0.0))
    drawn = source.draw(40, 192, 0, np.random.default_rng(0))
    assert drawn["asked"].sum() == 3 * 40
    mirrored = 0
    for picture, joints, present in zip(drawn["picture"], drawn["joints"], drawn["present"], strict=True):
        red, blue = (picture[..., c].astype(int) - picture[..., 2 - c] for c in (0, 2))
        at = np.round(joints[present]).astype(int)
        inside = ((at > 3) & (at < 188)).all(-1)
        assert (np.maximum(red, blue)[at[inside][:, 1], at[inside][:, 0]] > 120).all()
        # The blue dot is the left ankle; in a mirrored picture its pixels are the right one's.
        x, y = np.round(joints[0]).astype(int)
        if present[0] and 3 < x < 188 and 3 < y < 188:
            mirrored += blue[y, x] > 120
    assert 5 < mirrored < 35


def test_a_picture_that_is_not_there_is_named(marked: list[Annotated2d], tmp_path: Path):
    (tmp_path / "one.png").unlink()
    with pytest.raises(InputError, match=r"one\.png"):
        Photographs(marked, tmp_path, "mpii16").draw(1, 64, 0, np.random.default_rng(0))


def test_annotations_of_mpii_coco_and_human36m(tmp_path: Path):
    part = np.zeros((2, 16, 2))
    part[0, 3] = (30, 40)
    part[1, 9] = (50, 60)
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["part"], file["center"], file["scale"] = part, np.array([[100.0, 100], [50, 50]]), np.array([1.0, 0.5])
        file["imgname"] = np.array([b"a.jpg", b"b.jpg"])
    first, second = read_annotated(tmp_path / "train.h5")
    assert (first.image, first.side_px, second.side_px) == ("a.jpg", 250.0, 125.0)
    np.testing.assert_allclose(first.centre, [100, 115])
    assert np.isfinite(first.joints).all(-1).tolist() == [j == 3 for j in range(16)]

    marks = np.zeros((17, 3))
    marks[[5, 6]] = [[10, 20, 2], [30, 20, 1]]
    coco = {
        "images": [{"id": 7, "file_name": "c.jpg"}],
        "annotations": [
            {"image_id": 7, "bbox": [0, 0, 40, 80], "keypoints": marks.ravel().tolist(), "num_keypoints": 2},
            {"image_id": 7, "bbox": [0, 0, 40, 80], "keypoints": marks.ravel().tolist(), "iscrowd": 1},
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    (person,) = read_annotated(tmp_path / "coco.json")
    names = joint_set("mpii16").joints
    assert {names[j] for j in np.flatnonzero(np.isfinite(person.joints).all(-1))} == {
        "left_shoulder", "right_shoulder", "thorax",
    }  # fmt: skip
    assert person.side_px == 100

    points = np.random.default_rng(0).uniform(0, 100, (3, 17, 2))
    np.savez(tmp_path / "h36m.npz", image=np.array(["1.jpg", "2.jpg", "3.jpg"]), keypoints=points)
    assert len(read_annotated(tmp_path / "h36m.npz")) == 3


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.jpg", ""])
def test_annotations_do_not_lead_out_of_their_folder(tmp_path: Path, name: str):
    np.savez(tmp_path / "a.npz", image=np.array([name]), keypoints=np.random.default_rng(0).uniform(0, 9, (1, 17, 2)))
    with pytest.raises(InputError, match="image"):
        read_annotated(tmp_path / "a.npz")


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"images": 3, "annotations": []}', '[{"image": "a"}]'])
def test_annotations_of_no_known_layout_are_refused_in_one_line(tmp_path: Path, text: str):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError) as caught:
        Photographs(read_annotated(tmp_path / "a.json"), tmp_path, "mpii16")
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------ training


class Dots:
    """Sixteen dots of different greys on black: what a network can learn in seconds."""

    def draw(self, count: int, side: int, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        picture = np.zeros((count, side, side, 3), np.uint8)
        joints = rng.uniform(4, side - 4, (count, 16, 2)).astype(np.float32)
        for row in range(count):
            for j, (x, y) in enumerate(joints[row]):
                cv2.circle(picture[row], (round(float(x)), round(float(y))), 3, (255, 16 * j, 255 - 16 * j), -1)
        there = np.ones((count, 16), dtype=bool)
        return {"picture": picture, "joints": joints, "present": there, "asked": there}


def small(steps: int = 6, **more) -> Pose2d:
    torch.manual_seed(0)
    network = build("hourglass", {"stacks": 1, "features": 8, "stem": 4})
    schedule = Schedule2d(steps=steps, batch=4, chunk=2, sides=((0.5, 64), (1.0, 128)), pool=8, average=0.9, **more)
    return Pose2d(network, Dots(), schedule)


def stored(training: Pose2d) -> bytes:
    state = training.modules["network"].state_dict()
    return b"".join(t.detach().numpy().tobytes() for t in state.values())


def test_an_interrupted_training_goes_on_to_the_same_bytes(tmp_path: Path):
    whole = small()
    run(whole)
    running = Running(checkpoint_every=2)

    class Stop(Exception):
        pass

    def stop(done: int, _) -> None:
        if done == 3:
            raise Stop

    with pytest.raises(Stop):
        run(small(), folder=tmp_path, request={"a": 1}, running=running, report=stop)
    again = small()
    assert run(again, folder=tmp_path, request={"a": 1}, running=running) == 2
    assert stored(again) == stored(whole)


def test_sides_grow_and_averaged_weights_are_what_is_kept():
    training = small()
    assert (training.side(0), training.side(5)) == (64, 128)
    run(training)
    live = training.modules["live"].state_dict()
    kept = training.modules["network"].state_dict()
    assert any(not torch.equal(live[name], kept[name]) for name in live)


def test_it_learns():
    torch.manual_seed(0)
    network = build("hourglass", {"stacks": 1, "features": 16, "stem": 8})
    schedule = Schedule2d(steps=60, batch=8, sides=((1.0, 64),), pool=64, learning_rate=5e-3, emphasis=10.0)
    losses: list[float] = []
    run(
        Pose2d(network, Dots(), schedule),
        running=Running(log_every=10),
        report=lambda _, s: losses.append(s.get("loss", np.inf)),
    )
    assert losses[-1] < 0.6 * losses[10]


@pytest.mark.parametrize(("name", "optimiser"), [("hourglass", "RMSprop"), ("pose_resnet", "Adam")])
def test_published_schedules(name: str, optimiser: str):
    preset = preset2d(name, "paper")
    assert preset.schedule.average == 0
    assert preset.schedule.sides == ((1.0, 256),)
    training = Pose2d(torch.nn.Conv2d(3, 16, 1), Dots(), preset.schedule)
    assert type(training.optimisers["live"]).__name__ == optimiser
    assert training.optimisers["live"].param_groups[0]["lr"] == preset.schedule.learning_rate
