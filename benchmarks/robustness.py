"""Does a lifter give the same poses for the same person filmed otherwise? On real videos, without a truth.

Of each video these are made: encoded again as it is; every second frame; half the size; mirrored; stored lying on its
side with the flag that turns it; a window around the person (the picture and with it the focal length in picture widths
changes, the calibration says so); and the video as it is with a calibration whose focal length is 15 % too long, or too
short. Each goes through detect, gather, lift, place and merge; the answers are brought back (mirrored sides, frames
matched by time) and compared with those of the video as it is.

Protocol: similarity Procrustes per frame onto the answer for the video itself, 12 limb joints and all 17; mean, median
and 95 % quantile over frames, in mm of the lifter's answer for the video itself (a body of one standard size where the
lifter does not know the person's). A frame counts if both answers are whole. Beside it how far apart the gathered
keypoints are: what the detector, and not the lifter, makes of the change. Of what was merged, in the camera's axes:
the 12 limb joints relative to the root without any alignment, mean over frames, and the root's path, median; in mm of a
body of the standard size, or of the stated height. A video without a calibration gets the assumption of
posemill.camera.Camera.prior, and its variants what follows from that.

    python benchmarks/robustness.py VIDEO [VIDEO ...] --work FOLDER [--lifter linear] [--option name=value]
        [--calibration VIDEO_NAME=FILE] [--height VIDEO_NAME=METRES] [--json RECORD.json]

Detections are kept in FOLDER, by the video's content, so that a second lifter takes seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from record import write_record

from posemill import media
from posemill.anthropometry import stature_px
from posemill.camera import Camera
from posemill.formats.artifact import Clip, file_sha256, only_joints, read
from posemill.formats.calibration import read_calibration, write_calibration
from posemill.metrics.pairing import match_frames
from posemill.metrics.pose import p_joint_errors
from posemill.metrics.variants import Variant, even
from posemill.plan import plan
from posemill.provenance import code_hash
from posemill.skeleton import JOINT_SETS, convert
from posemill.stages import detect, gather, lift, merge, place
from posemill.twin.video import write_video

LIMBS = JOINT_SETS["h36m17"].indices(JOINT_SETS["limbs12"].joints)
Answer = tuple[Clip, np.ndarray, Clip]
Window = tuple[int, int, int, int]
SIDES = JOINT_SETS["limbs12"].flip_permutation
ITSELF = Variant("itself")
MARGIN = 0.2
"""Of the person's box, on every side of the window."""
LIMIT_MM = 20.0
STAGES = ("detect", "gather", "lift", "skeleton", "place", "merge")


def variants(window: Window, image_size: tuple[int, int]) -> tuple[Variant, ...]:
    """The changes; ``window`` (x0, y0, width, height) px holds the person."""
    whole = (0, 0, even(image_size[0]), even(image_size[1]))
    return (
        Variant("encoded again", window=whole),
        Variant("half the frame rate", window=whole, step=2),
        Variant("half the size", window=whole, size=0.5),
        Variant("mirrored", window=whole, mirror=True),
        Variant("stored on its side", window=whole, stored=90),
        Variant("window, calibration says so", window=window),
        Variant("focal length 15 % too long", focal_factor=1.15),
        Variant("focal length 15 % too short", focal_factor=1 / 1.15),
    )


def person_window(clip: Clip) -> Window:
    """Window around all of a person's boxes."""
    box = clip.tracks["p1"].arrays["bbox"]
    (x0, y0), (x1, y1) = np.nanmin(box[:, :2], axis=0), np.nanmax(box[:, 2:], axis=0)
    margin = MARGIN * max(x1 - x0, y1 - y0)
    width, height = clip.image_size
    left, top = (int(max(v - margin, 0)) for v in (x0, y0))
    right, bottom = min(x1 + margin, width), min(y1 + margin, height)
    return left, top, even(right - left), even(bottom - top)


