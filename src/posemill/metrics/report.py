"""From the errors of clips to figures, each with its record, and to the table that people read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from posemill.errors import InputError, expected
from posemill.formats.records import RecordBook
from posemill.metrics.figures import FIGURES, JOINT_FIGURES, MEAN
from posemill.metrics.pairing import ClipErrors
from posemill.metrics.protocols import Protocol, assert_frames, split_joints
from posemill.metrics.reduce import per_action
from posemill.skeleton import joint_set

__all__ = ["add_actions", "add_figures", "assert_protocol", "in_protocol", "joint_names"]

_NOTHING = "nothing to compare"
_SEQUENCE = re.compile(r"(?P<action>[A-Za-z]+)(?:[ _](?P<take>\d))?(?:[._](?P<camera>\d{8}))?")
_ALIGNED = {"mpjpe": "pose", "p_mpjpe": "aligned", "n_mpjpe": "scaled"}


def joint_names(chosen: Protocol) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the joints that count, and of those that stand apart."""
    names = joint_set(chosen.joint_set).joints
    counted, apart = split_joints(chosen, same_definition=chosen.dataset == "Human3.6M")
    return tuple(names[i] for i in counted), tuple(names[i] for i in apart)


# ---------------------------------------------------------------------------------------------- what a protocol asks


def in_protocol(chosen: Protocol, subject: str, clip: str) -> bool:
    """Whether a protocol evaluates this clip; ids of dataset clips are ``Action``, ``_take`` and ``.camera``."""
    parts = _SEQUENCE.fullmatch(clip)
    action, take, camera = parts.groups() if parts else (clip, None, None)
    if chosen.cameras and camera is not None and camera not in chosen.cameras:
        return False
    sequences = {action, f"{action} {take}"}
    return not any(s == subject and q in sequences and c in ("", camera) for s, q, c in chosen.exclusions)


def _action(clip: str) -> str:
    parts = _SEQUENCE.fullmatch(clip)
    return parts["action"] if parts else clip


def assert_protocol(chosen: Protocol, results: Sequence[ClipErrors], rates: Mapping[str, float]) -> None:
    """Raise InputError unless subjects, rates, actions and the number of frames are the protocol's.

    Parameters
    ----------
    rates
        Frames per second of each true clip.
    """
    for r in results:
        lengths = {name: len(r.values[name]) for name in ("all", "pose", "aligned") if name in r.values}
        if any(length != r.frames for length in lengths.values()):
            raise InputError(expected(f"clip {r.clip}: evaluated frames", r.frames, lengths))
    subjects = tuple(sorted({r.subject for r in results}))
    if chosen.subjects and set(subjects) != set(chosen.subjects):
        want, got = ", ".join(chosen.subjects), ", ".join(subjects) or "none"
        do = "add the others with --also, or name another protocol"
        raise InputError(expected(f"{chosen.name}: subjects", want, got, do=do))
    for clip, rate in rates.items():
        if chosen.rate_hz is not None and not abs(rate - chosen.rate_hz) < 0.01 * chosen.rate_hz:
            raise InputError(expected(f"{chosen.name}: rate of {clip}", f"{chosen.rate_hz:g} Hz", f"{rate:g} Hz"))
    counted: dict[str, int] = {}
    for r in results:
        name = _action(r.clip) if chosen.actions else r.clip
        counted[name] = counted.get(name, 0) + r.frames
    if counted or chosen.frames is not None:
        assert_frames(chosen, counted)


# ---------------------------------------------------------------------------------------------- figures


