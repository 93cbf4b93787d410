"""IndexKeeper: what keeps indexes of photos at addresses of its own, such as a data base."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class IndexKeeper:
    """Four functions; an address is `scheme://...` as typed. Each may raise ArtifactError, when there is
    nothing, something else or nobody at an address, and UsageError, when it is no address.
    """

    open: Callable[[str, str | None], Any]
    """(address, fingerprint of what searches, or None) -> a `mmx.search.gallery_index.GalleryIndex` that is
    whole. It also has `header` (a `mmx.store.gallery_rows.RowsHeader`), `gallery()` (all of it, a
    `mmx.store.gallery.Gallery`) and `close()`.
    """
    header_at: Callable[[str], Any]
    """address -> the RowsHeader, also of one that is not whole."""
    write_gallery: Callable[..., Any]
    """(address, Gallery, table of columns for conditions, kind or None, reporter) -> `header`, and in
    pictures `sent`, `kept` and `removed`. Until it ends, `open` refuses.
    """
    remove_index: Callable[[str], Any]
    """address -> the RowsHeader of what is gone."""
