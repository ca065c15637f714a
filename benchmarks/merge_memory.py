"""How much memory the stage merge takes for a long clip, by frame.

The first clip of a subject, forth and back until it is long enough, merged in a process of its own: the most memory it
held over what it held after a short clip, its input and output included.

    python benchmarks/merge_memory.py results/S9 [--frames 108000]
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

from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.provenance import StageRequest
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
    return {"frames": frames, "most_mb": most, "bytes_per_frame": most * 2**20 / frames, "cpu_s": took}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a subject's, or the one that --measure reads")
    parser.add_argument("--detector", default="mediapipe")
    parser.add_argument("--lifter", default="posemill")
    parser.add_argument("--frames", type=int, default=108_000, help="an hour at 30 fps")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.folder, args.frames)))
        return
    with tempfile.TemporaryDirectory() as work:
        for frames in (SHORT, args.frames):
            write_long(args.folder, args.detector, args.lifter, frames, Path(work))
        command = [sys.executable, __file__, work, "--frames", str(args.frames), "--measure"]
        row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    print(
        f"{row['frames']:,} frames: {row['most_mb']:.0f} MB, {row['bytes_per_frame']:.0f} bytes a frame, input and "
        f"output included; {row['cpu_s']:.0f} s of CPU"
    )


if __name__ == "__main__":
    main()
