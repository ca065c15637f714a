"""The verdict on quality in a run: beside the results, in the summary, and fatal only where the user says so."""

from __future__ import annotations

import json

BAD = "quality={enforce: %s, gates: {sigma_mm: {warn: 0, fail: 0}}}"


def test_gates_warn_or_end_the_run(project):
    ran, text = project.snakemake("--config", BAD % "false")
    assert (ran["quality"], ran["summary"], ran["check"]) == (1, 1, 1)
    assert "posemill: quality: fail: 2 of 2 clips: S1/a (sigma" in text
    results = project.folder / "results"
    report = json.loads((results / "S1/quality.stub_standing.stub_upright.json").read_text())
    assert {clip["outcome"] for clip in report["clips"].values()} == {"fail"}
    assert (results / "summary.tsv").read_text().count("\tfail\t") == 2
    # To enforce is no new measurement.
    ran, text = project.snakemake("--config", BAD % "true", check=False)
    assert "2 of 2 clips fail the quality gates: S1/a (sigma" in text and ran == {"check": 1}
    # Other gates ask for quality and what reads it, nothing else.
    ran, _ = project.snakemake("--config", "quality={enforce: true, gates: {sigma_mm: {warn: 0, fail: 9000}}}")
    assert ran == {"quality": 1, "summary": 1, "check": 1}
