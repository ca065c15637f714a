"""How fast the translation is solved, against solving each frame by itself, and how much memory a long clip takes.

A body on its way before a calibrated camera, twelve limb joints, keypoints with 3 px and poses with 20 mm of noise, two
joints of every tenth frame far off. In one process, in turns, by CPU time:

- posemill: all frames at once, weighed, robust, with a covariance for each (and then smoothed over time);
- scipy: ``scipy.optimize.least_squares`` on each frame's reprojection error, translation alone, Huber's loss;
- OpenCV: ``cv2.solvePnP`` on each frame, which turns the pose too.

    python benchmarks/place.py [--json FILE.json] [--frames 1000000]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from process import cpu_s, forget_most, resident_mb
from record import write_record
from scipy.optimize import least_squares

from posemill.camera import Camera
from posemill.geometry import rotation_between
from posemill.placement.options import PlaceOptions
from posemill.placement.roots import solve_roots
from posemill.placement.translation import root_trajectory
from posemill.skeleton import JOINT_SETS, LIMBS

TURNS, FRAMES, ONE_BY_ONE = 5, 20_000, 300
PIXEL, POSE_M = 3.0, 0.02
_SET = JOINT_SETS["h36m17"]
_LIMBS = _SET.indices(LIMBS)


def scene(frames: int) -> dict[str, Any]:
    """Time, poses (T, 17, 3) m as lifted, keypoints (T, 17, 2) px as detected, true roots (T, 3) m, camera.

    And what is known of them: ``pose_sigma`` and ``pixel_sigma`` (T, 17), ``valid`` (T, 17).
    """
    rng = np.random.default_rng(0)
    camera = Camera.from_focal(1280, 720, 1100.0, source="calibration", sigma=0.0)
    time = np.arange(frames) / 30
    way = 2 * np.pi * time / 12
    root = np.stack([1.2 * np.cos(way), 0.1 * np.sin(8 * way), 4 + 0.8 * np.sin(way)], -1)
    body = rng.normal(0, 0.3, (17, 3))
    body[0] = 0
    # The body turns with its way: about y, which is down.
    turn = rotation_between(np.array([0.0, 0, 1]), np.stack([np.sin(way), 0 * way, np.cos(way)], -1))
    pose = np.einsum("tab,jb->tja", turn, body)
    seen = camera.project(pose + root[:, None]) + rng.normal(0, PIXEL, (frames, 17, 2))
    seen[::10, _LIMBS[:2]] += 80
    lifted = pose + rng.normal(0, POSE_M, pose.shape)
    lifted[:, 0] = 0
    known = {
        "pose_sigma": np.full((frames, 17), POSE_M),
        "pixel_sigma": np.full((frames, 17), PIXEL),
        "valid": np.ones((frames, 17), bool),
    }
    return {"time": time, "pose": lifted, "seen": seen, "root": root, "camera": camera} | known


def by_posemill(of: dict[str, Any]) -> np.ndarray:
    pose, seen, pose_sigma, pixel_sigma, valid = (
        of[name].take(_LIMBS, axis=1) for name in ("pose", "seen", "pose_sigma", "pixel_sigma", "valid")
    )
    camera = of["camera"]
    roots = solve_roots(pose, camera.normalise(seen), pixel_sigma / camera.focal_px, pose_sigma, valid)
    return roots.root


def smoothed(of: dict[str, Any]) -> np.ndarray:
    return root_trajectory(
        *(of[name] for name in ("time", "pose", "pose_sigma", "seen", "pixel_sigma", "valid", "camera")),
        temporal=True,
        scale_sigma=0.0,
        options=PlaceOptions(),
    ).root


def by_scipy(of: dict[str, Any], frames: int) -> np.ndarray:
    camera = of["camera"]
    sigma = np.hypot(PIXEL, POSE_M * camera.focal_px / 4)
    out = []
    for pose, seen in zip(of["pose"][:frames, _LIMBS], of["seen"][:frames, _LIMBS], strict=True):

        def residual(root: np.ndarray, pose: np.ndarray = pose, seen: np.ndarray = seen) -> np.ndarray:
            return ((camera.project(pose + root) - seen) / sigma).ravel()

        out.append(least_squares(residual, (0.0, 0.0, 4.0), loss="huber").x)
    return np.array(out)


def by_opencv(of: dict[str, Any], frames: int) -> np.ndarray:
    k, dist = of["camera"].K, of["camera"].dist
    return np.array(
        [
            cv2.solvePnP(np.ascontiguousarray(pose), np.ascontiguousarray(seen), k, dist, flags=cv2.SOLVEPNP_ITERATIVE)[
                2
            ].ravel()
            for pose, seen in zip(of["pose"][:frames, _LIMBS], of["seen"][:frames, _LIMBS], strict=True)
        ]
    )


def speeds() -> dict[str, Any]:
    of = scene(FRAMES)
    ways = {
        "posemill": (FRAMES, lambda: by_posemill(of)),
        "posemill, smoothed": (FRAMES, lambda: smoothed(of)),
        "scipy": (ONE_BY_ONE, lambda: by_scipy(of, ONE_BY_ONE)),
        "OpenCV": (ONE_BY_ONE, lambda: by_opencv(of, ONE_BY_ONE)),
    }
    cv2.setNumThreads(1)
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, (frames, call) in ways.items():
            took[name].append(cpu_s(call) / frames)
    found = {}
    for name, (frames, call) in ways.items():
        error = np.linalg.norm(call() - of["root"][:frames], axis=-1)
        per = float(np.median(took[name]))
        found[name] = {
            "us_per_frame": 1e6 * per,
            "times_posemill": per / float(np.median(took["posemill"])),
            "root_error_mm": 1000 * float(np.median(error)),
            "worst_tenth_mm": 1000 * float(np.quantile(error, 0.9)),
        }
    return found


def memory(frames: int) -> dict[str, float]:
    """MB beyond input and output of a whole clip placed; in a process of its own."""
    smoothed(scene(5_000))
    single = ("pose", "seen", "pose_sigma", "pixel_sigma")
    of = {name: value.astype(np.float32) if name in single else value for name, value in scene(frames).items()}
    forget_most()
    held = resident_mb("VmRSS")
    size = smoothed(of).nbytes * 2 / 2**20  # root and sigma
    return {"frames": frames, "output_mb": size, "beyond_mb": resident_mb("VmHWM") - held - size}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers here as JSON")
    parser.add_argument("--frames", type=int, default=1_000_000, help="frames of the memory measurement")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(json.dumps(memory(arguments.frames)))
        return
    record: dict[str, Any] = {"load": os.getloadavg()[0], "ways": speeds()}
    print(f"one thread, load {record['load']:.1f}")
    for name, row in record["ways"].items():
        print(
            f"  {name:20s} {row['us_per_frame']:8.1f} us a frame, {row['times_posemill']:6.1f} of posemill's; root "
            f"{row['root_error_mm']:.0f} mm off in the median, {row['worst_tenth_mm']:.0f} mm in the worst tenth"
        )
    command = [sys.executable, __file__, "--memory", "--frames", str(arguments.frames)]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    record["memory"] = found
    print(
        f"  {found['frames']:,} frames: {found['beyond_mb']:.0f} MB beyond input and output"
        f" ({found['output_mb']:.0f} MB)"
    )
    write_record(arguments.json, record)


if __name__ == "__main__":
    main()
