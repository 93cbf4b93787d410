"""Where galleries are kept; needs no torch."""

import hashlib
import os
from pathlib import Path

from mmx.core.home import Home
from mmx.core.paths import expanded

GALLERY = "gallery.safetensors"


def photo_folder(said: Path | str) -> Path:
    """The folder of photos that somebody named, whichever way: relative, with `..`, or by a link to it."""
    return Path(os.path.realpath(expanded(said)))


def index_folder(home: Home, folder: Path | str, fingerprint: str) -> Path:
    """Where the gallery of a folder is kept: one place for each matcher."""
    name = f"{folder}\n{fingerprint}".encode("utf-8", "surrogateescape")
    return home.indexes / hashlib.sha256(name).hexdigest()[:24]


def own_galleries(run: Path) -> Path:
    """Where the galleries of the corpus are kept that a run was trained on, a file a split."""
    return run / "gallery"


def dataset_folder(home: Home, name: str, fingerprint: str) -> Path:
    """Where those of another corpus are kept."""
    return index_folder(home, f"dataset {name}", fingerprint)
