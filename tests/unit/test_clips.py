from __future__ import annotations

import pytest

from posemill.clip_sources import find_clips, read_sheet
from posemill.clips import safe_id
from posemill.errors import InputError


def sheet(folder, text):
    path = folder / "clips.tsv"
    path.write_text(text.replace("|", "\t"))
    return path


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("walk", "walk"),
        ("my clip", "my_clip"),
        ("a;rm -rf x", "a_rm_-rf_x"),
        ('it\'s "q"', "it_s__q_"),
        ("../../etc", "etc"),
        ("..", ""),
        ("$(touch x)", "touch_x_"),
        ("Läufer", "L_ufer"),
    ],
)
def test_safe_id(name, want):
    assert safe_id(name) == want


def test_sheet_reads_numbers_paths_and_unknown_as_none(tmp_path):
    (tmp_path / "v.mp4").touch()
    clips, problems = read_sheet(
        sheet(tmp_path, "subject|clip|video|height_m|fps\n# a comment\nS1|walk|v.mp4|1.75|\n\nS1|b|v.mp4|1,8|50\n")
    )
    assert problems == []
    assert (clips[0].height_m, clips[0].fps, clips[0].calibration, clips[0].kind) == (1.75, None, None, "video")
    assert (clips[1].height_m, clips[1].fps) == (1.8, 50.0)
    assert clips[0].video == tmp_path / "v.mp4"


