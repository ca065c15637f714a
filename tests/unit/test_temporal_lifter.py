"""``temporal`` on tracks: any length, gaps, stills, frame rates, joint sets, and where its weights come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from posemill.errors import InputError, MissingError
from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.formats.checkpoints import read_checkpoint
from posemill.formats.weights import read_weights, write_weights
from posemill.geometry import rotation_between
from posemill.lifters import temporal, temporal_lift
from posemill.lifters.answers import DEFAULT_SIGMA_M
from posemill.lifters.body_view import turn_to_root
from posemill.lifters.loading import store
from posemill.lifters.protocol import LiftInput, check_output
from posemill.networks.temporal import TemporalModel
from posemill.provenance import StageRequest
from posemill.skeleton import JOINT_SETS, convert
from posemill.stages import lift
from tests.unit.test_linear_lifter import camera
from tests.unit.test_temporal_network import answer, official_tensors
from tests.walker import camera_at, walker

BODY = JOINT_SETS["h36m17"]
WIDTHS, FIELD = (3, 3, 3), 27
WRIST = BODY.index("left_wrist")


def track(frames: int, *, joints: str = "h36m17", fps: float = 50.0, temporal: bool = True) -> LiftInput:
    """A walking person, exact keypoints."""
    time, world = (part[:frames] for part in walker(max(frames, 2), fps))
    seen_by = camera_at((0.5, -5.0, 1.5))
    points, *_ = convert(seen_by.project(seen_by.world_to_camera(world)), "h36m17", joints)
    if np.isnan(points).any():  # a face for detectors that want one
        points = np.where(np.isnan(points), points[:, :1] + np.arange(points.shape[1])[:, None], points)
    valid = np.ones(points.shape[:2], dtype=bool)
    return LiftInput(points, 1.0 * valid, 2.0 * valid, valid, time, seen_by, temporal)


def part(clip: LiftInput, start: int, stop: int) -> LiftInput:
    arrays = (getattr(clip, name)[start:stop] for name in ("keypoints", "score", "sigma", "valid", "time"))
    return LiftInput(*arrays, clip.camera, clip.temporal)


def without(clip: LiftInput, frames: slice | list[int], joints: slice | int | list[int] = slice(None)) -> LiftInput:
    valid, keypoints = clip.valid.copy(), clip.keypoints.copy()
    valid[frames, joints] = False
    keypoints[~valid] = np.nan
    return replace(clip, valid=valid, keypoints=keypoints)


def mirrored(clip: LiftInput) -> LiftInput:
    """The picture turned left to right about the middle that the normaliser uses."""
    keypoints = clip.keypoints[:, BODY.flip_permutation] * (-1, 1) + (clip.camera.width, 0)
    return replace(clip, keypoints=keypoints, valid=clip.valid[:, BODY.flip_permutation])


def beside_the_axis(clip: LiftInput, towards: tuple[float, float, float]) -> LiftInput:
    """Everybody's pelvis in that direction, seen as on the axis by a camera that is turned so."""
    plane = turn_to_root(clip.camera.normalise(clip.keypoints))
    rays = np.concatenate([plane, np.ones((*plane.shape[:-1], 1))], -1)
    rays = rays @ rotation_between(np.array([0.0, 0.0, 1.0]), np.array(towards)).T
    return replace(clip, keypoints=clip.camera.project(rays))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("weights") / "random.safetensors")


def stored(path: Path, *, more: dict | None = None, inputs: int = 34, **card) -> Path:
    tensors = {**official_tensors(WIDTHS, channels=24, inputs=inputs), **(more or {})}
    card = {"lifter": "temporal", "network": {"channels": 24}, "joint_set_in": "h36m17", **card}
    write_weights(path, tensors, card)
    return path


def made(path: Path, **options) -> temporal_lift.Temporal:
    return temporal.create(temporal.Options(weights=path, **options))


# ------------------------------------------------------------------------------------------ tracks


