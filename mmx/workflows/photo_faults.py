"""What in a folder of photos cannot be searched, told to whoever searches; needs no torch."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from mmx.core.reporter import Reporter
from mmx.search.photos import PhotoFolder
from mmx.store.entries import Entry

NAMED_ON_SCREEN = 5


def tell_of_faults(folder: Path, found: PhotoFolder, unreadable: Sequence[Entry], reporter: Reporter) -> None:
    """Warn of pictures that cannot be read, and of links that lead out of the folder."""
    if unreadable:
        named = ", ".join(
            f"'{bad.id}' ({bad.reason})" for bad in itertools.islice(unreadable, NAMED_ON_SCREEN)
        )
        more = ", ... (all of them: --json)" if len(unreadable) > NAMED_ON_SCREEN else ""
        count = f"{len(unreadable):,} of {len(found.photos):,}"
        reporter.warn(f"{count} pictures in '{folder}' cannot be read and are not searched: {named}{more}")
    if found.foreign_links:
        named = ", ".join(f"'{name}'" for name in found.foreign_links[:NAMED_ON_SCREEN])
        more = ", ..." if len(found.foreign_links) > NAMED_ON_SCREEN else ""
        reporter.warn(
            f"{len(found.foreign_links):,} links lead out of '{folder}' and were left alone: {named}{more}"
        )
