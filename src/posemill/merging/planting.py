"""Where the body is if standing feet do not move: root and feet corrected together, by least squares over the clip.

Unknown are, per frame, a correction of the root and one of each ankle relative to the root. All of them change slowly
(Matérn processes of the stated sigmas, as errors of lifters and of placement do) and obey

- contacts: the part of the foot that rests is where it was a frame before;
- the floor: a resting part is at its height over it, unless it clearly stands on something else;
- the image: an ankle is seen where it is;
- the body: a leg is no longer than its bones, and no foot is below the floor.

The first three are linear; the last and the robust weights take a few rounds. How well root and ankles are known is
what the same equations leave open: an ankle on the floor is known better than the path that brought it there.

References
----------
Shen et al.: "World-Grounded Human Motion Recovery via Gravity-View Coordinates" (GVHMR), SIGGRAPH Asia 2024, for the
root that follows standing feet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from posemill.arrays import Vector3, part_of
from posemill.geometry import unit
from posemill.merging.banded import BandedSystem, in_windows, matern, on_floor, still
from posemill.merging.contacts import FLAT, HEEL, TOE
from posemill.merging.evidence import Evidence

__all__ = ["Planted", "plant"]

_N = 9
_ROUNDS = 4
# Of the sigma of the root's path this much changes within a step; the rest lasts, and steps say nothing of it.
_PASSING = 0.5
# A resting ankle creeps by this much in a second, m; a heel or toe more, since how the foot is turned errs as well.
_CREEP, _SOLE_CREEP = 0.005, 0.05
# Errors last about this long in the root's place, the pose and the keypoints: so many seconds are one observation.
_ROOT_S, _POSE_S, _IMAGE_S = 0.15, 0.1, 0.5
# Root densities of the white accelerations of the root's correction and of a foot, m s^-1.5.
_ROOT_Q, _FOOT_Q = 0.5, 4.0
_HARD_M, _IMAGE_OUTLIER = 0.003, 2.0


@dataclass(frozen=True)
class Planted:
    """Corrections, and how well is known what is corrected; m, world.

    Attributes
    ----------
    root, ankles
        (T, 3), and (T, 2, 3) beyond the root's.
    root_sigma, ankle_sigma
        (T, 3) and (T, 2, 3) of where root and ankles are then.
    """

    root: Vector3
    ankles: Vector3
    root_sigma: Vector3
    ankle_sigma: Vector3


def plant(evidence: Evidence, larger: Evidence | None = None, *, root: bool = True, floor: bool = True) -> Planted:
    """Solve for the corrections of root and ankles.

    Parameters
    ----------
    larger
        The same if what the whole path shares (scale, focal length) were wrong by one sigma; None: it is not.
    root
        False: the root stays, and only the feet are corrected.
    floor
        False: nothing is known of a floor at z = 0.
    """
    out = in_windows(
        len(evidence.time), lambda rows: _solve(part_of(evidence, rows), larger and part_of(larger, rows), root, floor)
    )
    sigma = np.sqrt(out[:, 9:])
    return Planted(out[:, :3], out[:, 3:9].reshape(-1, 2, 3), sigma[:, :3], sigma[:, 3:].reshape(-1, 2, 3))


class _Motion(NamedTuple):
    """How the unknowns, which are in units of their sigma, along the line of sight and across it, move points.

    ``base`` (T, 3, N) the root, ``shift`` (T, 2, 3, N) the ankles relative to it, ``moved`` (T, 2, 3, N) the ankles.
    """

    base: np.ndarray
    shift: np.ndarray
    moved: np.ndarray


def _motion(e: Evidence, root: bool) -> _Motion:
    frames = len(e.time)
    base, shift = np.zeros((frames, 3, _N)), np.zeros((frames, 2, 3, _N))
    if root:
        base[:, :, :3] = e.axes * (_PASSING * e.root_sigma)[:, None]
    for foot in range(2):
        shift[:, foot, :, 3 + 3 * foot : 6 + 3 * foot] = e.ankle_axes[:, foot] * e.ankle_sigma[:, foot, None]
    return _Motion(base, shift, base[:, None] + shift)


class _Last(NamedTuple):
    """The last round's ``answer`` (T, N), which has the ankles at (T, 2, 3), and how many rounds there were."""

    answer: np.ndarray
    ankles: Vector3
    rounds: int