def test_answers_are_the_networks(weights: Path):
    clip = track(60)
    screen = clip.keypoints * 2 / 1000 - (1, 1002 / 1000)
    out = made(weights, flip=False).lift(clip)
    tensors, _ = read_weights(weights)
    for frame in (13, 40):
        want = answer(tensors, WIDTHS, screen, frame, causal=False)
        np.testing.assert_allclose(out.joints_relative[frame, 1:], want[1:], atol=1e-5)
    edges = np.concatenate([screen[:1]] * 13 + [screen])
    np.testing.assert_allclose(
        out.joints_relative[0, 1:], answer(tensors, WIDTHS, edges, 13, causal=False)[1:], atol=1e-5
    )
    assert not out.joints_relative[:, 0].any()
    np.testing.assert_allclose(out.sigma, np.broadcast_to(DEFAULT_SIGMA_M, (60, 17)))


def test_causal_weights_do_not_see_the_future(weights: Path):
    clip = track(50)
    changed = replace(clip, keypoints=clip.keypoints + 30.0 * (np.arange(50) >= 30)[:, None, None])
    one, other = (made(weights, causal=True).lift(c).joints_relative for c in (clip, changed))
    np.testing.assert_array_equal(one[:30], other[:30])
    assert np.abs(one[30] - other[30]).max() > 1e-3


@pytest.mark.parametrize("frames", [0, 1, 2, FIELD - 1, FIELD, FIELD + 1])
def test_any_length(weights: Path, frames: int):
    out = made(weights).lift(track(frames))
    check_output(out, frames, 17, "temporal")
    assert out.valid.all()
    assert (out.sigma >= DEFAULT_SIGMA_M - 1e-12).all()


def test_blocks_leave_no_seams(weights: Path, monkeypatch: pytest.MonkeyPatch):
    clip = without(track(100), slice(40, 44), WRIST)
    whole = made(weights).lift(clip)
    monkeypatch.setattr(temporal_lift, "_BLOCK", 11)
    pieces = made(weights).lift(clip)
    np.testing.assert_allclose(pieces.joints_relative, whole.joints_relative, atol=1e-5)
    np.testing.assert_allclose(pieces.sigma, whole.sigma, atol=1e-5)


def test_shift_in_time(weights: Path):
    clip, half = track(90), FIELD // 2
    whole = made(weights).lift(clip).joints_relative
    later = made(weights).lift(part(clip, 20, 90)).joints_relative
    np.testing.assert_allclose(later[half:], whole[20 + half :], atol=1e-5)


def test_mirrored_person_gives_the_mirrored_pose(weights: Path):
    clip = track(40)
    one, other = made(weights).lift(clip), made(weights).lift(mirrored(clip))
    swapped = BODY.flip_permutation
    np.testing.assert_allclose(other.joints_relative, one.joints_relative[:, swapped] * (-1, 1, 1), atol=1e-5)
    np.testing.assert_allclose(other.sigma, one.sigma[:, swapped], atol=1e-5)
    assert (one.sigma[:, WRIST] > DEFAULT_SIGMA_M[WRIST]).all()


def test_short_gap_is_bridged_and_says_so(weights: Path):
    clip = track(60)
    gap = without(clip, slice(20, 29), WRIST)
    # What a straight line between the sightings in frames 19 and 29 would have shown.
    line = clip.keypoints.copy()
    share = np.arange(1, 10)[:, None] / 10
    line[20:29, WRIST] = (1 - share) * line[19, WRIST] + share * line[29, WRIST]
    out, want = made(weights).lift(gap), made(weights).lift(replace(clip, keypoints=line))
    np.testing.assert_allclose(out.joints_relative, want.joints_relative, atol=1e-5)
    age = np.zeros((60, 17))
    age[20:29, WRIST] = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 50
    np.testing.assert_allclose(out.sigma, np.hypot(want.sigma, 0.5 * age), atol=1e-5)


