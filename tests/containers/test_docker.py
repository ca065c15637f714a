"""A real Docker engine in folders of its own: an image built with the SDK, saved and converted."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from tests.containers.conftest import copy_checkout, needs, one_build_at_a_time, posemill


@pytest.fixture(scope="module")
def dockerd(tmp_path_factory) -> Iterator[str]:
    """Address of a daemon without network, stopped at the end."""
    program = needs("dockerd")
    folder = tmp_path_factory.mktemp("d")
    address = f"unix://{folder}/s"
    command = [
        *(program, "--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid"),
        *("--host", address, "--bridge=none", "--iptables=false", "--ip6tables=false"),
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as daemon:
        try:
            import docker

            for _ in range(150):
                assert daemon.poll() is None, (folder / "log").read_text()[-2000:]
                try:
                    with closing(docker.DockerClient(base_url=address)) as client:
                        client.ping()
                    break
                except docker.errors.DockerException:
                    time.sleep(0.2)
            yield address
        finally:
            daemon.terminate()
            daemon.wait(60)
            # Gigabytes, of which pytest would keep three.
            shutil.rmtree(folder / "data", ignore_errors=True)


@pytest.fixture(scope="module")
def built(dockerd, tmp_path_factory) -> Iterator[tuple[Path, str]]:
    """A checkout whose posemill image was built in the daemon, and what the build said."""
    needs("apptainer")
    checkout = copy_checkout(tmp_path_factory.mktemp("docker") / "checkout")
    with one_build_at_a_time():
        code, said = posemill("images", "build", folder=checkout, env={"DOCKER_HOST": dockerd})
    assert code == 0, said
    yield checkout, said
    shutil.rmtree(checkout)


def test_the_engine_is_used_where_its_daemon_answers_and_its_steps_are_shown(built):
    _, said = built
    assert "built by docker" in said
    assert "Successfully tagged posemill:0.1.0" in said
    assert '"lifter posemill"' in said, "the self-test ran"


def test_the_lock_file_has_the_digests_of_engine_and_file(built, dockerd):
    import docker

    checkout, _ = built
    entry = json.loads((checkout / "containers" / "images.lock.json").read_text())["posemill"]
    with closing(docker.DockerClient(base_url=dockerd)) as client:
        assert entry["docker"] == client.images.get("posemill:0.1.0").id
    code, said = posemill("images", "verify", folder=checkout, env={"DOCKER_HOST": dockerd})
    assert code == 0, said
    assert f"digest: {entry['sha256']}, as built" in said and "code: the same as here" in said


def test_saved_and_converted_it_runs_in_apptainer(built):
    checkout, _ = built
    sif = checkout / "containers" / "posemill_0.1.0.sif"
    done = subprocess.run(
        [needs("apptainer"), "exec", "--containall", "--cleanenv", sif, "posemill", "--version"],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "0.1.0\n", done.stderr


def test_export_writes_an_archive_that_docker_loads(built, dockerd, tmp_path):
    checkout, _ = built
    target = tmp_path / "posemill.tar"
    code, said = posemill("images", "export", "-o", str(target), folder=checkout, env={"DOCKER_HOST": dockerd})
    assert code == 0, said
    with tarfile.open(target) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))
    assert manifest[0]["RepoTags"] == ["posemill:0.1.0"]
    target.unlink()


def test_without_the_file_the_engines_own_image_is_verified(built, dockerd):
    checkout, _ = built
    sif = checkout / "containers" / "posemill_0.1.0.sif"
    hidden = sif.rename(sif.with_suffix(".hidden"))
    try:
        code, said = posemill("images", "verify", folder=checkout, env={"DOCKER_HOST": dockerd})
        assert code == 0, said
        assert "in Docker, as built" in said
    finally:
        hidden.rename(sif)


def test_a_base_that_no_registry_serves(dockerd, checkout):
    page = checkout / "containers" / "images.yaml"
    images = yaml.safe_load(page.read_text())
    images["hourglass"]["base"] = "docker://127.0.0.1:1/no/such:image"
    page.write_text(yaml.safe_dump(images))
    code, said = posemill("images", "build", "hourglass", folder=checkout, env={"DOCKER_HOST": dockerd})
    last = said.splitlines()[-1]
    assert code == 1
    assert last.startswith("posemill: image hourglass: its base 127.0.0.1:1/no/such:image cannot be fetched: ")
