"""Where the indexes of a folder are: one for each matcher that it was encoded with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.store.gallery_header import read_header
from mmx.store.tensors import TensorFile
from mmx.workflows.gallery_place import GALLERY
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
    """The indexes of a folder of photos, in a fixed order; one that cannot be read is passed over.

    Raises:
        ArtifactError: when there is none.
    """
    found = [place for place in all_places(home) if place.source == str(photos)]
    if not found:
        raise ArtifactError(f"'{shown(str(photos))}' has no index. Make one: mmx index add DIR")
    return found


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
