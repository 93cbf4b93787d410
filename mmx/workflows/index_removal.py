"""Photos taken out of the indexes of their folder, for good."""

import difflib
from collections.abc import Sequence

import pyarrow
import torch

from mmx.core.errors import UsageError
from mmx.core.reporter import Reporter
from mmx.store.entries import Entries, Entry
from mmx.store.gallery import Gallery
from mmx.store.one_writer import one_writer
from mmx.store.scope import WHOLE, Scope
from mmx.store.second_look import SecondLooks
from mmx.workflows.compressed import APPROXIMATION, EXACT
from mmx.workflows.galleries import SECOND_LOOK
from mmx.workflows.gallery_place import GALLERY, photo_folder
from mmx.workflows.index_copy import read_gallery, remove_index, write_gallery
from mmx.workflows.index_places import IndexPlace, every_place_of, said_maker
from mmx.workflows.index_settings import IndexChange, IndexSettings, name_below
from mmx.workflows.search_settings import shown


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
    names = [name_below(settings.root, name) for name in settings.names] or [WHOLE]
    return [_removed(place, names, reporter) for place in every_place_of(settings.home, settings.root)]


def _removed_from_copy(address: str, settings: IndexSettings, reporter: Reporter) -> IndexChange:
    """All of an index, or some of its pictures; the index of the folder in the home stays as it is."""
    if not settings.names:
        source, maker, pictures = remove_index(address)
        return IndexChange(source, maker, 0, 0, 0, pictures, 0, EXACT)
    gallery = read_gallery(address, settings.home)
    names = [name_below(photo_folder(gallery.source), name) for name in settings.names]
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
        Entries(Entries.of(gallery.entries).table.take(pyarrow.array(rows, pyarrow.int64()))),
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
