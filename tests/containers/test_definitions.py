"""The recipes: one list for both engines, names with versions, addresses in one place."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from posemill.images.catalog import Checkout
from posemill.images.debian import packages
from posemill.images.wheels import torch_requirement

ROOT = Path(__file__).resolve().parents[2]
CONTAINERS = ROOT / "containers"
RECIPES = ("posemill", "hourglass")
ADDRESS = re.compile(r"\b(?:docker|oras|library|shub|docker-archive)://[\w.-]+[\w/]")


def texts(recipe: str) -> tuple[str, str]:
    folder = CONTAINERS / recipe
    return (folder / "Dockerfile").read_text(), (folder / "apptainer.def").read_text()


def test_both_definitions_of_posemill_install_from_the_one_list():
    assert packages(CONTAINERS / "posemill") == ["python3", "ca-certificates", "libegl1", "libgl1", "libglib2.0-0"]
    for text in texts("posemill"):
        assert re.findall(r"/opt/build/install (\w+)", text) == ["packages", "wheels"]
        # What is not said here cannot differ.
        assert not re.search(r"apt-get|apt |pip|lib[ge]gl|python3", text)


def test_install_reads_the_list_that_the_base_is_made_from():
    installer = (CONTAINERS / "posemill" / "install").read_text()
    assert "packages.txt" in installer and "dpkg.cfg" in installer
    assert not any(f" {name}" in installer for name in packages(CONTAINERS / "posemill") if name != "python3")


@pytest.mark.parametrize("recipe", RECIPES)
def test_both_definitions_set_the_same_environment(recipe):
    docker, apptainer = texts(recipe)
    in_apptainer = dict(re.findall(r"^\s+export (\w+)=(\S+)", apptainer, flags=re.MULTILINE))
    block = docker[docker.index("\nENV ") :].split("\nRUN")[0]
    in_docker = dict(re.findall(r"(?:ENV )?\b([A-Z_]+)=(\S+)", block))
    # A Dockerfile cannot ask for the user's number; a base's own PATH stays in Docker by itself.
    shared = (set(in_docker) & set(in_apptainer)) - {"MPLCONFIGDIR"}
    assert shared
    assert {k: in_docker[k] for k in shared} == {k: in_apptainer[k] for k in shared}
    assert set(in_apptainer) - set(in_docker) <= {"PATH"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_both_definitions_end_with_the_selftest(recipe):
    for text in texts(recipe):
        assert "selftest" in text or "/opt/hourglass/install" in text
    assert "selftest.lua" in (CONTAINERS / "hourglass" / "install").read_text()


def test_what_is_left_out_is_pinned_and_not_asked_for_by_posemill():
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
    lines = (CONTAINERS / "posemill" / "unused.txt").read_text().splitlines()
    unused = [line for line in lines if line and not line.startswith("#")]
    assert unused and set(unused) <= set(pinned)
    project = (ROOT / "pyproject.toml").read_text()
    assert not any(re.search(rf'"{name}["<>=!~ ]', project) for name in unused)


def test_every_image_has_a_recipe_and_the_packages_version_in_its_names():
    images = Checkout(ROOT).images()
    assert set(images) == {"posemill", "posemill-cuda", "hourglass"}
    for image in images.values():
        assert image.version == version("posemill")
        assert image.version in image.uri and image.tag.endswith(f":{image.version}")
        for name in ("Dockerfile", "apptainer.def", "install"):
            assert (CONTAINERS / image.recipe / name).is_file()
    assert len({image.uri for image in images.values()}) == len({image.tag for image in images.values()}) == len(images)


def test_addresses_of_images_stand_in_one_file():
    images = Checkout(ROOT).images()
    references = {image.base_reference for image in images.values()}
    registries = {reference.split("/")[0] for reference in references if "." in reference.split("/")[0]}
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert registries and "containers/images.yaml" in listed
    for name in filter(None, listed.split("\0")):
        file = ROOT / name
        if name == "containers/images.yaml" or not file.is_file() or b"\0" in file.read_bytes()[:4096]:
            continue
        text = file.read_text(errors="replace")
        assert not any(part in text for part in references | registries), name
        if not name.startswith("tests/"):
            assert not ADDRESS.search(text), name


def test_flavours_ask_for_different_wheels_of_the_pinned_torch():
    pins = (ROOT / "constraints.txt").read_text()
    cpu, cuda = torch_requirement(pins, "cpu"), torch_requirement(pins, "cuda")
    assert cpu.endswith("+cpu") and "==" in cpu
    assert cuda == f"{cpu.removesuffix('+cpu')},!={cpu.removeprefix('torch==')}"
