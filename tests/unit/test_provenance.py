from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from posemill.errors import InputError
from posemill.provenance import ContentKeys, StageRequest, closure, code_hash, record, sha256_file


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in which ``main`` lazily uses ``low`` and does not use ``other``."""
    folder = tmp_path / "pkg_under_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "main.py").write_text(
        '"""Doc."""\n\ndef f(x):\n    """Doc of f."""\n    from pkg_under_test import low\n    return low.g(x)\n'
    )
    (folder / "low.py").write_text("def g(x):\n    return x + 1  # why\n")
    (folder / "other.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [n for n in sys.modules if n.startswith("pkg_under_test")]:
        del sys.modules[name]


def edit(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))
    os.utime(file, ns=(1, file.stat().st_mtime_ns + 1))


def test_code_hash_follows_lazy_imports_and_ignores_words(package):
    before = code_hash("pkg_under_test.main")
    edit(package / "other.py", "1", "2")
    edit(package / "main.py", "Doc of f.", "Another text.")
    edit(package / "low.py", "# why", "# because")
    assert code_hash("pkg_under_test.main") == before
    edit(package / "low.py", "x + 1", "x + 2")
    assert code_hash("pkg_under_test.main") != before


def test_code_hash_follows_relative_imports(package):
    edit(package / "main.py", "from pkg_under_test import low", "from . import low")
    before = code_hash("pkg_under_test.main")
    edit(package / "low.py", "x + 1", "x + 2")
    assert code_hash("pkg_under_test.main") != before


def test_code_hash_of_nothing_is_refused():
    with pytest.raises(InputError, match=r"no source for posemill\.nothing"):
        code_hash("posemill.nothing")


def test_ground_counts_for_the_stages_that_use_it():
    assert {"posemill.camera", "posemill.geometry", "posemill.placement.translation"} <= set(
        closure("posemill.stages.place")
    )
    assert not any(name.startswith("posemill.lifters.") for name in closure("posemill.stages.place"))


def test_request_round_trip_sorted_and_sensitive_to_swapped_values():
    one = StageRequest("lift", "x", {"flip": True, "tta": False})
    two = StageRequest("lift", "x", {"tta": True, "flip": False})
    assert StageRequest.from_json(one.to_json()) == one
    assert one.to_json() != two.to_json() and one.fingerprint != two.fingerprint
    assert StageRequest("lift", "x", {"tta": False, "flip": True}).to_json() == one.to_json()
    with pytest.raises(InputError, match="expected the JSON that the workflow makes"):
        StageRequest.from_json('{"stage": "lift", "foo": 1}')


def test_content_key_sees_an_older_replacement_and_not_a_touch(tmp_path):
    video = tmp_path / "v.mp4"
    video.write_bytes(b"one")
    keys = ContentKeys(tmp_path / "memory" / "content.json")
    first = keys(video)
    keys.save()
    os.utime(video)
    assert ContentKeys(tmp_path / "memory" / "content.json")(video) == first
    other = tmp_path / "other"
    other.write_bytes(b"two")
    os.utime(other, (1, 1))
    other.replace(video)
    assert ContentKeys(tmp_path / "memory" / "content.json")(video) == sha256_file(video) != first


def test_a_damaged_memory_costs_only_time(tmp_path):
    (tmp_path / "content.json").write_text("{")
    video = tmp_path / "v.mp4"
    video.write_bytes(b"one")
    assert ContentKeys(tmp_path / "content.json")(video) == sha256_file(video)


def test_record_names_no_folder(tmp_path):
    file = tmp_path / "a.h5"
    file.write_bytes(b"x")
    request = StageRequest("gather", sheet={"clips": {"c": {"calibration": "/home/somebody/lab/cam.toml"}}})
    made = record(request, {"detections": file})
    assert str(tmp_path) not in repr(made) and "/home" not in repr(made)
    assert made["inputs"] == {"detections": sha256_file(file)}
    assert made["sheet"]["clips"]["c"]["calibration"] == "cam.toml"


def test_looking_for_code_imports_none_of_it():
    """Each parse and each job of a cluster hashes the code; a network's torch would cost it seconds and 250 MB."""
    program = "import sys; from posemill.plan import plan; plan('lift', 'linear'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "False"
