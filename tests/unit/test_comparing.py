"""What a fair comparison rests on: the pace of a training, poses that look at nothing, ray-blind answers turned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from posemill.geometry import rotation_between
from posemill.lifters.protocol import LifterCard, LiftInput, LiftOutput
from posemill.metrics.pose import p_mpjpe
from posemill.training import pace
from posemill.training.constant_pose import CARD, Constant, aligned_mean
from posemill.training.engine import Training
from posemill.training.held_out import measure
from posemill.training.sequences import draw_windows
from tests.unit.test_training import walking


class Timed(Training):
    """By its own clock a pool takes 20 s and a step 5 s; later pools are twice as large."""

    def __init__(self) -> None:
        super().__init__(seed=0, steps=80, batch=8, pool_rows=16, passes=2, device=torch.device("cpu"))
        self.seconds = 0.0

    def pool(self, index: int) -> dict[str, np.ndarray]:
        self.seconds += 20 if index < 10 else 40
        return {"x": np.zeros((16, 1))}

    def step(self, batch: dict[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
        self.seconds += 5
        return {"loss": batch["x"].sum()}


def test_pace_is_a_step_and_its_share_of_the_pool(monkeypatch: pytest.MonkeyPatch):
    training = Timed()
    monkeypatch.setattr(pace, "clock", lambda _: lambda: training.seconds)
    # 16 of 20 pools are tried: between 6 and 10 of each kind.
    found = pace.seconds_per_step(training, seconds=1e9)
    assert 5 + (10 * 20 + 6 * 40) / 16 / 4 <= found <= 5 + (6 * 20 + 10 * 40) / 16 / 4
    begin = training.seconds
    pace.seconds_per_step(training, seconds=1e-9)
    assert training.seconds - begin <= 3 * (40 + 4 * 5)


def test_aligned_mean_of_turned_copies_is_the_pose():
    pose = walking(1)[0]
    rotations = Rotation.random(50, random_state=0).as_matrix()
    copies = 1.3 * pose @ np.swapaxes(rotations, 1, 2) + (1, 2, 3)
    assert p_mpjpe(aligned_mean(copies)[None], pose[None]) < 1e-9
    # What turns every way cancels.
    assert p_mpjpe(copies.mean(0)[None], pose[None]) > 0.05


def test_a_constant_is_as_far_off_as_poses_differ():
    clip = np.repeat(walking(1), 50, 0)
    windows = draw_windows([clip], 50.0, 20, 3, np.random.default_rng(0))
    found = measure(Constant(clip[0]), CARD, windows, 50.0)
    mirrored = clip[0] * (-1, 1, 1)
    # Half of the windows are of the mirrored person, who is nearly the same.
    assert found.p_mpjpe17 <= p_mpjpe(mirrored[None], clip[:1]) + 1e-9
    assert found.mpjpe17 > 0.1
    assert found.valid == 1


class OnAxis:
    """Knows the truth, but answers as if the person stood on the camera's axis."""

    device = "cpu"

    def __init__(self, joints_camera: np.ndarray) -> None:
        self._left = list(joints_camera)

    def lift(self, clip: LiftInput) -> LiftOutput:
        joints = self._left.pop(0)
        # Where the keypoints' hips are.
        ray = joints[:, (1, 4)] / joints[:, (1, 4), 2:]
        pose = joints - joints[:, :1]
        pose = pose @ rotation_between(np.array([0, 0, 1.0]), ray.mean(1))
        return LiftOutput(pose, np.full(pose.shape[:2], 0.1), np.ones(pose.shape[:2], bool))


def test_ray_blind_answers_are_measured_after_the_turn_to_the_ray():
    windows = draw_windows([walking(80)], 50.0, 10, 3, np.random.default_rng(0))
    card = LifterCard(joint_set_in="h36m17", ray_blind=True)
    assert measure(OnAxis(windows.joints_camera), card, windows, 50.0).mpjpe17 < 1e-6
    sees = replace(card, ray_blind=False)
    assert measure(OnAxis(windows.joints_camera), sees, windows, 50.0).mpjpe17 > 0.02