def detected(video: Path, folder: Path, variant: Variant, camera: Camera) -> Path:
    """Detections of a variant of a video, made once; its pictures are encoded nearly without loss."""
    name = "itself" if variant.same_pictures else variant.name
    window = "" if variant.window is None else "." + ".".join(map(str, variant.window))
    path = folder / f"{name.replace(' ', '_').replace(',', '')}{window}.detections.h5"
    if path.is_file():
        return path
    source = video
    if name != "itself":
        source = path.with_suffix(".mp4")
        info = media.probe(video)
        shown = (f for i, f in enumerate(media.frames(video, info=info)) if i % variant.step == 0)
        pictures = (variant.picture(f.rgb, camera) for f in shown)
        write_video(source, pictures, info.fps / variant.step, crf=8, rotation=variant.stored)
    sheet = {"subject": "S1", "clip": "clip", "kind": "video"}
    detect.run(source, path, plan("detect", "mediapipe", {}, sheet))
    if source is not video:
        source.unlink()
    return path


def answered(
    detections: Path, folder: Path, variant: Variant, camera: Camera, lifter: str, options: dict, height_m: float | None
) -> Answer:
    """Gather with the variant's calibration, lift, place, merge.

    Returns what was lifted, the limbs (T, 12, 2) px of what was gathered, and what was merged.
    """
    calibration = folder / "calibration.json"
    write_calibration(calibration, variant.camera(camera))
    given = {"clip": {"camera": None, "calibration": str(calibration), "focal_px": None, "fov_deg": None}}
    keypoints, out, placed, made = (
        folder / f"{name}.h5" for name in ("keypoints2d", "lifted3d", "placed3d", "merged3d")
    )
    gather.run([detections], keypoints, plan("gather", "", {}, {"clips": given}))
    lift.run(keypoints, out, plan("lift", lifter, options))
    clip = only_joints(read(out, "lifted3d"), "h36m17").clips["clip"]
    if clip.status != "ok":
        raise SystemExit(f"{detections}: {variant.name}: {clip.reason}")
    gathered = read(keypoints, "keypoints2d")
    arrays = gathered.clips["clip"].tracks["p1"].arrays
    place.run(keypoints, out, placed, plan("place", "", {}, {"height_m": height_m}))
    merge.run(keypoints, out, placed, made, plan("merge", "", {}, {}))
    merged = read(made, "merged3d").clips["clip"]
    return clip, convert(arrays["keypoints"].astype(np.float64), gathered.joint_set, "limbs12")[0], merged


def compare(first: Answer, second: Answer, variant: Variant, camera: Camera) -> dict[str, Any]:
    """Figures of one variant: errors in mm; keypoints in % of stature."""
    (own, points, animation), (other, found, changed) = first, second
    i, k = match_frames(other.time, own.time, 0.5 / own.fps)
    a = own.tracks["p1"].arrays["joints_relative"][k].astype(np.float64)
    b = variant.back(other.tracks["p1"].arrays["joints_relative"][i].astype(np.float64))
    whole = np.isfinite(a).all((-1, -2)) & np.isfinite(b).all((-1, -2))
    limbs = 1000 * p_joint_errors(b[whole][:, LIMBS], a[whole][:, LIMBS]).mean(-1)
    every = 1000 * p_joint_errors(b[whole], a[whole]).mean(-1)
    there = variant.pixels(points[k], camera)
    there = there[:, SIDES] if variant.mirror else there
    apart = np.linalg.norm(found[i] - there, axis=-1) / np.nanmedian(stature_px(there, "limbs12"))
    bodies, roots = zip(*(_apart(c.tracks["p1"].arrays["joints_camera"]) for c in (animation, changed)), strict=True)
    moved = 1000 * np.linalg.norm(variant.back(bodies[1][i])[:, LIMBS] - bodies[0][k][:, LIMBS], axis=-1).mean(-1)
    beside = np.linalg.norm(roots[1][i] * ((-1.0 if variant.mirror else 1.0), 1.0, 1.0) - roots[0][k], axis=-1)
    return {
        "merged_mpjpe12_mm": float(np.nanmean(moved)),
        "merged_root_median_mm": float(1000 * np.nanmedian(beside)),
        "keypoints_median_percent": float(100 * np.nanmedian(apart)),
        "keypoints_95_percent": float(100 * np.nanquantile(apart, 0.95)),
        "p_mpjpe12_median_mm": float(np.median(limbs)),
        "frames": int(whole.sum()),
        "of": len(other.time),
        "p_mpjpe12_mm": float(limbs.mean()),
        "p_mpjpe12_95_mm": float(np.quantile(limbs, 0.95)),
        "p_mpjpe17_mm": float(every.mean()),
    }


