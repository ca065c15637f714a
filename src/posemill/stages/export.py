"""export: the merged animation as files of other programs, ``{clip}.{track}.bvh`` or ``.csv``, each with a JSON note.

The note beside each file says what the format cannot: which frame and axes, units, start time, which frames are
interpolated over a gap, how far the file is from the artifact. ``export.json`` lists what was written and why the rest
was not; the next run removes what it listed and no longer writes, and touches nothing else in the folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from posemill.arrays import Flags, Points3, Times
from posemill.errors import ClipError, InputError, expected
from posemill.formats.artifact import Artifact, Clip, Track, read
from posemill.formats.atomic import write_bytes
from posemill.formats.bvh import write_bvh
from posemill.formats.bvh_rig import bvh_from_joints
from posemill.formats.csv_table import write_csv_table
from posemill.provenance import StageRequest
from posemill.skeleton import joint_set

__all__ = ["resample", "run"]

MANIFEST = "export.json"
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Time stamps that stay this near to a constant rate, in frames, are taken as constant.
_JITTER = 0.1
# Frames further apart than so many of a constant rate have others between them that are not there.
_APART = 1.5
_CAMERA_NOTE = "camera frame turned y-up: up is the camera's up, not gravity's; the floor is not known"


def run(poses3d: Path, output_dir: Path, request: StageRequest) -> list[Path]:
    """Export every person of every clip.

    Parameters
    ----------
    poses3d
        A merged3d artifact.
    output_dir
        Folder; made if missing.
    request
        ``method`` is the format: ``bvh`` or ``csv``.

    Returns
    -------
    The files written, manifest last.

    Raises
    ------
    InputError
        Unknown format, two clips that would give one file name, or a folder that cannot be written.
    """
    if request.method not in _WRITERS:
        raise InputError(expected("export format", " or ".join(_WRITERS), request.method))
    artifact = read(poses3d, schema="merged3d")
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output_dir}: cannot be made: {error.strerror}; choose another folder") from None
    skipped = {clip_id: clip.reason for clip_id, clip in artifact.clips.items() if clip.status != "ok"}
    notes: dict[str, dict[str, Any]] = {}
    written: list[Path] = []
    for stem, clip_id, track_id in _stems(artifact):
        clip, file = artifact.clips[clip_id], output_dir / f"{stem}.{request.method}"
        try:
            note = _WRITERS[request.method](file, clip, clip.tracks[track_id], artifact.joint_set)
        except ClipError as error:
            skipped[f"{clip_id}.{track_id}"] = str(error)
            continue
        note |= {"file": file.name, "subject": artifact.subject, "clip": clip_id, "track": track_id}
        note |= {key: clip.attrs.get(key) for key in ("world_source", "scale_source")}
        note |= {"poses3d_sha256": artifact.sha256, "fingerprint": request.fingerprint}
        written += [file, _write_json(output_dir / f"{stem}.json", note)]
        notes[file.name] = note
    _remove_stale(output_dir, keep={path.name for path in written})
    manifest = {"format": request.method, "files": sorted(path.name for path in written), "skipped": skipped}
    written.append(_write_json(output_dir / MANIFEST, manifest))
    _print_log(notes, skipped)
    return written


def _stems(artifact: Artifact) -> list[tuple[str, str, str]]:
    """(file stem, clip, track) of all there is to export; names checked once more, as they become paths."""
    stems = [(f"{c}.{t}", c, t) for c in sorted(artifact.clips) for t in sorted(artifact.clips[c].tracks)]
    owners: dict[str, tuple[str, str]] = {}
    for stem, clip_id, track_id in stems:
        if not _SAFE.fullmatch(stem):
            raise InputError(expected("clip and track ids", _SAFE.pattern, repr(stem)))
        if stem in owners:
            raise InputError(f"{owners[stem]} and {(clip_id, track_id)} would both be {stem}: rename one of the clips")
        owners[stem] = (clip_id, track_id)
    return stems


def _write_json(path: Path, value: Any) -> Path:
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())
    return path


def _remove_stale(folder: Path, keep: set[str]) -> None:
    """Remove the files that the last run's manifest lists and this run did not write."""
    try:
        listed = json.loads((folder / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in listed if isinstance(listed, list) else []:
        if isinstance(name, str) and _SAFE.fullmatch(name) and name not in keep:
            (folder / name).unlink(missing_ok=True)


def _print_log(notes: dict[str, dict[str, Any]], skipped: dict[str, str]) -> None:
    for name, note in notes.items():
        extra = f", off by at most {1000 * note['max_deviation_m']:.2f} mm" if "max_deviation_m" in note else ""
        print(f"export: {name}: {note['frames']} frames, frame {note['frame']}{extra}")
    for name, reason in skipped.items():
        print(f"export: {name}: nothing written: {reason}")


# ---------------------------------------------------------------------------------------------- BVH


def _bvh(path: Path, clip: Clip, track: Track, joints_of: str) -> dict[str, Any]:
    joints, valid = track.arrays["joints"].astype(np.float64), track.arrays["valid"]
    frame, fps = str(clip.attrs["frame"]), float(clip.fps)
    if not clip.temporal:
        fps = fps if fps > 0 else 1.0
    elif not fps > 0:
        raise ClipError(expected("frame rate", "a positive number", clip.fps))
    resampled = clip.temporal and not _is_constant_rate(clip.time, fps)
    if resampled:
        joints, valid = resample(clip.time, joints, valid, fps)
    bvh, deviation = bvh_from_joints(
        joints, fps=fps, frame=frame, joints_of=joints_of, valid=valid, temporal=clip.temporal
    )
    write_bvh(path, bvh)
    names = joint_set(joints_of).joints
    return {
        "format": "bvh",
        "frame": frame,
        "frame_note": _CAMERA_NOTE if frame == "camera" else "world: y up, floor at y = 0 if known",
        "axes": "y up; (x, y, z) = " + ("camera (x, -y, -z)" if frame == "camera" else "world (x, z, -y)"),
        "units": "cm, degrees",
        "fps": fps,
        "frames": len(bvh.motion),
        "start_s": float(clip.time[0]),
        "temporal": clip.temporal,
        "resampled": resampled,
        "resampled_note": "time stamps vary; joints resampled linearly to a constant rate" if resampled else "",
        "interpolated": _gap_ranges(valid, names),
        "never_seen": [name for name, seen in zip(names, valid.any(0), strict=True) if not seen],
        "joints": list(names),
        "max_deviation_m": round(float(np.nanmax(deviation)), 6),
    }


def _is_constant_rate(time: Times, fps: float) -> bool:
    ideal = time[0] + np.arange(len(time)) / fps
    return bool(np.abs(time - ideal).max() * fps < _JITTER)


def resample(time: Times, joints: Points3, valid: Flags, fps: float) -> tuple[Points3, Flags]:
    """Joints (T, J, 3) at constant ``fps`` from the first time stamp on, linear between frames.

    A joint is valid in a new frame where both frames around it are, and are no further apart than frames are.
    """
    count = int(np.floor((time[-1] - time[0]) * fps + 0.5)) + 1
    wanted = np.clip(time[0] + np.arange(count) / fps, None, time[-1])
    after = np.clip(np.searchsorted(time, wanted, side="left"), 1, max(len(time) - 1, 1))
    after = np.minimum(after, len(time) - 1)
    before = np.maximum(after - 1, 0)
    span = np.where(after > before, time[after] - time[before], 1.0)
    share = np.clip((wanted - time[before]) / span, 0.0, 1.0)
    # At a frame itself its neighbour has no say, not even by being invalid.
    near = (span * fps <= _APART) | (share == 0.0) | (share == 1.0)
    both = near[:, None] & (valid[before] | (share == 1.0)[:, None]) & (valid[after] | (share == 0.0)[:, None])
    x0, x1 = np.where(valid[..., None], joints, 0.0)[before], np.where(valid[..., None], joints, 0.0)[after]
    mixed = x0 + share[:, None, None] * (x1 - x0)
    return np.where(both[..., None], mixed, np.nan), both


def _gap_ranges(valid: Flags, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Runs of frames in which the same joints are missing: first and last frame, and which joints (or ``all``)."""
    starts = [0, *(np.flatnonzero((valid[1:] != valid[:-1]).any(1)) + 1).tolist(), len(valid)]
    ranges = []
    for first, end in pairwise(starts):
        missing = [name for name, ok in zip(names, valid[first], strict=True) if not ok]
        if missing:
            which = "all" if len(missing) == len(names) else missing
            ranges.append({"first": int(first), "last": int(end) - 1, "joints": which})
    return ranges


# ---------------------------------------------------------------------------------------------- CSV


def _csv(path: Path, clip: Clip, track: Track, joints_of: str) -> dict[str, Any]:
    arrays, frame = track.arrays, str(clip.attrs["frame"])
    names = joint_set(joints_of).joints
    flags = {f"contact_{side}": arrays["contact"][:, i] for i, side in enumerate(("left", "right"))}
    write_csv_table(path, clip.time, arrays["joints"], names, sigma=arrays["sigma"], valid=arrays["valid"], flags=flags)
    axes = {"world": "right-handed, z up", "camera": "x right, y down, z forward (into the scene)"}
    return {
        "format": "csv",
        "frame": frame,
        "axes": axes[frame],
        "units": "m, s",
        "fps": float(clip.fps) if clip.fps > 0 else None,
        "frames": len(clip.time),
        "start_s": float(clip.time[0]),
        "temporal": clip.temporal,
        "interpolated": [],
        "joints": list(names),
        "columns": "frame_index, time_s, {joint}_{x,y,z}_m, {joint}_sigma_{x,y,z}_m, {joint}_valid, contact_{foot}",
    }


_WRITERS: dict[str, Callable[[Path, Clip, Track, str], dict[str, Any]]] = {"bvh": _bvh, "csv": _csv}
