from __future__ import annotations

import json
from typing import Any

import pytest

from posemill.errors import InputError
from posemill.formats.records import Column, RecordBook, read_records, table, write_records

COMPLETE: dict[str, Any] = {
    "unit": "mm",
    "protocol": "posemill-12",
    "joints": ("left_knee", "right_knee"),
    "alignment": "root",
    "averaging": "mean over frames and joints",
    "data": {"truth.h5": "a" * 64},
    "split": "S1: walk",
    "source_2d": {"name": "exact"},
    "method": {"name": "linear", "options": {"flip": True}, "weights": ""},
    "code": "c0de",
    "frames": 50,
    "command": ["posemill", "evaluate", "m.h5", "truth.h5"],
}


@pytest.mark.parametrize("field", COMPLETE)
def test_a_number_without_a_complete_record_is_refused(field):
    with pytest.raises(InputError, match=f"record of mpjpe: missing {field}"):
        RecordBook(**{name: value for name, value in COMPLETE.items() if name != field}).add("mpjpe", 41.3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("unit", ""),
        ("joints", ()),
        ("joints", "left_knee"),
        ("data", {}),
        ("data", {"truth.h5": "abc"}),
        ("source_2d", {}),
        ("frames", -1),
        ("frames", 2.5),
        ("command", ()),
    ],
)
def test_an_empty_field_is_refused_by_name(field, value):
    with pytest.raises(InputError, match=f"record of mpjpe: {field}"):
        RecordBook(**COMPLETE).add("mpjpe", 41.3, **{field: value})


def test_parts_of_method_and_source_are_needed():
    for part in ("name", "options", "weights"):
        method = {name: value for name, value in COMPLETE["method"].items() if name != part}
        with pytest.raises(InputError, match=f"missing method {part}"):
            RecordBook(**COMPLETE).add("mpjpe", 41.3, method=method)
    with pytest.raises(InputError, match="missing source_2d name"):
        RecordBook(**COMPLETE).add("mpjpe", 41.3, source_2d={"sha256": "x"})


def test_nan_needs_a_reason_and_a_number_none():
    book = RecordBook(**COMPLETE)
    for value in (float("nan"), float("inf"), None, "many"):
        with pytest.raises(InputError, match="value"):
            book.add("rte", value)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="because"):
        book.add("rte", 1.0, unknown="no motion")
    assert book.add("rte", float("nan"), unknown="no motion").value is None


def test_unknown_fields_and_second_numbers_are_refused():
    book = RecordBook(**COMPLETE)
    book.add("mpjpe", 41.3)
    book.add("mpjpe", 41.3)
    assert len(book) == 1
    with pytest.raises(InputError, match="expected one number"):
        book.add("mpjpe", 41.4)
    with pytest.raises(InputError, match="colour"):
        book.add("mpjpe", 41.3, colour="red")


def test_file_gives_the_book_back_and_the_same_bytes(tmp_path):
    book = RecordBook(**COMPLETE)
    for part in ("walk", "all"):
        for metric, value in (("mpjpe", 41.3), ("p_mpjpe", 30.0)):
            book.add(metric, value, part=part, accepted=("shift",))
    book.add("rte", None, unknown="no motion")
    write_records(tmp_path / "a.json", book, {"more": 1})
    again = read_records(tmp_path / "a.json")
    assert again == book and len(again) == 5
    write_records(tmp_path / "b.json", again, {"more": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert len(json.loads((tmp_path / "a.json").read_text())["contexts"]) == 2


def test_a_file_with_a_damaged_record_is_refused(tmp_path):
    book = RecordBook(**COMPLETE)
    book.add("mpjpe", 41.3)
    write_records(tmp_path / "a.json", book)
    document = json.loads((tmp_path / "a.json").read_text())
    for damage in ({"frames": None}, {"context": "none"}, {"value": None}):
        broken = document | {"records": [document["records"][0] | damage]}
        (tmp_path / "b.json").write_text(json.dumps(broken))
        with pytest.raises(InputError, match=r"b\.json"):
            read_records(tmp_path / "b.json")
    for text in ("not json", "[]", "{}"):
        (tmp_path / "b.json").write_text(text)
        with pytest.raises(InputError, match="expected posemill records"):
            read_records(tmp_path / "b.json")


def test_table_by_hand():
    book = RecordBook(**COMPLETE)
    book.add("mpjpe", 41.34, part="walk")
    book.add("mpjpe", 50.0, part="all")
    book.add("rte", None, part="walk", unknown="no motion")
    text = table(
        book,
        first="clip",
        rows=[("walk", {"part": "walk"}), ("", {}), ("all clips", {"part": "all"})],
        columns=[
            Column("MPJPE", {"metric": "mpjpe"}),
            Column("RTE", {"metric": "rte"}, 2),
            Column("n", {"metric": "mpjpe", "show": "frames"}),
            Column("of", {}, text={"walk": "50/60"}),
        ],
    )
    assert text.splitlines() == [
        "clip       MPJPE  RTE   n     of",
        "-" * 32,
        "walk        41.3    -  50  50/60",
        "-" * 32,
        "all clips   50.0    -  50",
    ]
    with pytest.raises(InputError, match="expected one, got 2"):
        table(book, rows=[("x", {})], columns=[Column("MPJPE", {"metric": "mpjpe"})])
