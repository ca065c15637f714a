"""``linear``: the fully connected lifter of Martinez et al. 2017 on rays, one frame at a time.

The network is the paper's; its input is not pixels but the rays of the twelve limb joints that every detector
shares, turned so that the root ray is the optical axis (:mod:`posemill.networks.rays`). So one set of weights serves
every camera, every detector and every place in the picture, and missing joints are part of its input.

References
----------
J. Martinez, R. Hossain, J. Romero, J. J. Little, "A simple yet effective baseline for 3d human pose estimation",
ICCV 2017.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, Field

from posemill.errors import InputError, MissingError, expected
from posemill.lifters.protocol import LifterCard, LiftInput, LiftOutput
from posemill.networks.rays import INPUT_WIDTH, JOINTS_IN, OUTPUT_WIDTH, ray_pose
from posemill.skeleton import JOINT_SETS

if TYPE_CHECKING:
    from posemill.networks.linear import LinearLifter

NAME = "linear"
_CHUNK = 8192
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "linear.safetensors"

CARD = LifterCard(
    joint_set_in="limbs12",
    joint_set_out="h36m17",
    channels=("x", "y", "present"),
    normaliser="undistorted rays, root ray turned to the optical axis, divided by the RMS radius of the joints",
    output_unit="m",
    window="one frame; any number of frames",
    receptive_field=1,
    needs_camera=True,
    ray_blind=False,
    licences={
        "code": "Apache-2.0",
        "weights": "Apache-2.0",
        "data": "CMU motion capture: free for all uses; acknowledge mocap.cs.cmu.edu (NSF EIA-0196217)",
    },
    libraries=("numpy", "torch"),
)


class Options(BaseModel, extra="forbid"):
    """Options of ``linear``."""

    weights: Annotated[
        Path | None, Field(description="safetensors of posemill train linear; null: the shipped ones")
    ] = None
    flip: Annotated[bool, Field(description="Average with the answer for the mirrored person")] = True
    max_missing: Annotated[
        int, Field(ge=0, le=JOINTS_IN - 2, description="Frames that lack more of the 12 limb joints are not lifted")
    ] = 6


def weights(options: Options) -> Path:
    """Path of the weights file that would be used."""
    return options.weights or SHIPPED


def create(options: Options) -> Linear:
    """Load the weights.

    Raises
    ------
    MissingError
        No weights; the message has the command that trains them.
    InputError
        Weights of another network.
    """
    path = weights(options)
    if not path.is_file():
        raise MissingError(
            f"lifter linear: expected weights at {path}, got nothing; "
            "train them: posemill train linear --motion FILE --output FILE"
        )
    return Linear(path, flip=options.flip, max_missing=options.max_missing)


class Linear:
    """The lifter with its weights; ``device`` is ``cpu`` or the GPU's name."""

    def __init__(self, path: Path, *, flip: bool, max_missing: int) -> None:
        import torch

        self._flip = flip
        self._max_missing = max_missing
        network, self._sigma_factor = load(path)
        gpu = torch.cuda.is_available()
        self.device = f"cuda: {torch.cuda.get_device_name()}" if gpu else "cpu"
        self._network = network.to("cuda" if gpu else "cpu")

    def lift(self, clip: LiftInput) -> LiftOutput:
        """Lift every frame that has enough joints; see :class:`~posemill.lifters.protocol.LiftOutput`.

        A joint whose own 2D is missing is still answered, with the larger sigma that the network learnt for that.
        """
        frames, joints = len(clip.keypoints), len(JOINT_SETS["h36m17"])
        output = LiftOutput(
            np.full((frames, joints, 3), np.nan),
            np.full((frames, joints), np.nan),
            np.zeros((frames, joints), dtype=bool),
        )
        for start in range(0, frames, _CHUNK):
            self._lift(clip, output, slice(start, start + _CHUNK))
        return output

    def _lift(self, clip: LiftInput, output: LiftOutput, part: slice) -> None:
        """Fill one part of the output: memory beside the output stays bounded for clips of any length."""
        from posemill.networks.linear import predict

        valid = clip.valid[part]
        keypoints = np.where(valid[..., None], clip.keypoints[part], np.nan).astype(np.float64)
        pose = ray_pose(clip.camera.normalise(keypoints), valid)
        usable = pose.usable & (pose.present.sum(-1) >= JOINTS_IN - self._max_missing)
        turned, spread = predict(self._network, pose.inputs[usable], flip=self._flip)
        # The pelvis is the origin: here 0 without error by definition, its uncertainty is that of its place.
        output.joints_relative[part][usable] = np.pad(turned @ pose.rotation[usable], ((0, 0), (1, 0), (0, 0)))
        output.sigma[part][usable] = np.pad(spread * self._sigma_factor, ((0, 0), (1, 0)))
        output.valid[part][usable] = True


def load(path: Path) -> tuple[LinearLifter, np.ndarray]:
    """Read a network and its sigma calibration, (16,) factors.

    Raises
    ------
    InputError
        The file is damaged or of another network; the message names the tensor, expected and got.
    """
    import torch

    from posemill.formats.weights import check_tensors, read_weights
    from posemill.networks.linear import LinearLifter

    tensors, card = read_weights(path)
    if card.get("network") != "linear rays 1":
        raise InputError(expected("network", "linear rays 1", card.get("network"), where=path))
    hidden = tensors["first.dense.bias"].shape[0] if "first.dense.bias" in tensors else 0
    if not 1 <= hidden <= 8192:
        raise InputError(expected("tensor first.dense.bias", "1 to 8192 values", hidden, where=path))
    network = LinearLifter(INPUT_WIDTH, OUTPUT_WIDTH, hidden=hidden)
    shapes = {name: tuple(t.shape) for name, t in network.state_dict().items() if t.is_floating_point()}
    check_tensors(tensors, {**shapes, "sigma_factor": (OUTPUT_WIDTH // 4,)}, path)
    state = {name: torch.from_numpy(tensors[name].astype(np.float32)) for name in shapes}
    # BatchNorm's counter of batches is not part of inference.
    network.load_state_dict(state, strict=False)
    return network.eval(), tensors["sigma_factor"].astype(np.float64)


def store(path: Path, network: LinearLifter, sigma_factor: np.ndarray, card: dict) -> None:
    """Write what :func:`load` reads, in half precision."""
    from posemill.formats.weights import write_weights

    tensors = {
        name: t.detach().cpu().numpy().astype(np.float16 if t.ndim == 2 else np.float32)
        for name, t in network.state_dict().items()
        if t.is_floating_point()
    }
    tensors["sigma_factor"] = sigma_factor.astype(np.float32)
    write_weights(path, tensors, {**card, "network": "linear rays 1"})
