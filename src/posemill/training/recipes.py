"""What each lifter of the zoo is taught with: its network, its input and the unit of its answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from posemill.geometry import rotation_between
from posemill.networks.gan import image_pose
from posemill.skeleton import JOINT_SETS
from posemill.training.sequences import Windows
from posemill.training.supervised import Arrays, Recipe, Schedule, stills_then_windows

__all__ = ["RECIPES", "SCREEN", "VIDEO_CENTRE", "VIDEO_FOCAL", "strided", "turned"]

_SET = JOINT_SETS["h36m17"]
_LEFT_HIP, _RIGHT_HIP = _SET.index("left_hip"), _SET.index("right_hip")


def _distance(answer: Any, target: Any) -> Any:
    """Mean distance of points (..., D)."""
    return ((answer.float() - target).square().sum(-1) + 1e-8).sqrt().mean()


def turned(windows: Windows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle frames as a camera sees them that looks at the pelvis: plane (N, 17, 2), pose (N, 17, 3), rotation."""
    middle = windows.keypoints.shape[1] // 2
    plane, rotation = _looked_at(windows.plane[:, middle])
    return plane, windows.standard[:, middle] @ np.swapaxes(rotation, -1, -2), rotation


def _looked_at(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Plane (..., 17, 2) of a camera that looks at the pelvis, and the rotations to its axes."""
    rays = np.concatenate([plane, np.ones((*plane.shape[:-1], 1))], -1)
    rotation = rotation_between(rays[..., 0, :], np.array([0.0, 0.0, 1.0]))
    seen = rays @ np.swapaxes(rotation, -1, -2)
    return seen[..., :2] / np.maximum(seen[..., 2:], 0.2), rotation


# ---------------------------------------------------------------------------------------------- gan


def _prepare_gan(windows: Windows, constants: Arrays) -> Arrays:
    plane, pose, _ = turned(windows)
    image, _ = image_pose(plane)
    # The unit of depth is that of the image: the mean distance from the pelvis across the line of sight.
    unit = np.linalg.norm(pose[:, 1:, :2], axis=-1).mean(-1)
    return {"inputs": image.reshape(len(image), -1), "depth": pose[..., 2] / np.maximum(unit, 0.05)[:, None]}


def _loss_gan(network: Any, batch: dict[str, Any]) -> Any:
    depth = network(batch["inputs"]).float()
    return (depth - depth[:, :1] - batch["depth"]).abs().mean()


def _build_gan(**sizes: Any) -> Any:
    from posemill.networks.gan import GanMLP

    return GanMLP(**sizes)


# ---------------------------------------------------------------------------------------------- repnet


def _prepare_repnet(windows: Windows, constants: Arrays) -> Arrays:
    from posemill.networks.repnet import JOINTS

    plane, pose, rotation = turned(windows)
    points = plane[:, JOINTS["repnet"]]
    points = points - points.mean(1, keepdims=True)
    size = points.std(axis=(1, 2), keepdims=True)
    # The network's own frame stands with the person: x from right to left hip, z up.
    to_turned = rotation @ windows.R
    standing = pose @ to_turned
    hips = standing[:, _LEFT_HIP] - standing[:, _RIGHT_HIP]
    angle = np.arctan2(hips[:, 1], hips[:, 0])
    c, s, zero, one = np.cos(angle), np.sin(angle), np.zeros(len(angle)), np.ones(len(angle))
    heading = np.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).reshape(-1, 3, 3)
    own = (standing @ heading)[:, JOINTS["repnet"]]
    own = own - own.mean(1, keepdims=True)
    return {"points": points / size, "pose": own, "rotation": to_turned @ heading}


def _loss_repnet(network: Any, batch: dict[str, Any]) -> Any:
    pose, rows = network.lift(batch["points"])
    pose = pose - pose.mean(1, keepdim=True)
    again = pose @ rows.transpose(1, 2)
    unit = rows / rows.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    turned = _distance(unit, batch["rotation"][:, :2])
    return _distance(pose, batch["pose"]) + 0.1 * _distance(again, batch["points"]) + 0.1 * turned


def _build_repnet(**sizes: Any) -> Any:
    from posemill.networks.repnet import RepNet

    return RepNet(**sizes)


# ---------------------------------------------------------------------------------------------- temporal

SCREEN = 2.29
"""Screen units of Pavllo et al. per unit of the normalised plane: twice the focal length over the width."""
VIDEO_FOCAL, VIDEO_CENTRE = 1146.8 / 500, np.array([514.0, 506.7]) / 500 - 1
"""Training camera of ``video_gan`` in its image units u / 500 - 1."""


def _prepare_temporal(windows: Windows, constants: Arrays) -> Arrays:
    middle = windows.keypoints.shape[1] // 2
    plane, rotation = _looked_at(windows.plane)
    pose = windows.standard[:, middle] @ np.swapaxes(rotation[:, middle], -1, -2)
    return {"inputs": plane * SCREEN, "pose": pose[:, None]}


def _loss_temporal(network: Any, batch: dict[str, Any]) -> Any:
    return _distance(network(batch["inputs"]), batch["pose"])


def _build_temporal(**sizes: Any) -> Any:
    from posemill.networks.temporal import TemporalModelOptimized1f

    return TemporalModelOptimized1f(**sizes)


# ---------------------------------------------------------------------------------------------- video_gan


def _prepare_video_gan(windows: Windows, constants: Arrays) -> Arrays:
    middle = windows.keypoints.shape[1] // 2
    plane, rotations = _looked_at(windows.plane)
    image, rotation = plane * VIDEO_FOCAL + VIDEO_CENTRE, rotations[:, middle]
    size = np.linalg.norm(windows.standard[:, middle, 1:], axis=-1).sum(-1)
    size /= np.linalg.norm(windows.relative[:, middle, 1:], axis=-1).sum(-1)
    back = np.swapaxes(rotation, -1, -2)
    return {
        "relative": (image[:, :, 1:] - image[:, :, :1]).reshape(*image.shape[:2], -1),
        "absolute": image.reshape(*image.shape[:2], -1),
        "pose": windows.standard[:, middle, 1:] @ back,
        "root": (windows.joints_camera[:, middle, :1] @ back)[:, 0] * size[:, None],
        "rotation": rotation,
    }


def _loss_video_gan(network: Any, batch: dict[str, Any]) -> Any:
    pose = strided(network["pose"], batch["relative"]).reshape(-1, 16, 3)
    root = strided(network["root"], batch["absolute"])
    return _distance(pose, batch["pose"]) + 0.05 * _distance(root, batch["root"])


def strided(network: Any, x: Any) -> Any:
    """What the network's own forward does with windows of 27 frames, as matrix products.

    A single frame goes through the middle taps.
    """
    from torch.nn import functional

    still = x.shape[1] == 1

    def triples(layer: Any, x: Any) -> Any:
        if still:
            return functional.linear(x, layer.weight[:, :, 1], layer.bias)
        rows = x.reshape(len(x), x.shape[1] // 3, -1)
        return functional.linear(rows, layer.weight.transpose(1, 2).flatten(1), layer.bias)

    def point(layer: Any, x: Any) -> Any:
        return functional.linear(x, layer.weight[:, :, 0], layer.bias)

    h = functional.leaky_relu(triples(network.w1, x), 0.01)
    for wide, narrow in ((network.w21, network.w22), (network.w31, network.w32)):
        inner = functional.leaky_relu(triples(wide, h), 0.01)
        h = functional.leaky_relu(point(narrow, inner) + (h if still else h[:, 1::3]), 0.01)
    return point(network.w4, h)[:, 0]


def _build_video_gan(hidden: int) -> Any:
    from torch import nn

    from posemill.networks.video_gan import VideoGan

    return nn.ModuleDict({"pose": VideoGan(32, 48, hidden=hidden), "root": VideoGan(34, 3, hidden=hidden)})


# ---------------------------------------------------------------------------------------------- seq2seq

_LENS_PX, _LENS_CENTRE_PX = 1146.0, np.array([514.0, 507.0])
_WITHOUT_NOSE = np.setdiff1d(np.arange(17), _SET.index("neck_nose"))


def _seq2seq_vectors(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """2D (N, T, 32) px of the training camera and 3D (N, T, 48) metres."""
    plane, rotation = _looked_at(windows.plane)
    pixels = (plane * _LENS_PX + _LENS_CENTRE_PX)[:, :, _WITHOUT_NOSE]
    pose = (windows.standard @ np.swapaxes(rotation, -1, -2))[:, :, 1:]
    return pixels.reshape(*pixels.shape[:2], 32), pose.reshape(*pose.shape[:2], 48)


def _constants_seq2seq(windows: Windows) -> Arrays:
    pixels, pose = _seq2seq_vectors(windows)
    return {
        "statistics.mean_2d": pixels.mean((0, 1)),
        # A camera that looks at the pelvis sees it in one place.
        "statistics.std_2d": np.maximum(pixels.std((0, 1)), 1.0),
        "statistics.mean_3d": pose.mean((0, 1)),
        "statistics.std_3d": pose.std((0, 1)),
    }


def _prepare_seq2seq(windows: Windows, constants: Arrays) -> Arrays:
    pixels, pose = _seq2seq_vectors(windows)
    spread = np.broadcast_to(constants["statistics.std_3d"], (len(pose), 48))
    return {
        "inputs": (pixels - constants["statistics.mean_2d"]) / constants["statistics.std_2d"],
        "pose": (pose - constants["statistics.mean_3d"]) / constants["statistics.std_3d"],
        "spread": spread,
    }


def _loss_seq2seq(network: Any, batch: dict[str, Any]) -> Any:
    error = (network(batch["inputs"]).float() - batch["pose"]) * batch["spread"][:, None]
    return (error.unflatten(-1, (16, 3)).square().sum(-1) + 1e-8).sqrt().mean()


def _build_seq2seq(**sizes: Any) -> Any:
    from posemill.networks.seq2seq import Seq2Seq

    return Seq2Seq(**sizes, dropout=0.0)


# ---------------------------------------------------------------------------------------------- dstformer, agformer


def _prepare_picture(windows: Windows, constants: Arrays) -> Arrays:
    """Picture units: half the picture's width; depths in the units at the pelvis's depth."""
    half = (windows.size[:, 0] / 2)[:, None, None, None]
    xy = (windows.keypoints - (windows.size / 2)[:, None, None]) / half
    exact = windows.exact / half
    depth = windows.joints_camera[..., 2]
    z = (depth / depth[..., :1] - 1) * (windows.focal_px[:, None, None] / half[..., 0])
    pose = np.concatenate([exact - exact[:, :, :1], z[..., None]], -1)
    return {
        "inputs": np.concatenate([xy, np.ones((*xy.shape[:-1], 1))], -1),
        "pose": pose,
        "size": np.linalg.norm(pose, axis=-1).mean((1, 2)),
    }


def _loss_picture(network: Any, batch: dict[str, Any]) -> Any:
    answer = network(batch["inputs"]).float()
    answer = answer - answer[:, :, :1]
    return _distance(answer / batch["size"][:, None, None, None], batch["pose"] / batch["size"][:, None, None, None])


def _build_dstformer(**sizes: Any) -> Any:
    from posemill.networks.dstformer import DSTformer

    return DSTformer(**sizes)


def _build_agformer(**sizes: Any) -> Any:
    from posemill.networks.agformer import MotionAGFormer

    network = MotionAGFormer(**sizes)
    for name, parameter in network.named_parameters():
        if "layer_scale" in name:
            # Branches start almost shut as published, for a training hundreds of times as long.
            parameter.data.fill_(1.0)
    return network


_PICTURE = {"normaliser": "picture", "root_relative": False, "fps": None}
RECIPES: dict[str, Recipe] = {
    "gan": Recipe(
        1,
        _build_gan,
        {"hidden": 512, "activation": "leaky_relu", "batch_norm": False},
        _prepare_gan,
        _loss_gan,
        {"view": "turned"},
        schedule=Schedule(steps=6000, batch=512, pool=16384),
    ),
    "repnet": Recipe(
        1,
        _build_repnet,
        {"hidden": 384, "form": "repnet", "camera": True},
        _prepare_repnet,
        _loss_repnet,
        {"view": "turned", "y_up": False},
        schedule=Schedule(steps=6000, batch=512, pool=16384),
    ),
    "temporal": Recipe(
        27,
        _build_temporal,
        {"filter_widths": [3, 3, 3], "channels": 320, "dropout": 0.0},
        _prepare_temporal,
        _loss_temporal,
        {"normaliser": "turned", "joint_set_in": "h36m17", "fps": None},
        schedule=Schedule(steps=12_000, batch=256, passes=6, stills=0.9),
        optimise=stills_then_windows,
    ),
    "video_gan": Recipe(
        27,
        _build_video_gan,
        {"hidden": 256},
        _prepare_video_gan,
        _loss_video_gan,
        {"view": "turned"},
        schedule=Schedule(steps=3000, batch=256),
    ),
    "seq2seq": Recipe(
        5,
        _build_seq2seq,
        {"hidden": 256},
        _prepare_seq2seq,
        _loss_seq2seq,
        {"normaliser": "camera", "view": "turned", "focal_px": _LENS_PX, "centre_px": _LENS_CENTRE_PX.tolist()},
        _constants_seq2seq,
        schedule=Schedule(steps=6000, batch=256, pool=8192, recombined=True, stills=0.7),
    ),
    "dstformer": Recipe(
        27,
        _build_dstformer,
        {"width": 64, "depth": 2, "heads": 2, "ratio": 2, "frames": 27, "representation": 64},
        _prepare_picture,
        _loss_picture,
        _PICTURE,
        schedule=Schedule(steps=3000, batch=16, learning_rate=1e-3, pool=1024, passes=1),
    ),
    "agformer": Recipe(
        27,
        _build_agformer,
        {"width": 48, "depth": 4, "heads": 4, "ratio": 2, "frames": 27},
        _prepare_picture,
        _loss_picture,
        _PICTURE,
        schedule=Schedule(steps=2000, batch=16, learning_rate=2e-3, pool=1024, passes=1),
    ),
}
"""Methods by name; sizes are small so that all shipped weights together stay below 20 MB."""
