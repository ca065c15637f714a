"""Where the body is if standing feet do not move: root and feet corrected together, by least squares over the clip.

Unknown are, per frame, a correction of the root and one of each ankle relative to the root. All of them change slowly
(Matérn processes of the stated sigmas, as errors of lifters and of placement do) and obey

- contacts: the part of the foot that rests is where it was a frame before;
- the floor: a resting part is at its height over it, unless it clearly stands on something else;
- the image: an ankle is seen where it is;
- the body: a leg is no longer than its bones, and no foot is below the floor.

The first three are linear; the last and the robust weights take a few rounds. The normal equations are banded, so that
the work grows with the clip's length.

References
----------
Shen et al.: "World-Grounded Human Motion Recovery via Gravity-View Coordinates" (GVHMR), SIGGRAPH Asia 2024, for the
root that follows standing feet. Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, for Matérn
processes as stochastic differential equations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solveh_banded
from scipy.sparse import coo_array

from posemill.arrays import Times, Vector3
from posemill.geometry import unit
from posemill.merging.contacts import FLAT, HEEL, TOE

__all__ = ["Evidence", "Planted", "plant"]

_N = 9
_BAND = 3 * _N
_ROUNDS = 4
# Window and overlap in frames: memory stays bounded in long clips.
_WINDOW, _OVERLAP = 4096, 512
# A resting part creeps by this much in a second, m; standing on something else than the floor is likelier from 0.06 m.
_CREEP, _FLOOR_SIGMA, _OTHER_FLOOR = 0.005, 0.02, 0.06
# Errors last about this long in the root's place, the pose and the keypoints: so many seconds are one observation.
_ROOT_S, _POSE_S, _IMAGE_S = 0.3, 0.1, 0.5
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
    frames = len(evidence.time)
    out = np.zeros((frames, _N))
    for start in range(0, max(frames - _OVERLAP, 1), _WINDOW - _OVERLAP):
        rows = slice(start, min(start + _WINDOW, frames))
        found = _solve(_cut(evidence, rows), root, floor)
        # Windows fade into each other; a foot that stands through the seam drifts over seconds by their difference.
        old = np.linspace(1, 0, _OVERLAP)[:, None] if start else np.zeros((0, 1))
        old = (
            np.concatenate([old, np.zeros((len(found) - len(old), 1))]) if len(old) < len(found) else old[: len(found)]
        )
        out[rows] = old * out[rows] + (1 - old) * found
        if rows.stop == frames:
            break
    return Planted(out[:, :3], out[:, 3:].reshape(-1, 2, 3))


def _cut(e: Evidence, rows: slice) -> Evidence:
    return replace(e, **{name: value[rows] for name, value in vars(e).items() if isinstance(value, np.ndarray)})


class _Rows:
    """Equations ``sum coefficient * unknown = right side``, each already divided by its sigma."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.count = 0
        self.parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.right: list[np.ndarray] = []

    def add(self, columns: np.ndarray, coefficients: np.ndarray, right: np.ndarray) -> None:
        """Equations of columns and coefficients (R, C) and right sides (R,)."""
        rows = self.count + np.arange(len(right))
        self.parts.append((np.repeat(rows, columns.shape[1]), columns.ravel(), coefficients.ravel()))
        self.right.append(right)
        self.count += len(right)

    def vectors(self, frame: np.ndarray, blocks: np.ndarray, right: np.ndarray) -> None:
        """Equations of blocks (R, D, C, 9) over the unknowns of frames (R, C), with right sides (R, D)."""
        count, dims, spans, _ = blocks.shape
        columns = np.repeat((frame[..., None] * _N + np.arange(_N))[:, None], dims, 1)
        shape = (count * dims, spans * _N)
        self.add(columns.reshape(shape), blocks.reshape(shape), right.reshape(-1))

    def solve(self) -> np.ndarray:
        """Least squares, (T, 9). Equations are of near frames only: a banded matrix."""
        unknowns = self.frames * _N
        row, column, value = (np.concatenate(p) for p in zip(*self.parts, strict=True))
        matrix = coo_array((value, (row, column)), shape=(self.count, unknowns)).tocsr()
        normal = (matrix.T @ matrix).tocsr()
        band = np.zeros((min(_BAND, unknowns), unknowns))
        for k in range(len(band)):
            band[k, : unknowns - k] = normal.diagonal(-k)
        answer = solveh_banded(band, matrix.T @ np.concatenate(self.right), lower=True)
        return answer.reshape(self.frames, _N)


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
    fixed = _Rows(frames)
    _processes(fixed, e.time)
    _contacts(fixed, e, moved)
    _smoothness(fixed, e, base, moved)
    answer = np.zeros((frames, _N))
    for k in range(_ROUNDS):
        rows = _Rows(frames)
        rows.count, rows.parts, rows.right = fixed.count, list(fixed.parts), list(fixed.right)
        ankles = e.ankles + np.einsum("tfdn,tn->tfd", moved, answer)
        _image(rows, e, moved, ankles)
        if floor:
            _floor(rows, e, moved, ankles, first=k == 0)
        if k:
            _body(rows, e, shift, moved, answer, ankles, floor)
        answer = rows.solve()
    c = np.einsum("tdn,tn->td", base, answer)
    return np.concatenate([c, np.einsum("tfdn,tn->tfd", shift, answer).reshape(-1, 6)], 1)


