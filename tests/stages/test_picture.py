from __future__ import annotations

import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from posemill.errors import ArtifactError, InputError
from posemill.formats.artifact import Clip, write
from posemill.stages import picture
from tests.stages import exported_subject as es

FRAMES = 50
SIDES = ((0x1F, 0x77, 0xD0), (0xE8, 0x62, 0x2C))


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Each frame's grey level is four times its number."""
    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *es.SIZE, "yuv420p"
        for t in range(FRAMES):
            image = np.full((es.SIZE[1], es.SIZE[0], 3), 4 * t, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())
    return path


def draw(folder, video, merged, keypoints=None):
    write(folder / "m.h5", merged)
    write(folder / "k.h5", keypoints or es.keypoints(FRAMES))
    picture.run({"walk": video}, folder / "k.h5", folder / "m.h5", folder, es.REQUEST)
    return np.asarray(Image.open(folder / "walk.png").convert("RGB")).astype(int)


def shown_grey(image) -> int:
    """Grey of the video at the left edge of the picture."""
    return int(np.median(image[200:400, 30:60]))


@pytest.mark.parametrize("frame", ["world", "camera"])
def test_shows_the_frame_a_third_in_with_the_pose_beside_it(tmp_path, video, frame):
    start = time.perf_counter()
    image = draw(tmp_path, video, es.merged(FRAMES, frame=frame))
    assert time.perf_counter() - start < 10
    assert image.shape == (720, 1400, 3)
    assert shown_grey(image) == pytest.approx(4 * 16, abs=3)
    right = image[100:560, 760:]
    for colour in (*SIDES, (0x7A, 0x4F, 0xB5)):
        assert (np.abs(right - colour).max(-1) < 12).sum() > 40, "left, right and path are drawn"


def test_feet_are_drawn_where_they_are(tmp_path, video):
    without = draw(tmp_path, video, es.merged(FRAMES))
    image = draw(tmp_path, video, es.merged(FRAMES, joints_of="posemill21"))
    blue, orange = ([(np.abs(one - colour).max(-1) < 12).sum() for one in (without, image)] for colour in SIDES)
    assert blue[1] > blue[0] and orange[1] > orange[0]


def test_takes_the_nearest_frame_that_has_a_pose(tmp_path, video):
    image = draw(tmp_path, video, es.merged(FRAMES, invalid=tuple(range(10, 21))))
    assert shown_grey(image) == pytest.approx(4 * 21, abs=3)


def test_a_rate_from_the_sheet_does_not_shift_the_frame(tmp_path, video):
    merged, keypoints = es.merged(FRAMES), es.keypoints(FRAMES)
    for artifact in (merged, keypoints):
        artifact.clips["walk"].time = np.arange(FRAMES) / 5.0
        artifact.clips["walk"].fps = 5.0
    image = draw(tmp_path, video, merged, keypoints)
    assert shown_grey(image) == pytest.approx(4 * 16, abs=3)


def test_a_failed_clip_says_why(tmp_path, video):
    merged = es.merged(FRAMES)
    merged.clips["walk"] = Clip().failed("nobody seen in $fra\\mes$ {50")
    image = draw(tmp_path, video, merged)
    assert image.shape == (720, 1400, 3) and (image.sum(-1) < 250).sum() > 500


@pytest.mark.parametrize("invalid", [tuple(range(FRAMES)), tuple(range(1, FRAMES))])
def test_clips_with_hardly_a_pose_are_drawn(tmp_path, video, invalid):
    draw(tmp_path, video, es.merged(FRAMES, invalid=invalid))


def test_stills_without_a_path(tmp_path, video):
    folder = tmp_path / "stills"
    folder.mkdir()
    for index in range(3):
        Image.new("RGB", es.SIZE, (40 * index,) * 3).save(folder / f"{index}.png")
    keypoints = es.keypoints(3)
    keypoints.clips["walk"].time, keypoints.clips["walk"].temporal = np.arange(3.0), False
    image = draw(tmp_path, folder, es.merged(3, temporal=False, invalid=(0, 1)), keypoints)
    assert shown_grey(image) == 80


def test_same_input_gives_same_bytes(tmp_path, video):
    draw(tmp_path, video, es.merged(FRAMES))
    first = (tmp_path / "walk.png").read_bytes()
    draw(tmp_path, video, es.merged(FRAMES))
    assert (tmp_path / "walk.png").read_bytes() == first


def test_unknown_clip_and_other_run(tmp_path, video):
    write(tmp_path / "m.h5", es.merged(FRAMES))
    write(tmp_path / "k.h5", es.keypoints(FRAMES))
    with pytest.raises(ArtifactError, match="clip: expected jump, got walk"):
        picture.run({"jump": video}, tmp_path / "k.h5", tmp_path / "m.h5", tmp_path, es.REQUEST)
    with pytest.raises(ArtifactError, match="expected p1, 50 frames"):
        draw(tmp_path, video, es.merged(FRAMES), es.keypoints(20))


def test_clips_and_videos_are_paired_in_order():
    a, b = Path("x/1.mp4"), Path("y/2.mp4")
    assert picture.pair(["walk", "run"], [a, b]) == {"walk": a, "run": b}
    for clips in (["walk"], ["walk", "walk"], ["walk", "run", "run"]):
        with pytest.raises(InputError, match="one clip for each video, got 2 videos"):
            picture.pair(clips, [a, b])
