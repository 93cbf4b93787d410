"""The k best rows of a gallery for one query, exactly, by numpy alone: what `exact.top_k` gives.

Shapes: N rows of the gallery, D width of the shared space, k hits.
"""

import numpy

from mmx.core.errors import ArtifactError, DataError

ROUNDINGS = 2.0**-23
"""Twice the relative error of one rounding of a float32."""


def nearest_of_one(
    query: numpy.ndarray, gallery: numpy.ndarray, k: int
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """[D] some direction, [N, D] float32 -> scores [k] float32, falling, and rows [k], lower first on a tie.

    Candidates are found in float32 and scored again in float64. No row whose first score lies below the k-th
    by more than two rounding errors of an inner product can belong to the best.

    Raises:
        ArtifactError: when the widths differ.
        DataError: when a row of the gallery holds NaN.
    """
    if len(query) != gallery.shape[1]:
        raise ArtifactError(
            f"the query is {len(query)} wide, the gallery is {gallery.shape[1]} wide. "
            "They come from different encoders: make the gallery again."
        )
    k = min(k, len(gallery))
    if k == 0:
        return numpy.empty(0, numpy.float32), numpy.empty(0, numpy.int64)
    rough = gallery @ query.astype(numpy.float32)
    if not numpy.isfinite(rough).all():
        row = int(numpy.flatnonzero(~numpy.isfinite(rough))[0])
        raise DataError(f"row {row} of the gallery holds NaN or infinity. Make it again.")
    best = numpy.argpartition(rough, len(rough) - k)[len(rough) - k :]
    longest = float(numpy.linalg.norm(gallery[best].astype(numpy.float64), axis=1).max())
    error = (len(query) + 2) * ROUNDINGS * float(numpy.linalg.norm(query)) * longest
    rows = numpy.flatnonzero(rough >= rough[best].min() - error)
    scores = (gallery[rows].astype(numpy.float64) * query).sum(axis=1).astype(numpy.float32)
    order = numpy.argsort(-scores, kind="stable")[:k]
    return scores[order], rows[order]
