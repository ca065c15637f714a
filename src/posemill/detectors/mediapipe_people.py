"""Following everybody in view with BlazePose, so that nobody is taken for somebody else.

Each person has a region of their own, as in the library's graph of one person. Others are looked for every half second,
and at every frame while somebody is out of sight; who is who is decided by :mod:`posemill.people.follow`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from posemill.anthropometry import stature_px
from posemill.detectors.blazepose import BlazePose, Pose, Region, tiles
from posemill.detectors.protocol import Detection
from posemill.people.appearance import appearance
from posemill.people.follow import Candidate, Person, Roster
from posemill.people.readings import agreed, leapt
from posemill.skeleton import joint_set

__all__ = ["Follower"]

_JOINTS = "blazepose33"
_LIMBS = joint_set(_JOINTS).indices(joint_set("limbs12").joints)
_BONES = tuple(
    tuple(int(i) for i in joint_set("limbs12").indices((f"{side}_{a}", f"{side}_{b}")))
    for side in ("left", "right")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"), ("shoulder", "hip"))
)
# Others are looked for this often; who was not seen for longer than this is no longer looked for at every frame.
_LOOK_S, _MISSED_S = 0.5, 1.0
# A person this tall, as a share of the picture, is found in the picture as a whole; for smaller ones it is cut up.
_TALL = 0.35
# Square around where a missed person is expected, in statures.
_AROUND = 1.6
_NEVER = -1e9
_FLIPPED = joint_set(_JOINTS).flip_permutation
# A limb is well seen from this visibility on; seen from the side, shoulders, or hips at their usual share of them, are
# this much narrower than the trunk is long.
_WELL_SEEN, _SIDEWAYS, _HIPS_TO_SHOULDERS = 0.6, 0.45, 1.6

# A person is looked at again where the region has moved by this share of its side, or grown (log), or turned (radians).
_MOVED, _TURNED = 0.03, 0.1
# A person is looked at in regions of other sizes too where a limb joint lies further than this from the mean of two
# readings, or from where it was in the picture before, in statures; and for so long afterwards, as two readings may
# agree by chance.
_APART, _LEAP, _DOUBT_S = 0.035, 0.1, 0.35
_OTHER_LOOKS = (0.9, 1.25)

Pixels = Callable[[np.ndarray, tuple[int, int]], Detection | None]


class Follower:
    """Everybody in the pictures of one clip.

    Parameters
    ----------
    networks
        Closed by whoever opened them.
    detection
        Turns a pose's table (33, 3) and the picture's (width, height) into a detection; None if it is not worth one.
    most
        How many people are followed at once.
    mirror
        When a person is looked at a second time, in the mirrored picture: ``never``, ``doubtful`` (seen from the side,
        or a limb badly seen) or ``always``. What both say counts (:func:`~posemill.people.readings.agreed`), and how
        far they are from it adds to sigma; where they do not agree, or a limb leaps, there are four more looks.
    """

    def __init__(self, networks: BlazePose, detection: Pixels, most: int, mirror: str = "never") -> None:
        self._networks, self._detection, self._mirror = networks, detection, mirror
        self._roster = Roster(most)
        self._regions: dict[int, Region] = {}
        self._last: dict[int, Region] = {}
        self._before: dict[int, Detection] = {}
        self._doubted: dict[int | None, float] = {}
        self._looked_s = _NEVER

    def detect(self, rgb: np.ndarray, time_s: float) -> list[Detection]:
        """People in a (H, W, 3) uint8 picture, each with their number, those seen longest first."""
        owned = list(self._owned(rgb, time_s))
        if len(owned) > 1:
            taken = self._roster.taken_over([c for c, _, _ in owned], time_s)
            owned = [one for one, gone in zip(owned, taken, strict=True) if not gone]
        missed = [p for p in self._missed(time_s) if not any(c.owner == p.number for c, _, _ in owned)]
        owned += list(self._behind(rgb, time_s, missed, [c for c, _, _ in owned]))
        due = time_s - self._looked_s >= _LOOK_S or not owned
        found = list(self._found(rgb, time_s, missed, [c for c, _, _ in owned])) if due or missed else []
        if due:
            self._looked_s = time_s
        everybody = owned + found
        numbers = self._roster.assign([candidate for candidate, _, _ in everybody], time_s)
        self._regions = {}
        detections: dict[int, Detection] = {}
        for number, (_, pose, detection) in zip(numbers, everybody, strict=True):
            if number is not None:
                self._regions[number] = self._last[number] = pose.region
                detections[number] = replace(detection, person=number)
        self._before = detections
        order = [p.number for p in self._roster.present(time_s, within_s=0.0)]
        return [detections[number] for number in order if number in detections]

    def _owned(self, rgb: np.ndarray, time_s: float) -> Iterator[tuple[Candidate, Pose, Detection]]:
        people = {person.number: person for person in self._roster.people}
        for number, region in self._regions.items():
            yield from self._look(rgb, _gone_on(region, people[number], time_s), number, time_s)

    def _behind(
        self, rgb: np.ndarray, time_s: float, missed: list[Person], seen: list[Candidate]
    ) -> Iterator[tuple[Candidate, Pose, Detection]]:
        """Look for the missed behind those who are seen, who are painted over: else the region shows them again."""
        for person in missed:
            region = self._last.get(person.number)
            before = [c for c in seen if np.linalg.norm(c.middle - person.expected(time_s)) < max(c.size, person.size)]
            if region is None or not before:
                continue
            yield from self._look(_painted_over(rgb, before), _gone_on(region, person, time_s), person.number, time_s)

    def _together(
        self, rgb: np.ndarray, region: Region, pose: Pose, owner: int | None, time_s: float
    ) -> Detection | None:
        """What the picture and its mirror image say together, and where these do not agree what more looks say.

        None where nobody is seen in the mirror.
        """
        height, width = rgb.shape[:2]
        before = self._before.get(owner) if owner is not None else None
        where = before.keypoints + 0.5 if before else None
        to_px = np.array([width, height, 1.0])
        mirrored = np.ascontiguousarray(rgb[:, ::-1])

        def looks(factor: float) -> list[np.ndarray]:
            part = replace(region, side=region.side * factor)
            there = pose if factor == 1 else self._networks.pose(rgb, part)
            back = self._networks.pose(mirrored, replace(part, x=width - part.x, rotation=-part.rotation))
            tables = [there and there.table, back and back.table[_FLIPPED] * [-1, 1, 1] + [1, 0, 0]]
            return [table * to_px for table in tables if table is not None]

        tables = looks(1.0)
        if len(tables) < 2:
            return None
        size = float(stature_px(np.mean(tables, axis=0)[:, :2], _JOINTS))
        said = agreed(np.array(tables), size, _JOINTS, where)
        leap = 0.0 if where is None else leapt(said.table[:, :2], where, size, _JOINTS)
        if said.contested.any() or said.spread[_LIMBS].max() > _APART * size or leap > _LEAP:
            self._doubted[owner] = time_s
        if time_s - self._doubted.get(owner, _NEVER) <= _DOUBT_S:
            tables += [table for factor in _OTHER_LOOKS for table in looks(factor)]
            said = agreed(np.array(tables), size, _JOINTS, where)
        both = self._detection(said.table / to_px, (width, height))
        return both and replace(both, sigma=np.hypot(both.sigma, said.spread), contested=said.contested)

    def _missed(self, time_s: float) -> list[Person]:
        return self._roster.present(time_s, within_s=_MISSED_S)

    def _found(
        self, rgb: np.ndarray, time_s: float, missed: list[Person], seen: list[Candidate]
    ) -> Iterator[tuple[Candidate, Pose, Detection]]:
        height, width = rgb.shape[:2]
        tall = max([c.size for c in seen] + [p.size for p in missed], default=0.0)
        places: list[tuple[int, int, int] | None] = [None]
        places += [_square(p.expected(time_s), _AROUND * p.size, width, height) for p in missed]
        if not tall and time_s - self._looked_s >= _LOOK_S:
            places += [tile for level in (1, 2) for tile in tiles(width, height, level)]
        new: list[Candidate] = []
        for place in places:
            for region in self._networks.find(rgb, place):
                if any(_inside(region, c) for c in seen + new):
                    continue
                for candidate, pose, detection in self._look(rgb, region, None, time_s):
                    new.append(candidate)
                    yield candidate, pose, detection
            if place is None and any(c.size > _TALL * height for c in new):
                break

    def _look(
        self, rgb: np.ndarray, region: Region, owner: int | None, time_s: float
    ) -> Iterator[tuple[Candidate, Pose, Detection]]:
        sought, pose = region, self._networks.pose(rgb, region)
        if pose and _moved(region, pose.region) and self._alone(region, owner, time_s):
            # Looked at again where they are, so that little depends on how long ago the picture before was taken.
            again = self._networks.pose(rgb, pose.region)
            region, pose = (pose.region, again) if again else (region, pose)
        size_px = (rgb.shape[1], rgb.shape[0])
        detection = self._detection(pose.table, size_px) if pose else None
        if pose is None or detection is None:
            return
        if self._mirror == "always" or (self._mirror == "doubtful" and _doubtful(detection)):
            detection = self._together(rgb, region, pose, owner, time_s) or detection
        limbs = detection.keypoints[_LIMBS]
        size = float(stature_px(detection.keypoints, _JOINTS))
        look = appearance(rgb, detection.keypoints, detection.valid, _JOINTS)
        after = pose.region
        shift = float(np.hypot(after.x - sought.x, after.y - sought.y)) / size
        yield Candidate(limbs, size, look, shift, owner, float(detection.score[_LIMBS].mean())), pose, detection

    def _alone(self, region: Region, owner: int | None, time_s: float) -> bool:
        """Whether nobody else is in a region, into whose body the pose might slip."""
        others = [p for p in self._missed(time_s) if p.number != owner]
        return all(np.hypot(*(p.expected(time_s) - (region.x, region.y))) > region.side / 2 for p in others)


def _gone_on(region: Region, person: Person, time_s: float) -> Region:
    """Where a person's region is if they went on as they went until they were seen in it."""
    x, y = person.expected(time_s) - person.middle
    return replace(region, x=region.x + float(x), y=region.y + float(y))