def test_long_gap_of_one_joint_is_not_answered_for_that_joint(weights: Path):
    out = made(weights, max_gap_s=0.2).lift(without(track(60), slice(20, 40), WRIST))
    # Held for half of 0.2 s at each rim.
    assert np.flatnonzero(~out.valid[:, WRIST]).tolist() == list(range(25, 35))
    others = np.delete(out.valid, WRIST, axis=1)
    assert others.all() and np.isfinite(out.joints_relative[:, :3]).all()


def test_a_long_absence_ends_the_run_as_the_clips_end_would(weights: Path):
    clip = track(80)
    out = made(weights, max_gap_s=0.0).lift(without(clip, slice(30, 50)))
    assert out.valid.all(1).tolist() == [not 30 <= k < 50 for k in range(80)]
    for start, stop in ((0, 30), (50, 80)):
        alone = made(weights).lift(part(clip, start, stop)).joints_relative
        np.testing.assert_allclose(out.joints_relative[start:stop], alone, atol=1e-5)
    check_output(out, 80, 17, "temporal")


def test_nan_and_rubbish_under_invalid_keypoints_never_matter(weights: Path):
    clip = without(track(40), [0, 7, 8, 39])
    rubbish = replace(clip, keypoints=np.where(clip.valid[..., None], clip.keypoints, 1e30))
    one, other = made(weights).lift(clip), made(weights).lift(rubbish)
    assert one.valid.all()
    np.testing.assert_array_equal(one.joints_relative, other.joints_relative)
    nobody = made(weights).lift(without(clip, slice(None)))
    assert not nobody.valid.any() and np.isnan(nobody.joints_relative).all()


def test_leap_of_the_time_stamps_ends_the_run(weights: Path):
    clip = track(60)
    leapt = replace(clip, time=clip.time + 5.0 * (np.arange(60) >= 25))
    out = made(weights).lift(leapt)
    np.testing.assert_allclose(
        out.joints_relative[:25], made(weights).lift(part(clip, 0, 25)).joints_relative, atol=1e-5
    )


def test_too_many_unknown_joints(weights: Path):
    clip = without(track(30), slice(None), [1, 2, 3])
    assert not made(weights, max_missing=2).lift(clip).valid.any()
    out = made(weights, max_missing=3).lift(clip)
    assert out.valid.all(0).tolist() == [k not in (1, 2, 3) for k in range(17)]


def test_stills_do_not_see_each_other(weights: Path, monkeypatch: pytest.MonkeyPatch):
    clip = replace(without(track(9), [4], WRIST), temporal=False)
    monkeypatch.setattr(temporal_lift, "_BLOCK", 4)
    out = made(weights).lift(clip)
    assert out.valid.sum() == 9 * 17 - 1 and not out.valid[4, WRIST]
    for frame in (0, 8):
        alone = made(weights).lift(part(replace(clip, temporal=True), frame, frame + 1))
        np.testing.assert_allclose(out.joints_relative[frame], alone.joints_relative[0], atol=1e-5)


def test_other_frame_rates_are_resampled_to_the_networks(tmp_path: Path, weights: Path):
    at_50 = stored(tmp_path / "w.safetensors", fps=50)
    slow = track(40, fps=25.0)
    doubled = np.arange(79) / 2
    keypoints = np.stack([(slow.keypoints[np.floor(doubled).astype(int)] + slow.keypoints[np.ceil(doubled).astype(int)])
                          / 2])[0]  # fmt: skip
    ones = np.ones((79, 17))
    fast = LiftInput(keypoints, ones, ones, ones > 0, doubled / 25, slow.camera)
    got = made(at_50).lift(slow)
    np.testing.assert_allclose(got.joints_relative, made(weights).lift(fast).joints_relative[::2], atol=1e-5)
    same = track(40)
    np.testing.assert_array_equal(made(at_50).lift(same).joints_relative, made(weights).lift(same).joints_relative)


