"""depth: how far away a network says that the people of one clip are."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from posemill import media
from posemill.depth.model_folder import depth_model, model_terms, model_type
from posemill.depth.network import DepthMap, DepthNetwork
from posemill.depth.options import DepthOptions
from posemill.depth.sampling import best_frames, depth_at
from posemill.errors import ClipError, expected
from posemill.formats.artifact import Artifact, Clip, Track, only_clip, read, write
from posemill.progress import progress
from posemill.provenance import StageRequest, record
from posemill.skeleton import TORSO, joint_set

__all__ = ["run"]


def run(video: Path, detections: Path, output: Path, request: StageRequest) -> None:
    """Ask a metric depth network for the people of one clip, and write a ``depth`` artifact.

    Parameters
    ----------
    video
        Video file, image, or folder of images.
    detections
        What detect wrote of it: where people's joints are, in pixels of the video.
    output
        Artifact to write: of the frames that the network looked at, the depth of the surface at each person's torso
        joints, as the network says it.
    request
        Options as in :class:`DepthOptions`. Its sheet has ``start_s`` as detect had it.

    Raises
    ------
    InputError
        There is no such video, or the model is no metric depth network.
    ArtifactError
        The detections cannot be trusted, or are of several clips.
    MissingError
        The model, or what runs it, is not there.

    Notes
    -----
    A clip that the network cannot be asked about is no error of the run: the artifact then says ``failed`` and why, and
    skeleton takes the metres from elsewhere.
    """
    options = DepthOptions.model_validate(request.options)
    folder = depth_model(request.options)
    found = read(detections, "detections2d")
    name, clip = only_clip(found, detections)
    network = DepthNetwork(folder)
    try:
        if clip.status == "failed":
            raise ClipError(clip.reason)
        maps = _look(video, clip, found.joint_set, network, options, float(request.sheet.get("start_s") or 0.0))
        result = _of_people(clip, found.joint_set, maps, options)
    except ClipError as error:
        result = clip.failed(str(error))
    artifact = Artifact("depth", found.subject, found.joint_set, {name: result})
    licences = {f"depth network {model_type(folder)}": model_terms(folder)}
    inputs = {"video": video, "detections": detections}
    artifact.provenance = record(request, inputs, device=network.device, licences=licences)
    write(output, artifact)


def _look(
    video: Path, clip: Clip, joints: str, network: DepthNetwork, options: DepthOptions, start_s: float
) -> dict[int, DepthMap]:
    """Depths of the chosen frames, by their number among those that detect saw."""
    torso = joint_set(joints).indices(TORSO)
    scores = [np.where(t.arrays["valid"], t.arrays["score"], 0.0)[:, torso] for t in clip.tracks.values()]
    chosen = best_frames(scores, options.frames)
    if not len(chosen):
        raise ClipError(f"depth: expected a frame with somebody's {', '.join(TORSO)}, got none in {len(clip.time)}")
    maps: dict[int, DepthMap] = {}
    shown = islice(media.frames(video, start_s=start_s), int(chosen[-1]) + 1)
    for number, frame in enumerate(progress(shown, int(chosen[-1]) + 1, "depth")):
        if number not in chosen:
            continue
        height, width = frame.rgb.shape[:2]
        if (width, height) != clip.image_size:
            want = "{}x{} as detected".format(*clip.image_size)
            raise ClipError(expected("picture size", want, f"{width}x{height}", where=video.name))
        maps[number] = network(frame.rgb)
    if len(maps) < len(chosen):
        do = "run detect again on this video"
        raise ClipError(expected("frames", f"{len(clip.time)} as detected", "fewer", where=video.name, do=do))
    return maps


def _of_people(clip: Clip, joints: str, maps: dict[int, DepthMap], options: DepthOptions) -> Clip:
    """The clip with the frames that were looked at, and each person's depths in them."""
    frames = sorted(maps)
    torso = np.zeros(len(joint_set(joints)), dtype=bool)
    torso[joint_set(joints).indices(TORSO)] = True
    tracks = {}
    for name, track in clip.tracks.items():
        keypoints, seen = track.arrays["keypoints"], track.arrays["valid"] & torso
        depth_m = np.stack([depth_at(maps[f].depth_m, keypoints[f], seen[f]) for f in frames]).astype(np.float32)
        if np.isfinite(depth_m).any():
            tracks[name] = Track({"depth": depth_m, "valid": np.isfinite(depth_m)})
    arrays = {}
    said = [maps[f].focal_px for f in frames]
    if options.focal_px_per_width is not None:
        said = [options.focal_px_per_width * clip.image_size[0]] * len(frames)
    if None not in said:
        arrays["focal_px"] = np.array(said, dtype=np.float32)
    return Clip(
        fps=clip.fps,
        temporal=clip.temporal,
        image_size=clip.image_size,
        time=clip.time[frames],
        tracks=tracks,
        arrays=arrays,
    )
