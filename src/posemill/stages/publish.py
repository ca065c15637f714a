"""publish: the merged animation of the configured methods under its public name."""

from __future__ import annotations

from pathlib import Path

from posemill.formats.artifact import read
from posemill.formats.atomic import write_bytes

__all__ = ["run"]


def run(merged: Path, output: Path) -> None:
    """Check a merged3d artifact and copy its bytes to ``output`` (poses3d.h5) in one step.

    Failed clips are named on standard output, which is what somebody sees who asked for this file alone.

    Raises
    ------
    ArtifactError
        ``merged`` is not a whole and valid merged3d artifact; ``output`` is not touched.
    """
    artifact = read(merged, "merged3d")
    write_bytes(output, Path(merged).read_bytes())
    failed = [f"{name} ({clip.reason})" for name, clip in sorted(artifact.clips.items()) if clip.status == "failed"]
    if failed:
        print(f"posemill: {output}: {len(failed)} of {len(artifact.clips)} clips failed: {'; '.join(failed)}")
