"""Semi-supervised training of ``temporal``: half of the people with 3D, of the others 2D and camera alone.

Beside the pose network another of the same kind answers where the root is; both together must project to what was
seen of the people without 3D, whose bones must be as long on average as those of the people with 3D.

References
----------
D. Pavllo, C. Feichtenhofer, D. Grangier, M. Auli, "3D human pose estimation in video with temporal convolutions and
semi-supervised training", CVPR 2019, section 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from posemill.skeleton import JOINT_SETS
from posemill.training.engine import Arrays, Training
from posemill.training.recipes import SCREEN
from posemill.training.sequences import Source
from posemill.training.steps import fast, step_optimiser
from posemill.training.stills import with_matrix_convolutions
from posemill.training.supervised import Recipe, Schedule, begin_with

__all__ = ["SemiSupervised"]

_PARENTS = JOINT_SETS["h36m17"].parents
_WARM_UP = 1 / 60


class SemiSupervised(Training):
    """As the one loop wants it.

    Parameters
    ----------
    recipe
        Of ``temporal``.
    labelled, unlabelled
        What 3D is seen of, and what only 2D is seen of.
    start
        Tensors of a weights file of the pose network to begin with.
    projection
        False: learn from the labelled alone, by the same steps; for comparison.

    Attributes
    ----------
    network
        The pose network.
    """

    def __init__(
        self,
        recipe: Recipe,
        labelled: Source,
        unlabelled: Source,
        schedule: Schedule,
        *,
        start: Arrays | None = None,
        projection: bool = True,
    ) -> None:
        import torch

        rows = min(schedule.pool, schedule.steps * schedule.batch)
        super().__init__(
            seed=schedule.seed, steps=schedule.steps, batch=schedule.batch, pool_rows=rows, passes=schedule.passes
        )
        self._recipe = recipe
        self._labelled, self._unlabelled, self._projection = labelled, unlabelled, projection
        self.network = with_matrix_convolutions(recipe.build(**recipe.network)).to(self.device)
        root = with_matrix_convolutions(recipe.build(**recipe.network, joints_out=1)).to(self.device)
        if start is not None:
            begin_with(self.network, start)
        self.modules |= {"network": self.network, "root": root}
        both = torch.nn.ModuleList([self.network, root])
        self.optimisers["both"], self.schedulers["both"] = recipe.optimise(both, schedule)

    def pool(self, index: int) -> Arrays:
        """Draw as many windows of either kind."""
        rng = self.rng(index)
        labelled, unlabelled = (
            source.draw(self.pool_rows, self._recipe.frames, rng) for source in (self._labelled, self._unlabelled)
        )
        middle = labelled.keypoints.shape[1] // 2
        size = np.linalg.norm(labelled.standard[:, middle, 1:], axis=-1).sum(-1)
        size /= np.linalg.norm(labelled.relative[:, middle, 1:], axis=-1).sum(-1)
        return {
            "inputs": labelled.plane * SCREEN,
            "pose": labelled.standard[:, middle],
            "root": labelled.joints_camera[:, middle, :1] * size[:, None, None],
            "unlabelled": unlabelled.plane * SCREEN,
        }

    def step(self, batch: dict[str, Any], number: int) -> dict[str, Any]:
        """Pose, root weighted by nearness; and of the unlabelled projection and bone lengths."""
        import torch

        from posemill.training.losses import bone_length_gap, distance, projected

        count = len(batch["inputs"])
        if self._recipe.before is not None:
            for module in self.modules.values():
                self._recipe.before(module, number / self.steps)
        with fast(self.device):
            seen = torch.cat([batch["inputs"], batch["unlabelled"]]) if self._projection else batch["inputs"]
            pose, root = self.network(seen)[:, 0].float(), self.modules["root"](seen)[:, 0].float()
        losses = {
            "pose": distance(pose[:count], batch["pose"]),
            "root": distance(root[:count], batch["root"], 1 / batch["root"][..., 2]),
        }
        if self._projection:
            middle = batch["unlabelled"].shape[1] // 2
            again = projected(pose[count:] + root[count:])
            losses["projection"] = SCREEN * distance(again, batch["unlabelled"][:, middle] / SCREEN)
            losses["bones"] = bone_length_gap(pose[:count], pose[count:], _PARENTS)
        used = losses if number >= _WARM_UP * self.steps else {k: losses[k] for k in ("pose", "root")}
        loss = torch.stack(list(used.values())).sum()
        step_optimiser(loss, self.optimisers["both"], self.schedulers["both"], clip_norm=self._recipe.clip_norm)
        return losses
