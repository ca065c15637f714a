"""How good 2D keypoints are: a detector beside MediaPipe, on films with a truth, on painted pictures, on real videos.

- FILMS: a folder of ``posemill twin --captured``: every frame of every clip, against the projected truth.
- PICTURES: a folder of ``posemill draw-people``: painted anew by a seed, 256 px each, each a picture by itself.
- VIDEOS: no truth; how far the detector's 12 limb joints are from MediaPipe's, where both say something.

Figures: PCKh@0.5 is the share of joints within half a head, 5 % of the standing height; median and 90 % quantile of the
error in % of standing height; share of the coordinates' errors within one stated sigma (68 if it is true). A joint
that a detector does not give counts as missed. 12 limb joints unless it says 16; joints in the picture, hidden or not.

    python benchmarks/keypoints.py --work FOLDER [--detector hourglass] [--option name=value ...]
        [--films FOLDER] [--pictures FOLDER [--count 300]] [--video FILE ...] [--json RECORD.json]

Detections are kept in --work, by content, method and options.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from record import write_record

from posemill import media
from posemill.anthropometry import stature_px
from posemill.clips import IMAGES
from posemill.formats.artifact import Clip, file_sha256, read
from posemill.formats.pictures import read_figure, read_shard, shards
from posemill.metrics.keypoints import keypoint_figures
from posemill.metrics.pairing import match_frames
from posemill.plan import plan
from posemill.skeleton import convert
from posemill.stages import detect
from posemill.training.pictures.drawn import Shard
from posemill.training.pictures.painted import Painter
from posemill.view.overlay import contact_sheet

SIDE = 256


def detected(source: Path, name: str, work: Path, method: str, options: dict[str, Any]) -> tuple[Clip, str]:
    """A clip's detections, made once, and their joint set."""
    request = plan("detect", method, options, {"subject": "S1", "clip": "clip", "kind": _kind(source)})
    path = work / f"{name}.{method}.{hashlib.sha256(request.to_json().encode()).hexdigest()[:12]}.h5"
    if not path.is_file():
        detect.run(source, path, request)
    found = read(path, "detections2d")
    return found.clips["clip"], found.joint_set


def _kind(source: Path) -> str:
    return "stills" if source.is_dir() or source.suffix.lower() in IMAGES else "video"


def keypoints(clip: Clip, joints: str, wanted: str) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (T, J, 2) and sigma (T, J) px of the person with the most frames; NaN where there is nothing."""
    length = len(clip.time)
    if clip.status != "ok" or not clip.tracks:
        return np.full((length, 1, 2), np.nan), np.full((length, 1), np.nan)
    track = max(clip.tracks.values(), key=lambda t: np.isfinite(t.arrays["keypoints"]).sum())
    arrays = {k: v.astype(np.float64) for k, v in track.arrays.items() if k in ("keypoints", "sigma")}
    sigma = arrays.get("sigma", np.full(arrays["keypoints"].shape[:2], np.nan))
    points, _, _, sigmas = convert(arrays["keypoints"], joints, wanted, sigma=sigma)
    return points, sigmas


class Comparison:
    """Errors of two methods on the same joints."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[np.ndarray, ...]]] = {}

    def add(
        self, who: str, found: np.ndarray, sigma: np.ndarray, truth: np.ndarray, size: np.ndarray, asked: np.ndarray
    ) -> None:
        """Add frames: (T, J, 2), (T, J), (T, J, 2), (T,), (T, J)."""
        found, sigma = (np.broadcast_to(a, b.shape) for a, b in ((found, truth), (sigma, asked)))
        self.rows.setdefault(who, []).append((found, truth, size, asked, sigma))

    def figures(self) -> dict[str, dict[str, float | None]]:
        """By method."""
        out = {}
        for who, rows in self.rows.items():
            found, truth, size, asked, sigma = (np.concatenate(column) for column in zip(*rows, strict=True))
            values = keypoint_figures(found, truth, size, asked, sigma)
            out[who] = {k: round(v, 2) if np.isfinite(v) else None for k, v in values.items()}
        return out


