"""What every dataset reader answers with, and what training takes from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from posemill.arrays import Flags, PerJoint, Points2, Points3
from posemill.camera import Camera
from posemill.errors import InputError, expected
from posemill.skeleton import convert, joint_set

__all__ = ["Recording", "TrainingClip", "training_clips"]


@dataclass(frozen=True)
class Recording:
    """One person before one camera, or one set of unrelated stills.

    Attributes
    ----------
    dataset, subject, action, camera_name
        Where it is from. Empty where the dataset does not say.
    keypoints_of
        Joint set of ``keypoints``.
    keypoints
        (T, J, 2) px, NaN where unknown; None: the dataset has 3D only.
    score
        (T, J) of the detector, or None.
    joints_of
        Joint set of ``joints``.
    joints
        (T, J, 3) metres, camera frame, NaN where unknown; None: 2D only.
    camera
        None if its intrinsics are unknown.
    image_size
        (width, height) px, or None.
    fps
        Frames per second; None: unknown.
    stills
        Whether neighbouring frames have nothing to do with each other.
    exact
        Whether ``keypoints`` are the projected 3D (or marked by hand) rather than a detector's.
    details
        Per frame, what else the dataset says: name to (T, ...).
    """

    dataset: str
    subject: str = ""
    action: str = ""
    camera_name: str = ""
    keypoints_of: str = "h36m17"
    keypoints: Points2 | None = None
    score: PerJoint | None = None
    joints_of: str = "h36m17"
    joints: Points3 | None = None
    camera: Camera | None = None
    image_size: tuple[int, int] | None = None
    fps: float | None = None
    stills: bool = False
    exact: bool = False
    details: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Text that says which one it is."""
        return "/".join(part for part in (self.dataset, self.subject, self.action, self.camera_name) if part)

    @property
    def frames(self) -> int:
        """Number of frames, of 2D and 3D alike."""
        array = self.keypoints if self.keypoints is not None else self.joints
        return 0 if array is None else len(array)

    def __post_init__(self) -> None:
        for joints_of, array in ((self.keypoints_of, self.keypoints), (self.joints_of, self.joints)):
            count = len(joint_set(joints_of))
            if array is not None and array.shape[1] != count:
                raise InputError(expected(f"joints of {joints_of}", count, array.shape[1], where=self.name))
        lengths = {len(array) for array in (self.keypoints, self.joints, self.score) if array is not None}
        if len(lengths) > 1:
            raise InputError(expected("2D and 3D", "equally many frames", sorted(lengths), where=self.name))


@dataclass(frozen=True)
class TrainingClip:
    """A recording as a lifter's training takes it: h36m17, 2D with its camera, 3D in the camera frame.

    Attributes
    ----------
    name, subject
        Where it is from; whole subjects are held out.
    keypoints, valid, score
        (T, 17, 2) px with NaN where not valid, (T, 17) and (T, 17).
    joints_camera, known
        (T, 17, 3) metres and (T, 17) which of them are known; None without 3D.
    camera
        Intrinsics; None: unknown, as for stills from the internet.
    fps
        None for stills.
    """

    name: str
    subject: str
    keypoints: Points2
    valid: Flags
    score: PerJoint
    joints_camera: Points3 | None
    known: Flags | None
    camera: Camera | None
    fps: float | None

    @property
    def plane(self) -> Points2:
        """(T, 17, 2) keypoints on the undistorted normalised plane; needs the camera."""
        if self.camera is None:
            raise InputError(expected("camera", "one with intrinsics", "none", where=self.name))
        return self.camera.normalise(self.keypoints)


def training_clips(
    recordings: Iterable[Recording], *, need_3d: bool = False, need_camera: bool = False
) -> list[TrainingClip]:
    """Recordings in h36m17; where a recording has no 2D, the projection of its 3D.

    Parameters
    ----------
    need_3d, need_camera
        Leave out recordings that lack it.

    Raises
    ------
    InputError
        None is left.
    """
    clips, seen = [], 0
    for recording in recordings:
        seen += 1
        if (need_3d and recording.joints is None) or (need_camera and recording.camera is None):
            continue
        clips.append(_clip(recording))
    if not clips:
        need = " and ".join(what for what, wanted in (("3D", need_3d), ("a camera", need_camera)) if wanted)
        raise InputError(expected("dataset", f"recordings with {need or '2D or 3D'}", f"none among {seen}"))
    return clips


def _clip(recording: Recording) -> TrainingClip:
    joints = known = None
    if recording.joints is not None:
        joints, known, _, _ = convert(recording.joints, recording.joints_of, "h36m17")
    if recording.keypoints is not None:
        points, valid, score, _ = convert(recording.keypoints, recording.keypoints_of, "h36m17", score=recording.score)
    elif joints is not None and recording.camera is not None:
        points = recording.camera.project(joints)
        valid = np.isfinite(points).all(-1)
        score = valid.astype(np.float64)
    else:
        raise InputError(expected("recording", "2D, or 3D with a camera", "neither", where=recording.name))
    return TrainingClip(
        name=recording.name,
        subject=recording.subject,
        keypoints=points,
        valid=valid,
        score=score,
        joints_camera=joints,
        known=known,
        camera=recording.camera,
        fps=None if recording.stills else recording.fps,
    )
