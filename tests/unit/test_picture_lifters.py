"""dstformer and agformer as lifters: clips of any length, gaps, mirrors, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from posemill.anthropometry import STANDARD_LENGTH_M, body_length
from posemill.camera import Camera
from posemill.errors import InputError, MissingError
from posemill.formats.checkpoints import read_checkpoint
from posemill.formats.weights import read_weights, write_weights
from posemill.lifters import agformer, dstformer
from posemill.lifters.answers import DEFAULT_SIGMA_M
from posemill.lifters.picture_sequence import PictureSequence
from posemill.lifters.picture_setup import PictureOptions, Setup
from posemill.lifters.protocol import LiftInput, LiftOutput, check_output
from posemill.lifters.windows import slide, stretch, triangle
from posemill.networks.agformer import MotionAGFormer
from posemill.networks.dstformer import DSTformer
from posemill.networks.picture_units import picture_pose, picture_units
from posemill.skeleton import JOINT_SETS

from .test_picture_networks import camera, made_weights, people, shapes

BODY = JOINT_SETS["h36m17"]
WINDOW = 9
SMALL = {
    dstformer: (DSTformer, {"width": 16, "depth": 1, "heads": 4, "frames": WINDOW, "representation": 8}),
    agformer: (MotionAGFormer, {"width": 16, "depth": 1, "heads": 4, "frames": WINDOW, "representation": 8}),
}
BOTH = pytest.mark.parametrize("module", [dstformer, agformer], ids=["dstformer", "agformer"])


def walk(frames: int, *, fps: float = 50.0) -> np.ndarray:
    """A person who moves smoothly in front of the camera: (frames, 17, 3) m."""
    rng = np.random.default_rng(5)
    time = np.arange(frames)[:, None, None] / fps
    sway = 0.1 * np.sin(3 * time + rng.uniform(0, 6, (17, 3)))
    return people(1) + sway * (np.arange(17) > 0)[:, None] + np.array([0.2, 0, 0.1]) * np.sin(time)


def seen(joints: np.ndarray, by: Camera | None = None, *, fps: float = 50.0, temporal: bool = True) -> LiftInput:
    by = by or camera()
    keypoints = by.project(joints)
    flags = np.isfinite(keypoints).all(-1)
    score = 0.5 + 0.5 * np.sin(np.arange(flags.size).reshape(flags.shape)) ** 2
    return LiftInput(keypoints, score, np.ones(flags.shape), flags, np.arange(len(joints)) / fps, by, temporal)


def without(clip: LiftInput, frames, joints) -> LiftInput:
    """The clip without these keypoints."""
    keypoints, valid = clip.keypoints.copy(), clip.valid.copy()
    at = np.ix_(np.atleast_1d(np.arange(len(valid))[frames]), np.atleast_1d(np.arange(17)[joints]))
    keypoints[at], valid[at] = np.nan, False
    return replace(clip, keypoints=keypoints, valid=valid)


def part(clip: LiftInput, frames: slice | np.ndarray) -> LiftInput:
    names = ("keypoints", "score", "sigma", "valid", "time")
    return replace(clip, **{name: getattr(clip, name)[frames] for name in names})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[ModuleType, Path]:
    """Small networks with weights by rule, as our own files."""
    folder = tmp_path_factory.mktemp("weights")
    out = {}
    for module, (make, sizes) in SMALL.items():
        out[module] = folder / f"{module.NAME}.safetensors"
        card = {"lifter": module.NAME, "network": sizes, "fps": 50.0}
        write_weights(out[module], made_weights(shapes(make(**sizes))), card)
    return out


def made(module: ModuleType, files: dict[ModuleType, Path], **options) -> PictureSequence:
    return module.create(module.Options(weights=files[module], **options))


def lift(lifter: PictureSequence, clip: LiftInput) -> LiftOutput:
    return check_output(lifter.lift(clip), len(clip.time), 17, "test")


class Echo(torch.nn.Module):
    """Answers with what it sees: x and y as they are, the score as depth."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def echoing(**changes) -> PictureSequence:
    options = PictureOptions(flip=False, **changes.pop("options", {}))
    setup = Setup(Echo(), 3, WINDOW, True, "picture", False, None, DEFAULT_SIGMA_M)
    return PictureSequence(replace(setup, **changes), options)


