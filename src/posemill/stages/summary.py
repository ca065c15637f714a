"""summary: one line per clip and person over all subjects, and the run's verdict on it."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import ArtifactError, ClipError, InputError, expected
from posemill.formats.artifact import Clip, Track, only_joints, read
from posemill.formats.atomic import write_bytes
from posemill.metrics.options import Gates

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
    "people_seen",
    "cleaning",
    "quality",
    "quality_reasons",
    *(name for name in Gates.model_fields if name != "sigma_mm"),
    "sigma_mm",
)
_NAMED = 20


def run(merged: list[Path], output_tsv: Path, quality: Sequence[Path] = ()) -> None:
    """Write the table of several merged3d artifacts.

    Parameters
    ----------
    merged
        merged3d artifacts; ``valid_percent``, and ``sigma_mm``, the mean over valid joints and axes, are of the 17
        joints that all methods have.
    quality
        What the stage quality wrote of them, in any order: its verdict and measures, four significant digits. Without,
        those columns are empty.

    Raises
    ------
    InputError
        A file of ``quality`` is not one.
    ArtifactError
        It is of another version of the subject's artifact.
    """
    judged = {name: (path, report) for path in quality for name, report in _read_quality(path).items()}
    rows: list[dict[str, str]] = []
    for path in merged:
        artifact = only_joints(read(path, schema="merged3d"), "h36m17")
        judged_clips: dict[str, Any] = {}
        if artifact.subject in judged:
            where, report = judged[artifact.subject]
            if report["inputs"]["merged3d"] != artifact.sha256:
                want, got = artifact.sha256[:12], str(report["inputs"]["merged3d"])[:12]
                raise ArtifactError(expected(f"made from {Path(path).name}", want, got, where=where, do="run it again"))
            judged_clips = report["clips"]
        for clip_id in sorted(artifact.clips):
            clip = artifact.clips[clip_id]
            found = judged_clips.get(clip_id, {}).get("tracks", {})
            head = {"subject": artifact.subject, "clip": clip_id, "status": clip.status, "reason": clip.reason}
            rows += [
                head | _track_cells(clip, name, clip.tracks[name]) | _quality_cells(found.get(name))
                for name in sorted(clip.tracks)
            ] or [head]
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
        "people_seen": str(clip.attrs.get("people_seen", "")),
        "cleaning": ", ".join(f"{n} {what}" for what, n in clip.attrs.get("cleaning", {}).items() if n),
        "sigma_mm": f"{1000 * float(np.nanmean(sigma)):.1f}" if valid.any() else "",
    }


def _read_quality(path: Path) -> dict[str, dict[str, Any]]:
    """Report of a subject, by its name."""
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(report["inputs"]["merged3d"], str) or not isinstance(report["clips"], dict):
            raise TypeError("inputs or clips")
        judged = {str(report["subject"]): report}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected what posemill quality writes, got an error: {error!r}") from None
    return judged


def _quality_cells(track: dict[str, Any] | None) -> dict[str, str]:
    if track is None:
        return {}
    values = {name: f"{value:.4g}" for name, value in track["values"].items() if value is not None}
    # The mean sigma is the summary's own.
    values.pop("sigma_mm", None)
    return {"quality": track["outcome"] or "", "quality_reasons": "; ".join(track["reasons"])} | values


def check(summary_tsv: Path, *, enforce_quality: bool = False) -> None:
    """Raise if the table has failed clips; name the clips of doubtful quality on standard error.

    Parameters
    ----------
    summary_tsv
        The table.
    enforce_quality
        Raise for clips over a fail gate, too.

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
    bad, doubtful = (
        {(row["subject"], row["clip"]): row["quality_reasons"] for row in rows if row["quality"] == outcome}
        for outcome in ("fail", "warn")
    )
    problems = []
    if failed:
        problems.append(f"{len(failed)} of {len(clips)} clips failed: {_named(failed)}")
    if bad and enforce_quality:
        problems.append(f"{len(bad)} of {len(clips)} clips fail the quality gates: {_named(bad)}")
    for found, level in ((bad, "fail"), (doubtful, "warn")):
        if found and not (level == "fail" and enforce_quality):
            print(
                f"posemill: quality: {level}: {len(found)} of {len(clips)} clips: {_named(found)}; see {summary_tsv}",
                file=sys.stderr,
            )
    if problems:
        raise ClipError(f"{'; '.join(problems)}; see {summary_tsv}")


def _named(clips: dict[tuple[str, str], str]) -> str:
    named = [f"{subject}/{clip} ({reason})" for (subject, clip), reason in clips.items()]
    return "; ".join(named[:_NAMED]) + (f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else "")
