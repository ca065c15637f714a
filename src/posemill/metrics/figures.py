"""The figures of a report: which errors of a clip each is made of, in which unit, over what averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from posemill.metrics.feet import contact_score
from posemill.metrics.pose import auc, pck
from posemill.metrics.uncertainty import mean_nll, reliability, share_within

__all__ = ["FIGURES", "JOINT_FIGURES", "Figure", "Values"]

Values = Callable[[str], np.ndarray]
"""From the name of a value (``posemill.metrics.compare``) to its array over several clips."""

_MM = 1000.0
MEAN = "mean over frames and joints alike"
_ROOT = "root"


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes
    ----------
    group, key
        Where it stands in the report; the key ends in the unit.
    metric, unit, alignment, averaging, counted
        As in :class:`posemill.formats.records.Record`.
    needs
        Values that it is made of.
    make
        From the values to the number in its unit; NaN if there is nothing to compare.
    joints
        ``protocol`` for the protocol's joints, else their names.
    """

    group: str
    key: str
    metric: str
    unit: str
    alignment: str
    averaging: str
    needs: tuple[str, ...]
    make: Callable[[Values], float]
    counted: str = "all"
    joints: tuple[str, ...] = ("protocol",)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _median(values: np.ndarray, percent: float = 50) -> float:
    return float(np.nanpercentile(values, percent)) if np.isfinite(values).any() else float("nan")


def _f1(v: Values) -> float:
    return float(100 * contact_score(v("contact").reshape(-1, 1), v("contact_truth").reshape(-1, 1)).f1[0])


def _poses(counted: str, aligned: str) -> Iterator[Figure]:
    """Figures of poses over the joints that count: the visible, or all."""

    def add(key: str, metric: str, unit: str, alignment: str, needs: str, make: Callable[[Values], float]) -> Figure:
        averaging = "median over frames and joints alike" if needs == "image" else MEAN
        return Figure(counted, key, metric, unit, alignment, averaging, (needs, counted), make, counted)

    yield add("mpjpe_mm", "mpjpe", "mm", _ROOT, "pose", lambda v: _MM * _mean(v("pose")[v(counted)]))
    yield add("p_mpjpe_mm", "p_mpjpe", "mm", "similarity", aligned, lambda v: _MM * _mean(v(aligned)[v(counted)]))
    yield add("pck_percent", "pck", "%", _ROOT, "pose", lambda v: 100 * pck(v("pose"), of=v(counted)))
    yield add("auc_percent", "auc", "%", _ROOT, "pose", lambda v: 100 * auc(v("pose"), of=v(counted)))
    yield add(
        "coverage_percent",
        "coverage",
        "%",
        _ROOT,
        "pose",
        lambda v: 100 * _mean(np.isfinite(v("pose")[v(counted)]).astype(float)),
    )
    yield add(
        "keypoints2d_percent", "keypoints2d", "%", "none", "image", lambda v: 100 * _median(v("image")[v(counted)])
    )


def _roots() -> Iterator[Figure]:
    reduced = {
        "mean": ("root", "root", "mean over frames", _mean),
        "median": ("root", "root", "median over frames", _median),
        "p90": ("root", "root", "90th percentile over frames", lambda x: _median(x, 90)),
        "depth_median": ("depth", "root_depth", "median over frames", _median),
        "lateral_median": ("lateral", "root_lateral", "median over frames", _median),
    }
    for key, (needs, metric, averaging, reduce) in reduced.items():
        yield Figure(
            "root_mm",
            key,
            metric,
            "mm",
            "none",
            averaging,
            (needs,),
            lambda v, reduce=reduce, needs=needs: _MM * reduce(v(needs)),
            joints=("root",),
        )


