"""Drawn figures painted: skin, hair, cloth, light, surroundings, other people, a camera's faults, and the crop.

Everything that a photograph has and a drawing lacks is drawn at random, more widely than photographs have it, so that a
network that has seen only this takes photographs for one more kind.

References
----------
J. Tobin et al. (2017), Domain randomization for transferring deep neural networks from simulation to the real world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from posemill.skeleton import joint_set
from posemill.training.pictures.camera_faults import spoil
from posemill.training.pictures.drawn import Shard
from posemill.training.pictures.looks import Looks, light
from posemill.training.pictures.surroundings import background, obstacle
from posemill.twin.buffers import SIDE_PX

__all__ = ["LIKELY", "WIDE", "Painted", "Painter", "Variety"]

FLIP = joint_set("mpii16").flip_permutation


class Painted(NamedTuple):
    """One example: picture (R, R, 3) uint8 RGB, joints (16, 2) px, present (16,) bool, person's size px."""

    picture: np.ndarray
    joints: np.ndarray
    present: np.ndarray
    size_px: float


@dataclass(frozen=True)
class Variety:
    """How unlike each other, and how hard, painted pictures are; shares of pictures where nothing else is said.

    Attributes
    ----------
    scale
        Range of the crop's side over the larger side of the person's outline.
    rotation_deg, rotated
        Standard deviation, cut at twice that, and how often the crop is turned.
    moved
        Standard deviation of the crop's middle, of its side.
    close_up, edges, cut_off
        Crops of a part of the body; with an edge of the photograph in them; with one that cuts the body.
    bystanders, before
        With others behind the person; with somebody before them.
    obstacles
        With something before the person (and of those, so many with another thing, and so on).
    faults
        With all that cameras do wrong; the rest are a little too bright or dark.
    facing
        People who rather face the camera than not.
    """

    scale: tuple[float, float] = (0.98, 1.75)
    rotation_deg: float = 22.0
    rotated: float = 0.4
    moved: float = 0.05
    close_up: float = 0.06
    edges: float = 0.25
    cut_off: float = 0.08
    bystanders: float = 0.3
    before: float = 0.08
    obstacles: float = 0.25
    faults: float = 1.0
    facing: float = 0.5


WIDE = Variety()
"""Anything goes."""
LIKELY = Variety(
    scale=(1.05, 1.6), rotation_deg=15.0, rotated=0.2, close_up=0.02, edges=0.12, cut_off=0.04, bystanders=0.15,
    before=0.02, obstacles=0.1, faults=0.4, facing=0.72,
)  # fmt: skip
"""As people film each other: upright, whole, in the light, more often from before than from behind."""


