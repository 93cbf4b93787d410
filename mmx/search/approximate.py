"""Compressed indexes of FAISS: they name candidates, which are then scored by the vectors themselves.

`pq`: each four numbers of a vector become four bits (product quantization, scanned in registers), a
thirty-second of the size. `hnsw`: a graph of neighbours over 8-bit vectors, for the fewest steps a query.

Shapes: Q queries, N rows of the gallery, D width, k hits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import faiss
import numpy
import torch
from torch import Tensor

from mmx.core.errors import ArtifactError, UsageError
from mmx.search.exact import best, check_queries, rescore
from mmx.store.approximation import Approximation
from mmx.store.gallery import Gallery

KINDS = ("pq", "hnsw")
HITS = 10
"""For which recall is measured."""
WANTED = 0.99
LEAST_ROWS = 1000
DIMENSIONS_A_CODE, BITS = 4, 4
TRAINED_ON = 1 << 15
NEIGHBOURS, BUILD_BREADTH = 32, 80
FEWEST, MOST = 50, 6400
"""Candidates that are tried, doubled each time."""
AHEAD = 8
"""Of an index that scans all codes: so many times as many are asked; 400 take a quarter longer than 50."""


@dataclass(frozen=True)
class Compressed:
    """An approximation, ready to be asked."""

    about: Approximation
    index: faiss.Index

    @classmethod
    def of(cls, about: Approximation) -> "Compressed":
        """Read what was kept.

        Raises:
            ArtifactError: when the library cannot read it.
        """
        try:
            index = faiss.deserialize_index(about.data.numpy())
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ArtifactError(f"the compressed index cannot be read ({reason}).") from error
        return cls(about, index)

    def top_k(self, queries: Tensor, gallery: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """[Q, D], [N, D] -> scores [Q, k] and rows [Q, k], as `exact.top_k` gives for most of them.

        Raises:
            UsageError: when a query is zero or holds NaN or infinity.
            ArtifactError: when the widths differ.
            DataError: when a row that is named holds NaN.
        """
        queries = check_queries(queries, gallery, k)
        k = min(k, len(gallery))
        if not k or not len(queries):
            return queries.new_empty(len(queries), k), torch.empty(len(queries), k, dtype=torch.int64)
        named = self.named(queries, self.about.candidates * -(-k // HITS))
        return best(rescore(queries, gallery, named), named, k)

    def named(self, queries: Tensor, candidates: int) -> Tensor:
        """[Q, D] -> rows [Q, M] that are worth a closer look; M is at most `candidates`, and the gallery."""
        faiss.omp_set_num_threads(torch.get_num_threads())
        candidates = min(candidates, self.index.ntotal)
        if isinstance(self.index, faiss.IndexHNSW):
            self.index.hnsw.efSearch = candidates
        rows = torch.from_numpy(self.index.search(queries.numpy(), candidates)[1])
        # A graph may name fewer than were asked for: -1 stands in the places left.
        return rows[:, : int((rows >= 0).sum(dim=1).min())]


def build(
    kind: str, gallery: Gallery, probes: Mapping[str, Tensor], truth: Mapping[str, Tensor]
) -> Compressed:
    """A compressed index of a gallery, with as many candidates as bring 99% of the ten nearest.

    Their number is chosen with every other probe, and recall measured with the rest.

    Args:
        kind: `pq` or `hnsw`.
        gallery: what it is made of.
        probes: by kind of query, vectors [Q, D].
        truth: for each, the rows [Q, 10] that exact search finds.

    Raises:
        UsageError: when there is no such kind, or the gallery is too small or of an odd width.
    """
    vectors = gallery.image_vectors
    if kind not in KINDS:
        raise UsageError(f"'{kind}' is no kind of index. There is: exact, {', '.join(KINDS)}")
    if len(vectors) < LEAST_ROWS:
        raise UsageError(
            f"'{gallery.source}' has {len(vectors):,} pictures, and a compressed index is of use from "
            f"{LEAST_ROWS:,}. Leave it exact."
        )
    if vectors.shape[1] % DIMENSIONS_A_CODE:
        raise UsageError(
            f"vectors {vectors.shape[1]} wide cannot be compressed by fours. Leave the index exact."
        )
    index = _filled(kind, vectors)
    trial = Compressed(Approximation(kind, gallery.content, FEWEST, {}, torch.empty(0)), index)
    candidates = fewest(trial.named, len(vectors), probes, truth, AHEAD if kind == "pq" else 1)
    measured = {
        name: recall(trial.named(probe[1::2], candidates), truth[name][1::2])
        for name, probe in probes.items()
    }
    data = torch.from_numpy(faiss.serialize_index(index))
    return Compressed(Approximation(kind, gallery.content, candidates, measured, data), index)


def recall(named: Tensor, truth: Tensor) -> float:
    """The share of the true rows [Q, k] among those named [Q, M], whose own vectors then put them first."""
    return float((named[:, :, None] == truth[:, None, :]).any(dim=1).float().mean())


def fewest(
    named: Callable[[Tensor, int], Tensor],
    rows: int,
    probes: Mapping[str, Tensor],
    truth: Mapping[str, Tensor],
    ahead: int = 1,
) -> int:
    """The fewest candidates among so many rows that reach the recall wanted for every kind of query, by every
    other probe; else the most that are tried. Where few candidates are the first of many, so many times as
    many may be named `ahead`.
    """
    count, known, lists = FEWEST, 0, {}
    while count < min(MOST, rows):
        if count > known:
            known = count * ahead
            lists = {name: named(probe[::2], known) for name, probe in probes.items()}
        if min(recall(found[:, :count], truth[name][::2]) for name, found in lists.items()) >= WANTED:
            break
        count *= 2
    return min(count, rows)


def _filled(kind: str, vectors: Tensor) -> faiss.Index:
    faiss.omp_set_num_threads(torch.get_num_threads())
    width, product = vectors.shape[1], faiss.METRIC_INNER_PRODUCT
    if kind == "pq":
        index = faiss.IndexPQFastScan(width, width // DIMENSIONS_A_CODE, BITS, product)
    else:
        index = faiss.IndexHNSWSQ(width, faiss.ScalarQuantizer.QT_8bit, NEIGHBOURS, product)
        index.hnsw.efConstruction = BUILD_BREADTH
    array = vectors.numpy()
    step = max(1, len(array) // TRAINED_ON)
    index.train(numpy.ascontiguousarray(array[::step]))
    for start in range(0, len(array), TRAINED_ON):
        index.add(array[start : start + TRAINED_ON])
    return index
