"""Tables in which every cell is the value of one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posemill.formats.records import RecordBook

__all__ = ["Column", "table"]


@dataclass(frozen=True)
class Column:
    """A column of :func:`table`.

    Attributes
    ----------
    head
        Its first line.
    wanted
        Fields that choose the record, with those of the row.
    digits
        After the decimal point.
    text
        Label of a row to its cell, of a column that is not made of records (how many frames of how many, say).
    """

    head: str
    wanted: Mapping[str, Any]
    digits: int = 1
    text: Mapping[str, str] | None = None


def table(
    book: RecordBook, *, rows: Sequence[tuple[str, Mapping[str, Any]]], columns: Sequence[Column], first: str = ""
) -> str:
    """Plain text in which each cell is the value of the one record that row and column choose together.

    Parameters
    ----------
    rows
        Label and fields; an empty label draws a rule.
    columns
        A column may name ``frames`` as the field ``show`` (default ``value``).
    first
        Head of the column of labels.

    Returns
    -------
    Lines; ``-`` where there is no record, or its value is unknown.
    """
    lines = [[first, *(c.head for c in columns)]]
    lines += [[label, *(_cell(book, label, wanted, c) if label else "" for c in columns)] for label, wanted in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]).rstrip()
        for line in lines
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    body = [rule if not label else line for (label, _), line in zip(rows, text[1:], strict=True)]
    return "\n".join([text[0], rule, *body]) + "\n"


def _cell(book: RecordBook, label: str, row: Mapping[str, Any], column: Column) -> str:
    if column.text is not None:
        return column.text.get(label, "")
    wanted = {**row, **column.wanted}
    show = wanted.pop("show", "value")
    record = book.find(**wanted)
    value = None if record is None else getattr(record, show)
    return "-" if value is None else str(value) if show == "frames" else f"{value:.{column.digits}f}"
