"""The nearest pictures of a gallery, by the way that fits it: compressed, through its codes, or directly."""

from torch import Tensor

from mmx.search.approximate import Compressed
from mmx.search.exact import top_k
from mmx.search.scan import scan_top_k
from mmx.store.gallery import Gallery
from mmx.store.gallery_header import MANY

SCANNED = 3
"""More queries than these are answered faster together, by products with the vectors themselves."""


def nearest(
    queries: Tensor,
    gallery: Gallery,
    k: int,
    allowed: Tensor | None = None,
    compressed: Compressed | None = None,
) -> tuple[Tensor, Tensor]:
    """[Q, D] -> scores [Q, k] float32, falling, and rows [Q, k] of the gallery's pictures.

    Args:
        queries: of about unit length.
        gallery: with its codes, where it has any.
        k: hits for each query; with fewer rows there are fewer hits.
        allowed: [N] bool, the rows that may be found; None for all. Then the search is exact.
        compressed: an index to ask instead of looking at every row.

    Raises:
        UsageError: when a query is zero or holds NaN or infinity.
        ArtifactError: when the widths differ.
        DataError: when a row of the gallery holds NaN.
    """
    if allowed is None and compressed is not None:
        return compressed.top_k(queries, gallery.image_vectors, k)
    few = allowed is not None and int(allowed.sum()) < MANY
    together = allowed is None and len(queries) > SCANNED
    if gallery.codes is not None and not few and not together:
        return scan_top_k(queries, gallery.image_vectors, gallery.codes, k, allowed)
    return nearest_rows(queries, gallery.image_vectors, k, allowed)


def nearest_rows(
    queries: Tensor, vectors: Tensor, k: int, allowed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The same for any vectors [N, D], looking at every row that is allowed."""
    if allowed is None:
        return top_k(queries, vectors, k)
    rows = allowed.nonzero().flatten()
    scores, places = top_k(queries, vectors.index_select(0, rows), k)
    return scores, rows[places]
