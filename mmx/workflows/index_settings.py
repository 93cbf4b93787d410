"""Which index of photos a command is about, and what it did to it."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.paths import expanded
from mmx.workflows.gallery_place import photo_folder
from mmx.workflows.index_address import is_address
from mmx.workflows.search_settings import shown


@dataclass(frozen=True)
class IndexSettings:
    """A folder of photos, and by what it is encoded."""

    folder: Path | str
    """Or, as text, the address of an index of one."""
    names: tuple[str, ...] = ()
    """Files and folders below it; none for all of it."""
    run: Path | None = None
    model: str | None = None
    kind: str | None = None
    """`exact`, `pq` or `hnsw`; None to leave it as it is."""
    rebuild: bool = False
    home: Home = field(default_factory=Home.find)
    device: str = "auto"

    @property
    def root(self) -> Path:
        """The folder's one name, however it was typed."""
        return photo_folder(self.folder)

    @property
    def address(self) -> str | None:
        """Of an index that is named itself."""
        return str(self.folder) if is_address(str(self.folder)) else None


@dataclass(frozen=True)
class IndexChange:
    """What was done to one index, in pictures."""

    folder: str
    made_by: str
    pictures: int
    """That can be found now."""
    encoded: int
    kept: int
    removed: int
    unreadable: int
    kind: str
    recall: dict[str, float] | None = None
    """Of a compressed index, against exact search, by kind of query."""

    def document(self) -> dict[str, Any]:
        """What --json shows of it."""
        return dict(vars(self))


def name_below(root: Path, given: str) -> str:
    """A file or folder as its index names it; it is given so, or as seen from where one stands.

    Raises:
        UsageError: when it is not below the folder.
    """
    typed = [start / expanded(given) for start in (root, Path.cwd())]
    # the file itself may be a link, and is the link then; where it lies is followed
    ends = [Path(os.path.realpath(path.parent), path.name) for path in typed if path.name != ".."]
    places = [*ends, *map(photo_folder, typed)]
    below = [place for place in places if place.is_relative_to(root)]
    there = [place for place in below if os.path.lexists(place)]
    if not below:
        raise UsageError(f"'{shown(given)}' does not lie in '{shown(str(root))}'. Name what is below it.")
    return (there or below)[0].relative_to(root).as_posix()
