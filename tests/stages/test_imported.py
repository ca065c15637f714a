"""Poses that another system made of a clip, taken at lift: the rest of the way they are as our own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemill import cli
from posemill.errors import InputError
from posemill.formats.artifact import read
from posemill.formats.trc import write_trc
from posemill.plan import plan
from posemill.provenance import StageRequest, sha256_file
from posemill.skeleton import JOINT_SETS
from posemill.stages import lift, merge, place
from tests.stages.test_place_merge import FRAMES, HEIGHT, RAW, make
from tests.walker import walker


def turned(folder: Path) -> Path:
    """The walker in mm, in a world whose up is y."""
    time, world = walker(FRAMES)
    path = folder / "other.npz"
    np.savez(path, joints=1000 * world[..., [1, 2, 0]], time=time, joint_set="h36m17", units="mm", frame="world")
    return path


def lifted(folder: Path, **files: Path):
    request = plan("lift", "linear", {}, {"pose3d": {clip: str(path) for clip, path in files.items()}})
    lift.run(folder / "keypoints2d.h5", folder / "lifted3d.h5", request)
    return read(folder / "lifted3d.h5", "lifted3d")


def test_an_imported_motion_ends_where_the_person_was(tmp_path: Path):
    make(tmp_path)
    file, (_, world) = turned(tmp_path), walker(FRAMES)
    found = lifted(tmp_path, cam1=file, cam2=file)
    assert found.provenance["inputs"]["cam1/pose3d"] == sha256_file(file)
    assert found.clips["cam1"].attrs["pose3d"] == "other.npz" and "pose3d" not in found.clips["phone"].attrs
    paths = [tmp_path / f"{name}.h5" for name in ("keypoints2d", "lifted3d", "placed3d", "merged3d")]
    sheet = {"height_m": HEIGHT}
    place.run(*paths[:3], StageRequest("place", options=RAW["place_options"], sheet=sheet))
    merge.run(*paths, StageRequest("merge", options=RAW["merge_options"]))
    merged = read(paths[3], "merged3d")
    for name in ("cam1", "cam2"):
        joints = merged.clips[name].tracks["p1"].arrays["joints"]
        # The phone's clip, which is lifted, has a say in the bones.
        assert np.median(np.linalg.norm(joints - world, axis=-1)) < 0.06


def test_an_imported_path_is_kept_where_it_fits_the_picture(tmp_path: Path):
    make(tmp_path)
    file, (_, world) = turned(tmp_path), walker(FRAMES)
    lifted(tmp_path, cam1=file)
    paths = [tmp_path / f"{name}.h5" for name in ("keypoints2d", "lifted3d", "placed3d")]
    error = {}
    for own in (False, True):
        options = {**RAW["place_options"], "own_root": own}
        place.run(*paths, StageRequest("place", options=options, sheet={"height_m": HEIGHT}))
        clip = read(paths[2], "placed3d").clips["cam1"]
        assert clip.camera is not None
        path = clip.tracks["p1"].arrays["root_camera"].astype(np.float64)
        apart = path - clip.camera.world_to_camera(world[:, 0])
        # The shape of the path, wherever it stands.
        error[own] = float(np.std(apart, axis=0).max())
    assert error[True] < 0.02 and error[True] < 0.5 * error[False] + 0.005


def test_a_trc_comes_in_by_hand(tmp_path: Path):
    make(tmp_path)
    time, world = walker(FRAMES)
    write_trc(tmp_path / "walk.trc", time, world, JOINT_SETS["h36m17"].joints)
    command = ["lift", str(tmp_path / "keypoints2d.h5"), "-o", str(tmp_path / "l.h5"), "--lifter", "linear"]
    cli.app([*command, "--pose3d", f"cam1={tmp_path / 'walk.trc'}"], result_action="return_value")
    clip = read(tmp_path / "l.h5", "lifted3d").clips["cam1"]
    assert clip.status == "ok" and clip.attrs["pose3d_turned"].startswith("by one rotation from the keypoints")


def test_a_bad_file_fails_its_clip_alone(tmp_path: Path):
    make(tmp_path)
    bad = tmp_path / "bad.trc"
    bad.write_text("nothing")
    found = lifted(tmp_path, cam1=bad, cam2=turned(tmp_path))
    assert found.clips["cam1"].status == "failed" and found.clips["cam1"].reason.startswith("bad.trc: first line")
    assert found.clips["cam2"].status == found.clips["phone"].status == "ok"
    gone = lifted(tmp_path, cam1=tmp_path / "none.trc").clips["cam1"]
    assert gone.status == "failed" and str(tmp_path) not in gone.reason


def test_a_clip_that_is_not_there_is_told(tmp_path: Path):
    make(tmp_path)
    with pytest.raises(InputError, match=r"pose3d: expected clips of .*got \['cam7'\]"):
        lifted(tmp_path, cam7=turned(tmp_path))


def test_a_lifter_of_another_unit_cannot_stand_beside_it(tmp_path: Path):
    make(tmp_path)
    request = plan("lift", "gan", {}, {"pose3d": {"cam1": str(turned(tmp_path))}})
    lift.run(tmp_path / "keypoints2d.h5", tmp_path / "l.h5", request)
    clip = read(tmp_path / "l.h5", "lifted3d").clips["cam1"]
    assert clip.status == "failed" and "a lifter in metres beside other.npz" in clip.reason
