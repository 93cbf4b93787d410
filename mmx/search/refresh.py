"""Bring the gallery of a folder up to date: encode what is new, keep what is unchanged, drop what is gone."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.reporter import Progress, Reporter
from mmx.search.photos import JUST_NOW_NS, Photo, digest
from mmx.store.entries import Entry
from mmx.store.gallery import Gallery
from mmx.store.images import date_taken

Encode = Callable[[Sequence[Path], Reporter], tuple[Tensor, list[tuple[int, str]]]]

PIECE = 256
"""Photos encoded between two looks at the clock."""
SAVE_SECONDS = 30.0
"""After so long unfinished work is saved, so that a kill costs no more than that."""
SAVE_SHARE = 20
"""Unfinished work is saved no oftener than leaves this many times the writing for the encoding."""


@dataclass(frozen=True)
class Changes:
    """What a refresh did, in photos."""

    encoded: int
    kept: int
    removed: int


def refresh(
    photos: Sequence[Photo],
    old: Gallery,
    encode: Encode,
    save: Callable[[Gallery], None],
    reporter: Reporter,
) -> tuple[Gallery, Changes]:
    """The gallery of these photos, equal to one made from nothing.

    It is saved when anything changed, and now and then on the way.

    Args:
        photos: what the folder holds, in order.
        old: the gallery so far, perhaps empty or unfinished.
        encode: (paths, reporter) -> vectors [n, D] of the readable ones, (place, reason) of the others.
        save: keeps a gallery.
        reporter: hears of the progress.
    """
    known = _Known(old)
    listed = [known.entry(photo) for photo in photos]
    missing = list({known.key(entry): entry for entry in listed if known.is_new(entry)}.values())
    saved, pause = time.monotonic(), SAVE_SECONDS
    if missing:
        with reporter.progress("encode photos", len(missing), "photos") as bar:
            for start in range(0, len(missing), PIECE):
                known.learn(missing[start : start + PIECE], encode, _OneBar(bar, reporter))
                began = time.monotonic()
                if began - saved >= pause and start + PIECE < len(missing):
                    save(known.gallery(listed, complete=False))
                    saved = time.monotonic()
                    pause = max(SAVE_SECONDS, SAVE_SHARE * (saved - began))
    fresh = known.gallery(listed, complete=True)
    same = fresh.entries is old.entries and tuple(fresh.unreadable) == tuple(old.unreadable)
    if not (same and old.complete):
        save(fresh)
    ids = {entry.id for entry in listed}
    removed = sum(entry.id not in ids for entry in (*old.entries, *old.unreadable))
    return fresh, Changes(len(missing), len(listed) - len(missing), removed)


class _Known:
    """Vectors and faults by the content of files, whatever their names."""

    def __init__(self, old: Gallery) -> None:
        self._old, self._old_entries = old, tuple(old.entries)
        self._entries = {entry.id: entry for entry in (*self._old_entries, *old.unreadable)}
        self._pool = [old.image_vectors]
        self._rows = {entry.digest: row for row, entry in enumerate(self._old_entries)}
        self._pooled = len(self._old_entries)
        self._reasons = {entry.digest: entry.reason for entry in old.unreadable if entry.digest}
        self._now_ns = time.time_ns()

    def key(self, entry: Entry) -> str:
        """The content; for a file that cannot be opened, its name."""
        return entry.digest or f"no content: {entry.id}"

    def entry(self, photo: Photo) -> Entry:
        """The photo as an entry; its content is read only where size or time differ."""
        before = self._entries.get(photo.id)
        settled = photo.mtime_ns < self._now_ns - JUST_NOW_NS
        same = before is not None and (before.size, before.mtime_ns) == (photo.size, photo.mtime_ns)
        content = before.digest if before and same and settled and before.digest else digest(photo.path)
        taken = before.taken if before and before.digest == content else date_taken(photo.path)
        return Entry(photo.id, str(photo.path), (), photo.size, photo.mtime_ns, taken, content)

    def is_new(self, entry: Entry) -> bool:
        """Whether neither a vector nor a fault is known of it."""
        return self.key(entry) not in self._rows and self.key(entry) not in self._reasons

    def learn(self, entries: Sequence[Entry], encode: Encode, reporter: Reporter) -> None:
        """Encode photos and remember their vectors or their faults."""
        vectors, failures = encode([Path(entry.path) for entry in entries], reporter)
        reasons = dict(failures)
        readable = [self.key(entry) for place, entry in enumerate(entries) if place not in reasons]
        self._reasons.update({self.key(entries[place]): reason for place, reason in failures})
        for row, (key, usable) in enumerate(
            zip(readable, vectors.isfinite().all(dim=1).tolist(), strict=True)
        ):
            if usable:
                self._rows[key] = self._pooled + row
            else:
                self._reasons[key] = "its vector holds NaN or infinity"
        if readable:
            self._pool.append(vectors.float())
            self._pooled += len(vectors)

    def gallery(self, listed: Sequence[Entry], complete: bool) -> Gallery:
        """What is known by now, in the order of the list."""
        good = tuple(entry for entry in listed if self.key(entry) in self._rows)
        faults = ((entry, self._reasons.get(self.key(entry), "")) for entry in listed)
        bad = tuple(replace(entry, reason=reason) for entry, reason in faults if reason)
        if good == self._old_entries:
            return replace(self._old, unreadable=bad, complete=complete)
        filled = [vectors for vectors in self._pool if len(vectors)]
        rows = torch.tensor([self._rows[self.key(entry)] for entry in good], dtype=torch.int64)
        vectors = torch.cat(filled).index_select(0, rows) if good else torch.empty(0, 0)
        return replace(
            self._old, entries=good, unreadable=bad, image_vectors=vectors, complete=complete, codes=None
        )


class _OneBar:
    """A reporter whose bars are all the same one, so that many small jobs are seen as one."""

    def __init__(self, bar: Progress, reporter: Reporter) -> None:
        self._bar, self.info, self.warn = bar, reporter.info, reporter.warn

    @contextmanager
    def progress(self, title: str, total: float | None, unit: str, done: int = 0) -> Iterator[Progress]:
        """The one bar."""
        yield self._bar
