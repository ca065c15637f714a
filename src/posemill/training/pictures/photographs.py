"""Examples from annotated photographs, with the augmentation of the papers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.datasets.annotated import Annotated2d
from posemill.skeleton import joint_set
from posemill.training.engine import Arrays

__all__ = ["Augmentation", "Photographs"]


@dataclass(frozen=True)
class Augmentation:
    """How examples differ from their photographs.

    Attributes
    ----------
    scale
        Standard deviation of the size, cut at as much.
    rotation_deg, rotated
        Standard deviation of the turn, cut at twice that, and the share of examples that are turned.
    colour
        Each channel is multiplied by a number between 1 minus and 1 plus that.
    flip
        Share that is mirrored.

    References
    ----------
    A. Newell, K. Yang, J. Deng (2016), Stacked Hourglass Networks; B. Xiao, H. Wu, Y. Wei (2018), Simple Baselines.
    """

    scale: float = 0.25
    rotation_deg: float = 30.0
    rotated: float = 0.6
    colour: float = 0.4
    flip: float = 0.5


class Photographs:
    """Crops of people in pictures that lie in a folder.

    Parameters
    ----------
    people
        Annotations; their pictures are read when they are needed.
    folder
        Where the pictures are.
    joints
        Joint set of the annotations.
    """

    def __init__(
        self, people: Sequence[Annotated2d], folder: Path, joints: str, *, augmentation: Augmentation | None = None
    ) -> None:
        if not people:
            raise InputError(expected("annotations", "people with joints", "none", where=folder))
        self._people, self._folder = people, Path(folder)
        self._flip = joint_set(joints).flip_permutation
        self._augmentation = augmentation or Augmentation()

    def draw(self, count: int, side: int, index: int, rng: np.random.Generator) -> Arrays:
        """Draw examples; see :class:`posemill.training.pictures.pose2d.Pictures`."""
        del index
        made = [self._example(self._people[i], side, rng) for i in rng.integers(len(self._people), size=count)]
        pictures, joints, present, asked = (np.stack(column) for column in zip(*made, strict=True))
        return {"picture": pictures, "joints": joints, "present": present, "asked": asked}

    def _example(
        self, person: Annotated2d, side: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        import cv2

        path = self._folder / person.image
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise InputError(expected("picture", "a JPEG or PNG that can be read", "none", where=path))
        a = self._augmentation
        wide = person.side_px * float(np.clip(rng.normal(1, a.scale), 1 - a.scale, 1 + a.scale))
        angle = np.radians(np.clip(rng.normal(0, a.rotation_deg), -2 * a.rotation_deg, 2 * a.rotation_deg))
        angle *= rng.random() < a.rotated
        mirrored = rng.random() < a.flip
        k = side / wide
        c, s = k * np.cos(angle), k * np.sin(angle)
        turn = np.array([[c, -s], [s, c]])
        if mirrored:
            turn[0] *= -1
        matrix = np.concatenate([turn, ((side - 1) / 2 - turn @ person.centre)[:, None]], 1)
        if k < 0.5:
            # What is sampled at every other pixel would flicker.
            picture = cv2.GaussianBlur(picture, (0, 0), 0.35 / k)
        crop = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR)[..., ::-1]
        crop = np.clip(crop * rng.uniform(1 - a.colour, 1 + a.colour, 3), 0, 255).astype(np.uint8)
        asked = np.isfinite(person.joints).all(-1)
        joints = np.where(asked[:, None], person.joints, 0) @ turn.T + matrix[:, 2]
        if mirrored:
            joints, asked = joints[self._flip], asked[self._flip]
        present = asked & ((joints >= -0.5) & (joints < side - 0.5)).all(-1)
        return crop, joints.astype(np.float32), present, asked