def with_depth(joints: np.ndarray, *, fps: float = 50.0, by: Camera | None = None) -> LiftInput:
    """A clip in which an echo gives the truth: depths (0 to 1 units) stand where the score does."""
    by = by or camera()
    clip = seen(joints, by, fps=fps)
    z = picture_pose(joints, by, picture_units(by))[..., 2]
    return replace(clip, score=z - z.min())


# ------------------------------------------------------------------------------------------ windows


@pytest.mark.parametrize(("frames", "step", "batch"), [(9, 4, 2), (10, 4, 3), (31, 9, 1), (50, 1, 7), (40, 5, 100)])
def test_blended_windows_give_each_frame_once_and_agree_where_they_agree(frames: int, step: int, batch: int):
    asked = []

    def answer(starts: np.ndarray) -> np.ndarray:
        assert len(starts) <= batch
        asked.extend(starts)
        return (starts[:, None] + np.arange(9)).astype(float)[..., None]

    blocks = list(slide(frames, 9, step, batch, answer))
    np.testing.assert_allclose(np.concatenate([values for _, values in blocks])[:, 0], np.arange(frames), atol=1e-12)
    assert [begin for begin, _ in blocks] == np.cumsum([0, *(len(v) for _, v in blocks)])[:-1].tolist()
    assert asked[-1] == frames - 9 and asked == sorted(set(asked))


def test_blended_windows_weigh_by_triangles():
    # Windows at 0 and 2 of three frames: only frame 2 is in both, and has weight 1 in each.
    def answer(starts: np.ndarray) -> np.ndarray:
        return np.repeat(starts[:, None], 3, 1).astype(float)

    assert triangle(3).tolist() == [1, 2, 1]
    blocks = np.concatenate([values for _, values in slide(5, 3, 2, 1, answer)])
    np.testing.assert_allclose(blocks, [0, 0, 1, 2, 2])
    # Windows at 0, 1, 2: weights 1 2 1 each.
    blocks = np.concatenate([values for _, values in slide(5, 3, 1, 2, answer)])
    np.testing.assert_allclose(blocks, [0, 1 / 3, 1, 5 / 3, 2])


def test_a_short_run_is_stretched_evenly():
    for frames in (1, 2, 5, 9):
        index = stretch(frames, 9)
        counts = np.bincount(index, minlength=frames)
        assert len(index) == 9 and (np.diff(index) >= 0).all() and counts.min() >= 9 // frames
        assert counts.max() - counts.min() <= 1


# ------------------------------------------------------------------------------------------ any length


@BOTH
@pytest.mark.parametrize("frames", [1, 2, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 2])
def test_clips_of_any_length(module: ModuleType, files, frames: int):
    got = lift(made(module, files), seen(walk(frames)))
    assert got.valid.all() and (got.sigma >= DEFAULT_SIGMA_M).all()
    assert (got.joints_relative[:, 0] == 0).all()
    np.testing.assert_allclose(body_length(got.joints_relative), STANDARD_LENGTH_M)


@BOTH
def test_no_frames_give_no_frames(module: ModuleType, files):
    assert made(module, files).lift(part(seen(walk(3)), slice(0, 0))).joints_relative.shape == (0, 17, 3)


@BOTH
def test_stills_do_not_see_each_other(module: ModuleType, files):
    clip = seen(walk(7), temporal=False)
    lifter = made(module, files)
    order = np.array([4, 2, 6, 0, 1, 3, 5])
    got = lift(lifter, clip)
    shuffled = lift(lifter, replace(part(clip, order), time=clip.time))
    np.testing.assert_allclose(shuffled.joints_relative, got.joints_relative[order], atol=1e-6)
    # A still is a clip of one frame.
    one = lift(lifter, replace(part(clip, slice(2, 3)), temporal=True))
    np.testing.assert_allclose(one.joints_relative[0], got.joints_relative[2], atol=1e-6)


