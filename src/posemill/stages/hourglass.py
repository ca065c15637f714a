"""The parts of detect for ``hourglass_torch7`` whose other parts run in another image: weights and crops for Torch7."""

from __future__ import annotations

from pathlib import Path

from posemill import media
from posemill.detectors import hourglass_torch7
from posemill.errors import ClipError, InputError, expected
from posemill.formats.atomic import finished_file
from posemill.formats.crop_files import CropWriter
from posemill.media.ahead import ahead, batched
from posemill.progress import progress
from posemill.provenance import StageRequest

__all__ = ["crop", "write_weights"]


def _options(request: StageRequest) -> hourglass_torch7.Options:
    if request.method != hourglass_torch7.NAME:
        raise InputError(expected("--stage", f"a request for {hourglass_torch7.NAME}", request.method))
    return hourglass_torch7.Options.model_validate(request.options)


def write_weights(output: Path, request: StageRequest) -> None:
    """Write the weights that a request names as a .t7, read as data before Torch7 sees it."""
    hourglass_torch7.write_weights(_options(request), output)


def crop(video: Path, output: Path, request: StageRequest) -> None:
    """Cut people out of a clip's frames for Torch7; ``posemill detect --peaks`` goes on with its answer.

    Parameters
    ----------
    video
        Video file, image, or folder of images.
    output
        Crops, :mod:`posemill.formats.crop_files`.
    request
        That of detect.

    Raises
    ------
    InputError
        No such file.
    MissingError
        No weights, or nothing that finds boxes.

    Notes
    -----
    A clip that cannot be read has no crops; detect says why in its artifact.
    """
    options, sheet = _options(request), request.sheet
    temporal, fps = sheet.get("kind") != "stills", sheet.get("fps")
    name = f"{sheet.get('subject') or 'S1'}/{sheet.get('clip') or 'clip'}"
    with (
        hourglass_torch7.Cutter(options, temporal=temporal) as cutter,
        finished_file(output) as part,
        part.open("wb") as file,
    ):
        writer = CropWriter(
            file, tag=hourglass_torch7.TAG, size=cutter.size, flip=cutter.flip, parabola=cutter.parabola
        )
        try:
            info = media.probe(video)
            frames = media.frames(video, start_s=float(sheet.get("start_s") or 0.0), info=info)
            shown = progress(ahead(frames, 2 * cutter.at_once), info.frame_count_hint, f"crop {name}")
            timed = ((f.rgb, f.index / fps if fps is not None and temporal else f.time_s) for f in shown)
            for some in batched(timed, cutter.at_once):
                tags, pictures = cutter.cut(some)
                if len(tags):
                    writer.write(tags, pictures)
        except ClipError:
            # What was readable before does not matter: detect comes upon the same.
            pass
        writer.end()
