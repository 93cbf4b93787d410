"""Corpus: what a data set declares, so that `mmx prepare` can read its official layout."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmx.core.record import Record


@dataclass(frozen=True)
class Reading:
    """What a reader found in a raw folder: records with split and image path, and where the images lie."""

    records: Iterable[Record]
    image_root: Path
    class_names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """Things worth telling: a known bad name skipped, a list of unusual length."""
    rejects: Sequence[Mapping[str, Any]] = ()
    """Rows that the reader left out: `source` (file and line), `value` and `reason`."""
    drawn: frozenset[str] = frozenset()
    """Ids of the records whose split was drawn by a seed; twins among them may be put into one split."""
    pictures_optional: bool = False
    """Whether a record is kept without its picture where that is missing or damaged, as a post is."""


@dataclass(frozen=True)
class Corpus:
    """One public data set: found by the name of its file in `mmx.corpora`."""

    summary: str
    layout: str
    """The files expected under --raw, in one or two lines."""
    read: Callable[[Path, Mapping[str, str]], Reading]
    """(raw folder, options) -> records. One that makes itself is given an empty folder to fill."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options of this corpus (`--set name=value` of `prepare`) with their defaults."""
    fits: Callable[[Path], bool] | None = None
    """(folder) -> whether one's own data lie in this layout; None for what is read by its name alone."""
    prompts: tuple[str, ...] = ()
    """Sentences with {} in the place of a class's name, of pictures of such classes."""
    needs_raw: bool = True
    """False for a corpus that makes itself (the drawn scenes)."""
