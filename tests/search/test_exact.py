"""top_k: equal to a full sort, whatever the block, with defined answers at every edge."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.search.exact import top_k
from mmx.store.tensors import TensorFile, save_tensors


def full_sort(queries: torch.Tensor, gallery: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    scores = torch.stack([(gallery.double() * query.double()).sum(dim=1) for query in queries]).float()
    scores, rows = scores.sort(dim=1, descending=True, stable=True)
    return scores[:, :k], rows[:, :k]


def vectors(seed: int, rows: int, width: int = 16) -> torch.Tensor:
    return normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_three_vectors_by_hand() -> None:
    gallery = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])

    scores, rows = top_k(torch.tensor([[1.0, 0.0]]), gallery, 2)

    assert rows.tolist() == [[1, 2]]
    torch.testing.assert_close(scores, torch.tensor([[1.0, 0.6]]))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 3000),
    k=st.integers(1, 40),
    block=st.sampled_from([1 << 4, 100, 999, 1 << 14]),
    distinct=st.integers(1, 3000),
)
def test_it_equals_a_full_sort_with_any_number_of_ties(
    seed: int, n: int, k: int, block: int, distinct: int
) -> None:
    gallery = vectors(seed, distinct)[
        torch.randint(distinct, (n,), generator=torch.Generator().manual_seed(seed))
    ]
    queries = vectors(seed + 1, 3)

    scores, rows = top_k(queries, gallery, k, block)

    expected_scores, expected_rows = full_sort(queries, gallery, k)
    assert torch.equal(rows, expected_rows)
    assert torch.equal(scores, expected_scores)


def test_vectors_of_any_length_are_ranked_like_a_full_sort() -> None:
    gallery, queries = vectors(0, 5000) * 37, vectors(1, 5) * 0.01
    assert torch.equal(top_k(queries, gallery, 10, 700)[1], full_sort(queries, gallery, 10)[1])


def test_the_block_and_the_other_queries_change_nothing() -> None:
    gallery, queries = vectors(0, 20_000, 64), vectors(1, 300, 64)
    scores, rows = top_k(queries, gallery, 9)

    for block in (257, 4096, 100_000):
        other_scores, other_rows = top_k(queries[7:8], gallery, 9, block)
        assert torch.equal(other_scores, scores[7:8])
        assert torch.equal(other_rows, rows[7:8])


def test_a_gallery_of_one_vector_gives_its_first_rows() -> None:
    rows = top_k(vectors(1, 2), vectors(0, 1).expand(5000, -1), 9, 512)[1]
    assert rows.tolist() == [list(range(9))] * 2


def test_float16_on_disk_is_searched_as_the_numbers_it_holds(tmp_path: Path) -> None:
    half = vectors(0, 3000).half()
    save_tensors(tmp_path / "g.safetensors", {"vectors": half}, {})
    mapped = TensorFile(tmp_path / "g.safetensors").read("vectors")
    queries = vectors(1, 4)

    scores, rows = top_k(queries, mapped, 5, 1000)

    assert torch.equal(rows, full_sort(queries, half.float(), 5)[1])
    assert torch.equal(scores, full_sort(queries, half.float(), 5)[0])


@pytest.mark.parametrize("k", [0, 3, 8])
def test_k_beyond_the_gallery_gives_the_whole_gallery(k: int) -> None:
    scores, rows = top_k(vectors(0, 2), vectors(1, 3), k)
    assert scores.shape == rows.shape == (2, min(k, 3))


def test_an_empty_gallery_and_no_query_give_no_hits() -> None:
    assert top_k(vectors(0, 2), torch.empty(0, 16), 5)[1].shape == (2, 0)
    assert top_k(torch.empty(0, 16), vectors(0, 9), 5)[1].shape == (0, 5)


@pytest.mark.parametrize(
    ("fault", "words"), [(0.0, "is zero"), (torch.nan, "holds NaN"), (torch.inf, "holds NaN or infinity")]
)
def test_a_query_without_direction_is_refused_by_name(fault: float, words: str) -> None:
    queries = vectors(0, 2)
    queries[1] = fault

    with pytest.raises(UsageError, match=f"'red dog' {words}"):
        top_k(queries, vectors(1, 3), 1, names=["blue cat", "red dog"])
    with pytest.raises(UsageError, match="'number 1'"):
        top_k(queries, vectors(1, 3), 1)


def test_nan_in_the_gallery_is_an_error_that_names_its_row() -> None:
    gallery = vectors(0, 500)
    gallery[321] = torch.nan
    with pytest.raises(DataError, match="row 321"):
        top_k(vectors(1, 1), gallery, 3, block=100)


def test_other_widths_and_negative_numbers_are_refused() -> None:
    with pytest.raises(ArtifactError, match="16 wide, the gallery is 8"):
        top_k(vectors(0, 1), vectors(0, 4, 8), 1)
    with pytest.raises(UsageError, match="k=-1"):
        top_k(vectors(0, 1), vectors(0, 4), -1)
    with pytest.raises(UsageError, match="block of 0"):
        top_k(vectors(0, 1), vectors(0, 4), 1, block=0)
