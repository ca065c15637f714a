"""posemill train on a dataset's own recordings: every layout, who may learn from which, and what the card says."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.weights import read_card
from posemill.provenance import sha256_file
from posemill.stages import train
from tests.formats import dataset_files as made
from tests.motion_file import write_people

H17 = made.H17
SIZES = {
    "temporal": {"filter_widths": [3, 3], "channels": 8},
    "seq2seq": {"hidden": 8},
    "gan": {"hidden": 8},
    "repnet": {"hidden": 8},
    "video_gan": {"hidden": 8},
    "dstformer": {"width": 16, "depth": 1, "heads": 2, "representation": 16, "frames": 9},
    "agformer": {"width": 16, "depth": 1, "heads": 2, "frames": 9},
}


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("motion") / "motion.h5", frames=60)


@pytest.fixture(scope="module")
def human36m(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VideoPose3D's archives of 60 frames, cameras beside them."""
    folder = tmp_path_factory.mktemp("h36m")
    made.videopose3d(folder, frames=60)
    made.metadata_xml(folder / "metadata.xml")
    return folder


def trained(motion: Path, folder: Path, name: str, dataset: Path | None, **more) -> dict:
    """Train for three steps; the card."""
    output = folder / f"{name}.safetensors"
    options = {"steps": 3, "batch": 8, "windows": 2, "held_out": ("A", "B"), "groups": ("train",), **SIZES[name]}
    options |= {"dataset": dataset} if dataset else {}
    train.run(name, motion, output, options=options | more)
    return read_card(output)


# ---------------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("name", sorted(SIZES))
def test_every_lifter_learns_from_human36m(motion: Path, human36m: Path, tmp_path: Path, name: str):
    card = trained(motion, tmp_path, name, human36m, dataset_2d="data_2d_h36m_gt.npz")
    said = card["trained_on"]["dataset"]
    files = ("data_3d_h36m.npz", "data_2d_h36m_gt.npz", "metadata.xml")
    assert said["files"] == {file: sha256_file(human36m / file) for file in files}
    assert said["layout"] == "videopose3d" and said["name"] == "Human3.6M" and said["keypoints"] == "h36m32"
    # Two sequences of S1 before four cameras; S11 is what others measure on.
    assert (said["clips"], said["frames"]) == (8, 4 * (60 + 61))
    assert (said["subjects"], said["subjects_left_out"]) == (["S1"], ["S11"])
    assert "motion_sha256" not in card["trained_on"]
    assert card["measured_on"] == {"motion_sha256": sha256_file(motion)}
    assert card["held_out_subjects"] == ["A", "B"]
    assert card["supervision"] == "supervised: the 3D of every window of the dataset"
    assert not card["schedule"]["noise"]
    assert card["options"]["dataset"] == human36m.name


def test_baseline_with_found_2d(motion: Path, tmp_path: Path):
    folder = made.baseline(tmp_path / "h36m", frames=30)
    more = {"dataset_2d": "StackedHourglass", "dataset_subjects": ["S9"]}
    card = trained(motion, tmp_path, "repnet", folder, **more)
    said = card["trained_on"]["dataset"]
    assert (said["layout"], said["keypoints"], said["clips"]) == ("baseline", "mpii16", 8)
    assert set(said["files"]) == {"sha256 of names and sizes", "cameras.h5"}
    before = said["files"]["sha256 of names and sizes"]
    (folder / "S9" / "StackedHourglass" / "Photo.54138969.h5").unlink()
    less = trained(motion, tmp_path, "gan", folder, **more)["trained_on"]["dataset"]
    assert less["files"]["sha256 of names and sizes"] != before and less["clips"] == 7
    with pytest.raises(InputError, match="dataset_subjects: expected some of S11, S9, got none but those measured on"):
        trained(motion, tmp_path, "gan", folder)


def mpii(folder: Path, layout: str) -> tuple[Path, dict]:
    """40 stills of a walk in a layout of MPII, and the options that it takes."""
    points = made.seen(made.world(40)[:, made.H32.indices(H17.joints)], 0)
    if layout == "mpii_poses":
        np.save(folder / "mpii_poses.npy", points.reshape(40, 34).astype(np.float32))
        return folder / "mpii_poses.npy", {}
    part = np.stack([points[:, H17.index(joint)] for joint in OF_MPII], axis=1)
    if layout == "mpii_json":
        rows = [
            {"image": "a.jpg", "center": [9.0, 9.0], "scale": 1.0, "joints": p.tolist(), "joints_vis": [1] * 16}
            for p in part
        ]
        (folder / "train.json").write_text(json.dumps(rows))
        return folder / "train.json", {}
    with h5py.File(folder / "annot.h5", "w") as file:
        file["part"], file["center"], file["scale"] = part, part.mean(1), np.ones(40)
    with h5py.File(folder / "preds.h5", "w") as file:
        file["preds"] = part + 3
    return folder / "annot.h5", {"dataset_2d": "preds.h5"} if layout == "hourglass found" else {}


