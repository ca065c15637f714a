"""Where the body is if standing feet do not move: root and feet corrected together, by least squares over the clip.

Unknown are, per frame, a correction of the root and one of each ankle relative to the root. All of them change slowly
(Matérn processes of the stated sigmas, as errors of lifters and of placement do) and obey

- contacts: the part of the foot that rests is where it was a frame before;
- the floor: a resting part is at its height over it, unless it clearly stands on something else;
- the image: an ankle is seen where it is;
- the body: a leg is no longer than its bones, and no foot is below the floor.

The first three are linear; the last and the robust weights take a few rounds.

References
----------
Shen et al.: "World-Grounded Human Motion Recovery via Gravity-View Coordinates" (GVHMR), SIGGRAPH Asia 2024, for the
root that follows standing feet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posemill.arrays import Times, Vector3
from posemill.geometry import unit
from posemill.merging.contacts import FLAT, HEEL, TOE
from posemill.merging.equations import Equations, in_windows, matern, on_floor, still

__all__ = ["Evidence", "Planted", "plant"]

_N = 9
_ROUNDS = 4
# A resting ankle creeps by this much in a second, m; a heel or toe more, since how the foot is turned errs as well.
_CREEP, _SOLE_CREEP = 0.005, 0.05
# Errors last about this long in the root's place, the pose and the keypoints: so many seconds are one observation.
_ROOT_S, _POSE_S, _IMAGE_S = 0.15, 0.1, 0.5
# Root densities of the white accelerations of the root's correction and of a foot, m s^-1.5.
_ROOT_Q, _FOOT_Q = 0.5, 4.0
_HARD_M, _IMAGE_OUTLIER = 0.003, 2.0


@dataclass(frozen=True)
class Evidence:
    """What is known of one person's root and feet; world frame, m.

    Attributes
    ----------
    time
        (T,) seconds.
    root, hips, ankles
        (T, 3), (T, 2, 3), (T, 2, 3) as placed. All are known: frames without them are left out.
    states
        (T, 2) of :func:`posemill.merging.contacts.foot_states`.
    soles
        (T, 2, 2, 3) heel and big toe of each foot, relative to its ankle; NaN where unknown.
    axes, ankle_axes
        (T, 3, 3) and (T, 2, 3, 3) columns: two directions across the line of sight of the root (the ankle), and it.
    root_sigma, ankle_sigma
        (T, 3) and (T, 2, 3) along those axes; the ankles' relative to the root. An error that the whole
        path shares (scale, focal length) is left out: steps say less of it than place knows.
    seen, seen_sigma
        (T, 2, 3) points on the rays through the ankles' keypoints, at the ankles' depths, and (T, 2); NaN if unseen.
    leg_m
        Greatest distance (T, 2) of hip and ankle.
    ankle_m, sole_m, lowest_m
        Heights over the floor: of the ankle of a flat foot, of a heel or toe that bears it, and of the lowest ankle.
    """

    time: Times
    root: Vector3
    hips: Vector3
    ankles: Vector3
    states: np.ndarray
    soles: np.ndarray
    axes: np.ndarray
    ankle_axes: np.ndarray
    root_sigma: Vector3
    ankle_sigma: Vector3
    seen: Vector3
    seen_sigma: np.ndarray
    leg_m: np.ndarray
    ankle_m: float
    sole_m: float
    lowest_m: float


@dataclass(frozen=True)
class Planted:
    """Corrections in m, world: ``root`` (T, 3), and ``ankles`` (T, 2, 3) beyond the root's."""

    root: Vector3
    ankles: Vector3


def plant(evidence: Evidence, *, root: bool = True, floor: bool = True) -> Planted:
    """Solve for the corrections of root and ankles.

    Parameters
    ----------
    root
        False: the root stays, and only the feet are corrected.
    floor
        False: nothing is known of a floor at z = 0.
    """
    out = in_windows(len(evidence.time), lambda rows: _solve(_cut(evidence, rows), root, floor))
    return Planted(out[:, :3], out[:, 3:].reshape(-1, 2, 3))


def _cut(e: Evidence, rows: slice) -> Evidence:
    return replace(e, **{name: value[rows] for name, value in vars(e).items() if isinstance(value, np.ndarray)})


