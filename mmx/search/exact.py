"""The k best rows of a gallery for each query, exactly, a block of rows at a time.

Shapes: Q queries, N rows of the gallery, D width of the shared space, k hits.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.search.query import directionless

QUERIES_AT_ONCE = 256
SPARE = 6
"""Candidates kept beyond the k-th, so that near ties are settled exactly without a second pass."""
CHUNK = 64
"""Scores of which only the greatest is looked at until the best chunks are known."""
PAIRS_RESCORED = 4096
ROWS_A_PRODUCT = 1024
"""Of the gallery, on a processor: so many stay in its caches while a product packs and reads them."""


def top_k(
    queries: Tensor, gallery: Tensor, k: int, block: int = 16_384, names: Sequence[str] | None = None
) -> tuple[Tensor, Tensor]:
    """[Q, D], [N, D] -> scores [Q, k] float32, falling, and rows [Q, k] int64, the lower first on a tie.

    A score is the inner product in float64, rounded to float32: candidates are found in float32 and scored
    again. So neither the block nor the number of threads changes a result. With k beyond N there are N hits.

    Args:
        queries: rows of some length; they need not be of unit length.
        gallery: float32 or float16, in memory or memory-mapped.
        k: hits for each query, from 0.
        block: rows of the gallery read at once.
        names: what to call each query in an error.

    Raises:
        UsageError: when k or the block is negative, or a query is zero or holds NaN or infinity.
        ArtifactError: when the widths differ.
        DataError: when a row of the gallery holds NaN.
    """
    if block < 1:
        raise UsageError(f"a block of {block} rows is not possible. It is at least 1.")
    queries = check_queries(queries, gallery, k, names)
    k = min(k, len(gallery))
    if k == 0 or len(queries) == 0:
        return queries.new_empty(len(queries), k), torch.empty(
            len(queries), k, dtype=torch.int64, device=queries.device
        )
    parts = [_top_k_of_some(some, gallery, k, block) for some in queries.split(QUERIES_AT_ONCE)]
    return torch.cat([scores for scores, _ in parts]), torch.cat([rows for _, rows in parts])


def check_queries(queries: Tensor, gallery: Tensor, k: int, names: Sequence[str] | None = None) -> Tensor:
    """[Q, D], [N, D] -> the queries [Q, D] float32, if k hits can be looked for with them.

    Raises:
        UsageError: when k is negative, or a query is zero or holds NaN or infinity.
        ArtifactError: when the widths differ.
    """
    if k < 0:
        raise UsageError(f"k={k} is not possible. It is at least 0.")
    if queries.shape[1] != gallery.shape[1]:
        raise ArtifactError(
            f"queries are {queries.shape[1]} wide, the gallery is {gallery.shape[1]} wide. "
            "They come from different encoders: make the gallery again."
        )
    queries = queries.float()
    _refuse_directionless(queries, names)
    return queries


def _refuse_directionless(queries: Tensor, names: Sequence[str] | None) -> None:
    lengths = queries.norm(dim=1)
    bad = (~(lengths.isfinite() & (lengths > 0))).nonzero()
    if len(bad):
        row = int(bad[0])
        raise directionless(names[row] if names else f"number {row}", float(lengths[row]))


def _top_k_of_some(queries: Tensor, gallery: Tensor, k: int, block: int) -> tuple[Tensor, Tensor]:
    kept = min(k + SPARE, len(gallery))
    scores, rows = _candidates(queries, gallery, kept, block)
    if not scores.isfinite().all():
        raise DataError(
            f"row {_unusable_row(gallery, block)} of the gallery holds NaN or infinity. Make it again."
        )
    exact_scores, length = _rescored(queries, gallery, rows)
    # Two rounding errors of a float32 inner product: no row below this line can belong to the true k best.
    line = scores[:, k - 1] - (queries.shape[1] + 2) * 2.0**-23 * queries.norm(dim=1) * length
    best_scores, best_rows = best(exact_scores, rows, k)
    if kept < len(gallery):
        for query in (scores[:, -1] >= line).nonzero().flatten().tolist():
            settled = _settle_ties(queries[query], gallery, k, block, line[query])
            best_scores[query], best_rows[query] = settled
    return best_scores, best_rows


def _candidates(queries: Tensor, gallery: Tensor, kept: int, block: int) -> tuple[Tensor, Tensor]:
    """The `kept` rows with the greatest float32 score, in falling order: scores [Q, kept], rows [Q, kept]."""
    scores = queries.new_empty(len(queries), 0)
    rows = torch.empty(len(queries), 0, dtype=torch.int64, device=queries.device)
    for start in range(0, len(gallery), block):
        fresh = _products(queries, gallery[start : start + block])
        fresh_scores, fresh_rows = greatest(fresh, min(kept, fresh.shape[1]))
        scores, rows = torch.cat([scores, fresh_scores], dim=1), torch.cat([rows, fresh_rows + start], dim=1)
        scores, order = scores.topk(min(kept, scores.shape[1]), dim=1)
        rows = rows.gather(1, order)
    return scores, rows


def _products(queries: Tensor, gallery: Tensor) -> Tensor:
    """[Q, D], [N, D] -> the inner products [Q, N] float32."""
    scores = queries.new_empty(len(queries), len(gallery))
    rows = ROWS_A_PRODUCT if queries.device.type == "cpu" else max(len(gallery), 1)
    for some, part in zip(gallery.split(rows), scores.split(rows, dim=1), strict=True):
        torch.mm(queries, _as_queries(some, queries).T, out=part)
    return scores


def greatest(scores: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """[Q, N] -> the `kept` greatest of each row, falling, and their places [Q, kept]; the best chunks are
    found first.
    """
    chunks = scores.shape[1] // CHUNK
    if chunks <= kept:
        return scores.topk(kept, dim=1)
    # Chunk c holds the places c, c + chunks, c + 2 chunks ...: the greatest of each is one vectorised pass.
    folded = scores[:, : chunks * CHUNK].unflatten(1, (CHUNK, chunks))
    best_chunks = folded.amax(dim=1).topk(kept, dim=1).indices
    places = best_chunks[:, None, :] + torch.arange(CHUNK, device=scores.device)[None, :, None] * chunks
    rest = torch.arange(chunks * CHUNK, scores.shape[1], device=scores.device).expand(len(scores), -1)
    places = torch.cat([places.flatten(1), rest], dim=1)
    top, order = scores.gather(1, places).topk(kept, dim=1)
    return top, places.gather(1, order)


def _settle_ties(query: Tensor, gallery: Tensor, k: int, block: int, line: Tensor) -> tuple[Tensor, Tensor]:
    """One query with more rows near its k-th score than were kept: all above the line are scored again."""
    scores, rows = query.new_empty(1, 0), torch.empty(1, 0, dtype=torch.int64, device=query.device)
    for start in range(0, len(gallery), block):
        fresh = query @ _as_queries(gallery[start : start + block], query).T
        near = ((fresh >= line).nonzero().flatten() + start)[None]
        rows = torch.cat([rows, near], dim=1)
        scores = torch.cat([scores, rescore(query[None], gallery, near)], dim=1)
        scores, rows = best(scores, rows, min(k, rows.shape[1]))
    return scores[0], rows[0]


def rescore(queries: Tensor, gallery: Tensor, rows: Tensor) -> Tensor:
    """[Q, D], [N, D], rows [Q, M] -> scores [Q, M] float32, the inner products in float64.

    Raises:
        DataError: when one of the rows holds NaN or infinity.
    """
    scores, _ = _rescored(queries, gallery, rows)
    if not scores.isfinite().all():
        bad = int(rows.flatten()[(~scores.isfinite()).flatten().nonzero()[0]])
        raise DataError(f"row {bad} of the gallery holds NaN or infinity. Make it again.")
    return scores


def _rescored(queries: Tensor, gallery: Tensor, rows: Tensor) -> tuple[Tensor, float]:
    """[Q, D], [N, D], rows [Q, M] -> scores [Q, M], and the greatest length among those rows.

    Each score is summed by itself, so that it depends on its two vectors alone.
    """
    scores, greatest = [], 0.0
    owners = torch.arange(len(queries), device=rows.device).repeat_interleave(rows.shape[1])
    for few, owner in zip(rows.flatten().split(PAIRS_RESCORED), owners.split(PAIRS_RESCORED), strict=True):
        vectors = gallery.index_select(0, few.to(gallery.device)).to(queries.device, torch.float64)
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        greatest = max(greatest, float(lengths.amax()) if len(few) else 0.0)
        scores.append(vectors.mul_(queries.index_select(0, owner)).sum(dim=1).float())
    return torch.cat(scores).view(rows.shape), greatest


def best(scores: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of the candidates [Q, M]: falling scores, then rising rows."""
    rows, order = rows.sort(dim=1)
    scores, ranking = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
    return scores[:, :k], rows.gather(1, ranking)[:, :k]


def _as_queries(rows: Tensor, queries: Tensor) -> Tensor:
    return rows.to(queries.device, torch.float32)


def _unusable_row(gallery: Tensor, block: int) -> int:
    for start in range(0, len(gallery), block):
        bad = (~gallery[start : start + block].isfinite().all(dim=1)).nonzero()
        if len(bad):
            return start + int(bad[0])
    return -1
