"""The twin as a figure for many pictures: a coarse mesh of named surfaces that is stretched to any body and pose.

One mesh is built and carried by bones that may be longer, shorter, thicker and thinner than its own; what is worn
(long hair, a skirt, a hat, a pack) is left out or put on picture by picture, and cloth is let out along its normals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from posemill.twin import head as _head
from posemill.twin import parts as _parts
from posemill.twin.body import BONES, Body, Pose, bone
from posemill.twin.parts import Part, make, ramp
from posemill.twin.shape import MIDDLE, bind_pose, build, transforms
from posemill.twin.surface import cut_below, ellipsoid, loft, round_cone, smooth_union

__all__ = ["EXTRAS", "KINDS", "Build", "Figure", "figure"]

KINDS = (
    *("skin", "hair", "lips", "white", "iris", "pupil", "shirt", "sleeve", "band", "upper_arm", "forearm", "hand"),
    *("thigh", "shank", "belt", "buckle", "shoe", "sole", "sock", "long_hair", "skirt", "hat", "pack"),
)
"""Surfaces that get a colour of their own."""
EXTRAS = ("long_hair", "skirt", "hat", "pack")
"""Surfaces that may be left out."""
_STATURE_M = 1.75
_GRID_M, _FINE_M = 0.013, 0.008


@dataclass(frozen=True)
class Build:
    """A person's build and how their clothes fit.

    Attributes
    ----------
    trunk, arms, legs, head
        Thickness over the figure's own.
    belly_m, chest_m
        How far they stand out.
    let_out_m
        By kind of surface, metres along the normal.
    worn
        Names of :data:`EXTRAS`.
    """

    trunk: float = 1.0
    arms: float = 1.0
    legs: float = 1.0
    head: float = 1.0
    belly_m: float = 0.0
    chest_m: float = 0.0
    let_out_m: dict[str, float] = field(default_factory=dict)
    worn: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Figure:
    """A skinned mesh whose triangles have a kind.

    Attributes
    ----------
    points, normals
        (V, 3) metres and unit vectors in the bind pose.
    triangles
        (F, 3) vertex indices.
    kinds, owners
        (F,) index into :data:`KINDS`, and of the bone that carries most of the triangle.
    places
        (F, 3) float32 metres, bind pose: where on the body a triangle is; patterns are drawn by it.
    weights
        (V, B + M) skinning weights.
    bind
        (B + M, 4, 4) bone to bind pose.
    vertex_kinds
        (V,) index into :data:`KINDS`.
    """

    points: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    kinds: np.ndarray
    owners: np.ndarray
    places: np.ndarray
    weights: np.ndarray
    bind: np.ndarray
    vertex_kinds: np.ndarray

    def posed(self, body: Body, pose: Pose, frame: int, look: Build) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) m in the world at one frame, and which triangles (F,) are there."""
        moves = transforms(pose.positions[frame], pose.rotations[frame])
        moves[:, :3, :3] *= _stretch(body, look)[:, None, :]
        moves = (moves @ np.linalg.inv(self.bind))[:, :3].reshape(-1, 12).astype(np.float32)
        blended = (self.weights @ moves).reshape(-1, 3, 4)
        points = self.points + self.normals * self._out(look)[:, None]
        there = np.ones(len(KINDS), dtype=bool)
        for name in EXTRAS:
            there[KINDS.index(name)] = name in look.worn
        return np.einsum("vab,vb->va", blended[:, :, :3], points) + blended[:, :, 3], there[self.kinds]

    def _out(self, look: Build) -> np.ndarray:
        by_kind = np.array([look.let_out_m.get(name, 0.0) for name in KINDS], dtype=np.float32)
        out = by_kind[self.vertex_kinds]
        _, y, z = self.points.T
        front = np.maximum(self.normals[:, 0], 0) * np.isin(self.vertex_kinds, _TRUNK)
        belly = np.exp(-(((z - 0.16) / 0.11) ** 2) - (y / 0.13) ** 2)
        chest = np.exp(-(((z - 0.345) / 0.055) ** 2) - ((np.abs(y) - 0.075) / 0.055) ** 2)
        return (out + front * (look.belly_m * belly + look.chest_m * chest)).astype(np.float32)


_TRUNK = np.array([KINDS.index(name) for name in ("shirt", "band", "belt", "thigh")])


