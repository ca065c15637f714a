"""Headless rendering of the twin through a calibrated camera (PyVista, off screen)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from posemill.camera import Camera
from posemill.errors import MissingError
from posemill.twin import scene
from posemill.twin.scene import Panel

__all__ = ["Renderer", "pinhole_around", "pyvista", "quiet_vtk", "set_projection"]

_NEAR_M, _FAR_M = 0.05, 40.0
_SHADOW_HALF_M = 1.9
_OVERSAMPLE = 2


def pyvista() -> ModuleType:
    """The optional rendering library; raises MissingError saying how to get it."""
    try:
        import pyvista as pv
    except ImportError as error:
        raise MissingError(
            f"the twin needs PyVista to make bodies and pictures, which is not installed ({error}); "
            "run: pip install 'posemill[twin]'"
        ) from None
    return pv


def pinhole_around(camera: Camera) -> tuple[Camera, np.ndarray | None]:
    """Pinhole camera whose picture holds every ray of a distorted camera, and where to look each pixel up.

    Returns
    -------
    pinhole : Camera
        The camera itself if it has no distortion.
    lookup : (height, width, 2) float32 or None
        Pixel of the pinhole picture for each pixel of the distorted one.
    """
    if not np.any(camera.dist):
        return camera, None
    v, u = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float64)
    rays = camera.normalise(np.stack([u, v], -1))
    pixels = rays @ camera.K[:2, :2].T + camera.K[:2, 2]
    low = np.floor(np.nanmin(pixels, axis=(0, 1))) - 1
    high = np.ceil(np.nanmax(pixels, axis=(0, 1))) + 2
    width, height = (int(n) for n in high - low)
    k = camera.K.copy()
    k[:2, 2] -= low
    # A pixel beyond the lens model's fold belongs to no ray; it is looked up outside and stays black.
    lookup = np.nan_to_num(pixels - low, nan=-1e4).astype(np.float32)
    return replace(camera, width=width, height=height, K=k, dist=np.zeros(5)), lookup


def _projection(camera: Camera) -> np.ndarray:
    """OpenGL projection matrix (4, 4) of a pinhole camera, exact in focal lengths, skew and principal point."""
    (fx, skew, cx), (_, fy, cy), _ = camera.K
    w, h, n, f = camera.width, camera.height, _NEAR_M, _FAR_M
    return np.array(
        [
            [2 * fx / w, -2 * skew / w, 1 - 2 * (cx + 0.5) / w, 0],
            [0, 2 * fy / h, 2 * (cy + 0.5) / h - 1, 0],
            [0, 0, -(f + n) / (f - n), -2 * f * n / (f - n)],
            [0, 0, -1, 0],
        ]
    )


def set_projection(plotter: Any, camera: Camera) -> None:
    """Give VTK a pinhole camera's exact pose and projection."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    centre, view = camera.centre, plotter.camera
    assert camera.R is not None
    view.position = tuple(centre)
    view.focal_point = tuple(centre + camera.R[2])
    view.up = tuple(-camera.R[1])
    matrix = vtkMatrix4x4()
    for i, row in enumerate(_projection(camera)):
        for j, value in enumerate(row):
            matrix.SetElement(i, j, float(value))
    view.SetExplicitProjectionTransformMatrix(matrix)
    view.SetUseExplicitProjectionTransformMatrix(True)
    view.clipping_range = (_NEAR_M, _FAR_M)
    plotter.camera_set = True


@contextmanager
def quiet_vtk() -> Iterator[None]:
    """No X server is VTK's business: it goes on to EGL or OSMesa, and its warning about that would alarm people."""
    from vtkmodules.vtkCommonCore import vtkLogger

    before = vtkLogger.GetCurrentVerbosityCutoff()
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtkLogger.SetStderrVerbosity(before)


