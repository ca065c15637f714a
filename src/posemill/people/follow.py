"""Who is who from one picture to the next: people known by how they move, how large they are and what they look like.

Pure logic of one clip, frame by frame; who proposes candidates is the detector's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from posemill.arrays import Points2
from posemill.people.appearance import ALIKE, unlike

__all__ = ["Candidate", "Person", "Roster", "same_pose"]

# How far, in statures, somebody's middle can be from where it was going: at once, and more with each second unseen.
_STRAY, _STRAY_PER_S, _STRAY_MOST = 0.15, 1.5, 4.0
# Log of sizes, per frame; a person unseen may come nearer or go away by as much again per second.
_SIZE = 0.35
# Velocities are averages over this time; who is unseen is expected to go on for as long.
_MEMORY_S = 0.3
# Costs are squares of standardised differences.
_MOST, _MOST_ALONE = 9.0, 60.0
# Two poses of limbs less than this apart, in statures, are of one person.
_SAME = 0.12
# Middles nearer than this, in statures, of people dressed alike are one body's; another reading of it must be seen so
# much better.
_SAME_BODY, _BETTER = 0.35, 0.05
# ... and beside somebody else its cost must be no more than that.
_LIKELY = 3.0
_FORGOTTEN_S = 10.0
# Share of a new look that is taken over, and the most of a look that may differ for it.
_LEARNT = 0.05


@dataclass(frozen=True)
class Candidate:
    """Somebody seen in this picture.

    Attributes
    ----------
    limbs
        (12, 2) px.
    size
        Stature, px.
    look
        (30,), :func:`~posemill.people.appearance.appearance`.
    shift
        By how much of a stature the pose lies off the region where it was looked for.
    owner
        Number of the person in whose region it was seen, None for one found.
    score
        How well the limbs are seen, 0 to 1.
    """

    limbs: Points2
    size: float
    look: np.ndarray
    shift: float = 0.0
    owner: int | None = None
    score: float = 1.0

    @property
    def middle(self) -> np.ndarray:
        """Middle of hips and shoulders, (2,) px."""
        return self.limbs[[0, 3, 6, 9]].mean(0)


@dataclass
class Person:
    """Somebody who was seen: number in order of appearance, and what is known of them."""

    number: int
    middle: np.ndarray
    size: float
    look: np.ndarray
    seen_s: float
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    frames: int = 1

    def expected(self, time_s: float) -> np.ndarray:
        """Where the middle should be, (2,) px."""
        return self.middle + self.velocity * _MEMORY_S * (1 - np.exp(-(time_s - self.seen_s) / _MEMORY_S))

    def cost(self, candidate: Candidate, time_s: float) -> float:
        """How little a candidate is like this person: 1 for one of the usual differences."""
        elapsed = time_s - self.seen_s
        away = np.linalg.norm(candidate.middle - self.expected(time_s)) / max(self.size, candidate.size)
        moved = away / min(_STRAY + _STRAY_PER_S * elapsed, _STRAY_MOST)
        grown = abs(np.log(candidate.size / self.size)) / (_SIZE * (1 + min(elapsed, 2.0)))
        changed = unlike(candidate.look, self.look) / ALIKE
        return float(moved**2 + grown**2 + (changed**2 if np.isfinite(changed) else 0.0))

    def seen(self, candidate: Candidate, time_s: float, *, alone: bool) -> None:
        """Take over what is seen now; the look only while nobody else is near."""
        elapsed = time_s - self.seen_s
        if elapsed > 0:
            keep = np.exp(-elapsed / _MEMORY_S)
            self.velocity = keep * self.velocity + (1 - keep) * (candidate.middle - self.middle) / elapsed
        self.middle, self.seen_s = candidate.middle, time_s
        self.size += 0.2 * (candidate.size - self.size)
        self.frames += 1
        if alone:
            part = np.where(np.isfinite(candidate.look), max(_LEARNT, 1 / self.frames), 0.0)
            known = np.where(np.isfinite(self.look), self.look, candidate.look)
            self.look = known + part * (np.nan_to_num(candidate.look) - np.nan_to_num(known)) * (part > 0)


def same_pose(a: Candidate, b: Candidate) -> bool:
    """Whether two candidates are one body seen twice."""
    return float(np.linalg.norm(a.limbs - b.limbs, axis=-1).mean()) < _SAME * max(a.size, b.size)


class Roster:
    """The people of one clip.

    Parameters
    ----------
    most
        How many are followed at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self.people: list[Person] = []

    def present(self, time_s: float, *, within_s: float) -> list[Person]:
        """People seen within this time, those seen longest first."""
        return sorted((p for p in self.people if time_s - p.seen_s <= within_s), key=lambda p: -p.frames)

    def taken_over(self, candidates: Sequence[Candidate], time_s: float) -> list[bool]:
        """Which candidates are not their owner: they are the body of another owner, whom it fits better."""
        people = {p.number: p for p in self.people}
        costs = [people[c.owner].cost(c, time_s) if c.owner in people else np.inf for c in candidates]
        return [
            any(
                same_pose(one, other) and (costs[j], j) < (costs[i], i)
                for j, other in enumerate(candidates)
                if j != i and other.owner is not None
            )
            for i, one in enumerate(candidates)
        ]

    def assign(self, candidates: Sequence[Candidate], time_s: float) -> list[int | None]:
        """Say who each candidate is; new people get new numbers, None is a body seen twice or one too many.

        Where a person's region has come to show somebody else who is there too, that somebody keeps the pose and the
        person is unseen.
        """
        self.people = [p for p in self.people if time_s - p.seen_s <= _FORGOTTEN_S]
        order = sorted(range(len(candidates)), key=lambda i: (candidates[i].shift, candidates[i].owner is None))
        looks = {p.number: p.look for p in self.people}
        once: list[int] = []
        for i in order:
            if any(same_pose(candidates[i], candidates[j]) for j in once):
                continue
            again = next((j for j in once if _same_body(candidates[i], candidates[j], looks)), None)
            if again is None:
                once.append(i)
            elif self._better(candidates[i], candidates[again], candidates, time_s):
                once[once.index(again)] = i
        numbers: list[int | None] = [None] * len(candidates)
        recent = [p for p in self.people if time_s - p.seen_s < 1.0]
        lonely = len(once) == 1 and len(recent) == 1
        if once and self.people:
            cost = np.array([[p.cost(candidates[i], time_s) for i in once] for p in self.people])
            limit = _MOST_ALONE if lonely else _MOST
            # Far over the limit is over the limit: who fits nobody must not decide who the others are.
            rows, columns = linear_sum_assignment(np.minimum(cost, 4 * limit))
            for row, column in zip(rows, columns, strict=True):
                if cost[row, column] <= limit:
                    person, i = self.people[row], once[column]
                    others = [candidates[j] for j in once if j != i]
                    person.seen(candidates[i], time_s, alone=not any(_near(candidates[i], o) for o in others))
                    numbers[i] = person.number
        for i in once:
            if numbers[i] is None and len(self.present(time_s, within_s=0.0)) < self._most:
                self._count += 1
                candidate = candidates[i]
                self.people.append(Person(self._count, candidate.middle, candidate.size, candidate.look, time_s))
                numbers[i] = self._count
        return numbers

    def _better(self, a: Candidate, b: Candidate, everybody: Sequence[Candidate], time_s: float) -> bool:
        """Of two readings of one body, one of them found anew, whether the first is the one to believe.

        What is found anew must be seen better. Where somebody else is near, the network also finds one body made of
        both: there it must be like the owner, too.
        """
        owned, found = (a, b) if a.owner is not None else (b, a)
        beside = any(c.owner not in (None, owned.owner) and _near(found, c) for c in everybody)
        owner = next((p for p in self.people if p.number == owned.owner), None)
        likely = not beside or owner is None or owner.cost(found, time_s) <= _LIKELY
        return (a is found) == (likely and _worth(found) > _worth(owned))


def _same_body(a: Candidate, b: Candidate, looks: Mapping[int, np.ndarray]) -> bool:
    """Whether one found anew is a body whose pose is known already, and another reading of it.

    It is dressed as the owner is known to be, whatever the pose, which may be a wrong one, says now; or its pose is the
    worse one, which shows colours beside the body, and nobody known is dressed like that.
    """
    if (a.owner is None) == (b.owner is None):
        return False
    if np.linalg.norm(a.middle - b.middle) > _SAME_BODY * max(a.size, b.size):
        return False
    owned, found = (a, b) if a.owner is not None else (b, a)
    apart = unlike(found.look, looks.get(owned.owner or 0, owned.look))
    if not apart > ALIKE:
        return True
    others = [unlike(found.look, look) for number, look in looks.items() if number != owned.owner]
    return _worth(found) < _worth(owned) and not any(other <= ALIKE for other in others)


def _worth(candidate: Candidate) -> float:
    """How well a reading of a body is seen; a new one must be better."""
    return candidate.score - (_BETTER if candidate.owner is None else 0.0)


def _near(a: Candidate, b: Candidate) -> bool:
    """Whether one may hide part of the other."""
    return bool(np.linalg.norm(a.middle - b.middle) < 0.6 * max(a.size, b.size))
