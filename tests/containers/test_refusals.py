"""What stands in the way of an image is one line: what, where, and what to do."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from posemill.cli import main
from posemill.errors import MissingError
from posemill.images import apptainer, docker, process, wheels
from posemill.images.catalog import Checkout
from posemill.images.inspect import states, verify
from posemill.images.selftest import stage_code
from posemill.provenance import sha256_file

NO_DAEMON = "unix:///nowhere/docker.sock"


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command ends with."""
    with pytest.raises(SystemExit) as ended:
        main(["images", *arguments])
    assert ended.value.code == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("posemill: ")]
    return lines[-1]


@pytest.fixture
def here(checkout, monkeypatch) -> Path:
    """A checkout to work in, no Docker daemon, and no programs but the system's own."""
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("DOCKER_HOST", NO_DAEMON)
    (checkout / "bin").mkdir()
    monkeypatch.setenv("PATH", str(checkout / "bin"))
    return checkout


def fake_apptainer(folder: Path, *said: str, code: int = 255) -> None:
    """A program that says what Apptainer said when it failed, and fails."""
    script = folder / "bin" / "apptainer"
    echo = "\n".join(f"echo {line!r}" for line in said)
    script.write_text(f"#!/bin/sh\n{echo}\nexit {code}\n")
    script.chmod(0o755)


def test_an_unknown_image_is_answered_with_those_that_exist(here, capsys):
    assert refusal(capsys, "build", "posmill").endswith("known: posemill, posemill-cuda, hourglass")


def test_an_unknown_engine_is_answered_with_those_that_exist(here, capsys):
    assert "expected auto, docker, apptainer, got 'podman'" in refusal(capsys, "build", "--engine", "podman")


def test_outside_a_checkout_there_is_nothing_to_build(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("posemill.images.catalog.__file__", str(tmp_path / "a" / "b" / "c" / "d" / "catalog.py"))
    monkeypatch.chdir(tmp_path)
    assert "expected a checkout of posemill (containers/images.yaml), got none" in refusal(capsys, "list")


def test_a_typing_error_in_the_page_names_the_key(here, capsys):
    page = here / "containers" / "images.yaml"
    page.write_text(page.read_text().replace("flavour: cpu", "flavor: cpu"))
    line = refusal(capsys, "list")
    assert "images.yaml: flavor: extra inputs are not permitted" in line and "flavour" in line


def test_a_stopped_daemon(here, capsys):
    line = refusal(capsys, "build", "--engine", "docker", "--base", "registry")
    assert line == (
        f"posemill: Docker at {NO_DAEMON}: expected a running daemon, got none; start it, or build with --engine "
        "apptainer"
    )


def test_no_permission_to_speak_to_the_daemon(here, capsys, monkeypatch):
    import docker as sdk

    class Client:
        def ping(self):
            raise sdk.errors.DockerException("Error: ('Connection aborted.', PermissionError(13, 'Permission denied'))")

        def close(self):
            pass

    monkeypatch.setattr(sdk, "from_env", lambda **_: Client())
    line = refusal(capsys, "build", "--engine", "docker", "--base", "registry")
    assert "no permission; join the group docker" in line


def test_no_docker_sdk(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "docker", None)
    line = refusal(capsys, "build", "--engine", "docker", "--base", "registry")
    assert line.endswith("the Docker SDK for Python is not installed; pip install 'posemill[images]'")


def test_no_apptainer(here, capsys):
    line = refusal(capsys, "build", "--engine", "apptainer")
    assert "expected apptainer on PATH, got none; install Apptainer, or build with --engine docker" in line


def test_neither_engine(here, capsys):
    assert "expected a Docker daemon or apptainer on PATH, got neither" in refusal(capsys, "build")


def test_no_mmdebstrap_for_a_debian_base(here, capsys):
    fake_apptainer(here)
    line = refusal(capsys, "build", "--base", "debian")
    assert "expected mmdebstrap on PATH, got none" in line and "--base registry" in line


def test_a_base_that_cannot_be_made_from_debian(here, capsys):
    fake_apptainer(here)
    assert "leave out --base debian" in refusal(capsys, "build", "hourglass", "--base", "debian")


def test_a_disk_that_is_too_small_is_found_before_the_work(here, capsys, monkeypatch):
    fake_apptainer(here)
    usage = shutil.disk_usage(here)._replace(free=2**30)
    monkeypatch.setattr(process.shutil, "disk_usage", lambda _: usage)
    line = refusal(capsys, "build")
    assert "containers: to build image posemill: expected 5 GiB free, got 1.0 GiB; free some space" in line


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("FATAL:   While performing build: write /tmp/x: no space left on device", "the disk is full: While perf"),
        (
            "FATAL: conveyor failed to get: pinging container registry: dial tcp 10.0.0.1:443: connection refused",
            "cannot be fetched: conveyor failed",
        ),
        ("ERROR  : Requesting capability set 0x1 while permitted capability set is 0x0", "APPTAINER_DROP_CAPS=CAP_SYS"),
        ("FATAL:   something else", "apptainer could not build it: something else; its whole output is above"),
    ],
)
def test_what_apptainer_says_becomes_one_line_and_leaves_no_file(here, capsys, said, expected):
    fake_apptainer(here, "INFO:    Starting build...", said)
    line = refusal(capsys, "build", "hourglass", "--engine", "apptainer")
    assert line.startswith("posemill: image hourglass: ") and expected in line
    assert not list((here / "containers").glob("*.sif")) and not list((here / "containers").glob(".*"))


