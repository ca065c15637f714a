"""Lift one subject's 2D keypoints to root-relative 3D."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from posemill import registry
from posemill.errors import ArtifactError, ClipError, InputError, expected
from posemill.formats import artifact as artifacts
from posemill.formats.artifact import Artifact, Clip, Track
from posemill.formats.truth import read_truth
from posemill.formats.weights import weights_state, weights_terms
from posemill.lifters.imported import SIGMA_M, imported_pose
from posemill.lifters.protocol import Lifter, LifterCard, LiftInput, LiftOutput, check_output
from posemill.progress import progress
from posemill.provenance import StageRequest, record
from posemill.skeleton import convert, converter, joint_set

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["run"]


def run(keypoints2d: Path, output: Path, request: StageRequest) -> None:
    """Read keypoints2d, lift clip by clip, write lifted3d; failed clips stay failed.

    Parameters
    ----------
    request
        Its sheet may have ``pose3d``: clip to a file of poses that another system made of it, which are taken instead.

    Raises
    ------
    ArtifactError
        ``keypoints2d`` cannot be trusted.
    InputError
        The detector's joint set cannot be converted to the lifter's.
    MissingError
        The lifter's weights are not there.
    """
    source = artifacts.read(keypoints2d, schema="keypoints2d")
    module = registry.load("lifters", request.method)
    options = module.Options.model_validate(request.options)
    # A lifter whose weights decide what it reads says so by options; the others by their constant.
    card: LifterCard = module.card(options) if hasattr(module, "card") else module.CARD
    _check_joints(source.joint_set, card, keypoints2d)
    lifter: Lifter = module.create(options)
    detector = str(source.attrs.get("detector", ""))
    given = {name: Path(file) for name, file in (request.sheet.get("pose3d") or {}).items()}
    unknown = sorted(set(given) - set(source.clips))
    if unknown:
        raise InputError(expected("pose3d", f"clips of {sorted(source.clips)}", unknown, where=keypoints2d))
    clips = {}
    for name, clip in progress(source.clips.items(), len(source.clips), f"lift {source.subject}", "clip"):
        if name in given:
            clips[name] = _import_clip(clip, name, given[name], source.joint_set, card)
        else:
            clips[name] = _lift_clip(clip, source.joint_set, card, lifter, request.method, detector)
    artifacts.write(
        output,
        Artifact(
            schema="lifted3d",
            subject=source.subject,
            joint_set=card.joint_set_out,
            clips=clips,
            provenance=_provenance(request, keypoints2d, given, lifter, module, card),
            attrs={"units": card.output_unit, "ray_blind": card.ray_blind, "receptive_field": card.receptive_field},
        ),
    )


def _check_joints(detected: str, card: LifterCard, path: Path) -> None:
    wanted = joint_set(card.joint_set_in).joints
    lacking = np.isnan(converter(detected, card.joint_set_in)).any(1) & ~np.isin(wanted, card.optional_in)
    if lacking.any():
        names = [joint for joint, gone in zip(wanted, lacking, strict=True) if gone]
        raise InputError(
            f"{path}: joint set {detected} cannot be converted to the lifter's {card.joint_set_in}: "
            f"it has nothing for {', '.join(names)}; choose another lifter or detector"
        )


def _lift_clip(clip: Clip, detected: str, card: LifterCard, lifter: Lifter, name: str, detector: str) -> Clip:
    if clip.status == "failed":
        return clip.failed(clip.reason)
    # No camera here: lifted3d is relative to the pelvis, and place takes the camera from keypoints2d.
    lifted = Clip("ok", "", clip.fps, clip.temporal, clip.image_size, clip.time)
    try:
        lifted.tracks = {
            track_id: _lift_track(track, clip, detected, card, lifter, name, detector)
            for track_id, track in clip.tracks.items()
        }
    except ClipError as error:
        return clip.failed(str(error))
    return lifted


def _import_clip(clip: Clip, name: str, file: Path, detected: str, card: LifterCard) -> Clip:
    """Take the poses of a file; they are in metres and see where the person is, whatever the lifter does."""
    if clip.status == "failed":
        return clip.failed(clip.reason)
    out = Clip("ok", "", clip.fps, clip.temporal, clip.image_size, clip.time)
    try:
        if card.output_unit != "m":
            raise ClipError(
                expected(f"a lifter in metres beside {file.name}", "output_unit m", card.output_unit)
                + "; choose another lifter for this subject"
            )
        poses = read_truth(file)
        found = poses.clips.get(name) or (next(iter(poses.clips.values())) if len(poses.clips) == 1 else None)
        if found is None:
            raise ClipError(expected("clip", name, ", ".join(sorted(poses.clips)), where=file.name))
        if clip.camera is None or len(clip.tracks) != 1:
            raise ClipError(expected("imported poses", "a clip of one person", f"{len(clip.tracks)} people"))
        ((track_id, track),) = clip.tracks.items()
        lifted, how = imported_pose(
            found,
            poses.joint_set,
            card.joint_set_out,
            clip.time,
            track.arrays["keypoints"],
            detected,
            track.arrays["valid"],
            clip.camera,
        )
    except (ClipError, InputError, ArtifactError) as error:
        return clip.failed(str(error).replace(str(file), file.name))
    out.tracks = {track_id: _track(lifted, track)}
    out.attrs = {"pose3d": file.name, "pose3d_turned": how, "sigma_assumed_m": SIGMA_M, "ray_blind": False}
    return out


def _lift_track(
    track: Track, clip: Clip, detected: str, card: LifterCard, lifter: Lifter, name: str, detector: str
) -> Track:
    if clip.camera is None:
        raise ClipError("lift: expected a camera, got none; gather the clip again")
    a = track.arrays
    points, valid, score, sigma = convert(
        a["keypoints"].astype(np.float64),
        detected,
        card.joint_set_in,
        valid=a["valid"],
        score=a["score"].astype(np.float64),
        sigma=a["sigma"].astype(np.float64),
    )
    lifted = lifter.lift(LiftInput(points, score, sigma, valid, clip.time, clip.camera, clip.temporal, detector))
    lifted = check_output(lifted, len(clip.time), len(joint_set(card.joint_set_out)), name)
    return _track(lifted, track)


def _track(lifted: LiftOutput, seen: Track) -> Track:
    arrays = {
        "joints_relative": lifted.joints_relative.astype(np.float32),
        "sigma": lifted.sigma_axes.astype(np.float32),
        "valid": lifted.valid,
    }
    attrs = dict(seen.attrs)
    if lifted.root is not None and lifted.root_sigma is not None:
        arrays |= {"root": lifted.root.astype(np.float32), "root_sigma": lifted.root_sigma.astype(np.float32)}
        attrs["root_free"] = lifted.root_free
    return Track(arrays, attrs)


def _provenance(
    request: StageRequest,
    source: Path,
    given: Mapping[str, Path],
    lifter: Lifter,
    module: ModuleType,
    card: LifterCard,
) -> dict:
    find = getattr(module, "weights", None)
    file = find(module.Options.model_validate(request.options)) if find else None
    state = weights_state(file) if file else "none needed"
    licences = {f"lifter {module.NAME}": weights_terms(file, card.licences)}
    files = {f"{name}/pose3d": file for name, file in given.items() if file.is_file()}
    made = record(request, {"keypoints2d": source, **files}, device=lifter.device, licences=licences)
    return {**made, "weights_state": state}
