"""``posemill twin`` on three small frames."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import av
import numpy as np
import pytest

from posemill.clip_sources import read_sheet
from posemill.errors import InputError
from posemill.formats.artifact import read
from posemill.skeleton import joint_set
from posemill.stages import twin


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twin")
    sheet = twin.run(folder, subject="T1", motions=("wave",), duration_s=0.3, fps=10, width=240, height=180)
    assert sheet == folder / "clips.tsv"
    return folder


def test_sheet_is_read_by_the_workflow(made: Path) -> None:
    rows = list(csv.DictReader((made / "clips.tsv").open(), delimiter="\t"))
    assert [row["clip"] for row in rows] == ["wave_cam1", "wave_cam2"]
    for row in rows:
        assert row["height_m"] == "1.75" and row["kind"] == "video" and row["fov_deg"] == ""
        for column in ("video", "calibration", "truth"):
            assert (made / row[column]).is_file()
    clips, problems = read_sheet(made / "clips.tsv")
    assert not problems and [clip.camera for clip in clips] == ["cam1", "cam2"]


def test_truth_is_the_projection_of_its_joints(made: Path) -> None:
    truth = read(made / "T1" / "truth.h5", schema="truth3d")
    assert truth.attrs["height_m"] == 1.75 and truth.joint_set == "posemill28"
    for name, clip in truth.clips.items():
        assert clip.camera is not None and clip.time.tolist() == pytest.approx([0, 0.1, 0.2])
        arrays = clip.tracks["p1"].arrays
        in_camera = clip.camera.world_to_camera(arrays["joints"].astype(float))
        np.testing.assert_allclose(in_camera, arrays["joints_camera"], atol=1e-5)
        np.testing.assert_allclose(clip.camera.project(in_camera), arrays["keypoints"], atol=1e-2)
        assert arrays["contact"].all()  # waving, nobody lifts a foot
        seen = dict(zip(joint_set("posemill28").joints, arrays["visible"][0], strict=True))
        assert seen["right_knee"] and seen["right_shoulder"], name
        calibration = json.loads((made / "T1" / f"{name.removeprefix('wave_')}.json").read_text())
        np.testing.assert_allclose(np.array(calibration["R"]), np.asarray(clip.camera.R))
        np.testing.assert_allclose(calibration["dist"], clip.camera.dist)
    assert truth.clips["wave_cam2"].camera.dist.any()  # pyright: ignore[reportOptionalMemberAccess]
    # From the person's right-hand side the far shoulder is behind the trunk.
    assert (
        not truth.clips["wave_cam2"].tracks["p1"].arrays["visible"][0][joint_set("posemill28").index("left_shoulder")]
    )


def test_video_shows_the_person_where_the_truth_says(made: Path) -> None:
    truth = read(made / "T1" / "truth.h5")
    with av.open(str(made / "T1" / "wave_cam1.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]
    assert len(frames) == 3 and frames[0].shape == (180, 240, 3)
    u, v = np.round(truth.clips["wave_cam1"].tracks["p1"].arrays["keypoints"][0]).astype(int).T
    joints = joint_set("posemill28")
    shirt = frames[0][v[joints.index("spine")], u[joints.index("spine")]]
    assert shirt[2] > shirt[0] + 20  # teal, which no wall and no plank is
    shoe = frames[0][v[joints.index("right_ankle")] + 4, u[joints.index("right_ankle")]]
    assert shoe[0] > shoe[2]


def test_same_input_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    twin.run(tmp_path, subject="T1", motions=("wave",), cameras=1, duration_s=0.3, fps=10, width=240, height=180)
    for name in ("wave_cam1.mp4", "cam1.json"):
        assert (tmp_path / "T1" / name).read_bytes() == (made / "T1" / name).read_bytes()


def test_nonsense_is_refused_before_work(tmp_path: Path) -> None:
    for change, message in (
        ({"motions": ("fly",)}, "unknown motion 'fly'; known: squat_and_reach"),
        ({"motions": ()}, "at least one motion"),
        ({"duration_s": 0.0}, "at least one frame"),
        ({"width": 641}, "even picture size"),
        ({"height_m": 5.0}, "height_m"),
    ):
        with pytest.raises(InputError, match=message):
            twin.run(tmp_path / "out", **change)  # pyright: ignore[reportArgumentType]
    assert not (tmp_path / "out").exists()


def test_committed_demo_is_whole(root: Path) -> None:
    demo = root / "resources" / "demo"
    clips, problems = read_sheet(demo / "clips.tsv")
    assert not problems and len(clips) >= 4
    truth = read(demo / "S9" / "truth.h5", schema="truth3d")
    assert set(truth.clips) == {clip.clip for clip in clips}
    assert sum(path.stat().st_size for path in demo.rglob("*") if path.is_file()) < 8e6
    cameras = {clip.camera for clip in clips}
    assert len(cameras) >= 2
    for clip in clips:
        assert clip.calibration is not None
        known = truth.clips[clip.clip]
        calibration = json.loads(clip.calibration.read_text())
        assert known.camera is not None and (calibration["width"], calibration["height"]) == known.image_size
        np.testing.assert_allclose(np.array(calibration["K"]), known.camera.K)
        with av.open(str(clip.video)) as container:
            stream = container.streams.video[0]
            assert stream.frames == len(known.time) >= 6 * known.fps
            assert (stream.width, stream.height) == known.image_size
        keypoints = known.tracks["p1"].arrays["keypoints"]
        assert ((keypoints > 0) & (keypoints < known.image_size)).all()  # the whole person, all the time
