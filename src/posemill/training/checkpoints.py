"""The folder of a running training: its request, checkpoints (safetensors: data, no code) and log (JSON lines).

``request.json`` says what decides the bytes. ``checkpoint-{step}.safetensors`` holds the tensors of networks
(``modules/NAME/…``), of optimisers (``optimisers/NAME/INDEX/…``) and what belongs to the weights beside
(``extras/…``), and as metadata, JSON: step, request, the numbers of optimisers and schedulers. ``log.jsonl`` has an
object a line: ``step`` and scalars, means since the line before.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.atomic import write_bytes, write_text

if TYPE_CHECKING:
    from posemill.training.engine import Training

__all__ = ["Checkpoint", "RunFolder", "read_checkpoint", "read_request"]

_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")
_VERSION = 1
_DO = "delete the folder or choose another output, or begin anew with --option resume=false"


class Checkpoint:
    """A checkpoint file as read: ``step``, ``request``, and tensors by name."""

    def __init__(self, path: Path, tensors: dict[str, np.ndarray], about: dict[str, Any]) -> None:
        self.path, self.tensors, self.about = path, tensors, about
        self.step: int = about["step"]
        self.request: dict[str, Any] = about["request"]

    def under(self, prefix: str) -> dict[str, np.ndarray]:
        """Tensors whose names begin so, without that beginning."""
        return {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)}


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    InputError
        Damaged, or no checkpoint of a training.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get("training", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if about["version"] != _VERSION:
            raise ValueError(f"version {about['version']}")
        return Checkpoint(path, tensors, about)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        text = " ".join(str(error).split())
        raise InputError(
            expected("checkpoint", "a whole one of this version", text, where=path, do="delete it")
        ) from error


def read_request(folder: Path) -> dict[str, Any]:
    """Read what a run folder was asked for.

    Raises
    ------
    InputError
        No run folder.
    """
    path = folder / "request.json"
    try:
        request = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise InputError(expected("request of a training", "JSON", text, where=path)) from None
    if not isinstance(request, dict):
        raise InputError(expected("request of a training", "an object", type(request).__name__, where=path))
    return request


class RunFolder:
    """A training's folder.

    Parameters
    ----------
    request
        What decides the bytes; compared with what is in the folder.
    """

    def __init__(self, folder: Path, request: Mapping[str, Any]) -> None:
        self.path = folder
        # As JSON holds it: tuples are lists.
        self._request = json.loads(json.dumps(request))

    def checkpoints(self) -> dict[int, Path]:
        """Step to file, ascending."""
        found = {int(m[1]): p for p in self.path.glob("checkpoint-*.safetensors") if (m := _NAME.fullmatch(p.name))}
        return dict(sorted(found.items()))

    def open(self, training: Training, *, resume: bool) -> int:
        """Make the folder, or go on in it: read the newest checkpoint into the training; returns its step or 0.

        Raises
        ------
        InputError
            The folder holds another request's checkpoints; cannot be written; its checkpoint does not fit.
        """
        if not resume and self.path.exists():
            self._remove()
        found = self.checkpoints()
        if not found:
            write_text(self.path / "request.json", json.dumps(self._request, indent=1, sort_keys=True) + "\n")
            (self.path / "log.jsonl").unlink(missing_ok=True)
            return 0
        newest = read_checkpoint(found[max(found)])
        self._check(newest)
        _restore(training, newest)
        self._cut_log(newest.step)
        return newest.step

    def _check(self, checkpoint: Checkpoint) -> None:
        ours, theirs = self._request, checkpoint.request
        different = [k for k in sorted({*ours, *theirs}) if ours.get(k) != theirs.get(k)]
        if not different:
            return
        name, mine, found = different[0], ours.get(different[0]), theirs.get(different[0])
        if isinstance(mine, dict) and isinstance(found, dict):
            inner = next(k for k in sorted({*mine, *found}) if mine.get(k) != found.get(k))
            name, mine, found = f"{name}.{inner}", mine.get(inner), found.get(inner)
        raise InputError(expected(f"checkpoint of this request: {name}", mine, found, where=self.path, do=_DO))

    def _remove(self) -> None:
        """Remove what trainings write there, and nothing else."""
        for path in (*self.checkpoints().values(), *(self.path / n for n in ("request.json", "log.jsonl"))):
            path.unlink(missing_ok=True)

    def _cut_log(self, step: int) -> None:
        """Leave out what was logged after the checkpoint: it comes again."""
        path = self.path / "log.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        kept = [line for line in lines if _step(line) <= step]
        write_text(path, "".join(f"{line}\n" for line in kept))

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Add a line; {} adds none. A number that there is not (nothing was answered) is null."""
        if scalars:
            known = {name: value if np.isfinite(value) else None for name, value in scalars.items()}
            try:
                with (self.path / "log.jsonl").open("a") as file:
                    file.write(json.dumps({"step": step, **known}) + "\n")
            except OSError as error:
                free = shutil.disk_usage(self.path).free
                raise InputError(
                    f"{self.path / 'log.jsonl'}: cannot be written: {error.strerror} ({free // 2**20} MiB free)"
                ) from error

    def save(self, training: Training, step: int, *, keep: int, series_every: int | None) -> Path:
        """Write a checkpoint in one step, and remove those that are neither among the last nor of the series."""
        from safetensors.numpy import save

        tensors, numbers = _state(training)
        about = {"version": _VERSION, "step": step, "request": self._request, **numbers}
        path = self.path / f"checkpoint-{step:09d}.safetensors"
        write_bytes(path, save(tensors, {"training": json.dumps(about, sort_keys=True)}))
        for old, file in list(self.checkpoints().items())[:-keep]:
            if not (series_every and old % series_every == 0):
                file.unlink(missing_ok=True)
        return path


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        # A line that was cut off by the kill.
        return float("inf")


