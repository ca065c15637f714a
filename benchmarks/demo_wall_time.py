"""Wall time of the demo's whole chain against the least that detection alone can take.

The bound: one process that decodes the same clips with OpenCV and runs MediaPipe at the same complexity on the same
frames, and nothing else. Both run here, in turn, on the same machine; the figure is their ratio.

    python benchmarks/demo_wall_time.py [--repeats 3]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASELINE = """
import sys, cv2
from mediapipe.python.solutions import pose
frames = 0
for path in sys.argv[1:]:
    with pose.Pose(static_image_mode=False, model_complexity=1) as network:
        video = cv2.VideoCapture(path)
        while True:
            ok, image = video.read()
            if not ok:
                break
            network.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            frames += 1
print(frames)
"""


def baseline_s() -> tuple[float, int]:
    """Seconds and frames of decoding and detecting in one process."""
    videos = sorted(str(p) for p in (ROOT / "resources/demo/S9").glob("*.mp4"))
    start = time.perf_counter()
    out = subprocess.run([sys.executable, "-c", BASELINE, *videos], capture_output=True, text=True, check=True).stdout
    return time.perf_counter() - start, int(out)


def chain_s() -> float:
    """Seconds of a fresh run of the workflow on the demo."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, folder)
        for name in ("workflow", "profiles", "containers", "resources"):
            (Path(folder) / name).symlink_to(ROOT / name)
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "all"], cwd=folder, capture_output=True, check=True
        )
        return time.perf_counter() - start


def main() -> None:
    """Print a line per repeat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    print("bound_s chain_s frames chain/bound chain-1.3*bound_s")
    for _ in range(parser.parse_args().repeats):
        bound, frames = baseline_s()
        chain = chain_s()
        print(f"{bound:7.1f} {chain:7.1f} {frames:6d} {chain / bound:11.2f} {chain - 1.3 * bound:17.1f}", flush=True)


if __name__ == "__main__":
    main()
