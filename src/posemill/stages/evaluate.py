"""Compare poses with the truth: a table, and JSON with a record for every number.

Clips are joined by id and frames by time: each truth frame goes with the predicted frame nearest in time, within half
a frame. What is compared, aligned and averaged is the protocol's; by default errors are over the twelve limb joints,
which every detector and truth defines alike, where the truth says that they are visible, and the same over all twelve,
seen or hidden, beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from posemill.errors import ArtifactError, InputError, expected
from posemill.formats.atomic import write_text
from posemill.formats.lineage import Inputs, common_fields, method_of, read_inputs
from posemill.formats.poses import Poses
from posemill.formats.records import RecordBook, from_document, read_document, to_document, write_records
from posemill.formats.rerun import differences, find_input
from posemill.metrics.compare import compare
from posemill.metrics.pairing import ClipErrors, check_names, match_frames
from posemill.metrics.protocols import Protocol, protocol
from posemill.metrics.report import add_actions, add_figures, assert_protocol, in_protocol, joint_names
from posemill.metrics.report_text import report_text
from posemill.provenance import StageRequest

__all__ = ["DEFAULT_PROTOCOL", "match_frames", "rerun", "run"]

DEFAULT_PROTOCOL = "posemill-12"
_MATCHING = "truth and predicted frames nearest in time, within half a frame, each used once"


def run(
    prediction: Path,
    truth: Path,
    output: Path,
    request: StageRequest,
    keypoints2d: Path | None = None,
    *,
    protocol_name: str = DEFAULT_PROTOCOL,
    accept: Sequence[str] = (),
    also: Sequence[tuple[Path, Path]] = (),
) -> dict[str, Any]:
    """Write ``output`` (JSON) and the same as tables beside it (``.txt``), and print the tables.

    Parameters
    ----------
    prediction
        merged3d or lifted3d artifact, or anything else that :func:`posemill.formats.truth.read_truth` reads.
    truth
        truth3d artifact, or as above.
    keypoints2d
        Adds the error of the 2D keypoints.
    protocol_name
        Of ``posemill.metrics.protocols``.
    accept
        Plausibility checks whose suspicion is written down and not an error.
    also
        Predictions and truths of further subjects, for protocols over several.

    Raises
    ------
    InputError
        No clip or no frame is common to both; a check finds a mistake in units, order, sides or time; the subjects,
        rates or numbers of frames are not the protocol's.
    """
    if Path(output).suffix != ".json":
        raise InputError(expected("output", "a name that ends in .json (the table goes beside it as .txt)", output))
    book, extra, text = _evaluate([(prediction, truth), *also], keypoints2d, protocol_name, tuple(accept), request)
    write_records(output, book, extra)
    write_text(Path(output).with_suffix(".txt"), text)
    print(text, end="")
    return to_document(book, extra)


def _evaluate(
    files: Sequence[tuple[Path, Path]],
    keypoints2d: Path | None,
    protocol_name: str,
    accept: tuple[str, ...],
    request: StageRequest,
) -> tuple[RecordBook, dict[str, Any], str]:
    check_names(accept)
    chosen = protocol(protocol_name)
    pairs = [read_inputs(*paths, keypoints2d if i == 0 else None) for i, paths in enumerate(files)]
    results: list[ClipErrors] = []
    failed: dict[str, str] = {}
    foreign: list[str] = []
    missing: list[str] = []
    rates: dict[str, float] = {}
    for pair in pairs:
        shared = _shared(pair, chosen)
        label = {clip: f"{pair.subject}/{clip}" if len(pairs) > 1 else clip for clip in pair.prediction.clips}
        failed |= {label[c]: pair.prediction.clips[c].failed for c in shared if pair.prediction.clips[c].failed}
        foreign += [label[c] for c in sorted(pair.prediction.clips) if c not in shared]
        missing += sorted(set(pair.truth.clips) - set(pair.prediction.clips))
        for clip in shared:
            if not pair.prediction.clips[clip].failed:
                results.append(_compare(pair, clip, chosen, accept))
                rates[label[clip]] = pair.truth.clips[clip].rate
    assert_protocol(chosen, results, rates)
    _assert_flip(chosen, pairs)
    book = RecordBook(**common_fields(pairs, _split(results), chosen.name, accept, request.code))
    many = len(pairs) > 1
    parts = {f"{r.subject}/{r.clip}" if many else r.clip: [r] for r in results}
    totals = {f"all [{f}]": [r for r in results if r.frame == f] for f in sorted({r.frame for r in results})}
    clips, pooled, left_out = {}, {}, {}
    for part, some in parts.items():
        clips[part] = add_figures(book, chosen, some, part)[0] | some[0].facts | {"frame": some[0].frame}
    for part, some in totals.items():
        pooled[some[0].frame], left_out[some[0].frame] = add_figures(book, chosen, some, part)
    extra = {
        "subject": ", ".join(dict.fromkeys(pair.subject for pair in pairs)),
        "posemill": version("posemill"),
        "fingerprint": request.fingerprint,
        "protocol": _protocol(chosen, results),
        "inputs": [pair.files() for pair in pairs],
        "provenance": {role: getattr(pairs[0], role).provenance for role in ("prediction", "truth")}
        | {"keypoints2d": pairs[0].keypoints.provenance if pairs[0].keypoints else {}},
        "accepted": {
            name: {p: some[0].suspicions.get(name, "not suspected") for p, some in parts.items()} for name in accept
        },
        "clips": clips,
        "pooled": pooled,
        "actions": add_actions(book, chosen, results),
        "left_out": left_out,
        "failed": failed,
        "not_in_truth": foreign,
        "not_predicted": missing,
    }
    return book, extra, report_text(book, chosen, extra, parts, totals)


def _assert_flip(chosen: Protocol, pairs: Sequence[Inputs]) -> None:
    """Averaging over the mirrored input must be the protocol's, where both are known."""
    for pair in pairs:
        flip = method_of(pair.prediction)["options"]["lift"].get("flip")
        if chosen.flip is not None and flip is not None and flip != chosen.flip:
            raise InputError(expected(f"{chosen.name}: option flip of the lifter", chosen.flip, flip))


