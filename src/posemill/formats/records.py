"""A record for every number: what it is the mean of, and what it was made from.

A figure without its protocol, data, weights and code cannot be compared or repeated, so a :class:`RecordBook` refuses
it. The file is JSON: ``records``, and ``contexts`` with what many records share (data, method, command, ...), by the
hash of their content; :func:`read_records` puts both together again. Equal books give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from posemill.errors import InputError, expected
from posemill.formats.atomic import write_bytes
from posemill.formats.record_table import Column, table

__all__ = [
    "KIND",
    "Column",
    "Record",
    "RecordBook",
    "from_document",
    "read_document",
    "read_records",
    "table",
    "to_document",
    "write_records",
]

KIND = "posemill records"
VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHARED = ("protocol", "data", "split", "source_2d", "method", "code", "command", "accepted")
_METHOD = ("name", "options", "weights")


@dataclass(frozen=True)
class Record:
    """One number.

    Attributes
    ----------
    metric, value, unit
        ``mpjpe``, 41.3, ``mm``. The value is None where ``unknown`` says why there is none.
    protocol
        Name of the protocol, as in ``posemill.metrics.protocols``.
    joints
        Names of the joints (or bones, feet, axes) that count.
    alignment
        What was taken out before: ``none``, ``root``, ``scale``, ``similarity``, ...
    averaging
        Over what, and how: ``mean over frames and joints``.
    data
        Name to SHA-256 of every file that the number was computed from.
    split
        Which part of the data: subjects, clips, held out or not.
    source_2d
        Where the keypoints came from (``name``, and what else is known).
    method
        ``name``, ``options`` and ``weights`` (SHA-256, "" for none) of what is judged.
    code
        Hash of the code that judged.
    frames
        Number of frames evaluated.
    command
        What repeats it; files by name, without folders.
    part
        The row that it belongs to: ``all``, or a clip, an action, a subject.
    counted
        Which values count: ``all``, ``visible``, ...
    unknown
        Why there is no value; "" if there is one.
    accepted
        Suspicions of the plausibility checks that the user accepted.
    """

    metric: str
    value: float | None
    unit: str
    protocol: str
    joints: tuple[str, ...]
    alignment: str
    averaging: str
    data: dict[str, str]
    split: str
    source_2d: dict[str, Any]
    method: dict[str, Any]
    code: str
    frames: int
    command: tuple[str, ...]
    part: str = "all"
    counted: str = "all"
    unknown: str = ""
    accepted: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """What tells this number from the others of its book."""
        return (
            str(self.method["name"]),
            str(self.source_2d["name"]),
            self.protocol,
            self.split,
            self.part,
            self.counted,
            self.metric,
            self.averaging,
            self.alignment,
            *self.joints,
        )


_FIELDS = tuple(f.name for f in fields(Record))
_NEEDED = tuple(name for name in _FIELDS if name not in ("part", "counted", "unknown", "accepted"))
_TEXTS = ("metric", "unit", "protocol", "alignment", "averaging", "split", "code", "part", "counted")
_LISTS = ("joints", "command", "accepted")


def _refuse(field: str, want: str, got: object, metric: object) -> InputError:
    return InputError(expected(f"record of {metric}: {field}", want, repr(got)))


def _checked(given: Mapping[str, Any]) -> Record:
    """Make a record of fields, or refuse the number and name the field."""
    metric = given.get("metric", "a number")
    foreign = sorted(set(given) - set(_FIELDS))
    if foreign:
        raise InputError(expected(f"record of {metric}: fields", ", ".join(_FIELDS), ", ".join(foreign)))
    for name in _NEEDED:
        if name not in given:
            raise InputError(f"record of {metric}: missing {name}; a number without a complete record is refused")
    values: dict[str, Any] = dict(given)
    for name in _TEXTS:
        if name in values and not (isinstance(values[name], str) and values[name].strip()):
            raise _refuse(name, "some text", values[name], metric)
    for name in _LISTS:
        if name in values:
            if isinstance(values[name], str) or not all(isinstance(part, str) for part in values[name]):
                raise _refuse(name, "a list of names", values[name], metric)
            values[name] = tuple(values[name])
    for name in ("joints", "command"):
        if not values[name]:
            raise _refuse(name, "at least one entry", values[name], metric)
    _check_mappings(values, metric)
    if isinstance(values["frames"], bool) or not isinstance(values["frames"], int) or values["frames"] < 0:
        raise _refuse("frames", "the number of frames evaluated", values["frames"], metric)
    values["value"] = _value(values, metric)
    return Record(**values)


def _check_mappings(values: dict[str, Any], metric: object) -> None:
    for name in ("data", "source_2d", "method"):
        if not isinstance(values[name], Mapping) or not values[name]:
            raise _refuse(name, "a mapping with entries", values[name], metric)
        try:
            # The same after a trip through the file: lists for tuples, texts for keys, no NaN inside.
            values[name] = json.loads(json.dumps(values[name], allow_nan=False))
        except (TypeError, ValueError):
            raise _refuse(name, "what JSON can hold", values[name], metric) from None
    for name, digest in values["data"].items():
        if not (isinstance(digest, str) and _SHA256.fullmatch(digest)):
            raise _refuse(f"data {name}", "a SHA-256", digest, metric)
    for part in _METHOD:
        if part not in values["method"]:
            raise InputError(f"record of {metric}: missing method {part}; a number without one is refused")
    if not values["source_2d"].get("name"):
        raise InputError(f"record of {metric}: missing source_2d name; a number without one is refused")


def _value(values: Mapping[str, Any], metric: object) -> float | None:
    value, unknown = values["value"], values.get("unknown", "")
    if not isinstance(unknown, str):
        raise _refuse("unknown", "the reason in words", unknown, metric)
    try:
        number = float("nan") if value is None else float(value)
    except (TypeError, ValueError):
        raise _refuse("value", "a number", value, metric) from None
    if math.isfinite(number):
        if unknown:
            raise _refuse("value", f"none, because {unknown}", value, metric)
        return number
    if not unknown:
        raise _refuse("value", "a finite number, or unknown='why there is none'", value, metric)
    return None


class RecordBook:
    """Numbers with their records, no two of one key.

    Parameters
    ----------
    defaults
        Fields that most of the numbers share.

    >>> book = RecordBook(protocol="posemill-12", unit="mm")
    >>> book.add("mpjpe", 41.3)
    Traceback (most recent call last):
    posemill.errors.InputError: record of mpjpe: missing joints; a number without a complete record is refused
    """

    def __init__(self, **defaults: Any) -> None:
        self._defaults = defaults
        self._records: dict[tuple[str, ...], Record] = {}

    def add(self, metric: str, value: float | None, **fields: Any) -> Record:
        """Take a number in.

        Parameters
        ----------
        metric, value
            A finite number; None or NaN only with ``unknown="why"``.
        fields
            Of :class:`Record`, before the book's defaults.

        Raises
        ------
        InputError
            A field is missing or empty, or there is another number of the same key.
        """
        record = _checked({**self._defaults, **fields, "metric": metric, "value": value})
        known = self._records.get(record.key)
        if known is not None and known != record:
            raise InputError(f"record of {metric}: expected one number of {' / '.join(record.key)}, got another one")
        self._records[record.key] = record
        return record

    def __iter__(self) -> Iterator[Record]:
        return (self._records[key] for key in sorted(self._records))

    def __len__(self) -> int:
        return len(self._records)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordBook) and list(self) == list(other)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def find(self, **wanted: Any) -> Record | None:
        """Find the one record with these fields; None if there is none.

        Raises
        ------
        InputError
            There are several: the fields do not say which.
        """
        found = [r for r in self._records.values() if all(getattr(r, name) == value for name, value in wanted.items())]
        if len(found) > 1:
            raise InputError(expected(f"record with {wanted}", "one", f"{len(found)}"))
        return found[0] if found else None


# ---------------------------------------------------------------------------------------------- the file


def to_document(book: RecordBook, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Plain data of a book for JSON, with further entries of ``extra`` beside it."""
    contexts: dict[str, Any] = {}
    records = []
    for record in book:
        entry = json.loads(json.dumps(asdict(record)))
        context = {name: entry.pop(name) for name in _SHARED}
        digest = hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()[:12]
        contexts[digest] = context
        records.append(entry | {"context": digest})
    return {"kind": KIND, "version": VERSION, "contexts": contexts, "records": records} | dict(extra or {})