def test_all_problems_come_in_one_report_with_file_and_line(tmp_path):
    (tmp_path / "v.mp4").touch()
    path = sheet(
        tmp_path,
        "subject|clip|video|height_m|kind\nS1|a|missing.mp4||\n|b|v.mp4||\nS1|..|v.mp4|tall|film\nS1|d|v.mp4||\n",
    )
    clips, problems = read_sheet(path)
    assert [c.clip for c in clips] == ["d"]
    text = "\n".join(problems)
    assert f"{path}:2: video: expected a file, got nothing at" in text
    assert f"{path}:3: subject: expected letters or digits (A-Z a-z 0-9), got 'nothing'" in text
    assert f"{path}:4: clip: expected letters or digits (A-Z a-z 0-9), got '..'" in text
    assert f"{path}:4: height_m: expected a number from 0.3 to 2.6, got 'tall'" in text
    assert f"{path}:4: kind: expected video or stills, got 'film'" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("subject|clip|video|heigth\n", r"unknown \['heigth'\]"),
        ("subject|clip\n", r"missing \['video'\]"),
        ("subject|clip|video|clip\n", "a column twice"),
    ],
)
def test_unusable_sheets(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_sheet(sheet(tmp_path, text))


def test_missing_and_binary_sheets(tmp_path):
    with pytest.raises(InputError, match=r"no\.tsv: expected a clip sheet, got: No such file"):
        read_sheet(tmp_path / "no.tsv")
    (tmp_path / "b.tsv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="expected a tab-separated text file"):
        read_sheet(tmp_path / "b.tsv")


def test_folder_layouts(tmp_path):
    (tmp_path / "S1").mkdir()
    (tmp_path / "S1" / "my walk.MP4").touch()
    (tmp_path / "S1" / "notes.txt").touch()
    (tmp_path / "S1" / "frames").mkdir()
    (tmp_path / "S1" / "frames" / "1.png").touch()
    (tmp_path / "loose.mov").touch()
    found = find_clips(None, tmp_path)
    assert found.problems == []
    assert set(found.clips) == {("S1", "my_walk"), ("S1", "frames"), ("loose", "loose")}
    assert found.clips["S1", "frames"].kind == "stills"


def test_two_clips_of_one_id_are_both_named_and_left_out(tmp_path):
    for name in ("a b.mp4", "a_b.mp4", "c.mp4"):
        (tmp_path / "S1").mkdir(exist_ok=True)
        (tmp_path / "S1" / name).touch()
    found = find_clips(None, tmp_path)
    assert set(found.clips) == {("S1", "c")}
    assert len(found.problems) == 2
    assert "expected each once, got it 2 times" in found.problems[0]


def test_own_subject_replaces_the_demos(tmp_path):
    (tmp_path / "demo.mp4").touch()
    demo = sheet(tmp_path, "subject|clip|video\nS9|a|demo.mp4\nS8|a|demo.mp4\n")
    (tmp_path / "videos" / "S9").mkdir(parents=True)
    (tmp_path / "videos" / "S9" / "mine.mp4").touch()
    found = find_clips(demo, tmp_path / "videos", demo=demo)
    assert set(found.clips) == {("S9", "mine"), ("S8", "a")}


def test_rows_of_one_subject_must_agree_on_its_height(tmp_path):
    (tmp_path / "v.mp4").touch()
    path = sheet(tmp_path, "subject|clip|video|height_m\nS1|a|v.mp4|1.7\nS1|b|v.mp4|1.8\nS2|a|v.mp4|1.8\n")
    found = find_clips(path, None)
    assert found.problems == ["subject S1: height_m: expected one value, got 1.7, 1.8"]
    assert found.height_m("S2") == 1.8


def test_braces_in_a_path_are_refused(tmp_path):
    (tmp_path / "x{y}.mp4").touch()
    found = find_clips(None, tmp_path)
    assert found.clips == {} and "expected a path without braces" in found.problems[0]


def test_clips_of_one_camera_are_those_of_one_calibration_or_of_one_folder_and_name(tmp_path):
    for name in ("a.mp4", "b.mp4", "one.toml", "two.toml"):
        (tmp_path / name).touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.mp4").touch()
    rows = [
        "a|a.mp4|left|one.toml",
        "b|b.mp4|left|one.toml",
        "c|other/a.mp4|left|one.toml",
        "d|a.mp4|right|one.toml",
        "e|a.mp4|left|two.toml",
        "f|a.mp4|phone|",
        "g|b.mp4|phone|",
        "h|other/a.mp4|phone|",
        "i|a.mp4||",
        "j|b.mp4||",
    ]
    text = "subject|clip|video|camera|calibration\n" + "".join(f"S1|{row}\n" for row in rows)
    found = find_clips(sheet(tmp_path, text), None)
    assert found.problems == []
    assert found.cameras("S1") == {"a": "a", "b": "a", "c": "a", "f": "f", "g": "f"}
    assert found.cameras("nobody") == {}


def test_a_cameras_height_is_the_clips_and_a_skeleton_the_subjects(tmp_path):
    for name in ("v.mp4", "bones.h5", "more.h5"):
        (tmp_path / name).touch()
    head = "subject|clip|video|camera_height_m|skeleton\n"
    found = find_clips(sheet(tmp_path, head + "S1|a|v.mp4|1,4|\nS1|b|v.mp4||bones.h5\n"), None)
    assert found.camera_heights_m("S1") == {"a": 1.4} and found.skeleton("S1") == tmp_path / "bones.h5"
    assert found.clips["S1", "b"].files == (tmp_path / "v.mp4", tmp_path / "bones.h5")
    found = find_clips(
        sheet(tmp_path, head + "S1|a|v.mp4|-1|bones.h5\nS1|b|v.mp4||gone.h5\nS1|c|v.mp4||more.h5\n"), None
    )
    assert "camera_height_m: expected a number from 0.05 to 100, got '-1'" in found.problems[0]
    assert "skeleton: expected a file, got nothing at" in found.problems[1]
    found = find_clips(sheet(tmp_path, head + "S1|a|v.mp4||bones.h5\nS1|b|v.mp4||more.h5\n"), None)
    assert "subject S1: skeleton: expected one value" in found.problems[0]


def test_a_camera_that_moves_is_said_in_one_way_and_is_its_clips_own(tmp_path):
    for name in ("v.mp4", "i.png", "path.txt", "rig.toml"):
        (tmp_path / name).touch()
    head = "subject|clip|video|calibration|camera|camera_path|camera_moves\n"
    rows = ["a|v.mp4|rig.toml|left||", "b|v.mp4|rig.toml|left||pan", "c|v.mp4|rig.toml|left|path.txt|"]
    found = find_clips(sheet(tmp_path, head + "".join(f"S1|{row}\n" for row in rows)), None)
    assert found.problems == [] and found.cameras("S1") == {}
    assert [clip.pans for clip in found.of("S1")] == [False, True, False]
    assert found.clips["S1", "c"].files[-1] == tmp_path / "path.txt"
    rows = ["a|v.mp4|||path.txt|pan", "b|i.png||||pan", "c|v.mp4||||dolly", "d|v.mp4|||gone.txt|"]
    found = find_clips(sheet(tmp_path, head + "".join(f"S1|{row}\n" for row in rows)), None)
    said = [
        "camera_moves: expected pan, or a file in camera_path, got both",
        "camera_path, camera_moves: expected a video, got stills",
        "camera_moves: expected no or pan, got 'dolly'",
        "camera_path: expected a file, got nothing at",
    ]
    assert all(what in problem for what, problem in zip(said, found.problems, strict=True))


def test_names_that_files_need_and_two_spellings_of_a_subject_are_told(tmp_path):
    (tmp_path / "v.mp4").touch()
    rows = "anna|box|v.mp4||\nanna|a|v.mp4||\t\nAnna|b|v.mp4||\nanna|c|v.mp4|1,200|\n"
    found = find_clips(sheet(tmp_path, "subject|clip|video|focal_px|fps\n" + rows), None)
    assert list(found.clips) == [("anna", "a")]
    text = "\n".join(found.problems)
    assert "clip box: posemill's files have a part of that name; rename it" in text
    assert "subject Anna: expected one spelling, got anna too" in text
    assert "focal_px: expected a number from 10 to 1e+06, got '1,200'" in text
