# Inputs and fingerprints of the rules, as functions of their wildcards.
import shlex
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

from posemill import registry, torch7
from posemill.placement.options import SkeletonOptions
from posemill.plan import plan, weights_file


def skeleton_options():
    """Those of place's options that decide the bones."""
    given = SETTINGS.place.model_dump()
    return {name: given[name] for name in SkeletonOptions.model_fields}


@cache
def base_request(stage, method=""):
    options = {
        "detect": lambda: SETTINGS.detectors.get(method),
        "lift": lambda: SETTINGS.lifters.get(method),
        "depth": SETTINGS.depth.model_dump,
        "gather": SETTINGS.gather.model_dump,
        "skeleton": skeleton_options,
        "place": SETTINGS.place.model_dump,
        "merge": SETTINGS.merge.model_dump,
        "quality": lambda: SETTINGS.quality.model_dump(exclude={"enforce"}),
    }.get(stage, lambda: None)
    return checked(plan, stage, method, options())


def fingerprint(stage, method="", **sheet):
    """The one parameter of a rule: sorted JSON of all that decides its output beside its input files."""
    return replace(base_request(stage, method), sheet=sheet).to_json()


def row(wildcards):
    """The clip of a job."""
    try:
        return CLIPS.clips[wildcards.subject, wildcards.clip]
    except KeyError:
        raise WorkflowError(
            f"posemill: no clip {wildcards.clip!r} of subject {wildcards.subject!r}; subjects: "
            f"{', '.join(CLIPS.subjects) or 'none'}"
        ) from None


def rows(wildcards):
    """All clips of a job's subject."""
    found = CLIPS.of(wildcards.subject)
    if not found:
        raise WorkflowError(
            f"posemill: no subject {wildcards.subject!r}; subjects: {', '.join(CLIPS.subjects) or 'none'}; "
            f"add it to {SETTINGS.clips} or put videos into {SETTINGS.videos}/{wildcards.subject}/"
        )
    return found


def merged_of(subject):
    return f"{RESULTS}/{subject}/merged3d.{METHODS['detector']}.{METHODS['lifter']}.h5"


def detect_fingerprint(wildcards):
    clip = row(wildcards)
    return fingerprint(
        "detect",
        wildcards.detector,
        subject=clip.subject,
        clip=clip.clip,
        kind=clip.kind,
        fps=clip.fps,
        start_s=clip.start_s,
        content=CONTENT(clip.video),
        **torch7.sheet(wildcards.detector, torch7_image()),
    )


@cache
def torch7_image():
    """Digest of the image that Torch7 is in; nothing without containers."""
    wanted = in_containers() and METHODS["detector"] == "hourglass_torch7"
    return image_digest(image("hourglass")) if wanted else ""


def torch7_weights_fingerprint(wildcards):
    """The weights are no clip's."""
    return fingerprint("detect", "hourglass_torch7")


def torch7_clip_fingerprint(wildcards):
    """The fingerprint of detect, for the parts that its work is cut into."""
    clip = row(wildcards)
    return detect_fingerprint(
        SimpleNamespace(
            subject=clip.subject, clip=clip.clip, detector="hourglass_torch7"
        )
    )


def torch7_program():
    """How a job starts Torch7: in the image, or the one of this machine with the Lua of the checkout."""
    if in_containers():
        return f"th {torch7.PROGRAM}"
    return " ".join(shlex.quote(word) for word in checked(torch7.command, None, []))


def video_of(wildcards):
    return str(row(wildcards).video)


def truth_to_detect(wildcards):
    """The truth, for a detector that looks at it; a clip without one fails by itself, with the reason."""
    card = checked(registry.load, "detectors", wildcards.detector).CARD
    truth = CLIPS.truth(wildcards.subject)
    return [str(truth)] if card.needs_truth and truth else []


def detections(wildcards):
    return [
        f"{RESULTS}/{c.subject}/detect/{wildcards.detector}/{c.clip}.h5"
        for c in rows(wildcards)
    ]


def calibrations(wildcards):
    return sorted({str(c.calibration) for c in rows(wildcards) if c.calibration})


def camera_path(clip, detector):
    """The path of a clip's camera that moves: a file of the sheet, or what rule camera finds; None if it stands."""
    if clip.pans:
        return f"{RESULTS}/{clip.subject}/camera/{detector}/{clip.clip}.json"
    return str(clip.camera_path) if clip.camera_path else None


def camera_paths(wildcards):
    found = {camera_path(c, wildcards.detector) for c in rows(wildcards)}
    return sorted(found - {None})


def lens(clip):
    """What the sheet says of a clip's lens."""
    return {
        "camera": clip.camera,
        "calibration": str(clip.calibration) if clip.calibration else None,
        "focal_px": clip.focal_px,
        "fov_deg": clip.fov_deg,
    }


def shown(clip):
    """The video's content, and from where on it is looked at."""
    start = {"start_s": clip.start_s} if clip.start_s else {}
    return {"content": CONTENT(clip.video)} | start


def camera_fingerprint(wildcards):
    clip = row(wildcards)
    return fingerprint("camera", lens=lens(clip), **shown(clip))


