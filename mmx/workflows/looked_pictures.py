"""Pictures that a search looks at twice: how those of a folder or of a corpus are read, and what is kept.

What a second stage needs of a picture takes a pass through its towers, a tenth of a second or more on a
processor; on disk it is some 50 KB, read in less than a millisecond. So it is kept beside the index, for
those pictures that have been near some query.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.batch import Batch
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.engine.kept import held, plain
from mmx.search.gallery_index import GalleryIndex, LocalIndex
from mmx.store.entries import Entry
from mmx.store.images import ImageError
from mmx.store.manifest import Manifest
from mmx.store.one_writer import one_writer
from mmx.store.second_look import SecondLooks
from mmx.workflows.embedded import read_by_run
from mmx.workflows.galleries import SECOND_LOOK, gallery_folder
from mmx.workflows.gallery_place import index_folder, photo_folder
from mmx.workflows.matcher import Matcher
from mmx.workflows.search_settings import SearchSettings, shown

AT_ONCE = 64

Kept = Mapping[str, Tensor]


@dataclass(frozen=True)
class LookedPictures:
    """The pictures of one gallery."""

    read: Callable[[Sequence[Entry]], Batch]
    """Entries -> their images as the model reads them; ImageError when one cannot be read."""
    at_once: int
    """How many of them."""
    looks: SecondLooks | None
    """Where what is kept of them stands; None where it costs little to make again."""
    key: Callable[[Entry], str]
    reporter: Reporter

    def keep(
        self, entries: Sequence[Entry], keep_images: Callable[[Batch], Kept]
    ) -> Iterator[tuple[list[int], Kept]]:
        """Places among the entries, with what is kept of them; one that cannot be read is left out, with a
        warning.

        Raises:
            ResourceError: when the disk is full or closed.
        """
        missing: list[int] = []
        for place, entry in enumerate(entries):
            kept = None if self.looks is None else self.looks.read(self.key(entry))
            if kept is None:
                missing.append(place)
            else:
                yield [place], kept
        alone = self.looks is not None and missing
        with one_writer(present(self.looks).folder, self.reporter) if alone else nullcontext():
            for start in range(0, len(missing), self.at_once):
                for places, batch in self._readable(entries, missing[start : start + self.at_once]):
                    made = {name: held(value).cpu() for name, value in keep_images(batch).items()}
                    self._write([entries[place] for place in places], made)
                    yield places, made

    def _write(self, entries: Sequence[Entry], made: Kept) -> None:
        if self.looks is not None:
            for row, entry in enumerate(entries):
                self.looks.write(self.key(entry), {name: value[row, None] for name, value in made.items()})

    def _readable(self, entries: Sequence[Entry], places: list[int]) -> Iterator[tuple[list[int], Batch]]:
        try:
            yield places, self.read([entries[place] for place in places])
        except ImageError as error:
            if len(places) == 1:
                path = shown(entries[places[0]].path)
                self.reporter.warn(f"'{path}' cannot be read and is not looked at again: {error}")
                return
            for place in places:
                yield from self._readable(entries, [place])


def joined(kept: Sequence[Kept], device: torch.device) -> Kept:
    """What is kept of several pictures, on a device, in float32."""
    return {name: plain(torch.cat([one[name] for one in kept]).to(device)) for name in kept[0]}


def photos_of_folder(
    matcher: Matcher, settings: SearchSettings, index: GalleryIndex, reporter: Reporter
) -> LookedPictures:
    """The photos of a folder, known by their content."""
    place = index_folder(settings.home, photo_folder(index.source), matcher.fingerprint)
    looks = SecondLooks(place / SECOND_LOOK)
    if settings.folder is not None and isinstance(index, LocalIndex):
        # The folder's own index says what is there; a copy of it may be older.
        looks.remove_others(set() if settings.rebuild else {entry.digest for entry in index.gallery.entries})

    def read(entries: Sequence[Entry]) -> Batch:
        return matcher.read_image(Path(entries[0].path))

    return LookedPictures(read, 1, looks, lambda entry: entry.digest, reporter)


def pictures_of_split(
    matcher: Matcher, settings: SearchSettings, index: LocalIndex, reporter: Reporter
) -> LookedPictures:
    """The pictures of one split of a corpus, as the run reads them; where it reads features that are stored,
    nothing more is kept.

    Raises:
        ArtifactError: when features of the pictures are missing or do not fit.
    """
    opened = present(matcher.opened)
    device = next(opened.model.parameters()).device
    dataset, _, split = index.source.rpartition(" ")
    manifest = Manifest.open(settings.home.dataset(dataset))
    images = read_by_run(opened, manifest, split, device, reporter).images(split)
    rows = {record.id: row for row, record in enumerate(manifest.split(split))}

    def read(entries: Sequence[Entry]) -> Batch:
        wanted = torch.tensor([rows[entry.id] for entry in entries])
        return Batch(**images.read(wanted, None)).to(device)

    def key(entry: Entry) -> str:
        name = f"{index.fingerprint}\n{entry.id}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(name).hexdigest()[:32]

    looks = None
    if opened.towers["image"].module is not None:
        looks = SecondLooks(gallery_folder(matcher, manifest, settings.home) / SECOND_LOOK / split)
        looks.remove_others(set() if settings.rebuild else {key(entry) for entry in index.gallery.entries})
    return LookedPictures(read, AT_ONCE, looks, key, reporter)
