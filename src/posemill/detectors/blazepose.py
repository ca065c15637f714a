"""BlazePose's two networks, asked one by one: who is in a picture, and where are the joints of the one in a region.

MediaPipe's own graph of them follows one person, and goes over to another one who comes near. These are its parts, from
the same library with the same constants: following one person with them as that graph does gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["BlazePose", "Pose", "Region", "tiles"]

_FINDER = """
input_stream: "image"
output_stream: "detections"
node { calculator: "PoseDetectionCpu" input_stream: "IMAGE:image" output_stream: "DETECTIONS:detections" }
"""
_LANDMARKER = """
input_stream: "image"
input_stream: "region"
output_stream: "landmarks"
output_stream: "next_region"
input_side_packet: "model_complexity"
node { calculator: "ImagePropertiesCalculator" input_stream: "IMAGE_CPU:image" output_stream: "SIZE:size" }
node {
  calculator: "PoseLandmarkByRoiCpu"
  input_stream: "IMAGE:image" input_stream: "ROI:region" input_side_packet: "MODEL_COMPLEXITY:model_complexity"
  output_stream: "LANDMARKS:landmarks" output_stream: "AUXILIARY_LANDMARKS:frame_of_body"
}
node {
  calculator: "PoseLandmarksToRoi"
  input_stream: "LANDMARKS:frame_of_body" input_stream: "IMAGE_SIZE:size" output_stream: "ROI:next_region"
}
"""
# A found person's region is this much larger than the circle around the body (as in the library's own graph).
_LARGER = 1.25
# Squares of a picture overlap by half. Smaller ones than this are not looked into.
_SMALLEST_PX = 160


@dataclass(frozen=True)
class Region:
    """A turned square of a picture: centre (x, y) px, side px, rotation in radians (0: upright), how sure (0 to 1).

    Pixel coordinates are the library's own: the picture's left edge is 0.
    """

    x: float
    y: float
    side: float
    rotation: float
    score: float = 1.0


@dataclass(frozen=True)
class Pose:
    """``table`` (33, 3) is x and y as shares of the picture, and visibility; ``region`` where to look next."""

    table: np.ndarray
    region: Region


def tiles(width: int, height: int, level: int) -> Iterator[tuple[int, int, int]]:
    """Overlapping squares (left, top, side) px that cover a picture; each level halves the side."""
    side = max(min(width, height) >> (level - 1), 1)
    if side < _SMALLEST_PX:
        return
    columns, rows = (max(1, round(2 * length / side) - 1) for length in (width, height))
    for row in range(rows):
        for column in range(columns):
            left = round(column * (width - side) / max(columns - 1, 1))
            yield left, round(row * (height - side) / max(rows - 1, 1)), side


class BlazePose:
    """The two networks, loaded.

    Parameters
    ----------
    complexity
        1 full, 0 lite, 2 heavy.
    min_detection, min_tracking
        Least scores of a found person and of a pose.
    """

    def __init__(self, complexity: int, min_detection: float, min_tracking: float) -> None:
        from mediapipe.framework.formats import rect_pb2  # made when loaded: type checkers see nothing of it
        from mediapipe.python.solution_base import SolutionBase
        from mediapipe.python.solutions import pose  # registers the networks' parts

        del pose
        self._rect: Any = vars(rect_pb2)["NormalizedRect"]
        self._finder: Any = SolutionBase(
            graph_config=_FINDER,
            calculator_params={"posedetectioncpu__TensorsToDetectionsCalculator.min_score_thresh": min_detection},
            outputs=["detections"],
        )
        threshold = "poselandmarkbyroicpu__tensorstoposelandmarksandsegmentation__ThresholdingCalculator.threshold"
        self._landmarker: Any = SolutionBase(
            graph_config=_LANDMARKER,
            calculator_params={threshold: min_tracking},
            side_inputs={"model_complexity": complexity},
            outputs=["landmarks", "next_region"],
        )

    def close(self) -> None:
        """Free both."""
        self._finder.close()
        self._landmarker.close()

    def find(self, rgb: np.ndarray, tile: tuple[int, int, int] | None = None) -> list[Region]:
        """People in a (H, W, 3) uint8 picture or in a square (left, top, side) of it, the surest first."""
        left, top, side = tile or (0, 0, 0)
        part = np.ascontiguousarray(rgb[top : top + side, left : left + side]) if tile else rgb
        height, width = part.shape[:2]
        regions = []
        for found in self._finder.process({"image": part}).detections or []:
            points = found.location_data.relative_keypoints
            x, y, up_x, up_y = points[0].x * width, points[0].y * height, points[1].x * width, points[1].y * height
            around = 2 * float(np.hypot(up_x - x, up_y - y)) * _LARGER
            rotation = _turned(np.pi / 2 + np.arctan2(up_y - y, up_x - x))
            regions.append(Region(x + left, y + top, around, rotation, float(found.score[0])))
        return regions

    def pose(self, rgb: np.ndarray, region: Region) -> Pose | None:
        """The pose of whoever is in a region of a picture; None where nobody is."""
        height, width = rgb.shape[:2]
        rect = self._rect(
            x_center=region.x / width,
            y_center=region.y / height,
            width=region.side / width,
            height=region.side / height,
            rotation=region.rotation,
        )
        answer = self._landmarker.process({"image": rgb, "region": rect})
        if answer.landmarks is None or answer.next_region is None:
            return None
        table = np.array([(p.x, p.y, p.visibility) for p in answer.landmarks.landmark])
        after = answer.next_region
        return Pose(table, Region(after.x_center * width, after.y_center * height, after.width * width, after.rotation))


def _turned(angle: float) -> float:
    """The same angle within ±π."""
    return float(angle - 2 * np.pi * np.floor((angle + np.pi) / (2 * np.pi)))
