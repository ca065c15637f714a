"""``gan`` by its own loss: depths that make a pose look like a pose from every side, learnt from 2D alone.

The lifted pose is turned about the vertical by any angle and seen again; a discriminator tells such pictures from real
ones. The vertical is the true one in each picture (a level in the camera, no 3D of the person), because our cameras
tilt and roll; with upright cameras it is the image's y, as published.

References
----------
Y. Kudo, K. Ogaki, Y. Matsui, Y. Odagiri, "Unsupervised Adversarial Learning of 3D Human Pose from 2D Joint
Locations", arXiv:1803.08244, 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from posemill.networks.gan import image_pose
from posemill.skeleton import JOINT_SETS
from posemill.training.engine import Arrays, Training
from posemill.training.recipes import turned
from posemill.training.sequences import Source, Windows
from posemill.training.steps import step_optimiser
from posemill.training.stills import frames_of, silence_neighbours
from posemill.training.supervised import Recipe, Schedule, begin_with

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Adversarial", "Unsupervised", "facing_term"]

_SET = JOINT_SETS["h36m17"]
_THORAX, _NOSE = _SET.index("thorax"), _SET.index("neck_nose")
_LEFT, _RIGHT = _SET.index("left_shoulder"), _SET.index("right_shoulder")
# Above this share of right answers the discriminator waits; below the rest the generator does.
_CAP = 0.9


class Adversarial(Training):
    """What trainings with a critic have in common.

    Parameters
    ----------
    seen
        What only 2D is seen of.
    poses
        What poses are taken from for the critic: never those of ``seen``, where they are of other people.
    start
        Tensors of a weights file of the generator to begin with.

    Attributes
    ----------
    network
        The generator.
    """

    def __init__(
        self,
        recipe: Recipe,
        seen: Source,
        poses: Source,
        schedule: Schedule,
        *,
        start: Arrays | None = None,
    ) -> None:
        rows = min(schedule.pool, schedule.steps * schedule.batch)
        super().__init__(
            seed=schedule.seed, steps=schedule.steps, batch=schedule.batch, pool_rows=rows, passes=schedule.passes
        )
        self.recipe, self.schedule = recipe, schedule
        self._seen, self._poses = seen, poses
        self.network = recipe.build(**recipe.network).to(self.device)
        if schedule.stills and start is None:
            silence_neighbours(self.network)
        if start is not None:
            begin_with(self.network, start)
        self.modules["network"] = self.network

    def windows(self, index: int) -> tuple[Windows, Windows]:
        """Draw as many windows of what is seen as single frames of what poses are taken from."""
        rng = self.rng(index)
        seen = self._seen.draw(self.pool_rows, frames_of(self, index, self.recipe.frames, self.schedule.stills), rng)
        return seen, self._poses.draw(self.pool_rows, 1, rng)


class Unsupervised(Adversarial):
    """``gan`` from 2D alone, as the one loop wants it; ``poses`` are seen in 2D only, like ``seen``."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        import torch

        from posemill.networks.gan import GanMLP

        super().__init__(*arguments, **keywords)
        sizes = self.recipe.network
        critic = GanMLP(width_out=1, hidden=sizes["hidden"], activation=sizes["activation"]).to(self.device)
        self.modules["critic"] = critic
        for name, module in self.modules.items():
            self.optimisers[name] = torch.optim.Adam(
                module.parameters(), lr=self.schedule.learning_rate, betas=(0.5, 0.999), weight_decay=1e-5
            )

    def pool(self, index: int) -> Arrays:
        """Draw poses in the image to lift, others to compare with, and which way is down in the former."""
        seen, others = self.windows(index)
        plane, _, rotation = turned(seen)
        return {
            "inputs": image_pose(plane)[0].reshape(len(plane), -1),
            "down": -(rotation @ seen.R)[:, :, 2],
            "real": image_pose(turned(others)[0])[0].reshape(len(plane), -1),
        }

    def step(self, batch: dict[str, Any], number: int) -> dict[str, Any]:
        """Lift, turn, show; both networks learn, unless one is far ahead of the other."""
        import math

        import torch
        from torch.nn.functional import softplus

        from posemill.training.losses import rotated

        critic = self.modules["critic"]
        count = len(batch["inputs"])
        depth = self.network(batch["inputs"])
        pose = torch.cat([batch["inputs"].unflatten(1, (17, 2)), (depth - depth[:, :1])[..., None]], -1)
        angle = 2 * math.pi * torch.rand(count, device=self.device)
        fake = rotated(pose, batch["down"], angle)[..., :2].flatten(1)
        on_fake, on_real = critic(fake), critic(batch["real"])
        right = 0.5 * float((on_fake < 0).float().mean() + (on_real > 0).float().mean())
        facing = facing_term(pose, batch["down"])
        fooled = softplus(-on_fake).mean()
        told = softplus(-on_real).mean() + softplus(critic(fake.detach())).mean()
        if right >= 1 - _CAP:
            step_optimiser(fooled + facing, self.optimisers["network"])
        if right <= _CAP:
            # The generator's loss has left gradients here too; they are forgotten first.
            step_optimiser(told, self.optimisers["critic"])
        return {"generator": fooled, "critic": told, "facing": facing, "critic_right": right}


def facing_term(pose: Tensor, down: Tensor) -> Tensor:
    """By how much noses point backwards: without it front and back are exchangeable.

    Parameters
    ----------
    pose
        (N, 17, 3) h36m17, camera axes.
    down
        (N, 3) unit vectors.

    Returns
    -------
    Mean of the negative part of the sine between thorax-to-nose and the shoulders, seen from above
    """
    import torch
    from torch.nn.functional import normalize

    def level(vector: Tensor) -> Tensor:
        return normalize(vector - (vector * down).sum(-1, keepdim=True) * down, dim=-1)

    ahead, across = level(pose[:, _NOSE] - pose[:, _THORAX]), level(pose[:, _RIGHT] - pose[:, _LEFT])
    return torch.relu(-(torch.linalg.cross(ahead, across) * down).sum(-1)).mean()
