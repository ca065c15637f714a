"""RepNet's generator (Wandt and Rosenhahn 2019): a pose from one image, and the camera that reprojects it.

Two forms are in use, of the same layers. ``repnet`` is the authors' in Keras: joints planar (``x1 … x16, y1 … y16``)
in RepNet's order, each frame centred and divided by its standard deviation, leaky ReLU 0.3. ``torch`` is a later
PyTorch form: joints interleaved in h36m17's order without the pelvis, pixels over 500 relative to the pelvis, slope
0.01. The pose is in a frame of the network's own; the camera's two rows say how it stands in the image.

References
----------
B. Wandt, B. Rosenhahn, "RepNet: Weakly Supervised Training of an Adversarial Reprojection Network for 3D Human Pose
Estimation", CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FORMS", "JOINTS", "RepNet", "camera_rotation", "from_official", "solve_camera"]

FORMS = ("repnet", "torch")
JOINTS = {
    "repnet": np.array([1, 2, 3, 4, 5, 6, 0, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
    "torch": np.arange(1, 17),
}
"""Which joints of h36m17 each form reads and answers, in its order; RepNet has no spine, the other no pelvis."""
_SLOPE = {"repnet": 0.3, "torch": 0.01}


class _Block(nn.Module):
    """Two layers; the skip is added before the last activation."""

    def __init__(self, width: int, slope: float) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Linear(width, width), nn.Linear(width, width)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.leaky_relu(self.w1(x), self.slope)
        return functional.leaky_relu(self.w2(inner) + x, self.slope)


class RepNet(nn.Module):
    """Generator with a path for the pose (7 088 048 parameters) and one for the camera (4 010 006 more).

    Parameters
    ----------
    form
        ``repnet`` or ``torch``: order of the 32 inputs, 48 and 6 outputs, and slope.
    hidden
        1000 in the paper.
    camera
        False: without the camera's path, as in files that keep only what makes the pose.
    """

    def __init__(self, form: str = "repnet", *, hidden: int = 1000, camera: bool = True) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"form: expected {' or '.join(FORMS)}, got {form}")
        self.form, self.slope, self.camera = form, _SLOPE[form], camera
        self.w1 = nn.Linear(32, hidden)
        self.linear_stage = _Block(hidden, self.slope)
        self.pose3d_stages1, self.pose3d_stages2 = _Block(hidden, self.slope), _Block(hidden, self.slope)
        self.w21, self.w22 = nn.Linear(hidden, hidden), nn.Linear(hidden, 48)
        if camera:
            self.camera_stages1, self.camera_stages2 = _Block(hidden, self.slope), _Block(hidden, self.slope)
            self.w3 = nn.Linear(hidden, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Lift (N, 32) to a pose (N, 48) and a camera (N, 6), in the form's order."""
        trunk = self.linear_stage(self.w1(x))
        pose = self.pose3d_stages2(self.pose3d_stages1(trunk))
        pose = self.w22(functional.leaky_relu(self.w21(pose), self.slope))
        camera = self.w3(self.camera_stages2(self.camera_stages1(trunk))) if self.camera else None
        return pose, camera

    def lift(self, points: Tensor) -> tuple[Tensor, Tensor | None]:
        """Lift (N, 16, 2) normalised joints in the form's order to (N, 16, 3) and the camera's rows (N, 2, 3)."""
        if self.form == "repnet":
            pose, camera = self(points.transpose(1, 2).flatten(1))
            pose = pose.reshape(-1, 3, 16).transpose(1, 2)
            return pose, None if camera is None else camera.reshape(-1, 2, 3)
        pose, camera = self(points.flatten(1))
        return pose.reshape(-1, 16, 3), None if camera is None else camera.reshape(-1, 3, 2).transpose(1, 2)


def solve_camera(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Least-squares weak-perspective camera: rows M (N, 2, 3) that bring (N, 16, 3) closest to (N, 16, 2)."""
    return np.swapaxes(np.linalg.pinv(pose) @ points, -1, -2)


def camera_rotation(camera: np.ndarray) -> np.ndarray:
    """Rotation from the network's frame to the camera's.

    The scaled rows of a rotation that are closest to the camera's, completed by their cross product.

    Parameters
    ----------
    camera
        (N, 2, 3) rows of a weak-perspective camera whose x is right and y down.

    Returns
    -------
    (N, 3, 3); NaN where the rows are parallel or zero, so that they turn nothing to anywhere
    """
    finite = np.isfinite(camera).all((-1, -2))
    u, s, vt = np.linalg.svd(np.where(finite[:, None, None], camera, 0.0), full_matrices=False)
    rows = u @ vt
    rotation = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], 1)
    known = finite & (s[:, 1] > 1e-6 * np.maximum(s[:, 0], 1e-12))
    return np.where(known[:, None, None], rotation, np.nan)


_TRUNK = ("linear_stage.w1", "linear_stage.w2")
_POSE = (*(f"pose3d_stages{i}.w{k}" for i in (1, 2) for k in (1, 2)), "w21")
_CAMERA = tuple(f"camera_stages{i}.w{k}" for i in (1, 2) for k in (1, 2))


def from_official(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename the tensors of a Keras generator to those of :class:`RepNet`, transposed to (out, in).

    Keras numbers its dense layers as they were made, from wherever the count stood; so the layers are taken in the
    order of their numbers and told apart by shape: 32 inputs first, 48 and 6 outputs at the end of the two paths.
    A file without the camera's path is accepted.

    Raises
    ------
    ValueError
        Another sequence of layers; the message has expected and got.
    """
    layers: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for name, tensor in tensors.items():
        layer, _, part = name.removesuffix(":0").rpartition("/")
        layer = layer.rpartition("/")[2]
        base = layer.rstrip("0123456789")
        number = layer[len(base) :]
        if not layer or part not in ("kernel", "bias") or len(number) > 9:
            raise ValueError(f"tensor {name[:80]}: expected names such as dense_1/kernel:0, got another")
        layers.setdefault((base, int(number or 0)), {})[part] = tensor
    order = sorted(layers)
    for key in order:
        if set(layers[key]) != {"kernel", "bias"} or layers[key]["kernel"].ndim != 2:
            raise ValueError(f"layer {key[0]}{key[1]}: expected a kernel (in, out) and a bias, got otherwise")
    widths = [layers[key]["kernel"].shape for key in order]
    renamed = {}
    for ours, key in zip(_walk(widths), order, strict=True):
        renamed[f"{ours}.weight"] = np.ascontiguousarray(layers[key]["kernel"].T)
        renamed[f"{ours}.bias"] = layers[key]["bias"]
    return renamed


def _walk(widths: list[tuple[int, ...]]) -> tuple[str, ...]:
    """Our names of dense layers of these (in, out) widths."""
    hidden = widths[0][1] if widths else 0
    shapes = {"w1": (32, hidden), "w22": (hidden, 48), "w3": (hidden, 6)}
    pose, camera = (*_POSE, "w22"), (*_CAMERA, "w3")
    for paths in ((*pose, *camera), (*camera, *pose), pose):
        names = ("w1", *_TRUNK, *paths)
        if [shapes.get(name, (hidden, hidden)) for name in names] == widths:
            return names
    raise ValueError(
        "dense layers: expected (32, n), seven (n, n) and (n, 48), with or without four (n, n) and (n, 6), "
        f"got {len(widths)}: {', '.join(map(str, widths[:16]))}"
    )