def _stretch(body: Body, look: Build) -> np.ndarray:
    """(B + M, 3) scale of each bone along its own axes."""
    own = _standard()
    k = body.height_m / _STATURE_M
    scale = np.full((len(BONES), 3), k)

    def along(name: str, child: str, axis: int = 2) -> float:
        now, before = body.offsets[bone(child)][axis], own.offsets[bone(child)][axis]
        return float(np.clip(abs(now / before), 0.6, 1.7))

    scale[bone("pelvis")] = (k * look.trunk, along("pelvis", "left_thigh", 1) ** 0.5 * k**0.5 * look.trunk, k)
    scale[bone("chest")] = (k * look.trunk, along("chest", "left_upper_arm", 1) ** 0.6 * k**0.4 * look.trunk, k)
    scale[bone("spine")] = (k * look.trunk, k * look.trunk, k)
    scale[bone("head")] = k * look.head
    scale[bone("neck")] = (k * (1 + look.trunk) / 2, k * (1 + look.trunk) / 2, k)
    for side in ("left_", "right_"):
        for name, child, thick in (
            ("thigh", "shank", look.legs), ("shank", "foot", look.legs),
            ("upper_arm", "forearm", look.arms), ("forearm", "hand", look.arms),
        ):  # fmt: skip
            scale[bone(side + name)] = (k * thick, k * thick, along(side + name, side + child))
        scale[bone(side + "clavicle")] = (k * look.trunk, k, k)
        scale[bone(side + "hand")] = k * (1 + look.arms) / 2
    parents = [bone(name) for name in MIDDLE]
    return np.concatenate([scale, scale[parents]])


@cache
def _standard() -> Body:
    return Body.of_height(_STATURE_M)


@cache
def figure() -> Figure:
    """Build the figure, once in a process; some seconds."""
    body = _standard()
    shape = build(body, list(_extras(body)))
    kinds = _kinds(shape.colours[shape.triangles[:, 0]], shape.owners)
    vertex_kinds = np.zeros(len(shape.points), dtype=np.int64)
    vertex_kinds[shape.triangles] = kinds[:, None]
    fine = np.isin(vertex_kinds, [KINDS.index(n) for n in ("lips", "white", "iris", "pupil", "buckle", "hand")])
    fine |= (vertex_kinds == KINDS.index("skin")) & (shape.points[:, 2] > 0.62)
    cells = np.floor(shape.points / np.where(fine, _FINE_M, _GRID_M)[:, None]).astype(np.int64)
    _, first, inverse = np.unique(
        np.concatenate([cells, vertex_kinds[:, None]], 1), axis=0, return_index=True, return_inverse=True
    )
    inverse = inverse.ravel()
    count = np.bincount(inverse).astype(float)[:, None]

    def mean(values: np.ndarray) -> np.ndarray:
        out = np.stack([np.bincount(inverse, column) for column in values.T.astype(float)], -1) / count
        return out.astype(np.float32)

    triangles = inverse[shape.triangles]
    whole = (np.diff(np.sort(triangles, 1), axis=1) > 0).all(1)
    triangles, kinds, owners = triangles[whole], kinds[whole], shape.owners[whole]
    points, normals = mean(shape.points), mean(shape.normals)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    return Figure(
        points, normals, triangles, kinds, owners, points[triangles].mean(1), mean(shape.weights), shape.bind,
        vertex_kinds[first],
    )  # fmt: skip


