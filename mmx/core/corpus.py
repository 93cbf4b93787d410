"""Corpus: what a data set declares, so that `mmx prepare` can read its official layout."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmx.core.record import Record


@dataclass(frozen=True)
class Reading:
    """What a reader found in a raw folder: records with split and image path, and where the images lie."""

    records: Iterable[Record]
    image_root: Path
    class_names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """Things worth telling: a known bad name skipped, a list of unusual length."""


@dataclass(frozen=True)
class Corpus:
    """One public data set: found by the name of its file in `mmx.corpora`."""

    summary: str
    layout: str
    """The files expected under --raw, in one or two lines."""
    read: Callable[[Path | None, Mapping[str, str]], Reading]
    """(raw folder or None, options) -> records."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options of this corpus (`--set name=value` of `prepare`) with their defaults."""
    needs_raw: bool = True
    """False for a corpus that makes itself (the drawn scenes)."""
