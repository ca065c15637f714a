"""Shards of figures in drawn poses before drawn cameras: shapes without colours, to be painted in training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from posemill.geometry import unit
from posemill.skeleton import joint_set
from posemill.training.recombined import Changes, MotionLibrary, draw_motions
from posemill.twin.body import Body, Pose, bone
from posemill.twin.buffers import Buffer, Buffers
from posemill.twin.figure import EXTRAS, Build
from posemill.twin.kinematics import turn
from posemill.twin.mocap import from_motion

__all__ = ["Shard", "draw_build", "draw_pose", "draw_shard", "draw_view"]

# Cameras that see each pose.
_VIEWS = 2
_CHANGES = Changes(turned=0.08, leaning=0.18, folded=0.18, reaching=0.18)
_SET = joint_set("posemill21")


@dataclass(frozen=True)
class Shard:
    """N pictures, foreground pixels one after the other.

    Attributes
    ----------
    shape
        (N, 256, 32) uint8: foreground, eight pixels to a byte.
    triangles
        (P,) uint16, and ``normals`` (P, 2) int8, of the foreground pixels of all pictures, row by row.
    joints, seen, up, height_px
        (N, 16, 2), (N, 16), (N, 3) and (N,), as :class:`~posemill.twin.buffers.Buffer` has them.
    """

    shape: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray
    joints: np.ndarray
    seen: np.ndarray
    up: np.ndarray
    height_px: np.ndarray

    @classmethod
    def of(cls, pictures: list[Buffer]) -> Shard:
        """Put pictures together."""
        inside = [p.triangles >= 0 for p in pictures]
        return cls(
            np.stack([np.packbits(mask, axis=-1) for mask in inside]),
            np.concatenate([p.triangles[m] for p, m in zip(pictures, inside, strict=True)]).astype(np.uint16),
            np.concatenate([p.normals[m] for p, m in zip(pictures, inside, strict=True)]),
            *(
                np.stack([np.asarray(getattr(p, name)) for p in pictures])
                for name in ("joints", "seen", "up", "height_px")
            ),
        )

    def starts(self) -> np.ndarray:
        """(N + 1,) where each picture's foreground pixels begin."""
        count = np.unpackbits(self.shape.reshape(len(self.shape), -1), axis=1).sum(1, dtype=np.int64)
        return np.concatenate([[0], np.cumsum(count)])


def draw_shard(library: MotionLibrary, buffers: Buffers, pictures: int, rng: np.random.Generator) -> Shard:
    """Draw pictures of as many bodies, builds, poses and cameras as there are; each pose is seen twice."""
    return Shard.of([p for _, p in zip(range(pictures), _pictures(library, buffers, pictures, rng), strict=False)])


def _pictures(library: MotionLibrary, buffers: Buffers, count: int, rng: np.random.Generator) -> Iterator[Buffer]:
    while True:
        motions = draw_motions(library, count, 1, rng, changes=_CHANGES)
        for joints, feet in zip(motions.joints[:, 0], motions.feet, strict=True):
            body, pose = draw_pose(joints.astype(np.float64), bool(feet), rng)
            for _ in range(_VIEWS):
                picture = buffers.shoot(body, pose, 0, draw_build(rng), *draw_view(body.joints(pose)[0], rng))
                if picture is not None:
                    yield picture


