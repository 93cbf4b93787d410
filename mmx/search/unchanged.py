"""Whether a folder holds just the photos that its gallery was made of, by what the disk says of them."""

import time
from collections.abc import Sequence

from mmx.search.photos import JUST_NOW_NS, Photo
from mmx.store.entries import Entries

COLUMNS = ("id", "size", "mtime_ns", "digest")


def unchanged(photos: Sequence[Photo], *listed: Entries) -> bool:
    """Whether these photos are those that are listed, each of the same size and time of change, and none so
    new that it may change again unseen. Then a refresh would find nothing to do.
    """
    known: dict[bytes, tuple[int, int]] = {}
    for entries in listed:
        rows = zip(*(entries.table[name].to_pylist() for name in COLUMNS), strict=True)
        known |= {id: (size, mtime_ns) for id, size, mtime_ns, digest in rows if digest}
    settled = time.time_ns() - JUST_NOW_NS
    return len(known) == len(photos) and all(
        known.get(photo.id.encode("utf-8", "surrogateescape")) == (photo.size, photo.mtime_ns)
        and photo.mtime_ns < settled
        for photo in photos
    )
