"""What is compared with what: matched frames of one clip in one joint set, checked for mistakes first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from posemill.arrays import Times
from posemill.errors import InputError, expected
from posemill.formats.poses import PoseClip
from posemill.metrics import checks
from posemill.metrics.protocols import Protocol, split_joints
from posemill.metrics.shift import check_time_shift
from posemill.skeleton import convert, joint_set

__all__ = ["CHECKS", "ClipErrors", "Pair", "check_names", "match_frames", "run_checks"]

_ANKLES = ("left_ankle", "right_ankle")
_Check = Callable[[np.ndarray, np.ndarray, str, np.ndarray], None]
CHECKS: dict[str, _Check] = {
    "units": lambda x, y, _, valid: checks.check_units(x, y, valid=valid),
    "sides": lambda x, y, joints, valid: checks.check_sides(x, y, joints_of=joints, valid=valid),
    "order": lambda x, y, joints, valid: checks.check_joint_order(x, y, joints_of=joints, valid=valid),
    "shift": lambda x, y, _, valid: check_time_shift(x, y, valid=valid),
}
"""Suspicions, the likeliest mistakes first; each check raises InputError."""


@dataclass
class ClipErrors:
    """What can be said of one clip.

    Attributes
    ----------
    subject, clip, person
        Whose.
    frame
        In which the roots are compared; ``relative`` or ``aligned`` where they are not.
    values
        Name to array of the N matched frames: (N, J) metres for errors per joint of the protocol, (N,) for roots; see
        :func:`compare`. NaN where there is nothing to compare.
    left_out
        Name to the reason why it is not among the values.
    suspicions
        Check to what it says, of the checks that the user accepted.
    frames, frames_truth, facts
        Number of matched frames, of true frames, and what else to know.
    """

    subject: str
    clip: str
    person: str
    frame: str
    frames: int
    frames_truth: int
    values: dict[str, np.ndarray] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    suspicions: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def leave_out(self, reason: str, *names: str) -> None:
        """Say why there is no value of these names."""
        self.left_out |= dict.fromkeys(names, reason)


def match_frames(time: Times, truth_time: Times, tolerance_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices (N,) into both: each truth frame and the nearest in time within ``tolerance_s``, each used once."""
    after = np.clip(np.searchsorted(time, truth_time), 1, max(len(time) - 1, 1))
    after = np.minimum(after, len(time) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(time[before] - truth_time) <= np.abs(time[after] - truth_time), before, after)
    gap = np.abs(time[nearest] - truth_time)
    order = np.argsort(gap, kind="stable")
    order = order[gap[order] <= tolerance_s * (1 + 1e-9)]
    _, first = np.unique(nearest[order], return_index=True)
    kept = np.sort(order[first])
    return nearest[kept], kept


class Pair:
    """Matched frames of one clip, in the protocol's joint set."""

    def __init__(
        self, pred: PoseClip, truth: PoseClip, sets: tuple[str, str], chosen: Protocol, rows: tuple[np.ndarray, ...]
    ) -> None:
        self.pred, self.truth, self.sets, self.chosen = pred, truth, sets, chosen
        self.i, self.k = rows
        self.time = truth.time[self.k]
        names = joint_set(chosen.joint_set)
        self.joints, self.apart = split_joints(chosen, same_definition=chosen.dataset == "Human3.6M")
        self.root = names.index(chosen.root)
        self.ankles = names.indices(_ANKLES)
        self.in_world = "world" in pred.joints and "world" in truth.joints
        self.temporal = pred.temporal and truth.temporal and len(self.k) > 3

    def pred_in(self, frame: str) -> np.ndarray:
        """Predicted joints (N, J, 3) in metres in a frame that the prediction has."""
        return convert(self.pred.joints[frame][self.i].astype(np.float64), self.sets[0], self.chosen.joint_set)[0]

    def own_joints(self) -> np.ndarray | None:
        """Where the prediction has each joint of the protocol's set; None unless it has them all."""
        names = joint_set(self.sets[0])
        wanted = joint_set(self.chosen.joint_set).joints
        return names.indices(wanted) if set(wanted) <= set(names.joints) else None

    def truth_in(self, frame: str) -> np.ndarray:
        """True joints (N, J, 3) in metres in a frame that the truth has."""
        return convert(self.truth.joints[frame][self.k].astype(np.float64), self.sets[1], self.chosen.joint_set)[0]

    def axes(self) -> tuple[str, str, bool]:
        """Frames of both whose axes are the same; if there are none, any, and False."""
        own = [f for f in ("camera", "relative") if f in self.pred.joints]
        other = [f for f in ("camera", "relative") if f in self.truth.joints]
        if own and other:
            return own[0], other[0], True
        if self.in_world:
            return "world", "world", True
        return next(iter(self.pred.joints)), next(iter(self.truth.joints)), False


def run_checks(
    x: np.ndarray,
    y: np.ndarray,
    known: np.ndarray,
    same: bool,
    pair: Pair,
    accept: tuple[str, ...],
    out: ClipErrors,
) -> None:
    """Run :data:`CHECKS` on poses (N, J, 3) whose joints ``known`` (N, J) count, and whose axes are the ``same``."""
    steps = np.diff(pair.time)
    even = pair.temporal and same and np.ptp(steps) < 0.1 * np.median(steps)
    for name, check in CHECKS.items():
        if name == "shift" and not even:
            continue
        a, b = (p - p[:, pair.root, None] for p in (x, y)) if name == "shift" else (x, y)
        try:
            check(a, b, pair.chosen.joint_set, known)
        except InputError as error:
            if name not in accept:
                raise InputError(f"{error}; if it is meant so: --accept {name}") from None
            out.suspicions[name] = str(error)


def check_names(accept: tuple[str, ...]) -> None:
    """Raise InputError for a check that does not exist."""
    for name in accept:
        if name not in CHECKS:
            raise InputError(expected("--accept", " or ".join(CHECKS), name))