@BOTH
def test_the_mirrored_person_has_the_mirrored_pose(module: ModuleType, files):
    clip, lifter = seen(walk(2 * WINDOW)), made(module, files)
    c = clip.camera
    k = c.K.copy()
    k[0, 2] = c.width - k[0, 2]
    flip = BODY.flip_permutation
    mirrored = replace(
        clip,
        keypoints=clip.keypoints[:, flip] * (-1, 1) + (c.width, 0),
        score=clip.score[:, flip],
        camera=Camera(c.width, c.height, k, c.dist),
    )
    got, other = lift(lifter, clip), lift(lifter, mirrored)
    np.testing.assert_allclose(other.joints_relative[:, flip] * (-1, 1, 1), got.joints_relative, atol=1e-5)
    np.testing.assert_allclose(other.sigma[:, flip], got.sigma, atol=1e-5)
    plain = lift(made(module, files, flip=False), clip)
    assert np.abs(plain.joints_relative - got.joints_relative).max() > 1e-3
    np.testing.assert_allclose(plain.sigma, np.broadcast_to(DEFAULT_SIGMA_M, plain.sigma.shape))


def test_without_overlap_a_window_is_lifted_on_its_own(files):
    clip, lifter = seen(walk(2 * WINDOW)), made(dstformer, files, overlap=0)
    whole, half = lift(lifter, clip), lift(lifter, part(clip, slice(WINDOW, None)))
    np.testing.assert_allclose(whole.joints_relative[WINDOW:], half.joints_relative, atol=1e-6)


def test_a_shorter_window_is_a_choice_where_any_length_goes(files):
    clip = seen(walk(12))
    short = lift(made(dstformer, files, window=4, overlap=0), clip)
    alone = lift(made(dstformer, files), part(clip, slice(4, 8)))
    np.testing.assert_allclose(short.joints_relative[4:8], alone.joints_relative, atol=1e-6)
    with pytest.raises(InputError, match="window: expected at most the 9 frames that these weights know, got 10"):
        made(dstformer, files, window=10)


# ------------------------------------------------------------------------------------------ truth


@pytest.mark.parametrize("frames", [5, 40])
def test_a_perfect_network_gives_the_standard_body_in_camera_axes(frames: int):
    joints = walk(frames)
    bent = camera(dist=(-0.2, 0.05, 0.001, -0.001, 0))
    for by in (camera(), bent):
        got = lift(echoing(), with_depth(joints, by=by))
        size = STANDARD_LENGTH_M / body_length(joints)
        truth = (joints - joints[:, :1]) * size[:, None, None]
        np.testing.assert_allclose(got.joints_relative, truth, atol=1e-5)


def test_another_rate_is_resampled_inside():
    joints = walk(41, fps=30.0)
    truth = (joints - joints[:, :1]) * (STANDARD_LENGTH_M / body_length(joints))[:, None, None]
    got = lift(echoing(fps=50.0), with_depth(joints, fps=30.0))
    assert got.valid.all()
    # Twice a straight line between neighbours: smooth motion loses a little of a frame's worth.
    frame = np.abs(np.diff(truth, axis=0)).max()
    assert 1e-6 < np.abs(got.joints_relative - truth).max() < 0.2 * frame
    # What moves evenly in the picture loses nothing.
    clip = with_depth(np.repeat(joints[:1], 41, 0), fps=30.0)
    clip = replace(clip, keypoints=clip.keypoints + np.arange(41)[:, None, None])
    same = lift(echoing(), clip).joints_relative
    np.testing.assert_allclose(lift(echoing(fps=50.0), clip).joints_relative, same, atol=1e-6)


def test_the_pelvis_is_taken_off_or_set_to_zero():
    class Shifted(Echo):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - x[..., :1, :] + torch.tensor([0.1, 0.0, 0.0])

    clip = with_depth(walk(5))
    taken_off = lift(echoing(network=Shifted()), clip).joints_relative
    np.testing.assert_allclose(taken_off, lift(echoing(), clip).joints_relative, atol=1e-6)
    assert np.abs(lift(echoing(network=Shifted(), root_relative=True), clip).joints_relative - taken_off).max() > 0.05