def _solve(e: Evidence, root: bool, floor: bool) -> np.ndarray:
    """Corrections (T, 9): the root's and both ankles', in the world."""
    frames = len(e.time)
    sigma = np.concatenate([e.root_sigma, e.ankle_sigma.reshape(-1, 6)], 1)
    # The unknowns are in units of their sigma, along the line of sight and across it.
    base = np.zeros((frames, 3, _N))
    shift = np.zeros((frames, 2, 3, _N))
    if root:
        base[:, :, :3] = e.axes * sigma[:, None, :3]
    for foot in range(2):
        columns = slice(3 + 3 * foot, 6 + 3 * foot)
        shift[:, foot, :, columns] = e.ankle_axes[:, foot] * sigma[:, None, columns]
    moved = base[:, None] + shift
    fixed = Equations(frames, _N)
    matern(fixed, e.time, np.repeat([1 / _ROOT_S, 1 / _POSE_S], [3, 6]))
    _contacts(fixed, e, moved)
    _smoothness(fixed, e, base, moved)
    answer = np.zeros((frames, _N))
    for k in range(_ROUNDS):
        rows = Equations(frames, _N, fixed)
        ankles = e.ankles + np.einsum("tfdn,tn->tfd", moved, answer)
        _image(rows, e, moved, ankles)
        if floor:
            _floor(rows, e, moved, ankles, first=k == 0)
        if k:
            _body(rows, e, shift, moved, answer, ankles, floor)
        answer = rows.solve()
    c = np.einsum("tdn,tn->td", base, answer)
    return np.concatenate([c, np.einsum("tfdn,tn->tfd", shift, answer).reshape(-1, 6)], 1)


def _resting(e: Evidence, foot: int) -> list[tuple[np.ndarray, np.ndarray, float, float]]:
    """Parts of a foot that can rest: frames (T,), place relative to the ankle (T, 3), height over the floor, creep."""
    state = e.states[:, foot]
    parts = [(state == FLAT, np.zeros((len(state), 3)), e.ankle_m, _CREEP)]
    for part, kind in enumerate((HEEL, TOE)):
        sole = e.soles[:, foot, part]
        parts.append(((state == kind) & np.isfinite(sole).all(-1), sole, e.sole_m, _SOLE_CREEP))
    return parts


def _contacts(rows: Equations, e: Evidence, moved: np.ndarray) -> None:
    """Parts that rest stay where they are."""
    for foot in range(2):
        for on, place, _, creep in _resting(e, foot):
            still(rows, e.time, on, e.ankles[:, foot] + np.nan_to_num(place), moved[:, foot], creep)


def _smoothness(rows: Equations, e: Evidence, base: np.ndarray, moved: np.ndarray) -> None:
    """The root's correction and the feet's paths have little acceleration: a foot is put down, not stopped."""
    if len(e.time) < 3:
        return
    a, b = np.diff(e.time)[:-1], np.diff(e.time)[1:]
    second = np.stack([2 / (a * (a + b)), -2 / (a * b), 2 / (b * (a + b))], -1) * np.sqrt((a + b) / 2)[:, None]
    frames = np.arange(len(a))[:, None] + np.arange(3)
    nowhere = np.zeros(e.root.shape)
    for q, path, motion in ((_ROOT_Q, nowhere, base), *((_FOOT_Q, e.ankles[:, f], moved[:, f]) for f in range(2))):
        blocks = motion[frames].transpose(0, 2, 1, 3) * second[:, None, :, None] / q
        rows.vectors(frames, blocks, -np.einsum("ts,tsd->td", second, path[frames]) / q)


def _image(rows: Equations, e: Evidence, moved: np.ndarray, ankles: np.ndarray) -> None:
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


def _floor(rows: Equations, e: Evidence, moved: np.ndarray, ankles: np.ndarray, *, first: bool) -> None:
    """A resting part is at its height over the floor."""
    for foot in range(2):
        for on, place, height, _ in _resting(e, foot):
            # The ankle is what moves: how high it is over a floor under the part.
            on_floor(rows, on, e.ankles[:, foot], ankles[:, foot], moved[:, foot], height - place[:, 2], first=first)


def _body(
    rows: Equations,
    e: Evidence,
    shift: np.ndarray,
    moved: np.ndarray,
    answer: np.ndarray,
    ankles: np.ndarray,
    floor: bool,
) -> None:
    """No leg is longer than its bones, and no foot below the floor, where the last round's answer has them so."""
    for foot in range(2):
        relative = np.einsum("tdn,tn->td", shift[:, foot], answer)
        leg = e.ankles[:, foot] - e.hips[:, foot]
        length = np.linalg.norm(leg + relative, axis=-1)
        k = np.flatnonzero(length > e.leg_m[:, foot] - _HARD_M)
        way = unit(leg + relative)[k]
        right = (e.leg_m[k, foot] - np.sum(way * leg[k], -1))[:, None]
        rows.vectors(k[:, None], (way[:, None] @ shift[k, foot])[:, :, None] / _HARD_M, right / _HARD_M)
        if floor:
            k = np.flatnonzero(ankles[:, foot, 2] < e.lowest_m + _HARD_M)
            right = (e.lowest_m - e.ankles[k, foot, 2])[:, None]
            blocks = moved[k, foot, 2][:, None, None]
            rows.vectors(k[:, None], blocks / _HARD_M, right / _HARD_M)