def add_figures(
    book: RecordBook, chosen: Protocol, results: Sequence[ClipErrors], part: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Put every figure of some clips, frames pooled, into the book.

    Parameters
    ----------
    part
        What the records call these clips.

    Returns
    -------
    figures, left_out
        Group to key to the value of the record (None: nothing to compare), and figure to the reason why it is none.
    """
    joints, apart = joint_names(chosen)
    figures: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for figure in FIGURES:
        used = [r for r in results if all(name in r.values for name in figure.needs)]
        if len(used) < len(results):
            name = f"{figure.metric} ({figure.counted})" if figure.group in ("visible", "all") else figure.metric
            reasons = [r.left_out[n] for r in results for n in figure.needs if n in r.left_out]
            left_out[name] = "; ".join(dict.fromkeys(reasons))
        if not used:
            continue
        names = {"protocol": joints, "root": (chosen.root,)}.get(figure.joints[0], figure.joints)
        # A sigma is of joints as they stand, or of poses relative to the root.
        relative = figure.group == "sigma" and used[0].facts.get("sigma_frame") == "relative"
        value = _add(
            book,
            figure.metric,
            figure.make(lambda name, used=used: _pool(used, name)),
            used,
            unit=figure.unit,
            joints=names,
            alignment="root" if relative else figure.alignment,
            averaging=figure.averaging,
            counted=figure.counted,
            part=part,
        )
        figures.setdefault(figure.group, {})[figure.key] = value
    figures["by_joint"] = {name: _one_joint(book, results, j, name, part) for j, name in enumerate(joints)}
    used = [r for r in results if "apart" in r.values]
    figures["apart"] = {}
    for j, name in enumerate(apart if used else ()):
        errors = _pool(used, "apart")[:, j]
        value = 1000 * float(np.nanmean(errors)) if np.isfinite(errors).any() else float("nan")
        figures["apart"][name] = {
            "mpjpe_mm": _add(
                book,
                "mpjpe",
                value,
                used,
                unit="mm",
                joints=(name,),
                alignment="root",
                averaging=MEAN,
                counted="defined otherwise by the truth",
                part=part,
            )
        }
    figures["frames_evaluated"] = sum(r.frames for r in results)
    figures["frames_truth"] = sum(r.frames_truth for r in results)
    return figures, left_out


def _one_joint(book: RecordBook, results: Sequence[ClipErrors], joint: int, name: str, part: str) -> dict[str, Any]:
    out = {}
    for key, metric, unit, alignment, averaging, needs, make in JOINT_FIGURES:
        used = [r for r in results if needs in r.values]
        if not used:
            continue
        counted = "visible" if all("visible" in r.values for r in used) else "all"
        value = make(lambda n, used=used: _pool(used, n), joint, counted)
        out[key] = _add(
            book,
            metric,
            value,
            used,
            unit=unit,
            joints=(name,),
            alignment=alignment,
            averaging=averaging,
            counted=counted,
            part=part,
        )
    return out


def _pool(results: Sequence[ClipErrors], name: str) -> np.ndarray:
    return np.concatenate([np.atleast_1d(r.values[name]) for r in results])


def _add(book: RecordBook, metric: str, value: float, used: Sequence[ClipErrors], **fields: Any) -> float | None:
    known = bool(np.isfinite(value))
    record = book.add(
        metric,
        round(float(value), 3) if known else None,
        unknown="" if known else _NOTHING,
        frames=sum(r.frames for r in used),
        **fields,
    )
    return record.value


def add_actions(book: RecordBook, chosen: Protocol, results: Sequence[ClipErrors]) -> dict[str, Any]:
    """Put the protocol's metrics per action, and their unweighted mean over actions, into the book."""
    out: dict[str, Any] = {}
    if chosen.averaging != "per_action" or not results:
        return out
    joints = joint_names(chosen)[0]
    for metric in chosen.metrics:
        used = [r for r in results if _ALIGNED[metric] in r.values]
        if not used:
            continue
        by_action: dict[str, list[ClipErrors]] = {}
        for r in used:
            by_action.setdefault(_action(r.clip), []).append(r)
        mean = per_action({action: _pool(some, _ALIGNED[metric]) for action, some in by_action.items()})
        fields = {"unit": "mm", "joints": joints, "alignment": chosen.alignment}
        for action, some in by_action.items():
            value = 1000 * mean.actions[action].value
            _add(book, metric, value, some, part=f"action {action}", averaging=MEAN, **fields)
        averaging = "frames and joints of each action, actions weigh alike"
        value = _add(book, metric, 1000 * mean.value, used, part="mean over actions", averaging=averaging, **fields)
        out[f"{metric}_mm"] = value
    return out
