"""What a protocol by name asks of an evaluation, and how its clips are averaged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.records import RecordBook
from posemill.metrics.pairing import ClipErrors
from posemill.metrics.protocols import protocol
from posemill.metrics.report import add_actions, add_figures, assert_protocol, in_protocol

H36M = protocol("h36m-p1")
CONTEXT = {
    "protocol": "h36m-p1",
    "data": {"t.h5": "0" * 64},
    "split": "S9",
    "source_2d": {"name": "exact"},
    "method": {"name": "linear", "options": {}, "weights": ""},
    "code": "c",
    "command": ("posemill",),
}


def clip(subject: str, name: str, error_m: float, frames: int) -> ClipErrors:
    errors = np.full((frames, 17), error_m)
    values = {"pose": errors, "all": np.ones(errors.shape, bool)}
    return ClipErrors(subject, name, "p1", "camera", frames, frames, values)


def test_clips_that_a_protocol_evaluates():
    assert in_protocol(H36M, "S11", "Directions_1.60457274")
    assert not in_protocol(H36M, "S11", "Directions.54138969")
    assert not in_protocol(H36M, "S9", "Directions_1.12345678")
    clean = protocol("h36m-p1-clean")
    assert not in_protocol(clean, "S9", "Greeting.60457274") and not in_protocol(clean, "S9", "Waiting_1.60457274")
    assert in_protocol(clean, "S9", "Waiting.60457274") and in_protocol(clean, "S11", "Greeting.60457274")
    assert in_protocol(protocol("posemill-12"), "S1", "whatever_cam1")


def test_actions_weigh_alike():
    """(10 + 40) / 2, although walking has three times as many frames in two cameras."""
    clips = [clip("S9", "Eating.54138969", 0.01, 10), clip("S9", "Walking_1.54138969", 0.05, 10)]
    clips.append(clip("S11", "Walking.55011271", 0.035, 20))
    book = RecordBook(**CONTEXT)
    assert add_actions(book, H36M, clips) == {"mpjpe_mm": 25.0}
    found = book.find(metric="mpjpe", part="action Walking")
    assert found is not None and (found.value, found.frames) == (40.0, 30)
    pooled, left_out = add_figures(book, H36M, clips, "all [camera]")
    assert pooled["all"]["mpjpe_mm"] == 32.5 and pooled["frames_evaluated"] == 40
    assert set(left_out) >= {"p_mpjpe (all)", "rte", "contact_f1"}


def test_subjects_rate_actions_and_frames_are_asserted():
    clips = [clip(s, f"{a}.54138969", 0.01, 10) for s in H36M.subjects for a in H36M.actions]
    rates = {"Eating": 50.0}
    small = replace(H36M, frames=300)
    assert_protocol(small, clips, rates)
    with pytest.raises(InputError, match="evaluated frames: expected 566920, got 300"):
        assert_protocol(H36M, clips, rates)
    with pytest.raises(InputError, match="subjects: expected S9, S11, got S9"):
        assert_protocol(small, clips[:15], rates)
    with pytest.raises(InputError, match="actions: expected its 15, got without Directions"):
        assert_protocol(small, [c for c in clips if "Directions" not in c.clip], rates)
    with pytest.raises(InputError, match="rate of Eating: expected 50 Hz, got 10 Hz"):
        assert_protocol(small, clips, {"Eating": 10.0})
    clips[0].frames = 9
    with pytest.raises(InputError, match="evaluated frames: expected 9"):
        assert_protocol(small, clips, rates)