OF_MPII = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax"),
    *("neck_nose", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow"),
    "left_wrist",
)


@pytest.mark.parametrize("layout", ["mpii_poses", "mpii_json", "hourglass", "hourglass found"])
def test_stills_of_mpii(motion: Path, tmp_path: Path, layout: str):
    path, more = mpii(tmp_path, layout)
    card = trained(motion, tmp_path, "gan", path, supervision="unsupervised", **more)
    said = card["trained_on"]["dataset"]
    assert said["layout"] == layout.split()[0] and said["name"] == "MPII"
    # 3dpose_gan's own nine tenths.
    assert said["frames"] == (36 if layout == "mpii_poses" else 40)
    assert list(said["files"]) == [path.name, *more.values()]
    assert card["supervision"].startswith("unsupervised: no 3D; 2D of the dataset")
    weak = trained(motion, tmp_path, "repnet", path, supervision="weak", **more)
    assert weak["supervision"] == "weakly supervised: 2D of the dataset; unpaired 3D poses of the motion capture"
    assert weak["trained_on"]["motion_sha256"] == sha256_file(motion) and weak["trained_on"]["clips"] == 2
    with pytest.raises(InputError, match=r"dataset for supervised gan: expected recordings with 3D and a camera"):
        trained(motion, tmp_path, "gan", path, resume=False, **more)
    with pytest.raises(InputError, match=r"expected recordings with a camera, got none among 1"):
        trained(motion, tmp_path, "video_gan", path, supervision="weak", **more)


def test_3dhp_in_both_layouts(motion: Path, tmp_path: Path):
    folder = made.mpi_inf_3dhp(tmp_path / "3dhp", frames=30)
    card = trained(motion, tmp_path, "temporal", folder)
    assert card["trained_on"]["dataset"]["layout"] == "3dhp" and card["trained_on"]["dataset"]["clips"] == 3
    flat = trained(motion, tmp_path, "gan", folder, supervision="unsupervised")
    assert "no 3D" in flat["supervision"]
    rng = np.random.default_rng(0)
    view = {"data_2d": rng.uniform(0, 2048, (9, 17, 2)), "data_3d": rng.uniform((-1, -1, 3), (1, 1, 4), (9, 17, 3))}
    np.savez(tmp_path / "data_train_3dhp.npz", data={"S3 Seq1": [{"0": view, "8": view}, 50]})  # pyright: ignore
    found = trained(motion, tmp_path, "gan", tmp_path / "data_train_3dhp.npz", supervision="unsupervised", resume=False)
    assert (found["trained_on"]["dataset"]["layout"], found["trained_on"]["dataset"]["frames"]) == ("3dhp_npz", 18)
    # It has no cameras for what needs them.
    with pytest.raises(InputError, match="expected recordings with 3D and a camera"):
        trained(motion, tmp_path, "temporal", tmp_path / "data_train_3dhp.npz", resume=False)
    valid = np.arange(9) % 3 > 0
    np.savez(tmp_path / "data_test_3dhp.npz", data={"TS1": {**view, "valid": valid}})  # pyright: ignore
    trained(motion, tmp_path, "repnet", tmp_path / "data_test_3dhp.npz", resume=False)


def custom(folder: Path) -> Path:
    """60 frames of anybody's video."""
    path = folder / "data_2d_custom_me.npz"
    sides = [[H17.index(j) for j in H17.joints if j.startswith(side)] for side in ("left", "right")]
    metadata = {"num_joints": 17, "keypoints_symmetry": sides, "video_metadata": {"me.mp4": {"w": 1000, "h": 1002}}}
    points = made.seen(made.world(60)[:, made.H32.indices(H17.joints)], 0).astype(np.float32)
    np.savez(path, positions_2d={"me.mp4": {"custom": [points]}}, metadata=metadata)  # pyright: ignore
    return path


def test_2d_of_a_video_beside_the_3d_of_motion_capture(motion: Path, tmp_path: Path):
    path = custom(tmp_path)
    with pytest.raises(InputError, match="dataset_fps: expected the videos' frames per second, got none"):
        trained(motion, tmp_path, "temporal", path, supervision="semi")
    card = trained(motion, tmp_path, "temporal", path, supervision="semi", dataset_fps=50)
    assert card["supervision"] == ("semi-supervised: 3D of the motion capture; of the dataset only 2D and camera")
    assert card["schedule"]["noise"], "that of the motion capture's 2D"
    trained(motion, tmp_path, "video_gan", path, supervision="weak", dataset_fps=50)


