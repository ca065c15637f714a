"""Crops through a network of heatmaps, on the CPU or a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

__all__ = ["Runner"]


class Runner:
    """A network ready to run: channels last, in half precision on a GPU if wanted.

    Parameters
    ----------
    network
        In evaluation mode; (N, 3, H, W) to heatmaps, or a list of them.
    where
        Torch's name of the device.
    half
        Half precision, on a GPU only.
    mean, deviation
        (3,) of the pixels in [0, 1]: subtracted, divided by.
    reverse
        The network reads blue, green, red.
    """

    def __init__(
        self,
        network: nn.Module,
        where: str,
        *,
        half: bool,
        mean: np.ndarray,
        deviation: np.ndarray | None = None,
        reverse: bool = False,
    ) -> None:
        self._where = where
        self._dtype = torch.float16 if half and where != "cpu" else torch.float32
        placed: Any = network.to(where, self._dtype)
        self._network: Any = placed.to(memory_format=torch.channels_last)
        scale = 1 / (255.0 * (np.ones(3) if deviation is None else deviation))
        offset = -mean / (np.ones(3) if deviation is None else deviation)
        self._plain = not mean.any() and deviation is None
        self._scale = torch.from_numpy(scale).to(where, torch.float32).reshape(1, 3, 1, 1)
        self._offset = torch.from_numpy(offset).to(where, torch.float32).reshape(1, 3, 1, 1)
        self._reverse = reverse

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Heatmaps (N, J, H/4, W/4) float32 of pixels (N, H, W, 3) float32 RGB, 0 to 255."""
        # Seen as (N, 3, H, W), the crops are channels last already.
        x = torch.from_numpy(np.ascontiguousarray(pixels[..., ::-1] if self._reverse else pixels))
        x = x.to(self._where).permute(0, 3, 1, 2)
        with torch.inference_mode():
            x = x * self._scale
            if not self._plain:
                x = x + self._offset
            answer = self._network(x.to(self._dtype))
            maps = answer[-1] if isinstance(answer, list) else answer
            return maps.float().contiguous().cpu().numpy()
