"""A published dataset to learn from in place of motion capture: its own cameras, its own 2D, its own 3D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.datasets import Recording
from posemill.stages.train.dataset_layouts import DatasetOptions, read_recordings

if TYPE_CHECKING:
    from posemill.training.sequences import Source

__all__ = ["Dataset", "read_dataset"]

# Those that published work measures on.
_TEST_SUBJECTS = {"Human3.6M": ("S9", "S11")}


@dataclass(frozen=True)
class Dataset:
    """What is learnt from.

    Attributes
    ----------
    path
        Of its file or folder.
    recordings
        Of the people who are not left out.
    card
        What a weights card says of it.
    """

    path: Path
    recordings: tuple[Recording, ...]
    card: dict[str, Any]

    @property
    def has_3d(self) -> bool:
        """Whether any recording has 3D and a camera."""
        return any(r.joints is not None and r.camera is not None for r in self.recordings)

    def needs_motion(self, supervision: str) -> bool:
        """Whether motion capture is learnt from beside it, for the 3D that it lacks."""
        return supervision in ("semi", "weak") and not self.has_3d

    def beside(self, motion: dict[str, Any], supervision: str) -> dict[str, Any]:
        """Card of the motion that is measured on, with what is learnt from in its place or with it."""
        learnt = motion["trained_on"]
        measured = {"motion_sha256": learnt["motion_sha256"]}
        both = {**(learnt if self.needs_motion(supervision) else {}), "dataset": self.card}
        return {**motion, "trained_on": both, "measured_on": measured}

    def source(self, recordings: Sequence[Recording], *, see_3d: bool = True, need_camera: bool = True) -> Source:
        """Make a source of windows of some of the recordings.

        Raises
        ------
        InputError
            None of them has what is needed.
        """
        from posemill.formats.datasets import training_clips
        from posemill.training.recorded import Recorded
        from posemill.training.sequences import FRAME_RATE

        try:
            clips = training_clips(recordings, need_3d=see_3d, need_camera=see_3d or need_camera)
            return Recorded(clips, frame_rate=FRAME_RATE, see_3d=see_3d, need_camera=need_camera)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None


def read_dataset(options: DatasetOptions) -> Dataset | None:
    """Read the dataset that the options name; None if they name none.

    Raises
    ------
    InputError
        Options that do not belong together, another layout, or an unknown person.
    """
    if options.dataset is None:
        given = sorted(options.model_fields_set & (set(DatasetOptions.model_fields) - {"dataset"}))
        if given:
            raise InputError(expected("dataset", f"a file or folder beside {', '.join(given)}", "none"))
        return None
    path = options.dataset
    if not path.exists():
        raise InputError(expected("dataset", "a file or folder", "none", where=path))
    layout, recordings, files = read_recordings(path, options)
    known = sorted({r.subject for r in recordings})
    if options.dataset_subjects is None:
        chosen = {r.subject for r in recordings if r.subject not in _TEST_SUBJECTS.get(r.dataset, ())}
    else:
        chosen = set(options.dataset_subjects)
    if options.dataset_subjects is not None and known == [""]:
        got = ", ".join(options.dataset_subjects)
        raise InputError(expected("dataset_subjects", "none for stills of nobody in particular", got, where=path))
    if not chosen or not chosen <= set(known):
        got = ", ".join(sorted(chosen - set(known))) or f"none but those measured on ({', '.join(known)})"
        raise InputError(expected("dataset_subjects", f"some of {', '.join(known)}", got, where=path))
    kept = tuple(_valid(r) for r in recordings if r.subject in chosen)
    card = {
        "layout": layout,
        "name": ", ".join(sorted({r.dataset for r in kept})),
        "keypoints": ", ".join(sorted({r.keypoints_of for r in kept if r.keypoints is not None})),
        "files": files,
        "clips": len(kept),
        "frames": sum(r.frames for r in kept),
        "subjects": sorted(chosen - {""}),
        "subjects_left_out": [subject for subject in known if subject not in chosen],
    }
    return Dataset(path, kept, card)


def _valid(recording: Recording) -> Recording:
    """Frames that the dataset says are not valid, unknown."""
    valid = recording.details.get("valid")
    if valid is None:
        return recording
    arrays = {
        key: None if array is None else np.where(valid[:, None, None], array, np.nan)
        for key, array in (("keypoints", recording.keypoints), ("joints", recording.joints))
    }
    return replace(recording, **arrays)