def films(folder: Path, work: Path, methods: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """All clips of a folder of films, joints that the camera sees apart."""
    every, seen = Comparison(), Comparison()
    for path in sorted(folder.glob("*/truth.h5")):
        truth = read(path, "truth3d")
        for name, clip in truth.clips.items():
            video = path.parent / f"{name}.mp4"
            arrays = clip.tracks["p1"].arrays
            exact = arrays["keypoints"].astype(np.float64)
            limbs = convert(exact, truth.joint_set, "limbs12")[0]
            width, height = clip.image_size
            inside = ((limbs >= -0.5) & (limbs < np.array([width, height]) - 0.5)).all(-1)
            shown = convert(exact, truth.joint_set, "limbs12", valid=arrays["visible"].astype(bool))[1] & inside
            camera = clip.camera
            assert camera is not None
            size = truth.attrs["height_m"] * camera.focal_px / arrays["joints_camera"][:, 0, 2].astype(np.float64)
            for who, options in methods.items():
                found, joints = detected(video, f"{path.parent.name}_{name}", work, who, options)
                points, sigma = keypoints(found, joints, "limbs12")
                i, k = match_frames(found.time, clip.time, 0.5 / clip.fps)
                given, stated = np.full((len(clip.time), 12, 2), np.nan), np.full((len(clip.time), 12), np.nan)
                given[k], stated[k] = (
                    np.broadcast_to(points, (len(found.time), 12, 2))[i],
                    np.broadcast_to(sigma, (len(found.time), 12))[i],
                )
                every.add(who, given, stated, limbs, size, inside)
                seen.add(who, given, stated, limbs, size, shown)
    return {"every joint in the picture": every.figures(), "joints that nothing hides": seen.figures()}


def pictures(folder: Path, work: Path, methods: dict[str, dict[str, Any]], count: int) -> dict[str, Any]:
    """Painted pictures; the top-down detector is given the frame as its box, as in its training."""
    import cv2

    out, tables = work / f"painted{count}", read_figure(folder)
    out.mkdir(parents=True, exist_ok=True)
    painter, rng = Painter(tables["kinds"], tables["places"]), np.random.default_rng(77)
    truth, asked, size = [], [], []
    loaded = [Shard(**read_shard(folder, n)) for n in shards(folder)]
    starts = [shard.starts() for shard in loaded]
    for i in range(count):
        shard = int(rng.integers(len(loaded)))
        made = painter.paint(loaded[shard], starts[shard], int(rng.integers(len(loaded[shard].shape))), SIDE, rng)
        cv2.imwrite(str(out / f"{i:05d}.png"), made.picture[..., ::-1])
        truth.append(convert(made.joints[None].astype(np.float64), "mpii16", "limbs12")[0][0])
        asked.append(convert(made.joints[None].astype(np.float64), "mpii16", "limbs12", valid=made.present[None])[1][0])
        size.append(made.size_px)
    comparison = Comparison()
    for who, options in methods.items():
        chosen = options if who == "mediapipe" else options | {"boxes": "frame"}
        found, joints = detected(out, f"painted{count}", work, who, chosen)
        comparison.add(who, *keypoints(found, joints, "limbs12"), np.stack(truth), np.array(size), np.stack(asked))
    return comparison.figures()


def videos(paths: list[Path], work: Path, methods: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How far the methods are apart, by video; and a sheet of frames with both drawn."""
    out: dict[str, Any] = {}
    for path in paths:
        answers = {}
        for who, options in methods.items():
            found, joints = detected(path, path.stem, work, who, options)
            answers[who] = keypoints(found, joints, "limbs12")[0]
        ours, theirs = (answers[who] for who in methods)
        size = np.nanmedian(stature_px(theirs, "limbs12"))
        apart = 100 * np.linalg.norm(ours - theirs, axis=-1) / size
        both = np.isfinite(apart)
        out[path.name] = {
            "sha256": file_sha256(path),
            "frames": len(apart),
            "joints_of_both_percent": round(100 * float(both.mean()), 2),
            "median": round(float(np.nanmedian(apart)), 2),
            "p90": round(float(np.nanquantile(apart, 0.9)), 2),
            "within_5_percent": round(100 * float(np.mean(apart[both] <= 5)), 2),
        }
        frames = [f.rgb for f in media.frames(path)]
        chosen = np.linspace(0, len(frames) - 1, 12).round().astype(int)
        contact_sheet(work / f"{path.stem}.png", [frames[i] for i in chosen], [ours[chosen], theirs[chosen]], "limbs12")
    return out


def main() -> None:
    """Print figures, and write a record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--detector", default="hourglass")
    parser.add_argument("--option", action="append", default=[], help="of the detector, name=value")
    parser.add_argument("--films", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--video", type=Path, action="append", default=[])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    options = {k: yaml.safe_load(v) for k, _, v in (pair.partition("=") for pair in args.option)}
    methods = {args.detector: options, "mediapipe": {}}
    record: dict[str, Any] = {
        "weights_sha256": plan("detect", args.detector, options).weights,
        "unit": "% of standing height; pckh, within_sigma and within_5_percent: % of joints or coordinates",
    }
    if args.films:
        record["films"] = films(args.films, args.work, methods)
    if args.pictures:
        record["painted"] = pictures(args.pictures, args.work, methods, args.count)
    if args.video:
        record["apart"] = videos(args.video, args.work, methods)
    print(json.dumps(record, indent=1))
    write_record(args.json, record)


if __name__ == "__main__":
    main()
