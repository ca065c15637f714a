"""How wrong is depth when the focal length, or the person's height, is wrong? Formula against simulation.

A person of height ``h`` who is ``s`` pixels tall stands at depth ``f h / s``: who believes in a focal length ``1 + a``
times as long and a height ``1 + b`` times as great puts everybody ``(1 + a) (1 + b)`` times as far away. Real bodies
have depth, turn and stand beside the axis, so the twin (exact pose, exact keypoints, three motions, two cameras) is
placed with wrong numbers, and the medians of Z / true Z over frames stand beside the formula. A focal length that is
wrong also bends the path: the residual after the best single factor is the last column, in % of the depth.

    python benchmarks/depth.py [--json RECORD.json]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from record import write_record

from posemill.camera import Camera
from posemill.placement.options import PlaceOptions
from posemill.placement.translation import root_trajectory
from posemill.twin.body import Body
from posemill.twin.cameras import studio
from posemill.twin.motions import animate

MOTIONS = ("walk_and_turn", "squat_and_reach", "wave")
WRONG = ((0.9, 1.0), (1.1, 1.0), (1.0, 0.9), (1.0, 1.1), (1.1, 1.1), (0.9, 1.1))
"""Believed over true: focal length, height."""
HEIGHT_M, FPS, SECONDS = 1.75, 30.0, 6.0


def placed(joints: np.ndarray, camera: Camera, focal: float, height: float) -> np.ndarray:
    """Root depths (T,) over the true ones of joints (T, 17, 3) m, camera axes, under wrong beliefs."""
    k = camera.K.copy()
    k[0, 0], k[1, 1] = focal * k[0, 0], focal * k[1, 1]
    time = np.arange(len(joints)) / FPS
    flags = np.ones(joints.shape[:2], dtype=bool)
    path = root_trajectory(
        time, height * (joints - joints[:, :1]), 0.01 * flags, camera.project(joints), 1.0 * flags, flags,
        replace(camera, K=k), temporal=True, scale_sigma=0.0, options=PlaceOptions.model_validate({}),
    )  # fmt: skip
    return path.root[:, 2] / joints[:, 0, 2]


def main() -> None:
    """Print the table, and write a record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    body = Body.of_height(HEIGHT_M)
    time = np.arange(round(FPS * SECONDS)) / FPS
    people = [body.joints(animate(motion, body, time))[:, :17] for motion in MOTIONS]
    views = studio(2, 640, 480).values()
    rows = []
    print(f"{'focal x':>8} {'height x':>8} {'formula':>8} {'least':>7} {'median':>7} {'most':>7} {'bent %':>7}")
    for focal, height in WRONG:
        ratios = [placed(view.world_to_camera(joints), view, focal, height) for joints in people for view in views]
        middle = [float(np.median(r)) for r in ratios]
        bent = [float(100 * np.std(r / np.median(r))) for r in ratios]
        row = {
            "focal": focal,
            "height": height,
            "formula": focal * height,
            "least": min(middle),
            "median": float(np.median(middle)),
            "most": max(middle),
            "bent_percent": max(bent),
        }
        rows.append(row)
        print(
            f"{focal:8.2f} {height:8.2f} {row['formula']:8.3f} {row['least']:7.3f} {row['median']:7.3f} "
            f"{row['most']:7.3f} {row['bent_percent']:7.2f}"
        )
    write_record(args.json, {"rows": rows})


if __name__ == "__main__":
    main()
