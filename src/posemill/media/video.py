"""Video files, decoded by FFmpeg through PyAV."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from posemill.errors import ClipError, InputError, expected
from posemill.media.frame import VideoInfo, stated_focal

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["pictures", "probe"]

# Containers of moving pictures only: a playlist or concat script renamed to .mp4 must not open other files.
_CONTAINERS = "mov,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf,ivf,gif,h264,hevc,wtv,dv"
# As phones write it into QuickTime files.
_FOCAL = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
# A stated duration may lie a little (rounding, the last frame's own duration); a tail this long is missing.
_TAIL_S, _TAIL_FRAMES = 0.5, 2.5


def probe(path: Path) -> VideoInfo:
    """Decode the first picture and read all packets."""
    with _opened(path) as (container, stream):
        first = next(_decoded(path, container, stream), None)
        if first is None:
            raise ClipError(f"{path.name}: expected a video, got one without frames")
        frame, start_s = first
        matrix, sar = _orientation(frame), _sample_aspect_ratio(stream)
        width, height = _upright_size(frame, matrix, sar)
    with _opened(path) as (container, stream):
        count, duration_s = _check_packets(path, container, stream)
        codec = stream.codec_context.name
        focal = stated_focal(container.metadata.get(_FOCAL) or stream.metadata.get(_FOCAL))
    fps = count / duration_s if duration_s > 0 else float("nan")
    rotation = int(np.rint(np.degrees(np.arctan2(-matrix[0, 1], matrix[0, 0])))) % 360
    return VideoInfo(width, height, fps, count, rotation, sar, codec, duration_s, start_s, focal_35mm=focal)


def pictures(path: Path, info: VideoInfo) -> Iterator[tuple[int, float, Callable[[], np.ndarray]]]:
    """(index, time in s, function that makes the upright RGB picture) of the frames that are shown."""
    step = 1 / info.fps if np.isfinite(info.fps) else 1.0
    with _opened(path) as (container, stream):
        sar = _sample_aspect_ratio(stream)
        index, last, offset, matrix, size = 0, -np.inf, -info.start_s, np.eye(2), (0, 0)
        for frame, stamp_s in _decoded(path, container, stream):
            if index == 0:
                matrix, size = _orientation(frame), (frame.width, frame.height)
            elif (frame.width, frame.height) != size:
                got = f"{frame.width}x{frame.height} after {last:.2f} s"
                raise ClipError(expected("picture size", f"{size[0]}x{size[1]} throughout", got, where=path.name))
            if stamp_s + offset < last - 2 * step:
                offset = last + step - stamp_s
            time_s = stamp_s + offset
            if time_s <= last:
                continue
            last = time_s
            yield index, time_s, partial(_upright, frame, matrix, sar)
            index += 1


@contextmanager
def _libav_errors() -> Iterator[list[tuple[int, str, str]]]:
    """Collect what FFmpeg says at error level in this thread; it is silent otherwise."""
    from av.logging import ERROR, Capture, get_level, get_skip_repeated, set_level, set_skip_repeated

    level, skip = get_level(), get_skip_repeated()
    set_level(ERROR)
    set_skip_repeated(False)
    try:
        with Capture() as logs:
            yield logs
    finally:
        set_level(level)
        set_skip_repeated(skip)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its main video stream; cover pictures of audio files do not count."""
    import av
    from av.error import FFmpegError
    from av.error import PermissionError as AvPermissionError
    from av.stream import Disposition

    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
    with _libav_errors() as logs:
        try:
            container = av.open(f"file:{path.resolve()}", options=options)
        except AvPermissionError:
            raise InputError(f"{path}: expected a readable file, got no permission to read it") from None
        except (FFmpegError, ValueError) as error:
            raise _not_a_video(path, logs[-1][2].strip() if logs else str(getattr(error, "strerror", error))) from None
    with container:
        stream = container.streams.best("video")
        if stream is None or Disposition.attached_pic in stream.disposition:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise ClipError(f"{path.name}: expected a video stream, got {kinds}")
        video: VideoStream = stream  # pyright: ignore[reportAssignmentType]
        # Not frame threads: one that logs while the decoder is closed early waits for the interpreter for ever.
        video.thread_type = "SLICE"  # pyright: ignore[reportAttributeAccessIssue]
        if video.codec_context.name == "mjpeg":
            # This decoder marks no picture as damaged; every picture stands alone, so strictness costs nothing.
            video.codec_context.options = {"err_detect": "explode"}
        yield container, video


def _not_a_video(path: Path, said: str) -> ClipError:
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        return ClipError(f"{path.name}: expected a video, got an empty file")
    if "moov" in said and b"ftyp" in head:
        return ClipError(f"{path.name}: expected a whole video, got one cut off before its index (moov); copy it again")
    return ClipError(f"{path.name}: expected a video, got a file of another kind or one broken at its beginning")


def _damaged(path: Path, time_s: float, count: int, what: str) -> ClipError:
    return ClipError(f"{path.name}: damaged at {time_s:.2f} s after {count} frames: {what}")


def _stamp(packet: Packet, in_order: bool) -> float | None:
    """Container time in s. AVI has no presentation stamps: what FFmpeg offers as such is a guess, out of order."""
    stamp = packet.dts if in_order or packet.pts is None else packet.pts
    return None if stamp is None or packet.time_base is None else float(stamp * packet.time_base)


def _in_order(container: InputContainer) -> bool:
    return container.format.name == "avi"


