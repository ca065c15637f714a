"""A world without calibration: up, floor and scale from the people, against the truth.

Motion capture through static virtual cameras (posemill.training.static_cameras), each clip by itself, with the exact
2D and with noisy 2D; and subjects that went through the workflow, each clip by itself and all clips of a camera
together (--subject KEYPOINTS2D LIFTED3D TRUTH, what gather and lift wrote, given calibrations without R and t, and the
truth). The cameras keep their focal length and lose their place. What is known beside it: the person's height; the
camera's height; both; neither.

Per row: share of clips that got a world; angle between up and the truth's, median, worst tenth (mean), share within 3
degrees and within its stated sigma (63 % if it is right); error of the camera's height; scale: how much too near or far
the root is, |median(Z) / true - 1|, and the share within its stated sigma (68 %); RTE: mean distance of root paths
after rigid alignment by the way's length, of clips whose root goes 1 m or more.

    python benchmarks/world.py [--motion MOTION.h5 --names S007,S011] [--views 4] [--lifter posemill]
        [--subject KEYPOINTS2D LIFTED3D TRUTH] [--json RECORD.json]
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from record import write_record

from posemill import registry
from posemill.camera import Camera
from posemill.detectors.protocol import Truth
from posemill.formats.artifact import file_sha256, read
from posemill.formats.motion import MotionClip, read_motion
from posemill.lifters.protocol import LiftInput
from posemill.metrics.world import depth_ratio, rte
from posemill.placement.floor import Floor
from posemill.placement.observed import BODIES, Observed, body_set, observe
from posemill.placement.options import PlaceOptions
from posemill.placement.ray import root_rays, turned_to_ray
from posemill.placement.shared_floors import find_floors
from posemill.placement.skeleton_scale import over_axes, stature
from posemill.placement.subject import measure
from posemill.provenance import code_hash
from posemill.skeleton import JOINT_SETS, bone_lengths, convert, joint_set
from posemill.training.static_cameras import watch

OPTIONS = PlaceOptions.model_validate({})
KNOWN = ("height", "camera height", "both", "neither")
MIN_WAY_M = 1.0


@dataclass(frozen=True)
class Seen:
    """One clip: what place works on, the true roots in camera axes, and the camera with its true place.

    Of motion capture also the lifter's sigma (T, J, 3) and the true joints (T, 17, 3) in the world.
    """

    name: str
    subject: str
    camera_name: str
    observed: Observed
    root: np.ndarray
    camera: Camera
    height_m: float
    sigma: np.ndarray | None = None
    joints: np.ndarray | None = None


@dataclass
class Found:
    """What was found of one clip; NaN where there is no world."""

    up_deg: float = np.nan
    up_sigma_deg: float = np.nan
    camera_height_m: float = np.nan
    scale: float = np.nan
    scale_sigma: float = np.nan
    rte_percent: float = np.nan


def from_motion(
    path: Path, names: tuple[str, ...], views: int, lifter: str, source: str, *, calibrated: bool = False
) -> list[Seen]:
    """Lift motion capture before virtual cameras; the same cameras as ``posemill benchmark motion`` with seed 0.

    ``calibrated``: the lifter is told where they stand, and so where up is.
    """
    clips = [c for c in read_motion(path, groups=("train",)) if not names or c.subject in names]
    module, told = registry.load("lifters", lifter), registry.load("detectors", source)
    options = module.Options.model_validate({})
    card = module.card(options) if hasattr(module, "card") else module.CARD
    made = module.create(options)
    out = []
    for clip in clips:
        height_m = _height_m([c for c in clips if c.subject == clip.subject])
        for view in range(views):
            name = f"{clip.subject}/{clip.clip}/view{view}"
            key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
            camera = watch(clip.joints.astype(np.float64), np.random.default_rng([0, key]))
            blind = replace(camera, R=None, t=None)
            truth = camera.world_to_camera(clip.joints.astype(np.float64))
            time = np.arange(len(truth)) / clip.fps
            size_px = camera.focal_px * height_m / truth[:, 0, 2]
            known = Truth(name, time, camera.project(truth), np.ones(truth.shape[:2], bool), "h36m17", size_px)
            image = told.observe(told.Options(), known)
            points, valid, score, sigma = convert(image.keypoints, "h36m17", card.joint_set_in, sigma=image.sigma)
            given = LiftInput(points, score, sigma, valid, time, camera if calibrated else blind, detector=source)
            lifted = made.lift(given)
            body = next(b for b in BODIES if set(joint_set(b).joints) <= set(joint_set(card.joint_set_out).joints))
            lifted = lifted.only(joint_set(card.joint_set_out).indices(joint_set(body).joints))
            pose = lifted.joints_relative.astype(np.float64)
            flags = np.isfinite(image.keypoints).all(-1)
            if card.ray_blind:
                rays = root_rays(time, image.keypoints, "h36m17", flags, camera, temporal=True)
                pose = turned_to_ray(pose, rays)
            one = Observed(
                time,
                True,
                blind,
                pose,
                over_axes(lifted.sigma_axes),
                lifted.valid,
                body,
                image.keypoints,
                image.sigma,
                flags,
            )
            found = Seen(name, f"{clip.subject}/view{view}", name, one, truth[:, 0], camera, height_m)
            out.append(replace(found, sigma=lifted.sigma_axes, joints=clip.joints.astype(np.float64)))
    return out


def _height_m(clips: list[MotionClip]) -> float:
    return float(stature(np.median(np.concatenate([bone_lengths(c.joints.astype(np.float64)) for c in clips]), 0)))


def from_artifacts(keypoints2d: Path, lifted3d: Path, truth3d: Path) -> list[Seen]:
    """Take a subject as the workflow leaves it whose calibration has no places, or lifters were told where up is."""
    lifted, truth = read(lifted3d, "lifted3d"), read(truth3d, "truth3d")
    pelvis = JOINT_SETS[truth.joint_set].index("pelvis")
    out = []
    for name, tracks in observe(read(keypoints2d, "keypoints2d"), lifted).items():
        one, true = next(iter(tracks.values())), truth.clips[name]
        assert true.camera is not None
        there = next(iter(true.tracks.values())).arrays["joints_camera"][:, pelvis].astype(np.float64)
        root = np.stack([np.interp(one.time, true.time, there[:, k]) for k in range(3)], -1)
        if one.camera.in_world:
            raise SystemExit(f"{keypoints2d}: {name}: expected a camera without R and t; gather and lift again without")
        place = true.camera.centre.round(4).tobytes().hex()
        out.append(Seen(name, lifted.subject, place, one, root, true.camera, float(truth.attrs["height_m"])))
    print(f"{keypoints2d}: bones of {body_set(lifted)}", file=sys.stderr)
    return out


def judge(seen: list[Seen], known: str, *, shared: bool) -> list[Found]:
    """Measure, place and judge; subjects one after the other."""
    found = []
    for subject in sorted({s.subject for s in seen}):
        own = {s.name: s for s in seen if s.subject == subject}
        found += list(_subject(own, known, shared=shared))
    return found


def _subject(clips: Mapping[str, Seen], known: str, *, shared: bool) -> Iterator[Found]:
    cameras = {name: s.camera_name for name, s in clips.items()} if shared else {}
    heights_m = {name: float(s.camera.centre[2]) for name, s in clips.items() if s.camera.centre[2] > 0.3}
    body = measure(
        {name: {"p1": s.observed} for name, s in clips.items()},
        height_m=next(iter(clips.values())).height_m if known in ("height", "both") else None,
        camera_heights_m=heights_m if known in ("camera height", "both") else {},
        cameras=cameras,
        joints_of=next(iter(clips.values())).observed.joints_of,
        options=OPTIONS,
    ).skeleton
    paths = {name: s.observed.path(body, OPTIONS) for name, s in clips.items()}
    placed = {name: [s.observed.on(paths[name], body)] for name, s in clips.items()}
    floors = find_floors(placed, body.stature_m, cameras, OPTIONS)
    for name, s in clips.items():
        root = paths[name].root
        one = Found(scale=1 / depth_ratio(root, s.root) - 1, scale_sigma=body.scale_sigma)
        if np.linalg.norm(np.diff(s.root, axis=0), axis=-1).sum() >= MIN_WAY_M:
            one.rte_percent = rte(root, s.root)
        floor = floors[name]
        if isinstance(floor, Floor):
            assert s.camera.R is not None
            one.up_deg = float(np.degrees(np.arccos(np.clip(floor.up @ s.camera.up, -1, 1))))
            one.up_sigma_deg = floor.up_sigma_deg
            one.camera_height_m = abs(floor.height_m - s.camera.centre[2])
        yield one


def row(found: list[Found]) -> dict[str, float]:
    """Figures of one row."""

    def column(name: str) -> np.ndarray:
        values = np.array([getattr(f, name) for f in found])
        return values[np.isfinite(values)]

    up, sigma, scale = column("up_deg"), column("up_sigma_deg"), np.abs(column("scale"))
    path = column("rte_percent")
    return {
        "clips": len(found),
        "world_percent": 100 * len(up) / len(found),
        "up_deg": float(np.median(up)),
        "up_worst_tenth_deg": _worst_tenth(up),
        "up_within_3_deg_percent": 100 * float((up <= 3).mean()),
        "up_within_sigma_percent": 100 * float((up <= sigma).mean()),
        "camera_height_m": float(np.median(column("camera_height_m"))),
        "scale_percent": 100 * float(np.median(scale)),
        "scale_worst_tenth_percent": 100 * _worst_tenth(scale),
        "scale_within_sigma_percent": 100 * float((scale <= column("scale_sigma")).mean()),
        "rte_percent": float(np.median(path)) if len(path) else float("nan"),
        "rte_worst_tenth_percent": _worst_tenth(path) if len(path) else float("nan"),
    }


def _worst_tenth(values: np.ndarray) -> float:
    return float(np.sort(values)[-max(1, round(len(values) / 10)) :].mean())


def arguments(said: str | None, *, views: int, files: int) -> argparse.Namespace:
    """What the command line says; ``names`` as a tuple. A subject is so many ``files``."""
    parser = argparse.ArgumentParser(description=said, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motion", type=Path)
    parser.add_argument("--names", default="S007,S011,S026,S080,S094")
    parser.add_argument("--views", type=int, default=views)
    parser.add_argument("--lifter", default="posemill")
    parser.add_argument("--subject", type=Path, nargs=files, action="append", default=[])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.names = tuple(given.names.split(",")) if given.names else ()
    return given


def leave(given: argparse.Namespace, inputs: Mapping[str, str], stage: str, rows: Mapping[str, object]) -> None:
    """Write the rows, of what and by which code they are, if ``--json`` asks for it."""
    found = {"inputs": inputs, "lifter": given.lifter, "views": given.views, "subjects": given.names}
    write_record(given.json, {**found, "code": code_hash(stage), "rows": rows})


def main() -> None:
    """Print the table, and write the record."""
    given = arguments(__doc__, views=4, files=3)
    data, inputs = [], {}
    for source in ("exact", "noisy") if given.motion else ():
        seen = from_motion(given.motion, given.names, given.views, given.lifter, source)
        data.append((f"motion capture, {source}", seen, False))
        inputs[given.motion.name] = file_sha256(given.motion)
    for files in given.subject:
        seen = from_artifacts(*files)
        label = f"{seen[0].subject}, {files[0].name.split('.')[1]}"
        data += [(f"{label}, each clip", seen, False), (f"{label}, clips of a camera", seen, True)]
        inputs |= {f.name: file_sha256(f) for f in files}
    rows = {
        f"{label}; {known} known": row(judge(seen, known, shared=shared))
        for label, seen, shared in data
        for known in KNOWN
    }
    for n, (label, figures) in enumerate(rows.items()):
        if n == 0:
            print(" " * 52 + " ".join(f"{k.replace('_percent', '_%'):>14.14}" for k in figures))
        print(f"{label:52}" + " ".join(f"{v:14.2f}" for v in figures.values()))
    leave(given, inputs, "posemill.stages.place", rows)


if __name__ == "__main__":
    main()
