"""posemill inside another workflow: its own results root, the outer configuration, from a checkout or a repository."""

from __future__ import annotations

import subprocess
import tomllib

import pytest
import yaml

from .conftest import CONFIG, ROOT, Project, new_project

CHAIN = {"detect": 2, "gather": 1, "lift": 1, "skeleton": 1, "place": 1, "merge": 1, "publish": 1}
OUTER = """\
configfile: "config/config.yaml"


module posemill:
    snakefile:
        {snakefile}
    config:
        config["pose"]


use rule * from posemill as posemill_*


rule all:
    default_target: True
    input:
        "report.txt",


rule report:
    input:
        "results/pose/S1/poses3d.h5",
    output:
        "report.txt",
    log:
        "report.log",
    shell:
        "wc -c {{input:q}} > {{output:q}} 2> {{log:q}}"
"""


def outer(folder, snakefile: str) -> Project:
    """Another workflow in its own folder, beside posemill's checkout; its config has posemill's under ``pose``."""
    inner = new_project(folder / "posemill")
    (folder / "workflow").mkdir()
    (folder / "workflow" / "Snakefile").write_text(OUTER.format(snakefile=snakefile))
    (folder / "config").mkdir()
    pose = yaml.safe_load(CONFIG) | {"clips": "posemill/clips.tsv", "results": "results/pose"}
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump({"greeting": "hello", "pose": pose}))
    return Project(folder, inner.env)


def named(ran: dict[str, int]) -> dict[str, int]:
    return {name.removeprefix("posemill_"): count for name, count in ran.items() if name != "report"}


def test_another_workflow_runs_posemill_into_its_own_results(tmp_path):
    project = outer(tmp_path, '"../posemill/workflow/Snakefile"')
    ran, _ = project.snakemake()
    assert named(ran) == CHAIN and ran["report"] == 1
    assert (tmp_path / "report.txt").read_text().endswith("results/pose/S1/poses3d.h5\n")
    assert sorted(p.name for p in (tmp_path / "results").iterdir()) == ["pose"]
    assert not (tmp_path / "posemill" / "results").exists()
    assert project.snakemake()[0] == {}
    # The outer configuration decides: another lifter is noticed, and detection stays.
    ran, _ = project.snakemake("--config", "pose={lifter: stub_tall}")
    assert named(ran) == {name: 1 for name in ("lift", "skeleton", "place", "merge", "publish")}


def test_the_root_snakefile_is_a_module_too(tmp_path):
    project = outer(tmp_path, '"../posemill/Snakefile"')
    ran, _ = project.snakemake("--dry-run")
    assert named(ran) == CHAIN and ran["report"] == 1


def test_from_a_repository(tmp_path):
    """As with github(...): the rules come from a commit, and what lies beside them is found there."""
    repository = tmp_path / "posemill"
    project = outer(tmp_path, f'gitfile("{repository}", path="workflow/Snakefile", tag="v1")')
    git = ("git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b")
    for step in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "one"), ("tag", "v1")):
        subprocess.run([*git, *step], check=True)
    for name in ("workflow", "containers", "Snakefile"):
        (repository / name).rename(tmp_path / f"gone_{name}")
    project.env["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    ran, _ = project.snakemake()
    assert named(ran) == CHAIN


def test_two_of_them_side_by_side(tmp_path):
    project = outer(tmp_path, '"../posemill/workflow/Snakefile"')
    text = (tmp_path / "workflow" / "Snakefile").read_text()
    second = text[text.index("module") : text.index("rule all")].replace("posemill", "tall")
    second = second.replace("../tall/", "../posemill/").replace(
        'config["pose"]', 'config["pose"] | {"lifter": "stub_tall", "results": "results/tall"}'
    )
    (tmp_path / "workflow" / "Snakefile").write_text(text.replace("rule all", second + "rule all"))
    ran, _ = project.snakemake("--dry-run", "results/pose/S1/poses3d.h5", "results/tall/S1/poses3d.h5")
    assert ran == {f"{module}_{rule}": count for rule, count in CHAIN.items() for module in ("posemill", "tall")}
    _, text = project.snakemake("--dry-run", "--printshellcmds", "results/tall/S1/poses3d.h5")
    assert "stub_tall" in text and "stub_upright" not in text


def test_a_prefix_is_refused_in_one_line(tmp_path):
    project = outer(tmp_path, '"../posemill/workflow/Snakefile"')
    file = tmp_path / "workflow" / "Snakefile"
    file.write_text(file.read_text().replace("    config:\n", '    prefix:\n        "x"\n    config:\n'))
    _, text = project.snakemake("--dry-run", check=False)
    assert "posemill: module: expected no prefix" in text and "say results:" in text
    assert not (tmp_path / "results").exists()


def test_workflow_and_package_are_of_one_version():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'VERSION = "{wanted}"' in (ROOT / "workflow" / "rules" / "version.smk").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == wanted


@pytest.mark.parametrize("checkout", [True, False])
def test_another_version_of_the_package_is_refused_before_anything_is_written(tmp_path, checkout):
    project = new_project(tmp_path / "p")
    if checkout:
        (project.folder / "pyproject.toml").write_text("")
    other = tmp_path / "site" / "posemill-0.0.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: posemill\nVersion: 0.0.9\n")
    project.env["PYTHONPATH"] = f"{other.parent}:{project.env['PYTHONPATH']}"
    _, text = project.snakemake("--dry-run", check=False)
    lines = [line for line in text.splitlines() if line.startswith("posemill: ")]
    assert len(lines) == 1 and "expected the package posemill" in lines[0] and "got 0.0.9" in lines[0]
    assert "-m pip install" in lines[0] and lines[0].endswith(str(project.folder)) == checkout
    assert not (project.folder / "results").exists()


def test_what_the_catalog_asks_for():
    catalog = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(catalog["software-stack-deployment"]) == {"conda", "apptainer", "apptainer+conda"}
    assert (ROOT / "workflow" / "Snakefile").is_file() and (ROOT / "config" / "README.md").is_file()
    # Tools that deploy a workflow copy the folder config: it must be the configuration that there is.
    assert (ROOT / "config" / "config.yaml").read_bytes() == (ROOT / "config.yaml").read_bytes()
