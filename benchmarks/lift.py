"""How fast the lifters are, against other ways of running them and against the machine, and how much memory they take.

Everything runs on one thread and is timed by the CPU time of this process, in turns, so that other work on the machine
counts little. Networks have random weights of the published sizes.

1. ``temporal``, the 243-frame network: a whole clip by posemill, against one window of 243 frames per frame (what a
   program does that knows the network as windows to frames), and against the published way for whole sequences (one
   pass of dilated convolutions over the padded sequence). Answers must agree.
2. Each lifter with its defaults (the mirrored person included) on a whole clip: frames a second, and the floating-point
   operations of its networks a second as a share of what large matrix products of this machine reach.
3. A million frames: memory beyond the input and the output.

    python benchmarks/lift.py [--json FILE.json] [--frames 1000000] [--only speed|memory] [--memory-of temporal ...]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from process import cpu_s, forget_most, resident_mb
from record import write_record
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from posemill import registry
from posemill.camera import Camera
from posemill.formats.weights import write_weights
from posemill.lifters.protocol import LiftInput
from posemill.networks.agformer import SIZES, MotionAGFormer
from posemill.networks.dstformer import LITE, DSTformer
from posemill.networks.gan import GanMLP
from posemill.networks.linear import LinearLifter
from posemill.networks.posemill import PosemillNet
from posemill.networks.rays import INPUT_WIDTH, OUTPUT_WIDTH
from posemill.networks.repnet import RepNet
from posemill.networks.seq2seq import Seq2Seq
from posemill.networks.temporal import TemporalModel
from posemill.networks.temporal_stream import TemporalStream
from posemill.networks.video_gan import VideoGan
from posemill.skeleton import convert

TURNS = 5
# Frames of the clip that a lifter's speed is taken on: a few seconds of work each.
FRAMES = {
    "posemill": 4_000, "linear": 8_000, "gan": 8_000, "repnet": 4_000, "temporal": 2_000, "video_gan": 2_000,
    "seq2seq": 300, "dstformer": 243, "agformer": 216,
}  # fmt: skip
_BLOCK = 1024


def weights_of(name: str, folder: Path) -> Path:
    """Random weights of the published sizes."""
    torch.manual_seed(0)
    statistics = {"mean_2d": np.full(32, 500.0), "std_2d": np.full(32, 100.0), "mean_3d": np.zeros(48)}
    card: dict[str, Any] = {"lifter": name}
    more: dict[str, np.ndarray] = {}
    networks: dict[str, nn.Module] = {}
    if name == "linear":
        networks, card["network"] = {"": LinearLifter(INPUT_WIDTH, OUTPUT_WIDTH)}, "linear rays 1"
        more["sigma_factor"] = np.ones(16)
    elif name == "temporal":
        networks, card["joint_set_in"] = {"": TemporalModel()}, "h36m17"
    elif name == "seq2seq":
        networks = {"": Seq2Seq()}
        more = {f"statistics.{n}": v for n, v in {**statistics, "std_3d": np.full(48, 0.2)}.items()}
    elif name == "video_gan":
        networks = {"pose.": VideoGan(32, 48), "root.": VideoGan(34, 3)}
    else:
        sizes = {"dstformer": LITE, "agformer": SIZES["xs"]}.get(name, {})
        make = {
            "posemill": PosemillNet,
            "gan": GanMLP,
            "repnet": RepNet,
            "dstformer": DSTformer,
            "agformer": MotionAGFormer,
        }[name]
        networks, card["network"] = {"": make(**sizes)}, sizes
        if name == "repnet":
            card["network"] = {"form": "repnet"}
    tensors = {
        prefix + key: tensor.numpy()
        for prefix, network in networks.items()
        for key, tensor in network.state_dict().items()
        if tensor.is_floating_point()
    }
    path = folder / f"{name}.safetensors"
    write_weights(path, {**tensors, **{n: np.asarray(v, np.float32) for n, v in more.items()}}, card)
    return path


def lifter_of(name: str, folder: Path) -> tuple[Any, str]:
    """The lifter with its defaults, and the joint set that it reads."""
    module = registry.load("lifters", name)
    options = module.Options(weights=weights_of(name, folder))
    card = module.card(options) if hasattr(module, "card") else module.CARD
    return module.create(options), card.joint_set_in


def clip_of(frames: int, joints: str) -> LiftInput:
    """A person who moves smoothly 4 m away, at 50 fps."""
    rng = np.random.default_rng(0)
    camera = Camera.from_focal(1000, 1000, 1145.0, source="calibration", sigma=0.0)
    body = rng.uniform((-0.4, -0.8, 3.8), (0.4, 0.8, 4.2), (17, 3))
    phase = rng.uniform(0, 6, (17, 3))
    still, *_ = convert(camera.project(body[None]), "h36m17", joints)
    points = np.empty((frames, still.shape[1], 2))
    for start in range(0, frames, _BLOCK):
        time_s = np.arange(start, min(start + _BLOCK, frames))[:, None, None] / 50
        moved = body + 0.1 * np.sin(2 * time_s + phase)
        points[start : start + _BLOCK] = convert(camera.project(moved), "h36m17", joints)[0]
    valid = np.isfinite(points).all(-1)
    ones = np.ones(points.shape[:2])
    return LiftInput(points, ones, ones, valid, np.arange(frames) / 50, camera)


def gemm_rate() -> float:
    """Operations a second of a matrix product of 1024 x 1024 by 1024 x 1024."""
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    return 2 * 1024**3 / min(cpu_s(lambda: a @ b) for _ in range(5))


# ------------------------------------------------------------------------------------------ temporal


def temporal_ways(frames: int = 2_000, windows: int = 16) -> dict[str, Any]:
    """CPU time per frame of the three ways, on the network alone."""
    torch.manual_seed(0)
    network = TemporalModel().eval()
    stream = TemporalStream(network)
    before, after = network.padding
    padded = torch.rand(frames + before + after, 17, 2) - 0.5
    flat = padded.flatten(1)

    def whole_clip() -> torch.Tensor:
        sequence = stream.start()
        blocks = [sequence.push(flat[start : start + _BLOCK]) for start in range(0, len(flat), _BLOCK)]
        return torch.cat(blocks).view(-1, 17, 3)

    def one_pass() -> torch.Tensor:
        return network(padded[None])[0]

    def window_per_frame() -> torch.Tensor:
        parts = [network(padded[None, k : k + network.receptive_field])[0] for k in range(windows)]
        return torch.cat(parts)

    took: dict[str, list[float]] = {"posemill": [], "published": [], "windows": []}
    with torch.inference_mode():
        answers = whole_clip(), one_pass(), window_per_frame()
        difference = max(
            float((answers[0] - answers[1]).abs().max()), float((answers[0][:windows] - answers[2]).abs().max())
        )
        if difference > 1e-4:
            raise SystemExit(f"the ways differ by {difference:.1e}")
        for _ in range(TURNS):
            took["posemill"].append(cpu_s(whole_clip) / frames)
            took["published"].append(cpu_s(one_pass) / frames)
            took["windows"].append(cpu_s(window_per_frame) / windows)
    ours, published, dense = (float(np.median(took[name])) for name in ("posemill", "published", "windows"))
    return {
        "us_per_frame": {"posemill": 1e6 * ours, "published": 1e6 * published, "windows": 1e6 * dense},
        "times_windows": dense / ours,
        "times_published": published / ours,
        "times_published_by_turn": [b / a for a, b in zip(took["posemill"], took["published"], strict=True)],
        "difference": difference,
    }


# ------------------------------------------------------------------------------------------ each lifter


def operations(call: Callable[[], object]) -> int:
    """Floating-point operations of matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        call()
    return counter.get_total_flops()


