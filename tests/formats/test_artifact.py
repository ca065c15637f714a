from __future__ import annotations

import h5py
import numpy as np
import pytest
import xarray

from posemill.camera import Camera
from posemill.errors import ArtifactError, InputError
from posemill.formats import artifact as af
from posemill.formats.artifact import Artifact, Clip, Track
from posemill.formats.atomic import finished_file
from posemill.skeleton import joint_set


def make(frames: int = 5) -> Artifact:
    """Two clips of a point that moves one pixel a frame, with one gap, and one failed clip."""
    keypoints = np.zeros((frames, 17, 2), np.float32) + np.arange(frames, dtype=np.float32)[:, None, None]
    valid = np.ones((frames, 17), bool)
    valid[2, 3] = False
    keypoints[2, 3] = np.nan
    sigma = np.where(valid, 2.0, np.nan).astype(np.float32)
    track = Track(
        {
            "keypoints": keypoints,
            "score": np.ones((frames, 17), np.float32),
            "sigma": sigma,
            "valid": valid,
            "bbox": np.tile(np.float32([0, 0, 9, 9]), (frames, 1)),
        }
    )
    camera = Camera.from_focal(640, 480, 700.0, source="sheet", sigma=0.01)
    ok = Clip("ok", "", 30.0, True, (640, 480), np.arange(frames) / 30, camera, {"p1": track})
    return Artifact("keypoints2d", "S1", "h36m17", {"b": ok, "a": Clip().failed("nobody seen")}, {"method": "test"})


def test_round_trip_is_exact(tmp_path):
    af.write(tmp_path / "x.h5", make())
    back = af.read(tmp_path / "x.h5", "keypoints2d")
    assert sorted(back.clips) == ["a", "b"]
    assert (back.clips["a"].status, back.clips["a"].reason) == ("failed", "nobody seen")
    want, got = make().clips["b"].tracks["p1"].arrays, back.clips["b"].tracks["p1"].arrays
    for name, value in want.items():
        np.testing.assert_array_equal(got[name], value)
        assert got[name].dtype == value.dtype
    camera = back.clips["b"].camera
    assert camera is not None and camera.K[0, 0] == 700.0 and camera.intrinsics_source == "sheet" and camera.R is None


def merged(joints: str) -> Artifact:
    rng, count = np.random.default_rng(0), len(joint_set(joints))
    arrays = {name: rng.random((4, count, 3)).astype(np.float32) for name in ("joints", "joints_camera", "sigma")}
    arrays |= {"valid": np.ones((4, count), bool), "moved": rng.random((4, count)).astype(np.float32)}
    arrays |= {"root": rng.random((4, 3)).astype(np.float32), "contact": np.zeros((4, 2), bool)}
    attrs = {"frame": "camera", "world_source": "none", "scale_source": "height_m"}
    camera = Camera.from_focal(640, 480, 700.0, source="sheet", sigma=0.01)
    clip = Clip("ok", "", 30.0, True, (640, 480), np.arange(4) / 30, camera, {"p1": Track(arrays)}, attrs=attrs)
    return Artifact("merged3d", "S1", joints, {"b": clip})


def test_joints_beyond_the_seventeen_lie_beside_them(tmp_path):
    """Who reads the file without posemill finds (T, 17, 3); posemill reads what was written."""
    whole = merged("posemill21")
    af.write(tmp_path / "x.h5", whole)
    with h5py.File(tmp_path / "x.h5") as f:
        assert f.attrs["joint_set"] == "h36m17" and f["b/p1/joints"].shape == (4, 17, 3)
        assert f["b/p1/joints_beyond"].shape == (4, 4, 3) and f["b/p1/valid_beyond"].shape == (4, 4)
        labels = f["b/p1/joints_beyond"].dims[1][0][()]
        assert [name.decode() for name in labels] == list(joint_set("posemill21").joints[17:])
    back = af.read(tmp_path / "x.h5", "merged3d")
    assert back.joint_set == "posemill21"
    for name, value in whole.clips["b"].tracks["p1"].arrays.items():
        np.testing.assert_array_equal(back.clips["b"].tracks["p1"].arrays[name], value)
    af.write(tmp_path / "y.h5", merged("h36m17"))
    with h5py.File(tmp_path / "y.h5") as f:
        assert "joint_set_beyond" not in f.attrs and "joints_beyond" not in f["b/p1"]
    with xarray.open_datatree(tmp_path / "x.h5", engine="h5netcdf") as tree:
        assert tree["b/p1"]["joints"].shape == (4, 17, 3)


def test_same_content_gives_same_bytes_whatever_the_order(tmp_path):
    one, two = make(), make()
    two.clips = dict(reversed(two.clips.items()))
    two.provenance = {"method": "test"}
    assert af.to_bytes(one) == af.to_bytes(two)


