"""Pictures of the figure without any look: which triangle each pixel shows, and which way it faces.

Light, colours, cloth and surroundings are put on afterwards (:mod:`posemill.training.pictures.painted`), so that one
picture serves many times. One unlit pass writes each triangle's number as its colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from posemill.camera import Camera
from posemill.skeleton import converter, joint_set
from posemill.twin.body import BONES, JOINT_SET, Body, Pose
from posemill.twin.figure import Build, Figure
from posemill.twin.render import pyvista, quiet_vtk, set_projection
from posemill.twin.visibility import own_bones

__all__ = ["SIDE_PX", "Buffer", "Buffers", "mpii_joints"]

SIDE_PX = 256
"""Side of a picture; the figure fills most of it."""
_FILL = 0.92
_NEAR_M = 0.25


@dataclass(frozen=True)
class Buffer:
    """One picture.

    Attributes
    ----------
    triangles
        (256, 256) int32: triangle of each pixel, -1 beside the figure.
    normals
        (256, 256, 2) int8: x and y of the unit normal in the camera's frame, times 127; z looks at the camera.
    joints
        (16, 2) float32 px, mpii16.
    seen
        (16,) bool: the body's own flesh at the joint, or nothing of it, is what its pixel shows.
    up
        (3,) float32: the world's up in the camera's frame.
    height_px
        What the standing stature would measure at the pelvis.
    """

    triangles: np.ndarray
    normals: np.ndarray
    joints: np.ndarray
    seen: np.ndarray
    up: np.ndarray
    height_px: float


def mpii_joints(joints: np.ndarray) -> np.ndarray:
    """posemill28 (..., 28, D) as mpii16 (..., 16, D)."""
    return np.einsum("oi,...id->...od", converter(JOINT_SET, "mpii16"), joints)


def _own() -> np.ndarray:
    """(16, B + 1) whether a bone's surface over an mpii16 joint counts as that joint's own; the last is nothing's."""
    own = own_bones()
    used = converter(JOINT_SET, "mpii16") > 0
    # What is no bone's hides nothing: a hat or hair over the head's top, a shirt over the thorax.
    out = np.ones((len(joint_set("mpii16").joints), len(BONES) + 1), dtype=bool)
    out[:, :-1] = (used[:, :, None] & own[None]).any(1)
    return out


class Buffers:
    """Renderer of one figure; a context manager."""

    def __init__(self, figure: Figure) -> None:
        pv = pyvista()
        self._figure = figure
        with quiet_vtk():
            self._plotter = pv.Plotter(off_screen=True, window_size=[SIDE_PX, SIDE_PX], lighting="none")
        self._plotter.render_window.SetMultiSamples(0)
        self._plotter.set_background("black")
        self._mesh: Any = pv.PolyData.from_regular_faces(figure.points, figure.triangles)
        numbers = np.arange(1, len(figure.triangles) + 1)
        self._colours = np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], 1).astype(np.uint8)
        self._mesh.cell_data["rgb"] = self._colours
        self._plotter.add_mesh(self._mesh, scalars="rgb", rgb=True, lighting=False, reset_camera=False)
        self._own = _own()

    def __enter__(self) -> Buffers:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._plotter.close()

    def shoot(
        self, body: Body, pose: Pose, frame: int, look: Build, rotation: np.ndarray, centre: np.ndarray
    ) -> Buffer | None:
        """Picture by a camera of a place and rotation (world to camera) whose lens is just long enough.

        Returns
        -------
        None where a part of the body is nearer to the camera than 0.25 m, or behind it.
        """
        points, there = self._figure.posed(body, pose, frame, look)
        triangles = self._figure.triangles
        used = np.zeros(len(points), dtype=bool)
        used[triangles[there]] = True
        seen = (points - centre.astype(np.float32)) @ rotation.T.astype(np.float32)
        if seen[used, 2].min() < _NEAR_M:
            return None
        flat = seen[used, :2] / seen[used, 2:]
        low, high = flat.min(0), flat.max(0)
        focal = _FILL * SIDE_PX / float((high - low).max())
        middle = (SIDE_PX - 1) / 2 - focal * (low + high) / 2
        k = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1]])
        camera = Camera(SIDE_PX, SIDE_PX, k, np.zeros(5), rotation, -rotation @ centre)
        numbers = self._render(points, there, camera)
        joints = camera.world_to_camera(mpii_joints(body.joints(pose)[frame]))
        pixels = joints[:, :2] / joints[:, 2:] * focal + middle
        facing = _facing(seen, triangles)
        hit = numbers >= 0
        normals = np.zeros((SIDE_PX, SIDE_PX, 2), dtype=np.int8)
        normals[hit] = np.round(127 * facing[numbers[hit], :2])
        shown = numbers[tuple(np.clip(np.round(pixels[:, ::-1]).astype(int), 0, SIDE_PX - 1).T)]
        owner = np.where(shown >= 0, self._figure.owners[shown], len(BONES))
        return Buffer(
            numbers, normals, pixels.astype(np.float32), self._own[np.arange(len(pixels)), owner],
            rotation[:, 2].astype(np.float32), float(body.height_m * focal / joints[6, 2]),
        )  # fmt: skip

    def _render(self, points: np.ndarray, there: np.ndarray, camera: Camera) -> np.ndarray:
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkUnsignedCharArray

        # What is left out shrinks to a point far behind.
        if not there.all():
            left_out = np.ones(len(points), dtype=bool)
            left_out[self._figure.triangles[there]] = False
            points = points.copy()
            points[left_out] = camera.centre - 5
        self._mesh.points = points
        set_projection(self._plotter, camera)
        with quiet_vtk():
            self._plotter.render_window.Render()
        pixels = vtkUnsignedCharArray()
        self._plotter.render_window.GetRGBACharPixelData(0, 0, SIDE_PX - 1, SIDE_PX - 1, 1, pixels)
        rgb = vtk_to_numpy(pixels).reshape(SIDE_PX, SIDE_PX, 4)[::-1, :, :3].astype(np.int32)
        return rgb[..., 0] + (rgb[..., 1] << 8) + (rgb[..., 2] << 16) - 1


def _facing(seen: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (F, 3) in the camera's frame, smoothed over each vertex's triangles, towards the camera."""
    a, b, c = (seen[triangles[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    at = np.stack([sum(np.bincount(triangles[:, i], face[:, k], len(seen)) for i in range(3)) for k in range(3)], -1)
    out = at[triangles].sum(1)
    out /= np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-12)
    return out