def network_operations(name: str, lifter: Any, clip: LiftInput) -> int:
    """Operations of the networks in one lift, the person and the mirrored one; also lifts once to warm up."""
    frames = len(clip.time)
    if name == "temporal":
        lifter.lift(clip)
        network = lifter._setup.network
        return 2 * operations(lambda: network(torch.zeros(1, frames + network.receptive_field - 1, 17, 2)))
    if name == "video_gan":
        lifter.lift(clip)
        return 2 * sum(
            operations(lambda n=n, w=w: n.over_clip(torch.zeros(1, frames + 26, w)))
            for n, w in ((lifter._networks["pose"], 32), (lifter._networks["root"], 34))
        )
    calls: Counter[tuple[int, ...]] = Counter()
    hook = lifter._network.register_forward_pre_hook(lambda _, inputs: calls.update([tuple(inputs[0].shape)]))
    lifter.lift(clip)
    hook.remove()
    return sum(
        times * operations(lambda shape=shape: lifter._network(torch.zeros(shape))) for shape, times in calls.items()
    )


def speeds(folder: Path) -> dict[str, Any]:
    """Frames a second of each lifter and its share of the machine's rate."""
    found = {}
    for name, frames in FRAMES.items():
        lifter, joints = lifter_of(name, folder)
        clip = clip_of(frames, joints)
        work = network_operations(name, lifter, clip)
        turns = [(gemm_rate(), cpu_s(lambda lifter=lifter, clip=clip: lifter.lift(clip))) for _ in range(TURNS)]
        rate, seconds = (float(np.median(values)) for values in zip(*turns, strict=True))
        found[name] = {
            "frames": frames,
            "frames_per_s": frames / seconds,
            "gflop_per_frame": work / frames / 1e9,
            "gemm_gflop_per_s": rate / 1e9,
            "share_of_gemm": work / seconds / rate,
        }
        print(
            f"  {name:10s} {frames / seconds:10,.0f} frames/s, {work / frames / 1e9:8.4f} GFLOP a frame,"
            f" {100 * found[name]['share_of_gemm']:5.1f} % of the {rate / 1e9:.0f} GFLOP/s of matrix products",
            flush=True,
        )
    return found