def _solve(e: Evidence, larger: Evidence | None, root: bool, floor: bool) -> np.ndarray:
    """Corrections (T, 9) of the root and of both ankles beyond it, in the world, and variances (T, 9) of the three."""
    motion, frames = _motion(e, root), len(e.time)
    fixed = _fixed(e, motion)
    last, answer = _Last(np.zeros((frames, _N)), e.ankles, 0), np.zeros(0)
    rows = fixed
    for k in range(_ROUNDS):
        if k:
            last = _Last(answer, e.ankles + np.einsum("tfdn,tn->tfd", motion.moved, answer), k)
        rows = _round(fixed, e, motion, last, floor)
        answer = rows.solve()
    points = np.concatenate([motion.base[:, None], motion.moved], 1)
    variance = np.einsum("tpdn,tnm,tpdm->tpd", points, rows.covariance(), points)
    # Errors that last are no unknowns: where they take root and ankles is what the same equations answer to them.
    lasting = np.sqrt(1 - _PASSING**2 * root) * e.root_sigma
    variance += np.einsum("tdk,tk->td", e.axes[..., :2] ** 2, lasting[:, :2] ** 2)[:, None]
    farther = e.shifted(e.axes[..., 2] * lasting[:, 2:])
    for wrong in (farther,) if larger is None else (farther, larger):
        shift = np.concatenate([(wrong.root - e.root)[:, None], wrong.ankles - e.ankles], 1)
        answered = _round(_fixed(wrong, motion), wrong, motion, last, floor).solve() - answer
        variance += (shift + np.einsum("tpdn,tn->tpd", points, answered)) ** 2
    corrections = np.einsum("tdn,tn->td", motion.base, answer), np.einsum("tfdn,tn->tfd", motion.shift, answer)
    return np.concatenate([a.reshape(frames, -1) for a in (*corrections, variance)], 1)


def _fixed(e: Evidence, motion: _Motion) -> BandedSystem:
    """The equations that are the same in all rounds."""
    rows = BandedSystem(len(e.time), _N)
    matern(rows, e.time, np.repeat([1 / _ROOT_S, 1 / _POSE_S], [3, 6]))
    _contacts(rows, e, motion.moved)
    _smoothness(rows, e, motion)
    return rows


def _round(fixed: BandedSystem, e: Evidence, motion: _Motion, last: _Last, floor: bool) -> BandedSystem:
    """All equations of the round after ``last``."""
    rows = BandedSystem(len(e.time), _N, fixed)
    _image(rows, e, motion.moved, last.ankles)
    if floor:
        _floor(rows, e, motion.moved, last)
    if last.rounds:
        _body(rows, e, motion, last, floor)
    return rows


def _resting(e: Evidence, foot: int) -> list[tuple[np.ndarray, np.ndarray, float, float]]:
    """Parts of a foot that can rest: frames (T,), place relative to the ankle (T, 3), height over the floor, creep."""
    state = e.states[:, foot]
    parts = [(state == FLAT, np.zeros((len(state), 3)), e.ankle_m, _CREEP)]
    for part, kind in enumerate((HEEL, TOE)):
        sole = e.soles[:, foot, part]
        parts.append(((state == kind) & np.isfinite(sole).all(-1), sole, e.sole_m, _SOLE_CREEP))
    return parts


def _contacts(rows: BandedSystem, e: Evidence, moved: np.ndarray) -> None:
    """Parts that rest stay where they are."""
    for foot in range(2):
        for on, place, _, creep in _resting(e, foot):
            still(rows, e.time, on, e.ankles[:, foot] + np.nan_to_num(place), moved[:, foot], creep)


