"""``posemill noise`` on files, and films of captured motion to fit it to."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest

from posemill.cli import app
from posemill.errors import InputError
from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.formats.motion import MOTION_JOINTS
from posemill.joint_axes import joint_axes
from posemill.skeleton import JOINT_SETS, LIMBS
from posemill.stages import noise, twin
from posemill.training.profile import read_profile
from posemill.twin import captured
from tests.stages import exported_subject as es
from tests.walker import camera_at, walker

H36M = JOINT_SETS["h36m17"]
HEIGHT_M = 1.7


def filmed(folder: Path, offset: tuple[float, float, float], clips: int = 8) -> list[tuple[Path, Path]]:
    """keypoints2d and truth3d files of the walker from all sides, a body each; limbs off by ``offset`` shares."""
    time, world = walker(50, 25.0)
    rng = np.random.default_rng(0)
    out = []
    for i in range(clips):
        angle = 2 * np.pi * i / clips
        camera = camera_at((5 * np.cos(angle), 5 * np.sin(angle), 0.5 + 0.25 * i))
        joints = camera.world_to_camera(world)
        exact = camera.project(joints)
        moved = joints.copy()
        moved[:, H36M.indices(LIMBS)] += HEIGHT_M * np.einsum("k,...kc->...c", offset, joint_axes(joints, H36M.joints))
        points = camera.project(moved) + rng.normal(0, 0.5, exact.shape)
        flags = np.ones(exact.shape[:2], bool)
        shared = {"fps": 25.0, "image_size": (camera.width, camera.height), "time": time, "camera": camera}
        true = Track(
            {
                "keypoints": exact.astype(np.float32),
                "visible": flags,
                "joints": world.astype(np.float32),
                "joints_camera": joints.astype(np.float32),
                "contact": np.ones((50, 4), bool),
            }
        )
        found = Track(
            {
                "keypoints": points.astype(np.float32),
                "score": np.ones(flags.shape, np.float32),
                "sigma": np.ones(flags.shape, np.float32),
                "valid": flags,
                "bbox": np.concatenate([points.min(1), points.max(1)], 1).astype(np.float32),
            }
        )
        truth = Artifact("truth3d", f"N{i}", "h36m17", {"c": Clip(tracks={"p1": true}, **shared)})
        truth.attrs["height_m"] = HEIGHT_M
        keypoints = Artifact("keypoints2d", f"N{i}", "h36m17", {"c": Clip(tracks={"p1": found}, **shared)})
        keypoints.attrs["detector"] = "made up"
        paths = folder / f"k{i}.h5", folder / f"t{i}.h5"
        write(paths[0], keypoints)
        write(paths[1], truth)
        out.append(paths)
    return out


def test_fit_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = filmed(tmp_path, (0.01, -0.005, -0.015))
    keypoints, truths = ([str(f[i]) for f in files] for i in (0, 1))
    output = tmp_path / "p.json"
    command = ["noise", "fit", *keypoints, "--truth", *truths, "-o", str(output), "--name", "x"]
    app([*command, "--option", "method=by hand"], result_action="return_value")
    profile = read_profile(output)
    for errors in profile.joints.values():
        np.testing.assert_allclose(errors.offset, (0.01, -0.005, -0.015), atol=0.001)
    assert profile.card["clips"] == 8 and profile.card["frames"] == 400 and profile.card["method"] == "by hand"
    assert profile.card["detector"] == "made up"
    assert "ahead +1.0" in capsys.readouterr().out
    app(["noise", "show", str(output)], result_action="return_value")
    assert "detector: made up" in capsys.readouterr().out


def test_what_cannot_be_fitted_is_said(tmp_path: Path) -> None:
    files = filmed(tmp_path, (0, 0, 0), clips=4)
    output = tmp_path / "p.json"
    with pytest.raises(InputError, match="one file for each"):
        noise.fit([files[0][0]], [], output, name="x", card={})
    with pytest.raises(InputError, match="four or more"):
        noise.fit([k for k, _ in files[:3]], [t for _, t in files[:3]], output, name="x", card={})
    clips = ("a", "b", "c", "d")
    write(tmp_path / "k.h5", es.keypoints(clips=clips))
    write(tmp_path / "t.h5", es.truth(clips=clips))
    with pytest.raises(InputError, match="several sides"):
        noise.fit([tmp_path / "k.h5"], [tmp_path / "t.h5"], output, name="x", card={})
    write(tmp_path / "t.h5", es.truth(clips=clips[:2]))
    with pytest.raises(InputError, match=r"t\.h5.*clip c"):
        noise.fit([tmp_path / "k.h5"], [tmp_path / "t.h5"], output, name="x", card={})
    assert not output.exists()


def test_films_of_captured_motion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captured, "PICTURES", ((160, 120),))
    with h5py.File(tmp_path / "m.h5", "w") as f:
        f.attrs["fps"], f.attrs["units"], f.attrs["joints"] = 30.0, "m", list(MOTION_JOINTS)
        f["train/S1/walk"] = walker(40)[1].astype(np.float32)
        f["train/S2/walk"] = walker(40)[1].astype(np.float32)
    sheet = twin.run_captured(tmp_path, tmp_path / "m.h5", clips=1, left_out=("S2",), duration_s=0.2, fps=10, seed=3)
    (row,) = csv.DictReader(sheet.open(), delimiter="\t")
    truth = read(tmp_path / row["truth"], "truth3d")
    clip = truth.clips["train_walk"]
    joints = clip.tracks["p1"].arrays["keypoints"]
    assert (tmp_path / row["video"]).is_file() and truth.attrs["height_m"] == pytest.approx(
        float(row["height_m"]), abs=0.01
    )
    assert joints.shape == (2, 28, 2) and (joints > 0).all() and (joints < np.array(clip.image_size)).all()
    with pytest.raises(InputError, match=r"m\.h5.*0 recordings"):
        twin.run_captured(tmp_path, tmp_path / "m.h5", clips=1, left_out=("S1", "S2"))
    with pytest.raises(InputError, match="at least 3"):
        twin.run_captured(tmp_path, tmp_path / "m.h5", clips=1)