def draw_pose(joints: np.ndarray, feet: bool, rng: np.random.Generator) -> tuple[Body, Pose]:
    """Body and pose (one frame) of 21 joints (21, 3) m; hands, head and feet turn beside what was captured."""
    body, pose = from_motion(joints[None, :17], 25.0)
    rotations = pose.rotations.copy()
    head = turn("z", rng.normal(0, 0.45)) @ turn("y", rng.normal(0.05, 0.22)) @ turn("x", rng.normal(0, 0.12))
    rotations[:, bone("neck")] = rotations[:, bone("neck")] @ turn("z", rng.normal(0, 0.1))
    rotations[:, bone("head")] = rotations[:, bone("head")] @ head
    for side in ("left_", "right_"):
        hand = turn("z", rng.normal(0, 0.6)) @ turn("x", rng.normal(0, 0.35)) @ turn("y", rng.normal(0, 0.35))
        rotations[:, bone(side + "hand")] = rotations[:, bone(side + "forearm")] @ hand
        foot = rotations[:, bone(side + "foot")]
        if feet:
            forward = unit(joints[_SET.index(side + "big_toe")] - joints[_SET.index(side + "heel")])
            foot = _along(forward, foot[0, :, 2])[None]
        foot = foot @ turn("z", rng.normal(0, 0.15)) @ turn("y", rng.normal(0, 0.12))
        if rng.random() < 0.25:
            foot = foot @ turn("y", rng.uniform(0, 0.9))
        rotations[:, bone(side + "foot")] = foot
        rotations[:, bone(side + "toes")] = foot @ turn("y", -abs(rng.normal(0, 0.2)))
    positions = pose.positions.copy()
    positions[:, bone("head")] = positions[:, bone("neck")] + rotations[:, bone("neck")] @ body.offsets[bone("head")]
    for side in ("left_", "right_"):
        toes, foot = bone(side + "toes"), bone(side + "foot")
        positions[:, toes] = positions[:, foot] + rotations[:, foot] @ body.offsets[toes]
    return body, Pose(positions, rotations, pose.contact)


def _along(forward: np.ndarray, up: np.ndarray) -> np.ndarray:
    left = unit(np.cross(up, forward))
    return np.stack([forward, left, np.cross(forward, left)], -1)


def draw_build(rng: np.random.Generator) -> Build:
    """Thin and stout, in tight and in wide clothes."""
    stout = rng.normal(0, 1)
    trunk = float(np.exp(0.02 + 0.11 * stout + rng.normal(0, 0.05)))
    legs = float(np.exp(-0.02 + 0.10 * stout + rng.normal(0, 0.08)))
    arms = float(np.exp(0.10 * stout + rng.normal(0, 0.08)))
    woman = rng.random() < 0.5
    top, bottom = (
        float(abs(rng.normal(0, 0.016))) if rng.random() < 0.7 else float(rng.uniform(0, 0.05)) for _ in range(2)
    )
    long_sleeves, shorts = rng.random() < 0.5, rng.random() < 0.3
    arm = top * 0.7 + 0.006 if long_sleeves else 0.0
    out = {
        "shirt": top, "band": top, "sleeve": top * 0.8 if rng.random() < 0.8 else -0.008,
        "belt": 0.6 * max(top, bottom),
        "upper_arm": arm, "forearm": arm * (0.9 if long_sleeves else 1), "thigh": bottom * 0.8,
        "shank": -0.012 if shorts else bottom, "shoe": float(rng.uniform(-0.006, 0.008)),
        "sole": float(rng.uniform(-0.004, 0.004)),
        "hair": float(rng.choice([-0.012, 0.0, 0.01, 0.03], p=[0.15, 0.4, 0.35, 0.1])),
    }  # fmt: skip
    chances = {"long_hair": 0.55 if woman else 0.06, "skirt": 0.16 if woman else 0.0, "hat": 0.13, "pack": 0.06}
    return Build(
        trunk=trunk, arms=arms, legs=legs, head=float(np.exp(rng.normal(0, 0.05))),
        belly_m=float(max(0, rng.normal(0.0, 0.03) + 0.03 * stout)),
        chest_m=float(rng.uniform(0, 0.05)) if woman else 0.0,
        let_out_m=out, worn=frozenset(name for name in EXTRAS if rng.random() < chances[name]),
    )  # fmt: skip


def draw_view(joints: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3), world to camera, and place (3,) of a camera that looks at about the middle of joints (J, 3)."""
    low, high = joints.min(0), joints.max(0)
    size = float((high - low).max())
    target = (low + high) / 2 + rng.normal(0, 0.12, 3) * size
    angle = rng.uniform(0, 2 * np.pi)
    rise = np.radians(rng.normal(5, 11) if rng.random() < 0.85 else rng.uniform(-30, 60))
    distance = size * float(np.exp(rng.uniform(np.log(1.15), np.log(6.0))))
    centre = target + distance * np.array([np.cos(rise) * np.cos(angle), np.cos(rise) * np.sin(angle), np.sin(rise)])
    forward = unit(target - centre)
    right = unit(np.cross(forward, [0.0, 0.0, 1.0]))
    rotation = np.stack([right, np.cross(forward, right), forward])
    roll = rng.normal(0, 0.08)
    c, s = np.cos(roll), np.sin(roll)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ rotation, centre
