"""``repnet`` and ``video_gan`` by their own losses: reprojection, and a Wasserstein critic on poses of other people.

The 3D that is seen is that of other people than those whose 2D is lifted; no picture is ever paired with its pose. The
critic judges a pose's joints and its kinematic chain space; it is low for real poses.

References
----------
B. Wandt, B. Rosenhahn, "RepNet: Weakly Supervised Training of an Adversarial Reprojection Network for 3D Human Pose
Estimation", CVPR 2019. I. Gulrajani et al., "Improved training of Wasserstein GANs", 2017.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from posemill.geometry import rotation_between
from posemill.training.adversarial import Adversarial
from posemill.training.engine import Arrays
from posemill.training.recipes import RECIPES, VIDEO_CENTRE, VIDEO_FOCAL, strided, turned
from posemill.training.steps import fast, step_optimiser
from posemill.training.supervised import Critic

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["REPROJECTION", "WeakRepNet", "WeakVideoGan"]

_PENALTY = 10.0
REPROJECTION = np.array([1] * 6 + [0, 1, 0.1, 0.1] + [1] * 6)
"""Weights (16,) of RepNet's joints in its reprojection: none for the pelvis, little for neck and head."""


class _Weak(Adversarial):
    """A generator against a critic in kinematic chain space.

    A step moves the critic; of the critic's steps for one of the generator the last one moves that too.
    """

    published = Critic(1000)
    slope = 0.3

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        import torch

        from posemill.networks.kcs import KcsCritic

        super().__init__(*arguments, **keywords)
        self.against = self.schedule.critic or self.published
        self.modules["critic"] = KcsCritic(hidden=self.against.width, slope=self.slope).to(self.device)
        for name, module in self.modules.items():
            self.optimisers[name] = torch.optim.Adam(module.parameters(), betas=(0.5, 0.9), fused=True)

    def rate(self, share: float) -> float:
        """Learning rate by the share of the training that is done."""
        return 1.0 if self.schedule.critic is None else min(1.0, (1 - share) / 0.4)

    def _set_rate(self, name: str, rate: float) -> None:
        for group in self.optimisers[name].param_groups:
            group["lr"] = rate

    def judge(self, pose: Tensor) -> Tensor:
        """Mean judgement of poses (N, 48); low is real."""
        return self.modules["critic"](self.against.scale * pose).mean()

    @abstractmethod
    def generate(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Poses (N, 48) as the critic wants them, and the generator's own losses."""

    def step(self, batch: dict[str, Any], number: int) -> dict[str, Any]:
        """One update of the critic, and perhaps of the generator."""
        import torch

        from posemill.training.losses import gradient_penalty

        rate = self.schedule.learning_rate * self.rate(number / self.steps)
        self._set_rate("network", rate)
        self._set_rate("critic", rate * self.against.rate)
        moves = number % self.against.steps == self.against.steps - 1
        with torch.set_grad_enabled(moves):
            fake, own = self.generate(batch)
        seen, real = fake.detach(), batch["real"]
        gap = self.judge(real) - self.judge(seen)
        scale = self.against.scale
        penalty = gradient_penalty(self.modules["critic"], scale * real, scale * seen)
        step_optimiser(gap + _PENALTY * penalty, self.optimisers["critic"])
        if moves:
            own_loss = self.against.reprojection * own["reprojection"] + own.get("camera", 0.0)
            step_optimiser(self.judge(fake) + own_loss, self.optimisers["network"])
        return {"gap": -gap, "penalty": penalty, **own}


class WeakRepNet(_Weak):
    """``repnet``: a pose in a frame that stands with the person, and the camera that reprojects it."""

    def rate(self, share: float) -> float:
        """A tenth after each quarter, as published after each 5 of 20 epochs."""
        return super().rate(share) if self.schedule.critic else 0.1 ** min(int(4 * share), 3)

    def pool(self, index: int) -> Arrays:
        """Draw normalised 2D of some, and standing poses of others."""
        seen, others = self.windows(index)
        prepare = RECIPES["repnet"].prepare
        real = prepare(others, {})["pose"]
        return {"points": prepare(seen, {})["points"], "real": real.transpose(0, 2, 1).reshape(len(real), -1)}

    def generate(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Poses, reprojection and camera."""
        import torch

        from posemill.training.losses import camera_term

        with fast(self.device):
            pose, rows = self.network.lift(batch["points"])
        pose, rows = pose.float() - pose.float().mean(1, keepdim=True), rows.float()
        weight = torch.from_numpy(REPROJECTION).float().to(pose.device)[:, None]
        again = ((pose @ rows.transpose(1, 2) - batch["points"]).abs() * weight).mean(0).sum() / 32
        return pose.transpose(1, 2).flatten(1), {"reprojection": again, "camera": camera_term(rows)}


class WeakVideoGan(_Weak):
    """``video_gan``: the pose before a camera that looks at the person, and the root's place before it.

    Both reproject without a division. The critic sees poses as a level camera would, which those of the paper were:
    ours tilt and roll, and of a pose before such a camera nobody knows whether it or the person leans.
    """

    published = Critic(1000, reprojection=100.0, steps=5)
    slope = 0.01

    def pool(self, index: int) -> Arrays:
        """Draw windows of 2D of some and which way is down there, and poses before a level camera of others."""
        seen, others = self.windows(index)
        prepared = RECIPES["video_gan"].prepare(seen, {})
        _, pose, rotation = turned(others)
        real = pose @ np.swapaxes(_levelling(rotation @ others.R), -1, -2)
        return {
            "relative": prepared["relative"],
            "absolute": prepared["absolute"],
            "level": _levelling(prepared["rotation"] @ seen.R),
            "real": real[:, _JUDGED].transpose(0, 2, 1).reshape(len(real), -1),
        }

    def generate(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Poses, and the squared error of the image, multiplied by depth."""
        import torch

        with fast(self.device):
            pose = strided(self.network["pose"], batch["relative"]).reshape(-1, 16, 3).float()
        # Reduced precision rounds metres of distance to centimetres.
        root = strided(self.network["root"], batch["absolute"])
        pose = torch.cat([torch.zeros_like(pose[:, :1]), pose], 1)
        placed = pose + root[:, None]
        seen = batch["absolute"][:, batch["absolute"].shape[1] // 2].reshape(-1, 17, 2)
        centre = torch.from_numpy(VIDEO_CENTRE).float().to(pose.device)
        misfit = VIDEO_FOCAL * placed[..., :2] + (centre - seen) * placed[..., 2:]
        judged = (pose @ batch["level"].transpose(1, 2))[:, _JUDGED].transpose(1, 2).flatten(1)
        return judged, {"reprojection": misfit.square().mean()}


# All that the network answers: a joint that the critic does not see is free to be at any depth.
_JUDGED = np.arange(1, 17)


def _levelling(to_camera: np.ndarray) -> np.ndarray:
    """Shortest rotations (N, 3, 3) that bring cameras' axes upright, of rotations from a world whose z is up."""
    return rotation_between(to_camera[:, :, 2], np.array([0.0, -1.0, 0.0]))
