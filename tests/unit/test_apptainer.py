"""What a container is shown: folders found by following links, and arguments that the job's shell completes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from posemill import apptainer
from posemill.apptainer import Mount, arguments, mounts


@pytest.fixture
def place(tmp_path):
    """A working directory beside a disk with films."""
    for name in ("project/videos", "disk/anna", "disk/ben", "other"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("disk/anna/walk.mp4", "disk/ben/run.mp4", "other/jump.mp4", "project/videos/here.mp4"):
        (tmp_path / name).touch()
    return tmp_path


def found(place: Path, *inputs: str, results: str = "results", cwd: str = "project") -> list[tuple[str, bool]]:
    made = place / cwd / results
    if not made.is_symlink():
        made.mkdir(parents=True, exist_ok=True)
    mounted = mounts([Path(p) for p in inputs], [Path(results)], place / cwd)
    return [(os.path.relpath(m.path, place), m.writable) for m in mounted]


def test_what_lies_in_the_working_directory_needs_nothing(place):
    assert found(place, "videos/here.mp4", str(place / "project/videos")) == []


def test_folder_of_a_file_elsewhere_is_bound_once_and_read_only(place):
    (place / "disk/anna/run.mp4").touch()
    films = [f"{place}/disk/anna/walk.mp4", f"{place}/disk/anna/run.mp4", "../disk/ben/run.mp4"]
    assert found(place, *films) == [("disk/anna", False), ("disk/ben", False)]


def test_file_that_is_not_there_is_left_to_the_stage(place):
    assert found(place, f"{place}/nowhere/walk.mp4") == []


def test_a_folder_inside_another_is_not_bound_twice(place):
    (place / "disk/film.mp4").touch()
    assert found(place, f"{place}/disk/anna/walk.mp4", f"{place}/disk/film.mp4") == [("disk", False)]


def test_link_to_a_file(place):
    (place / "project/videos/walk.mp4").symlink_to(place / "disk/anna/walk.mp4")
    assert found(place, "videos/walk.mp4") == [("disk/anna", False)]


def test_links_in_the_middle_and_from_link_to_link(place):
    (place / "other/anna").symlink_to("../disk/anna")
    (place / "project/videos/anna").symlink_to(place / "other/anna")
    assert found(place, "videos/anna/walk.mp4") == [("disk/anna", False), ("other/anna", False)]


def test_relative_link_in_a_folder_that_is_reached_by_a_link(place):
    """In the container /home may be a real folder; ``..`` is then another place than outside."""
    (place / "home").symlink_to("disk")
    (place / "disk/anna/run.mp4").symlink_to("../ben/run.mp4")
    assert found(place, f"{place}/home/anna/run.mp4") == [
        ("disk/anna", False), ("disk/ben", False), ("home/anna", False), ("home/ben", False),
    ]  # fmt: skip


def test_folder_of_stills_with_linked_pictures(place):
    (place / "project/videos/stills").mkdir()
    (place / "project/videos/stills/1.png").symlink_to(place / "other/jump.mp4")
    assert found(place, "videos/stills") == [("other", False)]


def test_circle_of_links_ends(place):
    (place / "project/a").symlink_to("b")
    (place / "project/b").symlink_to("a")
    (place / "disk/anna/again").symlink_to(".")
    assert found(place, "a", f"{place}/disk/anna") == [("disk/anna", False)]


def test_results_elsewhere_can_be_written_and_win(place):
    films = [f"{place}/disk/anna/walk.mp4", f"{place}/disk/ben/run.mp4"]
    assert found(place, *films, results=f"{place}/disk/anna") == [("disk/anna", True), ("disk/ben", False)]


def test_results_that_are_a_link(place):
    (place / "project/results").symlink_to(place / "other")
    assert found(place) == [("other", True)]


def test_data_above_the_working_directory_leave_it_writable(place):
    (place / "walk.mp4").touch()
    assert found(place, "../walk.mp4") == [(".", False), ("project", True)]


def test_the_image_keeps_its_own_folders(tmp_path):
    assert mounts([Path("/etc/passwd")], [], tmp_path) == [Mount(Path("/etc/passwd"))]


def test_many_folders_become_their_parents(place):
    films = []
    for i in range(150):
        film = place / f"disk/s{i}/raw/film.mp4"
        film.parent.mkdir(parents=True)
        film.touch()
        films.append(str(film))
    assert found(place, *films) == [("disk", False)]


def words(text: str, **environment: str) -> list[str]:
    """Arguments as the job's shell makes them."""
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {text}"], env={"PATH": os.environ["PATH"], **environment}, capture_output=True
    )
    assert not done.stderr
    return done.stdout.decode().split("\0")[:-1]


def test_arguments_take_threads_and_gpus_from_the_job(monkeypatch):
    monkeypatch.setattr(apptainer, "_DRIVER", "/nowhere")
    text = arguments([], "sha256:ab", Path("results/.cache"))
    given = words(text, OMP_NUM_THREADS="3", CUDA_VISIBLE_DEVICES="0,1", PYTHONPATH="/poison")
    assert given[:2] == ["--cleanenv", "--no-eval"]
    assert {"OMP_NUM_THREADS=3", "CUDA_VISIBLE_DEVICES=0,1", "POSEMILL_IMAGE_DIGEST=sha256:ab"} < set(given)
    assert not any("PYTHONPATH" in word or "HDF5" in word for word in given)
    # Empty means that the job shall use no GPU.
    assert "CUDA_VISIBLE_DEVICES=" in words(text, CUDA_VISIBLE_DEVICES="")
    assert "HDF5_USE_FILE_LOCKING=FALSE" in words(text, HDF5_USE_FILE_LOCKING="FALSE")
    assert "--nv" not in given


def test_gpu_is_passed_in_where_its_driver_is(monkeypatch, tmp_path):
    monkeypatch.setattr(apptainer, "_DRIVER", str(tmp_path))
    assert words(arguments([], "", Path("c")))[-1] == "--nv"


@pytest.mark.parametrize("name", ["a,b", "c:d", "it's", 'say "hi"', "$(touch OOPS)", "back\\slash", "two words"])
def test_names_of_folders_stay_one_word(name):
    given = words(Mount(Path("/data", name)).argument())
    quoted = name.replace('"', '""')
    assert given == ["--mount", f'type=bind,"source=/data/{quoted}","destination=/data/{quoted}",ro']
