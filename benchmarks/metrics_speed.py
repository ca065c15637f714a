"""How fast the metrics are, and how much memory they take, on one core (set OMP_NUM_THREADS=1).

1. P-MPJPE of a million frames against the loop over frames that evaluation scripts of the field use (one singular value
   decomposition per call), on the same poses in the same run, in turns; both must agree.
2. Every metric over as many frames as Human3.6M's test set at 50 Hz, 566 920 of 17 joints, with the memory beyond the
   inputs. Metrics of motion are taken per sequence, 236 of them, as an evaluation does.

    OMP_NUM_THREADS=1 python benchmarks/metrics_speed.py [--loop-frames 1000000]
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from posemill.camera import Camera
from posemill.metrics import body, feet, image, motion, pose, reduce, uncertainty, world

MILLION = 1_000_000
H36M_TEST_FRAMES = 566_920
SEQUENCES = 236
REPEATS = 9
RNG = np.random.default_rng(0)


def loop_p_mpjpe(pred: np.ndarray, truth: np.ndarray) -> float:
    """Mean error after Procrustes alignment, one frame after the other, from the textbook formula."""
    total = 0.0
    for x, y in zip(pred, truth, strict=True):
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        x0, y0 = x - mean_x, y - mean_y
        norm_x, norm_y = np.linalg.norm(x0), np.linalg.norm(y0)
        u, d, vt = np.linalg.svd((y0 / norm_y).T @ (x0 / norm_x))
        v = vt.T
        r = v @ u.T
        if np.linalg.det(r) < 0:
            v[:, -1] *= -1
            d[-1] *= -1
            r = v @ u.T
        scale = d.sum() * norm_y / norm_x
        aligned = scale * x @ r + (mean_y - scale * mean_x @ r)
        total += np.linalg.norm(aligned - y, axis=-1).mean()
    return total / len(pred)


def poses(frames: int, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and truth (T, 17, 3) m of the size of a person 4 m away, 50 mm apart per axis; in blocks."""
    pred, truth = np.empty((frames, 17, 3), dtype), np.empty((frames, 17, 3), dtype)
    for part in reduce.frame_blocks(frames):
        block = RNG.normal(size=(part.stop - part.start, 17, 3)) * [0.2, 0.5, 0.15] + [0, 0, 4]
        truth[part] = block
        pred[part] = block + 0.05 * RNG.normal(size=block.shape)
    return pred, truth


def million(loop_frames: int) -> None:
    pred, truth = poses(MILLION, np.float64)
    load = os.getloadavg()[0]
    ours, theirs = [], []
    parts = np.array_split(np.arange(loop_frames), REPEATS)
    for part in parts:
        start = time.perf_counter()
        pose.p_mpjpe(pred, truth)
        ours.append((time.perf_counter() - start) / MILLION)
        rows = slice(part[0], part[-1] + 1)
        start = time.perf_counter()
        want = loop_p_mpjpe(pred[rows], truth[rows])
        theirs.append((time.perf_counter() - start) / len(part))
        difference = abs(pose.p_mpjpe(pred[rows], truth[rows]) - want)
        if difference > 1e-9:
            raise SystemExit(f"the loop and posemill differ by {difference:.1e} m")
    ratios = np.array(theirs) / np.array(ours)
    print(
        f"\nP-MPJPE of {MILLION:,} frames, load {load:.1f}: {np.median(ours) * MILLION:.2f} s (best"
        f" {min(ours) * MILLION:.2f}), loop {np.median(theirs) * MILLION:.1f} s (best {min(theirs) * MILLION:.1f};"
        f" {loop_frames:,} frames timed): ratio of the medians {np.median(theirs) / np.median(ours):.0f}, of the best"
        f" {min(theirs) / min(ours):.0f}, by turn {' '.join(f'{r:.0f}' for r in ratios)}"
    )


