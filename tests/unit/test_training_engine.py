"""The one loop: what a step learns from depends on seed and number alone, and a killed run goes on exactly there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from posemill.errors import InputError
from posemill.training.checkpoints import read_checkpoint
from posemill.training.engine import Running, Training, run
from posemill.training.pools import ahead, order
from posemill.training.steps import fast, reduced, step_optimiser


class Line(Training):
    """Learns y = 2 x + 1 through dropout and noise: everything that could make two runs differ."""

    def __init__(self, *, steps: int = 40, seed: int = 0, pause_s: float = 0.0, learning_rate: float = 0.01) -> None:
        super().__init__(seed=seed, steps=steps, batch=8, pool_rows=24, passes=2, device=torch.device("cpu"))
        network = nn.Sequential(nn.Linear(1, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
        self.modules["network"] = network
        self.extras["centre"] = np.array([0.5])
        optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate, amsgrad=True)
        self.optimisers["network"] = optimiser
        self.schedulers["network"] = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, learning_rate, total_steps=steps, cycle_momentum=False
        )
        self.seen: list[tuple[int, ...]] = []
        self._pause_s = pause_s

    def pool(self, index: int) -> dict[str, np.ndarray]:
        x = self.rng(index).uniform(-1, 1, (24, 1))
        return {"x": x, "y": 2 * x + 1, "id": 100 * index + np.arange(24)}

    def step(self, batch, number):
        assert batch["x"].dtype == torch.float32
        self.seen.append(tuple(batch["id"].tolist()))
        out = self.modules["network"](batch["x"] + 0.01 * torch.randn_like(batch["x"]))
        loss = (out - batch["y"]).square().mean()
        step_optimiser(loss, self.optimisers["network"], self.schedulers["network"], clip_norm=1.0)
        time.sleep(self._pause_s)
        return {"loss": loss}

    def evaluate(self):
        assert not self.modules["network"].training
        x = torch.linspace(-1, 1, 50)[:, None]
        return {"error": (self.modules["network"](x) - 2 * x - 1).abs().mean()}


def weights(training: Training) -> bytes:
    state = training.modules["network"].state_dict()
    return b"".join(t.numpy().tobytes() for t in state.values())


def whole(training: Training, **keywords) -> bytes:
    run(training, **keywords)
    return weights(training)


def test_every_row_is_used_as_often_as_passes_say():
    training = Line(steps=12)
    run(training)
    for pool in (training.seen[:6], training.seen[6:]):
        rows, uses = np.unique(np.concatenate([*pool]), return_counts=True)
        assert len(rows) == 24 and (uses == 2).all()
    assert training.seen[0] != training.seen[3]
    assert not training.modules["network"].training


def test_order_begins_again_where_a_pool_has_too_few_rows():
    rows = order(0, 3, count=10, batch=4, per_pass=4)
    taken = np.concatenate([rows(i) for i in range(4)])
    assert set(taken[:10]) == set(range(10)) and list(taken[10:]) == list(taken[:6])


def test_pools_drawn_ahead_are_the_same(tmp_path: Path):
    assert whole(Line()) == whole(Line(), running=Running(workers=2))


def draws_nothing(index: int) -> dict[str, np.ndarray]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def test_a_killed_worker_is_one_clear_line():
    line = "a process that draws examples was killed; lower the option workers"
    with pytest.raises(InputError, match=line), ahead(draws_nothing, range(3), 1) as pools:
        list(pools)


def test_stopped_and_resumed_gives_the_same_weights_log_and_checkpoint(tmp_path: Path):
    running = Running(checkpoint_every=10, log_every=4, evaluate_every=20)
    undisturbed = whole(Line(), folder=tmp_path / "one", request={"a": 1}, running=running)

    class Stop(Exception):
        pass

    def stop(done: int, scalars) -> None:
        if done == 27:
            raise Stop

    with pytest.raises(Stop):
        run(Line(), folder=tmp_path / "two", request={"a": 1}, running=running, report=stop)
    again = Line()
    assert run(again, folder=tmp_path / "two", request={"a": 1}, running=running) == 20
    assert weights(again) == undisturbed
    for name in ("log.jsonl", "request.json", "checkpoint-000000040.safetensors"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes(), name


def test_stopped_early_and_gone_on_later_is_the_same(tmp_path: Path):
    undisturbed, short = Line(), Line()
    whole(undisturbed, folder=tmp_path / "one", running=Running(checkpoint_every=10))
    assert run(short, folder=tmp_path / "two", running=Running(checkpoint_every=10, stop_at=25)) == 0
    assert [p.name for p in (tmp_path / "two").glob("*25.safetensors")] == ["checkpoint-000000025.safetensors"]
    assert len(short.seen) == 25
    assert run(Line(), folder=tmp_path / "two", running=Running(checkpoint_every=10, stop_at=25)) == 25
    again = Line()
    assert run(again, folder=tmp_path / "two", running=Running(checkpoint_every=10)) == 25
    assert weights(again) == weights(undisturbed) != weights(short)
    with pytest.raises(InputError, match="stop_at: expected 40 or more, got 30"):
        run(Line(), folder=tmp_path / "two", running=Running(stop_at=30))


def test_checkpoints_have_what_belongs_to_the_weights(tmp_path: Path):
    training = Line()
    run(training, folder=tmp_path, request={"a": (1, 2)}, running=Running(checkpoint_every=15))
    assert [p.name for p in sorted(tmp_path.glob("checkpoint-*"))] == [
        "checkpoint-000000030.safetensors",
        "checkpoint-000000040.safetensors",
    ]
    read = read_checkpoint(tmp_path / "checkpoint-000000040.safetensors")
    assert read.step == 40 and read.request == {"a": [1, 2]}
    np.testing.assert_array_equal(read.under("extras/")["centre"], np.float32(0.5))
    for name, tensor in training.modules["network"].state_dict().items():
        np.testing.assert_array_equal(read.under("modules/network/")[name], tensor.numpy())


def test_a_series_stays_beside_the_last(tmp_path: Path):
    run(Line(), folder=tmp_path, running=Running(checkpoint_every=4, keep=1, series_every=10))
    steps = [int(p.stem.split("-")[1]) for p in sorted(tmp_path.glob("checkpoint-*"))]
    assert steps == [10, 20, 30, 40]


def test_the_log_has_means_and_measurements(tmp_path: Path):
    run(Line(), folder=tmp_path, running=Running(log_every=10, evaluate_every=20))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 20, 30, 40, 40]
    assert [sorted(line)[0] for line in lines] == ["loss", "loss", "evaluate/error", "loss", "loss", "evaluate/error"]
    assert lines[3]["loss"] < lines[0]["loss"]


def test_another_request_is_refused_in_one_line(tmp_path: Path):
    run(Line(), folder=tmp_path, request={"options": {"steps": 40, "batch": 8}})
    with pytest.raises(InputError) as error:
        run(Line(), folder=tmp_path, request={"options": {"steps": 40, "batch": 16}})
    assert "checkpoint of this request: options.batch: expected 16, got 8; delete the folder" in str(error.value)
    assert "\n" not in str(error.value)
    (tmp_path / "mine.txt").write_text("stays")
    run(Line(), folder=tmp_path, request={"options": {"steps": 40, "batch": 16}}, running=Running(resume=False))
    assert read_checkpoint(tmp_path / "checkpoint-000000040.safetensors").request["options"]["batch"] == 16
    assert (tmp_path / "mine.txt").exists()


def test_a_damaged_checkpoint_is_refused(tmp_path: Path):
    run(Line(), folder=tmp_path)
    newest = tmp_path / "checkpoint-000000040.safetensors"
    newest.write_bytes(newest.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"checkpoint-000000040.safetensors: checkpoint: expected a whole one"):
        run(Line(), folder=tmp_path)


def test_a_diverged_training_stops_and_says_so(tmp_path: Path):
    training = Line(learning_rate=1e30)
    with pytest.raises(InputError, match=r"training: step \d+: loss: expected a finite number, got .*learning_rate"):
        run(training, folder=tmp_path, running=Running(log_every=5, checkpoint_every=5))


def test_tensorboard_has_the_numbers_of_the_log(tmp_path: Path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(Line(), folder=tmp_path / "run", running=Running(log_every=10, tensorboard=tmp_path / "board"))
    board = events.EventAccumulator(str(tmp_path / "board"))
    board.Reload()
    logged = [json.loads(line)["loss"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    np.testing.assert_allclose([scalar.value for scalar in board.Scalars("loss")], logged, rtol=1e-6)


def test_without_tensorboard_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"expected the package tensorboard, got none .*posemill\[tensorboard\]"):
        run(Line(), running=Running(tensorboard=tmp_path))


KILLED = """
import sys, torch
from pathlib import Path
torch.set_num_threads(1)
from posemill.training.engine import Running, run
from tests.unit.test_training_engine import Line
run(Line(steps=60, pause_s=0.02), folder=Path(sys.argv[1]), request={"a": 1},
    running=Running(checkpoint_every=5, log_every=3, workers=int(sys.argv[2])))
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_killed_and_resumed_is_byte_identical(tmp_path: Path, workers: int):
    """SIGKILL in the midst of it, thrice, wherever that falls."""
    root = Path(__file__).parents[2]
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(folder), str(workers)]
    for reach in (5, 25, 40):
        process = subprocess.Popen(command, cwd=root)
        deadline = time.monotonic() + 120
        while not any(int(p.stem.split("-")[1]) >= reach for p in folder.glob("checkpoint-*.safetensors")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    torch.set_num_threads(1)
    resumed, undisturbed = Line(steps=60), Line(steps=60)
    first = run(resumed, folder=folder, request={"a": 1}, running=Running(checkpoint_every=5, log_every=3))
    assert 40 <= first < 60
    run(undisturbed, folder=tmp_path / "whole", request={"a": 1}, running=Running(checkpoint_every=5, log_every=3))
    assert weights(resumed) == weights(undisturbed)
    assert (folder / "log.jsonl").read_bytes() == (tmp_path / "whole" / "log.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("able", "dtype"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx2": True, "avx512_bf16": True}, torch.bfloat16),
        ({"avx2": True, "amx_bf16": True}, torch.bfloat16),
        ({"architecture": "aarch64", "bf16": True}, torch.bfloat16),
    ],
)
def test_reduced_precision_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, object], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    reduced.cache_clear()
    try:
        with fast(torch.device("cpu")):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    finally:
        reduced.cache_clear()
