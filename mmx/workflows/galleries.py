"""The galleries that a matcher can search: a split of its own corpus, or any folder of photos."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path

import torch

from mmx.core.errors import ArtifactError, DataError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.engine.evaluator import Embeddings
from mmx.search.photos import PhotoFolder, find_photos
from mmx.search.refresh import refresh
from mmx.store.images import IMAGE_SUFFIXES
from mmx.store.index import Entry, Gallery, one_writer
from mmx.store.manifest import Manifest
from mmx.workflows.matcher import Matcher

NAMED_ON_SCREEN = 5


def folder_gallery(
    matcher: Matcher, folder: Path, home: Home, reporter: Reporter, rebuild: bool = False
) -> Gallery:
    """The gallery of a folder of photos, brought up to date; kept under the home's indexes.

    Raises:
        DataError: when the folder is absent or holds no picture that can be read.
        ResourceError: when the index cannot be written.
    """
    folder = folder.expanduser().absolute()
    found = find_photos(folder, IMAGE_SUFFIXES)
    if not found.photos:
        raise DataError(
            f"'{folder}' holds no pictures. Pictures end in: {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    place = index_folder(home, folder, matcher.fingerprint)
    with one_writer(place, reporter):
        path = place / "gallery.safetensors"
        empty = Gallery(str(folder), matcher.fingerprint, (), torch.empty(0, 0), complete=False)
        old = None if rebuild else kept_gallery(path, matcher.fingerprint, reporter)
        gallery, changes = refresh(
            found.photos, old or empty, matcher.encode_images, lambda fresh: fresh.save(path), reporter
        )
    if changes.encoded or changes.removed:
        reporter.info(
            f"index of '{folder}': {changes.encoded:,} new or changed, {changes.kept:,} kept, "
            f"{changes.removed:,} removed"
        )
    _tell_of_faults(folder, found, gallery, reporter)
    if not gallery.entries:
        raise DataError(
            f"none of the {len(found.photos):,} pictures in '{folder}' can be read. See the warning above."
        )
    return gallery


def split_gallery(
    place: Path,
    manifest: Manifest,
    split: str,
    fingerprint: str,
    embed: Callable[[str], Embeddings],
    reporter: Reporter,
    rebuild: bool = False,
) -> Gallery:
    """The gallery of one split of a prepared corpus, pictures and captions; kept in the folder `place`.

    Args:
        place: folder of the run's galleries.
        manifest: of the corpus.
        split: its name.
        fingerprint: of the matcher.
        embed: split -> its embeddings, called when there is no gallery that fits.
        reporter: hears what is made, and why.
        rebuild: make it again even if it fits.

    Raises:
        UsageError: when the corpus has no such split.
        ResourceError: when the gallery cannot be written.
    """
    manifest.split(split)
    whole = f"{fingerprint}/{manifest.fingerprint}"
    with one_writer(place, reporter):
        path = place / f"{split}.safetensors"
        gallery = None if rebuild else kept_gallery(path, whole, reporter)
        if gallery is None:
            gallery = _encoded_split(manifest, split, whole, embed(split))
            gallery.save(path)
    return _placed(gallery, manifest, split)


def _placed(gallery: Gallery, manifest: Manifest, split: str) -> Gallery:
    """The gallery with its pictures where the manifest says: they may have moved since they were encoded."""
    records = {record.id: record for record in manifest.split(split)}
    entries = (
        dataclasses.replace(entry, path=str(manifest.image_root / (records[entry.id].image or "")))
        for entry in gallery.entries
    )
    return dataclasses.replace(gallery, entries=tuple(entries))


def kept_gallery(path: Path, fingerprint: str, reporter: Reporter) -> Gallery | None:
    """The gallery that is kept at a path, if it fits; one that does not is named in a remark."""
    if not path.exists():
        return None
    try:
        return Gallery.open(path, fingerprint)
    except ArtifactError as error:
        reporter.info(f"{error} It is made again.")
        return None


def index_folder(home: Home, folder: Path | str, fingerprint: str) -> Path:
    """Where the gallery of a folder is kept: one place for each matcher."""
    name = f"{folder}\n{fingerprint}".encode("utf-8", "surrogateescape")
    return home.indexes / hashlib.sha256(name).hexdigest()[:24]


def gallery_folder(matcher: Matcher, manifest: Manifest, home: Home) -> Path:
    """Where the galleries of a corpus are kept: in the run whose corpus it is, else among the indexes."""
    if matcher.opened is not None and manifest.name == matcher.opened.dataset:
        return matcher.opened.folder.path / "gallery"
    return index_folder(home, f"dataset {manifest.name}", matcher.fingerprint)


def _encoded_split(manifest: Manifest, split: str, fingerprint: str, embeddings: Embeddings) -> Gallery:
    """Pictures in the order of the records; of the captions, those of a record with a picture."""
    records = manifest.split(split)
    rows = embeddings.image_row.tolist()
    shown = set(rows)
    has_picture = torch.tensor(
        [row in shown for row, record in enumerate(records) for _ in record.captions], dtype=torch.bool
    )
    entries = (Entry(records[row].id, records[row].image or "", records[row].captions) for row in rows)
    return Gallery(
        source=f"{manifest.name} {split}",
        fingerprint=fingerprint,
        entries=tuple(entries),
        image_vectors=embeddings.image.float(),
        text_vectors=embeddings.text[has_picture].float(),
    )


def _tell_of_faults(folder: Path, found: PhotoFolder, gallery: Gallery, reporter: Reporter) -> None:
    if gallery.unreadable:
        named = ", ".join(
            f"'{bad.id}' ({bad.reason})" for bad in itertools.islice(gallery.unreadable, NAMED_ON_SCREEN)
        )
        more = ", ... (all of them: --json)" if len(gallery.unreadable) > NAMED_ON_SCREEN else ""
        count = f"{len(gallery.unreadable):,} of {len(found.photos):,}"
        reporter.warn(f"{count} pictures in '{folder}' cannot be read and are not searched: {named}{more}")
    if found.foreign_links:
        named = ", ".join(f"'{name}'" for name in found.foreign_links[:NAMED_ON_SCREEN])
        more = ", ..." if len(found.foreign_links) > NAMED_ON_SCREEN else ""
        reporter.warn(
            f"{len(found.foreign_links):,} links lead out of '{folder}' and were left alone: {named}{more}"
        )
