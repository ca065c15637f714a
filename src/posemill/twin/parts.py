"""The solids of a dressed person, part by part: trunk, arms and hands, legs, shoes. Heads are in :mod:`.head`.

Lengths are written for a stature of 1.75 m and scaled; each part lives in the frame of one bone of the bind pose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from posemill.twin.body import SOLE_M, Body, bone
from posemill.twin.kinematics import turn
from posemill.twin.surface import Solid, ellipsoid, loft, mesh, round_cone, smooth_union

__all__ = ["Part", "dress", "hat", "paint", "ramp"]

SKIN, SHIRT, TROUSERS, BELT = (222, 172, 142), (38, 120, 138), (62, 66, 92), (46, 34, 26)
SHOE, SOLE, LINEN = (150, 48, 44), (236, 234, 226), (232, 230, 220)


@dataclass(frozen=True)
class Part:
    """A piece of mesh in the frame of ``bone``: points (V, 3) m, triangles (F, 3), colours (V, 3), weights by bone."""

    bone: str
    points: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    weights: dict[str, np.ndarray]


def ramp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smooth step from 0 at ``low`` to 1 at ``high``."""
    s = np.clip((x - low) / (high - low), 0, 1)
    return s * s * (3 - 2 * s)


def hat(x: np.ndarray, at: float, half_m: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights before, half-way and after a joint at ``at`` along ``x``, blended over +-``half_m``."""
    after, before = ramp(x, at, at + half_m), 1 - ramp(x, at - half_m, at)
    return before, 1 - before - after, after


def paint(points: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """One colour for all, (V, 3) uint8."""
    return np.tile(np.array(colour, dtype=np.uint8), (len(points), 1))


def _part(
    name: str,
    solid: Solid,
    box: tuple[tuple[float, float, float], tuple[float, float, float]],
    step_m: float,
    colour: tuple[int, int, int],
    weigh: Callable[[np.ndarray], dict[str, np.ndarray]],
    k: float,
    thin: float = 0.6,
) -> Part:
    """Mesh a solid written for 1.75 m and scale it by ``k``; ``weigh`` sees the unscaled points."""
    points, triangles = mesh(solid, box[0], box[1], step_m, thin)
    return Part(name, points * k, triangles, paint(points, colour), weigh(points))


def dress(body: Body) -> Iterator[Part]:
    """All parts of the dressed body."""
    from posemill.twin.head import head

    k = body.height_m / 1.75
    # The solids are written in the proportions of the body that is dressed, at unit k.
    yield from _trunk(body, k)
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        yield _arm(body, k, side, sign)
        yield from _shoe(body, k, side, sign)
    yield from head(body, k)


def _arm_solids(upper: float, fore: float) -> list[Solid]:
    """Bare arm hanging along -z from the shoulder."""
    elbow, wrist = -upper, -upper - fore
    return [
        round_cone((0, 0, 0), (0.004, 0, -0.14), 0.051, 0.047),
        round_cone((0.004, 0, -0.14), (0, 0, elbow), 0.047, 0.038),
        round_cone((0, 0, elbow), (0.004, 0, elbow - 0.07), 0.038, 0.0415),
        round_cone((0.004, 0, elbow - 0.07), (0, 0, wrist), 0.0415, 0.026, squash=0.88),
    ]


def _arm(body: Body, k: float, side: str, sign: float) -> Part:
    """Skin from under the sleeve to the finger tips, in the frame of the upper arm."""
    upper, fore = body.length(side + "forearm") / k, body.length(side + "hand") / k
    wrist = -upper - fore
    palm = [
        round_cone((0.012, 0, wrist), (0.020, 0, wrist - 0.085), 0.020, 0.019, squash=0.75),
        round_cone((-0.010, 0, wrist), (-0.018, 0, wrist - 0.082), 0.020, 0.018, squash=0.75),
        round_cone((0.0, 0, wrist - 0.01), (0.002, 0, wrist - 0.085), 0.022, 0.021, squash=0.7),
    ]
    fingers = []
    for x, length in ((0.030, 0.072), (0.0105, 0.082), (-0.0095, 0.077), (-0.028, 0.060)):
        base = np.array([x * 0.9, 0, wrist - 0.088])
        knuckle = base + (0.04 * x, -sign * 0.010, -0.55 * length)
        tip = knuckle + (0, -sign * 0.022, -0.42 * length)
        fingers += [round_cone(base, knuckle, 0.0092, 0.0085), round_cone(knuckle, tip, 0.0085, 0.0068)]
    thumb_joint = np.array([0.046, -sign * 0.012, wrist - 0.055])
    fingers += [
        round_cone((0.022, -sign * 0.004, wrist - 0.02), thumb_joint, 0.014, 0.0115),
        round_cone(thumb_joint, thumb_joint + (0.010, -sign * 0.006, -0.038), 0.0115, 0.0085),
    ]
    limb = smooth_union([*_arm_solids(upper, fore)[1:], smooth_union(palm, 0.02)], 0.03)
    solid = smooth_union([limb, *fingers], 0.008)

    def weigh(p: np.ndarray) -> dict[str, np.ndarray]:
        before, middle, after = hat(-p[:, 2], upper, 0.06)
        hand = ramp(-p[:, 2], -wrist - 0.015, -wrist + 0.015)
        return {
            side + "upper_arm": before,
            f"mid_{side}forearm": middle,
            side + "forearm": after * (1 - hand),
            side + "hand": after * hand,
        }

    box = ((-0.07, -0.07, wrist - 0.20), (0.085, 0.07, -0.08))
    return _part(side + "upper_arm", solid, box, 0.0042, SKIN, weigh, k)


def _trunk(body: Body, k: float) -> Iterator[Part]:
    """Shirt, trousers and belt, in the frame of the pelvis."""
    from posemill.twin.shape import bind_pose

    origin = {name: bind_pose(body).positions[0, bone(name)] / k for name in _NEEDED}
    neck, shoulder = origin["neck"], origin["left_upper_arm"]
    waist = 0.105
    sections = [
        (-0.16, 0.120, 0.085, -0.005),
        (-0.07, 0.163, 0.112, -0.012),
        (0.00, 0.172, 0.116, -0.012),
        (0.08, 0.155, 0.102, -0.004),
        (0.16, 0.141, 0.098, -0.002),
        (0.26, 0.149, 0.110, -0.004),
        (0.35, 0.164, 0.119, -0.006),
        (0.42, 0.166, 0.110, -0.012),
        (0.47, 0.150, 0.090, -0.018),
        (0.51, 0.105, 0.070, -0.022),
        (neck[2] + 0.03, 0.066, 0.060, neck[0]),
    ]
    trunk = loft(sections)
    sleeves, legs = [], []
    arms = _arm_solids(body.length("left_forearm") / k, body.length("left_hand") / k)[:2]
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        tilt = turn("x", sign * np.radians(45))
        at = origin[side + "upper_arm"]
        arm = smooth_union([_grown(arms[0], 0.008), _grown(arms[1], 0.014)], 0.03)
        sleeves.append(_moved(_cut_below(arm, -0.205), tilt, at))
        sleeves.append(round_cone((neck[0], sign * 0.045, neck[2] + 0.0), (at[0], at[1] * 0.93, at[2] + 0.012), 0.042, 0.044))
        legs.append(_moved(_leg(body, k), turn("x", sign * np.radians(6)), origin[side + "thigh"]))
    upper = smooth_union([trunk, *sleeves], 0.045)

    def shirt(p: np.ndarray) -> np.ndarray:
        folds = 0.0022 * np.sin(p[:, 2] * 95 + 9 * np.sin(p[:, 1] * 14)) * np.exp(-(((p[:, 2] - 0.16) / 0.09) ** 2))
        cloth = _grown(upper, 0.006)(p) + folds
        # The neck opening: everything above a plane that falls to the front, near the neck.
        above = p[:, 2] - (neck[2] + 0.022 + 0.25 * np.abs(p[:, 1]) - 0.55 * (p[:, 0] - neck[0]))
        opening = np.maximum(-above * 0.8, np.abs(p[:, 1]) - 0.14)
        return np.maximum(np.maximum(cloth, waist - 0.02 - p[:, 2]), -opening)

    def weigh_upper(p: np.ndarray) -> dict[str, np.ndarray]:
        pelvis = 1 - ramp(p[:, 2], origin["spine"][2] - 0.05, origin["spine"][2] + 0.05)
        chest = ramp(p[:, 2], origin["chest"][2] - 0.06, origin["chest"][2] + 0.06)
        trunk_weight = np.ones(len(p))
        weights: dict[str, np.ndarray] = {}
        for i, (side, sign) in enumerate((("left_", 1.0), ("right_", -1.0))):
            along = (p - origin[side + "upper_arm"]) @ np.array([0, sign, -1]) / np.sqrt(2)
            near = ramp(trunk(p) - sleeves[2 * i](p), -0.035, 0.03) * (sign * p[:, 1] > 0)
            _, middle, after = hat(along, 0.01, 0.08)
            weights[f"mid_{side}upper_arm"] = near * middle
            weights[side + "upper_arm"] = near * after
            girdle = ramp(sign * p[:, 1], 0.05, 0.13) * ramp(p[:, 2], shoulder[2] - 0.12, shoulder[2] - 0.02)
            weights[side + "clavicle"] = (1 - near * (middle + after)) * girdle
            trunk_weight = trunk_weight - weights[f"mid_{side}upper_arm"] - weights[side + "upper_arm"] - weights[side + "clavicle"]
        weights["pelvis"] = trunk_weight * pelvis
        weights["spine"] = trunk_weight * (1 - pelvis - chest)
        weights["chest"] = trunk_weight * chest
        return weights

    box = ((-0.19, -0.50, 0.05), (0.19, 0.50, 0.60))
    yield _part("pelvis", shirt, box, 0.008, SHIRT, weigh_upper, k, thin=0.72)

    def band(p: np.ndarray) -> np.ndarray:
        """A pale band across the chest: front and back can be told."""
        edge = np.maximum(np.abs(p[:, 2] - 0.35) - 0.026, np.maximum(np.abs(p[:, 1]) - 0.135, 0.03 - p[:, 0]))
        return np.maximum(_grown(upper, 0.0085)(p), edge)

    yield _part("pelvis", band, ((0.0, -0.16, 0.30), (0.16, 0.16, 0.40)), 0.006, LINEN, weigh_upper, k, thin=0.5)

    seat = smooth_union([_below(trunk, waist - 0.015), *legs], 0.05)

    def trousers(p: np.ndarray) -> np.ndarray:
        # The crotch: between the legs the blend must not web.
        return seat(p) + 0.012 * np.exp(-((p[:, 1] / 0.018) ** 2)) * (p[:, 2] < -0.10)

    def weigh_lower(p: np.ndarray) -> dict[str, np.ndarray]:
        weights: dict[str, np.ndarray] = {}
        left = ramp(p[:, 1], -0.02, 0.02)
        free = np.zeros(len(p))
        for side, share in (("left_", left), ("right_", 1 - left)):
            hip, knee = origin[side + "thigh"], origin[side + "shank"]
            down = (p - hip) @ ((knee - hip) / np.linalg.norm(knee - hip))
            before, middle, thigh = hat(down, 0.02, 0.085)
            _, bent, shank = hat(down, float(np.linalg.norm(knee - hip)), 0.06)
            free += share * before
            weights[f"mid_{side}thigh"] = share * middle
            weights[side + "thigh"] = share * thigh * (1 - bent - shank)
            weights[f"mid_{side}shank"] = share * thigh * bent
            weights[side + "shank"] = share * thigh * shank
        low = ramp(p[:, 2], origin["spine"][2] - 0.05, origin["spine"][2] + 0.10)
        return weights | {"pelvis": free * (1 - low), "spine": free * low}

    floor = origin["left_foot"][2] - 0.02
    box = ((-0.18, -0.34, floor), (0.19, 0.34, 0.13))
    yield _part("pelvis", trousers, box, 0.008, TROUSERS, weigh_lower, k, thin=0.7)

    def belt(p: np.ndarray) -> np.ndarray:
        buckle = ellipsoid((0.108, 0, waist - 0.012), (0.012, 0.024, 0.016))(p)
        return np.minimum(np.maximum(_grown(trunk, 0.013)(p), np.abs(p[:, 2] - waist + 0.012) - 0.017), buckle)

    made = _part("pelvis", belt, ((-0.16, -0.22, 0.06), (0.16, 0.22, 0.13)), 0.006, BELT, weigh_upper, k)
    made.colours[(made.points[:, 0] > 0.104 * k) & (np.abs(made.points[:, 1]) < 0.024 * k)] = (196, 180, 120)
    yield made


_NEEDED = (
    "spine", "chest", "neck", "left_upper_arm", "right_upper_arm", "left_thigh", "right_thigh",
    "left_shank", "right_shank", "left_foot", "right_foot",
)  # fmt: skip


def _leg(body: Body, k: float) -> Solid:
    """Trouser leg hanging along -z from the hip."""
    knee, ankle = -body.length("left_shank") / k, -(body.length("left_shank") + body.length("left_foot")) / k
    cones = [
        round_cone((0.0, 0.006, -0.02), (0.004, 0.002, -0.16), 0.088, 0.083),
        round_cone((0.004, 0.002, -0.16), (0.004, 0, knee), 0.083, 0.061),
        round_cone((0.004, 0, knee), (-0.010, 0, knee - 0.13), 0.061, 0.060),
        round_cone((-0.010, 0, knee - 0.13), (-0.004, 0, ankle), 0.060, 0.047),
    ]
    return _cut_below(smooth_union(cones, 0.03), ankle + 0.012)


def _grown(solid: Solid, by_m: float) -> Solid:
    return lambda p: solid(p) - by_m


def _cut_below(solid: Solid, z: float) -> Solid:
    return lambda p: np.maximum(solid(p), z - p[:, 2])


def _below(solid: Solid, z: float) -> Solid:
    return lambda p: np.maximum(solid(p), p[:, 2] - z)


def _moved(solid: Solid, rotation: np.ndarray, origin: np.ndarray) -> Solid:
    """A solid written in another frame."""
    return lambda p: solid((p - origin) @ rotation)


def _shoe(body: Body, k: float, side: str, sign: float) -> Iterator[Part]:
    """Upper, sole and sock of a shoe, in the frame of the foot."""
    floor = -body.ankle_height_m / k
    top = floor + SOLE_M / k
    ball = body.offsets[bone(side + "toes")][0] / k
    upper = smooth_union(
        [
            ellipsoid((-0.024, 0, top + 0.026), (0.047, 0.035, 0.042)),
            round_cone((0.0, 0, top + 0.055), (0.055, 0, top + 0.034), 0.036, 0.036),
            ellipsoid((ball - 0.02, -sign * 0.003, top + 0.016), (0.075, 0.045, 0.036)),
            ellipsoid((ball + 0.036, -sign * 0.006, top + 0.008), (0.046, 0.040, 0.026)),
        ],
        0.03,
    )

    def leather(p: np.ndarray) -> np.ndarray:
        return np.maximum(upper(p), top - p[:, 2])

    def sole(p: np.ndarray) -> np.ndarray:
        flat = p * (1, 1, 0)
        outline = smooth_union(
            [
                round_cone((-0.034, 0, 0), (0.03, 0, 0), 0.037, 0.036),
                round_cone((0.03, 0, 0), (ball, -sign * 0.002, 0), 0.036, 0.047),
                round_cone((ball, -sign * 0.002, 0), (ball + 0.046, -sign * 0.007, 0), 0.047, 0.034),
            ],
            0.02,
        )(flat)
        return np.maximum(outline, np.abs(p[:, 2] - (floor + top) / 2) - (top - floor) / 2 - 0.003 * (p[:, 2] > floor + 0.01))

    def weigh(p: np.ndarray) -> dict[str, np.ndarray]:
        toes = ramp(p[:, 0], ball - 0.022, ball + 0.022)
        return {side + "foot": 1 - toes, side + "toes": toes}

    box = ((-0.09, -0.07, floor - 0.012), (0.24, 0.07, top + 0.12))
    made = _part(side + "foot", leather, box, 0.0055, SHOE, weigh, k, thin=0.3)
    p = made.points / k
    lace = (np.abs(p[:, 1]) < 0.016) & (p[:, 0] > 0.045) & (p[:, 0] < 0.105) & (np.mod(p[:, 0], 0.014) < 0.006)
    made.colours[lace & (p[:, 2] > top + 0.03)] = LINEN
    yield made
    yield _part(side + "foot", sole, box, 0.005, SOLE, weigh, k)
    sock = round_cone((-0.006, 0, 0.06), (-0.004, 0, -0.02), 0.037, 0.037)
    yield _part(side + "foot", sock, ((-0.06, -0.06, -0.08), (0.06, 0.06, 0.12)), 0.006, LINEN, lambda p: {
        side + "foot": 1 - ramp(p[:, 2], -0.01, 0.05), side + "shank": ramp(p[:, 2], -0.01, 0.05)}, k)  # fmt: skip
