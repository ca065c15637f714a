"""detect with top-down detectors: weights of every kind, batches, provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posemill import registry
from posemill.detectors import hourglass, pose_resnet
from posemill.errors import InputError, MissingError
from posemill.formats.artifact import read
from posemill.formats.checkpoints import Checkpoint
from posemill.formats.torch7_writer import write_torch7
from posemill.formats.weights import read_weights, write_weights
from posemill.lifters.loading import store
from posemill.networks.hourglass import Hourglass
from posemill.networks.hourglass_torch7 import graph_module
from posemill.networks.pose_resnet import PoseResnet
from posemill.plan import plan
from posemill.provenance import sha256_file
from posemill.stages import convert, detect
from tests.unit.test_hourglass_networks import as_in_pytorch
from tests.unit.test_media import make_video, picture

SIZES = {"stacks": 2, "features": 8, "joints": 16, "modules": 1, "after": True, "stem": 4}
TERMS = {"code": "Apache-2.0", "weights": "CC0-1.0", "data": "none"}


def network() -> Hourglass:
    """A small network with positive answers somewhere."""
    torch.manual_seed(3)
    made = Hourglass(**SIZES).eval()
    with torch.no_grad():
        made.get_parameter("stacks.1.heatmaps.bias").add_(1)
    return made


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Our own file."""
    path = tmp_path / "hourglass.safetensors"
    store(path, network(), {"detector": "hourglass", "network": SIZES, "resolution": 64, "licences": TERMS})
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Seven frames."""
    path = tmp_path / "clip.mp4"
    make_video(path, [picture(i) for i in range(7)])
    return path


def found(video: Path, folder: Path, **options: Any) -> Any:
    """The artifact of one clip."""
    method = str(options.pop("detector", "hourglass"))
    output = folder / "detect.h5"
    request = plan("detect", method, {"boxes": "frame", **options}, {"subject": "S1", "clip": "clip"})
    detect.run(video, output, request)
    return read(output)


def test_batches_give_what_single_frames_give(video: Path, weights: Path, tmp_path: Path) -> None:
    """Seven frames four at a time, and one by one; terms, state and SHA-256 of the weights in the provenance."""
    one = found(video, tmp_path, weights=weights, batch=1)
    four = found(video, tmp_path, weights=weights, batch=4)
    assert one.clips["clip"].status == "ok", one.clips["clip"].reason
    tracks = [artifact.clips["clip"].tracks["p1"].arrays for artifact in (one, four)]
    assert len(tracks[0]["keypoints"]) == 7
    for name, array in tracks[0].items():
        np.testing.assert_allclose(tracks[1][name], array, atol=1e-3, err_msg=name)
    assert four.joint_set == "mpii16"
    assert four.provenance["licences"]["hourglass"] == TERMS
    assert four.provenance["weights_state"] == "user's"
    assert sha256_file(weights) in str(four.provenance)


def test_published_files_detect_alike(video: Path, tmp_path: Path) -> None:
    """The same network as .t7 and, but for the mean colour, as PyTorch's; converted, and used as it is."""
    made = network()
    write_torch7(tmp_path / "a.t7", graph_module(made))
    torch.save({"state_dict": {f"module.{k}": torch.from_numpy(v) for k, v in as_in_pytorch(made).items()}},
               tmp_path / "a.pth.tar")  # fmt: skip
    direct = found(video, tmp_path, weights=tmp_path / "a.t7", flip=False)
    convert.run(tmp_path / "a.t7", tmp_path / "a.safetensors", "hourglass", kind="detectors")
    converted = found(video, tmp_path, weights=tmp_path / "a.safetensors", flip=False)
    assert direct.clips["clip"].status == "ok", direct.clips["clip"].reason
    keypoints = [a.clips["clip"].tracks["p1"].arrays["keypoints"] for a in (direct, converted)]
    np.testing.assert_array_equal(*keypoints)
    convert.run(tmp_path / "a.pth.tar", tmp_path / "b.safetensors", "hourglass", kind="detectors")
    ours, card = read_weights(tmp_path / "b.safetensors")
    assert card["mean"] == [0.4404, 0.4440, 0.4327]
    assert all(np.array_equal(ours[k], v) for k, v in read_weights(tmp_path / "a.safetensors")[0].items())
    # And back to Torch7, the same network.
    convert.run(tmp_path / "a.safetensors", tmp_path / "back.t7", "hourglass", kind="detectors")
    assert (tmp_path / "back.t7").read_bytes() == (tmp_path / "a.t7").read_bytes()
    with pytest.raises(InputError, match="subtracts nothing"):
        convert.run(tmp_path / "b.safetensors", tmp_path / "c.t7", "hourglass", kind="detectors")


def test_pose_resnet_of_coco(tmp_path: Path) -> None:
    """The authors' layout: joints, depth and crop follow from the tensors, and the crop may be said."""
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in PoseResnet(50, 17).state_dict().items()}
    # Numbers that need no random generator: this is about names and shapes.
    state = {name: np.full(shape, 0.01, np.float16) for name, shape in shapes.items() if shape}
    tensors, card = pose_resnet.convert(Checkpoint("torch", state), pose_resnet.Options())
    assert (card["joint_set"], card["resolution"]) == ("coco17", [192, 256])
    assert card["network"] == {"depth": 50, "joints": 17} and card["channels"] == "bgr"
    write_weights(tmp_path / "w.safetensors", tensors, {**card, "resolution": [32, 64]})
    given = {"weights": tmp_path / "w.safetensors", "boxes": "frame"}
    assert pose_resnet.card(pose_resnet.Options(**given)).joint_set == "coco17"
    with pose_resnet.create(pose_resnet.Options(**given, flip=False), temporal=True) as detector:
        answers = detector.detect_many([(picture(0), 0.0), (picture(1), 0.1)])
    assert [len(found[0].keypoints) for found in answers] == [17, 17]
    with pytest.raises(InputError, match="resolution"):
        pose_resnet.create(pose_resnet.Options(**given, resolution=(64, 64)), temporal=True)


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    """In one line, before anything is detected."""
    with pytest.raises(MissingError, match="posemill train hourglass"):
        plan("detect", "hourglass", {"weights": tmp_path / "none.safetensors"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": {**SIZES, "stacks": 10**9}}, "sizes"),
        ({"network": {**SIZES, "joints": 3}}, "mpii16"),
        ({"network": {**SIZES, "features": 16}}, "tensor"),
        ({"resolution": 100}, "multiple of 64"),
        ({"mean": "grey"}, "3 numbers"),
        ({"sigma": {"base": -1}}, "positive"),
        ({"detector": "pose_resnet"}, "those of detector hourglass"),
    ],
)
def test_cards_are_checked(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    """A user's file may say anything."""
    card = {"detector": "hourglass", "network": SIZES, "resolution": 64, **change}
    store(tmp_path / "w.safetensors", network(), card)
    with pytest.raises(InputError, match=said):
        hourglass.create(hourglass.Options(weights=tmp_path / "w.safetensors", boxes="frame"), temporal=True)


def test_both_are_found_by_name() -> None:
    """As entry points."""
    assert {"hourglass", "pose_resnet"} <= set(registry.names("detectors"))
