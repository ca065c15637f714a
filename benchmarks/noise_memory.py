"""How long a detector's errors last: their correlation in time on the demo, behind posemill.detectors.noise.

    python benchmarks/noise_memory.py results/S9/detect/mediapipe resources/demo/S9/truth.h5

Errors are those of the twelve limb joints over the person's height in the image, less each clip's median. The sign of a
heavy-tailed error is that of the Gaussian process behind it, whose correlation is sin(pi/2 E[s s']).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from posemill.formats.artifact import Artifact, read
from posemill.skeleton import convert

LAGS_S = (1 / 30, 4 / 30, 8 / 30, 0.5, 1.0)


def errors(detected: Path, truth: Artifact) -> tuple[np.ndarray, float]:
    (name, clip), *_ = read(detected, "detections2d").clips.items()
    known, found = truth.clips[name], clip.tracks["p1"].arrays
    points = convert(found["keypoints"].astype(float), "blazepose33", "limbs12", valid=found["valid"])[0]
    true = known.tracks["p1"].arrays
    target = convert(true["keypoints"].astype(float), truth.joint_set, "limbs12")[0]
    depth = convert(true["joints_camera"].astype(float), truth.joint_set, "h36m17")[0][:, 0, 2]
    height_px = known.camera.focal_px * truth.attrs["height_m"] / depth
    error = ((points - target) / height_px[:, None, None]).reshape(len(points), -1)
    return error - np.nanmedian(error, 0), known.fps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detections", type=Path, help="folder of one file a clip")
    parser.add_argument("truth", type=Path)
    given = parser.parse_args()
    truth = read(given.truth, "truth3d")
    clips = [errors(path, truth) for path in sorted(given.detections.glob("*.h5"))]
    for lag_s in LAGS_S:
        agree, count = 0.0, 0
        for error, fps in clips:
            sign, lag = np.sign(error), round(lag_s * fps)
            product = sign[:-lag] * sign[lag:]
            agree, count = agree + np.nansum(product), count + np.isfinite(product).sum()
        correlation = np.sin(np.pi / 2 * agree / count)
        print(f"after {lag_s:.3f} s: correlation {correlation:.2f}, time constant {-lag_s / np.log(correlation):.2f} s")


if __name__ == "__main__":
    main()
