"""What an image must be able to do, run inside it while it is built and by ``posemill images verify``.

``python -m posemill.images.selftest [cpu|cuda]`` loads every library that computes, starts MediaPipe's network, lifts
one person, and prints one line of JSON with the versions, the code of each stage and the weights.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import version

import numpy as np

from posemill import registry
from posemill.errors import MissingError, PosemillError, expected
from posemill.plan import STAGES, weights_file
from posemill.provenance import code_hash, library_versions, sha256_file

__all__ = ["main", "stage_code"]


@cache
def stage_code() -> dict[str, str]:
    """Code hash of every stage and method and digest of shipped weights, by name: what rules ask an image for."""
    modules = {stage: f"posemill.stages.{stage}" for stage in STAGES}
    for kind in registry.KINDS:
        for name in registry.names(kind):
            module = registry.load(kind, name).__name__
            if module.startswith("posemill."):
                modules[f"{kind[:-1]} {name}"] = module
    code = {name: code_hash(module) for name, module in sorted(modules.items())}
    return code | _shipped_weights()


def _shipped_weights() -> dict[str, str]:
    found = {}
    for kind in registry.KINDS:
        for name in registry.names(kind):
            try:
                file = weights_file(kind, name, registry.options(kind, name, None))
            except MissingError:
                continue
            if file is not None:
                found[f"weights of {name}"] = sha256_file(file)[:16]
    return found


def _check_torch(flavour: str) -> None:
    import torch

    built_for = "cuda" if torch.version.cuda else "cpu"
    if flavour and built_for != flavour:
        raise MissingError(expected("torch", f"one built for {flavour}", f"{torch.__version__} for {built_for}"))


def _check_libraries() -> None:
    for name in ("av", "cv2", "h5py"):
        import_module(name)


def _check_detector() -> None:
    from posemill.detectors import mediapipe

    with mediapipe.create(mediapipe.Options(), temporal=True) as detector:
        detector.detect(np.zeros((256, 256, 3), dtype=np.uint8), 0.0)


def _check_lifter() -> None:
    from posemill.camera import Camera
    from posemill.lifters import posemill
    from posemill.lifters.protocol import LiftInput, check_output
    from posemill.skeleton import JOINT_SETS

    joints = JOINT_SETS[posemill.CARD.joint_set_in].joints
    camera = Camera(1280, 720, np.array([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]]), np.zeros(5))
    # Any sixteen points within the picture will do: what counts is that the network answers.
    keypoints = np.random.default_rng(0).uniform((540, 160), (740, 560), (2, len(joints), 2))
    ones = np.ones(keypoints.shape[:2])
    clip = LiftInput(keypoints, ones, ones, ones > 0, np.array([0.0, 0.04]), camera)
    joints_out = len(JOINT_SETS[posemill.CARD.joint_set_out].joints)
    lifted = check_output(posemill.create(posemill.Options()).lift(clip), 2, joints_out, "posemill")
    if not lifted.valid.all():
        raise PosemillError(expected("lifter posemill", "two whole poses", f"{lifted.valid.sum()} joints"))


def main(flavour: str = "") -> None:
    """Check everything; print what is in the image as one line of JSON.

    Raises
    ------
    PosemillError
        Something does not work; one line.
    """
    _check_torch(flavour)
    _check_libraries()
    _check_detector()
    _check_lifter()
    libraries = library_versions(["av", "h5py", "mediapipe", "numpy", "scipy", "torch"])
    print(json.dumps({"posemill": version("posemill"), "libraries": libraries, "code": stage_code()}))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (PosemillError, ImportError) as error:
        raise SystemExit(f"posemill: self-test: {error}") from None
