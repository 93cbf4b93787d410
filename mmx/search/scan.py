"""A large gallery scanned through its 8-bit codes; what comes near is scored again by the vectors themselves.

Shapes: Q queries, N rows of the gallery, D width, k hits.
Source: the scheme is common; the line below which nothing is scored again is ours.
"""

import torch
from torch import Tensor

from mmx.search.exact import best, check_queries, greatest, rescore
from mmx.store.codes import Codes, round_off

BLOCK = 1 << 16
SPARE = 54
"""Rows beyond k that are scored again at once."""
SIGMAS = 6.0
"""Rounding moves a score by more than this once in a thousand million rows."""


def scan_top_k(
    queries: Tensor, gallery: Tensor, codes: Codes, k: int, allowed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """[Q, D], [N, D] -> scores [Q, k] and rows [Q, k] as of `exact.top_k`, by a pass over a quarter of it.

    A row is scored again in float64 if its score by codes comes within six standard deviations of the
    rounding error of the k-th best:  sigma^2 = |q|^2 step_v^2 / 12 + |v|^2 step_q^2 / 12.

    Args:
        queries: rows of some length.
        gallery: float32, in memory or memory-mapped; of about unit length.
        codes: of the gallery.
        k: hits for each query, from 0.
        allowed: [N] bool, the rows that may be found; None for all.

    Raises:
        UsageError: when a query is zero or holds NaN or infinity.
        ArtifactError: when the widths differ.
        DataError: when a row that comes near holds NaN.
    """
    queries = check_queries(queries, gallery, k)
    k = min(k, len(gallery) if allowed is None else int(allowed.sum()))
    found = [_of_one(query, gallery, codes, k, allowed) for query in queries] if k else []
    if not found:
        return queries.new_empty(len(queries), k), torch.empty(len(queries), k, dtype=torch.int64)
    return torch.stack([scores for scores, _ in found]), torch.stack([rows for _, rows in found])


def _of_one(
    query: Tensor, gallery: Tensor, codes: Codes, k: int, allowed: Tensor | None
) -> tuple[Tensor, Tensor]:
    rough, error = _rough_scores(query, codes)
    if allowed is not None:
        rough[~allowed] = -torch.inf
    near = greatest(rough[None], min(k + SPARE, len(rough)))[1][0]
    near = near[rough[near] > -torch.inf]
    scores, rows = best(rescore(query[None], gallery, near[None]), near[None], k)
    line = float(scores[0, -1]) - SIGMAS * error
    if float(rough[near].min()) >= line and len(near) < len(rough):
        near = (rough >= line).nonzero().flatten()
        scores, rows = best(rescore(query[None], gallery, near[None]), near[None], k)
    return scores[0], rows[0]


def _rough_scores(query: Tensor, codes: Codes) -> tuple[Tensor, float]:
    """[N] scores by codes, and the standard deviation of their error."""
    rounded = round_off(query[None])
    column, step = rounded.codes[0, :, None].contiguous(), float(rounded.steps[0])
    scores = torch.empty(len(codes.codes))
    for start in range(0, len(scores), BLOCK):
        part = torch._int_mm(codes.codes[start : start + BLOCK], column)[:, 0]
        torch.mul(part, codes.steps[start : start + BLOCK], out=scores[start : start + BLOCK])
    variance = (float(query.norm()) * float(codes.steps.max())) ** 2 + step**2
    return scores.mul_(step), (variance / 12) ** 0.5
