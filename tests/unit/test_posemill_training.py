"""What ``posemill`` is taught: bodies, cameras, detectors; and that its network learns."""

from __future__ import annotations

import numpy as np
import pytest

from posemill.anthropometry import STANDARD_LENGTH_M, body_length
from posemill.formats.motion import MotionClip
from posemill.networks.clip_rays import DEFINITIONS, INPUT_WIDTH, JOINTS_IN
from posemill.skeleton import JOINT_SETS, bone_lengths
from posemill.training.posemill import FRAMES, PosemillTraining, Schedule, halfway
from posemill.training.recombined import Changes, MotionLibrary, draw_motions
from posemill.training.seen import Sources, as_seen
from tests.walker import walker

JOINTS = JOINT_SETS["posemill21"]
SEEN = JOINTS.indices(JOINTS_IN.joints)


def clips(count=3, frames=120, feet=True):
    """Walkers of some sizes; feet ahead of the ankles."""
    made = []
    for i in range(count):
        _, world = (part[:frames] for part in walker(frames, 50.0))
        world = world * (0.9 + 0.1 * i)
        ankles = world[:, [6, 3, 6, 3]]
        sole = ankles + np.array([[0, 0.05, -0.05]] * 2 + [[0, -0.15, -0.07]] * 2)
        made.append(MotionClip("train", f"S{i}", "a", 50.0, world.astype(np.float32), sole if feet else None))
    return made


PLAIN = Changes(mixed=0, folded=0, reaching=0, turned=0, leaning=0, speed=0)
EXACT = Sources(capture=1.0, mediapipe=0.0, exact=1.0, focal_known=1.0, unnamed=0.0, feet=1.0)


def test_windows_keep_their_bones_and_their_stature():
    library = MotionLibrary(clips(), clusters=5)
    motions = draw_motions(library, 64, 9, np.random.default_rng(0))
    lengths = bone_lengths(motions.joints, "posemill21")
    # The trunk's root is the middle of the hips, so that two hip bones and the spine may change a little.
    rigid = [i for i, (parent, _) in enumerate(JOINTS.bones) if parent != 0]
    assert (np.ptp(lengths, axis=1)[:, rigid] < 1e-4).all()
    left = [JOINTS.index(f"left_{j}") - 1 for j in ("knee", "ankle", "elbow", "wrist")]
    right = [JOINTS.index(f"right_{j}") - 1 for j in ("knee", "ankle", "elbow", "wrist")]
    np.testing.assert_allclose(lengths[..., left], lengths[..., right], rtol=0.05)
    stature = 1.70 / STANDARD_LENGTH_M * body_length(motions.joints[:, 4, :17])
    assert stature.min() > 1.40 and stature.max() < 2.0 and np.ptp(stature) > 0.3
    assert motions.feet.all() and np.isfinite(motions.joints).all()


def test_without_changes_a_window_is_a_stretch_of_a_clip():
    source = clips(1)
    library = MotionLibrary(source, clusters=3)
    motions = draw_motions(library, 8, 5, np.random.default_rng(1), frame_rate=(50.0, 50.0), changes=PLAIN)
    assert np.allclose(motions.step_s, 0.02)

    # Angles do not change with size, heading or side: the knee's bend is one that was recorded.
    def bend(joints):
        a, b, c = (joints[..., JOINTS.index(f"left_{j}"), :] for j in ("hip", "knee", "ankle"))
        u, v = a - b, c - b
        return (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)

    known = np.sort(bend(source[0].joints))
    # Lengths are medians; proportions change angles of none but the trunk.
    drawn = bend(motions.joints)
    assert (np.abs(known[np.searchsorted(known, drawn).clip(0, len(known) - 1)] - drawn) < 0.02).mean() > 0.8


def test_inputs_are_the_targets_seen_by_the_camera():
    """Exact keypoints: a distance can be found at which the targets project onto the inputs."""
    motions = draw_motions(MotionLibrary(clips(), clusters=5), 40, 3, np.random.default_rng(2))
    inputs, targets = as_seen(motions, np.random.default_rng(3), EXACT)
    assert inputs.inputs.shape == (40, 3, INPUT_WIDTH) and targets.shape == (40, 3, 20, 3)
    x = inputs.inputs.astype(np.float64)
    xy, present = x[..., :32].reshape(40, 3, 16, 2), x[..., 32:48] > 0
    size = np.exp(x[..., 64] - 2.0)
    joints = np.concatenate([np.zeros((40, 3, 1, 3)), targets], 2)[:, :, SEEN]
    whole = present[..., :12].all(-1)
    assert whole.sum() > 30
    at, seen = joints[whole][:, :12], (xy * size[..., None, None])[whole][:, :12]
    best = np.full(len(at), np.inf)
    for depth in np.geomspace(1.2, 40, 1500):
        plane = at[..., :2] / (at[..., 2:] + depth)
        plane = plane - plane[:, [0, 3]].mean(1, keepdims=True)
        best = np.minimum(best, np.abs(plane - seen).max((1, 2)) / size[whole])
    # The root's ray is the mean of two rays, not the ray of the mean: a thousandth.
    assert np.median(best) < 5e-3 and np.max(best) < 0.03


