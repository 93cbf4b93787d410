"""What is known of the indexes of a folder, and whether they are whole."""

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.paths import expanded
from mmx.core.reporter import Reporter
from mmx.search.approximate import LEAST_ROWS
from mmx.search.photos import digest, find_photos
from mmx.store.approximation import Approximation
from mmx.store.gallery import Gallery
from mmx.store.image_paths import IMAGE_SUFFIXES
from mmx.store.scope import Scope
from mmx.store.tensors import TensorFile
from mmx.workflows.compressed import APPROXIMATION, EXACT
from mmx.workflows.gallery_place import GALLERY, photo_folder
from mmx.workflows.index_address import has_keeper, is_address, keeper_of
from mmx.workflows.index_copy import read_gallery
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
    bytes: int | None
    """None where a server keeps it."""
    complete: bool
    kind: str
    removed: tuple[str, ...]
    """What was removed and stays out."""
    path: str
    """Or its address."""
    recall: dict[str, float] | None = None
    """Of a compressed index or a copy in Milvus, as measured when it was made."""
    candidates: int | None = None
    """That are looked at for ten hits."""
    problems: tuple[str, ...] | None = None
    """What is wrong with it; None where nobody looked."""
    outdated: int | None = None
    """Photos that are new, changed or gone since; None where nobody looked, or the folder is not here."""

    @property
    def mended_by(self) -> str:
        """The command that finishes or mends it."""
        if has_keeper(self.path):
            copied = f"mmx index copy SRC {self.path}"
            return f"mmx index remove {self.path}, then {copied}" if self.complete else copied
        return f"mmx index refresh {self.folder}" + (" --rebuild" if self.problems else "")

    def document(self) -> dict[str, Any]:
        """What --json shows of it."""
        return {name: value for name, value in vars(self).items() if value is not None}


def info(place: Path | str, home: Home) -> list[IndexState]:
    """What is known of the indexes of a folder, or of the one at an address.

    Raises:
        UsageError: when it is no address.
        ArtifactError: when there is none, or one cannot be read.
    """
    if is_address(str(place)):
        return [_state_at(str(place))]
    return [_state(place) for place in places_of(home, photo_folder(place))]


def verify(place: Path | str, home: Home, reporter: Reporter) -> list[IndexState]:
    """The same, with every checksum, vector and photo looked at.

    Raises:
        UsageError: when it is no address.
        ArtifactError: when there is none.
        DataError: when the folder is gone.
    """
    if is_address(str(place)):
        return [_verified_at(str(place), home, reporter)]
    root = photo_folder(place)
    for path in broken_places(home):
        reporter.warn(
            f"'{path}' cannot be read. If it was the index of '{root}', the next search makes it again."
        )
    return [_verified(place, root, reporter) for place in places_of(home, root)]


def _state(place: IndexPlace, **found: Any) -> IndexState:
    # a damaged one is told of too; `verify` is what reads every byte
    gallery = Gallery.open(place.folder / GALLERY, most=0)
    about = _approximation(place, gallery)
    return _state_of(
        gallery,
        str(place.folder),
        _bytes(place.folder),
        EXACT if about is None else about.kind,
        recall=None if about is None else dict(about.recall),
        candidates=None if about is None else about.candidates,
        **found,
    )


def _state_of(gallery: Gallery, path: str, size: int, kind: str = EXACT, **found: Any) -> IndexState:
    return IndexState(
        folder=shown(gallery.source),
        made_by=said_maker(gallery.made_by),
        fingerprint=gallery.fingerprint,
        pictures=len(gallery.entries),
        unreadable=len(gallery.unreadable),
        width=gallery.image_vectors.shape[1],
        bytes=size,
        complete=gallery.complete,
        kind=kind,
        removed=_removed(gallery.scope),
        path=path,
        **found,
    )


def _state_at(address: str, **found: Any) -> IndexState:
    if not has_keeper(address):
        path = expanded(address).absolute()
        return _state_of(Gallery.open(path), str(path), _bytes(path), **found)
    header = keeper_of(address).header_at(address)
    return IndexState(
        folder=shown(header.source),
        made_by=said_maker(header.made_by),
        fingerprint=header.fingerprint,
        pictures=header.pictures,
        unreadable=len(header.unreadable),
        width=header.width,
        bytes=None if "://" in address else _bytes(expanded(address)),
        complete=not header.writing,
        kind=header.kind,
        recall=header.recall and dict(header.recall),
        candidates=header.effort or None,
        removed=_removed(header.scope),
        path=address,
        **found,
    )


def _verified_at(address: str, home: Home, reporter: Reporter) -> IndexState:
    """What an address says, compared with the folder as well, if that is on this machine."""
    state = _state_at(address)
    if not state.complete:
        return replace(state, problems=("it is being written, or its writing was broken off",))
    try:
        gallery = read_gallery(address, home)
    except ArtifactError as error:
        return replace(state, problems=(str(error),))
    problems = [*_vectors(gallery), *_names(gallery)]
    if not has_keeper(address):
        problems += _sums(expanded(address))
    folder = Path(gallery.source)
    outdated = _outdated(gallery, folder, reporter) if folder.is_dir() else None
    return replace(state, problems=tuple(problems), outdated=outdated)


def _bytes(place: Path) -> int:
    return sum(file.stat().st_size for file in (place, *place.rglob("*")) if file.is_file())


def _removed(scope: Scope) -> tuple[str, ...]:
    return tuple(shown(name) for name, is_in in scope.rules.items() if not is_in)


def _approximation(place: IndexPlace, gallery: Gallery) -> Approximation | None:
    """The compressed index that is used; None where there is none of these vectors."""
    try:
        about = Approximation.open(place.folder / APPROXIMATION)
    except ArtifactError:
        return None
    return about if (about.kind, about.content) == (gallery.kind, gallery.content) else None


def _verified(place: IndexPlace, root: Path, reporter: Reporter) -> IndexState:
    try:
        gallery = Gallery.open(place.folder / GALLERY, most=0)
    except ArtifactError as error:
        raise ArtifactError(f"{error} Search again, and it is made again.") from error
    problems = [*_sums(place.folder / GALLERY), *_vectors(gallery), *_names(gallery)]
    compressed = gallery.kind != EXACT and len(gallery.entries) >= LEAST_ROWS
    if compressed and _approximation(place, gallery) is None:
        problems.append(f"its compressed index '{gallery.kind}' is missing or of other vectors")
    return _state(place, problems=tuple(problems), outdated=_outdated(gallery, root, reporter))


def _sums(path: Path) -> list[str]:
    file, problems = TensorFile(path), []
    for name in file.names:
        try:
            file.check(name)
        except ArtifactError:
            problems.append(f"the bytes of '{name}' are not those that were written")
    return problems


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
