"""The room in which the twin is filmed: floor, walls, a few things on them, a box, light and soft shadow.

All surfaces and textures are made here from formulas and a seeded generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["KEY_LIGHT", "Panel", "box_mesh", "floor_texture", "room", "shadow"]

KEY_LIGHT = np.array([2.2, 1.2, 5.0])
"""Direction to the key light, world."""
HALF_M, HEIGHT_M = 5.6, 3.2
"""Half the room's width, and its height."""


@dataclass(frozen=True)
class Panel:
    """A flat rectangle: ``corner`` and two edges (3,) in world metres, and an (H, W, 3) uint8 texture."""

    corner: np.ndarray
    across: np.ndarray
    up: np.ndarray
    texture: np.ndarray


def floor_texture(rng: np.random.Generator, size: int = 1024) -> np.ndarray:
    """Wooden planks, (size, size, 3) uint8."""
    rows, plank = 28, size / 28
    y, x = np.mgrid[0:size, 0:size]
    row = np.minimum((y / plank).astype(int), rows - 1)
    start = rng.uniform(0, size, rows)
    column = ((x + start[row]) // (size / 3.2)).astype(int)
    tone = rng.uniform(0.86, 1.08, (rows, 8))[row, column % 8]
    grain = 0.03 * np.sin(0.9 * y + 5 * np.sin(0.011 * x + 3 * tone)) + 0.02 * rng.standard_normal((size, size))
    seam = (np.mod(y, plank) < 1.3) | (np.mod(x + start[row], size / 3.2) < 1.3)
    wood = np.array([176, 136, 98]) * (tone + grain)[..., None]
    wood[seam] *= 0.62
    return np.clip(wood, 0, 255).astype(np.uint8)


def _wall_texture(rng: np.random.Generator, tint: tuple[int, int, int]) -> np.ndarray:
    """Plaster with a skirting board at the bottom, darker towards the corners; (256, 1024, 3)."""
    height, width = 256, 1024
    noise = np.kron(rng.standard_normal((32, 128)), np.ones((8, 8))) * 1.2 + rng.standard_normal((height, width)) * 1.5
    falloff = 0.90 + 0.10 * np.sin(np.linspace(0, np.pi, width))[None, :] * np.linspace(1.0, 0.92, height)[:, None]
    wall = np.array(tint)[None, None, :] * falloff[..., None] + noise[..., None]
    wall[-9:] = (228, 226, 220)
    wall[-10] = 120
    return np.clip(wall, 0, 255).astype(np.uint8)


def _picture(rng: np.random.Generator) -> np.ndarray:
    """A framed abstract print, (96, 128, 3)."""
    y, x = np.mgrid[0:96, 0:128] / 96
    out = np.empty((96, 128, 3))
    phases = rng.uniform(0, 6, 6)
    for c in range(3):
        out[..., c] = 130 + 60 * np.sin(5 * x + phases[c] + 2 * np.sin(4 * y + phases[3 + c]))
    out[:5], out[-5:], out[:, :5], out[:, -5:] = 40, 40, 40, 40
    return out.astype(np.uint8)


def _shelf(rng: np.random.Generator) -> np.ndarray:
    """A bookcase, (192, 128, 3)."""
    out = np.full((192, 128, 3), (98, 74, 54), dtype=np.uint8)
    for top in range(6, 180, 46):
        out[top : top + 40, 6:122] = (52, 40, 32)
        x = 7
        while x < 116:
            width, height = int(rng.integers(4, 9)), int(rng.integers(24, 38))
            out[top + 40 - height : top + 40, x : min(x + width - 1, 121)] = rng.integers(60, 200, 3)
            x += width
    return out


def _window() -> np.ndarray:
    """A window with sky and a cross bar, (128, 128, 3)."""
    sky = np.linspace([196, 218, 240], [232, 238, 240], 128)[:, None, :].repeat(128, 1)
    for rows in (slice(0, 5), slice(-5, None), slice(61, 66)):
        sky[rows] = 246
        sky[:, rows] = 246
    return sky.astype(np.uint8)


def room(seed: int = 0) -> list[Panel]:
    """Floor, ceiling, four walls and what hangs on them."""
    rng = np.random.default_rng(seed)
    h, top = HALF_M, HEIGHT_M
    x, y, z = np.eye(3)
    panels = [
        Panel(np.array([-h, -h, 0]), 2 * h * x, 2 * h * y, floor_texture(rng)),
        Panel(np.array([-h, h, top]), 2 * h * x, -2 * h * y, np.full((8, 8, 3), 236, dtype=np.uint8)),
    ]
    # Each wall: lower left corner as seen from inside, direction along the wall, tint.
    walls = (
        (np.array([-h, h, 0]), x, (206, 202, 190)),
        (np.array([h, h, 0]), -y, (190, 202, 204)),
        (np.array([h, -h, 0]), -x, (210, 200, 188)),
        (np.array([-h, -h, 0]), y, (198, 204, 196)),
    )
    for i, (corner, along, tint) in enumerate(walls):
        panels.append(Panel(corner, 2 * h * along, top * z, _wall_texture(rng, tint)))
        inward = np.cross(along, z) * 0.02

        def hang(
            left: float, bottom: float, wide: float, tall: float, texture: np.ndarray, at=(corner, along, inward)
        ) -> None:
            panels.append(Panel(at[0] + at[1] * left + z * bottom + at[2], wide * at[1], tall * z, texture))

        hang(1.2 + 0.4 * i, 1.45, 1.2, 0.9, _picture(rng))
        hang(8.3 - 0.3 * i, 0.1, 1.1, 1.9, _shelf(rng))
        hang(4.4 + 0.5 * i, 1.15, 1.3, 1.3, _window() if i % 2 else _picture(rng))
    return panels


def box_mesh(box: tuple[float, float, float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Corners (8, 3) and triangles (12, 3) of the box (x0, y0, x1, y1, height) on the floor, seen from outside."""
    x0, y0, x1, y1, top = box
    corners = np.array([[x, y, z] for z in (0, top) for y in (y0, y1) for x in (x0, x1)])
    quads = ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (1, 3, 7, 5), (3, 2, 6, 7), (2, 0, 4, 6))
    return corners, np.array([tri for a, b, c, d in quads for tri in ((a, b, c), (a, c, d))])


def shadow(points: np.ndarray, centre: np.ndarray, half_m: float, size: int = 160) -> np.ndarray:
    """Soft shadow that points cast on the floor.

    Parameters
    ----------
    points
        (V, 3) world metres.
    centre
        (2,) world metres, middle of the square.
    half_m
        Half the side of the square in metres.
    size
        Texels per side.

    Returns
    -------
    (size, size) in 0..1, rows along world y, columns along world x.
    """
    from scipy.ndimage import gaussian_filter

    def splat(xy: np.ndarray, weight: np.ndarray) -> np.ndarray:
        texel = np.floor((xy - centre + half_m) / (2 * half_m) * size).astype(int)
        inside = ((texel >= 0) & (texel < size)).all(-1)
        flat = texel[inside, 1] * size + texel[inside, 0]
        return np.bincount(flat, weight[inside], minlength=size * size).reshape(size, size)

    height = points[:, 2]
    cast = splat(points[:, :2] - height[:, None] * (KEY_LIGHT[:2] / KEY_LIGHT[2]), np.ones(len(points)))
    # Close to the floor even diffuse light is shut out: the dark line under a shoe.
    near = splat(points[:, :2], np.clip(1 - height / 0.08, 0, 1))
    per_cm2 = (size / (200 * half_m)) ** 2
    cast = 1 - np.exp(-gaussian_filter(cast * per_cm2, 2.0) / 0.5)
    near = 1 - np.exp(-gaussian_filter(near * per_cm2, 1.1) / 0.8)
    return np.clip(0.42 * cast + 0.45 * near, 0, 0.8)