def test_opens_in_plain_h5py_and_xarray(tmp_path):
    path = tmp_path / "x.h5"
    af.write(path, make())
    with h5py.File(path) as f:
        assert f["b/p1/keypoints"].attrs["units"] == "px"
        assert f["b/p1/keypoints"].attrs["frame"] == "image"
        assert f["b/p1/valid"].dtype == bool
    tree = xarray.open_datatree(path, engine="h5netcdf")
    keypoints = tree["b/p1"]["keypoints"]
    assert keypoints.dims == ("time", "joint", "image")
    assert keypoints.sel(joint="pelvis", image="u").values.tolist() == [0, 1, 2, 3, 4]
    assert float(keypoints.time[1]) == pytest.approx(1 / 30)


def test_every_flipped_byte_is_refused(tmp_path):
    data = af.to_bytes(make())
    path = tmp_path / "x.h5"
    for position in [*range(0, 700, 23), *range(700, len(data), 997), len(data) - 1]:
        broken = bytearray(data)
        broken[position] ^= 0x10
        path.write_bytes(broken)
        with pytest.raises(ArtifactError, match=r"x\.h5"):
            af.read(path)


@pytest.mark.parametrize("keep", [0, 100, 512, 3000, -1])
def test_truncated_is_refused(tmp_path, keep):
    path = tmp_path / "x.h5"
    path.write_bytes(af.to_bytes(make())[:keep])
    with pytest.raises(ArtifactError, match=r"x\.h5.*expected.*got"):
        af.read(path)


def test_foreign_older_and_other_kind_are_refused(tmp_path):
    with h5py.File(tmp_path / "foreign.h5", "w") as f:
        f["keypoints"] = np.zeros(3)
    with pytest.raises(ArtifactError, match="expected a posemill artifact, got an HDF5 file of another program"):
        af.read(tmp_path / "foreign.h5")
    (tmp_path / "old.h5").write_bytes(af.to_bytes(make()).replace(b"\nversion 1\n", b"\nversion 0\n", 1))
    with pytest.raises(ArtifactError):
        af.read(tmp_path / "old.h5")
    af.write(tmp_path / "x.h5", make())
    with pytest.raises(ArtifactError, match="expected merged3d, got keypoints2d"):
        af.read(tmp_path / "x.h5", "merged3d")


def test_older_version_says_what_to_do(tmp_path, monkeypatch):
    old = af.SCHEMAS["keypoints2d"]
    monkeypatch.setitem(af.SCHEMAS, "keypoints2d", type(old)(old.name, 0, old.track, camera=True))
    af.write(tmp_path / "x.h5", make())
    monkeypatch.undo()
    with pytest.raises(ArtifactError, match="version: expected 1, got 0; delete it and run the stage again"):
        af.read(tmp_path / "x.h5")


def test_hand_edited_is_refused(tmp_path):
    path = tmp_path / "x.h5"
    af.write(path, make())
    with h5py.File(path, "r+") as f:
        f["b/p1/keypoints"][0, 0, 0] = 99
    with pytest.raises(ArtifactError, match="changed after it was written"):
        af.read(path)


def break_shape(a):
    a.clips["b"].tracks["p1"].arrays["score"] = np.ones((5, 16), np.float32)


def break_gap(a):
    a.clips["b"].tracks["p1"].arrays["keypoints"][2, 3] = 0


def break_nan(a):
    a.clips["b"].tracks["p1"].arrays["keypoints"][1, 1, 0] = np.nan


def break_time(a):
    a.clips["b"].time[3] = 0


def break_names(a):
    a.clips["b"].tracks["p1"].arrays["extra"] = np.zeros(5)


def break_id(a):
    a.clips["../b"] = a.clips.pop("b")


def break_camera(a):
    a.clips["b"].camera = None


def break_reason(a):
    a.clips["a"].reason = ""


@pytest.mark.parametrize(
    "damage",
    [break_shape, break_gap, break_nan, break_time, break_names, break_id, break_camera, break_reason],
)
def test_writer_refuses_what_does_not_fit(tmp_path, damage):
    bad = make()
    damage(bad)
    with pytest.raises(ArtifactError, match="expected"):
        af.write(tmp_path / "x.h5", bad)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_nothing_and_says_so(tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(InputError, match=r"x\.h5: cannot be written: No space left on device"):
        af.write(tmp_path / "x.h5", make())
    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(ArtifactError, match=r"no\.h5: expected an artifact, got: No such file"):
        af.read(tmp_path / "no.h5")


def test_rubbish_of_a_killed_writer_is_removed(tmp_path):
    (tmp_path / ".x.h5.part-abc.h5").write_bytes(b"half")
    (tmp_path / ".x.csv.part-abc.csv").write_bytes(b"of another file")
    af.write(tmp_path / "x.h5", make())
    assert {p.name for p in tmp_path.iterdir()} == {"x.h5", ".x.csv.part-abc.csv"}


def test_a_writer_that_misses_another_file_says_which(tmp_path):
    with (
        pytest.raises(InputError, match=r"x\.h5: cannot be written: .*recipe: No such file") as error,
        finished_file(tmp_path / "x.h5"),
    ):
        (tmp_path / "recipe").read_text()
    assert "free some space" not in str(error.value) and not list(tmp_path.iterdir())