# ------------------------------------------------------------------------------------------ memory


def memory(name: str, frames: int) -> dict[str, float]:
    """MB beyond input and output that a lift of many frames takes; in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        lifter, joints = lifter_of(name, Path(folder))
    lifter.lift(clip_of(5 * _BLOCK, joints))
    clip = clip_of(frames, joints)
    forget_most()
    held = resident_mb("VmRSS")
    start = time.perf_counter()
    output = lifter.lift(clip)
    arrays = [a for a in (output.joints_relative, output.sigma, output.valid, output.root, output.root_sigma)]
    size = sum(a.nbytes for a in arrays if a is not None) / 2**20
    return {
        "frames": frames,
        "output_mb": size,
        "beyond_mb": resident_mb("VmHWM") - held - size,
        "wall_s": time.perf_counter() - start,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers here as JSON")
    parser.add_argument("--frames", type=int, default=1_000_000, help="frames of the memory measurement")
    parser.add_argument("--only", choices=("speed", "memory"))
    parser.add_argument("--memory-of", nargs="*", default=["linear", "temporal"], choices=sorted(FRAMES))
    parser.add_argument("--one-memory", choices=sorted(FRAMES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.one_memory:
        print(json.dumps(memory(arguments.one_memory, arguments.frames)))
        return
    record: dict[str, Any] = {"load": os.getloadavg()[0], "threads": 1}
    if arguments.only != "memory":
        record["temporal"] = ways = temporal_ways()
        per = ways["us_per_frame"]
        print(
            f"temporal, 243 frames, load {record['load']:.1f}: {per['posemill']:.0f} us a frame for a whole clip;"
            f" a window per frame {per['windows']:.0f} us ({ways['times_windows']:.0f} times); the published pass over"
            f" the sequence {per['published']:.0f} us ({ways['times_published']:.2f} times)"
        )
        with tempfile.TemporaryDirectory() as folder:
            record["lifters"] = speeds(Path(folder))
    if arguments.only != "speed":
        record["memory"] = {}
        for name in arguments.memory_of:
            command = [sys.executable, __file__, "--one-memory", name, "--frames", str(arguments.frames)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            record["memory"][name] = found = json.loads(done.stdout)
            print(
                f"  {name:10s} {found['frames']:,} frames: {found['beyond_mb']:.0f} MB beyond input and output"
                f" ({found['output_mb']:.0f} MB), {found['wall_s']:.0f} s",
                flush=True,
            )
    write_record(arguments.json, record)


if __name__ == "__main__":
    main()