def test_crop_sees_the_person_wherever_and_however_large():
    inputs = []

    class Spy(Echo):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inputs.append(x.numpy())
            return x

    clip = seen(walk(5))
    lifter = echoing(network=Spy(), normaliser="crop")
    lift(lifter, clip)
    lift(lifter, replace(clip, keypoints=clip.keypoints * 0.5 + (30, 70)))
    np.testing.assert_allclose(inputs[0], inputs[1], atol=1e-5)
    assert inputs[0][..., :2].min() == pytest.approx(-1) and inputs[0][..., :2].max() == pytest.approx(1)
    # Each still has its own square.
    lift(lifter, replace(clip, temporal=False))
    assert np.ptp(inputs[2][..., :2], axis=(1, 2)).max(-1) == pytest.approx(np.full(5, 2.0))
    # Nobody has an extent of nothing.
    point = replace(clip, keypoints=np.full_like(clip.keypoints, 100.0))
    assert not lift(lifter, point).valid.any()


def test_weights_without_confidence_see_two_channels(files, tmp_path: Path):
    sizes = SMALL[dstformer][1] | {"channels": 2}
    path = tmp_path / "two.safetensors"
    write_weights(path, made_weights(shapes(DSTformer(**sizes))), {"network": sizes})
    options = dstformer.Options(weights=path)
    assert dstformer.card(options).channels == ("x", "y")
    clip = seen(walk(5))
    lifter = dstformer.create(options)
    other = lift(lifter, replace(clip, score=clip.score * 0.1)).joints_relative
    np.testing.assert_array_equal(other, lift(lifter, clip).joints_relative)


# ------------------------------------------------------------------------------------------ gaps


@BOTH
def test_a_short_gap_is_bridged_with_less_certainty(module: ModuleType, files):
    clip, lifter = seen(walk(30)), made(module, files, flip=False)
    wrist = BODY.index("left_wrist")
    whole, got = lift(lifter, clip), lift(lifter, without(clip, slice(10, 14), wrist))
    assert got.valid.all()
    assert (got.sigma[10:14, wrist] > whole.sigma[10:14, wrist]).all()
    assert got.sigma[11, wrist] > got.sigma[10, wrist]


@BOTH
def test_what_is_gone_for_longer_is_not_answered(module: ModuleType, files):
    clip, lifter = seen(walk(60)), made(module, files)
    wrist = BODY.index("left_wrist")
    got = lift(lifter, without(clip, slice(10, 50), wrist))
    assert not got.valid[30, wrist] and np.delete(got.valid[30], wrist).all()
    # Nothing without the pelvis.
    assert not lift(lifter, without(clip, slice(10, 50), 0)).valid[30].any()
    assert not lift(lifter, without(clip, slice(None), slice(None))).valid.any()


def test_frames_that_lack_too_much_end_a_run(files):
    clip, lifter = seen(walk(80)), made(dstformer, files, max_gap_s=0.0)
    got = lift(lifter, without(clip, slice(20, 50), slice(3, 12)))
    assert not got.valid[20:50].any() and got.valid[:20].all() and got.valid[50:].all()
    alone = lift(lifter, part(clip, slice(50, None)))
    np.testing.assert_allclose(got.joints_relative[50:], alone.joints_relative, atol=1e-6)


@BOTH
def test_nothing_that_is_not_finite_gets_in(module: ModuleType, files):
    clip, lifter = seen(walk(20)), made(module, files)
    gap = without(clip, 5, 3)
    wild = replace(gap, keypoints=np.where(gap.valid[..., None], gap.keypoints, np.inf))
    blind = replace(gap, score=np.where(gap.valid, gap.score, np.nan))
    want = lift(lifter, gap).joints_relative
    np.testing.assert_array_equal(lift(lifter, wild).joints_relative, want)
    np.testing.assert_array_equal(lift(lifter, blind).joints_relative, want)


# ------------------------------------------------------------------------------------------ files


def official(module: ModuleType, path: Path, tensors: dict[str, np.ndarray]) -> Path:
    """A file as the authors' training writes it: prefixed names, an optimiser, an epoch."""
    key = {dstformer: "model_pos", agformer: "model"}[module]
    state = {f"module.{name}": torch.from_numpy(tensor) for name, tensor in tensors.items()}
    for name in list(state):
        if name.endswith("running_var"):
            state[name.replace("running_var", "num_batches_tracked")] = torch.tensor(5)
    adam = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 5e-4}]}
    torch.save({"epoch": 60, "lr": 5e-4, "optimizer": adam, key: state, "min_loss": 37.2, "wandb_id": None}, path)
    return path


