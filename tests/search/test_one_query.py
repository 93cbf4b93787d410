"""One query by numpy: the same scores and rows as the search with torch, ties and near ties included."""

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from mmx.core.errors import ArtifactError, DataError
from mmx.search.exact import top_k
from mmx.search.one_query import nearest_of_one


@given(
    some.integers(0, 10**6),
    some.integers(1, 300),
    some.integers(1, 40),
    some.integers(0, 12),
    some.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_it_finds_what_the_search_with_torch_finds(
    seed: int, rows: int, width: int, k: int, kinds: int
) -> None:
    """Rows are drawn out of a few, so that many are equal."""
    random = torch.Generator().manual_seed(seed)
    few = torch.randn(kinds * 4, width, generator=random)
    gallery = few[torch.randint(len(few), (rows,), generator=random)]
    query = torch.randn(1, width, generator=random)
    scores, found = top_k(query, gallery, k)
    ours, places = nearest_of_one(query[0].numpy(), gallery.numpy(), k)
    numpy.testing.assert_allclose(ours, scores[0], rtol=1e-6, atol=1e-6)
    assert places.tolist() == found[0].tolist()
    assert (ours.dtype, places.dtype) == (numpy.float32, numpy.int64)


def test_scores_are_inner_products_and_the_lower_row_comes_first_on_a_tie() -> None:
    gallery = numpy.array([[1, 0], [0, 1], [0, 2], [0, 1]], numpy.float32)
    scores, rows = nearest_of_one(numpy.array([0, 1], numpy.float32), gallery, 3)
    assert (scores.tolist(), rows.tolist()) == ([2, 1, 1], [2, 1, 3])
    assert [len(part) for part in nearest_of_one(gallery[0], gallery, 0)] == [0, 0]
    assert len(nearest_of_one(gallery[0], gallery, 9)[0]) == 4


def test_another_width_and_rows_that_hold_no_number_are_refused() -> None:
    gallery = numpy.eye(3, dtype=numpy.float32)
    with pytest.raises(ArtifactError, match=r"the query is 2 wide, the gallery is 3 wide"):
        nearest_of_one(numpy.ones(2, numpy.float32), gallery, 1)
    gallery[1, 2] = numpy.nan
    with pytest.raises(DataError, match=r"row 1 of the gallery holds NaN"):
        nearest_of_one(numpy.ones(3, numpy.float32), gallery, 1)
