"""Several readings of one picture made one: what most of them say, part by part, with the same sides.

A network that is unsure of a limb does not say so. Asked again with the picture mirrored, or with a little more or less
of it, it puts the limb elsewhere: on the other leg, into a bush, or halfway between, which is nobody's pose and what a
mean of readings gives too. So legs, arms and trunk are each taken from the readings around the one that has least
against it from the others, whichever side they call left. What is left is then said by their majority; where they are
divided it is contested, and as in the picture before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posemill.arrays import Flags, Points2
from posemill.people.parts import exchanging, of_sides
from posemill.skeleton import JointSet, joint_set

__all__ = ["Agreed", "agreed", "leapt"]

# Of readings each of these may contradict the others by itself.
_PARTS = {"legs": ("knee", "ankle"), "arms": ("elbow", "wrist"), "trunk": ("hip", "shoulder")}
# Mean distances of a part's joints, in statures: readings nearer than this say the same, beyond that nothing alike.
_ALIKE, _UNLIKE = 0.06, 0.15
# A reading names sides as another one does, or the other way round, if it is that much nearer so.
_CLEARLY = 0.8
# Sides are contested from this share of the votes on.
_DIVIDED = 0.2


@dataclass(frozen=True)
class Agreed:
    """What readings say together.

    Attributes
    ----------
    table
        (J, 3): x, y and score.
    spread
        (J,) root mean square distance of the readings from it, in the unit of x and y.
    contested
        (J,) where it is not known which joint is left.
    """

    table: np.ndarray
    spread: np.ndarray
    contested: Flags


def agreed(readings: np.ndarray, size: float, joints: str, before: Points2 | None = None) -> Agreed:
    """Make one of several readings.

    Parameters
    ----------
    readings
        (N, J, 3): x, y and score, of one picture.
    size
        Stature, in the unit of x and y.
    joints
        Name of the joint set.
    before
        (J, 2), where the joints were a moment before; None where that is not known.
    """
    names = joint_set(joints)
    table, spread = np.empty(readings.shape[1:]), np.empty(len(names))
    contested, rest = np.zeros(len(names), bool), np.ones(len(names), bool)
    for part, kinds in _PARTS.items():
        told, other = _told(names, kinds)
        order = exchanging(names, part)
        sided = order != np.arange(len(names))
        # The trunk comes last and has all that is of no limb.
        belongs = rest if part == "trunk" else sided
        rest = rest & ~sided
        middle, alike, turned, votes = _heard(readings, told, other, size)
        turn = votes > 0.5
        if min(votes, 1 - votes) >= _DIVIDED:
            contested |= sided
            if before is not None:
                one = readings[middle, :, :2]
                turn = _apart(one[other], before[told]) < _apart(one[told], before[told])
        named = np.where((turned ^ turn)[:, None, None], readings[:, order], readings)[:, belongs]
        table[belongs] = named[alike].mean(0)
        spread[belongs] = np.sqrt((np.linalg.norm((named - table[belongs])[..., :2], axis=-1) ** 2).mean(0))
    return Agreed(table, spread, contested)


def leapt(points: Points2, before: Points2, size: float, joints: str) -> float:
    """How far, in statures, the joint went that went furthest, beside the body and whichever side it is named.

    Parameters
    ----------
    points, before
        (J, 2), of this picture and the one before.
    size
        Stature, in their unit.
    joints
        Name of the joint set.
    """
    names = joint_set(joints)
    furthest = 0.0
    middle = (points - before)[names.indices(joint_set("limbs12").joints)].mean(0)
    for kinds in _PARTS.values():
        told, other = _told(names, kinds)
        ways = [np.linalg.norm(points[told] - before[named] - middle, axis=-1).max() for named in (told, other)]
        furthest = max(furthest, min(ways))
    return float(furthest / size)


def _told(names: JointSet, kinds: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of a part's joints, the left ones first, and the right ones first."""
    left, right = of_sides(names, kinds)
    return np.concatenate([left, right]), np.concatenate([right, left])


def _heard(readings: np.ndarray, told: np.ndarray, other: np.ndarray, size: float) -> tuple[int, Flags, Flags, float]:
    """The reading (index) that has least against it; which are like it, and name sides otherwise; these ones' votes."""
    points, swapped = readings[:, told, :2] / size, readings[:, other, :2] / size
    same, crossed = _apart(points[:, None], points), _apart(points[:, None], swapped)
    apart = np.minimum(same, crossed)
    middle = int(np.argmin(np.minimum(apart, _UNLIKE).sum(1)))
    alike, turned = apart[middle] < _ALIKE, crossed[middle] < same[middle]
    clear = alike & (apart[middle] < _CLEARLY * np.maximum(same, crossed)[middle])
    seen = readings[:, told, 2].sum(1)
    votes = seen[clear & turned].sum() / max(seen[clear].sum(), np.finfo(float).tiny)
    return middle, alike, turned, float(votes)


def _apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean distance of points (..., N, 2), (...,)."""
    return np.linalg.norm(first - second, axis=-1).mean(-1)
