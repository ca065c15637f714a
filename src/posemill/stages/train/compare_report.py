"""What a comparison of lifters says: ratios as records, and the tables that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from posemill.formats.records import Column, Record, RecordBook, table
from posemill.skeleton import JOINT_SETS
from posemill.stages.train.compare_rows import BARS, Bar
from posemill.training.held_out import FOURTEEN

__all__ = ["FIGURES", "SOURCES", "Figure", "add_bars", "report"]

SOURCES = ("exact", "noisy")
"""2D that is measured on; what they are says :data:`posemill.stages.train.calibration.SOURCES`."""

_BODY = JOINT_SETS["h36m17"].joints
_FOURTEEN = [_BODY[joint] for joint in FOURTEEN]


@dataclass(frozen=True)
class Figure:
    """An error, and the field of :class:`posemill.training.held_out.HeldOut` that it is."""

    head: str
    metric: str
    attribute: str
    joints: Sequence[str]
    alignment: str

    @property
    def wanted(self) -> dict[str, Any]:
        """What chooses its record."""
        return {"metric": self.metric, "joints": tuple(self.joints)}


_GIVEN = "root, size given"
FIGURES = (
    Figure("MPJPE 14", "mpjpe", "mpjpe14", _FOURTEEN, _GIVEN),
    Figure("P 14", "p_mpjpe", "p_mpjpe14", _FOURTEEN, "similarity"),
    Figure("MPJPE 17", "mpjpe", "mpjpe17", _BODY, _GIVEN),
    Figure("P 17", "p_mpjpe", "p_mpjpe17", _BODY, "similarity"),
)
_COSTS = (("parameters", "parameters"), ("steps", "steps"), ("frames seen", "frames_seen"), ("train s", "training"))


def add_bars(book: RecordBook) -> None:
    """Add the ratio of every bar whose two rows are there, on every source."""
    for bar in BARS:
        for source in SOURCES:
            ours, others = (_error(book, label, bar, source) for label in (bar.label, bar.other))
            if ours is None or others is None or ours.value is None or not others.value:
                continue
            book.add(
                f"ratio of {bar.metric}",
                ours.value / others.value,
                unit=f"of {bar.other}",
                part=f"{bar.label} / {bar.other}",
                method=ours.method,
                source_2d=ours.source_2d,
                joints=ours.joints,
                alignment=ours.alignment,
            )


def _error(book: RecordBook, label: str, bar: Bar, source: str) -> Record | None:
    found = [
        r
        for r in book
        if (r.part, r.metric, r.joints, r.source_2d["name"]) == (label, bar.metric, tuple(_FOURTEEN), source)
    ]
    return found[0] if found else None


def report(book: RecordBook, labels: Sequence[str], supervision: Mapping[str, str], seconds: float) -> str:
    """Tables of costs and errors, of the bars, and what 3D each row saw.

    Parameters
    ----------
    labels
        Rows in order; "" draws a rule.
    """
    by_source = {source: _sources(book, source) for source in SOURCES}
    rows = [(label, {"part": label}) for label in labels]
    columns = [Column(head, {"metric": metric}, digits=0) for head, metric in _COSTS]
    columns.append(Column("frames/s", {"metric": "speed"}, digits=0))
    for source in SOURCES:
        columns += [
            Column(f"{source}: {figure.head}" if i == 0 else figure.head, figure.wanted | by_source[source])
            for i, figure in enumerate(FIGURES)
        ]
    first = next(iter(book))
    text = f"{seconds:g} s of training each, one thread. {first.split}.\n"
    text += "Errors in mm: MPJPE about the pelvis with the person's size given, P: similarity per frame.\n\n"
    text += table(book, rows=rows, columns=columns, first="lifter")
    bars = [(f"{bar.label} / {bar.other}", {"part": f"{bar.label} / {bar.other}"}) for bar in BARS]
    bars = [(label, wanted) for label, wanted in bars if any(record.part == label for record in book)]
    if bars:
        named = {f"{bar.label} / {bar.other}": bar for bar in BARS}
        limits = {label: f"{named[label].factor:g}" for label, _ in bars}
        metrics = {label: {"mpjpe": "MPJPE 14", "p_mpjpe": "P-MPJPE 14"}[named[label].metric] for label, _ in bars}
        columns = [Column("of", {}, text=metrics), Column("at most", {}, text=limits)]
        columns += [Column(source, by_source[source], digits=2) for source in SOURCES]
        columns.append(Column("", {}, text={label: _verdict(book, named[label]) for label, _ in bars}))
        text += "\n" + table(book, rows=bars, columns=columns, first="ratio")
    if supervision:
        text += "\n3D that was seen (in full: posemill card of the weights)\n"
        text += "".join(f"  {label}: {shorten(said, 160, placeholder=' ...')}\n" for label, said in supervision.items())
    return text


def _sources(book: RecordBook, name: str) -> dict[str, Any]:
    return next(({"source_2d": r.source_2d} for r in book if r.source_2d["name"] == name), {})


def _verdict(book: RecordBook, bar: Bar) -> str:
    part = f"{bar.label} / {bar.other}"
    met = [
        source
        for source in SOURCES
        if any(
            r.part == part and r.source_2d["name"] == source and r.value is not None and r.value <= bar.factor
            for r in book
        )
    ]
    return "met" if len(met) == len(SOURCES) else f"met on {met[0]} 2D alone" if met else "not met"