def _processes(rows: _Rows, time: Times) -> None:
    """Unit Matérn-3/2 processes: ``sqrt(dt / 4 λ³) (λ² u + 2 λ u' + u'') = white noise`` of variance 1."""
    frames = len(time)
    rate = np.repeat([1 / _ROOT_S, 1 / _POSE_S], [3, 6])
    every = np.arange(_N)
    # The start: variance 1 of the value and λ² of the slope.
    rows.add(every[:, None], np.ones((_N, 1)), np.zeros(_N))
    if frames < 2:
        return
    h = 1 / (rate * (time[1] - time[0]))
    rows.add(np.stack([every, every + _N], -1), np.stack([-h, h], -1), np.zeros(_N))
    if frames < 3:
        return
    a, b = np.diff(time)[:-1, None], np.diff(time)[1:, None]
    weight = np.sqrt((a + b) / 2 / (4 * rate**3))
    first = np.stack([-b / (a * (a + b)), (b - a) / (a * b), a / (b * (a + b))], -1)
    second = np.stack([2 / (a * (a + b)), -2 / (a * b), 2 / (b * (a + b))], -1)
    each = rate[:, None] ** 2 * np.array([0.0, 1, 0]) + 2 * rate[:, None] * first + second
    coefficients = each * weight[..., None]
    columns = (np.arange(frames - 2)[:, None, None] + np.arange(3)) * _N + every[:, None]
    rows.add(columns.reshape(-1, 3), coefficients.reshape(-1, 3), np.zeros(_N * (frames - 2)))


def _resting(e: Evidence, foot: int) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Parts of a foot that can rest: frames (T,), place relative to the ankle (T, 3), and height over the floor."""
    state = e.states[:, foot]
    parts = [(state == FLAT, np.zeros((len(state), 3)), e.ankle_m)]
    for part, kind in enumerate((HEEL, TOE)):
        sole = e.soles[:, foot, part]
        parts.append(((state == kind) & np.isfinite(sole).all(-1), sole, e.sole_m))
    return parts


def _contacts(rows: _Rows, e: Evidence, moved: np.ndarray) -> None:
    """A part that rests in two frames running is in the same place."""
    step = np.diff(e.time)
    for foot in range(2):
        for on, place, _ in _resting(e, foot):
            k = np.flatnonzero(on[1:] & on[:-1])
            point = e.ankles[:, foot] + np.nan_to_num(place)
            weight = (1 / (_CREEP * np.sqrt(step[k])))[:, None]
            blocks = np.stack([-moved[k, foot], moved[k + 1, foot]], 2) * weight[..., None, None]
            rows.vectors(np.stack([k, k + 1], -1), blocks, -(point[k + 1] - point[k]) * weight)


def _smoothness(rows: _Rows, e: Evidence, base: np.ndarray, moved: np.ndarray) -> None:
    """The root's correction and the feet's paths have little acceleration: a foot is put down, not stopped."""
    if len(e.time) < 3:
        return
    a, b = np.diff(e.time)[:-1], np.diff(e.time)[1:]
    second = np.stack([2 / (a * (a + b)), -2 / (a * b), 2 / (b * (a + b))], -1) * np.sqrt((a + b) / 2)[:, None]
    frames = np.arange(len(a))[:, None] + np.arange(3)
    still = np.zeros(e.root.shape)
    for q, path, motion in ((_ROOT_Q, still, base), *((_FOOT_Q, e.ankles[:, f], moved[:, f]) for f in range(2))):
        blocks = motion[frames].transpose(0, 2, 1, 3) * second[:, None, :, None] / q
        rows.vectors(frames, blocks, -np.einsum("ts,tsd->td", second, path[frames]) / q)


def _image(rows: _Rows, e: Evidence, moved: np.ndarray, ankles: np.ndarray) -> None:
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


def _floor(rows: _Rows, e: Evidence, moved: np.ndarray, ankles: np.ndarray, *, first: bool) -> None:
    """A resting part is at its height over the floor z = 0, or else on a step: the run decides as a whole."""
    for foot in range(2):
        for on, place, height in _resting(e, foot):
            edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]])))
            for start, stop in zip(edges[::2], edges[1::2], strict=True):
                k = np.arange(start, stop)
                over = height - place[k, 2]
                miss = float(np.median(ankles[k, foot, 2] - over))
                likely = 1 / (1 + (miss / (_OTHER_FLOOR * (2 if first else 1))) ** 2) ** 2
                weight = np.sqrt(likely / len(k)) / _FLOOR_SIGMA
                right = (over - e.ankles[k, foot, 2]) * weight
                rows.vectors(k[:, None], moved[k, foot, 2][:, None, None] * weight, right[:, None])


def _body(
    rows: _Rows,
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
