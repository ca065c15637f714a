"""summary: one line per clip and person over all subjects, and the run's verdict on it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from posemill.errors import ClipError, InputError, expected
from posemill.formats.artifact import Clip, Track, read
from posemill.formats.atomic import write_bytes

__all__ = ["COLUMNS", "check", "run"]

COLUMNS = (
    "subject",
    "clip",
    "track",
    "status",
    "reason",
    "frames",
    "valid_percent",
    "fps",
    "duration_s",
    "frame",
    "world_source",
    "scale_source",
    "sigma_mm",
)
_NAMED = 20


def run(merged: list[Path], output_tsv: Path) -> None:
    """Write the table of several merged3d artifacts; ``sigma_mm`` is the mean over valid joints and axes."""
    rows: list[dict[str, str]] = []
    for path in merged:
        artifact = read(path, schema="merged3d")
        for clip_id in sorted(artifact.clips):
            clip = artifact.clips[clip_id]
            head = {"subject": artifact.subject, "clip": clip_id, "status": clip.status, "reason": clip.reason}
            rows += [head | _track_cells(clip, name, clip.tracks[name]) for name in sorted(clip.tracks)] or [head]
    rows.sort(key=lambda row: (row["subject"], row["clip"], row.get("track", "")))
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([" ".join(row.get(column, "").split()) for column in COLUMNS] for row in rows)
    write_bytes(Path(output_tsv), text.getvalue().encode())


def _track_cells(clip: Clip, name: str, track: Track) -> dict[str, str]:
    valid, sigma = track.arrays["valid"], track.arrays["sigma"]
    # The last frame lasts as long as the others.
    duration = clip.time[-1] - clip.time[0] + (1 / clip.fps if clip.fps > 0 else 0.0)
    return {
        "track": name,
        "frames": str(len(clip.time)),
        "valid_percent": f"{100 * valid.mean():.1f}",
        "fps": f"{clip.fps:.3f}" if clip.fps > 0 else "",
        "duration_s": f"{duration:.2f}" if clip.temporal else "",
        "frame": str(clip.attrs["frame"]),
        "world_source": str(clip.attrs["world_source"]),
        "scale_source": str(clip.attrs["scale_source"]),
        "sigma_mm": f"{1000 * float(np.nanmean(sigma)):.1f}" if valid.any() else "",
    }


def check(summary_tsv: Path) -> None:
    """Raise if the table has failed clips.

    Raises
    ------
    ClipError
        Their count, names and reasons, in one line.
    InputError
        Not a summary table.
    """
    try:
        with Path(summary_tsv).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, delimiter="\t")
            rows, header = list(reader), tuple(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{summary_tsv}: cannot be read as a summary: {error}") from None
    if header != COLUMNS:
        raise InputError(expected("columns", " ".join(COLUMNS), " ".join(header), where=summary_tsv))
    clips = {(row["subject"], row["clip"]) for row in rows}
    failed = {(row["subject"], row["clip"]): row["reason"] for row in rows if row["status"] != "ok"}
    if failed:
        named = [f"{subject}/{clip} ({reason})" for (subject, clip), reason in failed.items()]
        more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        raise ClipError(
            f"{len(failed)} of {len(clips)} clips failed: {'; '.join(named[:_NAMED])}{more}; see {summary_tsv}"
        )