def test_who_finds_the_joints_is_told_and_feet_are_known_where_they_were_recorded():
    library = MotionLibrary([*clips(2), *clips(1, feet=False)], clusters=5)
    motions = draw_motions(library, 300, 3, np.random.default_rng(0))
    inputs, _ = as_seen(motions, np.random.default_rng(1), Sources(unnamed=0.0))
    told = inputs.inputs[..., -5 - len(DEFINITIONS) : -5]
    shares = told[inputs.usable].mean(0)
    assert shares.sum() == pytest.approx(1.0) and (shares > 0.1).all()
    feet = inputs.inputs[..., 44:48].any((1, 2))
    assert not feet[~motions.feet].any() and 0.3 < feet[motions.feet].mean() < 0.9
    # The focal length is said to be uncertain for half of them.
    assert 0.3 < (inputs.inputs[:, 1, -5] > 0).mean() < 0.7


def test_cameras_that_know_where_up_is_tell_it():
    motions = draw_motions(MotionLibrary(clips(), clusters=5), 200, 3, np.random.default_rng(0), changes=PLAIN)
    inputs, targets = as_seen(motions, np.random.default_rng(1), Sources(up_deg=0.0))
    known = inputs.usable & (inputs.inputs[..., -1] > 0)
    assert 0.35 < known[:, 1].mean() < 0.65
    trunk = targets[..., JOINTS.index("thorax") - 1, :][known]
    up = inputs.inputs[..., -4:-1][known]
    np.testing.assert_allclose(np.linalg.norm(up, axis=-1), 1, atol=1e-5)
    # Walkers are upright.
    assert ((trunk * up).sum(-1) > 0.95 * np.linalg.norm(trunk, axis=-1)).all()


def test_weights_from_before_an_input_was_known_can_be_gone_on_from():
    import torch

    sizes = {"width": 16, "dilations": (1,)}
    old = PosemillTraining(clips(), Schedule(steps=4, batch=4, pool=8), sizes)
    tensors = {name: t.numpy().copy() for name, t in old.network.state_dict().items()}
    tensors["first.weight"] = tensors["first.weight"][:, :-4]
    new = PosemillTraining(clips(), Schedule(steps=4, batch=4, pool=8, seed=1), sizes, start=tensors)
    x = torch.randn(1, 3, INPUT_WIDTH)
    blind = x.clone()
    blind[..., -4:] = 0
    torch.testing.assert_close(new.network(x), old.network(blind))


def test_halfway_is_the_mean():
    import torch

    sizes = {"width": 16, "dilations": (1,)}
    one, two = (PosemillTraining(clips(), Schedule(steps=4, batch=4, pool=8, seed=s), sizes).network for s in (0, 1))
    mean = [(a + b) / 2 for a, b in zip(one.parameters(), two.parameters(), strict=True)]
    halfway(one, {name: t.numpy() for name, t in two.state_dict().items()})
    for ours, wanted in zip(one.parameters(), mean, strict=True):
        torch.testing.assert_close(ours, wanted)


def test_a_pool_depends_on_its_number_alone_and_lengths_grow():
    made = PosemillTraining(clips(), Schedule(steps=400, batch=4, pool=8, seed=5), {"width": 16, "dilations": (1,)})
    again = PosemillTraining(clips(), Schedule(steps=400, batch=4, pool=8, seed=5), {"width": 16, "dilations": (1,)})
    again.pool(0)
    for name, values in made.pool(3).items():
        np.testing.assert_array_equal(values, again.pool(3)[name])
    pools = 400 * 4 // (8 * 2)
    lengths = [made.length(i) for i in range(pools)]
    assert all(FRAMES % n == 0 for n in lengths)
    assert np.mean(lengths[: pools // 3]) < np.mean(lengths[-pools // 5 :])


def test_it_learns():
    from posemill.training.engine import Running, run

    schedule = Schedule(steps=150, batch=8, pool=64, learning_rate=3e-3)
    training = PosemillTraining(clips(), schedule, {"width": 48, "before": 1, "dilations": (1, 3), "after": 0})
    losses = []
    run(training, running=Running(log_every=10), report=lambda done, scalars: losses.append(scalars.get("distance_mm")))
    assert np.mean(losses[-20:]) < 0.6 * losses[10]


def test_recombined_motion_is_a_source_for_every_recipe():
    from posemill.training.noise import NoiseLevels
    from posemill.training.recombined import Recombined

    source = Recombined(MotionLibrary(clips(), clusters=5), NoiseLevels())
    windows = source.draw(20, 9, np.random.default_rng(0))
    assert windows.joints_camera.shape == (20, 9, 17, 3) and windows.keypoints.shape == (20, 9, 17, 2)
    focal, centre = windows.focal_px[:, None, None, None], ((windows.size - 1) / 2)[:, None, None]
    plane = windows.joints_camera[..., :2] / windows.joints_camera[..., 2:]
    np.testing.assert_allclose(plane * focal + centre, windows.exact, atol=1e-6)
    assert 0.1 < np.abs(windows.keypoints - windows.exact).mean() < 100
    again = source.draw(20, 9, np.random.default_rng(0))
    np.testing.assert_array_equal(again.keypoints, windows.keypoints)
