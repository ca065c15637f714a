"""depth: what a network says of people's joints, and the metres that skeleton takes from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posemill.depth.sampling import best_frames, depth_at
from posemill.errors import ArtifactError, InputError, MissingError
from posemill.formats.artifact import Artifact, Clip, Track, read, write
from posemill.formats.weights import read_weights, write_weights
from posemill.media import frames
from posemill.plan import plan
from posemill.provenance import StageRequest
from posemill.skeleton import TORSO
from posemill.stages import depth, skeleton
from tests.moving_camera import CLIP, DEMO, SEEN, detections, truth
from tests.standing_people import CAMERAS, before, write_subject
from tests.tiny_depth import save_tiny_network

FILM = DEMO.parent / f"{CLIP}.mp4"
CORNERS = SEEN.indices(TORSO)


# ------------------------------------------------------------------------------------------ frames and pixels


def test_the_best_seen_frame_of_each_part_is_asked():
    score = np.full((12, 4), 0.5)
    score[[2, 4, 11]] = 0.9
    score[4, 1] = 0.1  # as good as its worst joint
    score[6:9, 3] = 0.0  # a part in which nobody is whole
    np.testing.assert_array_equal(best_frames([score], 4), [2, 3, 11])
    np.testing.assert_array_equal(best_frames([score[:2]], 12), [0, 1])
    assert not len(best_frames([score * 0], 4)) and not len(best_frames([], 4))


def test_depth_is_a_low_percentile_of_the_pixels_around_a_joint():
    picture = np.full((20, 30), 5.0)
    picture[8:13, 8:11] = 2.0  # 15 of the 25 pixels around column 10, row 10
    picture[0, 0] = np.nan
    joints = np.array([[10.4, 9.6], [20, 10], [0, 0], [30, 10], [10, -0.6], [10, 10]])
    valid = np.array([1, 1, 1, 1, 1, 0], bool)
    np.testing.assert_array_equal(depth_at(picture, joints, valid), [2, 5, 5, np.nan, np.nan, np.nan])


# ------------------------------------------------------------------------------------------ the network


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    pytest.importorskip("transformers", reason="transformers is not installed")
    return save_tiny_network(tmp_path_factory.mktemp("network"))


def asked(folder: Path, model: Path, **options: object) -> Artifact:
    keypoints = next(iter(truth().tracks.values())).arrays["keypoints"].astype(np.float64)
    found = detections(folder / "detect.h5", keypoints)
    depth.run(FILM, found, folder / "depth.h5", plan("depth", options={"model": str(model), **options}))
    return read(folder / "depth.h5", "depth")


def test_the_artifact_has_the_networks_own_numbers(tiny, tmp_path):
    import torch
    from transformers import DepthAnythingForDepthEstimation, DPTImageProcessorPil

    artifact = asked(tmp_path, tiny, frames=3)
    clip = artifact.clips[CLIP]
    keypoints = next(iter(truth().tracks.values())).arrays["keypoints"]
    numbers = np.searchsorted(truth().time, clip.time)
    assert clip.status == "ok" and len(numbers) == 3 and "focal_px" not in clip.arrays
    found = clip.tracks["p1"].arrays
    assert found["valid"][:, CORNERS].all() and found["valid"].sum() == 3 * len(CORNERS)
    processor, network = (
        DPTImageProcessorPil.from_pretrained(tiny),
        DepthAnythingForDepthEstimation.from_pretrained(tiny),
    )
    for row, (number, frame) in enumerate((n, f) for n, f in enumerate(frames(FILM)) if n in numbers):
        with torch.inference_mode():
            small = network(**processor(frame.rgb, return_tensors="pt")).predicted_depth[None]
        size = frame.rgb.shape[:2]
        picture = torch.nn.functional.interpolate(small, size, mode="bicubic", align_corners=False)[0, 0].numpy()
        at = np.rint(keypoints[number, CORNERS]).astype(int)
        patches = [picture[v - 2 : v + 3, u - 2 : u + 3] for u, v in at]
        want = [np.percentile(patch, 40) for patch in patches]
        np.testing.assert_allclose(found["depth"][row, CORNERS], want, rtol=1e-4)
    assert np.std(found["depth"][:, CORNERS]) > 0.01
    made = artifact.provenance
    assert len(made["weights"]) == 64 and made["options"]["frames"] == 3
    assert made["licences"]["depth network depth_anything"]["weights"] == "apache-2.0"
    told = asked(tmp_path, tiny, frames=3, focal_px_per_width=0.5).clips[CLIP]
    np.testing.assert_allclose(told.arrays["focal_px"], 0.5 * clip.image_size[0])


def test_a_clip_that_cannot_be_asked_about_is_no_run_that_failed(tiny, tmp_path):
    request = plan("depth", options={"model": str(tiny)})
    nobody = np.full((len(truth().time), len(SEEN), 2), np.nan)
    nobody[:, SEEN.index("nose")] = 50.0
    found = detections(tmp_path / "detect.h5", nobody)
    depth.run(FILM, found, tmp_path / "depth.h5", request)
    said = read(tmp_path / "depth.h5", "depth").clips[CLIP]
    assert said.status == "failed" and "expected a frame with somebody's left_hip" in said.reason
    keypoints = next(iter(truth().tracks.values())).arrays["keypoints"].astype(np.float64)
    depth.run(FILM, detections(tmp_path / "detect.h5", keypoints, size=(64, 64)), tmp_path / "depth.h5", request)
    assert "picture size: expected 64x64" in read(tmp_path / "depth.h5", "depth").clips[CLIP].reason


def test_models_that_cannot_be_used_are_named_in_one_line(tiny, tmp_path):
    def refused(kind: type[Exception], match: str) -> None:
        with pytest.raises(kind, match=match) as caught:
            depth.run(FILM, tmp_path / "detect.h5", tmp_path / "depth.h5", plan("depth", options={"model": str(model)}))
        assert "\n" not in str(caught.value)

    model = tmp_path / "model"
    refused(MissingError, r"model: depth.model: expected a folder with config.json, got none")
    model.mkdir()
    (model / "config.json").write_text("{")
    refused(InputError, "config.json: expected JSON")
    (model / "config.json").write_text('{"model_type": "dpt"}')
    refused(InputError, "model_type: expected depth_anything or glpn, got dpt")
    (model / "config.json").write_text('{"model_type": "depth_anything", "depth_estimation_type": "relative"}')
    refused(InputError, "depth_estimation_type: expected metric, got relative; its depths have no unit")
    (model / "config.json").write_text((tiny / "config.json").read_text())
    (model / "pytorch_model.bin").write_bytes(b"pickle")
    refused(MissingError, r"weights: expected \*.safetensors, got none; other formats are not opened")
    tensors, card = read_weights(tiny / "model.safetensors")
    lost = sorted(tensors)[3]
    write_weights(model / "model.safetensors", {n: t for n, t in tensors.items() if n != lost}, card)
    refused(MissingError, r"preprocessing: expected preprocessor_config.json, got none")
    (model / "preprocessor_config.json").write_text((tiny / "preprocessor_config.json").read_text())
    keypoints = next(iter(truth().tracks.values())).arrays["keypoints"].astype(np.float64)
    detections(tmp_path / "detect.h5", keypoints)
    refused(InputError, rf"weights: expected all of the network's tensors, got 1 absent .*, first {lost}")
    (model / "model.safetensors").write_bytes(b"\0" * 100)
    refused(InputError, "expected a depth network, got")
    with pytest.raises(MissingError, match=r"depth.model: expected the folder of a metric depth network, got none"):
        plan("depth")


# ------------------------------------------------------------------------------------------ its word on the scale

CLIPS = {"walk": ("walk_and_turn", "front"), "squat": ("squat_and_reach", "high")}
INSIDE_M = 0.10


def write_depths(folder: Path, *, factor: float = 1.0, noise: float = 0.0, focal_factor: float | None = None) -> list:
    """Depth artifacts of the twin: where its torso is, times a factor, 10 cm nearer as surfaces are."""
    rng, files = np.random.default_rng(0), []
    for name, (motion, view) in CLIPS.items():
        camera = CAMERAS[view]
        time, joints = before(camera, motion, "posemill28")
        depth_m = np.full((len(time), len(SEEN)), np.nan)
        depth_m[:, CORNERS] = (
            joints[:, CORNERS, 2] * factor * np.exp(noise * rng.normal(size=(len(time), 1))) - INSIDE_M
        )
        some = slice(5, None, 12)
        arrays = {"depth": depth_m[some], "valid": np.isfinite(depth_m[some])}
        told = {} if focal_factor is None else {"focal_px": np.full(len(time[some]), camera.focal_px * focal_factor)}
        clip = Clip(fps=25.0, image_size=(camera.width, camera.height), time=time[some], arrays=told)
        clip.tracks = {"p1": Track(arrays)}
        files.append(folder / f"{name}.h5")
        write(files[-1], Artifact("depth", "S1", "posemill28", {name: clip}))
    return files


def sized(folder: Path, files: list, **options: float) -> Artifact:
    request = StageRequest("skeleton", options={"lifter_scale_sigma": 0.3, **options})
    skeleton.run(folder / "keypoints2d.h5", folder / "lifted3d.h5", folder / "skeleton.h5", request, files)
    return read(folder / "skeleton.h5", "skeleton")


def words(bones: Artifact, attr: str = "scales") -> dict[str, dict]:
    return {word["source"]: word for word in bones.attrs[attr]}


@pytest.mark.parametrize("lifter_scale", [1.2, 1 / 1.2])
def test_the_truths_depths_mend_a_lifter_whose_bodies_have_the_wrong_size(tmp_path, lifter_scale):
    write_subject(tmp_path, CLIPS, lifter_scale=lifter_scale)
    bones = sized(tmp_path, write_depths(tmp_path), depth_scale_sigma=0.02)
    assert bones.attrs["scale_source"] == "lifter_prior+depth_network"
    assert words(bones)["depth_network"]["factor"] == pytest.approx(lifter_scale, rel=0.01)
    sigma = float(bones.arrays["scale_sigma"])
    assert abs(np.log(float(bones.arrays["scale"]) / lifter_scale)) < sigma < 0.025
    assert set(bones.provenance["inputs"]) == {"keypoints2d", "lifted3d", "depth/walk", "depth/squat"}
    # Two clips are no more certain than one, and the network no more than it is said to be.
    assert words(bones)["depth_network"]["sigma"] == pytest.approx(0.02, rel=0.05)
    unsure = words(sized(tmp_path, write_depths(tmp_path, noise=0.2)))["depth_network"]
    assert 0.15 < unsure["sigma"] < 0.2 and abs(np.log(unsure["factor"] / lifter_scale)) < 2 * unsure["sigma"]


def test_a_depth_that_nobody_can_have_is_doubted_and_said(tmp_path):
    write_subject(tmp_path, CLIPS)
    bones = sized(tmp_path, write_depths(tmp_path, factor=2.5), lifter_scale_sigma=0.06)
    assert bones.attrs["scale_source"] == "lifter_prior" and bones.arrays["scale"] == 1.0
    assert words(bones, "scales_doubted")["depth_network"]["factor"] == pytest.approx(2.5, rel=0.02)


def test_depths_are_scaled_to_the_clips_focal_length_where_the_network_says_its_own(tmp_path):
    write_subject(tmp_path, CLIPS)
    files = write_depths(tmp_path, factor=1.3, focal_factor=1.3)
    # The offset into the body is not scaled by the lens.
    assert words(sized(tmp_path, files))["depth_network"]["factor"] == pytest.approx(1.0, abs=0.01)


def test_a_guessed_focal_length_makes_the_word_unsure_unless_the_network_says_its_own(tmp_path):
    write_subject(tmp_path, CLIPS)
    seen = read(tmp_path / "keypoints2d.h5")
    for clip in seen.clips.values():
        clip.camera = replace(clip.camera, focal_sigma=0.25)
    write(tmp_path / "keypoints2d.h5", seen)
    unsure = words(sized(tmp_path, write_depths(tmp_path)))["depth_network"]["sigma"]
    assert unsure == pytest.approx(np.hypot(0.15, 0.25), rel=0.01)
    own = words(sized(tmp_path, write_depths(tmp_path, focal_factor=1.0)))["depth_network"]["sigma"]
    assert own == pytest.approx(0.15, rel=0.01)


def test_depths_of_other_clips_people_and_frames_are_refused(tmp_path):
    write_subject(tmp_path, CLIPS)
    walk, squat = write_depths(tmp_path)
    with pytest.raises(ArtifactError, match=r"depth of: expected each clip of S1 once: squat, walk, got S1 walk"):
        again = tmp_path / "again.h5"
        again.write_bytes(walk.read_bytes())
        sized(tmp_path, [walk, again])
    other = read(squat)
    other.clips["squat"].time = other.clips["squat"].time + 0.001
    write(squat, other)
    with pytest.raises(ArtifactError, match=r"squat.h5: depth: expected frames of keypoints2d, got other times"):
        sized(tmp_path, [squat])
    write(squat, Artifact("depth", "S1", "posemill28", {"squat": other.clips["squat"].failed("nobody")}))
    assert sized(tmp_path, [squat]).attrs["scale_source"] == "lifter_prior"
    lifted = read(tmp_path / "lifted3d.h5")
    lifted.clips["walk"] = lifted.clips["walk"].failed("no pose")
    write(tmp_path / "lifted3d.h5", lifted)
    assert sized(tmp_path, [walk]).attrs["scale_source"] == "lifter_prior"
