"""An index kept by Milvus, which names candidates; they are scored by their vectors on this side.

Shapes: Q queries, N pictures, D width, k hits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow
import torch
from torch import Tensor

from mmx.core.errors import ArtifactError, UsageError
from mmx.search.exact import check_queries
from mmx.search.milvus_client import Address, Connection
from mmx.search.milvus_filter import as_filter
from mmx.search.milvus_header import check_whole, check_width, damaged, read_header, there
from mmx.store.entries import Entries, Entry
from mmx.store.gallery import Gallery
from mmx.store.gallery_rows import RowsHeader, entry_of

COLUMNS = pyarrow.schema(
    [
        ("id", pyarrow.string()),
        ("folder", pyarrow.string()),
        ("name", pyarrow.string()),
        ("size", pyarrow.int64()),
        ("date", pyarrow.timestamp("us")),
    ]
)
"""What a condition may ask of the pictures."""
MOST_HITS = 16_384
"""That Milvus gives for a query."""
SPARE = 6
"""Candidates beyond the k-th, so that near ties are settled by the vectors themselves."""
ANSWER_BYTES = 16 << 20
"""Of vectors that one answer brings at most, about."""


@dataclass(frozen=True)
class MilvusIndex:
    """One that is open; a key is what `gallery_rows.key_of` makes of a picture's name."""

    connection: Connection
    header: RowsHeader

    @classmethod
    def open(cls, address: str, fingerprint: str | None = None) -> "MilvusIndex":
        """One that is whole and was made by what searches now; with None by whatever it was.

        Raises:
            UsageError: when it is no address.
            ArtifactError: when it is not there, not whole, or another's, or the server is away.
            MissingExtraError: when files of Milvus cannot be read.
        """
        connection = Connection(Address.parse(address))
        try:
            header = there(read_header(connection), address)
            check_whole(header, address)
            if fingerprint not in (None, header.fingerprint):
                raise ArtifactError(
                    f"'{address}' was made with '{header.fingerprint}', but what searches now is "
                    f"'{fingerprint}'. Leave out --run and --model, to search with what made it."
                )
            check_width(connection, header)
            connection.ask("load_collection", connection.address.collection)
        except ArtifactError:
            connection.close()
            raise
        return cls(connection, header)

    @property
    def source(self) -> str:
        """The folder that was encoded."""
        return self.header.source

    @property
    def fingerprint(self) -> str:
        """Of what encoded it."""
        return self.header.fingerprint

    @property
    def unreadable(self) -> Sequence[Entry]:
        """Pictures without a vector."""
        return self.header.unreadable

    def __len__(self) -> int:
        return self.header.pictures

    def where(self, condition: str) -> str:
        """The condition as Milvus understands it.

        Raises:
            UsageError: when it is none over the columns, or says more than Milvus can.
        """
        return as_filter(condition, COLUMNS)

    def count(self, allowed: str | None = None) -> int:
        """How many pictures are allowed."""
        return len(self) if allowed is None else self.connection.count(self._collection, allowed)

    def nearest(self, queries: Tensor, k: int, allowed: str | None = None) -> tuple[Tensor, Tensor]:
        """[Q, D] -> scores [Q, k] and keys [Q, k], as of exact search for the candidates that are named.

        Raises:
            UsageError: when a query is zero or holds NaN or infinity, or there are too many hits to be had.
            ArtifactError: when the widths differ, or there is no answer.
        """
        queries = check_queries(queries, torch.empty(0, self.header.width), k)
        k = min(k, len(self))
        if k > MOST_HITS - SPARE:
            raise UsageError(f"{k:,} hits cannot be had of Milvus. Ask for at most {MOST_HITS - SPARE:,}.")
        if not k or not len(queries):
            return queries.new_empty(len(queries), k), torch.empty(len(queries), k, dtype=torch.int64)
        at_once = max(1, ANSWER_BYTES // ((k + SPARE) * self.header.width * 4))
        found = [one for some in queries.split(at_once) for one in self._of_some(some, k, allowed)]
        # A graph may name fewer than were asked for, and a condition allow fewer.
        fewest = min(len(scores) for scores, _ in found)
        return tuple(torch.stack([part[:fewest] for part in parts]) for parts in zip(*found, strict=True))

    def entries_at(self, keys: Sequence[int]) -> list[Entry]:
        """What is known of some pictures.

        Raises:
            ArtifactError: when there is none of a key, or no answer.
        """
        return [entry_of(row["entry"], str(self.connection.address)) for row in self._rows(keys, "entry")]

    def vectors_at(self, keys: Sequence[int]) -> Tensor:
        """[n, D] float32."""
        vectors = [row["vector"] for row in self._rows(keys, "vector")]
        return torch.tensor(vectors, dtype=torch.float32).reshape(len(keys), self.header.width)

    def gallery(self) -> Gallery:
        """All of it, in memory, as a gallery that is searched exactly.

        Raises:
            ArtifactError: when it is not what was written there.
        """
        where, header = str(self.connection.address), self.header
        entries: list[Entry] = []
        vectors = torch.empty(max(header.pictures, 0), header.width)
        for row in self.connection.rows(self._collection, ("entry", "vector")):
            if len(entries) < len(vectors):
                vectors[len(entries)] = torch.tensor(row["vector"], dtype=torch.float32)
            entries.append(entry_of(row["entry"], where))
        order = sorted(range(len(entries)), key=lambda place: entries[place].id)
        if len(order) != header.pictures:
            raise damaged(where, f"{len(order):,} pictures are there and {header.pictures:,} were written")
        gallery = Gallery(
            header.source,
            header.fingerprint,
            Entries.of(entries[place] for place in order),
            vectors.index_select(0, torch.tensor(order, dtype=torch.int64)),
            unreadable=Entries.of(header.unreadable),
            made_by=header.made_by,
            scope=header.scope,
        )
        if gallery.content != header.content:
            raise damaged(where, "the vectors are not those that were written")
        return gallery

    def close(self) -> None:
        """Let go of the data base."""
        self.connection.close()

    @property
    def _collection(self) -> str:
        return self.connection.address.collection

    def _of_some(self, queries: Tensor, k: int, allowed: str | None) -> list[tuple[Tensor, Tensor]]:
        limit = min(k + SPARE, len(self))
        answers = self.connection.ask(
            "search",
            self._collection,
            data=queries.tolist(),
            anns_field="vector",
            limit=limit,
            filter=allowed or "",
            output_fields=["entry", "vector"],
            search_params={"metric_type": "IP", "params": {"ef": max(self.header.effort, limit)}},
            consistency_level="Strong",
        )
        return [self._settled(query, hits, k) for query, hits in zip(queries, answers, strict=True)]

    def _settled(self, query: Tensor, hits: Sequence[Mapping], k: int) -> tuple[Tensor, Tensor]:
        """[D], candidates -> scores [k] and keys [k]: falling scores, then names."""
        where = str(self.connection.address)
        hits = sorted(hits, key=lambda hit: entry_of(hit["entity"]["entry"], where).id)
        vectors = torch.tensor([hit["entity"]["vector"] for hit in hits], dtype=torch.float64)
        scores = (vectors.reshape(len(hits), -1) * query.double()).sum(dim=1).float() if hits else query[:0]
        scores, order = scores.sort(descending=True, stable=True)
        keys = torch.tensor([hit["key"] for hit in hits], dtype=torch.int64)
        return scores[:k], keys[order][:k]

    def _rows(self, keys: Sequence[int], field: str) -> list[Mapping]:
        found = self.connection.rows_at(self._collection, keys, [field])
        strange = next((key for key in keys if key not in found), None)
        if strange is not None:
            raise ArtifactError(
                f"there is no picture {strange} at '{self.connection.address}'. Search again."
            )
        return [found[key] for key in keys]
