"""Every lifter that posemill has comes with weights of its own that lift the demo."""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import posemill
from posemill import registry
from posemill.cli.common import stage_options
from posemill.formats.artifact import read
from posemill.formats.weights import read_card, weights_state
from posemill.lifters.protocol import LiftInput
from posemill.metrics.pose import p_joint_errors
from posemill.plan import weights_file
from posemill.skeleton import JOINT_SETS, LIMBS, convert
from posemill.stages.card import page

MODELS = Path(posemill.__file__).parent / "models"
TRUTH = Path(__file__).parents[2] / "resources" / "demo" / "S9" / "truth.h5"
NAMES = [name for name in registry.names("lifters") if registry.load("lifters", name).__name__.startswith("posemill.")]
LIMB_INDICES = list(JOINT_SETS["h36m17"].indices(LIMBS))


def test_there_are_nine():
    assert len(NAMES) == 9


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_shipped_with_a_page_and_free_terms(name: str):
    file = weights_file("lifters", name, registry.options("lifters", name, None))
    assert file == MODELS / f"{name}.safetensors"
    assert weights_state(file) == "shipped"
    card = read_card(file)
    assert card["licences"]["weights"] == "Apache-2.0"
    assert "free for all uses" in card["licences"]["data"]
    assert not {"S007", "S011", "S026", "S080", "S094"} - set(card["held_out_subjects"])
    if name != "linear":
        assert file.with_suffix(".md").read_text() == page(file)


@pytest.mark.parametrize("name", [*(name for name in NAMES if name != "linear"), "hourglass"])
def test_the_pages_command_asks_for_the_cards_options(name: str):
    """As a shell and the command's own options read it."""
    file = MODELS / f"{name}.safetensors"
    command = page(file).split("## Made by\n\n", 1)[1].splitlines()[0]
    words = shlex.split(command)
    assert words[:3] == ["posemill", "train", name]
    said = stage_options([after for word, after in pairwise(words) if word == "--option"])
    assert said == {key: value for key, value in read_card(file)["options"].items() if value is not None}


def test_all_lifters_weights_stay_below_20_megabytes():
    assert sum((MODELS / f"{name}.safetensors").stat().st_size for name in NAMES) < 20e6


@pytest.mark.parametrize("name", NAMES)
def test_the_demo_is_lifted(name: str):
    module = registry.load("lifters", name)
    options = module.Options()
    card = module.card(options) if hasattr(module, "card") else module.CARD
    lifter = module.create(options)
    truth = read(TRUTH, "truth3d")
    errors = []
    for clip in truth.clips.values():
        track = clip.tracks["p1"].arrays
        assert clip.camera is not None
        points, valid, score, sigma = convert(
            track["keypoints"].astype(np.float64),
            truth.joint_set,
            card.joint_set_in,
            sigma=np.full(track["keypoints"].shape[:2], 2.0),
        )
        lifted = lifter.lift(LiftInput(points, score, sigma, valid, clip.time, clip.camera, clip.temporal))
        lifted = lifted.only(JOINT_SETS[card.joint_set_out].indices(JOINT_SETS["h36m17"].joints))
        joints = convert(track["joints_camera"].astype(np.float64), truth.joint_set, "h36m17")[0]
        assert lifted.valid.mean() > 0.95
        known = lifted.valid.all(1)
        errors.append(
            p_joint_errors(lifted.joints_relative[known][:, LIMB_INDICES], joints[known][:, LIMB_INDICES]).mean()
        )
    # A constant standing pose is 139 mm away; the cards have each lifter's own figure.
    assert np.mean(errors) < 0.09
