"""scan_top_k: what a pass through rounded vectors finds is what exact search finds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from mmx.core.errors import ArtifactError, UsageError
from mmx.search.exact import top_k
from mmx.search.scan import scan_top_k
from mmx.store.codes import round_off


def vectors(seed: int, rows: int, width: int = 32, spread: float = 1.0) -> torch.Tensor:
    """Around a common mean when the spread is small, as embeddings are."""
    random = torch.Generator().manual_seed(seed)
    mean = torch.randn(1, width, generator=torch.Generator().manual_seed(99))
    return normalize(mean * (spread < 1) + spread * torch.randn(rows, width, generator=random), dim=1)


def test_a_code_is_the_rounded_share_of_the_greatest_number() -> None:
    codes = round_off(torch.tensor([[1.0, -0.5, 0.0], [0.0, 0.0, 0.0]]))
    assert codes.codes.tolist() == [[127, -64, 0], [0, 0, 0]]
    torch.testing.assert_close(codes.steps[0], torch.tensor(1 / 127))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 9999),
    n=st.integers(1, 9000),
    k=st.integers(0, 30),
    spread=st.sampled_from([1.0, 0.3, 0.02]),
    distinct=st.integers(1, 9000),
)
def test_it_equals_exact_search_with_any_number_of_ties(
    seed: int, n: int, k: int, spread: float, distinct: int
) -> None:
    some = torch.randint(distinct, (n,), generator=torch.Generator().manual_seed(seed))
    gallery, queries = vectors(seed, distinct, spread=spread)[some], vectors(seed + 1, 2, spread=spread)

    scores, rows = scan_top_k(queries, gallery, round_off(gallery), k)

    expected_scores, expected_rows = top_k(queries, gallery, k)
    assert torch.equal(scores, expected_scores)
    assert torch.equal(rows, expected_rows)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5])
def test_only_rows_that_are_allowed_are_found(share: float) -> None:
    gallery, queries = vectors(0, 8000), vectors(1, 3)
    allowed = torch.rand(8000, generator=torch.Generator().manual_seed(2)) < share

    _, rows = scan_top_k(queries, gallery, round_off(gallery), 9, allowed)

    places = allowed.nonzero().flatten()
    expected = places[top_k(queries, gallery[places], 9)[1]] if len(places) else rows
    assert torch.equal(rows, expected)


def test_queries_that_cannot_be_asked_are_refused() -> None:
    gallery = vectors(0, 10)
    with pytest.raises(UsageError, match="is zero"):
        scan_top_k(torch.zeros(1, 32), gallery, round_off(gallery), 1)
    with pytest.raises(ArtifactError, match="8 wide"):
        scan_top_k(vectors(1, 1, 8), gallery, round_off(gallery), 1)
