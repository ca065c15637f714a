"""Videos are made here with a white square that moves 4 px a frame; what a player shows is what must come out."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from PIL import Image

from posemill import media
from posemill.errors import ClipError, InputError

WIDTH, HEIGHT, STEP = 96, 64, 4


def picture(index: int) -> np.ndarray:
    """Grey noise with a bright square whose left edge is at 4 · index, in the upper half."""
    rng = np.random.default_rng(index)
    rgb = rng.integers(30, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    x = (STEP * index) % (WIDTH - 16)
    rgb[8:24, x : x + 16] = 255
    return rgb


def make_video(
    path: Path,
    pictures: Iterable[np.ndarray],
    *,
    codec: str = "libx264",
    stamps_ms: list[int] | None = None,
    fps: int = 25,
    rotation: float | None = None,
    mirror: bool = False,
    sar: tuple[int, int] | None = None,
    codec_options: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
) -> Path:
    with av.open(str(path), "w", options=options or {}) as container:
        container.metadata.update(tags or {})
        stream: Any = container.add_stream(codec, rate=fps, options=codec_options or {})
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        base = Fraction(1, 1000) if stamps_ms else Fraction(1, fps)
        stream.codec_context.time_base = base
        if sar:
            stream.codec_context.sample_aspect_ratio = Fraction(*sar)
        if rotation is not None or mirror:
            stream.set_display_rotation(rotation or 0, hflip=mirror)
        for index, rgb in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = stamps_ms[index] if stamps_ms else index, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def square(rgb: np.ndarray) -> tuple[float, float]:
    """Centre (x, y) of the bright square."""
    y, x = np.nonzero(rgb.min(axis=-1) > 150)
    return float(x.mean()), float(y.mean())


def seen(path: Path, **kwargs: Any) -> list[media.Frame]:
    return list(media.frames(path, **kwargs))


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("b.avi", "libx264"), ("a.webm", "libvpx-vp9")],
)
def test_frames_come_in_order_with_their_times(tmp_path: Path, name: str, codec: str) -> None:
    """B-frames (x264's default) and AVI's lack of stamps included."""
    path = make_video(tmp_path / name, map(picture, range(15)), codec=codec)
    info, frames = media.probe(path), seen(path)
    assert (info.width, info.height, info.frame_count_hint) == (WIDTH, HEIGHT, 15)
    assert info.fps == pytest.approx(25, rel=0.01)
    assert info.duration_s == pytest.approx(0.6, abs=0.01)
    assert [f.index for f in frames] == list(range(15))
    assert [f.time_s for f in frames] == pytest.approx([i / 25 for i in range(15)], abs=1e-3)
    assert [square(f.rgb)[0] for f in frames] == pytest.approx([STEP * i + 7.5 for i in range(15)], abs=1)


def test_same_file_same_frames(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", map(picture, range(20)))
    first, second = seen(path), seen(path)
    assert [f.time_s for f in first] == [f.time_s for f in second]
    assert all((a.rgb == b.rgb).all() for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_metadata_is_applied(tmp_path: Path, rotation: int) -> None:
    """FFmpeg's rotation turns counterclockwise, as numpy's rot90."""
    path = make_video(tmp_path / "a.mp4", [picture(0)] * 5, rotation=rotation)
    info, frame = media.probe(path), seen(path)[0]
    upright = np.rot90(picture(0), rotation // 90)
    assert info.rotation == rotation
    assert frame.rgb.shape == upright.shape == (info.height, info.width, 3)
    assert square(frame.rgb) == pytest.approx(square(upright), abs=1)


def test_mirroring_in_metadata_is_applied(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [picture(0)] * 5, mirror=True)
    assert square(seen(path)[0].rgb) == pytest.approx(square(np.fliplr(picture(0))), abs=1)


def test_pixels_become_square(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [picture(0)] * 5, sar=(2, 1))
    info, frame = media.probe(path), seen(path)[0]
    assert (info.width, info.height, info.sample_aspect_ratio) == (2 * WIDTH, HEIGHT, 2.0)
    assert frame.rgb.shape == (HEIGHT, 2 * WIDTH, 3)
    assert square(frame.rgb) == pytest.approx((15.5, 15.5), abs=1.5)


def test_variable_frame_rate_keeps_its_stamps(tmp_path: Path) -> None:
    stamps = [0, 40, 80, 500, 520, 1000, 1040, 1200]
    path = make_video(tmp_path / "a.mkv", map(picture, range(8)), stamps_ms=stamps)
    assert [f.time_s for f in seen(path)] == pytest.approx([s / 1000 for s in stamps], abs=1e-6)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
def test_time_starts_at_the_first_frame_shown(tmp_path: Path, name: str) -> None:
    path = make_video(tmp_path / name, map(picture, range(12)), stamps_ms=[2000 + 40 * i for i in range(12)])
    frames = seen(path)
    assert [f.time_s for f in frames] == pytest.approx([0.04 * i for i in range(12)], abs=1e-4)
    assert media.probe(path).start_s >= 2 or name == "a.ts"


def test_edit_list_is_honoured(tmp_path: Path) -> None:
    """The edit list of a clip trimmed on a phone: play 0.4 s from 0.2 s on."""
    path = make_video(tmp_path / "a.mp4", map(picture, range(40)), codec_options={"g": "5", "bf": "0"})
    data = bytearray(path.read_bytes())
    at = data.index(b"elst")
    movie_scale = struct.unpack(">I", data[data.index(b"mvhd") + 16 :][:4])[0]
    media_scale = struct.unpack(">I", data[data.index(b"mdhd") + 16 :][:4])[0]
    struct.pack_into(">II", data, at + 12, round(0.4 * movie_scale), round(0.2 * media_scale))
    path.write_bytes(data)
    frames = seen(path)
    assert [f.time_s for f in frames] == pytest.approx([0.04 * i for i in range(10)], abs=1e-3)
    assert square(frames[0].rgb)[0] == pytest.approx(5 * STEP + 7.5, abs=1)


def test_start_leaves_out_what_comes_before(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", map(picture, range(10)))
    assert [f.index for f in seen(path, start_s=0.2)] == [5, 6, 7, 8, 9]
    with pytest.raises(ClipError, match=r"a\.mp4: start_s: expected a time within the clip's 0\.36 s, got 5"):
        seen(path, start_s=5)


def test_frames_shown_for_no_time_are_left_out(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", map(picture, range(4)), stamps_ms=[0, 40, 80, 120], codec="mjpeg")
    data = path.read_bytes()
    assert len(seen(path)) == 4
    block = data.rindex(b"\x81\x00\x50")  # track 1, time 80 ms
    path.write_bytes(data[: block + 1] + b"\x00\x28" + data[block + 3 :])
    assert [f.time_s for f in seen(path)] == pytest.approx([0, 0.04, 0.12])


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mjpeg"), ("a.webm", "libvpx-vp9")]
)
@pytest.mark.parametrize("how", ["middle", "tail"])
def test_damage_is_never_a_shorter_video(tmp_path: Path, name: str, codec: str, how: str) -> None:
    faststart = {"movflags": "faststart"} if name == "a.mp4" else None
    path = make_video(tmp_path / name, map(picture, range(75)), codec=codec, options=faststart)
    data = bytearray(path.read_bytes())
    if how == "middle":
        at = len(data) // 2
        data[at : at + 3000] = np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8).tobytes()
    else:
        del data[int(len(data) * 0.6) :]
    path.write_bytes(data)
    with pytest.raises(ClipError, match=rf"^{name}: damaged at \d\.\d\d s after \d+ frames: [^\n]+$"):
        seen(path)


def test_what_is_no_video_is_told_in_one_line(tmp_path: Path) -> None:
    def reason(path: Path) -> str:
        with pytest.raises(ClipError) as info:
            seen(path)
        assert str(info.value).startswith(f"{path.name}: expected a ") and "\n" not in str(info.value)
        assert str(tmp_path) not in str(info.value)
        return str(info.value)

    text, empty, playlist = tmp_path / "text.mp4", tmp_path / "empty.mp4", tmp_path / "list.mp4"
    text.write_text("this is not a video\n" * 50)
    empty.touch()
    playlist.write_text("#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n")
    assert "another kind" in reason(text)
    assert "empty file" in reason(empty)
    assert "another kind" in reason(playlist)

    whole = make_video(tmp_path / "whole.mp4", map(picture, range(30)))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:2000])
    assert "cut off before its index" in reason(cut)

    sound = tmp_path / "sound.mkv"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    assert "expected a video stream, got audio" in reason(sound)

    frameless = tmp_path / "frameless.avi"
    with av.open(str(frameless), "w") as container:
        video: Any = container.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        container.start_encoding()
    assert "without frames" in reason(frameless)


def test_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such video"):
        media.probe(tmp_path / "none.mp4")


def test_stills_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        Image.fromarray(np.full((20, 30, 3), number, np.uint8)).save(tmp_path / f"img{number}.png")
    (tmp_path / "notes.txt").write_text("no image")
    frames, info = seen(tmp_path), media.probe(tmp_path)
    assert [(f.time_s, int(f.rgb[0, 0, 0])) for f in frames] == [(0.0, 1), (1.0, 2), (2.0, 10)]
    assert (info.width, info.height, info.temporal, info.frame_count_hint) == (30, 20, False, 3)


def test_single_image_with_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying; to be turned 90 degrees clockwise
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture(0)).save(path, exif=exif, quality=95)
    upright = np.rot90(picture(0), -1)
    (frame,) = seen(path)
    assert frame.rgb.shape == upright.shape
    assert square(frame.rgb) == pytest.approx(square(upright), abs=1)


def photo(path: Path, focal_mm: int, taken: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0xA405: focal_mm, 0xA002: taken[0], 0xA003: taken[1]})
    Image.fromarray(picture(0)).save(path, exif=exif)


def test_the_focal_length_that_a_photo_states(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", 28, (8 * WIDTH, 8 * HEIGHT))
    assert media.probe(tmp_path / "a.jpg").focal_35mm == 28
    photo(tmp_path / "b.jpg", 28, (8 * WIDTH, 8 * HEIGHT))
    assert media.probe(tmp_path).focal_35mm == 28
    photo(tmp_path / "c.jpg", 35, (8 * WIDTH, 8 * HEIGHT))
    assert media.probe(tmp_path).focal_35mm is None, "photos of several lenses"
    photo(tmp_path / "cropped.jpg", 28, (8 * WIDTH, 12 * HEIGHT))
    assert media.probe(tmp_path / "cropped.jpg").focal_35mm is None


@pytest.mark.parametrize(("said", "focal"), [("26", 26.0), ("wide", None), (None, None)])
def test_the_focal_length_that_a_video_states(tmp_path: Path, said: str | None, focal: float | None) -> None:
    tags = {} if said is None else {"com.apple.quicktime.camera.focal_length.35mm_equivalent": said}
    keep = {"movflags": "use_metadata_tags"}
    path = make_video(tmp_path / "a.mov", map(picture, range(5)), tags=tags, options=keep)
    assert media.probe(path).focal_35mm == focal


def test_sixteen_bit_image_is_scaled(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0x8000, np.uint16)).save(tmp_path / "deep.png")
    assert (seen(tmp_path / "deep.png")[0].rgb == 128).all()


def test_bad_stills_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    with pytest.raises(ClipError, match="set: expected images"):
        media.probe(folder)
    Image.new("RGB", (30, 20)).save(folder / "1.png")
    Image.new("RGB", (20, 30)).save(folder / "2.png")
    with pytest.raises(ClipError, match=r"set/2\.png: image size: expected 30x20 as the first, got 20x30"):
        seen(folder)
    (folder / "2.png").write_text("not an image")
    with pytest.raises(ClipError, match=r"set/2\.png: expected an image"):
        seen(folder)


def test_memory_is_flat(tmp_path: Path) -> None:
    """Ten times the frames, the same memory: 3000 RGB frames would be 55 MB."""
    fast = {"preset": "ultrafast"}
    short = make_video(tmp_path / "short.mp4", (picture(i % 20) for i in range(300)), codec_options=fast)
    long = make_video(tmp_path / "long.mp4", (picture(i % 20) for i in range(3000)), codec_options=fast)
    process = psutil.Process()
    assert sum(1 for _ in media.frames(short)) == 300
    before, most, count = process.memory_info().rss, 0, 0
    for _ in media.frames(long):
        count += 1
        if count % 100 == 0:
            most = max(most, process.memory_info().rss)
    assert count == 3000
    assert most - before < 20e6
