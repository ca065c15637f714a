"""How long a step of a training takes, so that a budget of time can be said as a number of steps beforehand.

Schedules that fall to nothing at their end need that number before the first step.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from posemill.training.engine import Training
from posemill.training.steps import as_tensor

__all__ = ["clock", "seconds_per_step"]

# Of each pool that is tried; a critic's generator moves at least once in so many.
_STEPS = 5
_POOLS = (3, 16)
_GOLDEN = (5**0.5 - 1) / 2


def clock(training: Training) -> Callable[[], float]:
    """Seconds of this process on a CPU, where others may be at work too; of the wall's clock beside a GPU."""
    return time.process_time if training.device.type == "cpu" else time.perf_counter


def seconds_per_step(training: Training, *, seconds: float = 10.0) -> float:
    """Try pools from all over a training, and some steps on each; the training is worth nothing afterwards.

    Parameters
    ----------
    seconds
        About as long as that, but 3 pools at least and 16 at most.

    Returns
    -------
    Seconds by :func:`clock`: a step, and its share of drawing the pool
    """
    for module in training.modules.values():
        module.to(training.device).train()
    now = clock(training)
    per_pool = training.passes * (training.pool_rows // training.batch)
    pools = -(-training.steps // per_pool)
    # However many are tried, they lie evenly: where a training changes its windows on its way, each kind has its share.
    order = np.floor(pools * np.modf(_GOLDEN * np.arange(1, _POOLS[1] + 1))[0]).astype(int)
    drawing, stepping = [], []
    begin = now()
    for i, index in enumerate(order):
        start = now()
        arrays = training.pool(int(index))
        drawing.append(now() - start)
        tensors = {name: as_tensor(array).to(training.device) for name, array in arrays.items()}
        for k in range(min(_STEPS, per_pool)):
            rows = np.arange(k * training.batch, (k + 1) * training.batch) % len(next(iter(arrays.values())))
            start = now()
            scalars = training.step({name: tensor[rows] for name, tensor in tensors.items()}, int(index) * per_pool + k)
            # Waits for a GPU.
            for value in scalars.values():
                float(value.detach() if hasattr(value, "detach") else value)
            stepping.append(now() - start)
        if i + 1 >= _POOLS[0] and now() - begin > seconds:
            break
    # The first step of all makes memory and kernels ready.
    return float(np.mean(drawing)) / per_pool + float(np.mean(stepping[1:] or stepping))
