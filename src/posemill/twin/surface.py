"""Signed distance functions of simple solids, their smooth union, and the triangle mesh of the result.

A signed distance function maps points (N, 3) in metres to (N,): negative inside. Those of ellipsoids and lofts are
approximate away from the surface, which is all that meshing needs.

References
----------
Quilez, I., Distance functions (round cone, smooth minimum).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

__all__ = [
    "Solid", "cut_above", "cut_below", "ellipsoid", "grown", "loft", "mesh", "moved", "round_cone", "smooth_union",
]  # fmt: skip

Solid = Callable[[np.ndarray], np.ndarray]
Vector = Sequence[float] | np.ndarray


def ellipsoid(centre: Vector, radii: Vector) -> Solid:
    """Axis-aligned ellipsoid."""
    c, r = np.asarray(centre), np.asarray(radii)

    def distance(p: np.ndarray) -> np.ndarray:
        k0 = np.linalg.norm((p - c) / r, axis=-1)
        k1 = np.linalg.norm((p - c) / r**2, axis=-1)
        return k0 * (k0 - 1) / np.maximum(k1, 1e-9)

    return distance


def round_cone(a: Vector, b: Vector, ra: float, rb: float, *, squash: float = 1.0) -> Solid:
    """Tapered capsule from ``a`` (radius ``ra``) to ``b`` (``rb``); ``squash`` < 1 flattens it along y."""
    a_, b_ = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    axis = b_ - a_
    length2 = float(axis @ axis)

    def distance(p: np.ndarray) -> np.ndarray:
        q = p - a_
        s = np.clip(q @ axis / length2, 0, 1)
        rest = q - s[:, None] * axis
        if squash != 1.0:
            rest = rest / (1, squash, 1)
        return (np.linalg.norm(rest, axis=-1) - (ra + (rb - ra) * s)) * min(squash, 1.0)

    return distance


def loft(sections: Sequence[tuple[float, float, float, float]], *, power: float = 2.3) -> Solid:
    """Upright loft through superellipses.

    Parameters
    ----------
    sections
        (z, half width along y, half depth along x, centre x), ascending in z; metres.
    power
        2 is an ellipse, more is boxier.
    """
    from scipy.interpolate import PchipInterpolator

    table = np.asarray(sections, dtype=float)
    shape = PchipInterpolator(table[:, 0], table[:, 1:])

    def distance(p: np.ndarray) -> np.ndarray:
        z = np.clip(p[:, 2], table[0, 0], table[-1, 0])
        half_y, half_x, centre = shape(z).T
        around = (np.abs(p[:, 1] / half_y) ** power + np.abs((p[:, 0] - centre) / half_x) ** power) ** (1 / power)
        side = (around - 1) * np.minimum(half_x, half_y)
        return np.maximum(side, np.maximum(table[0, 0] - p[:, 2], p[:, 2] - table[-1, 0]))

    return distance


def smooth_union(solids: Sequence[Solid], blend_m: float) -> Solid:
    """Union whose creases are filled over about ``blend_m`` metres."""

    def distance(p: np.ndarray) -> np.ndarray:
        out = solids[0](p)
        for solid in solids[1:]:
            d = solid(p)
            h = np.maximum(blend_m - np.abs(out - d), 0.0) / blend_m
            out = np.minimum(out, d) - h * h * blend_m / 4
        return out

    return distance


def grown(solid: Solid, by_m: float) -> Solid:
    """A solid with ``by_m`` metres put on all over."""
    return lambda p: solid(p) - by_m


def cut_below(solid: Solid, z: float) -> Solid:
    """Cut away what is below the plane at height ``z``."""
    return lambda p: np.maximum(solid(p), z - p[:, 2])


def cut_above(solid: Solid, z: float) -> Solid:
    """Cut away what is above the plane at height ``z``."""
    return lambda p: np.maximum(solid(p), p[:, 2] - z)


def moved(solid: Solid, rotation: np.ndarray, origin: np.ndarray) -> Solid:
    """A solid written in another frame."""
    return lambda p: solid((p - origin) @ rotation)


def mesh(solid: Solid, low: Vector, high: Vector, step_m: float, thin: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Triangulate a solid's surface inside a box.

    Parameters
    ----------
    solid
        What to triangulate.
    low, high
        (3,) corners of the box, which must hold the solid.
    step_m
        Grid spacing in metres.
    thin
        Share of triangles to take away where the surface is nearly flat (quadric error).

    Returns
    -------
    points : (V, 3) metres
    triangles : (F, 3) vertex indices, counter-clockwise seen from outside
    """
    import pyvista as pv

    low_ = np.asarray(low, dtype=float)
    dims = np.ceil((np.asarray(high) - low_) / step_m).astype(int) + 1
    axes = [low_[i] + step_m * np.arange(dims[i]) for i in range(3)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    grid = pv.ImageData(dimensions=tuple(dims), spacing=(step_m,) * 3, origin=tuple(low_))
    values = solid(np.stack([x.ravel(), y.ravel(), z.ravel()], -1))
    surface = grid.contour([0.0], scalars=values, method="flying_edges")  # pyright: ignore[reportArgumentType]
    if thin:
        surface = surface.decimate(thin, volume_preservation=True)
    points = np.asarray(surface.points, dtype=np.float64)
    triangles = np.asarray(surface.faces).reshape(-1, 4)[:, 1:].astype(np.int64)
    a, b, c = (points[triangles[:, i]] for i in range(3))
    volume = float(np.einsum("na,na->", a, np.cross(b, c)))
    return points, triangles if volume > 0 else triangles[:, ::-1]
