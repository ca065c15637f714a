"""What 3D a training sees: all, that of some people, that of other people, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from posemill.errors import InputError, expected
from posemill.formats.datasets import Recording
from posemill.formats.motion import MotionClip
from posemill.stages.train.dataset import Dataset

if TYPE_CHECKING:
    import numpy as np

    from posemill.training.engine import Training
    from posemill.training.sequences import Source

__all__ = ["SUPERVISIONS", "halves", "make"]

SUPERVISIONS: Mapping[str, tuple[str, ...]] = {
    "temporal": ("supervised", "semi"),
    "gan": ("supervised", "unsupervised"),
    "repnet": ("supervised", "weak"),
    "video_gan": ("supervised", "weak"),
}
"""Ways to teach a lifter; those that are not named have ``supervised`` alone."""

# Whose network sees one pose in the image and nothing of where in the picture it is.
_NO_CAMERA = ("gan", "repnet")


class _Key(NamedTuple):
    """What a recording is of; that of one motion before several cameras is the same."""

    subject: str
    group: str
    clip: str


ClipT = TypeVar("ClipT", MotionClip, Recording)


def _of_motion(clip: MotionClip) -> _Key:
    return _Key(clip.subject, clip.group, clip.clip)


def _of_dataset(recording: Recording) -> _Key:
    return _Key(recording.subject, recording.dataset, recording.action)


def halves(
    clips: Sequence[ClipT], *, apart: str, key: Callable[[Any], _Key] = _of_motion
) -> tuple[list[ClipT], list[ClipT]]:
    """Two halves without a common recording.

    Parameters
    ----------
    apart
        ``people``: every other person, so that nobody is in both. ``clips``: every other clip of each person, so that
        both halves hold the same kinds of motion.

    Raises
    ------
    InputError
        There is only one.
    """
    keys = sorted({key(clip) for clip in clips})
    names = sorted({k.subject for k in keys})
    first = {k for k in keys if k.subject in names[::2]} if apart == "people" else set(keys[::2])
    one, other = [c for c in clips if key(c) in first], [c for c in clips if key(c) not in first]
    if not one or not other:
        raise InputError(expected(f"{apart} to learn from", "two or more", len(names if apart == "people" else keys)))
    return one, other


def make(
    name: str,
    supervision: str,
    recipe: Any,
    clips: Sequence[MotionClip],
    schedule: Any,
    start: dict[str, np.ndarray] | None,
    dataset: Dataset | None = None,
) -> tuple[Training, str]:
    """Make the training, and say in words what 3D it sees, for the card.

    Parameters
    ----------
    clips
        Motion capture; where a dataset is given, learnt from only if that has no 3D and some is seen.
    dataset
        In its place.

    Raises
    ------
    InputError
        What is to be learnt from lacks the 3D, the cameras or the people that it takes.
    """
    from posemill.training.adversarial import Unsupervised
    from posemill.training.semi import SemiSupervised
    from posemill.training.supervised import Supervised
    from posemill.training.weak import WeakRepNet, WeakVideoGan

    if dataset is None:
        one, other, said = _captured(supervision, clips, schedule)
    else:
        one, other, said = _recorded(name, supervision, dataset, clips, schedule)
    if supervision == "supervised":
        return Supervised(recipe, one, schedule, start=start), said
    if supervision == "weak" and name not in _NO_CAMERA:
        # Its critic sees poses as a level camera would.
        said = said.replace("2D of", "2D and which way is down of", 1)
    kinds = {"unsupervised": Unsupervised, "semi": SemiSupervised}
    kind = {"repnet": WeakRepNet, "video_gan": WeakVideoGan}[name] if supervision == "weak" else kinds[supervision]
    return kind(recipe, one, other, schedule, start=start), said


def _through_cameras(clips: Sequence[MotionClip], schedule: Any) -> Source:
    from posemill.training.recombined import MotionLibrary, Recombined
    from posemill.training.sequences import Captured
    from posemill.training.supervised import noise_of

    if not clips:
        raise InputError(expected("clips of motion capture to train on", "some", "none"))
    if schedule.recombined:
        return Recombined(MotionLibrary(clips, seed=schedule.seed), noise_of(schedule))
    return Captured([clip.joints for clip in clips], clips[0].fps, noise_of(schedule))


def _captured(supervision: str, clips: Sequence[MotionClip], schedule: Any) -> tuple[Source, Source, str]:
    """Two sources of motion capture, the same one twice where one will do, and what is seen of them."""
    everyone = _through_cameras(clips, schedule)
    if supervision == "supervised":
        return everyone, everyone, "supervised: the 3D of every window"
    if supervision == "unsupervised":
        return everyone, everyone, "unsupervised: no 3D; 2D of all people, and which way is down in each picture"
    parts = halves(clips, apart="people" if supervision == "semi" else "clips")
    one, other = (_through_cameras(part, schedule) for part in parts)
    return one, other, _said(supervision, *([_of_motion(clip) for clip in part] for part in parts))


def _recorded(
    name: str, supervision: str, dataset: Dataset, clips: Sequence[MotionClip], schedule: Any
) -> tuple[Source, Source, str]:
    """Two sources of a dataset; where it has no 3D and some is seen, that of motion capture."""
    if supervision == "supervised" and not dataset.has_3d:
        ways = "gan (supervision=unsupervised), repnet, video_gan (weak), temporal (semi)"
        raise InputError(
            expected(
                f"dataset for supervised {name}",
                "recordings with 3D and a camera",
                "none",
                where=dataset.path,
                do=f"without 3D learn: {ways}",
            )
        )
    everything = dataset.recordings
    if supervision == "supervised":
        source = dataset.source(everything)
        return source, source, "supervised: the 3D of every window of the dataset"
    if supervision == "unsupervised":
        source = dataset.source(everything, see_3d=False, need_camera=False)
        said = "unsupervised: no 3D; 2D of the dataset, and which way is down: by its cameras, else down the picture"
        return source, source, said
    semi, need_camera = supervision == "semi", name not in _NO_CAMERA
    if not dataset.has_3d:
        flat = dataset.source(everything, see_3d=False, need_camera=need_camera)
        solid = _through_cameras(clips, schedule)
        if semi:
            return solid, flat, "semi-supervised: 3D of the motion capture; of the dataset only 2D and camera"
        return flat, solid, "weakly supervised: 2D of the dataset; unpaired 3D poses of the motion capture"
    parts = halves(everything, apart="people" if semi else "clips", key=_of_dataset)
    said = _said(supervision, *([_of_dataset(recording) for recording in part] for part in parts))
    one = dataset.source(parts[0], see_3d=semi, need_camera=need_camera)
    return one, dataset.source(parts[1], see_3d=not semi), said


def _said(supervision: str, one: Sequence[_Key], other: Sequence[_Key]) -> str:
    if supervision == "semi":
        names = [", ".join(sorted({key.subject for key in part})) for part in (one, other)]
        return f"semi-supervised: 3D of {names[0]}; of {names[1]} only 2D and camera"
    names = [", ".join(sorted({f"{key.subject}/{key.clip}" for key in part})) for part in (one, other)]
    return f"weakly supervised: 2D of the clips {names[0]}; unpaired 3D poses of the others, {names[1]}"