def _apart(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, 17, 3) relative to their roots, and the roots (T, 3)."""
    joints = joints.astype(np.float64)
    return joints - joints[:, :1], joints[:, 0]


def main() -> None:
    """Print a table per video, and write a record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--lifter", default="linear")
    parser.add_argument("--option", action="append", default=[], help="of the lifter, name=value")
    parser.add_argument("--calibration", action="append", default=[], help="VIDEO_NAME=FILE")
    parser.add_argument("--height", action="append", default=[], help="VIDEO_NAME=METRES")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    unnamed = [pair for pair in args.calibration + args.height if not pair.partition("=")[2]]
    if unnamed:
        parser.error(f"expected VIDEO_NAME=..., got {', '.join(unnamed)}")
    options = {k: yaml.safe_load(v) for k, _, v in (pair.partition("=") for pair in args.option)}
    calibrations = {k: Path(v) for k, _, v in (pair.partition("=") for pair in args.calibration)}
    heights = {k: float(v) for k, _, v in (pair.partition("=") for pair in args.height)}
    record: dict[str, Any] = {
        "code": {stage: code_hash(f"posemill.stages.{stage}") for stage in STAGES},
        "lifter": args.lifter,
        "weights_sha256": plan("lift", args.lifter, options).weights,
        "limit_mm": LIMIT_MM,
        "videos": {},
    }
    for video in args.videos:
        sha256 = file_sha256(video)
        folder = args.work / sha256[:16]
        folder.mkdir(parents=True, exist_ok=True)
        info = media.probe(video)
        if video.name in calibrations:
            camera = read_calibration(calibrations[video.name], None)
        else:
            camera = Camera.prior(info.width, info.height)
        first = detected(video, folder, ITSELF, camera)
        height_m = heights.get(video.name)
        own = answered(first, folder, ITSELF, camera, args.lifter, options, height_m)
        window = person_window(read(first, "detections2d").clips["clip"])
        rows = {}
        for variant in variants(window, (info.width, info.height)):
            found = detected(video, folder, variant, camera)
            answer = answered(found, folder, variant, camera, args.lifter, options, height_m)
            rows[variant.name] = compare(own, answer, variant, camera)
        record["videos"][video.name] = {
            "sha256": sha256,
            "size": [info.width, info.height],
            "focal_px": camera.focal_px,
            "calibration_sha256": file_sha256(calibrations[video.name]) if video.name in calibrations else None,
            "height_m": height_m,
            "window": window,
            "variants": rows,
        }
        print(f"{video.name}: {info.width}x{info.height}, window {window}, {args.lifter}")
        print(
            f"  {'mm, against the video itself':30} {'P-MPJPE 12':>10} {'median':>6} {'95 %':>6} {'P-MPJPE 17':>10} "
            f"{'2D, % of stature: median':>25} {'95 %':>5} {'merged: MPJPE':>13} {'root':>5}  frames"
        )
        for name, row in rows.items():
            flag = "" if row["p_mpjpe12_mm"] <= LIMIT_MM else f"  over {LIMIT_MM:g}"
            poses = f"{row['p_mpjpe12_mm']:10.1f} {row['p_mpjpe12_median_mm']:6.1f} {row['p_mpjpe12_95_mm']:6.1f}"
            image = f"{row['keypoints_median_percent']:25.2f} {row['keypoints_95_percent']:5.1f}"
            merged = f"{row['merged_mpjpe12_mm']:13.1f} {row['merged_root_median_mm']:5.0f}"
            print(
                f"  {name:30} {poses} {row['p_mpjpe17_mm']:10.1f} {image} {merged}  {row['frames']}/{row['of']}{flag}"
            )
    write_record(args.json, record)


if __name__ == "__main__":
    main()
