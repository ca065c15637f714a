"""What a benchmark says: a record for every figure, and the table that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from posemill.formats.records import Column, RecordBook, table
from posemill.metrics.benchmark import SIZE_GIVEN, Figure, Tally, over_tallies
from posemill.skeleton import joint_set

__all__ = ["fill", "report"]

_BODY = joint_set("h36m17")
_POOLED = "mean over frames and joints, views alike"
_PER_CLIP = "mean of each clip, clips alike"
_PER_SUBJECT = "mean of each subject, subjects alike"
_DISTRIBUTIONS = {
    "root_median": "median over frames",
    "mpjpe_worst_tenth": "mean over the tenth of the frames with the largest error",
    "p_mpjpe_worst_tenth": "mean over the tenth of the frames with the largest error",
}


def _sum(tallies: Sequence[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.take(tally)
    return total


def fill(book: RecordBook, tallies: Mapping[str, Mapping[str, Tally]]) -> None:
    """Add every figure of every clip, every subject and all together.

    Parameters
    ----------
    book
        With the fields that all figures share as its defaults.
    tallies
        Subject and clip to what was measured.
    """
    by_subject = {subject: _sum(list(clips.values())) for subject, clips in tallies.items()}
    by_clip = {f"{subject}/{clip}": tally for subject, clips in tallies.items() for clip, tally in clips.items()}
    everything = _sum(list(by_subject.values()))
    for part, tally in (("all", everything), *by_subject.items(), *by_clip.items()):
        _add(book, tally.values(), part, _POOLED, tally.frames)
    for averaging, parts in ((_PER_CLIP, by_clip), (_PER_SUBJECT, by_subject)):
        means = over_tallies(parts.values())
        _add(book, means, "all", averaging, everything.frames)
        if averaging == _PER_CLIP:
            _add(book, _like_h36m(means), "all", averaging, everything.frames)


def _like_h36m(means: dict[Figure, float]) -> dict[Figure, float]:
    """The averages that Human3.6M figures are, on other data: 17 joints with the root's exact 0, per action."""
    names = {("mpjpe", "root"): "h36m-p1-like", ("p_mpjpe", "similarity"): "h36m-p2-like"}
    return {
        Figure(f.metric, f.unit, names[f.metric, f.alignment], f.joints, f.alignment): value
        for f, value in means.items()
        if f.protocol == "posemill-17" and len(f.joints) == 17 and (f.metric, f.alignment) in names
    }


def _add(book: RecordBook, values: dict[Figure, float], part: str, averaging: str, frames: int) -> None:
    for f, value in values.items():
        known = bool(np.isfinite(value))
        book.add(
            f.metric,
            round(value, 4) if known else None,
            unit=f.unit,
            protocol=f.protocol,
            joints=f.joints,
            alignment=f.alignment,
            averaging=_DISTRIBUTIONS.get(f.metric, averaging),
            frames=frames,
            part=part,
            unknown="" if known else "the method gave no answer, or none in metres",
        )


_FOURTEEN = {"protocol": "posemill-14"}


def _columns() -> list[Column]:
    """Columns of the table; joints are given by their number where a protocol also reports single ones."""
    all_17 = {"protocol": "posemill-17", "joints": _BODY.joints}
    no_root = {"protocol": "posemill-17", "joints": _BODY.joints[1:]}
    pelvis = {"protocol": "posemill-17", "joints": ("pelvis",)}
    root = {"alignment": "root"}
    return [
        Column("frames", {**_FOURTEEN, "metric": "p_mpjpe", "show": "frames"}),
        Column("MPJPE 17", {**all_17, "metric": "mpjpe", **root}),
        Column("MPJPE 14", {**_FOURTEEN, "metric": "mpjpe", **root}),
        Column("14, height", {**_FOURTEEN, "metric": "mpjpe", "alignment": SIZE_GIVEN}),
        Column("N 14", {**_FOURTEEN, "metric": "n_mpjpe"}),
        Column("P 17", {**all_17, "metric": "p_mpjpe"}),
        Column("P 14", {**_FOURTEEN, "metric": "p_mpjpe"}),
        Column("P 12", {"protocol": "posemill-12", "metric": "p_mpjpe"}),
        Column("MPJVE 14", {**_FOURTEEN, "metric": "mpjve"}, 0),
        Column("accel", {**_FOURTEEN, "metric": "acceleration_error"}),
        Column("PCK", {**_FOURTEEN, "metric": "pck_150"}),
        Column("AUC", {**_FOURTEEN, "metric": "auc_150"}),
        Column("root", {**pelvis, "metric": "root"}, 0),
        Column("1 sigma x", {**no_root, "metric": "within_1_sigma_x"}),
        Column("y", {**no_root, "metric": "within_1_sigma_y"}),
        Column("z", {**no_root, "metric": "within_1_sigma_z"}),
    ]


def report(book: RecordBook, tallies: Mapping[str, Mapping[str, Tally]], title: str) -> str:
    """Make the table that people read of a book that :func:`fill` filled."""
    rows: list[tuple[str, dict[str, Any]]] = []
    for subject, clips in tallies.items():
        rows += [(f"{subject}/{clip}", {"part": f"{subject}/{clip}", "averaging": _POOLED}) for clip in clips]
    rule = ("", {"part": ""})
    rows += [rule, *((subject, {"part": subject, "averaging": _POOLED}) for subject in tallies), rule]
    for label, averaging in (("all, pooled", _POOLED), ("all, per clip", _PER_CLIP), ("all, subjects", _PER_SUBJECT)):
        rows.append((label, {"part": "all", "averaging": averaging}))
    first = next(iter(book))
    apart = [
        f"{r.joints[0]} {r.value:.1f}"
        for r in book
        if r.metric == "p_mpjpe" and len(r.joints) == 1 and r.part == "all" and r.averaging == _POOLED and r.value
    ]
    worst = [
        f"{r.protocol} {r.metric.removesuffix('_worst_tenth')} {r.value:.1f}"
        for r in book
        if "worst" in r.metric and r.part == "all" and r.value
    ]
    more = [
        f"P-MPJPE of single joints (aligned on 17, pooled): {', '.join(apart)}",
        f"worst tenth of the frames: {', '.join(worst)}",
        "mm; MPJVE mm/s; accel m/s²; PCK and AUC to 150 mm %; 14, height: size from the person's height; root: mean"
        " distance, placed with that height; sigma: share of errors within one",
    ]
    body = table(book, rows=rows, columns=_columns(), first="subject/clip")
    return "\n".join([f"{title}: {first.split}", "", body, *more]) + "\n"
