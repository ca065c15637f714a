"""MediaPipe Pose (BlazePose): one person, 33 keypoints, the network inside the library's wheel.

Measured: 0.10.21 carries the full network (complexity 1) and needs numpy < 2 and protobuf < 5; with protobuf 5 or
later it fails at construction, and later wheels carry no network at all. The lite (0) and heavy (2) networks would be
downloaded by the library at the first use; posemill does not do that, and asks for the file instead.

MediaPipe's own landmark filter is off: it lags, and takes every video for 30 frames a second. Filtering is the gather
stage's, without lag and on real time stamps.

References
----------
Bazarevsky et al., "BlazePose: On-device Real-time Body Pose tracking", CVPR workshop 2020, arXiv:2006.10204.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from posemill.anthropometry import stature_px
from posemill.arrays import PerJoint, Points2
from posemill.detectors.blazepose import BlazePose, Region
from posemill.detectors.mediapipe_people import Follower
from posemill.detectors.protocol import Detection, DetectorCard, bounds
from posemill.errors import MissingError, expected
from posemill.skeleton import JOINT_SETS

__all__ = ["CARD", "NAME", "Options", "create", "sigma_px"]

NAME = "mediapipe"
_JOINTS = JOINT_SETS["blazepose33"]
_NETWORKS = {0: "pose_landmark_lite.tflite", 1: "pose_landmark_full.tflite", 2: "pose_landmark_heavy.tflite"}
# Keypoints are extrapolated beyond the picture; up to this share of its longer side they are worth keeping.
_MARGIN = 0.02
# Lines that the library prints at every start and that ask nothing of anybody.
_CHATTER = re.compile(r"^(INFO: |WARNING: All log messages before absl|[WI]\d{4} )")

# Standard deviation per coordinate, as a share of stature, of a keypoint that is surely seen (visibility 1), and what
# full invisibility adds. See sigma_px.
_SIGMA_LIMB, _SIGMA_HIP, _SIGMA_OTHER, _SIGMA_HIDDEN = 0.010, 0.015, 0.014, 0.03


class Options(BaseModel):
    """Options of the MediaPipe detector."""

    model_config = ConfigDict(extra="forbid")

    complexity: Annotated[
        Literal[0, 1, 2], Field(description="Network: 1 full (in the wheel); 0 lite, 2 heavy (bring the file).")
    ] = 1
    min_detection_confidence: Annotated[float, Field(ge=0, le=1, description="To start on a person.")] = 0.5
    min_tracking_confidence: Annotated[float, Field(ge=0, le=1, description="To go on without detecting again.")] = 0.5
    follow: Annotated[
        bool, Field(description="Follow everybody in view, each by themselves; false: MediaPipe's own choice of one.")
    ] = True
    people: Annotated[int, Field(ge=1, le=16, description="With follow: most people at once.")] = 4
    mirror: Annotated[
        Literal["never", "doubtful", "always"],
        Field(description="With follow: who is looked at a second time, in the mirror; doubtful: seen from the side."),
    ] = "always"


CARD = DetectorCard(
    joint_set="blazepose33",
    people=16,
    weights="BlazePose full, inside the mediapipe 0.10.21 wheel",
    licences={
        "code": "Apache-2.0",
        "weights": "Apache-2.0",
        "data": "Google's own images, not published",
    },
    libraries=("mediapipe", "numpy", "protobuf"),
    reference="Bazarevsky et al. 2020, arXiv:2006.10204",
    profile="mediapipe",
)


def sigma_px(keypoints: Points2, visibility: PerJoint) -> PerJoint:
    """Standard deviation of each coordinate, (..., J) px, from person size and visibility.

    ``sigma = stature_px * (a + b (1 - visibility))`` with ``a`` by kind of joint: 1 % of stature for the joints of
    arms and legs, 1.5 % for hips, 1.4 % for face, hands and feet; ``b`` is 3 %. Meant is the error against the joint's
    true place, which is what lifting and placing need, not the jitter from frame to frame (0.1 % in steady light).

    Measured on 360 rendered frames of walking and squatting with exact truth: limb joints of visibility above 0.99
    err by 0.8 % (from the median) to 1.2 % (root mean square) a coordinate, below 0.5 by 2 % to 5 %; hips lie 1.4 %
    too low; :func:`~posemill.anthropometry.stature_px` is 1.02 of the truth, 0.90 to 1.07 in nine frames of ten.
    """
    size = stature_px(keypoints, "blazepose33")[..., None]
    return size * (_SHARES + _SIGMA_HIDDEN * (1 - np.clip(visibility, 0, 1)))


def _share(joint: str) -> float:
    kind = joint.removeprefix("left_").removeprefix("right_")
    if kind == "hip":
        return _SIGMA_HIP
    return _SIGMA_LIMB if kind in ("shoulder", "elbow", "wrist", "knee", "ankle") else _SIGMA_OTHER


_SHARES = np.array([_share(joint) for joint in _JOINTS.joints])


def create(options: Options, *, temporal: bool) -> MediaPipeDetector | FollowingDetector:
    """Load the network.

    Raises
    ------
    MissingError
        MediaPipe or its network is not there, or it is there beside a library that it does not work with.
    """
    _check_installed(options.complexity)
    with _without_chatter():
        try:
            if options.follow and temporal:
                networks = BlazePose(
                    options.complexity, options.min_detection_confidence, options.min_tracking_confidence
                )
                # Loaded by other threads, and found nobody in by anyone.
                networks.pose(np.zeros((256, 256, 3), dtype=np.uint8), Region(128, 128, 256, 0))
                return FollowingDetector(networks, options.people, options.mirror)
            from mediapipe.python.solutions import pose  # a third of the time of ``import mediapipe.solutions``

            graph = pose.Pose(
                static_image_mode=not temporal,
                model_complexity=options.complexity,
                smooth_landmarks=False,
                min_detection_confidence=options.min_detection_confidence,
                min_tracking_confidence=options.min_tracking_confidence,
            )
            # Networks are loaded by other threads; an empty picture waits for them, and leaves no person behind.
            graph.process(np.zeros((256, 256, 3), dtype=np.uint8))
        except (ImportError, AttributeError, TypeError, RuntimeError) as error:
            raise MissingError(f"mediapipe {version('mediapipe')} is installed but does not start: {error}") from error
    return MediaPipeDetector(graph)


def _check_installed(complexity: int) -> None:
    try:
        found = {name: version(name) for name in ("mediapipe", "numpy", "protobuf")}
    except PackageNotFoundError as error:
        raise MissingError(f"{error.name} is not installed; pip install 'mediapipe==0.10.21'") from None
    for name, limit in (("numpy", 2), ("protobuf", 5)):
        if int(found[name].split(".")[0]) >= limit:
            do = f"pip install '{name}<{limit}'"
            raise MissingError(expected(f"{name} beside mediapipe", f"below {limit}", found[name], do=do))
    spec = find_spec("mediapipe")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    network = folder / "modules" / "pose_landmark" / _NETWORKS[complexity]
    if not network.is_file():
        here = [number for number, name in _NETWORKS.items() if network.with_name(name).is_file()]
        has = f"this mediapipe {found['mediapipe']} has complexity {', '.join(map(str, here)) or 'none'}"
        raise MissingError(f"mediapipe: no network for complexity {complexity} ({has}); put it at {network}")


class MediaPipeDetector:
    """MediaPipe Pose at work on one clip; a :class:`~posemill.detectors.protocol.Detector`."""

    joint_set = CARD.joint_set
    device = "cpu"

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._quiet = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._graph.close()

    def detect(self, rgb: np.ndarray, time_s: float) -> list[Detection]:
        """Find the most prominent person in a (H, W, 3) uint8 picture."""
        found = self._landmarks(rgb)
        if found is None:
            return []
        table = np.array([(p.x, p.y, p.visibility) for p in found.landmark])
        detection = _detection(table, (rgb.shape[1], rgb.shape[0]))
        return [detection] if detection else []

    def _landmarks(self, rgb: np.ndarray) -> Any:
        if self._quiet:
            return self._graph.process(rgb).pose_landmarks
        # The library has said all of its start-up lines once it has found somebody.
        with _without_chatter():
            found = self._graph.process(rgb).pose_landmarks
        self._quiet = found is not None
        return found


class FollowingDetector:
    """BlazePose at work on everybody in one clip; a :class:`~posemill.detectors.protocol.Detector`."""

    joint_set = CARD.joint_set
    device = "cpu"

    def __init__(self, networks: BlazePose, people: int, mirror: str) -> None:
        self._networks = networks
        self._follower = Follower(networks, _detection, people, mirror)
        self._quiet = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._networks.close()

    def detect(self, rgb: np.ndarray, time_s: float) -> list[Detection]:
        """Find people in a (H, W, 3) uint8 picture, those seen longest first."""
        if self._quiet:
            return self._follower.detect(rgb, time_s)
        with _without_chatter():
            found = self._follower.detect(rgb, time_s)
        self._quiet = bool(found)
        return found


def _detection(table: np.ndarray, size: tuple[int, int]) -> Detection | None:
    """What a pose (33, 3: x and y as shares of the picture, visibility) is in pixels; None if it is of no use."""
    # A landmark's place is a share of the picture, whose left edge is half a pixel left of the first centre.
    keypoints = table[:, :2] * size - 0.5
    visibility = table[:, 2]
    margin = _MARGIN * max(size)
    valid = ((keypoints >= -margin) & (keypoints <= np.array(size) - 1 + margin)).all(axis=-1)
    sigma = sigma_px(keypoints, visibility)
    if not valid.any() or not np.isfinite(sigma).all():
        return None
    return Detection(keypoints, visibility, sigma, bounds(keypoints, valid), valid)


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what C++ code writes to stderr, and pass on all of it but the known start-up lines."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if line and not _CHATTER.match(line):
                    print(line, file=sys.stderr)
