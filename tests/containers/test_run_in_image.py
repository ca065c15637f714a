"""The user's line with a real Apptainer: the same numbers, nothing leaks in, what is named is there, no surprise."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from posemill.apptainer import arguments, mounts
from posemill.formats import artifact

from .run_support import Clone, alone, clone, once

USERS_LINE = ["--cores", "8", "--use-singularity", "results/S9/poses3d.h5"]
POSES = "results/S9/poses3d.h5"


@pytest.fixture(scope="module")
def in_image(posemill_sif, tmp_path_factory) -> Clone:
    """The demo subject, made by the user's own line in a clean clone; whoever uses it is alone with it."""

    def run(folder: Path) -> None:
        ran, text = clone(folder, posemill_sif).snakemake(*USERS_LINE)
        assert ran == {"detect": 6, "gather": 1, "lift": 1, "skeleton": 1, "place": 1, "merge": 1, "publish": 1}
        assert text.count("Activating singularity image") == 12

    return Clone(once(tmp_path_factory, "in_image", run))


@pytest.fixture
def finished(in_image, tmp_path) -> Clone:
    """A private copy of it, which knows its weights by another path."""
    with alone(in_image.folder):
        return in_image.copy(tmp_path / "posemill")


@pytest.fixture
def far_away() -> Iterator[Path]:
    """A folder that no container sees by itself: neither the working directory nor /tmp."""
    folder = Path(tempfile.mkdtemp(prefix=".posemill-test-", dir=Path.home()))
    yield folder
    shutil.rmtree(folder)


