"""What is compared, and where it comes from as far as the files tell: ancestors are known by their checksums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posemill.errors import InputError, expected
from posemill.formats.artifact import Artifact, file_sha256, read
from posemill.formats.poses import Poses
from posemill.formats.truth import read_truth

__all__ = ["Inputs", "common_fields", "method_of", "read_inputs", "source_2d_of"]

_OF_IMAGES = ("detections2d", "keypoints2d")


@dataclass(frozen=True)
class Inputs:
    """One subject's prediction with its truth, and the keypoints that it was made from."""

    prediction: Poses
    truth: Poses
    keypoints: Artifact | None = None
    keypoints_path: Path | None = None

    @property
    def subject(self) -> str:
        """Whose."""
        return self.prediction.subject or self.truth.subject or "unnamed"

    def files(self) -> dict[str, Any]:
        """File name and SHA-256 of each input."""
        files = {
            "prediction": {"file": self.prediction.path.name, "sha256": self.prediction.sha256},
            "truth": {"file": self.truth.path.name, "sha256": self.truth.sha256},
        }
        if self.keypoints is not None and self.keypoints_path is not None:
            files["keypoints2d"] = {"file": self.keypoints_path.name, "sha256": self.keypoints.sha256}
        return files


def read_inputs(prediction: Path, truth: Path, keypoints2d: Path | None) -> Inputs:
    """Read prediction, truth and keypoints of one subject; raises InputError for a truth without 3D joints."""
    pred = read_truth(prediction)
    true = read_truth(truth, pred.subject)
    if not all(clip.joints or clip.failed for clip in true.clips.values()):
        raise InputError(expected("truth", "3D joints", f"a {true.kind} file", where=truth))
    return Inputs(
        pred,
        true,
        read(keypoints2d, schema="keypoints2d") if keypoints2d else None,
        keypoints2d,
    )


def _ancestor(poses: Poses, role: str) -> Artifact | None:
    """File that the prediction was made from, if it lies beside it: known by its checksum."""
    digest = poses.provenance.get("inputs", {}).get(role)
    for path in sorted(poses.path.parent.glob(f"{role}*.h5")) if digest else []:
        if file_sha256(path) == digest:
            return read(path, schema=role)
    return None


def method_of(poses: Poses) -> dict[str, Any]:
    """Say what made some poses: the lifter with its options and weights, and the options of the stage after it.

    The lifter of a merged file is read from the lifted one that it was made from, if that lies beside it.
    """
    lifted = poses.provenance if poses.kind == "lifted3d" else {}
    if poses.kind == "merged3d":
        ancestor = _ancestor(poses, "lifted3d")
        lifted = ancestor.provenance if ancestor else {}
    own = poses.provenance
    return {
        "name": lifted.get("method")
        or own.get("method")
        or poses.attrs.get("detector")
        or f"unknown, of {poses.path.name}",
        "options": {"lift": lifted.get("options", {}), own.get("stage") or "file": own.get("options", {})},
        "weights": lifted.get("weights") or own.get("weights") or "",
        "code": {p["stage"]: p["code"] for p in (lifted, own) if p.get("stage") and p.get("code")},
    }


def source_2d_of(poses: Poses, image: Artifact | None = None) -> dict[str, Any]:
    """Say where the 2D keypoints came from: those of ``image``, else of the file that the poses were made from."""
    image = image or _ancestor(poses, "keypoints2d")
    if image is None and poses.kind in _OF_IMAGES:
        name = poses.attrs.get("detector") or poses.provenance.get("method") or "unknown"
        return {"name": name, "sha256": poses.sha256, "joint_set": poses.joint_set, "attrs": poses.attrs}
    if image is None:
        return {"name": f"unknown, of {poses.path.name}"}
    name = image.attrs.get("detector") or image.provenance.get("method") or "unknown"
    return {"name": name, "sha256": image.sha256, "joint_set": image.joint_set, "attrs": image.attrs}


def common_fields(
    pairs: Sequence[Inputs],
    split: str,
    protocol: str,
    accept: tuple[str, ...],
    code: str,
) -> dict[str, Any]:
    """Fields that all records of an evaluation share; the files go by name, without folders.

    Raises
    ------
    InputError
        The subjects' predictions are of different methods, which have no mean.
    """
    method = method_of(pairs[0].prediction)
    for pair in pairs[1:]:
        other = method_of(pair.prediction)
        named = [m["name"] for m in (method, other) if not m["name"].startswith("unknown")]
        if len(set(named)) > 1 or (other["options"], other["weights"]) != (method["options"], method["weights"]):
            what = f"method of {pair.subject}"
            raise InputError(expected(what, f"{method['name']} as of {pairs[0].subject}", other["name"]))
    data: dict[str, str] = {}
    command = ["posemill", "evaluate"]
    for i, pair in enumerate(pairs):
        inputs = pair.files()
        command += ["--also"] if i else []
        command += [inputs[role]["file"] for role in ("prediction", "truth")]
        command += ["--keypoints2d", inputs["keypoints2d"]["file"]] if "keypoints2d" in inputs else []
        for role, file in inputs.items():
            same = data.get(file["file"], file["sha256"]) == file["sha256"]
            data[file["file"] if same else f"{pair.subject} {role} {file['file']}"] = file["sha256"]
    command += ["--protocol", protocol]
    for name in accept:
        command += ["--accept", name]
    return {
        "protocol": protocol,
        "data": data,
        "split": split,
        "source_2d": source_2d_of(pairs[0].prediction, pairs[0].keypoints),
        "method": method,
        "code": code or "not planned",
        "command": command,
        "accepted": accept,
    }
