"""evaluate: a merged animation against the truth, every number with the protocol that it was made by.

Clips are joined by id and frames by time: each truth frame goes with the merged frame nearest in time, within half a
frame. Errors are over the twelve limb joints, which every detector and truth defines alike, where the truth says that
they are visible; the same over all twelve, seen or hidden, stands beside it. Frames and joints weigh alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from posemill.arrays import Times
from posemill.errors import ArtifactError, InputError, expected
from posemill.formats.artifact import Artifact, Clip, read
from posemill.formats.atomic import write_bytes
from posemill.metrics.image import pixel_errors
from posemill.metrics.pose import joint_errors, p_joint_errors
from posemill.metrics.world import root_error
from posemill.provenance import StageRequest
from posemill.skeleton import LIMBS, convert, joint_set

__all__ = ["match_frames", "run"]

_MM = 1000.0
_PROTOCOL = {
    "joints": list(LIMBS),
    "frames": "truth and merged frames nearest in time, within half a frame, each used once",
    "visible": "joints that the truth says are visible",
    "all": "all twelve joints, visible or not",
    "averaging": "every frame and joint weighs alike; median where said",
    "keypoints2d_percent": "median distance in the image / person height in px, the latter focal_px * height_m / depth",
    "mpjpe_mm": "camera axes; both poses moved to the pelvis at the origin",
    "p_mpjpe_mm": "similarity Procrustes per frame on the joints that count, at least 4, no reflection",
    "root_mm": "pelvis, in the frame named; depth: along the ray of the true pelvis, lateral: across it",
    "coverage_percent": "joints with a prediction, of the truth's in matched frames",
}


def run(
    merged: Path, truth: Path, output: Path, request: StageRequest, keypoints2d: Path | None = None
) -> dict[str, Any]:
    """Write ``output`` (JSON) and the same as a table beside it (``.txt``), and print the table.

    Parameters
    ----------
    merged, truth
        merged3d and truth3d artifacts.
    keypoints2d
        Adds the error of the 2D keypoints.

    Raises
    ------
    InputError
        No clip or no frame is common to both, or the person is not in the truth.
    """
    if Path(output).suffix != ".json":
        raise InputError(expected("output", "a name that ends in .json (the table goes beside it as .txt)", output))
    pred, true = read(merged, schema="merged3d"), read(truth, schema="truth3d")
    image = read(keypoints2d, schema="keypoints2d") if keypoints2d else None
    shared = [clip_id for clip_id in sorted(pred.clips) if clip_id in true.clips and true.clips[clip_id].status == "ok"]
    if not shared:
        raise InputError(expected("clips that the truth knows", sorted(true.clips), sorted(pred.clips), where=merged))
    failed = {clip_id: pred.clips[clip_id].reason for clip_id in shared if pred.clips[clip_id].status != "ok"}
    height_m = _height_m(true, truth)
    results = [_compare(clip_id, pred, true, image, height_m, merged) for clip_id in shared if clip_id not in failed]
    pooled = {frame: _figures([r for r in results if r.frame == frame]) for frame in sorted({r.frame for r in results})}
    report = {
        "subject": pred.subject,
        "posemill": version("posemill"),
        "fingerprint": request.fingerprint,
        "protocol": _PROTOCOL | {"person": sorted({r.track for r in results})},
        "data": {"file": Path(truth).name, "sha256": true.sha256, "height_m": height_m},
        "prediction": {"file": Path(merged).name, "sha256": pred.sha256, "provenance": pred.provenance},
        "source_2d": _source_2d(image, keypoints2d),
        "clips": {r.clip_id: _figures([r]) | r.counts for r in results},
        "pooled": pooled,
        "failed": failed,
        "not_in_truth": sorted(set(pred.clips) - set(shared)),
        "not_predicted": sorted(set(true.clips) - set(pred.clips)),
    }
    table = _table(report)
    write_bytes(Path(output), (json.dumps(report, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())
    write_bytes(Path(output).with_suffix(".txt"), table.encode())
    print(table, end="")
    return report


def _height_m(true: Artifact, where: Path) -> float:
    try:
        height = float(true.attrs["height_m"])
    except (KeyError, TypeError, ValueError):
        height = float("nan")
    if not 0.3 < height < 3.0:
        raise InputError(expected("attribute height_m", "the person's height in metres", true.attrs, where=where))
    return height


def _source_2d(image: Artifact | None, path: Path | None) -> dict[str, Any]:
    if image is None or path is None:
        return {"given": False}
    return {"given": True, "file": Path(path).name, "sha256": image.sha256, "joint_set": image.joint_set} | {
        "attrs": image.attrs,
        "provenance": image.provenance,
    }


# ---------------------------------------------------------------------------------------------- one clip


@dataclass(frozen=True)
class _Compared:
    """Errors of one clip's matched frames, (N, 12) or (N,); NaN where there is nothing to compare."""

    clip_id: str
    track: str
    frame: str
    visible: np.ndarray
    pose: np.ndarray
    aligned: np.ndarray
    aligned_all: np.ndarray
    root: np.ndarray
    depth: np.ndarray
    lateral: np.ndarray
    image: np.ndarray | None
    frames_truth: int
    counts: dict[str, Any]