class Painter:
    """Paints pictures of shards.

    Parameters
    ----------
    kinds, places
        Tables of :func:`posemill.formats.pictures.read_figure`.
    """

    def __init__(self, kinds: np.ndarray, places: np.ndarray, variety: Variety = WIDE) -> None:
        self._looks = Looks(kinds, places)
        self._variety = variety

    def person(self, shard: Shard, starts: np.ndarray, row: int, rng: np.random.Generator) -> np.ndarray:
        """Picture (256, 256, 4) uint8 RGBA of one figure in drawn colours and light."""
        mask = np.unpackbits(shard.shape[row], axis=-1).astype(bool)
        part = slice(starts[row], starts[row + 1])
        triangles = shard.triangles[part].astype(np.int64)
        flat = shard.normals[part].astype(np.float32) / 127
        deep = -np.sqrt(np.clip(1 - (flat**2).sum(-1), 0, 1))
        normals = np.concatenate([flat, deep[:, None]], 1)
        colour = self._looks.colours(triangles, rng) * light(normals, shard.up[row], rng)
        out = np.zeros((SIDE_PX, SIDE_PX, 4), np.uint8)
        out[mask, :3] = np.clip(255 * colour, 0, 255)
        out[mask, 3] = 255
        return out

    def rows(self, shard: Shard, count: int, rng: np.random.Generator) -> np.ndarray:
        """Numbers (count,) of a shard's pictures, none twice before all were there; facing the camera as asked."""
        hips = joint_set("mpii16").indices(("left_hip", "right_hip"))
        front = shard.joints[:, hips[0], 0] > shard.joints[:, hips[1], 0]
        share = self._variety.facing
        key = rng.random(len(front)) ** (1 / np.where(front, share, 1 - share))
        return np.resize(np.argsort(-key)[: max(1, min(count, round(0.7 * len(front))))], count)

    def paint(self, shard: Shard, starts: np.ndarray, row: int, side: int, rng: np.random.Generator) -> Painted:
        """One example of a drawn figure in an input of ``side`` px."""
        person = self.person(shard, starts, row, rng)
        ys, xs = np.nonzero(person[..., 3])
        low, high = np.array([xs.min(), ys.min()]), np.array([xs.max(), ys.max()])
        matrix, mirrored = self._crop(low, high, shard.joints[row], float(shard.height_px[row]), side, rng)
        joints = shard.joints[row] @ matrix[:, :2].T + matrix[:, 2]
        scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        picture = background(rng, side).astype(np.float32)
        size = scale * float((high - low).max())
        if rng.random() < self._variety.bystanders:
            for _ in range(rng.integers(1, 4)):
                self._bystander(picture, shard, starts, joints, size, rng, before=False)
        _shadow(picture, joints, size, rng)
        _put(picture, person, matrix, scale)
        if rng.random() < self._variety.before:
            self._bystander(picture, shard, starts, joints, size, rng, before=True)
        while rng.random() < self._variety.obstacles:
            colour, alpha = obstacle(rng, side, joints[rng.integers(len(joints))], size)
            picture += (colour - picture) * alpha[..., None]
        out = spoil(np.clip(picture, 0, 255).astype(np.uint8), rng, whole=rng.random() < self._variety.faults)
        present = ((joints >= -0.5) & (joints < side - 0.5)).all(-1)
        if rng.random() < self._variety.edges:
            present &= _edges(out, joints, size, rng, cut=rng.random() < self._variety.cut_off / self._variety.edges)
        if mirrored:
            joints, present = joints[FLIP], present[FLIP]
        return Painted(out, joints.astype(np.float32), present, scale * float(shard.height_px[row]))

    def _crop(
        self, low: np.ndarray, high: np.ndarray, joints: np.ndarray, height: float, side: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, bool]:
        """Matrix (2, 3) from the drawing's pixels to the input's, and whether it mirrors."""
        g = self._variety
        extent = float((high - low).max())
        middle = (low + high) / 2
        if rng.random() < g.close_up:
            wide = extent * rng.uniform(0.45, 0.9)
            middle = joints[rng.integers(len(joints))] * 0.6 + middle * 0.4
        elif rng.random() < 0.5:
            wide = extent * rng.uniform(*g.scale)
        else:
            # As annotations have it: by the standing height, whatever the pose.
            wide = float(np.clip(1.25 * height * np.exp(rng.normal(0, 0.2)), 0.85 * extent, 2.2 * extent))
        middle = middle + rng.normal(0, g.moved, 2) * wide
        k = side / wide
        angle = np.radians(np.clip(rng.normal(0, g.rotation_deg), -2 * g.rotation_deg, 2 * g.rotation_deg)) * (
            rng.random() < g.rotated
        )
        c, s = k * np.cos(angle), k * np.sin(angle)
        mirrored = rng.random() < 0.5
        turn = np.array([[c, -s], [s, c]]) * (np.array([[-1.0], [1.0]]) if mirrored else 1.0)
        return np.concatenate([turn, ((side - 1) / 2 - turn @ middle)[:, None]], 1), mirrored

    def _bystander(
        self,
        picture: np.ndarray,
        shard: Shard,
        starts: np.ndarray,
        joints: np.ndarray,
        size: float,
        rng: np.random.Generator,
        *,
        before: bool,
    ) -> None:
        """Put somebody else beside the person, behind or before."""
        other = self.person(shard, starts, int(rng.integers(len(starts) - 1)), rng)
        scale = size / SIDE_PX * float(np.exp(rng.uniform(-0.9, 0.25 if not before else 0.4)))
        angle = rng.normal(0, 0.15)
        c, s = scale * np.cos(angle), scale * np.sin(angle)
        side = 1 if rng.random() < 0.5 else -1
        at = joints[[2, 3]].mean(0) + np.array(
            [side * rng.uniform(0.3 if not before else 0.42, 0.9) * size, rng.normal(0, 0.15) * size]
        )
        turn = np.array([[c, -s], [s, c]])
        _put(picture, other, np.concatenate([turn, (at - turn @ np.full(2, SIDE_PX / 2))[:, None]], 1), scale)


def _put(picture: np.ndarray, person: np.ndarray, matrix: np.ndarray, scale: float) -> None:
    """Lay a cut-out over a float picture in place."""
    import cv2

    if scale < 0.7:
        person = cv2.GaussianBlur(person, (0, 0), 0.35 / scale)
    warped = cv2.warpAffine(person, matrix, picture.shape[1::-1], flags=cv2.INTER_LINEAR).astype(np.float32)
    alpha = warped[..., 3:] / 255
    # Colours were blended with the black beside the outline, in proportion to alpha.
    picture *= 1 - alpha
    picture += warped[..., :3]


def _shadow(picture: np.ndarray, joints: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """A soft dark patch under the feet, sometimes."""
    import cv2

    if rng.random() < 0.5:
        return
    dark = np.zeros(picture.shape[:2], np.float32)
    at = joints[[0, 5]].mean(0) + size * np.array([rng.normal(0, 0.05), 0.04])
    axes = (max(1, int(size * rng.uniform(0.05, 0.4))), max(1, int(size * rng.uniform(0.01, 0.08))))
    cv2.ellipse(dark, (int(at[0]), int(at[1])), axes, float(rng.normal(0, 10)), 0, 360, (1.0,), -1)
    dark = cv2.GaussianBlur(dark, (0, 0), max(0.5, size * rng.uniform(0.005, 0.04)))
    picture *= 1 - rng.uniform(0.1, 0.7) * dark[..., None]


def _edges(picture: np.ndarray, joints: np.ndarray, size: float, rng: np.random.Generator, *, cut: bool) -> np.ndarray:
    """Black beyond the edges of the photograph that a crop was taken from, in place; which joints are inside."""
    low, high = joints.min(0) - 0.08 * size, joints.max(0) + 0.08 * size
    inside = np.ones(len(joints), dtype=bool)
    for _ in range(1 if cut else rng.integers(1, 3)):
        axis, upper = int(rng.integers(2)), rng.random() < 0.5
        out = rng.uniform(0, 0.15) * size
        if cut:
            out = -rng.uniform(0.05, 0.35) * float(high[axis] - low[axis])
        edge = high[axis] + out if upper else low[axis] - out
        at = int(np.clip(np.round(edge), 0, len(picture)))
        away = slice(at, None) if upper else slice(0, at)
        picture[(slice(None), away) if axis == 0 else away] = 0
        inside &= joints[:, axis] < at if upper else joints[:, axis] >= at
    return inside
