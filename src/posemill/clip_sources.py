"""Where clips come from: the clip sheet and the folder ``videos/``.

Every problem of every row is found before any work begins, and reported at once.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from posemill.clips import IMAGES, VIDEOS, Clip, Clips, kind_of, safe_id
from posemill.errors import InputError
from posemill.formats.schema import OWN_NAMES

__all__ = ["COLUMNS", "RANGES", "find_clips", "parse_box", "read_folder", "read_sheet"]

COLUMNS = (
    "subject",
    "clip",
    "video",
    "kind",
    "camera",
    "calibration",
    "height_m",
    "fps",
    "fov_deg",
    "focal_px",
    "start_s",
    "camera_height_m",
    "skeleton",
    "pose3d",
    "truth",
    "subject_box",
    "camera_path",
    "camera_moves",
)
_MOVES = ("no", "pan")
RANGES = {
    "height_m": (0.3, 2.6),
    "fps": (0.1, 2000.0),
    "fov_deg": (1.0, 175.0),
    "focal_px": (10.0, 1e6),
    "start_s": (0.0, 1e6),
    "camera_height_m": (0.05, 100.0),
}
"""What a number of the sheet may be, from and to."""


def read_sheet(sheet: Path) -> tuple[list[Clip], list[str]]:
    """Read a clip sheet (tab separated, one header line; ``#`` starts a comment line; paths relative to the sheet).

    Returns the good rows, and a line for each problem of the others.

    Raises
    ------
    InputError
        The sheet itself cannot be read: missing, not text, no header, unknown or repeated columns.
    """
    try:
        lines = sheet.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{sheet}: expected a clip sheet, got: {error.strerror}; set clips: in config.yaml") from error
    except UnicodeDecodeError:
        raise InputError(f"{sheet}: expected a tab-separated text file, got other bytes") from None
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not numbered:
        raise InputError(f"{sheet}: expected a header line with {', '.join(COLUMNS[:3])}, got an empty file")
    header = [name.strip() for name in numbered[0][1].split("\t")]
    unknown = [name for name in header if name not in COLUMNS]
    missing = [name for name in COLUMNS[:3] if name not in header]
    if unknown or missing or len(set(header)) < len(header):
        found = f"unknown {unknown}" if unknown else f"missing {missing}" if missing else "a column twice"
        raise InputError(f"{sheet}: columns: expected tab-separated names of {', '.join(COLUMNS)}; got {found}")
    clips, problems = [], []
    # Many rows name the same calibration and truth, and a shared disk answers slowly.
    exists = cache(Path.exists)
    for number, line in numbered[1:]:
        row = next(csv.reader([line], delimiter="\t"))
        cells = {k: v.strip() for k, v in zip(header, row, strict=False) if v.strip()}
        clip, found = _row(cells, sheet.parent, any(map(str.strip, row[len(header) :])), exists)
        problems += [f"{sheet}:{number}: {problem}" for problem in found]
        if not found:
            clips.append(clip)
    return clips, problems


def _row(cells: dict[str, str], folder: Path, too_long: bool, exists: Callable[[Path], bool]) -> tuple[Clip, list[str]]:
    problems = ["more cells than columns"] if too_long else []
    ids = {name: safe_id(cells.get(name, "")) for name in ("subject", "clip")}
    for name, value in ids.items():
        if not value:
            problems.append(f"{name}: expected letters or digits (A-Z a-z 0-9), got {cells.get(name, 'nothing')!r}")
    numbers = {}
    for name, (low, high) in RANGES.items():
        if name in cells:
            try:
                numbers[name] = float(cells[name].replace(",", "."))
                if not low <= numbers[name] <= high:
                    raise ValueError
            except ValueError:
                problems.append(f"{name}: expected a number from {low:g} to {high:g}, got {cells[name]!r}")
    paths = {
        name: Path(os.path.normpath(folder / cells[name]))
        for name in ("video", "calibration", "skeleton", "pose3d", "truth", "camera_path")
        if name in cells
    }
    for name, path in paths.items():
        if not exists(path):
            problems.append(f"{name}: expected a file, got nothing at {path}")
    if "video" not in paths:
        problems.append("video: expected a path, got nothing")
    video = paths.get("video", Path())
    if "subject_box" in cells:
        try:
            parse_box(cells["subject_box"])
        except InputError as error:
            problems.append(str(error))
    kind = cells.get("kind") or kind_of(video)
    if kind not in ("video", "stills"):
        problems.append(f"kind: expected video or stills, got {kind!r}")
    moves = cells.get("camera_moves", "no")
    if moves not in _MOVES:
        problems.append(f"camera_moves: expected {' or '.join(_MOVES)}, got {moves!r}")
    if moves == "pan" and "camera_path" in paths:
        problems.append("camera_moves: expected pan, or a file in camera_path, got both")
    if kind == "stills" and (moves == "pan" or "camera_path" in paths):
        problems.append("camera_path, camera_moves: expected a video, got stills")
    clip = Clip(
        **ids,
        video=video,
        kind=kind,
        camera=cells.get("camera"),
        calibration=paths.get("calibration"),
        skeleton=paths.get("skeleton"),
        pose3d=paths.get("pose3d"),
        truth=paths.get("truth"),
        subject_box=cells.get("subject_box"),
        camera_path=paths.get("camera_path"),
        pans=moves == "pan",
        **numbers,
    )
    return clip, problems


def parse_box(text: str) -> tuple[float, float, float, float, float]:
    """Read ``left,top,right,bottom`` in px, or with a time in seconds before it: ``1.5: 200,80,420,690``.

    Returns
    -------
    time (NaN: whenever), left, top, right, bottom

    Raises
    ------
    InputError
        It is something else.
    """
    head, colon, tail = text.rpartition(":")
    try:
        time = float(head) if colon else float("nan")
        left, top, right, bottom = (float(cell) for cell in tail.split(","))
        if not (left < right and top < bottom and (time >= 0 or not colon)):
            raise ValueError
    except ValueError:
        want = "left,top,right,bottom in pixels, or seconds:left,top,right,bottom"
        raise InputError(f"subject_box: expected {want}, got {text!r}") from None
    return time, left, top, right, bottom


def read_folder(folder: Path) -> list[Clip]:
    """Clips of ``videos/{subject}/{clip}.mp4`` or ``videos/{subject}/{clip}/`` (a folder of images).

    A video or image that lies directly in the folder is a subject of its own, named as the file.
    """
    clips = []
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            clips += [_from_path(entry.name, item) for item in sorted(entry.iterdir()) if _is_media(item)]
        elif _is_media(entry):
            clips.append(_from_path(entry.stem, entry))
    return clips


def _is_media(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return any(p.suffix.lower() in IMAGES for p in path.iterdir())
    return path.suffix.lower() in VIDEOS + IMAGES


def _from_path(subject: str, path: Path) -> Clip:
    name = path.name if path.is_dir() else path.stem
    return Clip(safe_id(subject), safe_id(name), path, kind_of(path))


def find_clips(sheet: Path | None, folder: Path | None, *, demo: Path | None = None) -> Clips:
    """Gather all sources and check them against each other.

    ``demo`` is the sheet that posemill ships: a subject of the same name in the user's own sources replaces it.
    """
    found, problems = read_sheet(sheet) if sheet else ([], [])
    own = read_folder(folder) if folder else []
    if sheet is not None and sheet == demo:
        taken = {clip.subject for clip in own}
        found = [clip for clip in found if clip.subject not in taken]
    result = Clips(problems=problems)
    rows = [*found, *own]
    counts = Counter((clip.subject.casefold(), clip.clip.casefold()) for clip in rows)
    spellings: dict[str, str] = {}
    for clip in rows:
        key = (clip.subject, clip.clip)
        braced = [str(p) for p in clip.files if re.search(r"[{}\n]", str(p))]
        if braced:
            # Snakemake takes them for wildcards.
            problems.append(f"{braced[0]!r}: expected a path without braces and line ends; rename it")
        elif not all(key):
            problems.append(f"{clip.video}: expected a name with letters or digits (A-Z a-z 0-9), got none; rename it")
        elif clip.clip in OWN_NAMES:
            problems.append(f"{clip.video}: clip {clip.clip}: posemill's files have a part of that name; rename it")
        elif counts[key[0].casefold(), key[1].casefold()] > 1:
            problems.append(
                f"{clip.video}: subject {clip.subject}, clip {clip.clip}: expected each once, got it "
                f"{counts[key[0].casefold(), key[1].casefold()]} times (characters outside A-Z a-z 0-9 . _ - became _)"
            )
        elif spellings.setdefault(clip.subject.casefold(), clip.subject) != clip.subject:
            # Some disks would put both into one folder.
            other = spellings[clip.subject.casefold()]
            problems.append(f"{clip.video}: subject {clip.subject}: expected one spelling, got {other} too")
        else:
            result.clips[key] = clip
    result.problems += _disagreements(result.clips.values())
    return result


def _disagreements(clips: Iterable[Clip]) -> list[str]:
    """Name subjects whose rows give several heights, skeletons or truths."""
    problems = []
    values: dict[tuple[str, str], set[object]] = {}
    for clip in clips:
        for name in ("height_m", "skeleton", "truth"):
            value = getattr(clip, name)
            if value is not None:
                values.setdefault((clip.subject, name), set()).add(value)
    for (subject, name), found in sorted(values.items()):
        if len(found) > 1:
            listed = ", ".join(sorted(str(v) for v in found))
            problems.append(f"subject {subject}: {name}: expected one value, got {listed}")
    return problems
