"""Indexes moved from one place to another: of a folder in the home, in a file, or kept by Milvus."""

import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.paths import expanded
from mmx.core.reporter import Reporter
from mmx.store.gallery import Gallery
from mmx.store.gallery_header import read_header
from mmx.store.one_writer import one_writer
from mmx.store.tensors import TensorFile
from mmx.workflows.compressed import EXACT
from mmx.workflows.gallery_place import GALLERY, index_folder, photo_folder
from mmx.workflows.index_address import check_is_file, check_of_photos, has_keeper, is_address, keeper_of
from mmx.workflows.index_places import IndexPlace, places_of, said_maker
from mmx.workflows.picture_columns import folder_columns
from mmx.workflows.search_settings import shown


@dataclass(frozen=True)
class CopySettings:
    """From where to where: each a folder of photos, whose index the home keeps, or an address."""

    source: str
    target: str
    run: Path | None = None
    model: str | None = None
    """Which index of a folder, where it has several."""
    kind: str | None = None
    """How Milvus searches it: `exact` or `hnsw`; None to leave that as it is."""
    home: Home = field(default_factory=Home.find)


@dataclass(frozen=True)
class IndexCopy:
    """What was copied, in pictures."""

    source: str
    target: str
    folder: str
    made_by: str
    pictures: int
    sent: int
    """That were not there, or not as they are now."""
    kept: int
    removed: int
    kind: str
    recall: dict[str, float] | None
    """Of a copy in Milvus, against exact search, by kind of query; None for a file, which is exact."""
    seconds: float

    def document(self) -> dict[str, Any]:
        """What --json shows of it."""
        return dict(vars(self))


def copy(settings: CopySettings, reporter: Reporter) -> IndexCopy:
    """Make the target equal to the source. What is there already stays, so that a copy that was broken off
    goes on where it ended; until it has ended, the target is refused by a search.

    Raises:
        UsageError: when the words do not fit together.
        DataError: when there is nothing to copy.
        ArtifactError: when a source is not there or not whole, a target holds something else, or a server is
            away.
        ResourceError: when a file cannot be written.
        MissingExtraError: when Milvus is asked for and not installed.
    """
    began = time.monotonic()
    _check(settings)
    gallery = read_gallery(settings.source, settings.home, settings.run, settings.model)
    kind, recall, changes = write_gallery(settings.target, gallery, settings.home, settings.kind, reporter)
    return IndexCopy(
        shown(settings.source),
        shown(settings.target),
        shown(gallery.source),
        said_maker(gallery.made_by),
        len(gallery.entries),
        *changes,
        kind,
        recall,
        round(time.monotonic() - began, 2),
    )


def _check(settings: CopySettings) -> None:
    if settings.source == settings.target:
        raise UsageError(f"'{settings.source}' is copied to itself. Name another place.")
    if settings.run is not None and settings.model is not None:
        raise UsageError("--run and --model both name an index of a folder. Give one of them.")
    if is_address(settings.source) and (settings.run or settings.model):
        raise UsageError("--run and --model choose among the indexes of a folder. Leave them out.")
    if settings.kind is not None and not has_keeper(settings.target):
        raise UsageError(
            f"--kind {settings.kind} is of a copy in Milvus. A folder's index is compressed by: mmx index "
            f"refresh DIR --kind {settings.kind}"
        )


def read_gallery(place: str, home: Home, run: Path | None = None, model: str | None = None) -> Gallery:
    """All of an index of photos, wherever it is.

    Raises:
        UsageError: when it is no address, or a folder has several indexes.
        ArtifactError: when it is not there or not whole, or a server is away.
    """
    if has_keeper(place):
        with closing(keeper_of(place).open(place, None)) as index:
            return index.gallery()
    if is_address(place):
        path = expanded(place).absolute()
    else:
        path = _chosen(photo_folder(place), home, run, model).folder / GALLERY
    gallery = Gallery.open(path)
    check_of_photos(gallery, place)
    if not gallery.complete:
        raise ArtifactError(
            f"the index of '{shown(gallery.source)}' is not finished. Go on: mmx index refresh DIR"
        )
    return gallery


def write_gallery(
    place: str, gallery: Gallery, home: Home, kind: str | None, reporter: Reporter
) -> tuple[str, dict[str, float] | None, tuple[int, int, int]]:
    """Make what is at a place equal to a gallery: how it is searched there, its recall, and the pictures
    sent, kept and removed.

    Raises:
        UsageError: when it is no address, or a folder that the gallery is not of.
        ArtifactError: when something else is there, or a server is away.
        ResourceError: when a file cannot be written.
    """
    if has_keeper(place):
        done = keeper_of(place).write_gallery(place, gallery, folder_columns(gallery), kind, reporter)
        recall = done.header.recall and dict(done.header.recall)
        return done.header.kind, recall, (done.sent, done.kept, done.removed)
    if is_address(place):
        path = expanded(place).absolute()
        _check_replaces(path, gallery)
        gallery.save(path)
    else:
        folder = photo_folder(place)
        if folder != photo_folder(gallery.source):
            raise UsageError(
                f"the index is of '{shown(gallery.source)}', and not of '{shown(str(folder))}'. Copy it to "
                "an address, or to the folder that it is of."
            )
        path = index_folder(home, folder, gallery.fingerprint) / GALLERY
        with one_writer(path.parent, reporter):
            gallery.save(path)
    return EXACT, None, (len(gallery.entries), 0, 0)


def remove_index(address: str) -> tuple[str, str, int]:
    """Delete all of an index at an address: the folder it was of, what made it, and its pictures.

    Raises:
        ArtifactError: when there is none, or a server is away.
    """
    if has_keeper(address):
        gone = keeper_of(address).remove_index(address)
        return shown(gone.source), said_maker(gone.made_by), gone.pictures
    check_is_file(address)
    path = expanded(address).absolute()
    gone = Gallery.open(path)
    path.unlink()
    return shown(gone.source), said_maker(gone.made_by), len(gone.entries)


def _chosen(folder: Path, home: Home, run: Path | None, model: str | None) -> IndexPlace:
    """The index of a folder that was made by a run or model, or the only one."""
    places, wanted = places_of(home, folder), model or (run and run.name)
    found = [place for place in places if wanted in (None, said_maker(place.made_by))]
    if len(found) == 1:
        return found[0]
    makers = ", ".join(said_maker(place.made_by) for place in places)
    raise UsageError(
        f"'{shown(str(folder))}' has {len(found)} indexes "
        + (f"by '{wanted}'" if wanted else "to choose from")
        + f". Name what made it (--run NAME or --model NAME): {makers}"
    )


def _check_replaces(path: Path, gallery: Gallery) -> None:
    """That a file is an older copy of the same, if it is there."""
    if not path.exists():
        return
    header = read_header(TensorFile(path))
    if (header["source"], header["fingerprint"]) != (gallery.source, gallery.fingerprint):
        raise ArtifactError(
            f"'{path}' is of '{shown(header['source'])}' with fingerprint '{header['fingerprint']}', and "
            f"what is to be copied there of '{shown(gallery.source)}' with '{gallery.fingerprint}'. Name "
            "another file."
        )
