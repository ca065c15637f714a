"""The twin's bare arms with hands, and its shoes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from posemill.twin.body import SOLE_M, Body, bone
from posemill.twin.parts import LINEN, SHOE, SKIN, SOLE, Part, hat, make, ramp
from posemill.twin.surface import Solid, ellipsoid, round_cone, smooth_union

__all__ = ["arm", "arm_solids", "shoe"]


def arm_solids(upper: float, fore: float) -> list[Solid]:
    """Bare arm hanging along -z from the shoulder."""
    elbow, wrist = -upper, -upper - fore
    return [
        round_cone((0, 0, -0.012), (0.004, 0, -0.14), 0.050, 0.047),
        round_cone((0.004, 0, -0.14), (0, 0, elbow), 0.047, 0.038),
        round_cone((0, 0, elbow), (0.004, 0, elbow - 0.07), 0.038, 0.0415),
        round_cone((0.004, 0, elbow - 0.07), (0, 0, wrist), 0.0415, 0.026, squash=0.88),
    ]


def arm(body: Body, k: float, side: str, sign: float) -> Part:
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
        knuckle = base + np.array([0.04 * x, -sign * 0.010, -0.55 * length])
        tip = knuckle + np.array([0, -sign * 0.022, -0.42 * length])
        fingers += [round_cone(base, knuckle, 0.0092, 0.0085), round_cone(knuckle, tip, 0.0085, 0.0068)]
    thumb_joint = np.array([0.046, -sign * 0.012, wrist - 0.055])
    fingers += [
        round_cone((0.022, -sign * 0.004, wrist - 0.02), thumb_joint, 0.014, 0.0115),
        round_cone(thumb_joint, thumb_joint + np.array([0.010, -sign * 0.006, -0.038]), 0.0115, 0.0085),
    ]
    limb = smooth_union([*arm_solids(upper, fore)[1:], smooth_union(palm, 0.02)], 0.03)
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
    return make(side + "upper_arm", solid, box, 0.0045, SKIN, weigh, k, thin=0.7)


def shoe(body: Body, k: float, side: str, sign: float) -> Iterator[Part]:
    """Upper, sole and sock of a shoe, in the frame of the foot."""
    floor = -body.ankle_height_m / k
    top = floor + SOLE_M / k
    ball = body.offsets[bone(side + "toes")][0] / k
    upper = smooth_union(
        [
            ellipsoid((-0.024, 0, top + 0.026), (0.047, 0.035, 0.042)),
            round_cone((0.0, 0, top + 0.044), (0.055, 0, top + 0.030), 0.036, 0.036),
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
        return np.maximum(
            outline, np.abs(p[:, 2] - (floor + top) / 2) - (top - floor) / 2 - 0.003 * (p[:, 2] > floor + 0.01)
        )

    def weigh(p: np.ndarray) -> dict[str, np.ndarray]:
        toes = ramp(p[:, 0], ball - 0.022, ball + 0.022)
        return {side + "foot": 1 - toes, side + "toes": toes}

    box = ((-0.09, -0.07, floor - 0.012), (0.24, 0.07, top + 0.12))
    made = make(side + "foot", leather, box, 0.0055, SHOE, weigh, k, thin=0.4)
    p = made.points / k
    lace = (np.abs(p[:, 1]) < 0.016) & (p[:, 0] > 0.045) & (p[:, 0] < 0.105) & (np.mod(p[:, 0], 0.014) < 0.006)
    made.colours[lace & (p[:, 2] > top + 0.03)] = LINEN
    yield made
    yield make(side + "foot", sole, box, 0.005, SOLE, weigh, k)
    sock = round_cone((-0.006, 0, 0.06), (-0.004, 0, -0.02), 0.037, 0.037)
    yield make(side + "foot", sock, ((-0.06, -0.06, -0.08), (0.06, 0.06, 0.12)), 0.006, LINEN, lambda p: {
        side + "foot": 1 - ramp(p[:, 2], -0.01, 0.05), side + "shank": ramp(p[:, 2], -0.01, 0.05)}, k)  # fmt: skip
