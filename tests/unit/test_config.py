from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from posemill.config import Config, load
from posemill.errors import InputError
from posemill.plan import STAGES, plan
from posemill.stages.options_page import options_page


def test_shipped_config_is_valid_and_says_the_defaults(root):
    shipped = load(yaml.safe_load((root / "config.yaml").read_text()))
    assert shipped == load({})


def test_schema_file_is_the_models(root):
    assert json.loads((root / "workflow/schemas/config.schema.json").read_text()) == Config.model_json_schema()


def test_options_page_is_what_the_command_prints(root):
    page = (root / "docs/options.md").read_text()
    assert page == options_page()
    assert "| `lock_feet` | boolean | `true` |" in page
    assert "| `gates.moved_mm` | {warn, fail} |" in page


def test_null_of_the_command_line_is_null():
    assert load({"clips": "null", "depth": {"model": "null"}}) == load({"clips": None})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"liftr": "linear"}, r"configuration: liftr: .*keys: clips, videos"),
        ({"lifter": "linaer"}, r"unknown lifter 'linaer'; known: .*linear"),
        ({"detector": "openpose"}, r"unknown detector 'openpose'; known: .*mediapipe"),
        ({"detectors": {"mediapipe": {"complexty": 1}}}, r"detectors\.mediapipe: complexty: .*options: complexity"),
        (
            {"detectors": {"mediapipe": {"complexity": 7}}},
            r"detectors\.mediapipe: complexity: input should be 0, 1 or 2",
        ),
        ({"gather": {"max_gap": 1}}, r"configuration: gather\.max_gap: extra inputs"),
        ({"export": ["fbx"]}, r"export: unknown format fbx; known: bvh, csv"),
        ({"results": "../elsewhere"}, r"results: expected a folder without"),
    ],
)
def test_typos_are_one_line_with_what_exists(values, message):
    with pytest.raises(InputError, match=message) as caught:
        load(values)
    assert "\n" not in str(caught.value)


def test_unknown_stage_and_options_of_a_stage():
    with pytest.raises(InputError, match=r"unknown stage 'lifft'; known: detect"):
        plan("lifft")
    with pytest.raises(InputError, match=r"place: smothing: .*options: height_scale_sigma, .*joints"):
        plan("place", options={"smothing": True})
    with pytest.raises(InputError, match="publish: expected no options, got a"):
        plan("publish", options={"a": 1})


@pytest.mark.parametrize("stage", [name for name, spec in STAGES.items() if not (spec.kind or spec.weights)])
def test_every_stage_has_code_and_a_stable_request(stage):
    method = {"export": "bvh"}.get(stage, "")
    assert plan(stage, method).to_json() == plan(stage, method).to_json()
    assert len(plan(stage, method).code) == 16


def test_what_the_snakefile_imports_is_light():
    code = (
        "import sys\n"
        "import posemill.config, posemill.clip_sources, posemill.plan, posemill.provenance, posemill.registry\n"
        "posemill.config.load({})\n"
        "print([m for m in ('torch', 'cv2', 'mediapipe', 'h5py', 'av', 'pyvista', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