def calibration_of(wildcards):
    clip = row(wildcards)
    return [str(clip.calibration)] if clip.calibration else []


def gather_fingerprint(wildcards):
    return fingerprint(
        "gather",
        clips={
            c.clip: lens(c)
            | ({"subject_box": c.subject_box} if c.subject_box else {})
            | (
                {"camera_path": path}
                if (path := camera_path(c, wildcards.detector))
                else {}
            )
            for c in rows(wildcards)
        },
    )


def poses_of_others(wildcards):
    return sorted({str(file) for file in CLIPS.poses3d(wildcards.subject).values()})


def lift_fingerprint(wildcards):
    files = {clip: str(file) for clip, file in CLIPS.poses3d(wildcards.subject).items()}
    given = {"pose3d": files} if files else {}
    return fingerprint("lift", wildcards.lifter, **given)


def lifter_weights(wildcards):
    options = base_request("lift", wildcards.lifter).options
    file = checked(weights_file, "lifters", wildcards.lifter, options)
    return [str(file)] if file else []


def depth_fingerprint(wildcards):
    return fingerprint("depth", **shown(row(wildcards)))


def depths(wildcards):
    """What a depth network says of each clip; nothing where none is configured."""
    if not SETTINGS.depth.model:
        return []
    return [
        f"{RESULTS}/{c.subject}/depth/{wildcards.detector}/{c.clip}.h5"
        for c in rows(wildcards)
    ]


def skeleton_fingerprint(wildcards):
    subject = wildcards.subject
    heights_m = CLIPS.camera_heights_m(subject)
    return fingerprint(
        "skeleton",
        height_m=CLIPS.height_m(subject),
        camera_heights_m=heights_m,
        cameras=CLIPS.cameras(subject) if heights_m else {},
    )


def pinned_skeletons():
    """Subject to the file of its bones that configuration or sheet name; checked before anything is planned."""
    found = {s: CLIPS.skeleton(s) for s in CLIPS.subjects if CLIPS.skeleton(s)}
    for subject, file in SETTINGS.skeletons.items():
        if subject not in CLIPS.subjects:
            raise WorkflowError(
                f"posemill: configuration: skeletons: no subject {subject!r}; subjects: {', '.join(CLIPS.subjects)}"
            )
        found[subject] = Path(file)
    for subject, file in found.items():
        if not file.is_file():
            raise WorkflowError(
                f"posemill: skeleton of {subject}: expected a file, got nothing at {file}"
            )
        if file.resolve().parent == Path(RESULTS, subject).resolve():
            raise WorkflowError(
                f"posemill: skeleton of {subject}: expected a file outside {RESULTS}/{subject}, got {file}, which "
                "changes with the clips; copy it to another place and name the copy"
            )
    return found


PINNED = pinned_skeletons()


def skeleton_of(wildcards):
    """The bones that place works with: a file that is named, or those measured from the clips."""
    measured = f"{RESULTS}/{wildcards.subject}/skeleton.{wildcards.detector}.{wildcards.lifter}.h5"
    return str(PINNED.get(wildcards.subject, measured))


def place_fingerprint(wildcards):
    return fingerprint("place", cameras=CLIPS.cameras(wildcards.subject))


def stage_only(stage):
    return lambda wildcards: fingerprint(stage)


def merged_of_subject(wildcards):
    rows(wildcards)
    return merged_of(wildcards.subject)


def export_fingerprint(wildcards):
    return fingerprint("export", wildcards.format)


def truth_of(wildcards):
    return str(CLIPS.truth(wildcards.subject))


def all_evaluations(wildcards):
    return [
        f"{RESULTS}/{subject}/evaluation.{METHODS['detector']}.{METHODS['lifter']}.json"
        for subject in CLIPS.subjects
        if CLIPS.truth(subject)
    ]


def quality_of(subject):
    return f"{RESULTS}/{subject}/quality.{METHODS['detector']}.{METHODS['lifter']}.json"


def videos_of(wildcards):
    return [str(clip.video) for clip in rows(wildcards)]


def picture_fingerprint(wildcards):
    """The clips in the order of their videos."""
    return fingerprint("picture", clips=[clip.clip for clip in rows(wildcards)])


def all_pictures(wildcards):
    if not SETTINGS.pictures:
        return []
    return [
        f"{RESULTS}/{subject}/pictures/{METHODS['detector']}.{METHODS['lifter']}"
        for subject in CLIPS.subjects
    ]


def training_motion(wildcards):
    """The motion to learn from; without one, a line that says how to name it."""
    if not SETTINGS.training.motion:
        raise WorkflowError(
            f"posemill: models/{wildcards.name}.safetensors: expected motion to train on, got none; "
            "say training.motion in the configuration, or --config 'training={motion: MOTION.h5}'"
        )
    return SETTINGS.training.motion


def training_options(wildcards):
    """The options of one method's training, as the command line takes them."""
    given = SETTINGS.training.options.get(wildcards.name) or {}
    return [
        part
        for name, value in given.items()
        for part in ("--option", f"{name}={json.dumps(value)}")
    ]