def every_metric() -> None:
    pred, truth = poses(H36M_TEST_FRAMES, np.float32)
    sigma = np.full_like(pred, 0.05)
    camera = Camera.from_focal(1000, 1000, 1145.0, source="calibration", sigma=0.0)
    pixels, seen = (np.concatenate([camera.project(p[b]) for b in reduce.frame_blocks(len(p))]) for p in (pred, truth))
    # OKS is of COCO's joints; the number is what counts here.
    area, boxes = np.full(len(pred), 2e4), np.tile([0.0, 0, 40, 40], (len(pred), 1))
    sequences = [slice(p[0], p[-1] + 1) for p in np.array_split(np.arange(len(pred)), SEQUENCES)]
    contact = RNG.random((len(pred), 2)) > 0.5
    ankles = [6, 3]

    def each(function: Callable[[slice], object]) -> Callable[[], object]:
        return lambda: [function(s) for s in sequences]

    jobs: dict[str, Callable[[], object]] = {
        "MPJPE": lambda: pose.mpjpe(pred, truth),
        "P-MPJPE": lambda: pose.p_mpjpe(pred, truth),
        "N-MPJPE": lambda: pose.n_mpjpe(pred, truth),
        "3D-PCK": lambda: pose.pck(pose.joint_errors(pred, truth, root=0)),
        "AUC": lambda: pose.auc(pose.joint_errors(pred, truth, root=0)),
        "MPJVE": each(lambda s: motion.mpjve(pred[s], truth[s], fps=50)),
        "acceleration": each(lambda s: motion.acceleration_error(pred[s], truth[s], fps=50)),
        "jitter": each(lambda s: motion.jitter(pred[s], fps=50)),
        "WA-MPJPE": each(lambda s: world.wa_mpjpe(pred[s], truth[s])),
        "W-MPJPE": each(lambda s: world.w_mpjpe(pred[s], truth[s])),
        "RTE": each(lambda s: world.rte(pred[s, 0], truth[s, 0])),
        "root error": lambda: world.root_error(pred[:, 0], truth[:, 0]),
        "depth ratio": lambda: world.depth_ratio(pred[:, 0], truth[:, 0]),
        "contact F1": lambda: feet.contact_score(contact, contact),
        "foot sliding": each(
            lambda s: feet.joint_foot_sliding(pred[s][:, ankles], feet.pair_contacts(contact[s]), fps=50)
        ),
        "floor piercing": lambda: feet.floor_piercing(pred[:, ankles]),
        "foot reprojection": lambda: feet.foot_reprojection_errors(pred[:, ankles], camera, seen[:, ankles]),
        "PCKh": lambda: image.pckh(pixels[:, :16], seen[:, :16], boxes),
        "OKS": lambda: image.oks(pixels, seen, area),
        "2D error": lambda: image.pixel_errors(pixels, seen, np.full(len(pred), 400.0)),
        "bone lengths": lambda: body.bone_length_deviation(pred),
        "symmetry": lambda: body.symmetry_deviation(pred),
        "sigma within 1": lambda: uncertainty.share_within(pred - truth, sigma),
        "reliability": lambda: uncertainty.reliability(pred - truth, sigma),
        "NLL": lambda: uncertainty.mean_nll(pred - truth, sigma),
    }
    before, load = held_mb(), os.getloadavg()[0]
    took = {}
    for name, job in jobs.items():
        start = time.perf_counter()
        job()
        took[name] = time.perf_counter() - start
    print(f"\nEvery metric over {len(pred):,} frames of 17 joints, load {load:.1f}:")
    for name, seconds in took.items():
        print(f"  {name:18s} {seconds:6.2f} s")
    print(f"  {'together':18s} {sum(took.values()):6.2f} s, at most {peak_mb() - before:.0f} MB beyond the inputs")


def held_mb() -> float:
    """Memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_mb() -> float:
    """Most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop-frames", type=int, default=100_000, help="frames of the million that the loop takes")
    loop_frames = parser.parse_args().loop_frames
    if not REPEATS <= loop_frames <= MILLION:
        parser.error(f"--loop-frames: expected {REPEATS} to {MILLION}, got {loop_frames}")
    # First, so that the peak is this one's.
    every_metric()
    million(loop_frames)


if __name__ == "__main__":
    main()
