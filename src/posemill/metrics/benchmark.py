"""All measures of a benchmark, gathered clip by clip so that memory does not grow with the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from posemill.arrays import Points3, Times, Vector3
from posemill.metrics.motion import acceleration_errors, velocity_errors
from posemill.metrics.pose import auc, joint_errors, n_joint_errors, p_joint_errors, pck
from posemill.metrics.protocols import protocol
from posemill.metrics.reduce import pooled
from posemill.metrics.uncertainty import mean_nll, share_within
from posemill.metrics.world import root_error
from posemill.skeleton import joint_set

__all__ = ["APART", "PROTOCOLS", "SIZE_GIVEN", "Estimate", "Figure", "Tally", "over_tallies", "score"]

PROTOCOLS = ("posemill-12", "posemill-14", "posemill-17")
APART = ("spine", "neck_nose", "head_top")
"""Joints 7, 9 and 10, which data sets put in different places: also reported one by one."""
SIZE_GIVEN = "root, size from the height"
_BODY = joint_set("h36m17")
_MM = 1000.0
_WORST = 0.1


@dataclass(frozen=True)
class Figure:
    """What a number is of; see the fields of the same names of a record."""

    metric: str
    unit: str
    protocol: str
    joints: tuple[str, ...]
    alignment: str


@dataclass(frozen=True)
class Estimate:
    """A method's answer to one clip and the truth, camera axes; NaN where there is no answer.

    Attributes
    ----------
    time
        (T,) s.
    joints, sigma
        (T, 17, 3) each, relative to the pelvis, in the method's own unit.
    metric
        Whether that unit is metres.
    scale
        Metres per unit from the person's known height.
    root, root_sigma
        (T, 3) m, placed with that height.
    truth
        (T, 17, 3) m in front of the camera.
    """

    time: Times
    joints: Points3
    sigma: Points3
    metric: bool
    scale: float
    root: Vector3
    root_sigma: Vector3
    truth: Points3


@dataclass
class Tally:
    """Sums of what was measured, and the few values by frame whose distribution matters.

    Attributes
    ----------
    sums
        Sum and number of the values of each figure.
    samples
        Values by frame of figures that are no means, float32.
    frames
        Number of frames that were judged.
    """

    sums: dict[Figure, tuple[float, int]] = field(default_factory=dict)
    samples: dict[Figure, list[np.ndarray]] = field(default_factory=dict)
    frames: int = 0

    def add(self, figure: Figure, mean: float, count: int) -> None:
        """Add a mean over ``count`` values."""
        total, number = self.sums.get(figure, (0.0, 0))
        self.sums[figure] = (total + (mean * count if count else 0.0), number + count)

    def take(self, other: Tally) -> None:
        """Add another tally to this one."""
        for figure, (total, count) in other.sums.items():
            self.add(figure, total / count if count else 0.0, count)
        for figure, values in other.samples.items():
            self.samples.setdefault(figure, []).extend(values)
        self.frames += other.frames

    def values(self) -> dict[Figure, float]:
        """Every figure over all that was added; NaN where nothing counted."""
        means = {f: total / count if count else float("nan") for f, (total, count) in self.sums.items()}
        return means | {f: _DISTRIBUTIONS[f.metric](np.concatenate(values)) for f, values in self.samples.items()}


def _worst_tenth(values: np.ndarray) -> float:
    known = np.sort(values[np.isfinite(values)])
    return float(known[-max(1, round(_WORST * len(known))) :].mean(dtype=np.float64)) if len(known) else float("nan")


def _median(values: np.ndarray) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")


_DISTRIBUTIONS: dict[str, Callable[[np.ndarray], float]] = {
    "mpjpe_worst_tenth": _worst_tenth,
    "p_mpjpe_worst_tenth": _worst_tenth,
    "root_median": _median,
}


def over_tallies(tallies: Iterable[Tally]) -> dict[Figure, float]:
    """Unweighted mean over tallies (of clips, of subjects) of each figure that is a mean.

    NaN where one of them has nothing: the mean over the others would be of less than it says.
    """
    values = [{f: v for f, v in t.values().items() if f not in t.samples} for t in tallies]
    return {figure: float(np.mean([v.get(figure, np.nan) for v in values])) for figure in values[0]} if values else {}


def score(estimate: Estimate) -> Tally:
    """Measure one clip by every protocol."""
    e, tally = estimate, Tally(frames=len(estimate.time))
    relative = e.truth - e.truth[:, :1]
    own = e.joints if e.metric else np.full_like(e.joints, np.nan)
    sized = e.joints * e.scale
    for name in PROTOCOLS:
        _score_pose(tally, name, e.joints, own, sized, relative, e.time)
    _score_sigma(tally, sized, e.sigma * e.scale, relative)
    _score_root(tally, e.root, e.root_sigma, e.truth[:, 0])
    return tally


def _score_pose(
    tally: Tally, name: str, raw: Points3, own: Points3, sized: Points3, truth: Points3, time: Times
) -> None:
    joints = protocol(name).joints
    pick = _BODY.indices(joints)
    counts = np.zeros(truth.shape[:2], dtype=bool)
    counts[:, pick] = True

    def figure(metric: str, unit: str = "mm", alignment: str = "root", of: tuple[str, ...] = joints) -> Figure:
        return Figure(metric, unit, name, of, alignment)

    def put(target: Figure, errors: np.ndarray, factor: float = _MM) -> None:
        mean = pooled(errors)
        tally.add(target, factor * mean.value, mean.counted)

    plain = joint_errors(own, truth, root=0)[:, pick]
    given = joint_errors(sized, truth, root=0)[:, pick]
    aligned = p_joint_errors(raw[:, pick], truth[:, pick])
    put(figure("mpjpe"), plain)
    put(figure("mpjpe", alignment=SIZE_GIVEN), given)
    put(figure("p_mpjpe", alignment="similarity"), aligned)
    put(figure("n_mpjpe", alignment="scale"), n_joint_errors(raw, truth, root=0, valid=counts)[:, pick])
    if len(time) > 1:
        put(figure("mpjve", "mm/s"), velocity_errors(own, truth, time_s=time)[:, pick])
        put(figure("acceleration_error", "m/s²"), acceleration_errors(own, truth, time_s=time)[:, pick], 1.0)
    known = int(np.isfinite(plain).sum())
    tally.add(figure("pck_150", "%"), 100 * pck(plain), known)
    tally.add(figure("auc_150", "%"), 100 * auc(plain), known)
    put(figure("coverage", "%", "none"), np.isfinite(aligned).astype(float), 100.0)
    for metric, alignment, errors in (("mpjpe", "root", plain), ("p_mpjpe", "similarity", aligned)):
        by_frame = (_MM * errors.mean(-1)).astype(np.float32)
        tally.samples[figure(f"{metric}_worst_tenth", alignment=alignment)] = [by_frame]
        for joint in APART if name == "posemill-17" else ():
            put(figure(metric, alignment=alignment, of=(joint,)), errors[:, joints.index(joint)])


def _score_sigma(tally: Tally, sized: Points3, sigma: Points3, truth: Points3) -> None:
    """Calibration of the joints but the pelvis, which is the origin."""
    error, joints = (sized - truth)[:, 1:], _BODY.joints[1:]
    spread = np.where(sigma[:, 1:] > 0, sigma[:, 1:], np.nan)
    _put_sigma(tally, error, spread, "posemill-17", joints, SIZE_GIVEN, "")


def _score_root(tally: Tally, root: Vector3, sigma: Vector3, truth: Vector3) -> None:
    parts = root_error(root, truth)
    for metric, errors in (("root", parts.total), ("root_depth", parts.depth), ("root_lateral", parts.lateral)):
        mean = pooled(errors)
        tally.add(Figure(metric, "mm", "posemill-17", ("pelvis",), "none"), _MM * mean.value, mean.counted)
    tally.samples[Figure("root_median", "mm", "posemill-17", ("pelvis",), "none")] = [
        (_MM * parts.total).astype(np.float32)
    ]
    spread = np.where(sigma > 0, sigma, np.nan)
    _put_sigma(tally, root - truth, spread, "posemill-17", ("pelvis",), "none", "root_")


def _put_sigma(
    tally: Tally, error: np.ndarray, sigma: np.ndarray, name: str, joints: tuple[str, ...], alignment: str, prefix: str
) -> None:
    known = np.isfinite(error) & np.isfinite(sigma)
    shares = share_within(error.reshape(-1, 3), sigma.reshape(-1, 3))
    for axis, letter in enumerate("xyz"):
        figure = Figure(f"{prefix}within_1_sigma_{letter}", "%", name, joints, alignment)
        tally.add(figure, 100 * float(shares[axis]), int(known[..., axis].sum()))
    nll = mean_nll(error, sigma)
    tally.add(Figure(f"{prefix}nll", "nats (of metres)", name, joints, alignment), nll.value, nll.counted)
