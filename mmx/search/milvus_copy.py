"""A gallery written into Milvus: only what differs from what is there, and whole or not searchable."""

import dataclasses
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow
import torch
from pymilvus import DataType, MilvusClient
from torch import Tensor

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.index_keeper import IndexKeeper
from mmx.core.reporter import Reporter
from mmx.search.approximate import BUILD_BREADTH, HITS, NEIGHBOURS, fewest, recall
from mmx.search.milvus import COLUMNS, MilvusIndex
from mmx.search.milvus_client import AT_ONCE, BUILDING_SECONDS, Address, Connection
from mmx.search.milvus_header import ABOUT, check_width, damaged, read_header, there, write_header
from mmx.search.nearest import nearest
from mmx.store.gallery import Gallery
from mmx.store.gallery_rows import RowsHeader, entry_text, key_of, sums

KINDS: dict[str, dict[str, Any]] = {
    "exact": {"index_type": "FLAT"},
    "hnsw": {"index_type": "HNSW", "params": {"M": NEIGHBOURS, "efConstruction": BUILD_BREADTH}},
}
OURS = pyarrow.schema([("entry", pyarrow.string()), ("sum", pyarrow.int64())])
"""Beside the columns for conditions: all that is known of a picture, and the checksum of its vector."""
PROBES = 128
MESSAGE_BYTES = 8 << 20
"""Of rows that are sent together, about."""
ROW_BYTES = 2048
"""Of a row beside its vector, about."""


@dataclass(frozen=True)
class Written:
    """What a copy did, in pictures."""

    header: RowsHeader
    sent: int
    kept: int
    removed: int


def write_gallery(
    address: str, gallery: Gallery, columns: pyarrow.Table, kind: str | None, reporter: Reporter
) -> Written:
    """Make what is at an address equal to a gallery; recall against exact search is measured with 128 of its
    photos.

    Args:
        address: of a file, which is made, or of a cluster.
        gallery: of photos.
        columns: what a condition may ask of them, those of `milvus.COLUMNS`.
        kind: `exact`, or `hnsw` for a graph; None for what is there already, or else exact.
        reporter: hears of the progress.

    Raises:
        UsageError: when it is no address, or there is no such kind.
        DataError: when there is nothing to write, or a vector holds NaN or infinity.
        ArtifactError: when something else is there, somebody else writes there, or the server is away.
        MissingExtraError: when files of Milvus cannot be written.
    """
    if kind not in (None, *KINDS):
        raise UsageError(f"'{kind}' is no kind of index in Milvus. There is: {', '.join(KINDS)}")
    if not len(gallery.entries):
        raise DataError(
            f"the index of '{gallery.source}' holds no picture, so there is nothing to copy. Add some: "
            "mmx index add DIR"
        )
    if not gallery.image_vectors.isfinite().all():
        raise DataError(f"the index of '{gallery.source}' holds NaN or infinity. Make it again.")
    with closing(Connection(Address.parse(address), make=True)) as connection:
        return _Writer(connection, gallery, kind, reporter).write(columns)


def header_at(address: str) -> RowsHeader:
    """What is said of an index, whole or not.

    Raises:
        ArtifactError: when there is none of mmx, or the server is away.
    """
    with closing(Connection(Address.parse(address))) as connection:
        return there(read_header(connection), address)


def remove_index(address: str) -> RowsHeader:
    """Delete an index, whole or not; what was said of it.

    Raises:
        ArtifactError: when there is none of mmx, or the server is away.
    """
    with closing(Connection(Address.parse(address))) as connection:
        header = there(read_header(connection), address)
        name = connection.address.collection
        # What says that it is an index goes last: what is killed before can be removed again.
        for collection in (name, name + ABOUT):
            if connection.ask("has_collection", collection):
                connection.ask("drop_collection", collection)
        return header


def _as_kept(columns: pyarrow.Table) -> pyarrow.Table:
    """With timestamps as microseconds since 1970."""
    plain = [
        columns[field.name].cast(field.type).cast(pyarrow.int64())
        if pyarrow.types.is_timestamp(field.type)
        else columns[field.name]
        for field in COLUMNS
    ]
    return pyarrow.table(plain, names=COLUMNS.names)