def _smoothness(rows: BandedSystem, e: Evidence, motion: _Motion) -> None:
    """The root's correction and the feet's paths have little acceleration: a foot is put down, not stopped."""
    if len(e.time) < 3:
        return
    a, b = np.diff(e.time)[:-1], np.diff(e.time)[1:]
    second = np.stack([2 / (a * (a + b)), -2 / (a * b), 2 / (b * (a + b))], -1) * np.sqrt((a + b) / 2)[:, None]
    frames = np.arange(len(a))[:, None] + np.arange(3)
    nowhere = np.zeros(e.root.shape)
    feet = ((_FOOT_Q, e.ankles[:, f], motion.moved[:, f]) for f in range(2))
    for q, path, moved in ((_ROOT_Q, nowhere, motion.base), *feet):
        blocks = moved[frames].transpose(0, 2, 1, 3) * second[:, None, :, None] / q
        rows.vectors(frames, blocks, -np.einsum("ts,tsd->td", second, path[frames]) / q)


def _image(rows: BandedSystem, e: Evidence, moved: np.ndarray, ankles: np.ndarray) -> None:
    """An ankle is across the line of sight where its keypoint is; a far outlier counts less and less."""
    step = np.gradient(e.time) if len(e.time) > 1 else np.ones(1)
    for foot in range(2):
        k = np.flatnonzero(np.isfinite(e.seen[:, foot]).all(-1) & (e.seen_sigma[:, foot] > 0))
        across = e.ankle_axes[k, foot][:, :, :2].transpose(0, 2, 1)
        miss = np.einsum("rad,rd->ra", across, e.seen[k, foot] - ankles[k, foot])
        sigma = e.seen_sigma[k, foot]
        accept = 1 / (1 + (miss**2).sum(-1) / (_IMAGE_OUTLIER * sigma) ** 2)
        weight = (np.minimum(np.sqrt(step[k] / _IMAGE_S), 1.0) * accept / sigma)[:, None]
        right = np.einsum("rad,rd->ra", across, e.seen[k, foot] - e.ankles[k, foot])
        blocks = (across @ moved[k, foot])[:, :, None] * weight[..., None, None]
        rows.vectors(k[:, None], blocks, right * weight)


def _floor(rows: BandedSystem, e: Evidence, moved: np.ndarray, last: _Last) -> None:
    """A resting part is at its height over the floor."""
    for foot in range(2):
        for on, place, height, _ in _resting(e, foot):
            # The ankle is what moves: how high it is over a floor under the part.
            now, first = last.ankles[:, foot], not last.rounds
            on_floor(rows, on, e.ankles[:, foot], now, moved[:, foot], height - place[:, 2], first=first)


def _body(rows: BandedSystem, e: Evidence, motion: _Motion, last: _Last, floor: bool) -> None:
    """No leg is longer than its bones, and no foot below the floor, where the last round's answer has them so."""
    for foot in range(2):
        relative = np.einsum("tdn,tn->td", motion.shift[:, foot], last.answer)
        leg = e.ankles[:, foot] - e.hips[:, foot]
        length = np.linalg.norm(leg + relative, axis=-1)
        k = np.flatnonzero(length > e.leg_m[:, foot] - _HARD_M)
        way = unit(leg + relative)[k]
        right = (e.leg_m[k, foot] - np.sum(way * leg[k], -1))[:, None]
        rows.vectors(k[:, None], (way[:, None] @ motion.shift[k, foot])[:, :, None] / _HARD_M, right / _HARD_M)
        if floor:
            k = np.flatnonzero(last.ankles[:, foot, 2] < e.lowest_m + _HARD_M)
            right = (e.lowest_m - e.ankles[k, foot, 2])[:, None]
            blocks = motion.moved[k, foot, 2][:, None, None]
            rows.vectors(k[:, None], blocks / _HARD_M, right / _HARD_M)
