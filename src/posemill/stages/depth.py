"""depth: how far away a network says that the people of one clip are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from posemill import media
from posemill.depth.model_folder import depth_model, model_terms, model_type
from posemill.depth.network import DepthNetwork
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
    folder = depth_model(request.options)
    found = read(detections, "detections2d")
    name, clip = only_clip(found, detections)
    network = DepthNetwork(folder)
    try:
        if clip.status == "failed":
            raise ClipError(clip.reason)
        result = _ask(video, clip, found.joint_set, network, request)
    except ClipError as error:
        result = clip.failed(str(error))
    artifact = Artifact("depth", found.subject, found.joint_set, {name: result})
    licences = {f"depth network {model_type(folder)}": model_terms(folder)}
    inputs = {"video": video, "detections": detections}
    artifact.provenance = record(request, inputs, device=network.device, licences=licences)
    write(output, artifact)


def _ask(video: Path, clip: Clip, joints: str, network: DepthNetwork, request: StageRequest) -> Clip:
    """The clip's frames that the network looked at, and each person's depths in them."""
    options, torso = DepthOptions.model_validate(request.options), joint_set(joints).indices(TORSO)
    people = {name: track.arrays for name, track in clip.tracks.items()}
    scores = [np.where(one["valid"], one["score"], 0.0)[:, torso] for one in people.values()]
    chosen = best_frames(scores, options.frames)
    if not len(chosen):
        raise ClipError(f"depth: expected a frame with somebody's {', '.join(TORSO)}, got none in {len(clip.time)}")
    depth_m = {name: np.full((len(chosen), len(joint_set(joints))), np.nan, np.float32) for name in people}
    shown = _pictures(video, clip, chosen, float(request.sheet.get("start_s") or 0.0))
    for row, (number, rgb) in enumerate(shown):
        picture_m = network(rgb)
        for name, one in people.items():
            at = depth_at(picture_m, one["keypoints"][number, torso], one["valid"][number, torso])
            depth_m[name][row, torso] = at
    focal = options.focal_px_per_width
    return Clip(
        fps=clip.fps,
        temporal=clip.temporal,
        image_size=clip.image_size,
        time=clip.time[chosen],
        tracks={name: Track({"depth": depth, "valid": np.isfinite(depth)}) for name, depth in depth_m.items()},
        arrays={} if focal is None else {"focal_px": np.full(len(chosen), focal * clip.image_size[0], np.float32)},
    )


def _pictures(video: Path, clip: Clip, chosen: np.ndarray, start_s: float) -> Iterator[tuple[int, np.ndarray]]:
    """The chosen frames (increasing numbers among those that detect saw) with their pictures."""
    count, given = int(chosen[-1]) + 1, 0
    for number, frame in enumerate(progress(islice(media.frames(video, start_s=start_s), count), count, "depth")):
        if number not in chosen:
            continue
        height, width = frame.rgb.shape[:2]
        if (width, height) != clip.image_size:
            want = "{}x{} as detected".format(*clip.image_size)
            raise ClipError(expected("picture size", want, f"{width}x{height}", where=video.name))
        yield number, frame.rgb
        given += 1
    if given < len(chosen):
        do = "run detect again on this video"
        raise ClipError(expected("frames", f"{len(clip.time)} as detected", "fewer", where=video.name, do=do))
