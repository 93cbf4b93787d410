"""Entries: what is known of each picture of a gallery, as Arrow columns that are read where they lie.

A name need not be valid UTF-8 on every system, so that ids and paths are bytes on the disk and text here.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy
import pyarrow

NAMES = ("id", "path")
AT_ONCE = 4096


@dataclass(frozen=True)
class Entry:
    """One picture of a gallery. `reason` says why it has no vector; it is empty where there is one."""

    id: str
    path: str
    captions: tuple[str, ...] = ()
    size: int = 0
    mtime_ns: int = 0
    taken: str = ""
    """When the photo was taken by its own account, as `2026-11-21T12:00:00`; empty where it says nothing."""
    digest: str = ""
    reason: str = ""


SCHEMA = pyarrow.schema(
    [
        ("id", pyarrow.binary()),
        ("path", pyarrow.binary()),
        ("captions", pyarrow.list_(pyarrow.string())),
        ("size", pyarrow.int64()),
        ("mtime_ns", pyarrow.int64()),
        ("taken", pyarrow.string()),
        ("digest", pyarrow.string()),
        ("reason", pyarrow.string()),
    ]
)


class Entries(Sequence[Entry]):
    """Entries in a table; each is made when it is asked for."""

    def __init__(self, table: pyarrow.Table) -> None:
        self.table = table

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Entries":
        """The table of some entries; what is one already stays as it is."""
        if isinstance(entries, Entries):
            return entries
        rows = [
            {**vars(entry), **{name: _to_bytes(getattr(entry, name)) for name in NAMES}} for entry in entries
        ]
        return cls(pyarrow.Table.from_pylist(rows, SCHEMA))

    @classmethod
    def from_words(cls, words: numpy.ndarray) -> "Entries":
        """Back from `to_words`, without a copy.

        Raises:
            ValueError: when the bytes are no table of entries.
        """
        try:
            with pyarrow.ipc.open_stream(pyarrow.py_buffer(words.view(numpy.uint8))) as reader:
                table = reader.read_all()
        except OSError as error:
            raise ValueError(str(error)) from error
        if not table.schema.equals(SCHEMA):
            raise ValueError(f"its columns are {', '.join(table.schema.names)}")
        return cls(table)

    def to_words(self) -> numpy.ndarray:
        """The table as an Arrow stream: [bytes / 8] int64, since Arrow reads nothing that is out of step."""
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, SCHEMA) as writer:
            writer.write_table(self.table.combine_chunks())
        data = bytearray(sink.getvalue().to_pybytes())
        data += bytes(-len(data) % numpy.dtype(numpy.int64).itemsize)
        return numpy.frombuffer(data, numpy.int64)

    @cached_property
    def caption_ends(self) -> numpy.ndarray:
        """[N] int64: how many captions the entries up to and with each one have."""
        lists = self.table["captions"].combine_chunks()
        if not len(lists):
            return numpy.empty(0, numpy.int64)
        # Read from their buffer: Arrow's own way to numpy imports pandas, which takes most of a second.
        places = lists.offsets
        ends = numpy.frombuffer(places.buffers()[1], numpy.int32)[places.offset :][: len(places)]
        return ends[1:].astype(numpy.int64) - ends[0]

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[row] for row in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        return _entry(self.table.slice(place % len(self), 1).to_pylist()[0])

    def __iter__(self) -> Iterator[Entry]:
        for batch in self.table.to_batches(max_chunksize=AT_ONCE):
            yield from map(_entry, batch.to_pylist())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Entries):
            return self.table.equals(other.table)
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # what is equal by its rows is not hashed by them


@dataclass(frozen=True)
class Captions(Sequence[tuple[Entry, str]]):
    """Each caption of a gallery, with the picture that it describes; in the order of the pictures."""

    entries: Entries

    def __len__(self) -> int:
        return int(self.entries.caption_ends[-1]) if len(self.entries) else 0

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[row] for row in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        place = int(place) % len(self)
        owner = int(self.entries.caption_ends.searchsorted(place, side="right"))
        entry = self.entries[owner]
        return entry, entry.captions[place - int(self.entries.caption_ends[owner])]


def with_paths(entries: Entries, paths: Iterable[str]) -> Entries:
    """The same entries, with their pictures elsewhere."""
    column = pyarrow.array(map(_to_bytes, paths), pyarrow.binary())
    return Entries(entries.table.set_column(entries.table.schema.get_field_index("path"), "path", column))


def _to_bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _entry(row: dict[str, Any]) -> Entry:
    names = {name: row[name].decode("utf-8", "surrogateescape") for name in NAMES}
    return Entry(**{**row, **names, "captions": tuple(row["captions"])})
