"""The methods' own losses: terms by hand, toy problems whose answer is known, and runs that stop and go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from posemill.formats.motion import MotionClip
from posemill.skeleton import JOINT_SETS
from posemill.stages.train.supervision import halves, make
from posemill.training import losses, presets
from posemill.training.adversarial import facing_term
from posemill.training.engine import Running, run
from posemill.training.linear import LinearTraining
from posemill.training.linear import Schedule as LinearSchedule
from posemill.training.recipes import strided
from posemill.training.sequences import Captured
from posemill.training.steps import as_tensor
from posemill.training.supervised import Critic, Recipe, Schedule, Supervised
from posemill.training.weak import REPROJECTION
from tests.unit.test_training import BASE, library, walking  # noqa: F401 - a fixture

BODY = JOINT_SETS["h36m17"]
FPS = 50.0
SMALL = {
    "temporal": {"filter_widths": [3, 3], "channels": 16},
    "seq2seq": {"hidden": 16},
    "gan": {"hidden": 32},
    "repnet": {"hidden": 32},
    "video_gan": {"hidden": 16},
    "dstformer": {"width": 16, "depth": 1, "heads": 2, "representation": 16, "frames": 9},
    "agformer": {"width": 16, "depth": 1, "heads": 2, "frames": 9},
}


def people() -> list[MotionClip]:
    return [MotionClip("train", name, "swing", FPS, walking(60, seed)) for seed, name in enumerate("ABCD")]


def small(name: str, preset: str = "short") -> Recipe:
    recipe = presets.of(name, preset)
    return recipe.sized({**recipe.network, **SMALL[name]})


# ---------------------------------------------------------------------------------------------- terms


def test_a_turn_about_an_axis_is_right_handed():
    points = torch.tensor([[[1.0, 0, 0], [0, 2.0, 0]]])
    turned = losses.rotated(points, torch.tensor([[0.0, 1, 0]]), torch.tensor([np.pi / 2]))
    torch.testing.assert_close(turned, torch.tensor([[[0.0, 0, -1], [0, 2, 0]]]), atol=1e-6, rtol=0)


def test_camera_term_is_zero_for_scaled_rows_of_a_rotation():
    rotation = torch.linalg.qr(torch.randn(5, 3, 3))[0][:, :2]
    assert losses.camera_term(3.7 * rotation) == pytest.approx(0, abs=1e-5)
    # M Mᵀ = diag(1, 4), trace 5: |2/5 - 1| + |8/5 - 1|.
    rows = torch.tensor([[[1.0, 0, 0], [0, 2.0, 0]]])
    assert losses.camera_term(rows) == pytest.approx(1.2)


def test_gradient_penalty_of_a_linear_critic():
    weight = torch.tensor([3.0, 4.0])
    real, fake = torch.randn(7, 2), torch.randn(7, 2)
    assert losses.gradient_penalty(lambda x: x @ weight, real, fake) == pytest.approx((5 - 1) ** 2, rel=1e-5)


def test_gradient_penalty_teaches_the_critic():
    critic = torch.nn.Linear(2, 1)
    losses.gradient_penalty(critic, torch.randn(4, 2), torch.randn(4, 2)).backward()
    assert critic.weight.grad is not None and critic.weight.grad.abs().sum() > 0


def test_scale_free_distance_does_not_see_size():
    pose = torch.randn(2, 3, 5, 3)
    assert losses.scale_free_distance(0.2 * pose, pose) < 2e-4
    assert losses.distance(0.2 * pose, pose) > 0.5


def test_velocity_and_smoothness_by_hand():
    still, moving = torch.zeros(1, 3, 1, 3), torch.arange(3.0).reshape(1, 3, 1, 1).expand(1, 3, 1, 3)
    assert losses.velocity_distance(still, moving) == pytest.approx(3**0.5, rel=1e-4)
    assert losses.smoothness(moving.flatten(2), torch.tensor([1.0, 2.0, 3.0])) == pytest.approx(2.0)


def test_bone_length_gap_by_hand():
    one = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [1, 2, 0]]])
    other = torch.tensor([[[0.0, 0, 0], [0, 0, 3], [0, 1, 3]]])
    assert losses.bone_length_gap(one, other, (-1, 0, 1)) == pytest.approx((2 + 1) / 2, rel=1e-3)


def test_projection_is_kept_within_the_picture():
    points = torch.tensor([[0.5, -1.0, 2.0], [9.0, 0.0, 3.0], [0.1, 0.1, -1.0]])
    torch.testing.assert_close(losses.projected(points)[:2], torch.tensor([[0.25, -0.5], [1.0, 0.0]]))
    assert losses.projected(points).abs().max() <= 1


def test_a_nose_that_points_backwards_costs():
    # To camera axes: x stays, down is -z, ahead is y; who faces -y looks into the camera.
    pose = torch.from_numpy(BASE[:, [0, 2, 1]] * (1, -1, 1)).float()[None]
    down = torch.tensor([[0.0, 1, 0]])
    assert facing_term(pose, down) == pytest.approx(0)
    assert facing_term(pose * torch.tensor([1.0, 1, -1]), down) == pytest.approx(1, abs=1e-4)
    # The same with camera and vertical turned together.
    turned = losses.rotated(pose, torch.tensor([[0.0, 0, 1]]), torch.tensor([0.7]))
    tilted = losses.rotated(down[:, None], torch.tensor([[0.0, 0, 1]]), torch.tensor([0.7]))[:, 0]
    assert facing_term(turned * torch.tensor([1.0, 1, -1]), tilted) == pytest.approx(1, abs=1e-4)


def test_repnet_leaves_the_pelvis_out_of_its_reprojection():
    from posemill.networks.repnet import JOINTS

    names = [BODY.joints[j] for j in JOINTS["repnet"]]
    assert {n for n, w in zip(names, REPROJECTION, strict=True) if w == 0} == {"pelvis"}
    assert {n for n, w in zip(names, REPROJECTION, strict=True) if w == 0.1} == {"neck_nose", "head_top"}


# ---------------------------------------------------------------------------------------------- presets


@pytest.mark.parametrize("name", sorted(SMALL))
def test_paper_presets_learn(name: str):
    torch.set_num_threads(1)
    recipe = small(name, "paper")
    if name == "temporal":
        recipe = recipe.sized({**recipe.network, "dropout": 0.0})
    steps = 150 if name == "gan" else 60
    schedule = replace(recipe.schedule, steps=steps, batch=16, pool=64, passes=40, learning_rate=5e-3)
    before, after = last(Supervised(recipe, Captured([walking()], FPS), schedule), steps, "loss")
    assert after["loss"] < 0.8 * before["loss"]


def test_schedules_go_by_the_share_that_is_done():
    recipe = small("temporal", "paper")
    training = Supervised(recipe, Captured([walking()], FPS), replace(recipe.schedule, steps=10, batch=8, pool=16))
    run(training)
    (group,) = training.optimisers["network"].param_groups
    assert group["lr"] == pytest.approx(1e-3 * 0.95**80)
    # Before the last of ten steps nine tenths were done.
    assert training.network.expand_bn.momentum == pytest.approx(0.1 * 0.01**0.9)


def test_windows_are_as_long_as_the_network_reads():
    assert presets.of("temporal", "short").sized({"filter_widths": [1], "channels": 8}).frames == 1
    assert presets.of("temporal", "paper").sized(presets.of("temporal", "paper").network).frames == 243
    assert small("agformer").frames == 9
    assert small("gan").frames == 1


# ---------------------------------------------------------------------------------------------- own losses


def own(name: str, supervision: str, steps: int, batch: int = 16, pool: int = 64, **more):
    schedule = Schedule(steps=steps, batch=batch, pool=pool, learning_rate=1e-3, passes=4, noise=False, **more)
    return make(name, supervision, small(name), people(), schedule, None)


OWN = [("temporal", "semi"), ("gan", "unsupervised"), ("repnet", "weak"), ("video_gan", "weak")]


@pytest.mark.parametrize(("name", "supervision"), [*OWN, ("temporal", "supervised"), ("agformer", "supervised")])
def test_stopped_and_resumed_is_the_same(name: str, supervision: str, tmp_path: Path):
    torch.set_num_threads(1)
    running = Running(checkpoint_every=6)

    def state(training) -> dict[str, torch.Tensor]:
        return {f"{m}.{k}": t for m, module in training.modules.items() for k, t in module.state_dict().items()}

    class Stop(Exception):
        pass

    def stop(done: int, scalars) -> None:
        if done == 8:
            raise Stop

    whole, _ = own(name, supervision, 12)
    run(whole, folder=tmp_path / "one", running=running)
    with pytest.raises(Stop):
        run(own(name, supervision, 12)[0], folder=tmp_path / "two", running=running, report=stop)
    resumed, _ = own(name, supervision, 12)
    assert run(resumed, folder=tmp_path / "two", running=running) == 6
    first, second = state(whole), state(resumed)
    assert first and all(torch.equal(first[key], second[key]) for key in first)


def test_halves_share_no_recording():
    clips = [*people(), MotionClip("extra", "A", "run", FPS, walking())]
    one, other = halves(clips, apart="people")
    assert [c.subject for c in one] == ["A", "C", "A"] and [c.subject for c in other] == ["B", "D"]
    one, other = halves(clips, apart="clips")
    assert [(c.subject, c.clip) for c in one] == [("B", "swing"), ("D", "swing"), ("A", "run")]
    assert [(c.subject, c.clip) for c in other] == [("A", "swing"), ("C", "swing")]


def test_cards_say_what_was_seen():
    said = {(name, way): own(name, way, 1)[1] for name, way in OWN}
    assert "no 3D" in said["gan", "unsupervised"]
    assert said["repnet", "weak"] == (
        "weakly supervised: 2D of the clips A/swing, C/swing; unpaired 3D poses of the others, B/swing, D/swing"
    )
    assert "3D of A, C; of B, D only 2D" in said["temporal", "semi"]


def test_weak_trainings_never_pair():
    training, _ = own("repnet", "weak", 4)
    training._poses = Captured([walking(30, 9)[:1].repeat(30, 0)], FPS)  # pyright: ignore
    pool = training.pool(0)
    real = pool["real"].reshape(len(pool["real"]), 3, 16)
    # One motionless body: whatever was seen, the critic is shown that body and its mirror image alone.
    bones = np.linalg.norm(real[:, :, 0] - real[:, :, 1], axis=1)
    assert len(np.unique(bones.round(6))) <= 2


def last(training, steps: int, *names: str) -> tuple[dict[str, float], dict[str, float]]:
    """Means of the first and the last tenth of a run."""
    lines: list[dict[str, float]] = []
    run(training, running=Running(log_every=1), report=lambda done, scalars: lines.append(dict(scalars)))
    tenth = max(1, steps // 10)
    return ({n: float(np.mean([line[n] for line in part])) for n in names} for part in (lines[:tenth], lines[-tenth:]))  # pyright: ignore


def test_weak_reprojection_falls_and_the_critic_tells_poses_apart():
    torch.set_num_threads(1)
    training, _ = own("repnet", "weak", 150, batch=32, pool=256, critic=Critic(32, scale=4.0, reprojection=10.0))
    before, after = last(training, 150, "reprojection", "camera", "gap")
    assert after["reprojection"] < 0.7 * before["reprojection"]
    assert after["camera"] < before["camera"]
    assert after["gap"] > 0


def test_video_gan_learns_where_the_root_is():
    torch.set_num_threads(1)
    training, _ = own("video_gan", "weak", 150, batch=32, pool=256)
    before, after = last(training, 150, "reprojection")
    assert after["reprojection"] < 0.5 * before["reprojection"]


def test_the_critic_of_video_gan_sees_every_joint_that_is_answered():
    """A joint that it does not see is free to be at any depth: reprojection does not tell."""
    training, _ = own("video_gan", "weak", 4, batch=32, pool=64)
    batch = {name: as_tensor(array)[:32] for name, array in training.pool(0).items()}
    answer = training.network["pose"].w4.bias
    judged, _ = training.generate(batch)
    (moved,) = torch.autograd.grad(training.judge(judged), answer)
    assert (moved.reshape(16, 3).abs().sum(1) > 0).all()


def test_the_critic_of_video_gan_stands_level():
    """However cameras tilt and roll, a standing person's head is above the pelvis, and noses point all ways."""
    training, _ = own("video_gan", "weak", 4, batch=32, pool=256)
    real = training.pool(0)["real"].reshape(-1, 3, 16)
    head = real[:, :, BODY.index("head_top") - 1]
    across = np.hypot(head[:, 0], head[:, 2]) / np.linalg.norm(head, axis=1)
    assert (head[:, 1] < 0).all() and np.median(across) < 0.25
    hips = real[:, :, BODY.index("left_hip") - 1] - real[:, :, BODY.index("right_hip") - 1]
    assert np.abs(hips[:, [0, 2]].mean(0)).max() < 0.3 * np.abs(hips[:, [0, 2]]).mean()