def _kinds(colours: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Kind of each triangle from the colour that its part was made in and the bone that carries it."""
    base = {
        "skin": _parts.SKIN, "shirt": _parts.SHIRT, "thigh": _parts.TROUSERS, "belt": _parts.BELT,
        "shoe": _parts.SHOE, "sole": _parts.SOLE, "sock": _parts.LINEN, "buckle": _parts.BUCKLE,
        "hair": _head.HAIR, "lips": _head.LIPS, "white": _head.WHITE, "iris": _head.IRIS, "pupil": _head.PUPIL,
        "long_hair": _LONG_HAIR, "skirt": _SKIRT, "hat": _HAT, "pack": _PACK,
    }  # fmt: skip
    names = list(base)
    table = np.array([base[name] for name in names], dtype=float)
    names_of = np.array([KINDS.index(name) for name in names])
    kinds = names_of[((colours[:, None].astype(float) - table) ** 2).sum(-1).argmin(1)]
    bones = np.array([BONES[o].removeprefix("left_").removeprefix("right_") for o in owners])
    heads = np.isin(bones, ["head", "neck"])

    def are(*wanted: str) -> np.ndarray:
        return np.isin(kinds, [KINDS.index(name) for name in wanted])

    def become(rows: np.ndarray, name: str) -> None:
        kinds[rows] = KINDS.index(name)

    become(are("belt") & heads, "hair")
    become(are("hair", "pupil") & ~heads, "belt")
    become(are("sole", "white", "sock") & heads, "white")
    become(are("white") & ~heads, "sole")
    become(are("sock") & np.isin(bones, ["chest", "spine", "clavicle", "upper_arm"]), "band")
    become(are("shirt") & np.isin(bones, ["upper_arm", "forearm"]), "sleeve")
    for name in ("upper_arm", "forearm", "hand"):
        become(are("skin", "lips") & (bones == name), name)
    become(are("thigh") & np.isin(bones, ["shank", "foot"]), "shank")
    return kinds


# Colours that tell the extras' triangles apart; nothing is drawn in them.
_LONG_HAIR, _SKIRT, _HAT, _PACK = (255, 0, 255), (0, 255, 0), (255, 255, 0), (0, 0, 255)


def _extras(body: Body) -> list[Part]:
    bind = bind_pose(body)
    pelvis = bind.positions[0]

    def head_weights(p: np.ndarray) -> dict[str, np.ndarray]:
        on_head = ramp(p[:, 2], -0.20, 0.0)
        return {"head": on_head, "chest": 1 - on_head}

    locks = smooth_union(
        [
            ellipsoid((-0.014, 0, 0.095), (0.112, 0.094, 0.102)),
            round_cone((-0.062, 0, 0.05), (-0.085, 0, -0.24), 0.088, 0.075, squash=1.0),
            round_cone((-0.03, 0.075, 0.04), (-0.055, 0.09, -0.22), 0.036, 0.030),
            round_cone((-0.03, -0.075, 0.04), (-0.055, -0.09, -0.22), 0.036, 0.030),
        ],
        0.03,
    )

    def long_hair(p: np.ndarray) -> np.ndarray:
        # The face is free: what is before a plane is cut away.
        face = np.maximum(p[:, 0] - (0.028 + 0.35 * np.maximum(p[:, 2] - 0.10, 0) * 4), p[:, 2] - 0.125)
        return np.maximum(locks(p), np.minimum(p[:, 0] - 0.02, face * 0.8))

    knee = pelvis[bone("left_shank")]
    hem = float(knee[2]) - 0.02
    sides = loft(
        [
            (hem, 0.30, 0.25, 0.0),
            (hem * 0.5, 0.255, 0.195, 0.0),
            (-0.02, 0.205, 0.150, -0.01),
            (0.14, 0.165, 0.115, -0.005),
        ]
    )

    def skirt_weights(p: np.ndarray) -> dict[str, np.ndarray]:
        left, down = ramp(p[:, 1], -0.16, 0.16), ramp(-p[:, 2], -0.05, 0.12)
        return {"pelvis": 1 - down, "left_thigh": left * down, "right_thigh": (1 - left) * down}

    cap = smooth_union(
        [
            cut_below(ellipsoid((-0.004, 0, 0.105), (0.112, 0.094, 0.105)), 0.115),
            round_cone((0.06, 0, 0.125), (0.13, 0, 0.112), 0.055, 0.055, squash=1.0),
        ],
        0.01,
    )

    def hat(p: np.ndarray) -> np.ndarray:
        # The peak is a thin plate.
        return np.maximum(cap(p), np.where(p[:, 0] > 0.075, np.abs(p[:, 2] - 0.122) - 0.008, -1.0))

    def whole(name: str):
        return lambda p: {name: np.ones(len(p))}

    pack = smooth_union(
        [ellipsoid((-0.20, 0, 0.02), (0.10, 0.15, 0.22)), ellipsoid((-0.24, 0, -0.07), (0.08, 0.12, 0.10))], 0.04
    )
    return [
        make(
            "head", long_hair, ((-0.20, -0.16, -0.33), (0.12, 0.16, 0.22)), 0.012, _LONG_HAIR, head_weights, 1.0, thin=0
        ),
        make(
            "pelvis", sides, ((-0.28, -0.34, hem - 0.02), (0.28, 0.34, 0.16)), 0.016, _SKIRT, skirt_weights, 1.0, thin=0
        ),
        make("head", hat, ((-0.14, -0.12, 0.08), (0.21, 0.12, 0.23)), 0.010, _HAT, whole("head"), 1.0, thin=0),
        make("chest", pack, ((-0.36, -0.20, -0.24), (-0.06, 0.20, 0.28)), 0.016, _PACK, whole("chest"), 1.0, thin=0),
    ]