def _shared(pair: Inputs, chosen: Protocol) -> list[str]:
    """Clips that both have and the protocol evaluates."""
    pred, true = pair.prediction.clips, pair.truth.clips
    shared = [clip for clip in sorted(pred) if clip in true and not true[clip].failed]
    if not shared:
        shown = sorted(true)[:8]
        raise InputError(expected("clips that the truth knows", shown, sorted(pred), where=pair.prediction.path))
    return [clip for clip in shared if in_protocol(chosen, pair.subject, clip)]


def _compare(pair: Inputs, clip_id: str, chosen: Protocol, accept: tuple[str, ...]) -> ClipErrors:
    where = f"{pair.prediction.path}: clip {clip_id}"
    keypoints, height_m = None, None
    if pair.keypoints is not None:
        clip = pair.keypoints.clips.get(clip_id)
        if clip is None or clip.status != "ok" or len(clip.tracks) != 1:
            raise ArtifactError(
                f"keypoints2d: clip {clip_id}: expected one person, as in the merged file, got another run's"
            )
        found = next(iter(clip.tracks.values())).arrays
        points = np.where(found["valid"][..., None], found["keypoints"], np.nan)
        if clip.motion is not None and clip.camera is not None:
            # Truths are in pixels of the video.
            points = clip.motion.to_video(points, clip.camera)
        keypoints = (clip.time, points, pair.keypoints.joint_set)
        height_m = _height_m(pair.truth)
    own = pair.prediction.clips[clip_id]
    if keypoints is None and own.keypoints is not None and not own.joints:
        keypoints = (own.time, own.keypoints, pair.prediction.joint_set)
        height_m = _height_m(pair.truth)
    try:
        return compare(
            own,
            pair.truth.clips[clip_id],
            chosen,
            names=(pair.subject, clip_id),
            joint_sets=(pair.prediction.joint_set, pair.truth.joint_set),
            keypoints=keypoints,
            height_m=height_m,
            accept=accept,
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _height_m(truth: Poses) -> float | None:
    """Stature of a person whose projection is known; None of a truth without images."""
    if truth.kind != "truth3d":
        return None
    try:
        height = float(truth.attrs["height_m"])
    except (KeyError, TypeError, ValueError):
        height = float("nan")
    if not 0.3 < height < 3.0:
        raise InputError(expected("attribute height_m", "the person's height in metres", truth.attrs, where=truth.path))
    return height


# ---------------------------------------------------------------------------------------------- records


def _split(results: Sequence[ClipErrors]) -> str:
    subjects = sorted({r.subject for r in results})
    return "; ".join(f"{s}: {', '.join(r.clip for r in results if r.subject == s)}" for s in subjects) or "no clip"


def _protocol(chosen: Protocol, results: Sequence[ClipErrors]) -> dict[str, Any]:
    joints, apart = joint_names(chosen)
    return {
        "name": chosen.name,
        "joints": list(joints),
        "apart": list(apart),
        "root": chosen.root,
        "alignment": chosen.alignment,
        "averaging": chosen.averaging,
        "note": chosen.note,
        "frames": _MATCHING,
        "visible": "joints that the truth says are visible",
        "all": "all joints of the protocol that the truth knows, visible or not",
        "keypoints2d_percent": "median distance in the image / person height in px, focal_px * height_m / depth",
        "root_mm": "in the frame named; depth: along the ray of the true root, lateral: across it",
        "coverage_percent": "joints with a prediction, of the truth's in matched frames",
        "person": sorted({r.person for r in results}),
    }


# ---------------------------------------------------------------------------------------------- again


def rerun(record: Path, request: StageRequest, folder: Path | None = None) -> None:
    """Repeat the evaluation of a record file and compare every number.

    Parameters
    ----------
    record
        JSON that :func:`run` wrote.
    folder
        Where the inputs are sought, with all folders in it; default: that of ``record``.

    Raises
    ------
    InputError
        An input is not there (with this content), or a number is another one now.
    """
    document = read_document(record)
    if "inputs" not in document or "protocol" not in document:
        raise InputError(expected("record", "one of posemill evaluate", "another command's", where=record))
    before = from_document(document, record)
    base = Path(folder) if folder is not None else Path(record).parent
    pairs = [{role: find_input(base, **file) for role, file in pair.items()} for pair in document["inputs"]]
    files = [(pair["prediction"], pair["truth"]) for pair in pairs]
    name, accept = document["protocol"]["name"], tuple(document["accepted"])
    after = _evaluate(files, pairs[0].get("keypoints2d"), name, accept, request)[0]
    codes = {r.code for r in before}
    if codes != {request.code}:
        print(f"code: the record is of {', '.join(sorted(codes))}, here is {request.code}")
    different = differences(before, after)
    for line in different:
        print(line)
    if different:
        raise InputError(f"{record}: expected the {len(before)} numbers of the record, got {len(different)} others")
    print(f"{record}: all {len(before)} numbers are equal")
