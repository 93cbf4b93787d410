"""What is known of the indexes of a folder, and whether they are whole."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.search.approximate import LEAST_ROWS
from mmx.search.photos import digest, find_photos
from mmx.store.approximation import Approximation
from mmx.store.images import IMAGE_SUFFIXES
from mmx.store.index import Gallery, checksum, read_header
from mmx.store.tensors import TensorFile
from mmx.workflows.compressed import APPROXIMATION, EXACT
from mmx.workflows.galleries import GALLERY
from mmx.workflows.index_places import IndexPlace, broken_places, places_of, said_maker
from mmx.workflows.search_settings import shown

UNIT = 1e-3
"""By how much the length of a vector may differ from 1."""
ROWS = 65_536


@dataclass(frozen=True)
class IndexState:
    """One index: what it holds, how it is searched, and how it differs from its folder."""

    folder: str
    made_by: str
    fingerprint: str
    pictures: int
    unreadable: int
    width: int
    bytes: int
    complete: bool
    kind: str
    recall: dict[str, float] | None
    """Of a compressed index, as measured when it was built."""
    candidates: int | None
    removed: tuple[str, ...]
    """What was removed and stays out."""
    path: str
    problems: tuple[str, ...] | None = None
    """What is wrong with it; None where nobody looked."""
    outdated: int | None = None
    """Photos that are new, changed or gone since; None where nobody looked."""

    def as_document(self) -> dict[str, Any]:
        """What --json shows of it."""
        return {name: value for name, value in vars(self).items() if value is not None}


def info(folder: Path, home: Home) -> list[IndexState]:
    """What is known of the indexes of a folder.

    Raises:
        ArtifactError: when there is none, or one cannot be read.
    """
    return [_state(place) for place in places_of(home, folder.expanduser().absolute())]


def verify(folder: Path, home: Home, reporter: Reporter) -> list[IndexState]:
    """The same, with every checksum, vector and photo looked at.

    Raises:
        ArtifactError: when there is none.
        DataError: when the folder is gone.
    """
    root = folder.expanduser().absolute()
    for path in broken_places(home):
        reporter.warn(
            f"'{path}' cannot be read. If it was the index of '{root}', the next search makes it again."
        )
    return [_verified(place, root, reporter) for place in places_of(home, root)]


def _state(place: IndexPlace, **found: Any) -> IndexState:
    gallery = Gallery.open(place.folder / GALLERY)
    about = _approximation(place, gallery)
    return IndexState(
        folder=shown(gallery.source),
        made_by=said_maker(gallery.made_by),
        fingerprint=gallery.fingerprint,
        pictures=len(gallery.entries),
        unreadable=len(gallery.unreadable),
        width=gallery.image_vectors.shape[1],
        bytes=sum(file.stat().st_size for file in place.folder.rglob("*") if file.is_file()),
        complete=gallery.complete,
        kind=EXACT if about is None else about.kind,
        recall=None if about is None else dict(about.recall),
        candidates=None if about is None else about.candidates,
        removed=tuple(shown(name) for name, is_in in gallery.scope.rules.items() if not is_in),
        path=str(place.folder),
        **found,
    )


def _approximation(place: IndexPlace, gallery: Gallery) -> Approximation | None:
    """The compressed index that is used; None where there is none of these vectors."""
    try:
        about = Approximation.open(place.folder / APPROXIMATION)
    except ArtifactError:
        return None
    return about if (about.kind, about.content) == (gallery.kind, gallery.content) else None


def _verified(place: IndexPlace, root: Path, reporter: Reporter) -> IndexState:
    try:
        gallery = Gallery.open(place.folder / GALLERY)
    except ArtifactError as error:
        raise ArtifactError(f"{error} Search again, and it is made again.") from error
    problems = [*_sums(place.folder / GALLERY), *_vectors(gallery), *_names(gallery)]
    compressed = gallery.kind != EXACT and len(gallery.entries) >= LEAST_ROWS
    if compressed and _approximation(place, gallery) is None:
        problems.append(f"its compressed index '{gallery.kind}' is missing or of other vectors")
    return _state(place, problems=tuple(problems), outdated=_outdated(gallery, root, reporter))


def _sums(path: Path) -> list[str]:
    file = TensorFile(path)
    sums = read_header(file).get("sums", {})
    return [
        f"the bytes of '{name}' are not those that were written"
        for name, wanted in sums.items()
        if name not in file.names or checksum(file.read(name)) != wanted
    ]


def _vectors(gallery: Gallery) -> list[str]:
    bad = 0
    for start in range(0, len(gallery.entries), ROWS):
        lengths = gallery.image_vectors[start : start + ROWS].norm(dim=1)
        bad += int((~((lengths - 1).abs() < UNIT)).sum())
    return [f"{bad:,} vectors are not of unit length"] * bool(bad)


def _names(gallery: Gallery) -> list[str]:
    names = [entry.id for entry in gallery.entries]
    in_order = all(before < after for before, after in itertools.pairwise(names))
    return [] if in_order else ["its pictures are not in order, or one is there twice"]


def _outdated(gallery: Gallery, root: Path, reporter: Reporter) -> int:
    """How many photos are new, gone, or have another content now; every one that is there is read."""
    photos = {
        photo.id: photo
        for photo in find_photos(root, IMAGE_SUFFIXES).photos
        if gallery.scope.covers(photo.id)
    }
    known = {entry.id: entry.digest for entry in (*gallery.entries, *gallery.unreadable)}
    changed = 0
    with reporter.progress("read photos", len(photos), "photos") as bar:
        for id, photo in photos.items():
            changed += id not in known or known[id] != digest(photo.path)
            bar.advance()
    return changed + len(known.keys() - photos.keys())