@pytest.mark.parametrize(
    ("name", "way"), [("temporal", "supervised"), ("video_gan", "weak"), ("seq2seq", "supervised")]
)
def test_stills_come_first_and_hold_for_windows(name: str, way: str):
    """What single frames have taught is the answer for whole windows too, until they teach more."""
    training, _ = own(name, way, 40, batch=16, pool=16, stills=0.5)
    key = "relative" if name == "video_gan" else "inputs"
    lengths = [training.pool(index)[key].shape[1] for index in range(10)]
    assert lengths == [1] * 5 + [training.pool(9)[key].shape[1]] * 5 and lengths[-1] > 1
    if name == "seq2seq":
        return
    network = training.network.eval()
    windows = as_tensor(training.pool(9)[key])
    middle = windows.shape[1] // 2
    ask = (lambda x: strided(network["pose"], x)) if name == "video_gan" else network
    with torch.no_grad():
        torch.testing.assert_close(ask(windows), ask(windows[:, middle : middle + 1]), atol=1e-6, rtol=1e-5)


def test_semi_supervision_learns_from_the_unlabelled():
    torch.set_num_threads(1)
    training, _ = own("temporal", "semi", 300, batch=32, pool=256)
    before, after = last(training, 300, "pose", "root", "projection", "bones")
    for name in ("pose", "root", "projection"):
        assert after[name] < 0.7 * before[name], name


