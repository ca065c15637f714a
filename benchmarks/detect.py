"""How fast detection is against its bare network, against Torch7 on the same weights, and what an hour of video takes.

All on one thread. Other work on the machine counts little: times are CPU time, taken in turns, and of each kind the
least counts. Networks have random weights of the published size (8 stacks of 256 features), or those of ``--weights``.

1. The detector on frames that are decoded already (boxes, crops, mirrored person, keypoints, sigma) against its network
   alone in PyTorch, as it was built, on crops of the same frames. Above 1 means that what posemill does to the network
   (channels last, batch norms taken into convolutions) is worth more than all the rest costs. The same against the
   network prepared in the same way: what everything around the network costs.
2. The whole stage, from the video to the artifact, against the network alone: wall time, so that decoding in a thread
   of its own counts where there is a second core.
3. PyTorch against Torch7, one picture at a time, where ``th`` is found: Torch7 loads the network that posemill wrote.
4. An hour of frames at 25 a second through the stage's own collecting of detections, the network a small one: memory
   after the first tenth and at the end.

    python benchmarks/detect.py [--json FILE.json] [--parts speed torch7 stage hour] [--video FILE] [--frames 8]

A record that is there already keeps what other parts said.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import torch
from process import cpu_s, resident_mb
from record import write_record

from posemill import media
from posemill.detectors import hourglass
from posemill.detectors.inference import Runner
from posemill.formats.artifact import Clip
from posemill.formats.torch7_writer import write_torch7
from posemill.formats.weights import read_weights, write_weights
from posemill.lifters.loading import as_stored, build
from posemill.media import Frame
from posemill.networks.hourglass import Hourglass, fused
from posemill.networks.hourglass_torch7 import graph_module
from posemill.plan import plan
from posemill.stages import detect

_HOUR = 3600 * 25
# Loads the network, answers once to warm up, then prints the CPU time of each further answer.
_LUA = """
require 'torch'; require 'nn'; require 'nngraph'
torch.setdefaulttensortype('torch.FloatTensor')
local net = torch.load(arg[1]); net:evaluate()
local x = torch.rand(1, 3, 256, 256)
net:forward(x)
for _ = 1, tonumber(arg[2]) do
  local start = os.clock(); net:forward(x); print(os.clock() - start)
