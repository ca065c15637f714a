"""The rendered picture is where the camera model says, lens distortion included."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemill.camera import Camera
from posemill.errors import MissingError
from posemill.twin.cameras import looking_at, studio
from posemill.twin.render import Renderer, pinhole_around, pyvista
from posemill.twin.scene import KEY_LIGHT, box_mesh, shadow
from posemill.twin.surface import ellipsoid, mesh, round_cone, smooth_union
from posemill.twin.video import write_video


def odd_camera(dist: list[float]) -> Camera:
    """Unequal focal lengths and a principal point far off the centre."""
    camera = looking_at(np.array([3.0, 1.0, 1.4]), np.array([0, 0, 1.0]), 320, 240, 300.0)
    k = np.array([[300.0, 0, 190.3], [0, 330.0, 100.6], [0, 0, 1]])
    return Camera(320, 240, k, np.array(dist), camera.R, camera.t)


@pytest.mark.parametrize("dist", [[0, 0, 0, 0, 0], [-0.2, 0.05, 0.002, -0.001, 0.0]])
@pytest.mark.parametrize("centre", [(0.0, 0.0, 1.0), (0.3, -0.7, 0.6), (-0.5, 0.9, 1.4)])
def test_small_sphere_appears_at_its_projection(dist: list[float], centre: tuple[float, float, float]) -> None:
    camera = odd_camera(dist)
    points, triangles = mesh(ellipsoid((0, 0, 0), (0.04,) * 3), (-0.05,) * 3, (0.05,) * 3, 0.008)
    with Renderer(camera) as renderer:
        renderer.add_mesh(points + centre, triangles, np.full((len(points), 3), 255, dtype=np.uint8))
        # Normals towards the light: every point of the sphere is equally bright.
        normals = np.tile(KEY_LIGHT / np.linalg.norm(KEY_LIGHT), (len(points), 1))
        image = renderer.frame(points + centre, normals).astype(float).mean(-1)
    assert image.shape == (240, 320) and image.max() > 150
    image[image < 40] = 0  # the shadow on the floor
    v, u = np.mgrid[0:240, 0:320]
    found = np.array([(u * image).sum(), (v * image).sum()]) / image.sum()
    want = camera.project(camera.world_to_camera(np.array([centre])))[0]
    assert np.linalg.norm(found - want) < 0.5


def test_distorted_pixels_look_up_their_own_ray() -> None:
    camera = odd_camera([-0.2, 0.05, 0.002, -0.001, 0.0])
    pinhole, lookup = pinhole_around(camera)
    assert lookup is not None and not pinhole.dist.any()
    at = np.array([[17.0, 230.0]])
    ray = camera.normalise(at)
    np.testing.assert_allclose(lookup[230, 17], (ray @ pinhole.K[:2, :2].T + pinhole.K[:2, 2])[0], atol=1e-3)
    assert (lookup >= 0).all() and (lookup <= (pinhole.width - 1, pinhole.height - 1)).all()
    same, none = pinhole_around(odd_camera([0, 0, 0, 0, 0]))
    assert none is None and same.width == 320


def test_studio_cameras_see_a_standing_person_upright() -> None:
    views = studio(6, 640, 480)
    assert list(views) == ["cam1", "cam2", "cam3", "cam4", "cam5", "cam6"]
    centres = np.array([camera.centre for camera in views.values()])
    assert np.linalg.norm(centres[:, None] - centres, axis=-1)[np.triu_indices(6, 1)].min() > 1.0
    for camera in views.values():
        assert 3.0 < np.hypot(*camera.centre[:2]) < 5.0
        head, feet = camera.project(camera.world_to_camera(np.array([[0, 0, 1.77], [0, 0, 0.0]])))
        assert head[1] < feet[1] and (head > 0).all() and (feet < (640, 480)).all()


def test_meshes_are_closed_and_have_the_right_volume() -> None:
    points, triangles = mesh(ellipsoid((0.1, 0, 0), (0.3, 0.2, 0.1)), (-0.3,) * 3, (0.5,) * 3, 0.01)
    a, b, c = (points[triangles[:, i]] for i in range(3))
    volume = np.einsum("na,na->", a, np.cross(b, c)) / 6
    assert volume == pytest.approx(4 / 3 * np.pi * 0.3 * 0.2 * 0.1, rel=0.02)
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_smooth_union_is_the_union_away_from_the_seam() -> None:
    a, b = round_cone((0, 0, 0), (1, 0, 0), 0.1, 0.2), ellipsoid((0, 5, 0), (0.3, 0.3, 0.3))
    far = np.array([[0.0, 0.1, 0.0], [1.0, 0.0, 0.2], [0, 5.3, 0]])
    np.testing.assert_allclose(smooth_union([a, b], 0.05)(far), 0, atol=1e-9)


def test_shadow_lies_away_from_the_light() -> None:
    stick = np.stack([np.zeros(2000), np.zeros(2000), np.linspace(0, 2, 2000)], -1)
    dark = shadow(stick, np.zeros(2), 2.0)
    rows, columns = np.mgrid[0:160, 0:160]
    x, y = (np.array([(dark * columns).sum(), (dark * rows).sum()]) / dark.sum() - 79.5) / 40
    assert x * KEY_LIGHT[0] + y * KEY_LIGHT[1] < 0
    corners, triangles = box_mesh((0, 0, 1, 2, 0.5))
    a, b, c = (corners[triangles[:, i]] for i in range(3))
    assert np.einsum("na,na->", a, np.cross(b, c)) / 6 == pytest.approx(1 * 2 * 0.5)


def test_video_is_written_whole_and_the_same_twice(tmp_path: Path) -> None:
    import av

    frames = [np.full((48, 64, 3), 20 * i, dtype=np.uint8) for i in range(7)]
    write_video(tmp_path / "a.mp4", iter(frames), 30)
    write_video(tmp_path / "b.mp4", iter(frames), 30)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 30
    assert len(decoded) == 7
    assert abs(float(decoded[5].mean()) - 100) < 4
    with pytest.raises(ValueError, match="even"):
        write_video(tmp_path / "c.mp4", iter([np.zeros((47, 64, 3), dtype=np.uint8)]), 30)
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "c.mp4", iter([]), 30)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_missing_pyvista_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pyvista":
            raise ImportError("No module named 'pyvista'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingError, match=r"pip install 'posemill\[twin\]'"):
        pyvista()
