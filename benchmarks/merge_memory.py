"""How much memory the stage merge takes for a long clip, by frame.

The first clip of a subject, forth and back until it is long enough, merged in a process of its own: the most memory it
held over what it held after a short clip, its input and output included; what the arrays of input and output take by
themselves; and how both grow with a frame, from each length to the next.

    python benchmarks/merge_memory.py results/S9 [--frames 10000 50000] [--json docs/records/merge_memory.json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from process import cpu_s, forget_most, resident_mb
from record import write_record

from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.provenance import StageRequest, code_hash
from posemill.stages import merge

SHORT = 300


def stretched(clip: Clip, frames: int) -> Clip:
    """A clip forth and back until it has so many frames."""
    there = np.arange(len(clip.time))
    rows = np.resize(np.concatenate([there, there[-2:0:-1]]), frames)
    tracks = {
        name: Track({key: array[rows] for key, array in track.arrays.items()}, track.attrs)
        for name, track in clip.tracks.items()
    }
    return replace(clip, time=np.arange(frames) / clip.fps, tracks=tracks)


def write_long(folder: Path, detector: str, lifter: str, frames: int, work: Path) -> list[Path]:
    """keypoints2d, lifted3d and placed3d of the first placed clip, stretched, as merge reads them."""
    names = {
        "keypoints2d": f"keypoints2d.{detector}.h5",
        "lifted3d": f"lifted3d.{detector}.{lifter}.h5",
        "placed3d": f"placed3d.{detector}.{lifter}.h5",
    }
    given: dict[str, Artifact] = {schema: read(folder / name, schema) for schema, name in names.items()}
    clip = next(name for name, clip in sorted(given["placed3d"].clips.items()) if clip.status == "ok")
    inputs: dict[str, str] = {}
    for schema, artifact in given.items():
        path = work / f"{schema}.{frames}.h5"
        provenance = artifact.provenance | {"inputs": dict(inputs)}
        write(path, replace(artifact, clips={clip: stretched(artifact.clips[clip], frames)}, provenance=provenance))
        inputs[schema] = read(path).sha256
    return [work / f"{schema}.{frames}.h5" for schema in names]


def measure(work: Path, frames: int) -> dict[str, float]:
    """MB and CPU seconds of merging what :func:`write_long` wrote."""

    def run(length: int) -> None:
        paths = [work / f"{schema}.{length}.h5" for schema in ("keypoints2d", "lifted3d", "placed3d")]
        merge.run(*paths, work / f"merged3d.{length}.h5", StageRequest("merge"))

    run(SHORT)
    forget_most()
    held = resident_mb("VmRSS")
    took = cpu_s(lambda: run(frames))
    most = resident_mb("VmHWM") - held
    files = [work / f"{schema}.{frames}.h5" for schema in ("keypoints2d", "lifted3d", "placed3d", "merged3d")]
    arrays = sum(array_bytes(read(path)) for path in files) / 2**20
    return {"frames": frames, "most_mb": round(most, 1), "arrays_mb": round(arrays, 1), "cpu_s": round(took, 1)}


def array_bytes(artifact: Artifact) -> int:
    """Bytes of the arrays of all tracks."""
    return sum(a.nbytes for clip in artifact.clips.values() for t in clip.tracks.values() for a in t.arrays.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a subject's, or the one that --measure reads")
    parser.add_argument("--detector", default="mediapipe")
    parser.add_argument("--lifter", default="posemill")
    parser.add_argument("--frames", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.folder, *args.frames)))
        return
    rows: list[dict[str, float]] = []
    for frames in args.frames:
        with tempfile.TemporaryDirectory() as work:
            for length in (SHORT, frames):
                write_long(args.folder, args.detector, args.lifter, length, Path(work))
            command = [sys.executable, __file__, work, "--frames", str(frames), "--measure"]
            rows.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout))
        row, text = rows[-1], ""
        if len(rows) > 1:
            further = frames - rows[-2]["frames"]
            for key in ("most", "arrays"):
                row[f"{key}_bytes_per_frame"] = round((row[f"{key}_mb"] - rows[-2][f"{key}_mb"]) * 2**20 / further)
            text = f"; a frame more: {row['most_bytes_per_frame']} bytes, its arrays {row['arrays_bytes_per_frame']}"
        print(f"{frames:,} frames: {row['most_mb']} MB, {row['arrays_mb']} the arrays; {row['cpu_s']} s of CPU{text}")
    about = {"detector": args.detector, "lifter": args.lifter, "code": code_hash("posemill.stages.merge")}
    write_record(args.json, {**about, "rows": rows})


if __name__ == "__main__":
    main()
