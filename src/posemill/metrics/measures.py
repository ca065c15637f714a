"""What is measured about a result without a truth, and the gates that the numbers are held against.

Every measure is larger where the result is worse, has a unit and a definition, and is None where it cannot be known:
nothing is guessed, and an unknown passes no gate and fails none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from posemill.metrics.options import Gate

__all__ = [
    "ANKLE_SHARE",
    "MEASURES",
    "MIN_LEAP_M_S",
    "MIN_MOTION_HZ",
    "OUTCOMES",
    "PERCENTILE",
    "ROBUST_SIGMAS",
    "SUNK_M",
    "Measure",
    "Verdict",
    "judge",
    "worst",
]

PERCENTILE = 95
# Height of the ankle over the sole as a share of stature (Drillis and Contini 1966, as tabulated by Winter 2009).
ANKLE_SHARE = 0.039
SUNK_M = 0.03
ROBUST_SIGMAS, MIN_LEAP_M_S = 6.0, 3.0
# Fewer frames a second do not show the movements of up to 6 Hz that the gates of acceleration and jerk are made for.
MIN_MOTION_HZ = 12.0


class Measure(NamedTuple):
    """What a number is: unit (of the JSON), definition, and the words of its gate's message."""

    unit: str
    words: str
    definition: str


_SEEN = "limb joints that were seen"
_STEPS = f"{PERCENTILE}th percentile over frames"
_LIMBS = f"of joints relative to the pelvis, {_STEPS} and joints; null below {MIN_MOTION_HZ:g} frames a second"
_ROOT = f"of the pelvis in the clip's frame, {_STEPS}; null below {MIN_MOTION_HZ:g} frames a second"
_PX_TO_PERCENT = "person height in px: focal_px * stature_m / depth of the pelvis, frame by frame"

MEASURES: dict[str, Measure] = {
    "reprojection_px": Measure(
        "px",
        "reprojection",
        f"median distance in the image between the projected joints and the 2D keypoints, {_SEEN}, weighted by 1 / "
        "sigma of the keypoint",
    ),
    "reprojection_percent": Measure(
        "% of person height", "reprojection", f"reprojection_px, each distance by the {_PX_TO_PERCENT}"
    ),
    "reprojection_p95_percent": Measure(
        "% of person height",
        f"reprojection ({PERCENTILE}th percentile)",
        f"{PERCENTILE}th percentile, unweighted, of the distances of reprojection_percent",
    ),
    "bone_length_percent": Measure(
        "%",
        "bone length",
        "standard deviation over frames of a bone's length by its mean, of the worst bone; 0 by construction where "
        "merge sets bone lengths",
    ),
    "asymmetry_percent": Measure(
        "%",
        "left/right difference",
        "difference between the mean lengths of a left and a right bone by their mean, of the worst pair",
    ),
    "moved_mm": Measure(
        "mm",
        "moved by merging",
        "median distance by which merging moved the joints of the lifted pose at its scale",
    ),
    "acceleration_m_s2": Measure("m/s^2", "acceleration", _LIMBS),
    "jerk_m_s3": Measure("m/s^3", "jerk", _LIMBS),
    "root_acceleration_m_s2": Measure("m/s^2", "root acceleration", _ROOT),
    "root_jerk_m_s3": Measure("m/s^3", "root jerk", _ROOT),
    "root_leap_percent": Measure(
        "%",
        "root leaps",
        "steps of the pelvis from frame to frame whose speed is over the clip's median by more than both "
        f"{ROBUST_SIGMAS:g} robust sigmas (1.4826 * median absolute deviation) and {MIN_LEAP_M_S:g} m/s",
    ),
    "foot_sliding_m_s": Measure(
        "m/s",
        "foot sliding",
        "joint-based (ankles, not the vertices of a foot): mean speed while the foot rests in the image, by ankle, "
        "heel and toe keypoints of a camera that does not move; an ankle that rises over a standing toe counts",
    ),
    "floor_piercing_mm": Measure(
        "mm",
        "floor piercing",
        f"depth of the sole below the floor z = 0, {_STEPS}, of the deeper foot; sole: ankle joint less "
        f"{ANKLE_SHARE:g} * stature_m; null in the camera's frame",
    ),
    "floor_piercing_percent": Measure(
        "%",
        "floor piercing",
        f"frames whose sole is more than {1000 * SUNK_M:g} mm below the floor z = 0, of the worse foot; null in the "
        "camera's frame",
    ),
    "floor_floating_mm": Measure(
        "mm",
        "floating over the floor",
        "height over the floor z = 0 that the lower sole is above of in 95 of 100 frames, at least 0: a person who "
        "never comes down, or a calibration whose floor is not the one that the person stands on; null in the camera's "
        "frame",
    ),
    "missing_percent": Measure("%", "missing", "joints of all frames without a position"),
    "longest_gap_s": Measure("s", "longest gap", "longest time without any joint, to the next frame that has one"),
    "low_score_percent": Measure(
        "%", "low 2D scores", "limb keypoints of all frames that were not seen or scored below the option low_score"
    ),
    "sigma_mm": Measure("mm", "sigma", "mean over joints, axes and frames of the uncertainty that the stages state"),
    "knee_hyperextension_percent": Measure(
        "%", "knee hyperextension", "knees that bend forwards by more than 15 degrees, of those that are known"
    ),
    "elbow_hyperextension_percent": Measure(
        "%",
        "elbow hyperextension",
        "elbows that bend backwards by more than 15 degrees, of those under an upper arm within 45 degrees of hanging "
        "along the trunk; other arms cannot be judged from joints",
    ),
}
"""All measures by name, in the order of reports."""

OUTCOMES = ("ok", "warn", "fail")


class Verdict(NamedTuple):
    """Outcome of one person in one clip (``ok``, ``warn``, ``fail``; None where nothing is known), and its reasons."""

    outcome: str | None
    reasons: tuple[str, ...]


def judge(values: Mapping[str, float | None], gates: Mapping[str, Gate]) -> Verdict:
    """Hold measured values against their gates.

    The outcome is the worst of all measures. A reason is ``words value unit (fail above limit)``, the worst first. A
    measure without a value or without a gate decides nothing.
    """
    reasons: dict[str, list[str]] = {"fail": [], "warn": []}
    for name, value in values.items():
        gate = gates.get(name)
        if value is None or gate is None:
            continue
        for level, limit in (("fail", gate.fail), ("warn", gate.warn)):
            if limit is not None and value > limit:
                what = MEASURES[name]
                reasons[level].append(f"{what.words} {_short(value)} {what.unit} ({level} above {limit:g})")
                break
    found = [level for level in reasons if reasons[level]]
    known = any(value is not None for value in values.values())
    outcome = found[0] if found else ("ok" if known else None)
    return Verdict(outcome, (*reasons["fail"], *reasons["warn"]))


def _short(value: float) -> str:
    """Three significant digits, and no exponent for large values."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def worst(outcomes: list[str | None]) -> str | None:
    """Worst of several outcomes, None if none is known."""
    known = [outcome for outcome in outcomes if outcome is not None]
    return max(known, key=OUTCOMES.index) if known else None
