"""What is behind and before people in painted pictures: rooms, gardens, clutter and noise, made from formulas."""

from __future__ import annotations

import numpy as np

__all__ = ["background", "noise_field", "obstacle", "tint"]


def tint(rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Colour (3,) in 0..1: grey more often than strong, all brightnesses."""
    value = rng.beta(1.5, 1.05)
    saturation = strength * rng.beta(0.8, 2.0)
    phase = rng.uniform(0, 2 * np.pi) + np.array([0, 2.094, 4.189])
    return np.clip(value * (1 - saturation * (0.5 - 0.5 * np.cos(phase))), 0, 1)


def noise_field(rng: np.random.Generator, side: int, octaves: tuple[int, ...], channels: int = 1) -> np.ndarray:
    """Smooth noise (side, side, channels) of standard deviation about 1, a sum over grids of so many cells."""
    import cv2

    out = np.zeros((side, side, channels), np.float32)
    for cells in octaves:
        grid = rng.standard_normal((cells, cells, channels), dtype=np.float32)
        out += cv2.resize(grid, (side, side), interpolation=cv2.INTER_LINEAR).reshape(side, side, channels)
    return out / np.sqrt(len(octaves))


def background(rng: np.random.Generator, side: int) -> np.ndarray:
    """Picture (side, side, 3) uint8 RGB of somewhere."""
    kind = rng.random()
    if kind < 0.12:
        out = _plain(rng, side)
    elif kind < 0.50:
        out = _room(rng, side)
    elif kind < 0.78:
        out = _outdoors(rng, side)
    else:
        out = _noise(rng, side)
    if rng.random() < 0.7:
        _clutter(out, rng, int(rng.integers(1, 28)))
    return _unsharp(out, rng)


def _unsharp(out: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    import cv2

    out = np.clip(out, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        out = cv2.GaussianBlur(out, (0, 0), float(np.exp(rng.uniform(-1, 1.6))))
    return out


def _plain(rng: np.random.Generator, side: int) -> np.ndarray:
    corners = np.stack([tint(rng) * 255] * 4).reshape(2, 2, 3) * rng.uniform(0.7, 1.3, (2, 2, 1))
    import cv2

    return cv2.resize(corners.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)


def _noise(rng: np.random.Generator, side: int) -> np.ndarray:
    octaves = [(2, 4, 8), (4, 8, 16, 32), (8, 16, 32, 64), (16, 48, 96)][rng.integers(4)]
    field = noise_field(rng, side, octaves, 3)
    grey = field.mean(-1, keepdims=True) * 1.7
    mix = rng.random() ** 2
    return 255 * tint(rng) + rng.uniform(15, 75) * (mix * field + (1 - mix) * grey)


def _room(rng: np.random.Generator, side: int) -> np.ndarray:
    """A wall and a floor, skirting, tiles or planks."""
    import cv2

    wall, ground = 255 * tint(rng, 0.7), 255 * tint(rng, 0.8)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    edge = rng.uniform(0.3, 1.0) + rng.normal(0, 0.08) * (x - 0.5)
    down = (y > edge)[..., None]
    depth = 1 / np.maximum(y - edge + 0.12, 0.05)
    if rng.random() < 0.5:
        stripes = np.sin((x - rng.uniform(0, 1)) * depth * rng.uniform(10, 60)) * 0.5
        if rng.random() < 0.5:
            stripes += 0.5 * np.sign(np.sin(depth * rng.uniform(10, 40)))
        ground = ground + (rng.uniform(0, 40) * stripes)[..., None]
    paper = np.zeros((side, side, 1), np.float32)
    if rng.random() < 0.3:
        f = rng.uniform(10, 120, 2) * (rng.random(2) < 0.7)
        paper = (rng.uniform(5, 35) * np.sign(np.sin(f[0] * x) + np.sin(f[1] * y)))[..., None]
    shade = 1 + 0.25 * noise_field(rng, side, (2, 3))
    out = (np.where(down, ground, wall + paper) * shade).astype(np.float32)
    for _ in range(rng.integers(0, 7)):
        # Doors, windows, pictures, furniture.
        w, h = rng.uniform(0.05, 0.4, 2) * side
        left, base = rng.uniform(-0.2, 1) * side, rng.uniform(0.1, 1.0) * side
        a, b = (int(left), int(base - h)), (int(left + w), int(base))
        cv2.rectangle(out, a, b, tuple(255 * tint(rng)), -1)
        if rng.random() < 0.6:
            cv2.rectangle(out, a, b, tuple(255 * tint(rng)), int(rng.integers(1, 4)))
        for _ in range(rng.integers(0, 4)):
            at = int(rng.uniform(a[1], b[1] + 1))
            cv2.line(out, (a[0], at), (b[0], at), tuple(255 * tint(rng)), int(rng.integers(1, 3)))
    return out + rng.uniform(0, 10) * noise_field(rng, side, (64, 128))


def _outdoors(rng: np.random.Generator, side: int) -> np.ndarray:
    """Sky, leaves or houses, and ground."""
    y = (np.arange(side, dtype=np.float32) / side)[:, None, None]
    sky = 255 * np.array([0.75, 0.85, 1.0]) * rng.uniform(0.5, 1.05) * (1 - 0.2 * y) + np.zeros((side, side, 3))
    green = (
        np.array([rng.uniform(0.2, 0.6), rng.uniform(0.35, 0.65), rng.uniform(0.1, 0.4)]) * 255 * rng.uniform(0.35, 1.1)
    )
    leaves = green * (1 + rng.uniform(0.2, 0.55) * noise_field(rng, side, (8, 24, 64, 128)))
    top = rng.uniform(-0.2, 0.6) + 0.12 * noise_field(rng, side, (4, 10, 24))[:, :1]
    ground = 255 * tint(rng, 0.6) * (1 + rng.uniform(0.02, 0.3) * noise_field(rng, side, (6, 30, 110)))
    low = rng.uniform(0.35, 1.05) + rng.normal(0, 0.05) * np.linspace(-1, 1, side)[None, :, None]
    out = np.where(
        y < top, sky, leaves if rng.random() < 0.6 else 255 * tint(rng) * (1 + 0.1 * noise_field(rng, side, (3, 30)))
    )
    out = np.where(y > low, ground, out).astype(np.float32)
    if rng.random() < 0.3:
        # Low sun through leaves: patches of light.
        out *= np.where(noise_field(rng, side, (6, 14)) > rng.uniform(-0.5, 1), 1.0, rng.uniform(0.4, 0.8))
    return out


def _clutter(out: np.ndarray, rng: np.random.Generator, count: int) -> None:
    """Draw shapes, some thin and long like limbs and posts, into a float picture in place."""
    import cv2

    side = len(out)
    for _ in range(count):
        colour = tuple(255 * tint(rng))
        at = rng.uniform(-0.1, 1.1, 2) * side
        size = side * float(np.exp(rng.uniform(-3.6, -1.2)))
        kind = rng.random()
        if kind < 0.3:
            angle = rng.uniform(0, np.pi) if rng.random() < 0.6 else np.pi / 2
            end = at + size * rng.uniform(1, 5) * np.array([np.cos(angle), np.sin(angle)])
            cv2.line(out, _px(at), _px(end), colour, max(1, int(size * rng.uniform(0.1, 0.7))), cv2.LINE_AA)
        elif kind < 0.55:
            cv2.ellipse(
                out,
                _px(at),
                _px(size * rng.uniform(0.3, 1, 2)),
                float(rng.uniform(0, 180)),
                0,
                360,
                colour,
                -1,
                cv2.LINE_AA,
            )
        elif kind < 0.8:
            cv2.rectangle(
                out, _px(at), _px(at + size * rng.uniform(0.3, 2.5, 2)), colour, -1 if rng.random() < 0.7 else 2
            )
        else:
            corners = (at + size * rng.uniform(-1, 1, (int(rng.integers(3, 7)), 2))).astype(np.int32)
            cv2.fillPoly(out, [corners], colour, cv2.LINE_AA)


def _px(at: np.ndarray) -> tuple[int, int]:
    return max(-30000, int(at[0])), max(-30000, int(at[1]))


def obstacle(rng: np.random.Generator, side: int, near: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Something before a person.

    Parameters
    ----------
    near
        (2,) px, where about.
    size
        The person's, px.

    Returns
    -------
    colour : (side, side, 3) float32
    alpha : (side, side) float32
    """
    import cv2

    alpha = np.zeros((side, side), np.float32)
    at = near + rng.normal(0, 0.12, 2) * size
    kind = rng.random()
    if kind < 0.35:
        half = size * np.exp(rng.uniform(-2.5, -0.8, 2)) / 2
        cv2.rectangle(alpha, _px(at - half), _px(at + half), (1.0,), -1)
    elif kind < 0.5:
        # Stands on the ground and reaches up to a part of the person.
        w = size * rng.uniform(0.1, 0.8)
        cv2.rectangle(alpha, _px(at - (w * rng.uniform(0.1, 0.9), 0)), (int(at[0] + w), side), (1.0,), -1)
    elif kind < 0.75:
        angle, long = rng.uniform(0, np.pi), size * rng.uniform(0.2, 1.5)
        way = long * np.array([np.cos(angle), np.sin(angle)])
        cv2.line(
            alpha,
            _px(at - way / 2),
            _px(at + way / 2),
            (1.0,),
            max(1, int(size * rng.uniform(0.01, 0.09))),
            cv2.LINE_AA,
        )
    else:
        corners = (at + size * rng.uniform(-0.3, 0.3, (int(rng.integers(3, 8)), 2))).astype(np.int32)
        cv2.fillPoly(alpha, [corners], (1.0,), cv2.LINE_AA)
    colour = 255 * tint(rng) * (1 + rng.uniform(0, 0.3) * noise_field(rng, side, (4, 20)))
    return colour.astype(np.float32), alpha