def differences(one: Path, other: Path) -> dict[str, float]:
    """Largest difference of each kind of number between two files; NaN must be in the same places."""
    worst: dict[str, float] = {}
    with h5py.File(one) as a, h5py.File(other) as b:

        def compare(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf":
                x, y = np.asarray(item[()], float), np.asarray(b[name][()], float)
                assert (np.isnan(x) == np.isnan(y)).all(), name
                kind = name.rpartition("/")[2]
                worst[kind] = max(worst.get(kind, 0.0), float(np.nanmax(np.abs(x - y), initial=0.0)))

        a.visititems(compare)
    return worst


def test_the_demo_in_the_image_has_the_numbers_of_a_run_without(in_image, tmp_path):
    """On one machine, with the same libraries, the largest difference is exactly zero (metres, pixels)."""
    outside = clone(tmp_path / "posemill", None)
    ran, _ = outside.snakemake("--cores", "8", POSES)
    assert ran["detect"] == 6
    assert artifact.read(in_image.folder / POSES, "merged3d").joint_set == "posemill21"
    for name in ("poses3d.h5", "lifted3d.mediapipe.posemill.h5", "keypoints2d.mediapipe.h5"):
        worst = differences(in_image.folder / "results/S9" / name, outside.folder / "results/S9" / name)
        assert worst and set(worst.values()) == {0.0}, worst


def test_the_artifact_says_image_device_and_libraries(in_image, posemill_sif):
    with posemill_sif.open("rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    for name in ("detect/mediapipe/wave_cam1.h5", "lifted3d.mediapipe.posemill.h5", "poses3d.h5"):
        made = artifact.read(in_image.folder / "results/S9" / name).provenance
        assert made["image"] == f"sha256:{digest}"
        assert made["device"].startswith(("cpu", "cuda"))
        assert "missing" not in made["libraries"].values()


def test_nothing_is_left_in_the_clone_but_results(in_image, tmp_path):
    """The working directory is $HOME in the container, where libraries like to keep things."""
    fresh = clone(tmp_path / "posemill", None)
    left = {p.name for p in in_image.folder.iterdir()} - {p.name for p in fresh.folder.iterdir()}
    assert left == {".snakemake"}
    assert {p.name for p in (in_image.folder / "results").iterdir()} == {".cache", ".gitkeep", "S9"}


def test_again_and_with_containers_on_or_off_there_is_nothing_to_do(in_image):
    with alone(in_image.folder):
        for line in (USERS_LINE, ["--cores", "8", POSES], ["--cores", "8", "--sdm", "apptainer", "--", POSES]):
            ran, text = in_image.snakemake(*line)
            assert ran == {} and "Nothing to be done" in text


def test_made_without_containers_then_with_them_does_nothing(finished):
    for name in ("results", ".snakemake"):
        shutil.rmtree(finished.folder / name)
    exact = ["--config", "detector=exact", "--"]
    file = "results/S9/keypoints2d.exact.h5"
    ran, _ = finished.snakemake("--cores", "8", *exact, file)
    assert ran == {"detect": 6, "gather": 1}
    ran, text = finished.snakemake("--cores", "8", "--use-singularity", *exact, file)
    assert ran == {} and "Nothing to be done" in text


def test_the_host_s_own_stages_are_never_run(finished):
    """The image has other code than the source that planned the run: it says so, and does not run the host's."""
    stage = finished.folder / "src/posemill/stages/lift.py"
    stage.write_text(f"raise SystemExit('the host ran')\n{stage.read_text()}")
    lifted = finished.folder / "results/S9/lifted3d.mediapipe.posemill.h5"
    before = lifted.read_bytes()
    ran, text = finished.snakemake(*USERS_LINE, check=False)
    assert ran == {"lift": 1}
    assert "stage lift: expected code" in text and "rebuild the image" in text
    assert "the host ran" not in text
    # Snakemake removes what a failed job was to make; what came before it is as it was.
    assert not lifted.exists() or lifted.read_bytes() == before


def test_a_missing_image_ends_the_run_before_any_job_with_the_command_that_builds_it(finished):
    image = next((finished.folder / "containers").glob("posemill_*.sif"))
    image.unlink()
    ran, text = finished.snakemake(*USERS_LINE, check=False)
    assert ran == {}
    assert f"{image}: expected the image of every stage, got nothing; build it: posemill images build posemill" in text
    ran, text = finished.snakemake("--cores", "8", "--use-singularity", "--config", "image=mine", check=False)
    assert ran == {} and "configuration: image: expected one of posemill" in text


def inside(sif: Path, folder: Path, text: str, command: str, **environment: str) -> str:
    """What a command prints in the image, called as Snakemake calls it."""
    line = f"apptainer --silent exec --home '{folder}' {text} {sif} bash -c '{command}'"
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_of_the_user_s_python_leaks_in(posemill_sif, tmp_path):
    """A numpy.py on PYTHONPATH and one among the user's own packages, which without our arguments is imported."""
    poison = tmp_path / "poison"
    own = tmp_path / ".local/lib/python3.11/site-packages"
    for folder in (poison, own):
        folder.mkdir(parents=True)
        (folder / "numpy.py").write_text("raise SystemExit('leaked')\n")
    variables = {"PYTHONPATH": str(poison), "OMP_NUM_THREADS": "3", "SECRET": "a", "HDF5_USE_FILE_LOCKING": "FALSE"}
    told = arguments([], "sha256:ab", Path("caches"))
    line = 'python -c "import numpy, sys; print(numpy.__file__, *sys.path)"; command -v python posemill; env'
    seen = inside(posemill_sif, tmp_path, told, line, **variables)
    assert "leaked" not in seen and str(poison) not in seen and ".local" not in seen and "SECRET" not in seen
    assert {"OMP_NUM_THREADS=3", "HDF5_USE_FILE_LOCKING=FALSE", "POSEMILL_IMAGE_DIGEST=sha256:ab"} < set(seen.split())
    control = inside(posemill_sif, tmp_path, "", 'python -c "import numpy" 2>&1 || true', **variables)
    assert "leaked" in control


def test_the_host_s_home_is_not_there(posemill_sif, tmp_path, far_away):
    seen = inside(posemill_sif, tmp_path, arguments([], "", Path("c")), f"test -e {far_away} && echo there; echo $HOME")
    assert seen.split() == [str(tmp_path)]


def test_names_that_mean_something_to_a_shell_are_bound(posemill_sif, tmp_path, far_away):
    names = ["a,b", "c:d", "it is", 'say "hi"', "$(touch OOPS)", "é;&|", "back\\slash"]
    for name in names:
        (far_away / name).mkdir()
        (far_away / name / "film").write_text(f"{name}\n")
    (tmp_path / "link").symlink_to(far_away / names[0] / "film")
    films = [far_away / name / "film" for name in names[1:]] + [tmp_path / "link"]
    told = arguments(mounts(films, [], tmp_path), "", Path("c"))
    tries = f'for folder in {far_away}/*; do touch "$folder/new" 2>&1; done; true'
    seen = inside(posemill_sif, tmp_path, told, f"cat {far_away}/*/film link; {tries}")
    assert sorted(seen.splitlines()[:8]) == sorted([*names, names[0]])
    assert seen.count("Read-only file system") == len(names)
    assert not list(tmp_path.rglob("OOPS")) and not list(far_away.rglob("OOPS"))


def test_data_weights_and_results_elsewhere(posemill_sif, tmp_path, far_away):
    """All that config and sheet name lies outside the working directory, the film behind two links."""
    made = clone(tmp_path / "posemill", posemill_sif)
    demo = made.folder / "resources/demo"
    for name in ("nas/films", "sheet", "room, north", "weights"):
        (far_away / name).mkdir(parents=True)
    shutil.move(demo / "S9/wave_cam1.mp4", far_away / "nas/films")
    (far_away / "sheet/films").symlink_to("../nas/films")
    (demo / "wave.mp4").symlink_to(far_away / "sheet/films/wave_cam1.mp4")
    shutil.copy(demo / "S9/cam1.json", far_away / "room, north")
    shutil.copy(demo / "S9/truth.h5", far_away / "sheet")
    shutil.copy(made.folder / "src/posemill/models/posemill.safetensors", far_away / "weights/mine.safetensors")
    sheet = far_away / "sheet/clips.tsv"
    sheet.write_text(
        "subject\tclip\tvideo\tcamera\tcalibration\theight_m\ttruth\n"
        f"S9\twave_cam1\t{demo}/wave.mp4\tcam1\t../room, north/cam1.json\t1.75\ttruth.h5\n"
    )
    config = made.folder / "config.yaml"
    text = config.read_text().replace("clips: resources/demo/clips.tsv", f"clips: {sheet}")
    text = text.replace("detector: mediapipe", "detector: exact").replace("videos: videos ", "videos: null ")
    config.write_text(text.replace("posemill: {}", f"posemill: {{weights: {far_away}/weights/mine.safetensors}}"))
    results = far_away / "results"
    poses = results / "S9/poses3d.h5"
    ran, said = made.snakemake("--cores", "8", "--use-singularity", "--config", f"results={results}", "--", str(poses))
    assert ran["detect"] == 1 and said.count("Activating singularity image") == 7
    (clip,) = artifact.read(poses, "merged3d").clips.values()
    assert clip.status == "ok" and clip.attrs["frame"] == "world"
