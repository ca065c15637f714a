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

from posemill.training.adversarial import Adversarial
from posemill.training.engine import Arrays, step_optimiser
from posemill.training.presets import share_schedule
from posemill.training.recipes import RECIPES, VIDEO_CENTRE, VIDEO_FOCAL, strided

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["REPROJECTION", "WeakRepNet", "WeakVideoGan"]

_PENALTY = 10.0
REPROJECTION = np.array([1] * 6 + [0, 1, 0.1, 0.1] + [1] * 6)
"""Weights (16,) of RepNet's joints in its reprojection: none for the pelvis, little for neck and head."""


class _Weak(Adversarial):
    """A generator against a critic in kinematic chain space.

    A step moves the critic; of ``critic_steps`` steps the last one moves the generator too.
    """

    critic_steps = 1
    critic_slope = 0.3

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        import torch

        from posemill.networks.kcs import KcsCritic

        super().__init__(*arguments, **keywords)
        hidden = max(10, self.recipe.network["hidden"])
        self.modules["critic"] = KcsCritic(hidden=hidden, slope=self.critic_slope).to(self.device)
        for name, module in self.modules.items():
            self.optimisers[name] = torch.optim.Adam(
                module.parameters(), lr=self.schedule.learning_rate, betas=(0.5, 0.9)
            )

    @abstractmethod
    def generate(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Poses (N, 48) as the critic wants them, and the generator's own losses."""

    def step(self, batch: dict[str, Any], number: int) -> dict[str, Any]:
        """One update of the critic, and perhaps of the generator."""
        import torch

        from posemill.training.losses import gradient_penalty

        critic = self.modules["critic"]
        moves = number % self.critic_steps == self.critic_steps - 1
        with torch.set_grad_enabled(moves):
            fake, own = self.generate(batch)
        seen = fake.detach()
        gap = critic(batch["real"]).mean() - critic(seen).mean()
        penalty = gradient_penalty(critic, batch["real"], seen)
        step_optimiser(gap + _PENALTY * penalty, self.optimisers["critic"])
        if moves:
            judged = critic(fake).mean()
            step_optimiser(judged + torch.stack(list(own.values())).sum(), self.optimisers["network"])
        for scheduler in self.schedulers.values():
            scheduler.step()
        return {"gap": -gap, "penalty": penalty, **own}


class WeakRepNet(_Weak):
    """``repnet``: a pose in a frame that stands with the person, and the camera that reprojects it."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        for name, optimiser in self.optimisers.items():
            # A tenth after each quarter, as published after each 5 of 20 epochs.
            self.schedulers[name] = share_schedule(
                optimiser, self.steps, lambda share: 0.1 ** int(4 * min(share, 0.999))
            )

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

        pose, rows = self.network.lift(batch["points"])
        pose = pose - pose.mean(1, keepdim=True)
        weight = torch.from_numpy(REPROJECTION).float().to(pose.device)[:, None]
        again = ((pose @ rows.transpose(1, 2) - batch["points"]).abs() * weight).mean(0).sum() / 32
        return pose.transpose(1, 2).flatten(1), {"reprojection": again, "camera": camera_term(rows)}


def _by_quarters(share: float) -> float:
    """A tenth after each quarter, as published after each 5 of 20 epochs."""
    return 0.1 ** min(int(4 * share), 3)


class WeakVideoGan(_Weak):
    """``video_gan``: the pose in camera axes, and the root's place; both reproject without a division."""

    critic_steps = 5
    critic_slope = 0.01

    def pool(self, index: int) -> Arrays:
        """Draw windows of 2D of some, and poses before a camera of others."""
        from posemill.networks.repnet import JOINTS

        seen, others = self.windows(index)
        prepared = RECIPES["video_gan"].prepare(seen, {})
        real = others.standard[:, others.keypoints.shape[1] // 2][:, JOINTS["repnet"]]
        return {
            "relative": prepared["relative"],
            "absolute": prepared["absolute"],
            "real": real.transpose(0, 2, 1).reshape(len(real), -1),
        }

    def generate(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Poses, and 100 times the squared error of the image, multiplied by depth."""
        import torch

        from posemill.networks.repnet import JOINTS

        pose = strided(self.network["pose"], batch["relative"]).reshape(-1, 16, 3)
        root = strided(self.network["root"], batch["absolute"])
        pose = torch.cat([torch.zeros_like(pose[:, :1]), pose], 1)
        placed = pose + root[:, None]
        seen = batch["absolute"][:, batch["absolute"].shape[1] // 2].reshape(-1, 17, 2)
        centre = torch.from_numpy(VIDEO_CENTRE).float().to(pose.device)
        misfit = VIDEO_FOCAL * placed[..., :2] + (centre - seen) * placed[..., 2:]
        judged = pose[:, JOINTS["repnet"]].transpose(1, 2).flatten(1)
        return judged, {"reprojection": 100 * misfit.square().mean()}
