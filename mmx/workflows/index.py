"""The indexes of a folder of photos: what is added to them, removed from them, and brought up to date."""

import dataclasses
import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
import torch

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.search.approximate import KINDS
from mmx.store.entries import Entries, Entry
from mmx.store.index import Gallery
from mmx.store.one_writer import one_writer
from mmx.store.scope import WHOLE, Scope
from mmx.store.second_look import SecondLooks
from mmx.workflows.compressed import APPROXIMATION, EXACT
from mmx.workflows.galleries import GALLERY, SECOND_LOOK, FolderIndex, folder_index, index_folder
from mmx.workflows.index_address import is_address, maker_of
from mmx.workflows.index_copy import read_gallery, remove_index, write_gallery
from mmx.workflows.index_places import IndexPlace, places_of, said_maker
from mmx.workflows.matcher import Matcher
from mmx.workflows.search_settings import SearchSettings, shown
from mmx.workflows.searcher import open_maker, open_searcher


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
        """The folder's absolute name."""
        return Path(self.folder).expanduser().absolute()

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

    def as_document(self) -> dict[str, Any]:
        """What --json shows of it."""
        return dict(vars(self))


def add(settings: IndexSettings, reporter: Reporter) -> list[IndexChange]:
    """Put a folder, or some of what is below it, into its index, and encode what is new.

    Raises:
        UsageError: when a name is not below the folder, or the words do not fit together.
        DataError: when the folder holds no picture.
        ArtifactError: when there is nothing to encode with.
        ResourceError: when the index cannot be written.
    """
    _check(settings)
    if settings.address is not None:
        raise UsageError(
            f"photos are added to the index of their folder: mmx index add DIR; then mmx index copy DIR "
            f"{settings.address}"
        )
    if not settings.root.is_dir():
        raise DataError(f"'{shown(str(settings.root))}' is not a folder. Name a folder of photos.")
    names = [_name_below(settings.root, name) for name in settings.names] or [WHOLE]
    for name in names:
        if not os.path.lexists(settings.root / name):
            raise DataError(
                f"there is no '{shown(name)}' in '{shown(str(settings.root))}'. Look at its spelling."
            )
    matcher = _matcher(settings, reporter)
    return [_changed(matcher, settings, reporter, names)]


def refresh(settings: IndexSettings, reporter: Reporter) -> list[IndexChange]:
    """Bring every index of a folder up to date, each by what made it; or the one of a run or model; or one at
    an address, together with the index of its folder in the home.

    Raises:
        ArtifactError: when there is none, or what made one is gone or has changed.
        ResourceError: when an index cannot be written.
    """
    _check(settings)
    if settings.address is not None:
        return [_refreshed_copy(settings.address, settings, reporter)]
    places = places_of(settings.home, settings.root)
    if settings.run is None and settings.model is None:
        return [_changed(_maker(place, settings), settings, reporter) for place in places]
    matcher = _matcher(settings, reporter)
    if not any(place.fingerprint == matcher.fingerprint for place in places):
        raise ArtifactError(
            f"'{shown(str(settings.root))}' has no index by '{matcher.name}'. Make one: mmx index add DIR"
        )
    return [_changed(matcher, settings, reporter)]


def remove(settings: IndexSettings, reporter: Reporter) -> list[IndexChange]:
    """Take a folder, or some of what is below it, out of all its indexes; it stays out until it is added.

    Nothing of it is left on the disk: its vectors, what a second look kept, and compressed indexes of it go.

    Raises:
        UsageError: when nothing of a name is in an index.
        ArtifactError: when there is no index.
        ResourceError: when an index cannot be written.
    """
    if settings.address is not None:
        return [_removed_from_copy(settings.address, settings, reporter)]
    names = [_name_below(settings.root, name) for name in settings.names] or [WHOLE]
    return [_removed(place, names, reporter) for place in places_of(settings.home, settings.root)]


def _check(settings: IndexSettings) -> None:
    if settings.kind not in (None, EXACT, *KINDS):
        raise UsageError(f"'{settings.kind}' is no kind of index. There is: {', '.join((EXACT, *KINDS))}")
    if settings.run is not None and settings.model is not None:
        raise UsageError("--run and --model are two ways to encode. Give one of them.")


def _matcher(settings: IndexSettings, reporter: Reporter) -> Matcher:
    wish = SearchSettings(
        run=settings.run,
        model=settings.model,
        folder=settings.root,
        home=settings.home,
        device=settings.device,
    )
    return open_searcher(wish, reporter)


def _maker(place: IndexPlace, settings: IndexSettings) -> Matcher:
    about = place.made_by, place.fingerprint, place.source
    return open_maker(*about, settings.home, settings.device)


def _changed(
    matcher: Matcher, settings: IndexSettings, reporter: Reporter, add: Sequence[str] = ()
) -> IndexChange:
    index = folder_index(
        matcher, settings.root, settings.home, reporter, settings.rebuild, add, settings.kind
    )
    return _told(index)


def _told(index: FolderIndex) -> IndexChange:
    gallery, changes = index.gallery, index.changes
    return IndexChange(
        folder=shown(gallery.source),
        made_by=said_maker(gallery.made_by),
        pictures=len(gallery.entries),
        encoded=changes.encoded,
        kept=changes.kept,
        removed=changes.removed,
        unreadable=len(gallery.unreadable),
        kind=gallery.kind if index.compressed is not None else EXACT,
        recall=None if index.compressed is None else dict(index.compressed.about.recall),
    )


