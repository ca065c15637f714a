"""``containers/images.yaml``, which names the images, and the lock file beside it, which knows those built here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ValidationError

from posemill import registry
from posemill.errors import InputError
from posemill.formats.atomic import write_text
from posemill.provenance import sha256_file

__all__ = ["Checkout", "Image", "find_checkout"]

_PAGE = Path("containers", "images.yaml")


class Image(BaseModel, extra="forbid", frozen=True):
    """One image of ``images.yaml``.

    Attributes
    ----------
    name
        Its key.
    version
        posemill's version, which is also in the names of file and tag.
    uri
        File beside ``images.yaml``, or an address with a scheme of an image that is made elsewhere.
    recipe
        Folder beside ``images.yaml`` with Dockerfile and apptainer.def.
    flavour
        Which torch: ``cpu`` or ``cuda``; nothing where there is no torch.
    base
        Public image to build on.
    """

    name: str
    version: str
    uri: str
    recipe: str
    flavour: Literal["cpu", "cuda", ""] = ""
    base: str

    @property
    def tag(self) -> str:
        """Name in a Docker engine."""
        prefix = "" if self.name.startswith("posemill") else "posemill-"
        return f"{prefix}{self.name}:{self.version}"

    @property
    def base_reference(self) -> str:
        """The base as a Dockerfile names it, without a scheme."""
        return self.base.removeprefix("docker://")


@dataclass(frozen=True)
class Checkout:
    """A checkout of posemill: the folder that the images are built from and in."""

    root: Path

    @property
    def containers(self) -> Path:
        """Folder of ``images.yaml``, the recipes and the built files."""
        return self.root / "containers"

    @property
    def cache(self) -> Path:
        """Wheels and base systems, kept between builds."""
        return self.root / ".cache" / "images"

    def images(self) -> dict[str, Image]:
        """All images by name.

        Raises
        ------
        InputError
            The page is not as expected; one line.
        """
        page = self.root / _PAGE
        try:
            entries = yaml.safe_load(page.read_text())
            return {name: Image(name=name, **entry) for name, entry in entries.items()}
        except ValidationError as error:
            raise InputError(f"{page}: {registry.one_line(error)}; keys: {', '.join(Image.model_fields)}") from None
        except (yaml.YAMLError, AttributeError, TypeError) as error:
            text = " ".join(str(error).split())
            raise InputError(f"{page}: expected names with version, uri, recipe and base, got: {text}") from None

    def image(self, name: str) -> Image:
        """One image by name; raises InputError with the names that exist."""
        images = self.images()
        if name not in images:
            raise InputError(f"{self.root / _PAGE}: no image {name!r}; known: {', '.join(images)}")
        return images[name]

    def file(self, image: Image) -> Path:
        """Where the image's file is; raises InputError where images.yaml names an address instead."""
        if "://" in image.uri:
            raise InputError(
                f"image {image.name}: {self.root / _PAGE} names {image.uri}, which is made elsewhere; "
                "to build it here, give a file name as uri"
            )
        return self.containers / image.uri

    def recipe(self, image: Image) -> str:
        """SHA-256 of what an image is made by, beside posemill's code: its recipe and the pins."""
        parts = [sha256_file(self.containers / image.recipe), sha256_file(self.root / "constraints.txt")]
        return hashlib.sha256(json.dumps([*parts, image.flavour, image.base]).encode()).hexdigest()

    def locked(self) -> dict[str, dict[str, Any]]:
        """What the lock file says of the images built here: digest, size, base and code by name."""
        try:
            return json.loads(self._lock.read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise InputError(f"{self._lock}: expected JSON, got something else; remove it and build again") from None

    def lock(self, name: str, entry: dict[str, Any]) -> None:
        """Put one image into the lock file."""
        write_text(self._lock, json.dumps({**self.locked(), name: entry}, indent=2, sort_keys=True) + "\n")

    @property
    def _lock(self) -> Path:
        return self.containers / "images.lock.json"


def find_checkout(start: Path | None = None) -> Checkout:
    """Find the checkout: the working directory or one above it, else the one that this package was installed from.

    Raises
    ------
    InputError
        There is none: a wheel alone has no recipes.
    """
    here = (start or Path.cwd()).resolve()
    package = Path(__file__).resolve().parents[3]
    for folder in (here, *here.parents, package):
        if (folder / _PAGE).is_file() and (folder / "pyproject.toml").is_file():
            return Checkout(folder)
    raise InputError(f"{here}: expected a checkout of posemill ({_PAGE}), got none; go to one and try again")
