"""quality: how far each clip may be trusted, without a truth; every number with its unit, definition and limits."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from posemill.errors import ArtifactError, expected
from posemill.formats.artifact import Artifact, Clip, first_misfit, only_joints, read
from posemill.formats.atomic import write_text
from posemill.metrics.measures import MEASURES, judge, worst
from posemill.metrics.options import Gate, QualityOptions
from posemill.metrics.quality import measure
from posemill.provenance import StageRequest

__all__ = ["run"]

_OUTCOME = (
    "worst of all gates: ok, warn or fail; null where nothing could be measured; a value of null is unknown and "
    "decides nothing"
)


def run(merged3d: Path, keypoints2d: Path, output: Path, request: StageRequest) -> dict[str, Any]:
    """Measure and judge every clip of a subject.

    Parameters
    ----------
    merged3d, keypoints2d
        What merge and gather wrote of the same clips.
    output
        JSON to write.
    request
        Options as in :class:`QualityOptions`.

    Returns
    -------
    What was written.

    Raises
    ------
    ArtifactError
        An input cannot be trusted, or they are not of the same clips.
    """
    options = QualityOptions.model_validate(request.options)
    merged, seen = read(merged3d, schema="merged3d"), read(keypoints2d, schema="keypoints2d")
    _check_pair(merged, seen, merged3d, keypoints2d)
    # Gates hold for all methods alike, and so for the joints that all of them have.
    merged = only_joints(merged, "h36m17")
    gates: dict[str, Gate] = {name: getattr(options.gates, name) for name in MEASURES}
    report = {
        "subject": merged.subject,
        "posemill": version("posemill"),
        "fingerprint": request.fingerprint,
        "inputs": {"merged3d": merged.sha256, "keypoints2d": seen.sha256},
        "low_score": options.low_score,
        "outcome": _OUTCOME,
        "measures": {
            name: {"unit": what.unit, "definition": what.definition, **gates[name].model_dump()}
            for name, what in MEASURES.items()
        },
        "clips": {
            name: _judge_clip(clip, seen.clips[name], seen.joint_set, options.low_score, gates)
            for name, clip in sorted(merged.clips.items())
        },
    }
    write_text(Path(output), json.dumps(report, indent=1, allow_nan=False) + "\n")
    return report


def _judge_clip(clip: Clip, seen: Clip, joint_set: str, low_score: float, gates: dict[str, Gate]) -> dict[str, Any]:
    if clip.status == "failed":
        return {"status": clip.status, "reason": clip.reason, "outcome": None, "tracks": {}}
    assert clip.camera is not None  # merged3d's schema has one in every clip
    tracks: dict[str, Any] = {}
    for name, track in sorted(clip.tracks.items()):
        values = measure(
            clip.time,
            track.arrays,
            seen.tracks[name].arrays,
            clip.camera,
            joints_of=joint_set,
            frame=clip.attrs["frame"],
            temporal=clip.temporal,
            frame_s=1 / clip.fps if clip.fps > 0 else None,
            low_score=low_score,
            offset=clip.motion.offset if clip.motion is not None and clip.motion.travels else None,
        )
        verdict = judge(values, gates)
        tracks[name] = {"outcome": verdict.outcome, "reasons": list(verdict.reasons), "values": values}
    return {
        "status": clip.status,
        "frame": clip.attrs["frame"],
        "frames": len(clip.time),
        "outcome": worst([track["outcome"] for track in tracks.values()]),
        "tracks": tracks,
    }


def _check_pair(merged: Artifact, seen: Artifact, merged3d: Path, keypoints2d: Path) -> None:
    """Check that both are of the same subject, clips, frames and tracks."""
    redo = f"name the keypoints2d file that {Path(merged3d).name} was made from"
    if (merged.subject, sorted(merged.clips)) != (seen.subject, sorted(seen.clips)):
        want, got = f"{merged.subject}: {sorted(merged.clips)}", f"{seen.subject}: {sorted(seen.clips)}"
        raise ArtifactError(expected("subject and clips", want, got, where=keypoints2d, do=redo))
    name = first_misfit(merged, seen)
    if name is not None:
        raise ArtifactError(f"{keypoints2d}: /{name}: expected the frames and tracks of {merged3d}; {redo}")
