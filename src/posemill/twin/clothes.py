"""The twin's shirt, trousers and belt, in the frame of the pelvis."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from posemill.twin.body import Body, Pose, bone
from posemill.twin.kinematics import turn
from posemill.twin.limbs import arm_solids
from posemill.twin.parts import BELT, BUCKLE, LINEN, SHIRT, TROUSERS, Part, hat, make, ramp
from posemill.twin.surface import Solid, cut_above, cut_below, ellipsoid, grown, loft, moved, round_cone, smooth_union

__all__ = ["trunk_clothes"]


def trunk_clothes(body: Body, bind: Pose, k: float) -> Iterator[Part]:
    """Shirt, trousers and belt, in the frame of the pelvis."""
    origin = {name: bind.positions[0, bone(name)] / k for name in _NEEDED}
    neck, shoulder = origin["neck"], origin["left_upper_arm"]
    waist = 0.125
    sections = [
        (-0.105, 0.120, 0.085, -0.014),
        (-0.06, 0.150, 0.106, -0.014),
        (0.00, 0.168, 0.114, -0.012),
        (0.05, 0.171, 0.112, -0.010),
        (0.10, 0.157, 0.102, -0.004),
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
    arms = arm_solids(body.length("left_forearm") / k, body.length("left_hand") / k)[:2]
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        tilt = turn("x", sign * np.radians(45))
        at = origin[side + "upper_arm"]
        arm = smooth_union([grown(arms[0], 0.008), grown(arms[1], 0.014)], 0.03)
        sleeves.append(moved(cut_below(arm, -0.205), tilt, at))
        sleeves.append(
            round_cone((neck[0], sign * 0.045, neck[2] + 0.0), (at[0], at[1] * 0.93, at[2] + 0.002), 0.042, 0.041)
        )
        legs.append(moved(_leg(body, k, sign), turn("x", sign * np.radians(6)), origin[side + "thigh"]))
    upper = smooth_union([trunk, *sleeves], 0.045)

    def shirt(p: np.ndarray) -> np.ndarray:
        folds = 0.0022 * np.sin(p[:, 2] * 95 + 9 * np.sin(p[:, 1] * 14)) * np.exp(-(((p[:, 2] - 0.16) / 0.09) ** 2))
        cloth = grown(upper, 0.006)(p) + folds
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
            trunk_weight = (
                trunk_weight
                - weights[f"mid_{side}upper_arm"]
                - weights[side + "upper_arm"]
                - weights[side + "clavicle"]
            )
        weights["pelvis"] = trunk_weight * pelvis
        weights["spine"] = trunk_weight * (1 - pelvis - chest)
        weights["chest"] = trunk_weight * chest
        return weights

    box = ((-0.19, -0.50, waist - 0.05), (0.19, 0.50, 0.60))
    yield make("pelvis", shirt, box, 0.008, SHIRT, weigh_upper, k, thin=0.72)

    def band(p: np.ndarray) -> np.ndarray:
        """A pale band across the chest: front and back can be told."""
        edge = np.maximum(np.abs(p[:, 2] - 0.35) - 0.026, np.maximum(np.abs(p[:, 1]) - 0.135, 0.03 - p[:, 0]))
        return np.maximum(grown(upper, 0.0085)(p), edge)

    yield make("pelvis", band, ((0.0, -0.16, 0.30), (0.16, 0.16, 0.40)), 0.006, LINEN, weigh_upper, k, thin=0)

    seat = smooth_union([cut_above(trunk, waist - 0.015), *legs], 0.05)

    def trousers(p: np.ndarray) -> np.ndarray:
        # The crotch: between the legs the blend must not web.
        return seat(p) + 0.03 * np.exp(-((p[:, 1] / 0.022) ** 2)) * ramp(-p[:, 2], 0.055, 0.095)

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

    floor = origin["left_foot"][2] - 0.03
    box = ((-0.18, -0.34, floor), (0.19, 0.34, waist + 0.03))
    yield make("pelvis", trousers, box, 0.008, TROUSERS, weigh_lower, k, thin=0.7)

    def belt(p: np.ndarray) -> np.ndarray:
        buckle = ellipsoid((0.110, 0, waist - 0.012), (0.012, 0.024, 0.016))(p)
        return np.minimum(np.maximum(grown(trunk, 0.013)(p), np.abs(p[:, 2] - waist + 0.012) - 0.017), buckle)

    made = make("pelvis", belt, ((-0.16, -0.22, waist - 0.05), (0.16, 0.22, waist + 0.03)), 0.006, BELT, weigh_upper, k)
    made.colours[(made.points[:, 0] > 0.104 * k) & (np.abs(made.points[:, 1]) < 0.024 * k)] = BUCKLE
    yield made


_NEEDED = (
    "spine", "chest", "neck", "left_upper_arm", "right_upper_arm", "left_thigh", "right_thigh",
    "left_shank", "right_shank", "left_foot", "right_foot",
)  # fmt: skip


def _leg(body: Body, k: float, sign: float) -> Solid:
    """Trouser leg hanging along -z from the hip."""
    knee, ankle = -body.length("left_shank") / k, -(body.length("left_shank") + body.length("left_foot")) / k
    cones = [
        round_cone((0.0, sign * 0.012, -0.02), (0.004, sign * 0.004, -0.16), 0.080, 0.074),
        round_cone((0.004, sign * 0.004, -0.16), (0.004, 0, knee + 0.05), 0.074, 0.060),
        round_cone((0.004, 0, knee + 0.05), (-0.006, 0, knee - 0.06), 0.060, 0.054),
        ellipsoid((0.030, 0, knee + 0.004), (0.036, 0.040, 0.042)),
        round_cone((-0.006, 0, knee - 0.06), (-0.014, 0, knee - 0.16), 0.054, 0.056),
        round_cone((-0.014, 0, knee - 0.16), (-0.004, 0, ankle), 0.056, 0.045),
    ]
    return cut_below(smooth_union(cones, 0.03), ankle - 0.006)
