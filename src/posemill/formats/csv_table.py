"""Joint tables as plain CSV, one row per frame: opens in pandas, R, MATLAB and spreadsheets.

Columns: ``frame_index``, ``time_s``, then for each joint ``{joint}_x_m``, ``{joint}_y_m``, ``{joint}_z_m``,
``{joint}_sigma_x_m`` (and y, z), ``{joint}_valid`` (1 or 0), then ``{name}`` (1 or 0) for each flag given. A gap is an
empty cell, which pandas reads as NaN.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from posemill.arrays import Flags, Points3, Times
from posemill.errors import InputError, expected
from posemill.formats.atomic import write_bytes

__all__ = ["read_csv_table", "write_csv_table"]


def write_csv_table(
    path: Path,
    time_s: Times,
    joints: Points3,
    names: tuple[str, ...],
    *,
    sigma: Points3 | None = None,
    valid: Flags | None = None,
    flags: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write joints (T, J, 3) metres, any frame, to CSV, with six decimals: micrometres and microseconds.

    Parameters
    ----------
    time_s
        (T,) seconds.
    joints
        (T, J, 3) metres; NaN in gaps.
    names
        J joint names.
    sigma
        (T, J, 3) metres, standard deviation per axis.
    valid
        (T, J); default: where finite.
    flags
        Further (T,) booleans by column name.

    Raises
    ------
    InputError
        Shapes that do not fit together.
    """
    count = len(time_s)
    if joints.shape != (count, len(names), 3):
        raise InputError(expected("joints", (count, len(names), 3), joints.shape, where=path))
    known = np.isfinite(joints).all(-1) if valid is None else np.asarray(valid)
    flags = flags or {}
    header = ["frame_index", "time_s"]
    columns: list[list[str]] = [[str(i) for i in range(count)], [f"{t:.6f}" for t in time_s]]
    for index, name in enumerate(names):
        for axis, letter in enumerate("xyz"):
            header.append(f"{name}_{letter}_m")
            columns.append(_cells(np.where(known[:, index], joints[:, index, axis], np.nan)))
        if sigma is not None:
            for axis, letter in enumerate("xyz"):
                header.append(f"{name}_sigma_{letter}_m")
                columns.append(_cells(np.where(known[:, index], sigma[:, index, axis], np.nan)))
        header.append(f"{name}_valid")
        columns.append([str(int(v)) for v in known[:, index]])
    for name, flag in flags.items():
        header.append(name)
        columns.append([str(int(v)) for v in flag])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    write_bytes(Path(path), text.getvalue().encode())


def _cells(values: np.ndarray) -> list[str]:
    return [f"{value:.6f}" if np.isfinite(value) else "" for value in values + 0.0]


def read_csv_table(path: Path) -> dict[str, np.ndarray]:
    """Columns of a table as float64 arrays (T,) by name; an empty cell is NaN.

    Raises
    ------
    InputError
        No such file, rows of different length, or a cell that is not a number.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from None
    for line, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise InputError(expected(f"line {line}", f"{len(header)} cells", len(row), where=path))
    try:
        values = np.array([[float(cell) if cell else np.nan for cell in row] for row in rows], dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path}: expected numbers, got {error}") from None
    return {name: values.reshape(len(rows), len(header))[:, i] for i, name in enumerate(header)}
