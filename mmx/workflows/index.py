"""The indexes of a folder of photos: what is added to them, and how they are brought up to date."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.reporter import Reporter
from mmx.search.approximate import KINDS, LEAST_ROWS
from mmx.search.photos import check_folder
from mmx.store.scope import WHOLE
from mmx.workflows.compressed import EXACT
from mmx.workflows.galleries import FolderIndex, folder_index
from mmx.workflows.gallery_place import GALLERY, photo_folder
from mmx.workflows.index_address import maker_of
from mmx.workflows.index_copy import read_gallery, write_gallery
from mmx.workflows.index_places import IndexPlace, folder_place, places_of, said_maker
from mmx.workflows.index_settings import IndexChange, IndexSettings, name_below
from mmx.workflows.matcher import Matcher
from mmx.workflows.search_settings import SearchSettings, shown
from mmx.workflows.searcher import open_maker, open_searcher


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
    check_folder(settings.root)
    names = [name_below(settings.root, name) for name in settings.names] or [WHOLE]
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
    return _told(index, reporter)


def _told(index: FolderIndex, reporter: Reporter) -> IndexChange:
    gallery, changes = index.gallery, index.changes
    if gallery.kind != EXACT and index.compressed is None:
        reporter.info(
            f"index of '{shown(gallery.source)}': exact while it has fewer than {LEAST_ROWS:,} pictures"
        )
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
            f"'{address}' was made with '{fingerprint}', and '{matcher.name}' has '{matcher.fingerprint}'. "
            "Name what made it (--run NAME or --model NAME)."
        )
    if not (folder_place(settings.home, photo_folder(source), fingerprint) / GALLERY).exists():
        write_gallery(source, read_gallery(address, settings.home), settings.home, None, reporter)
    index = folder_index(matcher, Path(source), settings.home, reporter, settings.rebuild)
    kind, recall, _ = write_gallery(address, index.gallery, settings.home, settings.kind, reporter)
    return dataclasses.replace(_told(index, reporter), kind=kind, recall=recall)
