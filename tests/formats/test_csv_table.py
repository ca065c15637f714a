from __future__ import annotations

import numpy as np
import pytest

from posemill.errors import InputError
from posemill.formats.csv_table import read_csv_table, write_csv_table


def test_layout_is_plain_csv(tmp_path):
    joints = np.array([[[1.0, 2.0, -0.5]], [[np.nan] * 3]])
    write_csv_table(
        tmp_path / "a.csv", np.array([0, 0.04]), joints, ("pelvis",), flags={"contact": np.array([True, False])}
    )
    assert (tmp_path / "a.csv").read_text() == (
        "frame_index,time_s,pelvis_x_m,pelvis_y_m,pelvis_z_m,pelvis_valid,contact\n"
        "0,0.000000,1.000000,2.000000,-0.500000,1,1\n"
        "1,0.040000,,,,0,0\n"
    )


def test_round_trip_to_a_micrometre(tmp_path):
    rng = np.random.default_rng(0)
    joints, sigma = rng.normal(size=(7, 2, 3)), rng.uniform(size=(7, 2, 3))
    valid = rng.uniform(size=(7, 2)) > 0.3
    write_csv_table(tmp_path / "a.csv", np.arange(7) / 30, joints, ("a", "b"), sigma=sigma, valid=valid)
    table = read_csv_table(tmp_path / "a.csv")
    for j, name in enumerate("ab"):
        np.testing.assert_array_equal(table[f"{name}_valid"], valid[:, j])
        for i, axis in enumerate("xyz"):
            want = np.where(valid[:, j], joints[:, j, i], np.nan)
            np.testing.assert_allclose(table[f"{name}_{axis}_m"], want, atol=6e-7)
            want = np.where(valid[:, j], sigma[:, j, i], np.nan)
            np.testing.assert_allclose(table[f"{name}_sigma_{axis}_m"], want, atol=6e-7)


def test_shapes_must_fit(tmp_path):
    with pytest.raises(InputError, match=r"joints: expected \(2, 1, 3\), got \(3, 1, 3\)"):
        write_csv_table(tmp_path / "a.csv", np.arange(2.0), np.zeros((3, 1, 3)), ("a",))


@pytest.mark.parametrize(("text", "message"), [("a,b\n1\n", "line 2: expected 2 cells, got 1"), ("a\nx\n", "numbers")])
def test_damaged_tables_are_refused(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_csv_table(tmp_path / "a.csv")