def test_linear_by_the_paper_learns(library):  # noqa: F811 - a fixture
    torch.set_num_threads(1)
    schedule = LinearSchedule(epochs=3, views_per_epoch=2048, batch=64, hidden=64, loss="squared", learning_rate=1e-3)
    before, after = last(LinearTraining(library, schedule), 96, "distance_m")
    assert after["distance_m"] < 0.8 * before["distance_m"]


def test_gan_finds_depth_from_2d_alone():
    """One body seen from all sides: what it looks like tells its depth, and no depth was ever shown."""
    from posemill.networks.gan import image_pose
    from posemill.training.recipes import turned
    from posemill.training.sequences import draw_windows

    torch.set_num_threads(1)
    body = walking(1).repeat(30, 0)
    schedule = Schedule(steps=800, batch=64, pool=2048, learning_rate=1e-3, passes=20, noise=False)
    recipe = presets.of("gan", "short").sized({**presets.of("gan", "short").network, "hidden": 64})
    clips = [MotionClip("train", "A", "stand", FPS, body)]
    training, _ = make("gan", "unsupervised", recipe, clips, schedule, None)
    windows = draw_windows([body], FPS, 400, 1, np.random.default_rng(5))
    plane, pose, _ = turned(windows)
    inputs = torch.from_numpy(image_pose(plane)[0].reshape(400, -1).astype(np.float32))

    def agreement() -> float:
        with torch.no_grad():
            depth = training.network(inputs).numpy()
        depth = depth - depth[:, :1]
        return float(np.corrcoef(depth[:, 1:].ravel(), pose[:, 1:, 2].ravel())[0, 1])

    assert abs(agreement()) < 0.4
    run(training)
    assert agreement() > 0.6