def _check_packets(path: Path, container: InputContainer, stream: VideoStream) -> tuple[int, float]:
    """Read all packets of all streams; (video packets, seconds from the first one's start to the last one's end)."""
    from av.error import FFmpegError

    in_order = _in_order(container)
    count, start, last, end, any_end = 0, np.inf, -np.inf, -np.inf, -np.inf
    with _libav_errors() as logs:
        try:
            for packet in container.demux():
                time_s = _stamp(packet, in_order)
                if time_s is None or packet.size == 0:
                    continue
                ends = time_s + float((packet.duration or 0) * (packet.time_base or 0))
                any_end = max(any_end, ends)
                if packet.stream is stream:
                    count, start, last, end = count + 1, min(start, time_s), max(last, time_s), max(end, ends)
                    if packet.is_corrupt and count > 1:
                        raise _damaged(path, time_s - start, count - 1, "the container marks lost data")
                # The Matroska demuxer skips what it cannot read and only says so in the log.
                if any("matroska" in name for _, name, _ in logs):
                    raise _damaged(path, max(last - start, 0.0), count, f"broken container: {logs[0][2].strip()}")
        except FFmpegError as error:
            raise _damaged(path, max(last - start, 0.0), count, error.strerror or str(error)) from None
    if not count:
        raise ClipError(f"{path.name}: expected a video, got one without frames")
    step = (last - start) / (count - 1) if count > 1 else 0.0
    end = max(end, last + step)
    own = stream.duration is not None or "DURATION" in stream.metadata
    stated, reached = _stated_end(container, stream, start), end if own else max(end, any_end)
    # Without stamps, an AVI file's length in frames is all that it has, and is kept exactly.
    if stated - reached > max(_TAIL_FRAMES * step, 0.0 if in_order else _TAIL_S):
        raise _damaged(path, end - start, count, f"cut off, the file states {stated - start:.2f} s")
    return count, end - start


def _stated_end(container: InputContainer, stream: VideoStream, start_s: float) -> float:
    """Container time in s at which the file says that it ends; -inf if it does not say."""
    if stream.duration is not None and stream.time_base is not None:
        begin = float(stream.start_time * stream.time_base) if stream.start_time is not None else start_s
        return begin + float(stream.duration * stream.time_base)
    # Matroska counts both from time 0 of the file, not from its first frame.
    with suppress(KeyError, ValueError):
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return container.duration / 1e6 if container.duration is not None else -np.inf


def _decoded(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[tuple[VideoFrame, float]]:
    """Decode in order of presentation; (frame, container time in s)."""
    from av.error import FFmpegError

    in_order = _in_order(container)
    # A transport stream may be cut anywhere; its pictures before the first whole one were never shown.
    may_begin_broken = container.format.name in ("mpegts", "mpeg")
    queue: deque[float] = deque()  # stamps of packets, for pictures that have none of their own
    count, begin, time_s = 0, 0.0, 0.0
    try:
        for packet in container.demux(stream):
            if in_order and packet.size and (stamp := _stamp(packet, in_order)) is not None:
                queue.append(stamp)
            for frame in packet.decode():
                if frame.is_corrupt:  # pyright: ignore[reportAttributeAccessIssue]
                    if count == 0 and may_begin_broken:
                        continue
                    raise _damaged(path, time_s - begin, count, "the next picture is broken")
                if in_order and queue:
                    time_s = queue.popleft()
                elif not in_order and frame.pts is not None:
                    time_s = float(frame.pts * (stream.time_base or 0))
                elif count and stream.average_rate:
                    time_s += float(1 / stream.average_rate)
                begin = time_s if count == 0 else begin
                count += 1
                yield frame, time_s  # pyright: ignore[reportReturnType]
    except FFmpegError as error:
        raise _damaged(path, time_s - begin, count, error.strerror or str(error)) from None


def _sample_aspect_ratio(stream: VideoStream) -> float:
    """Width over height of a stored pixel; 0 in a file means unknown, hence square."""
    return float(stream.sample_aspect_ratio or 0) or 1.0


def _orientation(frame: VideoFrame) -> np.ndarray:
    """Display matrix of the frame as a signed permutation (2, 2): a stored (x, y) times it is the shown (x, y)."""
    with suppress(KeyError):
        data = frame.side_data["DISPLAYMATRIX"]  # pyright: ignore[reportGeneralTypeIssues]
        m = np.frombuffer(bytes(data), "<i4").reshape(3, 3)[:2, :2].astype(np.int64)
        turned = np.sign(m) * (np.abs(m) > np.abs(m).max() / 2)
        if (np.abs(turned).sum(0) == 1).all() and (np.abs(turned).sum(1) == 1).all():
            return turned
    return np.eye(2)


def _upright_size(frame: VideoFrame, matrix: np.ndarray, sar: float) -> tuple[int, int]:
    width, height = max(round(frame.width * sar), 1), frame.height
    return (height, width) if matrix[0, 0] == 0 else (width, height)


def _upright(frame: VideoFrame, matrix: np.ndarray, sar: float) -> np.ndarray:
    """(H, W, 3) uint8 RGB with square pixels, turned as the display matrix says."""
    rgb = frame.to_ndarray(format="rgb24", width=max(round(frame.width * sar), 1), height=frame.height)
    if matrix[0, 0] == 0:
        rgb = rgb.transpose(1, 0, 2)
    x_sign, y_sign = matrix.sum(0)
    return np.ascontiguousarray(rgb[:: int(y_sign), :: int(x_sign)])
