"""The twin's looks: a skinned, coloured triangle mesh of a dressed person with face, hands and shoes.

Every part is a smooth solid around the bones of the *bind pose* (arms 45 degrees off the trunk, legs slightly apart),
triangulated once and then carried by the bones (linear blend skinning, with an extra half-way bone at shoulders,
elbows, hips and knees so that bent joints keep their thickness).

References
----------
Magnenat-Thalmann, N., Laperriere, R. & Thalmann, D. (1988), Joint-dependent local deformations for hand animation and
object grasping.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from posemill.arrays import Points3
from posemill.twin.body import BONES, PARENTS, Body, Pose, bone
from posemill.twin.clothes import clothes
from posemill.twin.head import head
from posemill.twin.kinematics import turn
from posemill.twin.limbs import arm, shoe
from posemill.twin.parts import Part

__all__ = ["MIDDLE", "Shape", "bind_pose", "build", "transforms"]

MIDDLE: tuple[str, ...] = tuple(
    side + name for side in ("left_", "right_") for name in ("upper_arm", "forearm", "thigh", "shank")
)
"""Bones that have a half-way bone at their origin, turned half as far from their parent."""

_ARM_BIND, _LEG_BIND = np.radians(45), np.radians(6)


@dataclass(frozen=True)
class Shape:
    """A skinned mesh.

    Attributes
    ----------
    points, normals
        (V, 3) metres and unit vectors in the bind pose.
    triangles
        (F, 3) vertex indices.
    colours
        (V, 3) uint8 RGB.
    weights
        (V, B + M) float32 skinning weights for :data:`BONES` and :data:`MIDDLE`; rows sum to 1.
    owners
        (F,) index of the bone that carries most of each triangle.
    bind
        (B + M, 4, 4) bone to bind-pose world.
    """

    points: Points3 = field(repr=False)
    normals: Points3 = field(repr=False)
    triangles: np.ndarray = field(repr=False)
    colours: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    owners: np.ndarray = field(repr=False)
    bind: np.ndarray = field(repr=False)

    def posed(self, pose: Pose, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Vertices and unit normals (V, 3) in the world at one frame of a pose; float32."""
        moves = transforms(pose.positions[frame], pose.rotations[frame]) @ np.linalg.inv(self.bind)
        blended = (self.weights @ moves[:, :3].reshape(-1, 12).astype(np.float32)).reshape(-1, 3, 4)
        points = np.einsum("vab,vb->va", blended[:, :, :3], self.points.astype(np.float32)) + blended[:, :, 3]
        normals = np.einsum("vab,vb->va", blended[:, :, :3], self.normals.astype(np.float32))
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
        return points, normals


def bind_pose(body: Body) -> Pose:
    """The pose in which the mesh is built, one frame, pelvis at the origin."""
    rotations = np.tile(np.eye(3), (1, len(BONES), 1, 1))
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        for name in ("upper_arm", "forearm", "hand"):
            rotations[0, bone(side + name)] = turn("x", sign * _ARM_BIND)
        for name in ("thigh", "shank", "foot", "toes"):
            rotations[0, bone(side + name)] = turn("x", sign * _LEG_BIND)
    return Pose(body.forward(np.zeros((1, 3)), rotations), rotations, np.ones((1, 4), dtype=bool))


def transforms(positions: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """(B + M, 4, 4) bone to world of one frame, half-way bones appended."""
    bones = [bone(name) for name in MIDDLE]
    # The shoulder's half-way bone is between chest and arm: the clavicle itself hardly turns.
    parents = [
        bone("chest") if name.endswith("upper_arm") else PARENTS[i] for name, i in zip(MIDDLE, bones, strict=True)
    ]
    u, _, vt = np.linalg.svd(rotations[bones] + rotations[parents])
    half = u @ vt
    bad = np.linalg.det(half) < 0
    half[bad] = rotations[bones][bad]
    out = np.tile(np.eye(4), (len(BONES) + len(MIDDLE), 1, 1))
    out[:, :3, :3] = np.concatenate([rotations, half])
    out[:, :3, 3] = np.concatenate([positions, positions[bones]])
    return out


def _normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Area-weighted vertex normals."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    out = np.zeros_like(points)
    for i in range(3):
        np.add.at(out, triangles[:, i], face)
    return out / np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-12)


def _dress(body: Body) -> Iterator[Part]:
    """All parts of the dressed body."""
    k = body.height_m / 1.75
    yield from clothes(body, bind_pose(body), k)
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        yield arm(body, k, side, sign)
        yield from shoe(body, k, side, sign)
    yield from head(body, k)


def build(body: Body, extras: Sequence[Part] = ()) -> Shape:
    """Make the dressed mesh of a body, and of more parts that are to be carried with it; about three seconds."""
    pose = bind_pose(body)
    bind = transforms(pose.positions[0], pose.rotations[0])
    columns = {name: i for i, name in enumerate(BONES)} | {
        f"mid_{name}": len(BONES) + i for i, name in enumerate(MIDDLE)
    }
    points, triangles, colours, weights, normals = [], [], [], [], []
    count = 0
    for part in (*_dress(body), *extras):
        frame = bind[columns[part.bone]]
        world = part.points @ frame[:3, :3].T + frame[:3, 3]
        w = np.zeros((len(world), len(columns)), dtype=np.float32)
        for name, value in part.weights.items():
            w[:, columns[name]] += value
        points.append(world)
        normals.append(_normals(world, part.triangles))
        triangles.append(part.triangles + count)
        colours.append(part.colours)
        weights.append(w / w.sum(-1, keepdims=True))
        count += len(world)
    all_weights, all_triangles = np.concatenate(weights), np.concatenate(triangles)
    folded = all_weights[:, : len(BONES)].copy()
    for i, name in enumerate(MIDDLE):
        folded[:, bone(name)] += all_weights[:, len(BONES) + i]
    owners = folded[all_triangles].sum(1).argmax(-1)
    return Shape(
        np.concatenate(points),
        np.concatenate(normals),
        all_triangles,
        np.concatenate(colours),
        all_weights,
        owners,
        bind,
    )
