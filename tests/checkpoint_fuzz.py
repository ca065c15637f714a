"""Damage weights files and read them: only answers and one-line errors are allowed.

``python -m tests.checkpoint_fuzz 10000`` reads that many damaged files; a crash ends the process, a hang is a
TimeoutError, memory is limited, and any traceback but the expected errors' is let through.
"""

from __future__ import annotations

import resource
import signal
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np

from posemill.errors import PosemillError
from posemill.formats.checkpoints import read_checkpoint
from posemill.formats.weights import write_weights
from tests.checkpoint_writers import masked, write_bundle, write_chainer, write_keras, write_torch

_SECONDS = 60
# Each damaged Keras file is opened in a process of its own: one in so many rounds.
_KERAS_EVERY = 8
_MEMORY = 6 * 2**30
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1)


def originals(folder: Path) -> dict[str, Path]:
    """One sound file of each kind."""
    import torch

    rng = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    state = {"module.w": torch.from_numpy(array(8, 5)), "module.b": torch.from_numpy(array(8))}
    content = {
        "epoch": 3, "lr": 1e-3, "random_state": np.random.RandomState(0), "model_pos": state,
        "mean": array(4).astype(np.float64), "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
    }  # fmt: skip
    layers = {f"dense_{k}": {f"dense_{k}/kernel:0": array(5, k), f"dense_{k}/bias:0": array(k)} for k in (3, 4)}
    named = {f"scope/w{i}": array(3, 4) for i in range(30)}
    write_weights(folder / "a.safetensors", {"w": array(5, 3)}, {"method": "x"})
    return {
        "torch zip": write_torch(folder / "a.pth", content),
        "torch legacy": write_torch(folder / "a.bin", content, legacy=True),
        "chainer": write_chainer(folder / "a.npz", {"l1/W": array(8, 5), "l1/b": array(8), "bn1/N": np.array(3)}),
        "keras": write_keras(folder / "a.h5", layers),
        "tensorflow": write_bundle(folder / "checkpoint-1", named),
        "safetensors": folder / "a.safetensors",
    }


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut, flip, overwrite with extreme numbers, repeat, remove or insert."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, max(1, len(out))))
        kind = int(rng.integers(0, 7))
        if kind == 0:
            del out[at:]
        elif kind == 1:
            for place in rng.integers(0, max(1, len(out)), int(rng.integers(1, 12))):
                if out:
                    out[place % len(out)] ^= 1 << int(rng.integers(0, 8))
        elif kind == 2:
            width = int(rng.choice([1, 2, 4, 8]))
            value = _EXTREMES[int(rng.integers(0, len(_EXTREMES)))] & (2 ** (8 * width) - 1)
            out[at : at + width] = value.to_bytes(width, "little")
        elif kind == 3:
            out[at:at] = out[at : at + int(rng.integers(1, 200))]
        elif kind == 4:
            del out[at : at + int(rng.integers(1, 200))]
        elif kind == 5:
            out[at:at] = rng.bytes(int(rng.integers(1, 60)))
        else:
            size = int(rng.integers(1, 60))
            out[at : at + size] = rng.bytes(size)
    return bytes(out)


def _damage_pickle(data: bytes, rng: np.random.Generator, folder: Path) -> bytes:
    """Damage the pickle inside a sound archive, whose checksums would hide the damage otherwise."""
    source, target = folder / "source", folder / "target"
    source.write_bytes(data)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            member = old.read(info)
            inside = info.filename.endswith(("data.pkl", ".npy"))
            new.writestr(info.filename, damage(member, rng) if inside else member)
    return target.read_bytes()


def _damage_block(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage the first block of a TensorFlow index and give it a right checksum again."""
    size = len(data) // 3
    # The first block ends where its checksum does: found by trying, as a reader of the footer would know it.
    for end in range(size, len(data) - 4):
        if struct.unpack_from("<I", data, end)[0] == masked(data[:end]):
            block = bytearray(damage(data[: end - 1], rng))[: end - 1].ljust(end - 1, b"\1") + b"\0"
            return bytes(block) + struct.pack("<I", masked(bytes(block))) + data[end + 4 :]
    return damage(data, rng)


def cases(files: dict[str, Path], seed: int) -> Iterator[tuple[str, Path]]:
    """Write damaged files, kind after kind without end; each is gone when the next is asked for."""
    rng = np.random.default_rng(seed)
    sound = {kind: path.read_bytes() for kind, path in files.items()}
    deeper: dict[str, Callable[[bytes, Path], bytes]] = {
        "torch zip": lambda data, folder: _damage_pickle(data, rng, folder),
        "chainer": lambda data, folder: _damage_pickle(data, rng, folder),
        "tensorflow": lambda data, _: _damage_block(data, rng),
    }
    for turn in count():
        for kind, path in files.items():
            if kind == "keras" and turn % _KERAS_EVERY:
                continue
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                inner = kind in deeper and rng.random() < 0.5
                broken = deeper[kind](sound[kind], folder) if inner else damage(sound[kind], rng)
                target = folder / path.name
                target.write_bytes(broken)
                if kind == "tensorflow":
                    data = path.with_name("checkpoint-1.data-00000-of-00001").read_bytes()
                    target.with_name("checkpoint-1.data-00000-of-00001").write_bytes(data)
                yield kind, target


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {_SECONDS} s")


def fuzz(number: int, seed: int = 0) -> tuple[Counter[str], float]:
    """Read ``number`` damaged files; return how many of each kind were refused or read, and the longest time, s."""
    found: Counter[str] = Counter()
    longest = 0.0
    signal.signal(signal.SIGALRM, _too_long)
    with tempfile.TemporaryDirectory() as name:
        for (kind, path), _ in zip(cases(originals(Path(name)), seed), range(number), strict=False):
            signal.alarm(_SECONDS)
            start = time.perf_counter()
            try:
                read_checkpoint(path)
                found[f"{kind}: read"] += 1
            except PosemillError as error:
                assert "\n" not in str(error), error
                found[f"{kind}: refused"] += 1
            finally:
                signal.alarm(0)
            longest = max(longest, time.perf_counter() - start)
    return found, longest


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    results, seconds = fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for line, times in sorted(results.items()):
        print(line, times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"longest {seconds:.2f} s, peak {peak} MiB")
