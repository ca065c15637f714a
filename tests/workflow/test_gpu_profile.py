"""profiles/gpu: lifters take turns on the GPU, and all else goes on beside them."""

from __future__ import annotations

import re

from .conftest import new_project


def test_only_lift_asks_for_the_gpu(tmp_path):
    project = new_project(tmp_path / "p")
    planned, text = project.snakemake("-n", "--profile", "profiles/gpu", "results/S1/poses3d.h5")
    assert planned["lift"] == 1 and planned["detect"] == 2
    parts = re.split(r"^(?:local)?rule (\w+):", text, flags=re.MULTILINE)
    asked = {rule for rule, block in zip(parts[1::2], parts[2::2], strict=True) if "gpu=1" in block}
    assert asked == {"lift"}, text
    assert "Using profiles profiles/gpu and workflow specific profile profiles/default" in text