class _Writer:
    """Writes one gallery."""

    def __init__(
        self, connection: Connection, gallery: Gallery, kind: str | None, reporter: Reporter
    ) -> None:
        self._connection, self._gallery, self._reporter = connection, gallery, reporter
        self._name, old = connection.address.collection, read_header(connection)
        kind = kind or (old.kind if old else "exact")
        self._header = dataclasses.replace(RowsHeader.of(gallery, kind), writing=secrets.token_hex(8))
        if old is not None:
            self._check_same(old)
        self._row_of = {key_of(entry.id): row for row, entry in enumerate(gallery.entries)}
        if len(self._row_of) < len(gallery.entries):
            raise DataError(f"two pictures of '{gallery.source}' have the same key. Rename one of them.")

    def write(self, columns: pyarrow.Table) -> Written:
        """Everything, in the order that leaves nothing half looking whole."""
        write_header(self._connection, self._header)
        self._make_collection()
        known = {
            row["key"]: (row["sum"], row["entry"])
            for row in self._connection.rows(self._name, ("key", "sum", "entry"))
        }
        gone = [key for key in known if key not in self._row_of]
        for start in range(0, len(gone), AT_ONCE):
            self._connection.ask("delete", self._name, ids=gone[start : start + AT_ONCE])
        changed = self._changed(known)
        self._send(changed, _as_kept(columns))
        self._connection.ask("flush", self._name, seconds=BUILDING_SECONDS)
        self._make_index()
        count, found = len(self._row_of), self._connection.count(self._name)
        if found != count:
            raise damaged(self._where, f"{found:,} pictures are there and {count:,} were written")
        return Written(self._finish(), len(changed), count - len(changed), len(gone))

    @property
    def _where(self) -> str:
        return str(self._connection.address)

    def _check_same(self, old: RowsHeader) -> None:
        """That what is there is an older copy of the same."""
        for what, kept, ours in (
            ("was made with", old.fingerprint, self._header.fingerprint),
            ("is of the photos in", old.source, self._header.source),
        ):
            if kept != ours:
                raise ArtifactError(
                    f"'{self._where}' {what} '{kept}', and what is to be copied there {what} '{ours}'. Name "
                    f"another place, or remove it first: mmx index remove {self._where}"
                )

    def _make_collection(self) -> None:
        if self._connection.ask("has_collection", self._name):
            check_width(self._connection, self._header)
        else:
            schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("key", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._header.width)
            for field in (*OURS, *COLUMNS):
                is_text = pyarrow.types.is_string(field.type)
                length = {"max_length": 65_535} if is_text else {}
                schema.add_field(field.name, DataType.VARCHAR if is_text else DataType.INT64, **length)
            self._connection.ask(
                "create_collection", self._name, schema=schema, num_shards=1, consistency_level="Strong"
            )
        self._make_index()

    def _make_index(self) -> None:
        """Of the kind that is asked; one of another kind is taken away."""
        wanted = KINDS[self._header.kind]
        built = self._connection.ask("list_indexes", self._name)
        if built:
            kind = self._connection.ask("describe_index", self._name, index_name=built[0])["index_type"]
            if kind != wanted["index_type"]:
                self._connection.ask("release_collection", self._name)
                self._connection.ask("drop_index", self._name, index_name=built[0])
                built = []
        if not built:
            index = MilvusClient.prepare_index_params()
            index.add_index("vector", metric_type="IP", index_name="vector", **wanted)
            self._connection.ask("create_index", self._name, index, seconds=BUILDING_SECONDS)
        self._connection.ask("load_collection", self._name, seconds=BUILDING_SECONDS)

    def _changed(self, known: Mapping[int, tuple[int, str]]) -> list[dict[str, Any]]:
        """What is not there as it ought to be, but for vectors and columns."""
        entries, numbers = self._gallery.entries, sums(self._gallery.image_vectors)
        rows: Iterator[dict[str, Any]] = (
            {"row": row, "key": key_of(entry.id), "entry": entry_text(entry), "sum": numbers[row]}
            for row, entry in enumerate(entries)
        )
        return [row for row in rows if known.get(row["key"]) != (row["sum"], row["entry"])]

    def _send(self, rows: Sequence[dict[str, Any]], columns: pyarrow.Table) -> None:
        at_once = max(1, MESSAGE_BYTES // (4 * self._header.width + ROW_BYTES))
        if not rows:
            return
        with self._reporter.progress("copy to Milvus", len(rows), "photos") as bar:
            for start in range(0, len(rows), at_once):
                some = rows[start : start + at_once]
                places = [row.pop("row") for row in some]
                vectors = self._gallery.image_vectors.index_select(0, torch.tensor(places)).numpy()
                about = columns.take(places).to_pylist()
                sent = [
                    {**row, **more, "vector": vector}
                    for row, more, vector in zip(some, about, vectors, strict=True)
                ]
                self._connection.ask("upsert", self._name, sent)
                bar.advance(len(some))

    def _finish(self) -> RowsHeader:
        """Measure, and say that it is whole."""
        random = torch.Generator().manual_seed(0)
        vectors = self._gallery.image_vectors
        rows = torch.randperm(len(vectors), generator=random)[:PROBES]
        name = f"{len(rows)} of its photos"
        probes = {name: vectors.index_select(0, rows)}
        truth = {name: nearest(probes[name], self._gallery, HITS)[1]}
        effort = 0
        if self._header.kind != "exact":
            effort = fewest(self._named, len(vectors), probes, truth)
        share = recall(self._named(probes[name], effort), truth[name])
        whole = dataclasses.replace(self._header, effort=effort, recall={name: share}, writing="")
        now = read_header(self._connection)
        if now is None or now.writing != self._header.writing:
            raise ArtifactError(f"another mmx wrote to '{self._where}' meanwhile. Copy it there again.")
        write_header(self._connection, whole)
        return whole

    def _named(self, queries: Tensor, effort: int) -> Tensor:
        """[Q, D] -> rows [Q, 10] of the gallery that Milvus finds."""
        index = MilvusIndex(self._connection, dataclasses.replace(self._header, effort=effort))
        keys = index.nearest(queries, HITS)[1]
        return torch.tensor([[self._row_of[key] for key in some] for some in keys.tolist()])


KEEPER = IndexKeeper(MilvusIndex.open, header_at, write_gallery, remove_index)
