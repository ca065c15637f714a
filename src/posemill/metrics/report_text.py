"""The tables of an evaluation; every number in them is a record's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from posemill.formats.records import Column, RecordBook, table
from posemill.metrics.pairing import ClipErrors
from posemill.metrics.protocols import Protocol
from posemill.metrics.report import joint_names

__all__ = ["report_text"]


def report_text(
    book: RecordBook,
    chosen: Protocol,
    extra: Mapping[str, Any],
    parts: Mapping[str, Sequence[ClipErrors]],
    totals: Mapping[str, Sequence[ClipErrors]],
) -> str:
    """Everything that people read of an evaluation.

    Parameters
    ----------
    extra
        What the file has beside the records.
    parts, totals
        Name of the records' part to its clips, for each line of the tables.
    """

    def line(part: str, some: Sequence[ClipErrors], suffix: str) -> tuple[str, str, str]:
        return f"{part}{suffix}", part, f"{sum(r.frames for r in some)}/{sum(r.frames_truth for r in some)}"

    rows = [line(part, some, f" [{some[0].frame}]") for part, some in parts.items()]
    pooled = [line(part, some, "") for part, some in totals.items()]
    files = "; ".join(f"{i['prediction']['file']} against {i['truth']['file']}" for i in extra["inputs"])
    seen = "visible" if any("visible" in r.values for some in parts.values() for r in some) else "all"
    out = [
        f"{extra['subject']}: {files}",
        f"{chosen.name}: {len(joint_names(chosen)[0])} joints"
        f"{' that the truth says are visible' if seen == 'visible' else ''}; mm; 2D as % of the person's height; "
        "root in [frame]; frames evaluated/true",
        "",
        _tables(book, chosen, rows, pooled).rstrip("\n"),
    ]
    for frame, names in extra["left_out"].items():
        by_reason: dict[str, list[str]] = {}
        for name, reason in names.items():
            by_reason.setdefault(reason, []).append(name)
        out += [f"left out [{frame}]: {', '.join(some)}: {reason}" for reason, some in by_reason.items()]
    for name, said in extra["accepted"].items():
        out += [f"accepted: {name}: {part}: {text}" for part, text in said.items()]
    out += [f"failed: {name}: {reason}" for name, reason in extra["failed"].items()]
    out += [f"not in the truth: {', '.join(extra['not_in_truth'])}"] if extra["not_in_truth"] else []
    out += [f"not predicted: {', '.join(extra['not_predicted'])}"] if extra["not_predicted"] else []
    return "\n".join(out) + "\n"


def _tables(
    book: RecordBook, chosen: Protocol, rows: Sequence[tuple[str, str, str]], totals: Sequence[tuple[str, str, str]]
) -> str:
    """Tables of the figures in the book.

    Parameters
    ----------
    rows, totals
        Label, part of the records and the number of frames as text, for each line above and below the rule.
    """
    joints, apart = joint_names(chosen)
    lines = [(label, {"part": part}) for label, part, _ in rows]
    lines += [("", {})] + [(label, {"part": part}) for label, part, _ in totals] if totals else []
    frames = {label: text for label, _, text in (*rows, *totals)}
    counted = "visible" if any(r.counted == "visible" for r in book) else "all"

    def pose(head: str, metric: str, digits: int = 1, of: str = counted) -> Column:
        return Column(head, {"metric": metric, "joints": joints, "counted": of}, digits)

    def root(head: str, metric: str, averaging: str) -> Column:
        return Column(head, {"metric": metric, "averaging": f"{averaging} over frames"})

    first = [
        Column("frames", {}, text=frames),
        pose("2D med %", "keypoints2d", 2),
        pose("MPJPE", "mpjpe"),
        pose("P-MPJPE", "p_mpjpe"),
        root("root mean", "root", "mean"),
        root("median", "root", "median"),
        root("depth", "root_depth", "median"),
        root("lateral", "root_lateral", "median"),
        pose("cover %", "coverage"),
    ]
    second = [
        *(pose("N-MPJPE", "n_mpjpe", of="all"), pose("PCK %", "pck"), pose("AUC %", "auc")),
        *(pose("MPJVE mm/s", "mpjve", of="all"), pose("accel m/s2", "acceleration", 2, of="all")),
        *(pose("jitter m/s3", "jitter", of="all"), pose("true jitter", "jitter_truth", of="all")),
    ]
    third = [
        *(pose("W-MPJPE", "w_mpjpe", of="all"), pose("WA-MPJPE", "wa_mpjpe", of="all")),
        *(Column("RTE %", {"metric": "rte"}), Column("contact F1 %", {"metric": "contact_f1"})),
        Column("ankle slide mm/s", {"metric": "joint_foot_sliding"}),
        Column("true ankle", {"metric": "joint_foot_sliding_truth"}),
        *(Column(f"in 1 sigma {axis} %", {"metric": f"sigma_within_1_{axis}"}) for axis in "xyz"),
    ]
    fourth = [
        Column(f"{name} (apart)", {"metric": "mpjpe", "joints": (name,), "counted": "defined otherwise by the truth"})
        for name in apart
    ]
    tables = [table(book, rows=lines, columns=first, first="clip")]
    for columns in (second, third, fourth):
        shown = [c for c in columns if any(book.find(**{**row, **c.wanted}) for _, row in lines if row)]
        if shown:
            tables.append(table(book, rows=lines, columns=shown, first="clip"))
    actions = sorted({r.part for r in book if r.part.startswith("action ")})
    if actions:
        columns = [Column(m, {"metric": m, "joints": joints}) for m in chosen.metrics]
        by_action = [(a, {"part": a}) for a in actions] + [
            ("", {}),
            ("mean over actions", {"part": "mean over actions"}),
        ]
        tables.append(
            table(
                book,
                rows=by_action,
                columns=[Column("frames", {"show": "frames", "metric": chosen.metrics[0]}), *columns],
            )
        )
    return "\n".join(tables)
