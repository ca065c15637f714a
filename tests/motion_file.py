"""A small motion file: swinging people, one clip each."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from posemill.formats.motion import MOTION_JOINTS
from tests.unit.test_training import walking


def write_people(path: Path, subjects: str = "ABCD", frames: int = 80) -> Path:
    """People of one letter each, in the group ``train``, 50 frames a second."""
    with h5py.File(path, "w") as file:
        file.attrs["joints"], file.attrs["units"], file.attrs["fps"] = list(MOTION_JOINTS), "m", 50
        for seed, subject in enumerate(subjects):
            file[f"train/{subject}/swing"] = walking(frames, seed).astype(np.float32)
    return path
