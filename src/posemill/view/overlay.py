"""Keypoints drawn over pictures, many frames on one sheet: for looking at what a detector does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posemill.arrays import Points2
from posemill.formats.atomic import write_bytes
from posemill.skeleton import joint_set

__all__ = ["contact_sheet"]

_COLOURS = ((255, 120, 40), (60, 220, 255), (255, 60, 200), (120, 255, 60))


def contact_sheet(
    path: Path,
    pictures: Sequence[np.ndarray],
    keypoints: Sequence[Points2],
    joints: str,
    *,
    height: int = 360,
    columns: int = 4,
) -> None:
    """Write a PNG of pictures with the bones of each method in a colour of its own, the first thickest.

    Parameters
    ----------
    pictures
        (H, W, 3) uint8 RGB each, all of one size.
    keypoints
        By method, (T, J, 2) px of the pictures; NaN where unknown.
    """
    import cv2

    bones = [(parent, child) for parent, child in joint_set(joints).bones]
    tiles = []
    for row, picture in enumerate(pictures):
        scale = height / picture.shape[0]
        tile = cv2.resize(picture, (round(picture.shape[1] * scale), height), interpolation=cv2.INTER_AREA)
        for number, found in enumerate(keypoints):
            points = (np.asarray(found[row], dtype=np.float64) + 0.5) * scale - 0.5
            for parent, child in bones:
                if np.isfinite(points[[parent, child]]).all():
                    ends = [tuple(int(v) for v in np.round(points[k])) for k in (parent, child)]
                    cv2.line(tile, ends[0], ends[1], _COLOURS[number % 4], 2 if number == 0 else 1, cv2.LINE_AA)
        tiles.append(tile)
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    done, data = cv2.imencode(".png", np.concatenate(rows)[..., ::-1])
    assert done
    write_bytes(path, data.tobytes())
