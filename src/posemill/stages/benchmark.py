"""benchmark: a lifter on motion capture seen through virtual cameras, by every protocol, a record for every number.

Each clip is seen by static cameras (:mod:`posemill.training.static_cameras`) whose place follows from the seed, the
clip and the view's number alone. The 2D source's keypoints go to the lifter as they are, in temporal order; nothing
cleans them. The person's height is known for the placement and where a figure says so; it is taken from the true legs,
as :func:`posemill.placement.skeleton_scale.stature` does, and scale is fitted once per subject and view over all clips.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from posemill import registry
from posemill.camera import Camera
from posemill.detectors.from_truth import Observed
from posemill.detectors.protocol import DetectorCard, Truth
from posemill.errors import ClipError, InputError, expected
from posemill.formats.atomic import write_bytes
from posemill.formats.motion import MotionClip, read_motion
from posemill.formats.records import RecordBook, write_records
from posemill.lifters.protocol import Lifter, LifterCard, LiftInput, LiftOutput, check_output
from posemill.metrics.benchmark import Estimate, Tally, score
from posemill.metrics.benchmark_report import fill, report
from posemill.placement.options import PlaceOptions
from posemill.placement.ray import root_rays, turned_to_ray
from posemill.placement.skeleton_scale import fit_skeleton, over_axes, stature
from posemill.placement.translation import root_trajectory
from posemill.plan import plan
from posemill.progress import Ticker
from posemill.provenance import code_hash, sha256_file
from posemill.skeleton import bone_lengths, convert, converter, joint_set, normalise_pose
from posemill.training.static_cameras import watch

__all__ = ["run"]

_BODY = "h36m17"
_CAMERAS = (
    "static, focal length 0.8 to 3 picture widths and 2 to 8 m log-uniformly, elevation -20 to 40 deg and roll -30 to "
    "30 deg evenly, drawn again until nobody leaves the picture"
)


@dataclass(frozen=True)
class _Method:
    """The lifter and the 2D source, ready to run."""

    name: str
    card: LifterCard
    lifter: Lifter
    source: Any
    source_options: BaseModel


@dataclass(frozen=True)
class _Seen:
    """One clip before one camera, lifted."""

    clip: str
    time: np.ndarray
    truth: np.ndarray
    camera: Camera
    observed: Observed
    lifted: LiftOutput


def run(
    motion: Path,
    output: Path,
    *,
    lifter: str,
    source: str,
    subjects: Sequence[str] = (),
    group: str = "train",
    views: int = 16,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    source_options: dict[str, Any] | None = None,
) -> RecordBook:
    """Judge a lifter and write ``motion.{source}.{lifter}.json`` (records) and ``.txt`` (table) into ``output``.

    Parameters
    ----------
    motion
        Motion file as :func:`posemill.formats.motion.read_motion` reads it.
    output
        Folder.
    lifter, source
        Names of a lifter and of a detector that looks at the truth (``exact``, ``noisy``).
    subjects
        Who is evaluated; all of the group if empty.
    views
        Cameras per clip.
    seed
        Of cameras, and of the source unless its own options say another.

    Raises
    ------
    InputError
        Unknown subjects, methods or options; a source that needs a picture.
    MissingError
        The lifter's weights are not there.
    """
    if views < 1:
        raise InputError(expected("views", "1 or more", views))
    request = plan("lift", lifter, options)
    source_module = registry.load("detectors", source)
    card: DetectorCard = source_module.CARD
    if not (card.needs_truth and hasattr(source_module, "observe")):
        raise InputError(f"benchmark motion: expected a source that is told the truth (exact, noisy), got {source}")
    given = dict(source_options or {})
    if "seed" in source_module.Options.model_fields:
        given.setdefault("seed", seed)
    used = registry.options("detectors", source, given)
    clips = _chosen(motion, group, tuple(subjects))
    module = registry.load("lifters", lifter)
    lifter_options = module.Options.model_validate(request.options)
    lifter_card: LifterCard = module.card(lifter_options) if hasattr(module, "card") else module.CARD
    _check_joints(lifter_card, lifter)
    method = _Method(
        lifter,
        lifter_card,
        module.create(lifter_options),
        source_module,
        source_module.Options.model_validate(used),
    )
    tallies: dict[str, dict[str, Tally]] = {}
    with Ticker(views * len(clips), f"benchmark {lifter}", "view") as ticker:
        for subject in sorted({c.subject for c in clips}):
            tallies[subject] = _subject([c for c in clips if c.subject == subject], method, views, seed, ticker)
    digest = sha256_file(motion)
    book = RecordBook(
        data={Path(motion).name: digest},
        split=f"group {group}; subjects {', '.join(sorted(tallies))}; views {views}; seed {seed}; cameras {_CAMERAS}",
        source_2d={"name": source, "options": used},
        method={"name": lifter, "options": _without_folders(request.options), "weights": request.weights},
        code=code_hash("posemill.stages.benchmark", module.__name__, source_module.__name__),
        command=_command(motion, output, lifter, source, subjects, group, views, seed, options, source_options),
    )
    fill(book, tallies)
    stem = f"motion.{source}.{lifter}"
    text = report(book, tallies, stem)
    write_records(Path(output) / f"{stem}.json", book)
    write_bytes(Path(output) / f"{stem}.txt", text.encode())
    print(text, end="")
    return book


def _chosen(motion: Path, group: str, subjects: tuple[str, ...]) -> list[MotionClip]:
    clips = read_motion(motion, groups=(group,))
    there = sorted({c.subject for c in clips})
    unknown = sorted(set(subjects) - set(there))
    if unknown or not there:
        raise InputError(expected(f"subjects of {group}", ", ".join(there), ", ".join(unknown) or "none", where=motion))
    return [c for c in clips if not subjects or c.subject in subjects]


def _check_joints(card: LifterCard, name: str) -> None:
    needed = ~np.isin(joint_set(card.joint_set_in).joints, card.optional_in)
    told = not np.isnan(converter(_BODY, card.joint_set_in)[needed]).any()
    if not told or not set(joint_set(_BODY).joints) <= set(joint_set(card.joint_set_out).joints):
        raise InputError(
            f"lifter {name}: motion capture has {_BODY}: expected a lifter of joints that it can give, got "
            f"{card.joint_set_in} to {card.joint_set_out}"
        )


def _without_folders(options: dict[str, Any]) -> dict[str, Any]:
    return {k: Path(v).name if isinstance(v, str) and "/" in v else v for k, v in options.items()}


def _command(
    motion: Path,
    output: Path,
    lifter: str,
    source: str,
    subjects: Sequence[str],
    group: str,
    views: int,
    seed: int,
    options: dict[str, Any] | None,
    source_options: dict[str, Any] | None,
) -> list[str]:
    command = ["posemill", "benchmark", "motion", Path(motion).name, "--output", Path(output).name or "."]
    command += ["--lifter", lifter, "--source", source, "--group", group, "--views", str(views), "--seed", str(seed)]
    command += ["--subjects", ",".join(subjects)] if subjects else []
    for flag, values in (("--option", options), ("--source-option", source_options)):
        for name, value in _without_folders(values or {}).items():
            command += [flag, f"{name}={value}"]
    return command


# ---------------------------------------------------------------------------------------------- one subject


def _subject(clips: list[MotionClip], method: _Method, views: int, seed: int, ticker: Ticker) -> dict[str, Tally]:
    """Tally of each clip over all views; one view of the subject is in memory at a time."""
    bones_m = np.median(np.concatenate([bone_lengths(c.joints.astype(np.float64)) for c in clips]), axis=0)
    height_m = float(stature(bones_m))
    tallies = {c.clip: Tally() for c in clips}
    for view in range(views):
        seen = []
        for clip in clips:
            seen.append(_see(clip, method, height_m, view, seed))
            ticker.step(f"{clip.subject}/{clip.clip}")
        for name, estimate in _place(seen, method.card, height_m).items():
            tallies[name].take(score(estimate))
    return tallies


def _see(clip: MotionClip, method: _Method, height_m: float, view: int, seed: int) -> _Seen:
    name = f"{clip.subject}/{clip.clip}/view{view}"
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    joints = clip.joints.astype(np.float64)
    camera = watch(joints, np.random.default_rng([seed, key]))
    truth = camera.world_to_camera(joints)
    time = np.arange(len(joints)) / clip.fps
    known = Truth(
        name,
        time,
        camera.project(truth),
        np.ones(truth.shape[:2], dtype=bool),
        _BODY,
        camera.focal_px * height_m / truth[:, 0, 2],
    )
    observed: Observed = method.source.observe(method.source_options, known)
    return _Seen(clip.clip, time, truth, camera, observed, _lift(observed, time, camera, method))


def _lift(observed: Observed, time: np.ndarray, camera: Camera, method: _Method) -> LiftOutput:
    points, valid, scores, sigma = convert(observed.keypoints, _BODY, method.card.joint_set_in, sigma=observed.sigma)
    frames, joints = len(time), len(joint_set(method.card.joint_set_out))
    try:
        lifted = method.lifter.lift(LiftInput(points, scores, sigma, valid, time, camera, detector=method.source.NAME))
    except ClipError:
        # Nothing is known of this clip; its frames are missing from the coverage.
        unknown = np.full((frames, len(joint_set(_BODY)), 3), np.nan)
        return LiftOutput(unknown, unknown, np.zeros(unknown.shape[:2], dtype=bool))
    lifted = check_output(lifted, frames, joints, method.name)
    lifted = lifted.only(joint_set(method.card.joint_set_out).indices(joint_set(_BODY).joints))
    if not method.card.ray_blind:
        return lifted
    rays = root_rays(time, observed.keypoints, _BODY, np.isfinite(observed.keypoints).all(-1), camera, temporal=True)
    return replace(lifted, joints_relative=turned_to_ray(lifted.joints_relative, rays))


def _place(seen: list[_Seen], card: LifterCard, height_m: float) -> dict[str, Estimate]:
    """Size and place of one subject's clips of one view, as the stage place does it."""
    options = PlaceOptions.model_validate({})
    sigma = {"height_sigma": options.height_scale_sigma, "prior_sigma": options.lifter_scale_sigma}
    poses, sigmas = [s.lifted.joints_relative for s in seen], [over_axes(s.lifted.sigma_axes) for s in seen]
    try:
        skeleton = fit_skeleton(poses, sigmas, height_m=height_m, **sigma)
    except ClipError:
        skeleton = None
    result = {}
    for s in seen:
        unknown = np.full((len(s.time), 3), np.nan)
        scale, root, root_sigma = float("nan"), unknown, unknown
        if skeleton is not None:
            path = root_trajectory(
                s.time,
                normalise_pose(s.lifted.joints_relative, skeleton.lengths_m),
                over_axes(s.lifted.sigma_axes) * skeleton.scale,
                s.observed.keypoints,
                s.observed.sigma,
                np.isfinite(s.observed.keypoints).all(-1) & s.lifted.valid,
                s.camera,
                temporal=True,
                scale_sigma=skeleton.scale_sigma,
                options=options,
            )
            scale, root, root_sigma = skeleton.scale, path.root, path.sigma
        result[s.clip] = Estimate(
            s.time,
            s.lifted.joints_relative,
            s.lifted.sigma_axes,
            card.output_unit == "m",
            scale,
            root,
            root_sigma,
            s.truth,
        )
    return result
