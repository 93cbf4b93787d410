"""Where the indexes of a folder are: one for each matcher that it was encoded with."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.store.atomic import disk_errors
from mmx.store.gallery_header import read_header
from mmx.store.tensors import TensorFile
from mmx.workflows.gallery_place import GALLERY, index_folder, photo_folder
from mmx.workflows.search_settings import shown


@dataclass(frozen=True)
class IndexPlace:
    """One index, by its header."""

    folder: Path
    """Where it lies."""
    source: str
    """The folder of photos."""
    fingerprint: str
    """Of what made it."""
    made_by: Mapping[str, str] | None


def places_of(home: Home, photos: Path) -> list[IndexPlace]:
    """The indexes of a folder of photos, one a matcher, in a fixed order; one that cannot be read is passed
    over.

    Args:
        home: where indexes are kept.
        photos: the folder, as `photo_folder` names it.

    Raises:
        ArtifactError: when there is none.
    """
    found: dict[str, IndexPlace] = {}
    for place in every_place_of(home, photos):
        if place.source == str(photos) or place.fingerprint not in found:
            found[place.fingerprint] = place
    return list(found.values())


def every_place_of(home: Home, photos: Path) -> list[IndexPlace]:
    """The same with those that were kept under other spellings of its name, before these were one.

    Raises:
        ArtifactError: when there is none.
    """
    found = [place for place in all_places(home) if photo_folder(place.source) == photos]
    if not found:
        raise ArtifactError(f"'{shown(str(photos))}' has no index. Make one: mmx index add DIR")
    return found


def folder_place(home: Home, photos: Path, fingerprint: str) -> Path:
    """Where the index of a folder by one matcher is, or is to be made; one that was kept under another
    spelling of the folder's name is brought here.

    Raises:
        ResourceError: when it cannot be.
    """
    place = index_folder(home, photos, fingerprint)
    if (place / GALLERY).exists():
        return place
    before = next(
        (
            other.folder
            for other in all_places(home)
            if other.fingerprint == fingerprint and photo_folder(other.source) == photos
        ),
        None,
    )
    if before is not None:
        with disk_errors(place):
            place.mkdir(parents=True, exist_ok=True)
            (before / GALLERY).replace(place / GALLERY)
            # what is compressed or was looked at twice is made again
            shutil.rmtree(before)
    return place


def all_places(home: Home) -> list[IndexPlace]:
    """Every index of a folder that is kept and can be read."""
    found = []
    for path in sorted(home.indexes.glob(f"*/{GALLERY}")):
        try:
            header = read_header(TensorFile(path))
        except ArtifactError:
            continue
        found.append(IndexPlace(path.parent, header["source"], header["fingerprint"], header["made_by"]))
    return found


def broken_places(home: Home) -> list[Path]:
    """Files among the indexes that cannot be read, whose ever they were."""
    readable = {place.folder for place in all_places(home)}
    return [path for path in sorted(home.indexes.glob(f"*/{GALLERY}")) if path.parent not in readable]


def said_maker(made_by: Mapping[str, str] | None) -> str:
    """What made an index, in a word."""
    if made_by is None:
        return "unknown"
    return made_by.get("model") or Path(made_by["run"]).name
