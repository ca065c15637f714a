# Stages in containers: what they see of the machine is decided here, for all rules at once. Each cluster job parses this
# again, and comes to the same.
from functools import cache

from posemill import apptainer, registry


@cache
def stage_image():
    """The configured image; where none is, the one for GPUs if this machine has a GPU and that image, else the usual."""
    if SETTINGS.image:
        return image(SETTINGS.image)
    if in_containers() and apptainer.has_gpu():
        try:
            return image("posemill-cuda")
        except WorkflowError:
            pass
    return image("posemill")


def image_digest(uri):
    """What the provenance says of an image: the digest of its file, or its address where somebody else keeps it."""
    if "://" in uri:
        return uri
    if not Path(uri).is_file():
        # A folder (sandbox), which anybody can change.
        return f"folder {Path(uri).name}"
    digest = CONTENT(Path(uri))
    # Cluster jobs begin before this process ends, and reading an image takes seconds.
    CONTENT.save()
    return f"sha256:{digest}"


def own_weights(kind, name, options):
    """The user's weights for a method; None for those in its package, which the image has itself."""
    try:
        file = weights_file(kind, name, options)
    except PosemillError:
        # A method that is configured and not chosen; the chosen ones were checked.
        return None
    top = registry.load(kind, name).__name__.partition(".")[0]
    package = Path(sys.modules[top].__file__).parent
    return None if file is None or file.is_relative_to(package) else file


def named_files():
    """Every file outside the package that a stage may read."""
    for clip in CLIPS.clips.values():
        yield from clip.files
    yield from map(Path, SETTINGS.skeletons.values())
    yield SETTINGS.depth.model
    for kind in ("detectors", "lifters"):
        for name, options in getattr(SETTINGS, kind).items():
            yield own_weights(kind, name, options)


def hand_over(uri):
    """Add to the arguments of every container what our stages need; what the user says comes after and counts."""
    visible = apptainer.mounts(filter(None, named_files()), [Path(RESULTS)])
    ours = apptainer.arguments(
        visible, image_digest(uri), Path(RESULTS, ".cache", "matplotlib")
    )
    deployment = workflow.deployment_settings
    if ours not in deployment.apptainer_args:
        deployment.apptainer_args = f"{ours} {deployment.apptainer_args}".strip()


if in_containers():
    hand_over(stage_image())
