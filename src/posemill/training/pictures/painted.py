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
from posemill.training.pictures.surroundings import background, noise_field, obstacle, tint
from posemill.twin.buffers import SIDE_PX
from posemill.twin.figure import KINDS

__all__ = ["LIKELY", "WIDE", "Painted", "Painter", "Variety"]

FLIP = joint_set("mpii16").flip_permutation
_K = {name: i for i, name in enumerate(KINDS)}
_SKINS = np.array(
    [
        (0.98, 0.84, 0.74),
        (0.93, 0.74, 0.62),
        (0.82, 0.62, 0.48),
        (0.65, 0.46, 0.34),
        (0.42, 0.28, 0.20),
        (0.24, 0.16, 0.12),
    ]
)
_HAIRS = np.array(
    [
        (0.06, 0.05, 0.05),
        (0.17, 0.11, 0.07),
        (0.36, 0.23, 0.13),
        (0.66, 0.50, 0.28),
        (0.60, 0.60, 0.60),
        (0.88, 0.87, 0.85),
        (0.42, 0.17, 0.08),
    ]
)
_TEXELS = 128


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
        self._kinds = kinds.astype(np.int64)
        self._places = places
        self._variety = variety
        rng = np.random.default_rng(0)
        octaves = [(3, 5), (4, 8, 16), (8, 16, 32, 64), (16, 64), (2,), (32, 64)]
        self._textures = np.stack([noise_field(rng, _TEXELS, octaves[i % 6])[..., 0] for i in range(24)])

    def person(self, shard: Shard, starts: np.ndarray, row: int, rng: np.random.Generator) -> np.ndarray:
        """Picture (256, 256, 4) uint8 RGBA of one figure in drawn colours and light."""
        mask = np.unpackbits(shard.shape[row], axis=-1).astype(bool)
        part = slice(starts[row], starts[row + 1])
        triangles = shard.triangles[part].astype(np.int64)
        kinds, places = self._kinds[triangles], self._places[triangles]
        flat = shard.normals[part].astype(np.float32) / 127
        deep = -np.sqrt(np.clip(1 - (flat**2).sum(-1), 0, 1))
        normals = np.concatenate([flat, deep[:, None]], 1)
        colour = self._cloth(kinds, places, rng) * _light(normals, shard.up[row], rng)
        out = np.zeros((SIDE_PX, SIDE_PX, 4), np.uint8)
        out[mask, :3] = np.clip(255 * colour, 0, 255)
        out[mask, 3] = 255
        return out

    def _cloth(self, kinds: np.ndarray, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Colour (P, 3) of each pixel without light."""
        table, worn = _palette(rng)
        colour = table[kinds]
        for names in (("shirt", "sleeve", "band", *worn["shirt"]), ("thigh", "shank", "skirt")):
            if rng.random() < 0.45:
                chosen = np.isin(kinds, [_K[name] for name in names])
                colour[chosen] = self._pattern(colour[chosen], places[chosen], rng)
        # Folds, dirt, skin.
        grain = self._texture(places, rng, rng.uniform(20, 160))
        return colour * np.exp(rng.uniform(0.0, 0.16) * grain)[:, None]

    def _texture(self, places: np.ndarray, rng: np.random.Generator, texels_per_m: float) -> np.ndarray:
        angle = rng.uniform(0, 2 * np.pi)
        across = places[:, 1] + 0.6 * places[:, 0]
        u = np.cos(angle) * across - np.sin(angle) * places[:, 2]
        v = np.sin(angle) * across + np.cos(angle) * places[:, 2]
        shift = rng.integers(_TEXELS, size=2)
        i, j = ((w * texels_per_m + s).astype(np.int64) % _TEXELS for w, s in zip((u, v), shift, strict=True))
        return self._textures[rng.integers(len(self._textures))][i, j]

    def _pattern(self, colour: np.ndarray, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        other = tint(rng)
        kind = rng.random()
        per_m = float(np.exp(rng.uniform(np.log(8), np.log(90))))
        if kind < 0.3:
            share = np.sin(places[:, 2] * per_m * 2) > rng.uniform(-0.7, 0.7)
        elif kind < 0.4:
            share = np.sin(places[:, 1] * per_m * 2) > rng.uniform(-0.7, 0.7)
        elif kind < 0.55:
            share = 0.5 * (np.sin(places[:, 1] * per_m) > 0) + 0.5 * (np.sin(places[:, 2] * per_m) > 0)
        elif kind < 0.85:
            share = self._texture(places, rng, float(np.exp(rng.uniform(2.5, 5.3)))) > rng.uniform(-0.6, 1)
        else:
            # A print on one side, or another colour below a line.
            share = places[:, 2] > rng.uniform(-0.3, 0.45)
            if rng.random() < 0.6:
                y, z = rng.uniform(-0.08, 0.08), rng.uniform(0.2, 0.42)
                size = rng.uniform(0.03, 0.12, 2)
                share = (np.abs(places[:, 1] - y) < size[0]) & (np.abs(places[:, 2] - z) < size[1])
        share = np.asarray(share, np.float32)[:, None] * rng.uniform(0.3, 1)
        return colour * (1 - share) + other * share

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


def _palette(rng: np.random.Generator) -> tuple[np.ndarray, dict[str, tuple[str, ...]]]:
    """Colours (K, 3) by kind, and what else the shirt covers."""
    table = np.zeros((len(KINDS), 3))
    at = rng.uniform(0, len(_SKINS) - 1)
    skin = _SKINS[int(at)] * (1 - at % 1) + _SKINS[min(int(at) + 1, len(_SKINS) - 1)] * (at % 1)
    skin = np.clip(skin * rng.uniform(0.9, 1.1, 3), 0, 1)
    hair = _HAIRS[rng.integers(len(_HAIRS))] * rng.uniform(0.7, 1.3) if rng.random() < 0.93 else tint(rng)
    for name in ("skin", "upper_arm", "forearm", "hand"):
        table[_K[name]] = skin
    table[_K["hair"]] = table[_K["long_hair"]] = hair if rng.random() < 0.9 else skin
    table[_K["lips"]] = skin * (0.9, 0.65, 0.65)
    table[_K["white"]], table[_K["iris"]], table[_K["pupil"]] = 0.92, (0.3, 0.3, 0.35), 0.05
    shirt = tint(rng)
    trousers = shirt * rng.uniform(0.8, 1.1) if rng.random() < 0.12 else tint(rng)
    if rng.random() < 0.3:
        trousers = np.array([0.18, 0.25, 0.42]) * rng.uniform(0.3, 1.9)
    shirt = skin * rng.uniform(0.93, 1.03) if rng.random() < 0.04 else shirt
    for name in ("shirt", "sleeve", "skirt"):
        table[_K[name]] = shirt
    table[_K["band"]] = shirt if rng.random() < 0.8 else tint(rng)
    if rng.random() < 0.15:
        table[_K["sleeve"]] = tint(rng) if rng.random() < 0.5 else skin
    table[_K["skirt"]] = shirt if rng.random() < 0.5 else tint(rng)
    covered: tuple[str, ...] = ()
    if rng.random() < 0.5:
        covered = ("upper_arm", "forearm") if rng.random() < 0.85 else ("upper_arm",)
        for name in covered:
            table[_K[name]] = table[_K["sleeve"]]
    if rng.random() < 0.06:
        table[_K["hand"]] = tint(rng)
    table[_K["thigh"]] = table[_K["shank"]] = trousers
    legs = rng.random()
    if legs < 0.28:
        table[_K["shank"]] = skin
        if legs < 0.05:
            table[_K["thigh"]] = skin * 0.98
    table[_K["belt"]] = trousers if rng.random() < 0.4 else (shirt if rng.random() < 0.6 else tint(rng) * 0.6)
    table[_K["buckle"]] = table[_K["belt"]] if rng.random() < 0.6 else 0.7
    bare = rng.random() < 0.07
    table[_K["shoe"]] = skin if bare else tint(rng)
    table[_K["sole"]] = skin if bare else (table[_K["shoe"]] if rng.random() < 0.5 else tint(rng))
    table[_K["sock"]] = table[_K["shank"]] if rng.random() < 0.5 else tint(rng)
    table[_K["hat"]], table[_K["pack"]] = tint(rng), tint(rng)
    return table.astype(np.float32), {"shirt": covered}


def _light(normals: np.ndarray, up: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness (P, 3) of pixels that face so, from one to three lights, mostly from above."""
    out = np.full((len(normals), 3), rng.uniform(0.25, 0.7)) * (1 + rng.uniform(-0.08, 0.08, 3))
    # Open sky: what faces up is brighter.
    out += (rng.uniform(0, 0.25) * (normals @ up))[:, None]
    for strength in (rng.uniform(0.2, 1.0), rng.uniform(-0.4, 0.5), rng.uniform(-0.6, 0.4)):
        if strength <= 0:
            continue
        way = up * rng.uniform(-0.2, 1.2) + rng.normal(0, 0.7, 3) - (0, 0, 0.4)
        way = way / max(float(np.linalg.norm(way)), 1e-6)
        wrap = rng.uniform(0, 0.5)
        lit = np.clip((normals @ way + wrap) / (1 + wrap), 0, None)
        out += strength * lit[:, None] * (1 + rng.uniform(-0.12, 0.12, 3))
    return out.astype(np.float32)


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
    cv2.ellipse(dark, (int(at[0]), int(at[1])), axes, float(rng.normal(0, 10)), 0, 360, 1.0, -1)
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
