"""Readers of published datasets' layouts, on made-up files of exactly those layouts."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.datasets import (
    Recording,
    read_3dhp_npz,
    read_3dhp_test,
    read_3dhp_training,
    read_baseline,
    read_cameras,
    read_hourglass,
    read_mpii_json,
    read_mpii_poses,
    read_videopose3d,
    read_videopose3d_custom,
    training_clips,
)
from posemill.formats.datasets.human36m import CAMERAS, action_name, project
from posemill.formats.datasets.mpii import gan_split
from posemill.formats.datasets.objects import read_npy, read_npz_objects
from posemill.skeleton import joint_set
from tests.checkpoint_fuzz import damage
from tests.formats import dataset_files as made

H17_OF_32 = made.H32.indices(made.H17.joints)


# ---------------------------------------------------------------------------------------------------- objects in npz


def test_dictionaries_of_arrays_are_read_without_running_anything(tmp_path: Path):
    inner = {"S1": {"Walk": [np.arange(6, dtype=np.float32).reshape(2, 3), None, "text", 5, np.float64(2.5)]}}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", data=inner, plain=np.eye(2), ragged=np.array([[1], [2, 3]], object))  # pyright: ignore[reportArgumentType]
        found = read_npz_objects(tmp_path / "a.npz")
        array, *others = found["data"]["S1"]["Walk"]
        np.testing.assert_array_equal(array, inner["S1"]["Walk"][0])
        assert others == [None, "text", 5, 2.5] and array.dtype == np.float32
        np.testing.assert_array_equal(found["plain"], np.eye(2))
        assert found["ragged"] == [[1], [2, 3]]


class _Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_code_in_an_npz_is_named_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "a.npz", positions_3d={"S1": _Bomb()})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"data only, got the code '(posix|nt)\.mkdir', which is not run") as caught:
        read_npz_objects(tmp_path / "a.npz")
    assert not (tmp_path / "exploded").exists() and "\n" not in str(caught.value)
    np.load(tmp_path / "a.npz", allow_pickle=True)["positions_3d"]
    assert (tmp_path / "exploded").exists(), "numpy's own loader runs it: the test can fail"


def test_shared_and_deep_containers_end(tmp_path: Path):
    shared: list = [1.0]
    for _ in range(20):
        shared = [shared, shared]
    np.savez(tmp_path / "a.npz", data={"x": shared})  # pyright: ignore[reportArgumentType]
    assert len(read_npz_objects(tmp_path / "a.npz")["data"]["x"]) == 2
    for _ in range(30):
        shared = [shared]
    np.savez(tmp_path / "a.npz", data={"x": shared})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="at most 24 levels of containers"):
        read_npz_objects(tmp_path / "a.npz")


def test_damaged_npz_is_an_answer_or_one_line(tmp_path: Path):
    sound = made.videopose3d(tmp_path, frames=2)[0].read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        (tmp_path / "b.npz").write_bytes(damage(sound, rng))
        try:
            read_npz_objects(tmp_path / "b.npz")
        except InputError as error:
            assert "\n" not in str(error)


def test_an_npz_that_would_fill_the_memory(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(200 << 20))
    with pytest.raises(InputError, match="unpacked size"):
        read_npz_objects(tmp_path / "a.npz")


# -------------------------------------------------------------------------------------------------------- Human3.6M


def test_both_camera_files_say_the_same(tmp_path: Path):
    xml, h5 = (read_cameras(p) for p in (made.metadata_xml(tmp_path / "m.xml"), made.cameras_h5(tmp_path / "c.h5")))
    assert set(xml) == set(h5) and len(xml) == 28
    points = made.world(5)[:, H17_OF_32]
    for number, name in enumerate(CAMERAS):
        for cameras in (xml, h5):
            camera = cameras["S9", name]
            np.testing.assert_allclose(camera.to_camera(points), made.local(points, number), atol=1e-9)
            np.testing.assert_allclose(project(camera, camera.to_camera(points)), made.seen(points, number), atol=1e-6)


def test_the_opencv_model_nearest_to_the_datasets(tmp_path: Path):
    camera = read_cameras(made.cameras_h5(tmp_path / "c.h5"))["S1", "54138969"]
    u, v = np.meshgrid(np.linspace(0, 999, 15), np.linspace(0, 1001, 15))
    rays = np.concatenate([camera.camera.normalise(np.stack([u, v], -1)), np.ones((15, 15, 1))], -1)
    apart = np.linalg.norm(project(camera, rays) - np.stack([u, v], -1), axis=-1)
    assert apart.mean() < 0.1 and apart.max() < 0.4
    plain = camera.camera.project(rays * 3)
    np.testing.assert_allclose(plain, np.stack([u, v], -1), atol=1e-6)


@pytest.mark.parametrize("text", ["<w0/><w0>[]</w0>", "<w0>[1 2 3]</w0>", "<w0>[" + "x " * 300 + "]</w0>"])
def test_no_camera_file(tmp_path: Path, text: str):
    (tmp_path / "m.xml").write_text(text)
    with pytest.raises(InputError, match="w0: expected 300 numbers"):
        read_cameras(tmp_path / "m.xml")
    with pytest.raises(InputError, match="no file"):
        read_cameras(tmp_path / "n.xml")


def test_names_of_actions():
    assert [action_name(n) for n in ("WalkingDog_1", "Walking 1", "TakingPhoto", "Photo")] == [
        *("WalkDog 1", "Walking 1", "Photo", "Photo")
    ]


# ------------------------------------------------------------------------------------------------------ VideoPose3D


def test_videopose3d_with_its_own_2d(tmp_path: Path):
    data_3d, exact, _ = made.videopose3d(tmp_path)
    cameras = read_cameras(made.metadata_xml(tmp_path / "m.xml"))
    recordings = read_videopose3d(data_3d, exact, cameras)
    # Three sequences of four cameras; S11's Directions without a number is left out.
    assert len(recordings) == 12 and {r.action for r in recordings} == {"Walking 1", "WalkDog", "Directions 1"}
    assert len(read_videopose3d(data_3d, exact, cameras, keep_damaged=True)) == 16
    for recording, number in zip(recordings[:4], range(4), strict=True):
        assert recording.name == f"Human3.6M/S1/Walking 1/{list(CAMERAS)[number]}" and recording.fps == 50
        assert recording.keypoints is not None and recording.joints is not None and recording.camera is not None
        np.testing.assert_allclose(recording.joints, made.local(made.world(7), number), atol=1e-5)
        # The dataset's own 2D is the projection of its 3D, to a hundredth of a pixel.
        camera = cameras["S1", recording.camera_name]
        apart = project(camera, recording.joints.astype(float)) - recording.keypoints
        assert np.abs(apart[:, H17_OF_32]).max() < 0.01
        assert (recording.camera.width, recording.camera.height) == list(CAMERAS.values())[number]
    projected = read_videopose3d(data_3d, None, cameras)
    for a, b in zip(recordings, projected, strict=True):
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=0.01)
        assert b.exact and not a.exact


def test_videopose3d_with_detections(tmp_path: Path):
    data_3d, _, detected = made.videopose3d(tmp_path)
    cameras = read_cameras(made.metadata_xml(tmp_path / "m.xml"))
    first = read_videopose3d(data_3d, detected, cameras)[0]
    # Two frames more than motion capture; a column of scores.
    assert first.keypoints_of == "coco17" and first.frames == 7
    assert first.score is not None and first.score.shape == (7, 17)
    flat = read_videopose3d(None, detected)
    assert flat[0].frames == 9 and flat[0].joints is None and flat[0].camera is None
    (clip, *_) = training_clips([first])
    assert clip.keypoints.shape == (7, 17, 2) and clip.joints_camera is not None and clip.fps == 50
    np.testing.assert_allclose(clip.joints_camera, made.local(made.world(7)[:, H17_OF_32], 0), atol=1e-5)
    # COCO's hips' middle.
    assert first.keypoints is not None
    np.testing.assert_allclose(clip.keypoints[:, 0], first.keypoints[:, 11:13].mean(1), rtol=1e-5)
    np.testing.assert_allclose(clip.score[:, 0], first.score[:, 11:13].min(1))


def test_videopose3d_of_anybodys_video(tmp_path: Path):
    path = tmp_path / "data_2d_custom_me.npz"
    metadata = {
        "layout_name": "coco",
        "num_joints": 17,
        "keypoints_symmetry": [list(range(1, 17, 2)), list(range(2, 17, 2))],
    }
    metadata["video_metadata"] = {"me.mp4": {"w": 640, "h": 480}}
    positions = {"me.mp4": {"custom": [np.ones((4, 17, 2), np.float32)]}}
    np.savez_compressed(path, positions_2d=positions, metadata=metadata)  # pyright: ignore[reportArgumentType]
    (recording,) = read_videopose3d_custom(path, fps=25.0)
    assert (recording.subject, recording.image_size, recording.fps) == ("me.mp4", (640, 480), 25.0)
    with pytest.raises(InputError, match="none among 1"):
        training_clips([recording], need_3d=True)


def test_other_npz_are_refused(tmp_path: Path):
    data_3d, exact, _ = made.videopose3d(tmp_path)
    with pytest.raises(InputError, match=r"cameras: expected metadata\.xml or cameras\.h5"):
        read_videopose3d(data_3d, exact)
    with pytest.raises(
        InputError, match="arrays: expected positions_3d with subjects and actions, got positions_2d, metadata"
    ):
        read_videopose3d(exact, None, read_cameras(made.cameras_h5(tmp_path / "c.h5")))
    np.savez(tmp_path / "x.npz", positions_3d={"S1": {"Walk": np.zeros((3, 17, 3))}})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"S1 Walk: expected \(F, 32, 3\), got \(3, 17, 3\)"):
        read_videopose3d(tmp_path / "x.npz", None, read_cameras(tmp_path / "c.h5"))
    np.savez(tmp_path / "y.npz", positions_2d={"S1": {"Walk": [np.zeros((3, 17, 2))]}}, metadata={"num_joints": 17})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="metadata: expected num_joints and keypoints_symmetry of coco17"):
        read_videopose3d(None, tmp_path / "y.npz")


# ------------------------------------------------------------------------------------------------- 3d-pose-baseline


def test_baseline_folder(tmp_path: Path):
    folder = made.baseline(tmp_path / "h36m")
    recordings = read_baseline(folder, source_2d="StackedHourglass")
    assert [(r.subject, r.action) for r in recordings[::4]] == [("S9", "Photo"), ("S9", "Walking 1"), ("S11", "Eating")]
    for recording in recordings:
        number = list(CAMERAS).index(recording.camera_name)
        assert recording.frames == 7 and recording.keypoints_of == "mpii16" and not recording.exact
        assert recording.joints is not None
        np.testing.assert_allclose(recording.joints, made.local(made.world(7), number), atol=1e-4)
    with h5py.File(folder / "S9" / "StackedHourglass" / "Walking_1.55011271.h5") as file:
        np.testing.assert_array_equal(recordings[5].keypoints, np.asarray(file["poses"])[:7])
    for source in ("2D_positions", "projected"):
        for recording in read_baseline(folder, source_2d=source, subjects=("S9",)):
            number = list(CAMERAS).index(recording.camera_name)
            assert recording.keypoints is not None and recording.exact
            np.testing.assert_allclose(
                recording.keypoints[:, H17_OF_32], made.seen(made.world(7)[:, H17_OF_32], number), atol=0.01
            )
    clips = training_clips(recordings, need_3d=True, need_camera=True)
    assert len(clips) == 12 and all(clip.plane.shape == (7, 17, 2) for clip in clips)


def test_baseline_folder_with_something_else(tmp_path: Path):
    folder = made.baseline(tmp_path / "h36m")
    with pytest.raises(InputError, match="expected projected, StackedHourglass"):
        read_baseline(folder, source_2d="CPN")
    with pytest.raises(InputError, match=r"S1/MyPoses/3D_positions and so on, got none"):
        read_baseline(tmp_path)
    (folder / "S9" / "MyPoses" / "3D_positions" / "Photo.h5").write_bytes(b"text")
    with pytest.raises(InputError, match="a whole HDF5 file") as caught:
        read_baseline(folder, source_2d="projected")
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------------------- MPII


def test_gan_poses(tmp_path: Path):
    poses = np.arange(3 * 34, dtype=np.float32).reshape(3, 34)
    np.save(tmp_path / "mpii_poses.npy", poses)
    recording = read_mpii_poses(tmp_path / "mpii_poses.npy")
    assert recording.stills and recording.keypoints is not None
    np.testing.assert_array_equal(recording.keypoints[1, 2], [38, 39])
    (clip,) = training_clips([recording])
    assert clip.valid.all() and clip.fps is None and clip.camera is None
    with pytest.raises(InputError, match="camera: expected one with intrinsics"):
        clip.plane  # noqa: B018
    np.save(tmp_path / "x.npy", poses[:, :32])
    with pytest.raises(InputError, match=r"poses: expected \(N, 34\) floats, got \(3, 32\)"):
        read_mpii_poses(tmp_path / "x.npy")
    (tmp_path / "x.npy").write_bytes(pickle.dumps(poses))
    with pytest.raises(InputError, match="expected an array of numpy"):
        read_npy(tmp_path / "x.npy")
    train, test = gan_split(19919)
    assert (len(train), len(test)) == (17927, 1992) and not set(train) & set(test)


def hourglass(folder: Path, pictures: int = 4) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    part = rng.uniform(1, 900, (pictures, 16, 2))
    part[1, 3], part[1, 4] = 0, -1
    with h5py.File(folder / "annot.h5", "w") as file:
        file.attrs["name"] = "mpii"
        file["part"], file["center"], file["scale"] = part, part.mean(1), np.full(pictures, 2.5)
        file["imgname"] = np.array([f"{i:09d}.jpg".encode() for i in range(pictures)])
        file["visible"] = (rng.uniform(size=(pictures, 16)) > 0.3).astype(float)
    with h5py.File(folder / "preds.h5", "w") as file:
        file["preds"] = part + 3
    return folder / "annot.h5", folder / "preds.h5"


def test_hourglass_annotations_and_predictions(tmp_path: Path):
    marked, predicted = read_hourglass(*hourglass(tmp_path))
    assert marked.exact and not predicted.exact and marked.stills
    assert marked.keypoints is not None and predicted.keypoints is not None
    assert np.isnan(marked.keypoints[1, 3]).all() and np.isfinite(marked.keypoints).sum() == 4 * 32 - 4
    np.testing.assert_allclose(np.nanmedian(predicted.keypoints - marked.keypoints), 3)
    np.testing.assert_array_equal(marked.details["height_px"], 500)
    assert marked.details["image"][2] == "000000002.jpg"
    (only,) = read_hourglass(tmp_path / "annot.h5")
    np.testing.assert_array_equal(only.keypoints, marked.keypoints)
    (clip, _) = training_clips([marked, predicted])
    assert not clip.valid[1, made.H17.index("left_hip")] and clip.valid.mean() > 0.95


def test_hourglass_of_other_pictures(tmp_path: Path):
    annotations, _ = hourglass(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["preds"] = np.ones((3, 16, 2))
    with pytest.raises(InputError, match="equally many pictures"):
        read_hourglass(annotations, tmp_path / "other.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["keypoints"] = np.ones((3, 16, 2))
    with pytest.raises(InputError, match=r"other.h5: preds: expected \(N, 16, 2\), got keypoints"):
        read_hourglass(annotations, tmp_path / "other.h5")


def test_mpii_json(tmp_path: Path):
    joints = [[10.0 + i, 20.0 + i] for i in range(16)]
    row = {"image": "a.jpg", "center": [30.0, 40.0], "scale": 1.5, "joints": joints, "joints_vis": [1] * 15 + [0]}
    (tmp_path / "train.json").write_text(json.dumps([row, row]))
    recording = read_mpii_json(tmp_path / "train.json")
    assert recording.keypoints is not None
    np.testing.assert_array_equal(recording.keypoints[0, 0], [9, 19])
    assert np.isnan(recording.keypoints[:, 15]).all()
    np.testing.assert_array_equal(recording.details["height_px"], [300, 300])
    del row["joints"]
    (tmp_path / "test.json").write_text(json.dumps([row]))
    with pytest.raises(InputError, match="annotations: expected a list with image, center, scale, joints"):
        read_mpii_json(tmp_path / "test.json")


def test_real_mpii_files(shared_data: Path):
    recording = read_mpii_poses(shared_data / "formats" / "3dpose_gan_mpii" / "mpii_poses.npy")
    assert recording.frames == 19919
    folder = shared_data / "formats" / "hourglass_mpii"
    marked, predicted = read_hourglass(folder / "annot_valid.h5", folder / "preds_valid-example.h5")
    assert marked.keypoints is not None and predicted.keypoints is not None
    error = np.linalg.norm(predicted.keypoints - marked.keypoints, axis=-1) / marked.details["height_px"][:, None]
    # The detector's known accuracy: 1.95 % of a person's height.
    assert 0.017 < np.nanmedian(error) < 0.022


# ---------------------------------------------------------------------------------------------------- MPI-INF-3DHP


def test_3dhp_training(tmp_path: Path):
    folder = made.mpi_inf_3dhp(tmp_path)
    recordings = read_3dhp_training(folder)
    assert [(r.subject, r.action, r.camera_name, r.fps) for r in recordings] == [
        ("S1", "Seq2", str(i), 50) for i in range(3)
    ]
    for recording in recordings:
        assert recording.joints is not None and recording.camera is not None and recording.keypoints is not None
        np.testing.assert_allclose(recording.camera.project(recording.joints), recording.keypoints, atol=0.01)
    (universal,) = read_3dhp_training(folder, cameras=(1,), universal=True)
    assert recordings[1].joints is not None and universal.joints is not None
    np.testing.assert_allclose(universal.joints, 0.9 * recordings[1].joints, rtol=1e-5)
    (clip, *_) = training_clips(recordings)
    names = joint_set("mpi_inf_3dhp28")
    assert clip.joints_camera is not None and clip.known is not None and clip.known.all()
    np.testing.assert_allclose(clip.joints_camera[:, 3], recordings[0].joints[:, names.index("right_ankle")], rtol=1e-5)  # pyright: ignore[reportOptionalSubscript]
    with pytest.raises(InputError, match="cameras: expected of 3"):
        read_3dhp_training(folder, cameras=(9,))
    (folder / "S1" / "Seq2" / "camera.calibration").write_text("name 0\nsize 2048 2048\nintrinsic 1 2\n")
    with pytest.raises(InputError, match="camera 0: intrinsic: expected 16 numbers, got 1 2"):
        read_3dhp_training(folder)


def test_3dhp_test_set(tmp_path: Path):
    folder = made.mpi_inf_3dhp(tmp_path)
    first, second = read_3dhp_test(folder)
    assert (first.subject, second.subject, first.fps) == ("TS1", "TS5", 25)
    assert first.camera is not None and second.camera is not None and first.joints is not None
    assert round(first.camera.focal_px, 1) == 1499.2 and second.image_size == (1920, 1080)
    np.testing.assert_array_equal(np.isnan(first.joints).all((1, 2)), ~first.details["valid"])
    np.testing.assert_array_equal(first.details["activity"], 4)
    with h5py.File(folder / "TS1" / "annot_data.mat", "a") as file:
        turned = np.asarray(file["annot3"])[:, 0].T
        del file["annot3"]
        file["annot3"] = turned
    # As MATLAB itself stores it, with the axes in reverse.
    np.testing.assert_array_equal(read_3dhp_test(folder)[0].joints, first.joints)
    with h5py.File(folder / "TS1" / "annot_data.mat", "a") as file:
        del file["annot3"]
        file["annot3"] = turned[:2]
    with pytest.raises(InputError, match=r"annot3: expected \(F, 1, 17, 3\)"):
        read_3dhp_test(folder)


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_3dhp_npz(tmp_path: Path, unit: float):
    rng = np.random.default_rng(0)
    deep = rng.uniform((-1, -1, 2), (1, 1, 4), (5, 17, 3))
    deep[:, 14], deep[:, 1] = [0, 0, 3], [0, -0.5, 3]
    view = {"data_2d": rng.uniform(0, 2048, (5, 17, 2)), "data_3d": deep * unit}
    np.savez(tmp_path / "train.npz", data={"S3 Seq1": [{"0": view, "8": view}, 50]})  # pyright: ignore[reportArgumentType]
    np.savez(tmp_path / "test.npz", data={"TS6": {**view, "valid": np.array([1, 1, 0, 1, 1])}})  # pyright: ignore[reportArgumentType]
    train = read_3dhp_npz(tmp_path / "train.npz")
    assert [(r.subject, r.action, r.camera_name, r.fps) for r in train] == [
        ("S3", "Seq1", "0", 50),
        ("S3", "Seq1", "8", 50),
    ]
    np.testing.assert_allclose(train[0].joints, deep, rtol=1e-6)
    (test,) = read_3dhp_npz(tmp_path / "test.npz")
    assert test.camera is not None and not test.details["valid"][2]
    np.savez(tmp_path / "x.npz", data={"S3 Seq1": [{"0": {"data_2d": view["data_2d"]}}, 50]})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"data_3d: expected \(F, 17, 3\), got NoneType"):
        read_3dhp_npz(tmp_path / "x.npz")


def test_2d_and_3d_of_different_lengths_are_no_recording():
    with pytest.raises(InputError, match="here/S1: 2D and 3D: expected equally many frames"):
        Recording("here", "S1", keypoints=np.zeros((3, 17, 2)), joints=np.zeros((4, 17, 3)))
    with pytest.raises(InputError, match="joints of coco17: expected 17, got 16"):
        Recording("here", keypoints_of="coco17", keypoints=np.zeros((3, 16, 2)))
    with pytest.raises(InputError, match="here: recording: expected 2D, or 3D with a camera, got neither"):
        training_clips([Recording("here", joints=np.zeros((4, 17, 3)))])