def test_wheels_that_cannot_be_had(here, monkeypatch):
    (here / "src").mkdir()
    said = ["ERROR: Could not find a version that satisfies torch==9+cpu", "ERROR: No matching distribution found"]

    def fail(command, **_):
        raise process.ProgramError("python", 1, said)

    monkeypatch.setattr(process, "run", fail)
    with pytest.raises(MissingError, match=r"Could not find a version that satisfies torch==9\+cpu; .* --index"):
        wheels.collect(Checkout(here), "cpu", None, here / "wheels")


def test_export_writes_two_kinds_of_file(here, capsys):
    assert "expected a name that ends in .sif or .tar, got .zip" in refusal(capsys, "export", "-o", "image.zip")


def test_export_of_what_is_not_there_asks_the_daemon(here, capsys):
    assert "expected a running daemon, got none" in refusal(capsys, "export", "-o", "image.tar")


def test_verify_of_what_is_not_there_says_how_to_build_it(here, capsys):
    assert refusal(capsys, "verify").endswith("expected posemill_0.1.0.sif, got none; posemill images build posemill")


def entry(file: Path, **changes: object) -> dict[str, object]:
    """What the lock file says of a posemill image that was built here."""
    checkout = Checkout(file.parents[1])
    recipe = checkout.recipe(checkout.image("posemill"))
    return {"sha256": sha256_file(file), "docker": "", "recipe": recipe, "code": stage_code(), **changes}


def test_list_tells_absent_built_changed_foreign_and_outdated(here):
    checkout = Checkout(here)
    file = here / "containers" / "posemill_0.1.0.sif"

    def state() -> str:
        return next(row.state for row in states(checkout) if row.name == "posemill")

    assert state() == "absent: posemill images build posemill"
    file.write_bytes(b"an image")
    assert state() == "made elsewhere: not in the lock file"
    checkout.lock("posemill", entry(file))
    assert state() == "as built"
    checkout.lock("posemill", entry(file, code={**stage_code(), "lift": "0" * 16}))
    assert state() == "older code: lift"
    checkout.lock("posemill", entry(file))
    with (here / "containers" / "posemill" / "packages.txt").open("a") as packages:
        packages.write("ffmpeg\n")
    assert state() == "older recipe: posemill images build posemill"
    file.write_bytes(b"an Image")
    assert state() == "changed: not what the lock file says"
    assert set(json.loads((here / "containers" / "images.lock.json").read_text())) == {"posemill"}


def test_verify_refuses_another_file_before_it_runs_it(here, monkeypatch):
    file = here / "containers" / "posemill_0.1.0.sif"
    file.write_bytes(b"an image")
    Checkout(here).lock("posemill", entry(file, sha256="0" * 64))
    monkeypatch.setattr(apptainer, "selftest", lambda *_: pytest.fail("ran a file that is not the image"))
    with pytest.raises(Exception, match="it is not what was built here; build it again"):
        verify(Checkout(here), "posemill")


def test_nothing_is_available_without_a_daemon(here):
    assert not docker.available()