def _state(training: Training) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors by name, and what is no tensor as JSON holds it."""
    tensors = {f"extras/{name}": np.array(a, np.float32, order="C") for name, a in training.extras.items()}
    numbers: dict[str, Any] = {"optimisers": {}, "schedulers": {}}
    for name, module in training.modules.items():
        tensors |= {f"modules/{name}/{key}": _array(t) for key, t in module.state_dict().items()}
    for name, optimiser in training.optimisers.items():
        state = optimiser.state_dict()
        rest: dict[str, Any] = {}
        for index, values in state["state"].items():
            for key, value in values.items():
                if hasattr(value, "detach"):
                    tensors[f"optimisers/{name}/{index}/{key}"] = _array(value)
                elif value is not None:
                    rest.setdefault(str(index), {})[key] = value
        numbers["optimisers"][name] = {"param_groups": state["param_groups"], "state": rest}
    for name, scheduler in training.schedulers.items():
        numbers["schedulers"][name] = {k: v for k, v in scheduler.state_dict().items() if not callable(v)}
    return tensors, numbers


def _array(tensor: Any) -> np.ndarray:
    return np.array(tensor.detach().cpu().numpy(), order="C")


def _restore(training: Training, checkpoint: Checkpoint) -> None:
    """Read a checkpoint into networks, optimisers and schedulers of the same request."""
    import torch

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(array))

    try:
        for name, module in training.modules.items():
            module.load_state_dict({k: tensor(t) for k, t in checkpoint.under(f"modules/{name}/").items()})
        for name, optimiser in training.optimisers.items():
            said = checkpoint.about["optimisers"][name]
            state: dict[int, dict[str, Any]] = {int(i): dict(values) for i, values in said["state"].items()}
            for key, array in checkpoint.under(f"optimisers/{name}/").items():
                index, _, what = key.partition("/")
                state.setdefault(int(index), {})[what] = tensor(array)
            optimiser.load_state_dict({"state": state, "param_groups": said["param_groups"]})
        for name, scheduler in training.schedulers.items():
            scheduler.load_state_dict(checkpoint.about["schedulers"][name])
    except (KeyError, ValueError, RuntimeError) as error:
        text = " ".join(str(error).split())[:300]
        raise InputError(expected("checkpoint", "one of this training", text, where=checkpoint.path, do=_DO)) from None