@BOTH
def test_a_published_file_loads_and_converts(module: ModuleType, tmp_path: Path):
    make, sizes = SMALL[module]
    tensors = made_weights(shapes(make(**sizes | {"heads": 8})))
    theirs = official(module, tmp_path / "best_epoch.bin", tensors)
    clip = seen(walk(20))
    got = lift(module.create(module.Options(weights=theirs)), clip)
    converted, about = module.convert(read_checkpoint(theirs), module.Options())
    ours = tmp_path / "ours.safetensors"
    write_weights(ours, converted, about)
    assert set(read_weights(ours)[0]) == set(tensors) and about["lifter"] == module.NAME
    np.testing.assert_array_equal(
        lift(module.create(module.Options(weights=ours)), clip).joints_relative, got.joints_relative
    )
    assert module.card(module.Options(weights=theirs)).receptive_field == WINDOW


def damaged(module: ModuleType, files, tmp_path: Path, change, **card) -> Path:
    tensors, about = read_weights(files[module])
    change(tensors)
    write_weights(tmp_path / "damaged.safetensors", tensors, about | card)
    return tmp_path / "damaged.safetensors"


@BOTH
@pytest.mark.parametrize(
    ("change", "card", "message"),
    [
        (lambda t: t.pop("head.bias"), {}, r"tensor head.bias: expected shape \(3,\), got none"),
        (lambda t: t.update(stranger=np.zeros(2)), {}, "only the network's, got stranger as well"),
        (
            lambda t: t.update({"head.weight": np.zeros((3, 9), np.float32)}),
            {},
            r"tensor head.weight: expected shape \(3, 8\), got \(3, 9\)",
        ),
        (lambda t: t.update({"norm.bias": np.full(16, np.nan, np.float32)}), {}, "norm.bias: expected finite"),
        (lambda t: t.clear(), {}, "tensor .*: expected shape .*, got none"),
        (lambda t: t.update(sigma_floor=np.zeros(17)), {}, "sigma_floor: expected 17 positive numbers"),
        (lambda t: None, {"network": {"heads": 5}}, "network: expected sizes of one"),
        (lambda t: None, {"network": {"heads": 0}}, "network: expected sizes of one"),
        (lambda t: None, {"network": {"colour": 5}}, "network: expected sizes of one"),
        (lambda t: None, {"network": 5}, "card: network: expected arguments"),
        (lambda t: None, {"normaliser": "inches"}, "normaliser: expected picture or shorter_side or crop, got inches"),
        (lambda t: None, {"root_relative": "yes"}, "root_relative: expected true or false, got yes"),
        (lambda t: None, {"fps": -1}, "fps: expected 1 to 1000 or null, got -1"),
        (lambda t: None, {"lifter": "temporal"}, "expected those of lifter .*, got temporal's"),
    ],
)
def test_what_does_not_fit_is_named(module: ModuleType, files, tmp_path: Path, change, card: dict, message: str):
    path = damaged(module, files, tmp_path, change, **card)
    with pytest.raises(InputError, match=message) as caught:
        module.create(module.Options(weights=path))
    assert "\n" not in str(caught.value) and "damaged.safetensors" in str(caught.value)


@BOTH
def test_options_must_not_contradict_the_card(module: ModuleType, files, tmp_path: Path):
    path = damaged(module, files, tmp_path, lambda t: None, normaliser="crop")
    assert module.card(module.Options(weights=path)).normaliser == "crop"
    with pytest.raises(InputError, match="normaliser: expected crop, as the card of the weights says, got picture"):
        module.create(module.Options(weights=path, normaliser="picture"))


@BOTH
def test_own_sigma_comes_with_the_weights(module: ModuleType, files, tmp_path: Path):
    floor = np.linspace(0.01, 0.05, 17)
    path = damaged(module, files, tmp_path, lambda t: t.update(sigma_floor=floor))
    got = lift(module.create(module.Options(weights=path, flip=False)), seen(walk(5)))
    np.testing.assert_allclose(got.sigma, np.broadcast_to(floor, (5, 17)))


@BOTH
def test_without_weights_the_way_out_is_said(module: ModuleType, tmp_path: Path):
    with pytest.raises(MissingError, match=f"posemill train {module.NAME} --motion"):
        module.create(module.Options(weights=tmp_path / "none.bin"))
