"""How a figure looks: skin, hair, clothes with patterns and folds, and the light on them, drawn at random."""

from __future__ import annotations

import numpy as np

from posemill.training.pictures.surroundings import noise_field, tint
from posemill.twin.figure import KINDS

__all__ = ["Looks", "light"]

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


class Looks:
    """Colours for the triangles of one figure.

    Parameters
    ----------
    kinds, places
        (F,) and (F, 3) of its triangles: what each is, and where on the body.
    """

    def __init__(self, kinds: np.ndarray, places: np.ndarray) -> None:
        self._kinds = kinds.astype(np.int64)
        self._places = places
        rng = np.random.default_rng(0)
        octaves = [(3, 5), (4, 8, 16), (8, 16, 32, 64), (16, 64), (2,), (32, 64)]
        self._textures = np.stack([noise_field(rng, _TEXELS, octaves[i % 6])[..., 0] for i in range(24)])

    def colours(self, triangles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Colour (P, 3) in 0..1 of pixels that show these triangles (P,), without light."""
        kinds, places = self._kinds[triangles], self._places[triangles]
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


def light(normals: np.ndarray, up: np.ndarray, rng: np.random.Generator) -> np.ndarray:
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