end
"""


def least(calls: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Least CPU time in s of each call, taken in turns after one call to warm up."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            times[name].append(cpu_s(call))
    return {name: min(found) for name, found in times.items()}


def made(folder: Path, sizes: dict[str, Any], size: int) -> Path:
    """A weights file with random numbers."""
    torch.manual_seed(0)
    path = folder / f"{sizes['stacks']}x{sizes['features']}.safetensors"
    tensors = as_stored({name: t.numpy() for name, t in Hourglass(**sizes).state_dict().items()})
    write_weights(path, tensors, {"detector": "hourglass", "network": sizes, "resolution": size})
    return path


def against_network(weights: Path, frames: list[np.ndarray], turns: int) -> dict[str, float]:
    """Part 1: frames a second of CPU time."""
    tensors, card = read_weights(weights)
    bare = build(Hourglass, card["network"], tensors, weights)
    plain = Runner(fused(build(Hourglass, card["network"], tensors, weights)), "cpu", half=False, mean=np.zeros(3))
    options = hourglass.Options(weights=weights, boxes="frame", batch=len(frames))
    detector = hourglass.create(options, temporal=True)
    box = np.array([-0.5, -0.5, frames[0].shape[1] - 0.5, frames[0].shape[0] - 0.5])
    crops = [hourglass.crop(rgb, box, margin=1.0, size=card["resolution"]).pixels for rgb in frames]
    both = np.concatenate([np.stack(crops), np.stack(crops)[:, :, ::-1]])
    inputs = torch.from_numpy(np.ascontiguousarray(both.transpose(0, 3, 1, 2)) / np.float32(255))

    def alone() -> None:
        with torch.inference_mode():
            bare(inputs)

    given = [(rgb, i / 25) for i, rgb in enumerate(frames)]
    calls = {
        "network alone": alone,
        "network prepared": lambda: plain(both),
        "detector": lambda: detector.detect_many(given),
    }
    return {name: len(frames) / seconds for name, seconds in least(calls, turns).items()}


def whole_stage(weights: Path, video: Path, count: int, turns: int) -> dict[str, float]:
    """Part 2: wall time in s of the stage on a video of ``count`` frames, and of the prepared network on as many."""
    tensors, card = read_weights(weights)
    runner = Runner(fused(build(Hourglass, card["network"], tensors, weights)), "cpu", half=False, mean=np.zeros(3))
    pixels = np.zeros((16, card["resolution"], card["resolution"], 3), np.float32)
    request = plan("detect", "hourglass", {"weights": str(weights), "boxes": "frame"}, {"subject": "S", "clip": "c"})
    found: dict[str, list[float]] = {"network prepared": [], "stage": []}
    for _ in range(turns):
        start = time.perf_counter()
        for _ in range(count // 8):
            runner(pixels)
        if count % 8:
            runner(pixels[: 2 * (count % 8)])
        found["network prepared"].append(time.perf_counter() - start)
        start = time.perf_counter()
        detect.run(video, video.with_suffix(".h5"), request)
        found["stage"].append(time.perf_counter() - start)
    return {name: min(times) for name, times in found.items()}


def against_torch7(weights: Path, folder: Path, turns: int) -> dict[str, float] | None:
    """Part 3: least CPU time in s of one picture; None where there is no ``th``."""
    th = shutil.which("th")
    if th is None:
        return None
    tensors, card = read_weights(weights)
    write_torch7(folder / "network.t7", graph_module(build(Hourglass, card["network"], tensors, weights)))
    (folder / "time.lua").write_text(_LUA)
    command = [th, str(folder / "time.lua"), str(folder / "network.t7"), str(turns)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    runner = Runner(fused(build(Hourglass, card["network"], tensors, weights)), "cpu", half=False, mean=np.zeros(3))
    pixels = np.zeros((1, 256, 256, 3), np.float32)
    ours = least({"PyTorch": lambda: runner(pixels)}, turns)
    return {"Torch7": min(map(float, lines)), **ours}


def an_hour(folder: Path, frames: list[np.ndarray], count: int) -> dict[str, float]:
    """Part 4: resident MB after a tenth of the frames and after all."""
    sizes = {"stacks": 1, "features": 4, "joints": 16, "modules": 1, "after": False, "stem": 2}
    options = hourglass.Options(weights=made(folder, sizes, 64), boxes="frame", flip=False, batch=64)
    marks: dict[int, float] = {}

    def shown() -> Iterator[Frame]:
        for i, rgb in enumerate(islice(cycle(frames), count)):
            if i in (count // 10, count - 1):
                marks[i] = resident_mb("VmRSS")
            yield Frame(i, i / 25, rgb)

    clip = Clip(temporal=True)
    with hourglass.create(options, temporal=True) as detector:
        detect._detect(clip, shown(), detector, None)
    first, last = sorted(marks)
    # A frame's numbers themselves: 16 joints of 5, and a box, in single precision.
    numbers = (last - first) * (16 * 5 + 4) * 4 / 2**20
    return {"frames": count, "first": marks[first], "last": marks[last], "the detections themselves": numbers}


def main() -> None:
    """Measure and print; write the record if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--video", type=Path, help="whose frames are used; else noise of 960 x 540")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--stacks", type=int, default=8)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--hour", type=int, default=_HOUR, help="frames of part 4")
    parts = ("speed", "torch7", "stage", "hour")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts, help="stage only with --video")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = {"stacks": args.stacks, "features": args.features, "joints": 16, "modules": 1, "after": False}
        weights = args.weights or made(folder, {**sizes, "stem": 64}, 256)
        if set(args.parts) != {"hour"}:
            found["network"] = read_weights(weights)[1]["network"]
        if args.video:
            frames = [frame.rgb for frame in islice(media.frames(args.video), args.frames)]
        else:
            rng = np.random.default_rng(0)
            frames = [rng.integers(0, 256, (540, 960, 3), dtype=np.uint8) for _ in range(args.frames)]
        if "speed" in args.parts:
            speed = against_network(weights, frames, args.turns)
            found["frames per CPU second"] = speed
            found["detector / network alone"] = speed["detector"] / speed["network alone"]
            found["detector / network prepared"] = speed["detector"] / speed["network prepared"]
            _say(found, args.json)
        torch7 = against_torch7(weights, folder, args.turns) if "torch7" in args.parts else None
        if torch7 is not None:
            found["CPU s per picture"] = torch7
            found["PyTorch / Torch7"] = torch7["Torch7"] / torch7["PyTorch"]
            _say(found, args.json)
        if args.video and "stage" in args.parts:
            short = folder / "short.mp4"
            shutil.copyfile(args.video, short)
            count = sum(1 for _ in media.frames(short))
            stage = whole_stage(weights, short, count, 1)
            found["stage, wall s"] = {**stage, "frames": count}
            found["stage / network prepared"] = stage["network prepared"] / stage["stage"]
            _say(found, args.json)
        if "hour" in args.parts:
            found["an hour, resident MB"] = an_hour(folder, [rgb[:128, :128] for rgb in frames], args.hour)
            _say(found, args.json)


def _say(found: dict[str, Any], record: Path | None) -> None:
    print(json.dumps(found, indent=1), flush=True)
    if record:
        before = json.loads(record.read_text()) if record.is_file() else {}
        write_record(
            record, {**{key: value for key, value in before.items() if key not in ("command", "machine")}, **found}
        )


if __name__ == "__main__":
    main()
