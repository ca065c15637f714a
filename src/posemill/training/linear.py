"""Train ``linear``: the fully connected lifter, on bodies seen through virtual cameras.

The loss is the mean joint distance (what MPJPE measures) on bodies scaled to one standard length, because one
picture does not tell a person's size; a small Gaussian likelihood beside it teaches the network its own sigma.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from posemill.anthropometry import STANDARD_LENGTH_M, STATURE_PER_LENGTH, body_length
from posemill.errors import InputError, expected
from posemill.networks.rays import INPUT_WIDTH, OUTPUT_WIDTH, ray_pose
from posemill.skeleton import JOINT_SETS
from posemill.training.bodies import BodyLibrary, sample_bodies
from posemill.training.engine import Arrays, Training
from posemill.training.noise import NoiseLevels, constant_white_noise, drop_joints, image_noise, redefine_joints
from posemill.training.steps import fast, step_optimiser
from posemill.training.supervised import adamw_one_cycle, begin_with
from posemill.training.virtual_cameras import CameraRange, Views, view

__all__ = [
    "LIMB_INDICES",
    "Examples",
    "LinearTraining",
    "Schedule",
    "examples",
    "held_out_views",
    "sigma_coverage",
    "sigma_factor",
    "stature_px",
]

LIMB_INDICES = JOINT_SETS["h36m17"].indices(JOINT_SETS["limbs12"].joints)
# Views from which the deviation of each coordinate is taken.
_STATISTICS = 8192


@dataclass(frozen=True)
class Schedule:
    """How long and how to train.

    Attributes
    ----------
    epochs
        Rounds of ``views_per_epoch`` freshly drawn views; each view is used ``passes`` times.
    learning_rate
        Peak of a one-cycle schedule of AdamW.
    loss
        ``distance``: mean joint distance. ``squared``: squares of standardised coordinates, Adam with an exponentially
        falling rate, as in the paper.
    """

    epochs: int = 200
    views_per_epoch: int = 65536
    passes: int = 1
    batch: int = 1024
    learning_rate: float = 7e-3
    hidden: int = 512
    dropout: float = 0.0
    seed: int = 0
    loss: str = "distance"
    noise: NoiseLevels = field(default_factory=NoiseLevels)
    cameras: CameraRange = field(default_factory=CameraRange)

    @property
    def said(self) -> dict[str, Any]:
        """Its numbers, as a card states them."""
        return {key: value for key, value in vars(self).items() if key not in ("noise", "cameras")}

    @property
    def steps_per_epoch(self) -> int:
        """Batches that an epoch's views make."""
        return self.passes * max(1, self.views_per_epoch // self.batch)


@dataclass(frozen=True)
class Examples:
    """Inputs (N, INPUT_WIDTH) float32 and targets (N, 16, 3) float32, metres of the standard body, virtual frame."""

    inputs: np.ndarray
    targets: np.ndarray


def stature_px(views: Views) -> np.ndarray:
    """Height (N,) in pixels that each person would have standing upright where the pelvis is."""
    stature = STATURE_PER_LENGTH * body_length(views.joints_camera)
    return stature * views.focal_px / views.joints_camera[:, 0, 2]


def examples(library: BodyLibrary, count: int, rng: np.random.Generator, schedule: Schedule) -> Examples:
    """Draw bodies, cameras and detector errors, and make network inputs and targets of them."""
    bodies = sample_bodies(library, count, rng)
    views = view(bodies, rng, schedule.cameras)
    stature = STATURE_PER_LENGTH * body_length(views.joints_camera)
    seen = redefine_joints(views.joints_camera, stature, rng, schedule.noise)[:, LIMB_INDICES]
    pixels = image_noise(views.project(seen)[:, None], stature_px(views), rng, schedule.noise)[:, 0]
    # Half of all users know their camera's focal length; the others have it from a prior.
    focal_factor = np.exp(rng.normal(0, 0.15, count) * (rng.random(count) < 0.5))
    pose = ray_pose(views.normalise(pixels, focal_factor=focal_factor), drop_joints(count, rng))
    relative = views.joints_camera[:, 1:] - views.joints_camera[:, :1]
    targets = relative @ np.swapaxes(pose.rotation, -1, -2)
    targets *= (STANDARD_LENGTH_M / body_length(views.joints_camera))[:, None, None]
    return Examples(pose.inputs[pose.usable], targets[pose.usable].astype(np.float32))


class LinearTraining(Training):
    """``linear`` on freshly drawn views, as the one loop wants it.

    Parameters
    ----------
    start
        Tensors of a weights file of the same network to begin with.

    Attributes
    ----------
    network
        What is trained.
    """

    def __init__(self, library: BodyLibrary, schedule: Schedule, *, start: Arrays | None = None) -> None:
        import torch

        from posemill.networks.linear import LinearLifter

        super().__init__(
            seed=schedule.seed,
            steps=schedule.epochs * schedule.steps_per_epoch,
            batch=schedule.batch,
            pool_rows=schedule.views_per_epoch,
            passes=schedule.passes,
        )
        self._library, self._schedule = library, schedule
        network = LinearLifter(INPUT_WIDTH, OUTPUT_WIDTH, hidden=schedule.hidden, dropout=schedule.dropout)
        with torch.no_grad():
            # Metres are small numbers: starting near zero instead of at the paper's unit variance saves the first
            # epochs.
            network.last.weight.mul_(0.1)
            network.last.bias.zero_()
        if start is not None:
            begin_with(network, start)
        self.network = network.to(self.device)
        # Calibrated when the training is done.
        self.extras["sigma_factor"] = np.ones(OUTPUT_WIDTH // 4)
        self.modules["network"] = network
        self._paper = schedule.loss == "squared"
        if self._paper:
            from posemill.training.presets import share_schedule

            deviation = examples(library, _STATISTICS, self.rng(0, 1), schedule).targets.std(0)
            self._deviation = torch.from_numpy(deviation).to(self.device)
            optimiser: torch.optim.Optimizer = torch.optim.Adam(network.parameters(), lr=schedule.learning_rate)
            # 200 epochs of 24 371 batches at 0.96 every 100 000.
            cycle: Any = share_schedule(optimiser, self.steps, lambda share: 0.96 ** (48.7 * share))
        else:
            optimiser, cycle = adamw_one_cycle(network, schedule.learning_rate, self.steps, fused=True)
        self.optimisers["network"], self.schedulers["network"] = optimiser, cycle

    def pool(self, index: int) -> Arrays:
        """Draw views of bodies."""
        drawn = examples(self._library, self.pool_rows, self.rng(index), self._schedule)
        return {"inputs": drawn.inputs, "targets": drawn.targets}

    def step(self, batch: dict[str, Any], number: int) -> dict[str, Any]:
        """Mean joint distance, and beside it the likelihood that teaches the network its own sigma."""
        joints = OUTPUT_WIDTH // 4
        with fast(self.device):
            out = self.network(batch["inputs"])
        out = out.float()
        error = out[:, : 3 * joints].reshape(-1, joints, 3) - batch["targets"]
        distance = (error.square().sum(-1) + 1e-8).sqrt().mean()
        log_sigma = out[:, 3 * joints :]
        variance = error.detach().square().mean(-1)
        likelihood = (0.5 * variance * (-2 * log_sigma).exp() + log_sigma).mean()
        fit = (error / self._deviation).square().mean() if self._paper else distance
        clip_norm = None if self._paper else 1.0
        loss = fit + 0.01 * likelihood
        step_optimiser(loss, self.optimisers["network"], self.schedulers["network"], clip_norm=clip_norm)
        return {"distance_m": distance, "log_likelihood": -likelihood}


def held_out_views(bodies: np.ndarray, noise: str, schedule: Schedule, seed: int) -> tuple[Views, np.ndarray]:
    """Unaugmented bodies before drawn cameras, seen exactly or through errors.

    Parameters
    ----------
    bodies
        (N, 17, 3) metres, z up.
    noise
        ``exact``; ``white``: 1.2 % of the person's height per axis on every limb joint; ``detector``: the errors of
        training (other joint definitions, bias, jitter, outliers).

    Returns
    -------
    The views, and (N, 12, 2) px limb joints as seen.
    """
    rng = np.random.default_rng(seed)
    views = view(np.asarray(bodies, dtype=np.float64), rng, schedule.cameras)
    pixels = views.keypoints[:, LIMB_INDICES]
    if noise == "white":
        pixels = constant_white_noise(pixels, stature_px(views), 0.012, rng)
    elif noise == "detector":
        stature = STATURE_PER_LENGTH * body_length(views.joints_camera)
        seen = redefine_joints(views.joints_camera, stature, rng, schedule.noise)[:, LIMB_INDICES]
        pixels = image_noise(views.project(seen)[:, None], stature_px(views), rng, schedule.noise)[:, 0]
    elif noise != "exact":
        raise InputError(expected("noise", "exact, white or detector", noise))
    return views, pixels


def sigma_factor(errors: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Factor per joint that puts 68.27 % of all |errors| of its axes within one sigma; (N, J, 3), (N, J) to (J,)."""
    ratio = np.abs(errors) / sigma[..., None]
    return np.quantile(ratio.transpose(1, 0, 2).reshape(ratio.shape[1], -1), 0.6827, axis=1)


def sigma_coverage(errors: np.ndarray, sigma: np.ndarray) -> dict[str, float]:
    """Share of |errors| within one sigma, over all and per axis; (N, J, 3), (N, J)."""
    inside = np.abs(errors) <= sigma[..., None]
    return {"all": float(inside.mean()), **{a: float(inside[..., i].mean()) for i, a in enumerate("xyz")}}