def _refreshed_copy(address: str, settings: IndexSettings, reporter: Reporter) -> IndexChange:
    """The folder's own index is brought up to date, and what differs is copied; where the home has none, it
    begins with what is at the address, so that nothing is encoded twice.
    """
    made_by, fingerprint, source = maker_of(address)
    if settings.run is None and settings.model is None:
        matcher = open_maker(made_by, fingerprint, source, settings.home, settings.device)
    else:
        matcher = _matcher(settings, reporter)
    if matcher.fingerprint != fingerprint:
        raise ArtifactError(
            f"'{address}' was made with '{fingerprint}', and '{matcher.name}' has '{matcher.fingerprint}'."
        )
    if not (index_folder(settings.home, source, fingerprint) / GALLERY).exists():
        write_gallery(source, read_gallery(address, settings.home), settings.home, None, reporter)
    index = folder_index(matcher, Path(source), settings.home, reporter, settings.rebuild)
    kind, recall, _ = write_gallery(address, index.gallery, settings.home, settings.kind, reporter)
    return dataclasses.replace(_told(index), kind=kind, recall=recall)


def _removed_from_copy(address: str, settings: IndexSettings, reporter: Reporter) -> IndexChange:
    """All of an index, or some of its pictures; the index of the folder in the home stays as it is."""
    if not settings.names:
        source, maker, pictures = remove_index(address)
        return IndexChange(source, maker, 0, 0, 0, pictures, 0, EXACT)
    gallery = read_gallery(address, settings.home)
    names = [_name_below(Path(gallery.source), name) for name in settings.names]
    less, gone = _without(gallery, names)
    if not less.entries:
        raise UsageError(f"that is all of '{address}'. Remove the index: mmx index remove {address}")
    kind, recall, _ = write_gallery(address, less, settings.home, None, reporter)
    return _told_less(less, gone, kind, recall)


def _removed(place: IndexPlace, names: Sequence[str], reporter: Reporter) -> IndexChange:
    with one_writer(place.folder, reporter):
        less, gone = _without(Gallery.open(place.folder / GALLERY), names)
        if WHOLE in names:
            (place.folder / GALLERY).unlink()
        else:
            less.save(place.folder / GALLERY)
        (place.folder / APPROXIMATION).unlink(missing_ok=True)
        SecondLooks(place.folder / SECOND_LOOK).remove_others({entry.digest for entry in less.entries})
    return _told_less(less, gone, EXACT)


def _told_less(less: Gallery, gone: int, kind: str, recall: dict[str, float] | None = None) -> IndexChange:
    left = len(less.entries)
    about = (
        shown(less.source),
        said_maker(less.made_by),
        left,
        0,
        left,
        gone,
        len(less.unreadable),
        kind,
        recall,
    )
    return IndexChange(*about)


def _without(gallery: Gallery, names: Sequence[str]) -> tuple[Gallery, int]:
    """A gallery without what is named, and how many pictures went.

    Raises:
        UsageError: when nothing of it is in there.
    """
    scope = gallery.scope
    for name in names:
        scope = scope.with_rule(name, False)
    rows = [row for row, entry in enumerate(gallery.entries) if scope.covers(entry.id)]
    faulty = [entry for entry in gallery.unreadable if scope.covers(entry.id)]
    gone = len(gallery.entries) + len(gallery.unreadable) - len(rows) - len(faulty)
    if not gone and WHOLE not in names:
        raise _nothing_of(names, gallery)
    return _without_others(gallery, rows, faulty, scope), gone


def _without_others(gallery: Gallery, rows: list[int], faulty: list[Entry], scope: Scope) -> Gallery:
    places = torch.tensor(rows, dtype=torch.int64)
    return Gallery(
        gallery.source,
        gallery.fingerprint,
        Entries(gallery.entries.table.take(pyarrow.array(rows, pyarrow.int64()))),
        gallery.image_vectors.index_select(0, places),
        unreadable=faulty,
        complete=gallery.complete,
        made_by=gallery.made_by,
        scope=scope,
        kind=gallery.kind,
    )


def _nothing_of(names: Sequence[str], gallery: Gallery) -> UsageError:
    near = difflib.get_close_matches(names[0], [entry.id for entry in gallery.entries], n=1)
    hint = f" Did you mean '{shown(near[0])}'?" if near else " See what is: mmx index info DIR"
    return UsageError(f"nothing of '{shown(names[0])}' is in the index of '{shown(gallery.source)}'.{hint}")


def _name_below(root: Path, given: str) -> str:
    """A file or folder as its index names it; it is given so, or as seen from where one stands.

    Raises:
        UsageError: when it is not below the folder.
    """
    places = [Path(os.path.normpath(start / Path(given).expanduser())) for start in (root, Path.cwd())]
    below = [place for place in places if place.is_relative_to(root)]
    there = [place for place in below if os.path.lexists(place)]
    if not below:
        raise UsageError(f"'{shown(given)}' does not lie in '{shown(str(root))}'. Name what is below it.")
    return (there or below)[0].relative_to(root).as_posix()
