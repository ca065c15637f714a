"""One subject over all clips: bones in metres.

Metres are from the person's height, from the cameras' heights above the floor, which are given, or which calibrated
cameras know, and from a depth network; where nothing is known, from the bodies that the lifter was trained on. What is
known is fused by its sigma (:mod:`posemill.placement.scale_words`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from posemill.errors import ClipError
from posemill.placement.observed import Observed
from posemill.placement.options import PlaceOptions
from posemill.placement.scale_words import (
    People,
    Scale,
    believed,
    from_calibration,
    from_camera_heights,
    from_depths,
    fused,
    one_word,
)
from posemill.placement.skeleton_scale import Skeleton, fit_skeleton
from posemill.placement.torso_depth import TorsoDepth

__all__ = ["Measured", "measure"]


@dataclass(frozen=True)
class Measured:
    """A subject's skeleton, each single word on its scale, and why it cannot be used ("" if it can).

    The factors of ``scales``, and of ``doubted``, which are too far off the others to count, are metres per unit of
    the lifter.
    """

    skeleton: Skeleton
    scales: list[Scale] = field(default_factory=list)
    doubted: list[Scale] = field(default_factory=list)
    problem: str = ""


def measure(
    clips: Mapping[str, Mapping[str, Observed]],
    *,
    height_m: float | None,
    camera_heights_m: Mapping[str, float],
    cameras: Mapping[str, str],
    joints_of: str,
    options: PlaceOptions,
    depths: Mapping[str, Mapping[str, TorsoDepth]] | None = None,
) -> Measured:
    """Fit a subject's bones over all clips, and their scale.

    Parameters
    ----------
    clips
        Clip to track to what was seen and lifted.
    height_m
        The person's standing height, if known.
    camera_heights_m
        Clip to the height of its camera above the floor, where known.
    cameras
        Clip to the camera that it is from; a clip that is not named has a camera of its own.
    joints_of
        Joint set of the poses.
    depths
        Clip to track to what a depth network says, where one was asked.
    """
    tracks = [track for found in clips.values() for track in found.values()]
    poses, sigmas = [t.pose[:, :17] for t in tracks], [t.sigma[:, :17] for t in tracks]
    sigma = {"height_sigma": options.height_scale_sigma, "prior_sigma": options.lifter_scale_sigma}
    problem = ""
    try:
        skeleton = fit_skeleton(poses, sigmas, height_m=height_m, **sigma)
    except ClipError as error:
        skeleton, problem = fit_skeleton(poses, sigmas, **sigma), str(error)
    skeleton = skeleton.with_feet([t.pose for t in tracks], joints_of)
    # A height that is believed without doubt leaves no say to anything else.
    first = Scale(skeleton.scale_source, 1.0, max(skeleton.scale_sigma, 1e-6))
    people = People(clips, skeleton, options)
    scales = [first, *one_word(from_camera_heights(people, camera_heights_m, cameras))]
    doubted: list[Scale] = []
    for words in (from_calibration(people), from_depths(people, depths or {})):
        good, others = believed(words, fused(scales))
        scales += one_word(good)
        doubted += others
    unit = skeleton.scale
    if len(scales) > 1:
        best = fused(scales)
        skeleton = skeleton.scaled(best.factor, best.sigma, best.source)
    return Measured(skeleton, _times(scales, unit), _times(doubted, unit), problem)


def _times(scales: list[Scale], unit: float) -> list[Scale]:
    return [scale._replace(factor=scale.factor * unit) for scale in scales]
