"""Record: one image with everything that is known of it; the row of a manifest."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Record:
    """One image (or post) of a corpus, however many captions it has.

    `image` is a path relative to the manifest's image root; None for a post without a picture.
    """

    id: str
    split: str
    image: str | None
    captions: tuple[str, ...] = ()
    label: int | None = None
    identity: int | None = None
    words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sentiment: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def have_identities(records: Iterable[Record]) -> bool:
    """Whether it is said of some pictures which of them show the same person."""
    return any(record.identity is not None for record in records)