def _means() -> Iterator[Figure]:
    chunk = "of each chunk of 100 frames"
    rows = (
        ("motion", "n_mpjpe_mm", "n_mpjpe", "mm", _MM, "root and best scale of each frame", "scaled"),
        ("motion", "mpjve_mm_s", "mpjve", "mm/s", _MM, _ROOT, "velocity"),
        ("motion", "acceleration_m_s2", "acceleration", "m/s^2", 1.0, _ROOT, "acceleration"),
        ("motion", "jitter_m_s3", "jitter", "m/s^3", 1.0, "none", "jerk"),
        ("motion", "jitter_truth_m_s3", "jitter_truth", "m/s^3", 1.0, "none", "jerk_truth"),
        ("world", "w_mpjpe_mm", "w_mpjpe", "mm", _MM, f"similarity on the first two frames {chunk}", "w"),
        ("world", "wa_mpjpe_mm", "wa_mpjpe", "mm", _MM, f"similarity {chunk}", "wa"),
    )
    for group, key, metric, unit, factor, alignment, needs in rows:
        yield Figure(
            group,
            key,
            metric,
            unit,
            alignment,
            MEAN,
            (needs,),
            lambda v, needs=needs, factor=factor: factor * _mean(v(needs)),
        )
    yield Figure(
        "world",
        "rte_percent",
        "rte",
        "%",
        "rigid, of each clip",
        "mean over clips",
        ("rte",),
        lambda v: _mean(v("rte")),
        joints=("root",),
    )


def _feet() -> Iterator[Figure]:
    contact = ("contact", "contact_truth")
    yield Figure(
        "feet", "contact_f1_percent", "contact_f1", "%", "none", "frames and feet", contact, _f1, joints=("feet",)
    )
    ankles = ("left_ankle", "right_ankle")
    for name in ("sliding", "sliding_truth"):
        yield Figure(
            "feet",
            f"ankle_{name}_mm_s",
            f"joint_foot_{name}",
            "mm/s",
            "none",
            "mean over frames in true contact and feet",
            (name,),
            lambda v, name=name: _MM * _mean(v(name)),
            joints=ankles,
        )


def _axis(v: Values, axis: int) -> tuple[np.ndarray, np.ndarray]:
    return v("signed")[..., axis, None], v("sigma")[..., axis, None]


def _sigmas() -> Iterator[Figure]:
    both = ("signed", "sigma")
    for i, axis in enumerate("xyz"):
        for sigmas in (1, 2):
            yield Figure(
                "sigma",
                f"within_{sigmas}_{axis}_percent",
                f"sigma_within_{sigmas}_{axis}",
                "%",
                "none",
                MEAN,
                both,
                lambda v, i=i, sigmas=sigmas: 100 * float(share_within(*_axis(v, i), sigmas=sigmas)[0]),
            )
        yield Figure(
            "sigma",
            f"gap_{axis}_percent",
            f"sigma_gap_{axis}",
            "%",
            "none",
            "mean over ten central intervals",
            both,
            lambda v, i=i: 100 * float(reliability(*_axis(v, i)).gap[0]),
        )
    yield Figure(
        "sigma",
        "nll_nats",
        "sigma_nll",
        "nats, errors in m",
        "none",
        "mean over frames, joints and axes",
        both,
        lambda v: mean_nll(v("signed"), v("sigma")).value,
    )


FIGURES: tuple[Figure, ...] = (
    *_poses("visible", "aligned_visible"),
    *_poses("all", "aligned"),
    *_roots(),
    *_means(),
    *_feet(),
    *_sigmas(),
)
"""All but those of single joints."""


def _joint(values: np.ndarray, counts: np.ndarray, joint: int) -> np.ndarray:
    return values[:, joint][counts[:, joint]]


JOINT_FIGURES: tuple[tuple[str, str, str, str, str, str, Callable[[Values, int, str], float]], ...] = (
    ("mpjpe_mm", "mpjpe", "mm", _ROOT, MEAN, "pose", lambda v, j, of: _MM * _mean(_joint(v("pose"), v(of), j))),
    (
        "visible_percent",
        "visible",
        "%",
        "none",
        "mean over frames",
        "visible",
        lambda v, j, of: 100 * _mean(v("visible")[:, j].astype(float)),
    ),
    (
        "keypoints2d_percent",
        "keypoints2d",
        "%",
        "none",
        "median over frames",
        "image",
        lambda v, j, of: 100 * _median(_joint(v("image"), v(of), j)),
    ),
)
"""Of each joint: key, metric, unit, alignment, averaging, value needed, and the number of a joint that counts."""