def match_frames(time: Times, truth_time: Times, tolerance_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices (N,) into both: each truth frame and the nearest in time within ``tolerance_s``, each used once."""
    after = np.clip(np.searchsorted(time, truth_time), 1, max(len(time) - 1, 1))
    after = np.minimum(after, len(time) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(time[before] - truth_time) <= np.abs(time[after] - truth_time), before, after)
    gap = np.abs(time[nearest] - truth_time)
    order = np.argsort(gap, kind="stable")
    order = order[gap[order] <= tolerance_s * (1 + 1e-9)]
    _, first = np.unique(nearest[order], return_index=True)
    kept = np.sort(order[first])
    return nearest[kept], kept


def _compare(
    clip_id: str, pred: Artifact, true: Artifact, image: Artifact | None, height_m: float, where: Path
) -> _Compared:
    p, t = pred.clips[clip_id], true.clips[clip_id]
    if len(p.tracks) != 1 or len(t.tracks) != 1:
        found = f"{sorted(p.tracks)} and {sorted(t.tracks)}"
        raise InputError(expected(f"clip {clip_id}", "one person in result and truth", found, where=where))
    (track, a), (_, b) = next(iter(p.tracks.items())), next(iter(t.tracks.items()))
    tolerance_s = 0.5 / _rate(t)
    i, k = match_frames(p.time, t.time, tolerance_s)
    if len(i) == 0:
        spans = f"{p.time[0]:.3f}-{p.time[-1]:.3f} s and {t.time[0]:.3f}-{t.time[-1]:.3f} s"
        raise InputError(
            f"{where}: clip {clip_id}: expected frames within {tolerance_s:.4f} s of the truth's, got {spans}"
        )
    h36m, true_set = joint_set("h36m17"), joint_set(true.joint_set)
    visible = b.arrays["visible"][k][:, true_set.indices(LIMBS)]
    target = _to_h36m(b.arrays["joints_camera"][k], true.joint_set)
    limbs = h36m.indices(LIMBS)
    counts = np.zeros((len(k), len(h36m)), bool)
    counts[:, limbs] = True
    seen = counts.copy()
    seen[:, limbs] = visible
    joints = a.arrays["joints_camera"][i]
    frame = str(p.attrs["frame"])
    in_world = frame == "world"
    true_root = _to_h36m(b.arrays["joints" if in_world else "joints_camera"][k], true.joint_set)[:, 0]
    root = root_error(a.arrays["root"][i], true_root, camera_centre=_centre(t, clip_id) if in_world else None)
    numbers = {
        "frame": frame,
        "fps": float(p.fps) if p.fps > 0 else None,
        "frames_merged": len(p.time),
        "largest_time_difference_s": round(float(np.abs(p.time[i] - t.time[k]).max()), 6),
    }
    return _Compared(
        clip_id,
        track,
        frame,
        visible,
        joint_errors(joints, target, root=0, valid=counts)[:, limbs],
        p_joint_errors(joints, target, valid=seen)[:, limbs],
        p_joint_errors(joints, target, valid=counts)[:, limbs],
        *root,
        _image_errors(clip_id, image, t, true.joint_set, k, target[:, 0, 2], height_m),
        len(t.time),
        numbers,
    )


def _rate(clip: Clip) -> float:
    return float(clip.fps) if clip.fps > 0 else 1.0 / float(np.median(np.diff(clip.time)))


def _centre(clip: Clip, clip_id: str) -> np.ndarray:
    if clip.camera is None or not clip.camera.in_world:
        raise InputError(f"truth of {clip_id}: expected a camera in the world, got none")
    return clip.camera.centre


def _to_h36m(points: np.ndarray, source: str) -> np.ndarray:
    return convert(points.astype(np.float64), source, "h36m17")[0]


def _image_errors(
    clip_id: str,
    image: Artifact | None,
    true: Clip,
    source: str,
    frames: np.ndarray,
    depth_m: np.ndarray,
    height_m: float,
) -> np.ndarray | None:
    """2D errors (N, 12) of the truth frames that were matched, as a fraction of the person's height in the image."""
    if image is None:
        return None
    clip = image.clips.get(clip_id)
    if clip is None or clip.status != "ok" or len(clip.tracks) != 1 or true.camera is None:
        raise ArtifactError(
            f"keypoints2d: clip {clip_id}: expected one person, as in the merged file, got another run's"
        )
    found, seen = next(iter(clip.tracks.values())).arrays, next(iter(true.tracks.values())).arrays
    points, valid, *_ = convert(found["keypoints"].astype(np.float64), image.joint_set, "limbs12", valid=found["valid"])
    i, k = match_frames(clip.time, true.time, 0.5 / _rate(true))
    # In the rows of the matched truth frames; NaN where this file has no frame for one.
    aligned = np.full((len(true.time), len(LIMBS), 2), np.nan)
    aligned[k] = np.where(valid[i][..., None], points[i], np.nan)
    target = convert(seen["keypoints"].astype(np.float64), source, "limbs12")[0]
    height_px = true.camera.focal_px * height_m / depth_m
    return pixel_errors(aligned[frames], target[frames], height_px)


# ---------------------------------------------------------------------------------------------- figures


def _figures(results: list[_Compared]) -> dict[str, Any]:
    """Averages over several clips, frames pooled."""

    def pool(name: str) -> np.ndarray:
        return np.concatenate([getattr(r, name) for r in results])

    visible, pose, root = pool("visible"), pool("pose"), pool("root")
    figures: dict[str, Any] = {
        "visible": {
            "mpjpe_mm": _mean(pose[visible], _MM),
            "p_mpjpe_mm": _mean(pool("aligned")[visible], _MM),
            "coverage_percent": _mean(np.isfinite(pose[visible]).astype(float), 100),
        },
        "all": {
            "mpjpe_mm": _mean(pose, _MM),
            "p_mpjpe_mm": _mean(pool("aligned_all"), _MM),
            "coverage_percent": _mean(np.isfinite(pose).astype(float), 100),
        },
        "root_mm": {
            "mean": _mean(root, _MM),
            "median": _median(root, _MM),
            "p90": _rounded(np.nanpercentile(root, 90) * _MM) if np.isfinite(root).any() else None,
            "depth_median": _median(pool("depth"), _MM),
            "lateral_median": _median(pool("lateral"), _MM),
        },
        "frames_evaluated": len(root),
        "frames_truth": sum(r.frames_truth for r in results),
        "by_joint": {
            joint: {"mpjpe_mm": _mean(pose[:, j][visible[:, j]], _MM), "visible_percent": _mean(visible[:, j], 100)}
            for j, joint in enumerate(LIMBS)
        },
    }
    images = [r.image for r in results]
    if all(e is not None for e in images):
        error = np.concatenate([e for e in images if e is not None])
        figures["visible"]["keypoints2d_percent"] = _median(error[visible], 100)
        figures["all"]["keypoints2d_percent"] = _median(error, 100)
        for j, joint in enumerate(LIMBS):
            figures["by_joint"][joint]["keypoints2d_percent"] = _median(error[:, j][visible[:, j]], 100)
    return figures


def _rounded(value: float | np.floating) -> float:
    return round(float(value), 3)


def _mean(values: np.ndarray, unit: float) -> float | None:
    return _rounded(np.nanmean(values) * unit) if np.isfinite(values).any() else None


def _median(values: np.ndarray, unit: float) -> float | None:
    return _rounded(np.nanmedian(values) * unit) if np.isfinite(values).any() else None


# ---------------------------------------------------------------------------------------------- table

_COLUMNS = ("clip", "frames", "2D med %", "MPJPE", "P-MPJPE", "root mean", "median", "depth", "lateral", "cover %")


def _row(name: str, figures: Mapping[str, Any]) -> list[str]:
    seen, root = figures["visible"], figures["root_mm"]
    values = [seen.get("keypoints2d_percent"), seen["mpjpe_mm"], seen["p_mpjpe_mm"]]
    values += [root["mean"], root["median"], root["depth_median"], root["lateral_median"], seen["coverage_percent"]]
    cells = [f"{v:.2f}" if i == 0 else f"{v:.1f}" for i, v in enumerate(0.0 if v is None else v for v in values)]
    shown = ["-" if v is None else cell for v, cell in zip(values, cells, strict=True)]
    frames = f"{figures['frames_evaluated']}/{figures['frames_truth']}"
    return [name, frames, *shown]


def _table(report: Mapping[str, Any]) -> str:
    rows = [_row(f"{c} [{f['frame']}]", f) for c, f in report["clips"].items()]
    total = [_row(f"all [{frame}]", f) for frame, f in report["pooled"].items()]
    widths = [max(len(r[i]) for r in [list(_COLUMNS), *rows, *total]) for i in range(len(_COLUMNS))]

    def line(cells: list[str]) -> str:
        first, *rest = (
            c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join([first, *rest]).rstrip()

    rule = "-" * len(line(list(_COLUMNS)))
    out = [
        f"{report['subject']}: {report['prediction']['file']} against {report['data']['file']}",
        "12 limb joints that the truth says are visible; mm; 2D as % of the person's height; root in [frame]",
        "",
        line(list(_COLUMNS)),
        rule,
        *map(line, rows),
        rule,
        *map(line, total),
    ]
    out += [f"failed: {name}: {reason}" for name, reason in report["failed"].items()]
    out += [f"not in the truth: {', '.join(report['not_in_truth'])}"] if report["not_in_truth"] else []
    out += [f"not predicted: {', '.join(report['not_predicted'])}"] if report["not_predicted"] else []
    return "\n".join(out) + "\n"
