"""Keypoints over pictures: the sheet has all frames, and bones where both ends are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from posemill.skeleton import joint_set
from posemill.view.overlay import contact_sheet


def test_bones_are_drawn_where_their_ends_are(tmp_path: Path):
    names = joint_set("limbs12")
    points = np.full((5, 12, 2), np.nan)
    points[2, names.indices(("left_shoulder", "left_elbow"))] = [[10, 20], [70, 20]]
    contact_sheet(tmp_path / "a.png", [np.zeros((60, 80, 3), np.uint8)] * 5, [points], "limbs12", height=60, columns=3)
    sheet = cv2.imread(str(tmp_path / "a.png"))
    assert sheet.shape == (120, 240, 3)
    drawn = sheet.max(-1) > 100
    assert drawn[20, 170:228].all()
    assert not drawn[60:].any()
    assert not drawn[:60, :160].any()