# ---------------------------------------------------------------------------------------------- less 3D


def test_halves_of_a_dataset_share_no_motion(motion: Path, human36m: Path, tmp_path: Path):
    card = trained(motion, tmp_path, "video_gan", human36m, supervision="weak")
    # The same motion before another camera would be the pose of a picture that is seen.
    assert card["supervision"] == (
        "weakly supervised: 2D and which way is down of the clips S1/WalkDog; "
        "unpaired 3D poses of the others, S1/Walking 1"
    )
    people = ["S1", "S11"]
    card = trained(motion, tmp_path, "temporal", human36m, supervision="semi", dataset_subjects=people)
    assert card["supervision"] == "semi-supervised: 3D of S1; of S11 only 2D and camera"
    with pytest.raises(InputError, match="people to learn from: expected two or more, got 1"):
        trained(motion, tmp_path, "temporal", human36m, supervision="semi", resume=False)


def test_unsupervised_windows_hold_no_3d(human36m: Path):
    from posemill.stages.train.dataset import read_dataset
    from posemill.stages.train.dataset_layouts import DatasetOptions

    dataset = read_dataset(DatasetOptions(dataset=human36m))
    assert dataset is not None and dataset.has_3d
    windows = dataset.source(dataset.recordings, see_3d=False).draw(8, 9, np.random.default_rng(0))
    assert np.isnan(windows.joints_camera).all() and np.isfinite(windows.keypoints).all()


# ---------------------------------------------------------------------------------------------- going on, and refusals


def test_another_dataset_in_the_same_place_is_refused(motion: Path, human36m: Path, tmp_path: Path):
    trained(motion, tmp_path, "gan", human36m)
    trained(motion, tmp_path, "gan", human36m)
    with pytest.raises(InputError, match="checkpoint of this request"):
        trained(motion, tmp_path, "gan", human36m, dataset_2d="data_2d_h36m_gt.npz")
    with pytest.raises(InputError, match="checkpoint of this request"):
        trained(motion, tmp_path, "gan", None)


def test_all_of_the_motion_may_be_held_out(motion: Path, human36m: Path, tmp_path: Path):
    everyone = ("A", "B", "C", "D")
    assert trained(motion, tmp_path, "gan", human36m, held_out=everyone)["held_out_subjects"] == list(everyone)
    path, _ = mpii(tmp_path, "mpii_poses")
    with pytest.raises(InputError, match="clips of motion capture to train on: expected some, got none"):
        trained(motion, tmp_path, "repnet", path, supervision="weak", held_out=everyone)


@pytest.mark.parametrize("name", ["linear", "posemill"])
def test_those_that_learn_from_motion_capture_alone(motion: Path, human36m: Path, tmp_path: Path, name: str):
    with pytest.raises(InputError, match=f"train {name}: dataset: expected none") as caught:
        train.run(name, motion, tmp_path / "w.safetensors", options={"dataset": str(human36m)})
    assert "\n" not in str(caught.value)


def test_options_that_do_not_belong_together(motion: Path, human36m: Path, tmp_path: Path):
    path, _ = mpii(tmp_path, "mpii_poses")
    for dataset, options, text in (
        (None, {"dataset_2d": "x"}, "dataset: expected a file or folder beside dataset_2d, got none"),
        (tmp_path / "none", {}, "none: dataset: expected a file or folder"),
        (path, {"dataset_2d": "x"}, "dataset_2d: expected none for mpii_poses, only for videopose3d"),
        (human36m, {"dataset_fps": 25}, "dataset_fps: expected none for videopose3d"),
        (human36m, {"dataset_subjects": ["S2"]}, "dataset_subjects: expected some of S1, S11, got S2"),
        (human36m, {"noise": True}, "noise: expected none: a dataset's own 2D is learnt from"),
        (human36m, {"dataset_2d": "x.npz"}, "x.npz: dataset: expected an npz file, got no file"),
        (motion.parent, {}, "dataset_layout: expected one of videopose3d, .* got none that shows"),
        (path, {"dataset_layout": "coco"}, "dataset_layout"),
        (
            path,
            {"dataset_subjects": ["S1"]},
            "dataset_subjects: expected none for stills of nobody in particular, got S1",
        ),
    ):
        with pytest.raises(InputError, match=text) as caught:
            trained(motion, tmp_path, "gan", dataset, **options)
        assert "\n" not in str(caught.value)
