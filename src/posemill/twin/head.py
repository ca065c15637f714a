"""The twin's head: skull, face, ears, neck, eyes, brows, mouth and hair, in the frame of the head bone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from posemill.twin.body import Body, bone
from posemill.twin.parts import SKIN, Part, paint, ramp
from posemill.twin.surface import Solid, ellipsoid, mesh, round_cone, smooth_union

__all__ = ["head"]

HAIR, BROW, LIPS, WHITE, IRIS, PUPIL = (
    (58, 38, 24),
    (52, 34, 24),
    (176, 92, 86),
    (240, 238, 234),
    (70, 96, 120),
    (14, 12, 12),
)
_EYE = np.array([0.0775, 0.0325, 0.070])


def _skull() -> Solid:
    cranium = ellipsoid((-0.004, 0, 0.097), (0.096, 0.076, 0.084))
    face = ellipsoid((0.022, 0, 0.045), (0.073, 0.062, 0.078))
    jaw = ellipsoid((0.036, 0, -0.008), (0.054, 0.047, 0.040))
    cheeks = [ellipsoid((0.058, s * 0.036, 0.036), (0.030, 0.024, 0.030)) for s in (1, -1)]
    chin = ellipsoid((0.078, 0, -0.028), (0.018, 0.022, 0.018))
    return smooth_union([cranium, face, jaw, *cheeks, chin], 0.03)


def head(body: Body, k: float) -> Iterator[Part]:
    """Parts of head and neck, scaled by ``k`` from a stature of 1.75 m."""
    base = -body.offsets[bone("head")] / k  # the neck's origin
    skull = _skull()
    nose = smooth_union(
        [
            round_cone((0.090, 0, 0.072), (0.104, 0, 0.044), 0.0065, 0.0115),
            ellipsoid((0.099, 0.009, 0.037), (0.011, 0.008, 0.008)),
            ellipsoid((0.099, -0.009, 0.037), (0.011, 0.008, 0.008)),
        ],
        0.010,
    )
    ears = [ellipsoid((-0.006, s * 0.077, 0.052), (0.018, 0.008, 0.031)) for s in (1, -1)]
    brow_ridge = [round_cone((0.087, s * 0.018, 0.093), (0.076, s * 0.046, 0.091), 0.007, 0.007) for s in (1, -1)]
    throat = round_cone((base[0] - 0.002, 0, base[2] - 0.05), (-0.012, 0, 0.03), 0.062, 0.056)
    solid = smooth_union([smooth_union([skull, throat], 0.03), smooth_union([nose, *brow_ridge], 0.01), *ears], 0.014)

    def face(p: np.ndarray) -> np.ndarray:
        d = solid(p)
        for s in (1, -1):
            # Eye sockets: carved, smoothly.
            socket = np.linalg.norm((p - (_EYE[0] + 0.020, s * _EYE[1], _EYE[2])) / (1, 1.35, 1), axis=-1) - 0.016
            h = np.maximum(0.012 - np.abs(d + socket), 0) / 0.012
            d = np.maximum(d, -socket) + h * h * 0.003
        mouth = ellipsoid((0.098, 0, 0.006), (0.012, 0.024, 0.0035))(p)
        return np.maximum(d, -mouth)

    points, triangles = mesh(face, (-0.12, -0.10, base[2] - 0.055), (0.14, 0.10, 0.20), 0.004, 0.65)
    colours = paint(points, SKIN).astype(float)
    blush = np.exp(-((np.linalg.norm(np.abs(points) - (0.08, 0.04, 0.034), axis=-1) / 0.02) ** 2)) * (points[:, 2] > 0)
    colours += blush[:, None] * (12, -22, -18)
    yield Part(
        "head", points * k, triangles, np.clip(colours, 0, 255).astype(np.uint8), _neck_weights(points, float(base[2]))
    )

    lips = smooth_union(
        [
            round_cone((0.0905, 0, 0.0100), (0.0830, 0.022, 0.0105), 0.0050, 0.0028),
            round_cone((0.0905, 0, 0.0100), (0.0830, -0.022, 0.0105), 0.0050, 0.0028),
            round_cone((0.0890, 0.010, 0.0015), (0.0890, -0.010, 0.0015), 0.0052, 0.0052),
        ],
        0.002,
    )
    yield _rigid(*mesh(lips, (0.07, -0.03, -0.02), (0.11, 0.03, 0.03), 0.0025), LIPS, k)
    hair_points, hair_triangles = mesh(_hair(skull), (-0.13, -0.11, -0.05), (0.13, 0.11, 0.22), 0.005, 0.5)
    hair = _rigid(hair_points, hair_triangles, HAIR, k)
    shade = 1 + 0.22 * np.sin(hair_points[:, 1] * 300 + 3 * np.sin(hair_points[:, 0] * 60))
    hair.colours[:] = np.clip(np.array(HAIR) * shade[:, None], 0, 255)
    yield hair
    for s in (1, -1):
        yield _rigid(*mesh(round_cone((0.0955, s * 0.017, 0.0965), (0.083, s * 0.047, 0.0945), 0.0040, 0.0030),
                           (0.06, -0.07, 0.08), (0.11, 0.07, 0.115), 0.0024), BROW, k)  # fmt: skip
        centre = _EYE * (1, s, 1)
        eye, faces = mesh(ellipsoid(centre, (0.0125, 0.0145, 0.0095)), centre - 0.02, centre + 0.02, 0.0022)
        made = _rigid(eye, faces, WHITE, k)
        from_axis = np.linalg.norm(eye[:, 1:] - centre[1:], axis=-1)
        front = eye[:, 0] > centre[0]
        made.colours[front & (from_axis < 0.0066)] = IRIS
        made.colours[front & (from_axis < 0.0034)] = PUPIL
        made.colours[front & (eye[:, 2] - centre[2] > 0.0062)] = BROW
        yield made


def _hair(skull: Solid) -> Solid:
    """Short hair: the skull's surface, thicker, above a line from the forehead over the ears to the nape."""

    def distance(p: np.ndarray) -> np.ndarray:
        x = p[:, 0]
        hairline = np.maximum(np.where(x > 0.0, 0.072 + 1.05 * x, 0.072 + 1.5 * x), -0.028)
        above = p[:, 2] - hairline + 0.004 * np.sin(p[:, 1] * 160) + 0.003 * np.sin(p[:, 1] * 370 + 1)
        strands = 0.0013 * np.sin(p[:, 1] * 420 + 2 * np.sin(p[:, 0] * 90))
        cap = skull(p) - 0.003 - 0.010 * ramp(above, 0.0, 0.035) - 0.008 * ramp(p[:, 2], 0.10, 0.17) + strands
        return np.maximum(cap, -above * 0.6)

    return distance


def _neck_weights(p: np.ndarray, base: float) -> dict[str, np.ndarray]:
    on_head = ramp(p[:, 2], -0.075, -0.015)
    on_neck = ramp(p[:, 2], base - 0.02, base + 0.04)
    return {"head": on_head, "neck": (1 - on_head) * on_neck, "chest": (1 - on_head) * (1 - on_neck)}


def _rigid(points: np.ndarray, triangles: np.ndarray, colour: tuple[int, int, int], k: float) -> Part:
    return Part("head", points * k, triangles, paint(points, colour), {"head": np.ones(len(points))})
