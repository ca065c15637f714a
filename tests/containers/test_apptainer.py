"""The images built by a real Apptainer, and what is in them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from posemill.errors import MissingError
from posemill.images import apptainer, debian
from posemill.images.catalog import Checkout, Image
from tests.containers.conftest import ROOT, needs, one_build_at_a_time, posemill

# Torch7's packages as far as the self-test looks at them, in plain Lua: no Torch7 can be had from Debian.
STAND_IN = """\
local function class() return setmetatable({}, {__call = function(self) return self end}) end
torch = {DiskFile = class(), load = print}
torch.FloatTensor = setmetatable({}, {__call = function()
    local tensor = {}
    function tensor:zero() return self end
    function tensor:double() return self end
    return tensor
end})
nn = {SpatialBatchNormalization = class(), SpatialUpSamplingNearest = class(), ConcatTable = class(),
      CAddTable = class()}
function nn.SpatialConvolution(input, output)
    return {forward = function() return {size = function() return {output, 8, 8} end} end}
end
nngraph, image = {}, {load = print, scale = print}
"""


def inside(sif: Path, *command: str) -> str:
    """Run a command in an image that sees nothing of this machine."""
    arguments = [needs("apptainer"), "exec", "--containall", "--cleanenv", str(sif), *command]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_image_is_what_was_built_and_has_this_checkouts_code(posemill_sif):
    code, said = posemill("images", "verify", folder=ROOT)
    assert code == 0, said
    digest, selftest, same = said.splitlines()[-3:]
    assert digest.startswith("digest: ") and digest.endswith("as built")
    assert selftest.startswith("self-test: av ") and "torch 2." in selftest
    assert same == "code: the same as here"


def test_a_shell_and_python_are_on_the_path_and_pip_is_not(posemill_sif):
    said = inside(posemill_sif, "bash", "-c", "command -v python posemill; command -v pip apt-get; python --version")
    assert said.split()[:2] == ["/opt/posemill/bin/python", "/opt/posemill/bin/posemill"]
    assert "pip" not in said and "Python 3.11" in said


def test_the_image_is_small(posemill_sif):
    assert posemill_sif.stat().st_size < 750 * 2**20
    assert inside(posemill_sif, "sh", "-c", "ls -d /opt/build /usr/share/man/man1 2>/dev/null; true") == ""


def test_export_is_the_same_file(posemill_sif, tmp_path):
    code, said = posemill("images", "export", "-o", str(tmp_path / "taken.sif"), folder=ROOT)
    assert code == 0, said
    assert (tmp_path / "taken.sif").stat().st_size == posemill_sif.stat().st_size
    assert subprocess.run(["cmp", tmp_path / "taken.sif", posemill_sif]).returncode == 0
    (tmp_path / "taken.sif").unlink()


def test_a_base_that_no_registry_serves(checkout):
    needs("apptainer")
    page = checkout / "containers" / "images.yaml"
    images = yaml.safe_load(page.read_text())
    images["hourglass"]["base"] = "docker://127.0.0.1:1/no/such:image"
    page.write_text(yaml.safe_dump(images))
    code, said = posemill("images", "build", "hourglass", "--engine", "apptainer", folder=checkout)
    last = said.splitlines()[-1]
    assert code == 1
    assert last.startswith("posemill: image hourglass: its base 127.0.0.1:1/no/such:image cannot be fetched: ")
    assert last.endswith("check the name and the network, or name another base in containers/images.yaml")


@pytest.fixture
def torch7_stand_in(tmp_path) -> Path:
    """A base with ``th`` in root's home, as Torch7's own installer leaves it; behind it, Debian's LuaJIT."""
    needs("apptainer")
    needs(debian.PROGRAM)
    work = tmp_path / "torch7"
    work.mkdir()
    with one_build_at_a_time():
        base = debian.base_archive(Checkout(ROOT), ROOT / "containers" / "posemill")
    (work / "base").mkdir()
    debian.unpack(base, work / "base")
    (work / "base").chmod(0o755)
    apt = [needs("apt-get"), "-qq", "-o", "APT::Sandbox::User=root"]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "download", "luajit", "libluajit-5.1-2"], cwd=work, check=True)
    for package in work.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, work / "base"], check=True)
    installed = work / "base" / "root" / "torch" / "install"
    for name in ("torch", "nn", "nngraph", "image"):
        module = installed / "share" / "lua" / "5.1" / f"{name}.lua"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text((STAND_IN if name == "torch" else "") + f"return {name}\n")
    th = installed / "bin" / "th"
    th.parent.mkdir()
    # Like the real one, it has its place written down.
    start = "package.path = '/root/torch/install/share/lua/5.1/?.lua;' .. package.path"
    th.write_text(f'#!/bin/sh\nexec luajit -e "{start}" "$@"\n')
    th.chmod(0o755)
    return work / "base"


def hourglass() -> tuple[Image, Path]:
    return Checkout(ROOT).image("hourglass"), ROOT / "containers" / "hourglass"


def test_hourglass_finds_th_and_runs_its_selftest_on_a_stand_in_for_torch7(torch7_stand_in, tmp_path):
    image, recipe = hourglass()
    sif = tmp_path / image.uri
    apptainer.build(image, recipe, recipe, torch7_stand_in, sif)
    said = inside(sif, "th", "/opt/hourglass/selftest.lua")
    # The home in which Torch7 was is covered here.
    assert inside(sif, "sh", "-c", "ls -A /root 2>/dev/null || :") == ""
    assert said == "hourglass: torch, nn, nngraph and image load; a convolution has the right size\n"


def test_hourglass_on_a_base_without_torch7_is_not_built(torch7_stand_in, tmp_path):
    image, recipe = hourglass()
    (torch7_stand_in / "root/torch/install/bin/th").unlink()
    with pytest.raises(MissingError, match=r"expected th \(Torch7\) in the base image, got none"):
        apptainer.build(image, recipe, recipe, torch7_stand_in, tmp_path / image.uri)


def test_hourglass_without_one_of_torch7s_packages_is_not_built(torch7_stand_in, tmp_path):
    image, recipe = hourglass()
    (torch7_stand_in / "root/torch/install/share/lua/5.1/nngraph.lua").write_text('error("no nngraph")\n')
    with pytest.raises(MissingError, match="own check refuses it: hourglass: self-test: expected the package nngraph"):
        apptainer.build(image, recipe, recipe, torch7_stand_in, tmp_path / image.uri)