@pytest.mark.parametrize("block", [7, 1024])
def test_uneven_stamps_and_fast_clips(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(temporal_lift, "_BLOCK", block)
    at_50 = stored(tmp_path / "w.safetensors", fps=50)
    clip = track(200, fps=240.0)
    rng = np.random.default_rng(0)
    keep = np.sort(rng.choice(200, 150, replace=False))
    arrays = (getattr(clip, name)[keep] for name in ("keypoints", "score", "sigma", "valid", "time"))
    out = made(at_50).lift(LiftInput(*arrays, clip.camera))
    whole = made(at_50).lift(clip)
    check_output(out, 150, 17, "temporal")
    assert out.valid.all()
    inner = slice(20, 130)
    assert np.abs(out.joints_relative[inner] - whole.joints_relative[keep][inner]).max() < 0.05


def test_rays_make_the_lens_not_matter(tmp_path: Path):
    path = stored(tmp_path / "w.safetensors", normaliser="rays")
    assert temporal.card(temporal.Options(weights=path)).needs_camera
    joints = walker(30, 50.0)[1] @ np.diag([1.0, 1, 1]) + (0, 0, 5)
    ones, time = np.ones((30, 17)), np.arange(30) / 50
    poses = []
    for seen_by in (camera(1000), camera(600, width=640, height=480, dist=(-0.1, 0.02, 0.001, -0.001, 0))):
        clip = LiftInput(seen_by.project(joints), ones, ones, ones > 0, time, seen_by)
        poses.append(made(path).lift(clip).joints_relative)
    np.testing.assert_allclose(poses[0], poses[1], atol=1e-5)


def test_turned_rays_do_not_see_where_the_person_is(tmp_path: Path):
    path, plain = (stored(tmp_path / f"{name}.safetensors", normaliser=name) for name in ("turned", "rays"))
    card = temporal.card(temporal.Options(weights=path))
    assert card.ray_blind and card.needs_camera and not temporal.card(temporal.Options(weights=plain)).ray_blind
    one, other = (beside_the_axis(track(40), towards) for towards in ((0, 0, 1), (0.25, -0.1, 1)))
    for whole in (True, False):
        first, second = (made(path).lift(replace(clip, temporal=whole)).joints_relative for clip in (one, other))
        np.testing.assert_allclose(first, second, atol=1e-5)
        # On the axis there is nothing to turn.
        as_it_is = made(plain).lift(replace(one, temporal=whole)).joints_relative
        np.testing.assert_allclose(first, as_it_is, atol=1e-5)


def test_a_trajectory_is_not_of_a_turned_camera(tmp_path: Path):
    trajectory = official_tensors(WIDTHS, channels=16, outputs=3)
    more = {f"trajectory.{n}": t for n, t in trajectory.items()}
    path = stored(tmp_path / "w.safetensors", normaliser="turned", more=more)
    with pytest.raises(InputError, match="card: normaliser: expected turned for h36m17 and no trajectory"):
        made(path)


def test_score_as_third_channel(tmp_path: Path):
    path = stored(tmp_path / "w.safetensors", inputs=51)
    assert temporal.card(temporal.Options(weights=path)).channels == ("x", "y", "score")
    clip = track(20)
    sure, unsure = (made(path).lift(replace(clip, score=clip.score * s)).joints_relative for s in (1.0, 0.2))
    assert np.abs(sure - unsure)[:, 1:].max() > 1e-3


def test_trajectory_network_says_where_the_root_is(tmp_path: Path):
    trajectory = official_tensors(WIDTHS, channels=16, outputs=3)
    path = stored(tmp_path / "w.safetensors", more={f"trajectory.{n}": t for n, t in trajectory.items()})
    clip = track(40)
    screen = clip.keypoints * 2 / 1000 - (1, 1002 / 1000)
    plain = made(path, flip=False).lift(clip)
    assert plain.root is not None and plain.root_sigma is not None
    np.testing.assert_allclose(plain.root[20], answer(trajectory, WIDTHS, screen, 20, causal=False)[0], atol=1e-5)
    one, other = made(path).lift(clip), made(path).lift(mirrored(clip))
    assert one.root is not None and other.root is not None
    np.testing.assert_allclose(other.root, one.root * (-1, 1, 1), atol=1e-5)
    gap = made(path, max_gap_s=0).lift(without(clip, [5]))
    check_output(gap, 40, 17, "temporal")


# ------------------------------------------------------------------------------------------ weights


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A stand-in of exactly the published names, shapes and extras: 243 frames, COCO in."""
    tensors = official_tensors((3,) * 5)
    path = tmp_path_factory.mktemp("published") / "pretrained_h36m_detectron_coco.bin"
    pose = {name: torch.from_numpy(t) for name, t in tensors.items()}
    counters = {"expand_bn.num_batches_tracked": torch.tensor(9)}
    extras = {"epoch": 80, "lr": 1.7e-5, "random_state": np.random.RandomState(1234), "optimizer": None}
    torch.save({**extras, "model_pos": pose | counters, "model_traj": None, "random_state_semi": None}, path)
    return path, tensors


def test_published_checkpoint(published: tuple[Path, dict]):
    path, tensors = published
    options = temporal.Options(weights=path, flip=False)
    card = temporal.card(options)
    assert (card.joint_set_in, card.receptive_field, card.needs_camera) == ("coco17", 243, False)
    clip = track(4, joints="coco17")
    screen = clip.keypoints * 2 / 1000 - (1, 1002 / 1000)
    padded = np.concatenate([screen[:1]] * 121 + [screen] + [screen[-1:]] * 121)
    got = temporal.create(options).lift(clip).joints_relative[2, 1:]
    np.testing.assert_allclose(got, answer(tensors, (3,) * 5, padded, 123, causal=False)[1:], atol=1e-5)


def test_checkpoint_of_another_name_does_not_say_what_it_reads(tmp_path: Path, published: tuple[Path, dict]):
    path = tmp_path / "mine.bin"
    path.symlink_to(published[0])
    options = temporal.Options(weights=path, joint_set_in="h36m17", causal=True)
    _, about = temporal.convert(read_checkpoint(path), options)
    assert (about["joint_set_in"], about["network"]) == ("h36m17", {"causal": True})
    with pytest.raises(InputError, match=r"expected h36m17 or coco17, got None; set lifters\.temporal\.joint_set_in"):
        temporal.create(temporal.Options(weights=path))


def test_converted_is_the_same(tmp_path: Path):
    tensors, trajectory = official_tensors(WIDTHS, channels=16), official_tensors(WIDTHS, channels=16, outputs=3)
    parts = {"model_pos": tensors, "model_traj": trajectory}
    state = {n: {f"module.{k}": torch.from_numpy(t) for k, t in p.items()} for n, p in parts.items()}
    torch.save(state, tmp_path / "w.bin")
    write_weights(
        tmp_path / "w.safetensors", *temporal.convert(read_checkpoint(tmp_path / "w.bin"), temporal.Options())
    )
    clip = track(12)
    one, other = (made(tmp_path / name, joint_set_in="h36m17").lift(clip) for name in ("w.bin", "w.safetensors"))
    np.testing.assert_array_equal(one.joints_relative, other.joints_relative)
    assert one.root is not None and other.root is not None
    np.testing.assert_array_equal(one.root, other.root)


def test_stored_in_half_precision_reads_the_same_network(tmp_path: Path, weights: Path):
    network = TemporalModel(17, 2, 17, WIDTHS, channels=24)
    tensors = official_tensors(WIDTHS, channels=24)
    network.load_state_dict({n: torch.from_numpy(t) for n, t in tensors.items()}, strict=False)
    floor = np.full(17, 0.03)
    path = tmp_path / "w.safetensors"
    store(path, network, {"lifter": "temporal", "joint_set_in": "h36m17"}, {"sigma_floor": floor})
    one, other = (made(p, flip=False).lift(track(30)) for p in (path, weights))
    np.testing.assert_allclose(one.joints_relative, other.joints_relative, atol=0.01)
    np.testing.assert_allclose(one.sigma, 0.03, rtol=1e-6)
    assert path.stat().st_size < 0.6 * weights.stat().st_size


def test_missing_weights_say_how_to_get_them(tmp_path: Path):
    with pytest.raises(MissingError, match=r"posemill train temporal .* or set lifters\.temporal\.weights to"):
        made(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shrink.weight": (45, 24, 1)}, r"shrink\.weight: expected shape \(51, 24, 1\), got \(45, 24, 1\)"),
        ({"layers_conv.3.weight": (24, 24, 3)}, r"layers_conv\.3\.weight: expected shape \(24, 24, 1\), got"),
        ({"expand_bn.bias": None}, r"tensor expand_bn\.bias: expected shape \(24,\), got none"),
        ({"more": (2,)}, "expected only the network's, got more as well"),
        ({"sigma_floor": (3,)}, r"sigma_floor: expected 17 positive numbers, got \(3,\)"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, change: dict, message: str):
    tensors = official_tensors(WIDTHS, channels=24)
    for name, shape in change.items():
        tensors.pop(name, None)
        if shape is not None:
            tensors[name] = np.ones(shape, np.float32)
    write_weights(tmp_path / "w.safetensors", tensors, {"joint_set_in": "h36m17"})
    with pytest.raises(InputError, match=message):
        made(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("card", "options", "message"),
    [
        ({"joint_set_in": "mpii16"}, {}, "joint_set_in: expected h36m17 or coco17, got mpii16"),
        ({}, {"joint_set_in": "coco17"}, "joint_set_in: expected h36m17, as the card of the weights says, got coco17"),
        ({"normaliser": "none"}, {}, "normaliser: expected screen or rays or turned, got none"),
        ({"fps": "fast"}, {}, "fps: expected 1 to 1000 or null, got fast"),
        ({"network": {"channels": 10**6}}, {}, r"expand_conv\.weight: expected shape \(1000000, 34, 3\), got"),
        ({"network": {"depth": 3}}, {}, "network: expected sizes of one, got .*depth"),
        ({"lifter": "gan"}, {}, "weights: expected those of lifter temporal, got gan's"),
    ],
)
def test_cards_that_contradict(tmp_path: Path, card: dict, options: dict, message: str):
    with pytest.raises(InputError, match=message):
        made(stored(tmp_path / "w.safetensors", **card), **options)


def test_lift_stage_converts_to_what_the_weights_read(tmp_path: Path):
    """The card by options decides, not the constant: COCO keypoints reach these weights as they are."""
    path = stored(tmp_path / "w.safetensors", joint_set_in="coco17")
    clip = track(8, joints="coco17")
    arrays = {
        "keypoints": clip.keypoints.astype(np.float32),
        "score": clip.score.astype(np.float32),
        "sigma": clip.sigma.astype(np.float32),
        "valid": clip.valid,
        "bbox": np.tile(np.float32([0, 0, 999, 999]), (8, 1)),
    }
    good = Clip(fps=50.0, image_size=(1000, 1002), time=clip.time, camera=clip.camera, tracks={"p1": Track(arrays)})
    write(tmp_path / "k.h5", Artifact("keypoints2d", "S1", "coco17", {"walk": good}))
    request = StageRequest("lift", "temporal", {"weights": str(path)}, weights="")
    lift.run(tmp_path / "k.h5", tmp_path / "l.h5", request)
    lifted = read(tmp_path / "l.h5", schema="lifted3d")
    want = made(path).lift(replace(clip, keypoints=arrays["keypoints"].astype(np.float64)))
    got = lifted.clips["walk"].tracks["p1"].arrays["joints_relative"]
    np.testing.assert_allclose(got, want.joints_relative, atol=1e-5)
    assert lifted.attrs["receptive_field"] == FIELD
