"""What the steps of a training are made of: device, precision, tensors, the way down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

__all__ = ["as_tensor", "fast", "pick_device", "reduced", "step_optimiser"]


def pick_device() -> torch.device:
    """Give the GPU if there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@cache
def reduced(device: torch.device) -> bool:
    """Whether bfloat16 is worth it: a processor without instructions for it takes twenty times as long in it."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16"))


@contextmanager
def fast(device: torch.device) -> Iterator[None]:
    """Run networks forward in reduced precision where that is fast (:func:`reduced`); losses should be in float32.

    On CPUs the fused attention takes five times as long backwards in it as its plain form, which is therefore taken
    there.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16, enabled=reduced(device)))
        if device.type == "cpu":
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


def step_optimiser(
    loss: torch.Tensor,
    optimiser: Optimizer,
    scheduler: LRScheduler | None = None,
    *,
    clip_norm: float | None = None,
) -> None:
    """Go backwards from a loss and move what the optimiser has; gradients longer than ``clip_norm`` are shortened."""
    import torch

    optimiser.zero_grad()
    loss.backward()
    if clip_norm is not None:
        torch.nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], clip_norm)
    optimiser.step()
    if scheduler is not None:
        scheduler.step()


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """What a pool's array is in a batch: numbers in float32; integers and flags stay what they are."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array.astype(np.float32) if array.dtype.kind == "f" else array))