class Renderer:
    """Pictures of one mesh in a room through one camera; a context manager.

    Parameters
    ----------
    camera
        With extrinsics. Distortion is applied to the finished picture, so that the video really has it.
    panels
        The room.
    box
        (x0, y0, x1, y1, height) of a box on the floor in world metres, or None.
    """

    def __init__(
        self,
        camera: Camera,
        panels: list[Panel] | None = None,
        box: tuple[float, float, float, float, float] | None = None,
    ) -> None:
        pv = pyvista()
        self._pv = pv
        pinhole, lookup = pinhole_around(camera)
        self._size = (pinhole.width, pinhole.height)
        self._camera = pinhole.resized(_OVERSAMPLE * pinhole.width, _OVERSAMPLE * pinhole.height)
        self._lookup = None if lookup is None else (lookup + np.float32(0.5)) * _OVERSAMPLE - np.float32(0.5)
        with quiet_vtk():
            self._plotter = pv.Plotter(
                off_screen=True, window_size=[self._camera.width, self._camera.height], lighting="none"
            )
            # Oversampling is the anti-aliasing: on a processor it costs half of what multi-sampling does.
        self._plotter.render_window.SetMultiSamples(0)
        self._plotter.set_background("black")
        # One translucent thing, the shadow: plain blending does, order-independent blending loses it.
        self._plotter.renderer.SetUseOIT(False)
        self._light()
        self._aim()
        for panel in panels or []:
            self._hang(panel)
        if box is not None:
            corners, triangles = scene.box_mesh(box)
            self._plotter.add_mesh(
                pv.PolyData.from_regular_faces(corners.astype(np.float32), triangles), color=(0.55, 0.42, 0.28),
                split_sharp_edges=True, smooth_shading=True,
            )  # fmt: skip
        self._mesh: Any = None
        self._shadow: Any = None

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._plotter.close()

    def _light(self) -> None:
        pv = self._pv
        for direction, strength, colour in (
            (scene.KEY_LIGHT, 0.72, (1.0, 0.97, 0.92)),
            (np.array([-3.0, 2.5, 2.5]), 0.28, (0.92, 0.95, 1.0)),
            (np.array([0.5, -4.0, 2.0]), 0.28, (0.95, 0.97, 1.0)),
        ):
            light = pv.Light(position=tuple(direction * 4), focal_point=(0, 0, 0), color=colour, intensity=strength)
            light.positional = False
            self._plotter.add_light(light)

    def _aim(self) -> None:
        set_projection(self._plotter, self._camera)

    def _hang(self, panel: Panel) -> None:
        c, across, up = panel.corner, panel.across, panel.up
        self._quad(np.array([c, c + across, c + across + up, c + up]), panel.texture[::-1])

    def _quad(self, corners: np.ndarray, image: np.ndarray) -> tuple[Any, Any]:
        """Add a textured rectangle; image rows run from its first edge upwards."""
        pv = self._pv
        quad = pv.PolyData(corners.astype(np.float32), faces=[4, 0, 1, 2, 3])
        quad.active_texture_coordinates = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float32)
        texture = pv.Texture(np.ascontiguousarray(image[::-1]))
        texture.interpolate = True
        texture.mipmap = image.shape[2] == 3
        self._plotter.add_mesh(quad, texture=texture, lighting=False, reset_camera=False, render=False)
        return quad, texture

    def add_mesh(self, points: np.ndarray, triangles: np.ndarray, colours: np.ndarray) -> None:
        """Add the mesh that :meth:`frame` moves: points (V, 3) m world, triangles (F, 3), colours (V, 3) uint8."""
        pv = self._pv
        self._mesh = pv.PolyData.from_regular_faces(points.astype(np.float32), triangles)
        self._mesh.point_data["rgb"] = colours
        actor = self._plotter.add_mesh(self._mesh, scalars="rgb", rgb=True, reset_camera=False)
        actor.prop.interpolation = "Phong"
        actor.prop.ambient, actor.prop.diffuse = 0.34, 0.80
        actor.prop.specular, actor.prop.specular_power = 0.06, 12
        self._aim()

    def frame(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Picture (height, width, 3) uint8 RGB with the mesh at points (V, 3) m and normals (V, 3), world."""
        self._mesh.points = points.astype(np.float32)
        self._mesh.point_data.active_normals = normals.astype(np.float32)
        self._cast_shadow(points)
        return self.shoot()

    def _cast_shadow(self, points: np.ndarray) -> None:
        """Move the shadow's square under the mesh and paint it."""
        centre = (points[:, :2].min(0) + points[:, :2].max(0)) / 2 - 0.6 * (scene.KEY_LIGHT[:2] / scene.KEY_LIGHT[2])
        alpha = scene.shadow(points, centre, _SHADOW_HALF_M)
        h = _SHADOW_HALF_M
        square = np.array([[-h, -h, 0.002], [h, -h, 0.002], [h, h, 0.002], [-h, h, 0.002]])
        square[:, :2] += centre
        image = np.empty((*alpha.shape, 4), dtype=np.uint8)
        image[..., :3] = (26, 20, 16)
        image[..., 3] = np.round(255 * alpha)
        if self._shadow is None:
            self._shadow = self._quad(square, image)
        quad, texture = self._shadow
        quad.points = square.astype(np.float32)
        texture.SetInputData(self._pv.Texture(np.ascontiguousarray(image[::-1])).to_image())

    def shoot(self) -> np.ndarray:
        """Picture (height, width, 3) uint8 RGB of what is there now."""
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkUnsignedCharArray

        window, camera = self._plotter.render_window, self._camera
        with quiet_vtk():
            window.Render()
        pixels = vtkUnsignedCharArray()
        window.GetRGBACharPixelData(0, 0, camera.width - 1, camera.height - 1, 1, pixels)
        image = vtk_to_numpy(pixels).reshape(camera.height, camera.width, 4)[::-1, :, :3]
        import cv2

        image = np.ascontiguousarray(image)
        if self._lookup is None:
            return cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
        return cv2.remap(image, self._lookup[..., 0], self._lookup[..., 1], cv2.INTER_LINEAR)
