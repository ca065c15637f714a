"""The twin's shirt, trousers and belt, in the frame of the pelvis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from posemill.twin.body import BONES, Body, Pose
from posemill.twin.kinematics import turn
from posemill.twin.limbs import arm_solids
from posemill.twin.parts import BELT, BUCKLE, LINEN, SHIRT, TROUSERS, Part, hat, make, ramp
from posemill.twin.surface import Solid, cut_above, cut_below, ellipsoid, grown, loft, moved, round_cone, smooth_union

__all__ = ["clothes"]

WAIST_M = 0.145
"""The belt above the hip centres."""
_SIDES = (("left_", 1.0), ("right_", -1.0))


@dataclass(frozen=True)
class _Trunk:
    """What all clothes hang on: bone origins of the bind pose (3,) m, the bare trunk, and the trunk with sleeves."""

    origin: dict[str, np.ndarray]
    bare: Solid
    sleeves: dict[str, Solid]
    sleeved: Solid


def clothes(body: Body, bind: Pose, k: float) -> Iterator[Part]:
    """Shirt with a pale chest band, trousers and belt on the bind pose; ``k`` is the stature over 1.75 m."""
    trunk = _trunk(body, bind, k)
    yield from _shirt(trunk, k)
    yield _trousers(body, trunk, k)
    yield _belt(trunk, k)


def _trunk(body: Body, bind: Pose, k: float) -> _Trunk:
    origin = {name: bind.positions[0, i] / k for i, name in enumerate(BONES)}
    neck = origin["neck"]
    sections = [
        (-0.105, 0.120, 0.085, -0.014),
        (-0.06, 0.150, 0.106, -0.014),
        (0.00, 0.168, 0.114, -0.012),
        (0.05, 0.171, 0.112, -0.010),
        (0.10, 0.157, 0.102, -0.004),
        (0.16, 0.141, 0.098, -0.002),
        (0.26, 0.149, 0.110, -0.004),
        (0.35, 0.164, 0.119, -0.012),
        (0.42, 0.166, 0.110, -0.024),
        (0.47, 0.150, 0.090, -0.032),
        (0.51, 0.105, 0.070, -0.030),
        (neck[2] + 0.03, 0.066, 0.060, neck[0]),
    ]
    bare = loft(sections)
    upper, fore = arm_solids(body.length("left_forearm") / k, body.length("left_hand") / k)[:2]
    arm = cut_below(smooth_union([grown(upper, 0.008), grown(fore, 0.014)], 0.03), -0.205)
    sleeves, girdle = {}, []
    for side, sign in _SIDES:
        at = origin[side + "upper_arm"]
        sleeves[side] = moved(arm, turn("x", sign * np.radians(45)), at)
        girdle.append(round_cone((neck[0], sign * 0.045, neck[2]), (at[0], at[1] * 0.93, at[2] + 0.002), 0.042, 0.041))
    return _Trunk(origin, bare, sleeves, smooth_union([bare, *sleeves.values(), *girdle], 0.045))


def _shirt(trunk: _Trunk, k: float) -> Iterator[Part]:
    neck = trunk.origin["neck"]

    def shirt(p: np.ndarray) -> np.ndarray:
        folds = 0.0022 * np.sin(p[:, 2] * 95 + 9 * np.sin(p[:, 1] * 14)) * np.exp(-(((p[:, 2] - 0.18) / 0.09) ** 2))
        cloth = grown(trunk.sleeved, 0.006)(p) + folds
        # The neck opening: everything above a plane that falls to the front, near the neck.
        above = p[:, 2] - (neck[2] + 0.022 + 0.25 * np.abs(p[:, 1]) - 0.55 * (p[:, 0] - neck[0]))
        opening = np.maximum(-above * 0.8, np.abs(p[:, 1]) - 0.14)
        return np.maximum(np.maximum(cloth, WAIST_M - 0.02 - p[:, 2]), -opening)

    def band(p: np.ndarray) -> np.ndarray:
        """A pale band across the chest: front and back can be told."""
        edge = np.maximum(np.abs(p[:, 2] - 0.35) - 0.026, np.maximum(np.abs(p[:, 1]) - 0.135, 0.03 - p[:, 0]))
        return np.maximum(grown(trunk.sleeved, 0.0085)(p), edge)

    def weigh(p: np.ndarray) -> dict[str, np.ndarray]:
        return _trunk_weights(trunk, p)

    box = ((-0.19, -0.50, WAIST_M - 0.05), (0.19, 0.50, 0.60))
    yield make("pelvis", shirt, box, 0.008, SHIRT, weigh, k, thin=0.72)
    yield make("pelvis", band, ((0.0, -0.16, 0.30), (0.16, 0.16, 0.40)), 0.006, LINEN, weigh, k, thin=0)


def _trunk_weights(trunk: _Trunk, p: np.ndarray) -> dict[str, np.ndarray]:
    """Weights of cloth above the waist: up the spine, and out along each sleeve."""
    origin = trunk.origin
    pelvis = 1 - ramp(p[:, 2], origin["spine"][2] - 0.05, origin["spine"][2] + 0.05)
    chest = ramp(p[:, 2], origin["chest"][2] - 0.06, origin["chest"][2] + 0.06)
    rest = np.ones(len(p))
    weights: dict[str, np.ndarray] = {}
    for side, sign in _SIDES:
        shoulder = origin[side + "upper_arm"]
        along = (p - shoulder) @ np.array([0, sign, -1]) / np.sqrt(2)
        # Cloth belongs to the arm where the sleeve is the nearer solid.
        near = ramp(trunk.bare(p) - trunk.sleeves[side](p), -0.035, 0.03) * (sign * p[:, 1] > 0)
        _, middle, after = hat(along, 0.01, 0.08)
        girdle = ramp(sign * p[:, 1], 0.05, 0.13) * ramp(p[:, 2], shoulder[2] - 0.12, shoulder[2] - 0.02)
        mine = {
            f"mid_{side}upper_arm": near * middle,
            side + "upper_arm": near * after,
            side + "clavicle": (1 - near * (middle + after)) * girdle,
        }
        rest = rest - sum(mine.values())
        weights |= mine
    return weights | {"pelvis": rest * pelvis, "spine": rest * (1 - pelvis - chest), "chest": rest * chest}


def _trousers(body: Body, trunk: _Trunk, k: float) -> Part:
    origin = trunk.origin
    legs = [
        moved(_leg(body, k, sign), turn("x", sign * np.radians(6)), origin[side + "thigh"]) for side, sign in _SIDES
    ]
    seat = smooth_union([cut_above(trunk.bare, WAIST_M - 0.015), *legs], 0.05)

    def trousers(p: np.ndarray) -> np.ndarray:
        # The crotch: between the legs the blend must not web.
        return seat(p) + 0.06 * np.exp(-((p[:, 1] / 0.045) ** 2)) * ramp(-p[:, 2], 0.035, 0.08)

    def weigh(p: np.ndarray) -> dict[str, np.ndarray]:
        weights: dict[str, np.ndarray] = {}
        left = ramp(p[:, 1], -0.02, 0.02)
        free = np.zeros(len(p))
        for side, share in (("left_", left), ("right_", 1 - left)):
            hip, knee = origin[side + "thigh"], origin[side + "shank"]
            length = float(np.linalg.norm(knee - hip))
            down = (p - hip) @ (knee - hip) / length
            before, middle, thigh = hat(down, 0.02, 0.085)
            _, bent, shank = hat(down, length, 0.06)
            free += share * before
            weights[f"mid_{side}thigh"] = share * middle
            weights[side + "thigh"] = share * thigh * (1 - bent - shank)
            weights[f"mid_{side}shank"] = share * thigh * bent
            weights[side + "shank"] = share * thigh * shank
        low = ramp(p[:, 2], origin["spine"][2] - 0.05, origin["spine"][2] + 0.05)
        return weights | {"pelvis": free * (1 - low), "spine": free * low}

    box = ((-0.18, -0.34, origin["left_foot"][2] - 0.03), (0.19, 0.34, WAIST_M + 0.03))
    return make("pelvis", trousers, box, 0.008, TROUSERS, weigh, k, thin=0.7)


def _leg(body: Body, k: float, sign: float) -> Solid:
    """Trouser leg hanging along -z from the hip."""
    knee, ankle = -body.length("left_shank") / k, -(body.length("left_shank") + body.length("left_foot")) / k
    cones = [
        round_cone((0.0, sign * 0.012, -0.02), (0.004, sign * 0.004, -0.16), 0.080, 0.074),
        round_cone((0.004, sign * 0.004, -0.16), (0.004, 0, knee + 0.05), 0.074, 0.060),
        round_cone((0.004, 0, knee + 0.05), (-0.006, 0, knee - 0.06), 0.061, 0.050),
        ellipsoid((0.032, 0, knee + 0.015), (0.036, 0.040, 0.034)),
        round_cone((-0.006, 0, knee - 0.06), (-0.014, 0, knee - 0.16), 0.050, 0.052),
        round_cone((-0.014, 0, knee - 0.16), (-0.004, 0, ankle), 0.052, 0.043),
    ]
    return cut_below(smooth_union(cones, 0.055), ankle - 0.006)


def _belt(trunk: _Trunk, k: float) -> Part:
    middle = WAIST_M - 0.012

    def belt(p: np.ndarray) -> np.ndarray:
        buckle = ellipsoid((0.103, 0, middle), (0.012, 0.024, 0.016))(p)
        return np.minimum(np.maximum(grown(trunk.bare, 0.013)(p), np.abs(p[:, 2] - middle) - 0.017), buckle)

    box = ((-0.16, -0.22, WAIST_M - 0.05), (0.16, 0.22, WAIST_M + 0.03))
    made = make("pelvis", belt, box, 0.006, BELT, lambda p: _trunk_weights(trunk, p), k)
    made.colours[(made.points[:, 0] > 0.098 * k) & (np.abs(made.points[:, 1]) < 0.024 * k)] = BUCKLE
    return made