def _moved(region: Region, after: Region) -> bool:
    """Whether a person's region is no longer where, as large or as turned as it was."""
    away = np.hypot(after.x - region.x, after.y - region.y) / region.side
    turned = np.abs(np.angle(np.exp(1j * (after.rotation - region.rotation))))
    return bool(max(away, abs(np.log(after.side / region.side))) > _MOVED or turned > _TURNED)


def _doubtful(detection: Detection) -> bool:
    """Whether a pose is one of those that the network takes sides or limbs wrong in."""
    limbs = detection.keypoints[_LIMBS]
    hips, shoulders = np.linalg.norm(limbs[0] - limbs[3]), np.linalg.norm(limbs[6] - limbs[9])
    trunk = np.linalg.norm(limbs[[0, 3]].mean(0) - limbs[[6, 9]].mean(0))
    seen = detection.score[_LIMBS].min()
    return bool(seen < _WELL_SEEN or max(_HIPS_TO_SHOULDERS * hips, shoulders) < _SIDEWAYS * trunk)


def _painted_over(rgb: np.ndarray, people: list[Candidate]) -> np.ndarray:
    """The picture with people in one grey: trunk, limbs and head as wide as they are, and a little more."""
    import cv2

    picture = rgb.copy()
    grey = tuple(int(v) for v in rgb[::8, ::8].reshape(-1, 3).mean(0))
    for one in people:
        points = np.round(one.limbs).astype(np.int32)
        thick = max(1, round(0.10 * one.size))
        cv2.fillPoly(picture, [cv2.convexHull(points[[0, 3, 6, 9]])], grey)
        for a, b in _BONES:
            cv2.line(picture, points[a].tolist(), points[b].tolist(), grey, thick)
        neck, hips = one.limbs[[6, 9]].mean(0), one.limbs[[0, 3]].mean(0)
        head = neck + 0.45 * (neck - hips)
        cv2.circle(picture, np.round(head).astype(int).tolist(), round(0.09 * one.size), grey, -1)
    return picture


def _inside(region: Region, candidate: Candidate) -> bool:
    """Whether a found region is around somebody who is known already."""
    hips = candidate.limbs[[0, 3]].mean(0)
    return bool(np.hypot(region.x - hips[0], region.y - hips[1]) < 0.15 * candidate.size)


def _square(middle: np.ndarray, side: float, width: int, height: int) -> tuple[int, int, int]:
    """Square (left, top, side) px around a place, inside the picture as far as it goes."""
    size = int(min(side, width, height))
    left, top = (
        int(np.clip(at - size / 2, 0, limit - size)) for at, limit in zip(middle, (width, height), strict=True)
    )
    return left, top, size
