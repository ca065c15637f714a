"""picture: one frame of each clip with its 2D keypoints beside the 3D pose, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from posemill.errors import ArtifactError, ClipError, InputError, expected
from posemill.formats.artifact import Artifact, Clip, Track, read
from posemill.formats.atomic import write_bytes
from posemill.media import frames, probe
from posemill.provenance import StageRequest
from posemill.view.clip_view import ClipView
from posemill.view.picture import draw_clip, draw_message

__all__ = ["pair", "run"]

# A third into the clip most motions are under way; decoding starts at the front, so hours are not waited for.
_SHARE, _LATEST_S = 1 / 3, 20.0


def run(videos: Mapping[str, Path], keypoints2d: Path, merged: Path, output: Path, request: StageRequest) -> None:
    """Draw clips of one subject.

    Parameters
    ----------
    videos
        Clip to its video, image or folder of images.
    keypoints2d, merged
        The subject's keypoints2d and merged3d artifacts; they are read once, however many clips there are.
    output
        Folder, made if missing, for ``{clip}.png``. For a failed clip the picture says why.

    Raises
    ------
    ArtifactError
        The artifacts do not have a clip, or are not of one run.
    InputError
        The folder cannot be made.
    """
    seen, solved = read(keypoints2d, schema="keypoints2d"), read(merged, schema="merged3d")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: cannot be made: {error.strerror}; choose another folder") from None
    for clip, video in videos.items():
        found, result = _clip(seen, clip, keypoints2d), _clip(solved, clip, merged)
        sets = (seen.joint_set, solved.joint_set)
        drawn = _draw(f"{solved.subject} / {clip}", video, found, result, sets, keypoints2d)
        write_bytes(output / f"{clip}.png", drawn)


def pair(clips: Sequence[str], videos: Sequence[Path]) -> dict[str, Path]:
    """Clip to its video, from two lists in the same order.

    Raises
    ------
    InputError
        They differ in length, or a clip is named twice.
    """
    if len(set(clips)) != len(videos) or len(clips) != len(videos):
        raise InputError(f"picture: expected one clip for each video, got {len(videos)} videos and {', '.join(clips)}")
    return dict(zip(clips, videos, strict=True))


def _draw(title: str, video: Path, found: Clip, result: Clip, sets: tuple[str, str], keypoints2d: Path) -> bytes:
    reason = result.reason if result.status != "ok" else found.reason
    if reason or not result.tracks:
        return draw_message(title, reason or "no person in this clip")
    name = sorted(result.tracks)[0]
    if name not in found.tracks or len(found.time) != len(result.time):
        raise ArtifactError(
            expected(title, f"{name}, {len(result.time)} frames", f"{sorted(found.tracks)}", where=keypoints2d)
        )
    index = _shown_frame(result, result.tracks[name])
    try:
        rgb = _picture_at(video, result, index)
    except ClipError as error:
        return draw_message(title, str(error))
    return draw_clip(_view(title, index, rgb, sets, found.tracks[name], result, name))


def _clip(artifact: Artifact, clip: str, path: Path) -> Clip:
    if clip not in artifact.clips:
        raise ArtifactError(expected("clip", clip, ", ".join(sorted(artifact.clips)), where=path))
    return artifact.clips[clip]


def _shown_frame(clip: Clip, track: Track) -> int:
    """Frame nearest to a third of the clip among those with the most joints."""
    known = track.arrays["valid"].sum(1)
    early = clip.time <= clip.time[0] + _LATEST_S if clip.temporal else np.arange(len(clip.time)) < _LATEST_S
    if not known[early].any():
        early = np.ones(len(known), bool)
    candidates = np.flatnonzero(early & (known == known[early].max()))
    wanted = _SHARE * (len(clip.time) - 1)
    return int(candidates[np.argmin(np.abs(candidates - wanted))])


def _picture_at(video: Path, clip: Clip, index: int) -> np.ndarray:
    """Pixels of one frame: by its time stamp, or by its number where the sheet's fps replaced the stamps."""
    info = probe(video)
    time, step = clip.time, float(np.median(np.diff(clip.time))) if len(clip.time) > 1 else 1.0
    number = time * clip.fps
    own_rate = clip.temporal and not abs(info.fps / clip.fps - 1) < 0.01
    if own_rate and np.abs(number - np.round(number)).max() < 1e-6:
        for picture in frames(video, info=info):
            if picture.index == round(float(number[index])):
                return picture.rgb
    else:
        for picture in frames(video, start_s=max(float(time[index]) - step / 2, 0.0), info=info):
            return picture.rgb
    raise ClipError(f"{video.name}: expected a frame at {time[index]:.3f} s, got the end of the video")


def _view(
    title: str, index: int, rgb: np.ndarray, sets: tuple[str, str], found: Track, clip: Clip, name: str
) -> ClipView:
    arrays, camera = clip.tracks[name].arrays, clip.camera
    frame = str(clip.attrs["frame"])
    keypoints = found.arrays["keypoints"]
    if clip.motion is not None and camera is not None:
        keypoints = clip.motion.to_video(keypoints, camera)
    scale = str(clip.attrs["scale_source"])
    label = f"world ({clip.attrs['world_source']})" if frame == "world" else "camera frame; place in the world unknown"
    return ClipView(
        title=f"{title}    {clip.time[index]:.2f} s, frame {index}" if clip.temporal else f"{title}    image {index}",
        frame=index,
        time=clip.time,
        rgb=rgb,
        joint_set_2d=sets[0],
        keypoints=keypoints[index],
        score=found.arrays["score"][index],
        joint_set_3d=sets[1],
        joints=arrays["joints"],
        valid=arrays["valid"],
        contact=arrays["contact"],
        sigma_m=arrays["sigma"],
        axes=frame,
        axes_label=f"{label}, scale: {scale}",
        camera_centre=camera.centre if frame == "world" and camera is not None else None,
        temporal=clip.temporal,
    )