def from_document(document: object, where: object = "records") -> RecordBook:
    """Rebuild a book from :func:`to_document`; every record is checked again."""
    if not isinstance(document, Mapping) or document.get("kind") != KIND:
        found = document.get("kind") if isinstance(document, Mapping) else type(document).__name__
        raise InputError(expected("contents", KIND, found, where=where, do="name the JSON that posemill wrote"))
    if document.get("version") != VERSION:
        raise InputError(expected("version", VERSION, document.get("version"), where=where, do="update posemill"))
    book = RecordBook()
    try:
        for entry in document["records"]:
            shared = document["contexts"][entry["context"]]
            values = {name: value for name, value in {**shared, **entry}.items() if name != "context"}
            book.add(values.pop("metric"), values.pop("value"), **values)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(expected("records", "metric, value and context each", error, where=where)) from None
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return book


def write_records(path: Path, book: RecordBook, extra: Mapping[str, Any] | None = None) -> None:
    """Write a book, in one step and sorted; ``extra`` are further entries of the file."""
    document = to_document(book, extra)
    write_bytes(Path(path), (json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def read_document(path: Path) -> dict[str, Any]:
    """Read the whole file of :func:`write_records` as plain data; raises InputError for anything else."""
    try:
        document = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: expected {KIND}, got: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{path}: expected {KIND} (JSON), got something else") from None
    from_document(document, path)
    return document


def read_records(path: Path) -> RecordBook:
    """Read the book of a file."""
    return from_document(read_document(path), path)
