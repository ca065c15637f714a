from __future__ import annotations

import pytest

from posemill import progress as module
from posemill.progress import progress


def test_items_pass_through_in_silence_when_quick(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(iter("abc"), 3, "detect")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_a_log_gets_plain_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "_EVERY_S", 0.0)
    assert list(progress(iter("ab"), None, "detect S1/walk")) == ["a", "b"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[1].startswith("detect S1/walk: 2 frames, ") and "\r" not in lines[1]
