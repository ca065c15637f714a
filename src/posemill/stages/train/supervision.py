"""What 3D a training sees: all, that of some people, that of other people, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from posemill.formats.motion import MotionClip

if TYPE_CHECKING:
    import numpy as np

    from posemill.training.engine import Training

__all__ = ["SUPERVISIONS", "halves", "make"]

SUPERVISIONS: Mapping[str, tuple[str, ...]] = {
    "temporal": ("supervised", "semi"),
    "gan": ("supervised", "unsupervised"),
    "repnet": ("supervised", "weak"),
    "video_gan": ("supervised", "weak"),
}
"""Ways to teach a lifter; those that are not named have ``supervised`` alone."""


def halves(clips: Sequence[MotionClip], *, apart: str) -> tuple[list[MotionClip], list[MotionClip]]:
    """Two halves without a common recording.

    Parameters
    ----------
    apart
        ``people``: every other person, so that nobody is in both. ``clips``: every other clip of each person, so that
        both halves hold the same kinds of motion.
    """
    if apart == "people":
        names = sorted({clip.subject for clip in clips})
        first = {(c.group, c.subject, c.clip) for c in clips if c.subject in names[::2]}
    else:
        by_person = sorted((c.subject, c.group, c.clip) for c in clips)
        first = {(group, subject, clip) for subject, group, clip in by_person[::2]}
    one = [c for c in clips if (c.group, c.subject, c.clip) in first]
    return one, [c for c in clips if (c.group, c.subject, c.clip) not in first]


def make(
    name: str,
    supervision: str,
    recipe: Any,
    clips: Sequence[MotionClip],
    schedule: Any,
    start: dict[str, np.ndarray] | None,
) -> tuple[Training, str]:
    """Make the training, and say in words what 3D it sees, for the card."""
    from posemill.training.adversarial import Unsupervised
    from posemill.training.semi import SemiSupervised
    from posemill.training.supervised import Supervised
    from posemill.training.weak import WeakRepNet, WeakVideoGan

    fps = clips[0].fps
    everyone = [clip.joints for clip in clips]
    if supervision == "supervised":
        return Supervised(recipe, everyone, fps, schedule, start=start), "supervised: the 3D of every window"
    if supervision == "unsupervised":
        training = Unsupervised(recipe, everyone, everyone, fps, schedule, start=start)
        return training, "unsupervised: no 3D; 2D of all people, and which way is down in each picture"
    one, other = halves(clips, apart="people" if supervision == "semi" else "clips")
    first, second = ([clip.joints for clip in half] for half in (one, other))
    if supervision == "semi":
        names = [", ".join(sorted({clip.subject for clip in half})) for half in (one, other)]
        training = SemiSupervised(recipe, first, second, fps, schedule, start=start)
        return training, f"semi-supervised: 3D of {names[0]}; of {names[1]} only 2D and camera"
    weak = {"repnet": WeakRepNet, "video_gan": WeakVideoGan}[name]
    training = weak(recipe, first, second, fps, schedule, start=start)
    names = [", ".join(sorted(f"{clip.subject}/{clip.clip}" for clip in half)) for half in (one, other)]
    return training, f"weakly supervised: 2D of the clips {names[0]}; unpaired 3D poses of the others, {names[1]}"
