"""The galleries that a matcher can search: a split of its own corpus, or any folder of photos."""

import dataclasses
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmx.core.errors import ArtifactError, DataError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.engine.evaluator import Embeddings
from mmx.search.approximate import LEAST_ROWS, Compressed
from mmx.search.photos import find_photos
from mmx.search.refresh import Changes, refresh
from mmx.store.entries import Entries, Entry, with_paths
from mmx.store.gallery import Gallery
from mmx.store.gallery_header import read_header
from mmx.store.image_paths import IMAGE_SUFFIXES
from mmx.store.manifest import Manifest
from mmx.store.one_writer import one_writer
from mmx.store.scope import EVERYTHING, NOTHING, Scope
from mmx.store.shipped import results_place
from mmx.store.tensors import TensorFile
from mmx.workflows.compressed import EXACT, kept_compressed, renew_compressed
from mmx.workflows.gallery_place import GALLERY, dataset_folder, own_galleries, photo_folder
from mmx.workflows.index_places import folder_place
from mmx.workflows.matcher import Matcher
from mmx.workflows.photo_faults import tell_of_faults

SECOND_LOOK = "second-look"


@dataclass(frozen=True)
class FolderIndex:
    """The index of a folder of photos by one matcher."""

    gallery: Gallery
    compressed: Compressed | None
    changes: Changes


def folder_index(
    matcher: Matcher,
    folder: Path,
    home: Home,
    reporter: Reporter,
    rebuild: bool = False,
    add: Iterable[str] = (),
    kind: str | None = None,
) -> FolderIndex:
    """The index of a folder, brought up to date; kept under the home's indexes.

    Args:
        matcher: what encodes.
        folder: its photos at any depth, but for those that were removed from the index.
        home: where indexes are kept.
        reporter: hears what is made, and why.
        rebuild: encode everything again.
        add: names below the folder that belong to the index from now on, `.` for all of it.
        kind: how it is searched from now on; None to leave that as it is.

    Raises:
        UsageError: when the gallery cannot be compressed so.
        DataError: when the folder is absent or holds no picture.
        ResourceError: when the index cannot be written.
    """
    folder = photo_folder(folder)
    found = find_photos(folder, IMAGE_SUFFIXES)
    if not found.photos:
        raise DataError(
            f"'{folder}' holds no pictures. Pictures end in: {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    place = folder_place(home, folder, matcher.fingerprint)
    with one_writer(place, reporter):
        path = place / GALLERY
        old = _begun(path, matcher, folder, add, kind, reporter)
        if rebuild:
            nothing = torch.empty(0, 0)
            old = dataclasses.replace(old, entries=(), unreadable=(), image_vectors=nothing, complete=False)
        photos = [photo for photo in found.photos if old.scope.covers(photo.id)]

        def save(fresh: Gallery) -> None:
            if len(old.entries):
                # What changed on the disk must not be taken over and given a checksum of its own.
                TensorFile(path).check("image_vectors")
            fresh.save(path)

        _, changes = refresh(photos, old, matcher.encode_images, save, reporter)
        # As it lies on the disk: memory-mapped, and with its codes.
        gallery = Gallery.open(path, matcher.fingerprint)
        compressed = renew_compressed(place, gallery, matcher, reporter)
    if changes.encoded or changes.removed:
        reporter.info(
            f"index of '{folder}': {changes.encoded:,} new or changed, {changes.kept:,} kept, "
            f"{changes.removed:,} removed"
        )
    tell_of_faults(folder, found, gallery.unreadable, reporter)
    return FolderIndex(gallery, compressed, changes)


def kept_index(matcher: Matcher, folder: Path, home: Home, reporter: Reporter) -> FolderIndex:
    """The index of a folder as it is kept, without a look at the folder.

    Raises:
        ArtifactError: when there is none of this matcher.
    """
    folder = photo_folder(folder)
    place = folder_place(home, folder, matcher.fingerprint)
    if not (place / GALLERY).exists():
        raise ArtifactError(
            f"'{folder}' has no index by '{matcher.name}'. Make one: mmx index add {shlex.quote(str(folder))}"
        )
    gallery = Gallery.open(place / GALLERY, matcher.fingerprint)
    compressed = None if gallery.kind == EXACT else kept_compressed(place, gallery)
    if gallery.kind != EXACT and compressed is None and len(gallery.entries) >= LEAST_ROWS:
        reporter.info(f"index of '{folder}': exact, until it is refreshed and compressed again")
    return FolderIndex(gallery, compressed, Changes(0, len(gallery.entries), 0))


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
            _encoded_split(manifest, split, whole, embed(split)).save(path)
            gallery = Gallery.open(path, whole)
    # The pictures may have moved since they were encoded: they are where the manifest says.
    images = {record.id: str(manifest.image_root / (record.image or "")) for record in manifest.split(split)}
    paths = (images[entry.id] for entry in gallery.entries)
    return dataclasses.replace(gallery, entries=with_paths(Entries.of(gallery.entries), paths))


def kept_gallery(path: Path, fingerprint: str, reporter: Reporter) -> Gallery | None:
    """The gallery that is kept at a path, if it fits; one that does not is named in a remark."""
    if not path.exists():
        return None
    try:
        return Gallery.open(path, fingerprint)
    except ArtifactError as error:
        reporter.info(f"{error} It is made again.")
        return None


def gallery_folder(matcher: Matcher, manifest: Manifest, home: Home) -> Path:
    """Where the galleries of a corpus are kept: in the run whose corpus it is, else among the indexes."""
    opened = matcher.opened
    if opened is not None and manifest.name == opened.dataset:
        return own_galleries(results_place(opened.folder.path, home))
    return dataset_folder(home, manifest.name, matcher.fingerprint)


def _begun(
    path: Path, matcher: Matcher, folder: Path, add: Iterable[str], kind: str | None, reporter: Reporter
) -> Gallery:
    """The gallery so far, with what is asked of it now; unfinished where that is new."""
    add = tuple(add)
    kept = kept_gallery(path, matcher.fingerprint, reporter)
    scope = (path.exists() and _kept_scope(path)) or (NOTHING if add else EVERYTHING)
    nothing = torch.empty(0, 0)
    old = kept or Gallery(str(folder), matcher.fingerprint, (), nothing, complete=False, scope=scope)
    scope = old.scope
    for name in add:
        scope = scope.with_rule(name, True)
    asked: dict[str, Any] = {
        "source": str(folder),
        "scope": scope,
        "kind": kind or old.kind,
        "made_by": _made_by(matcher),
    }
    changed = any(getattr(old, name) != value for name, value in asked.items())
    return dataclasses.replace(old, **asked, complete=old.complete and not changed)


def _kept_scope(path: Path) -> Scope | None:
    """What is in, by the header of a gallery whose vectors are damaged: what was removed stays out."""
    try:
        return Scope(read_header(TensorFile(path))["scope"])
    except ArtifactError:
        return None


def _made_by(matcher: Matcher) -> dict[str, str]:
    """How the matcher is opened again."""
    if matcher.opened is None:
        return {"model": matcher.name}
    return {"run": str(matcher.opened.folder.path)}


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
