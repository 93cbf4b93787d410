"""Compressed indexes: recall is measured as it is, candidates are scored exactly, and the gallery decides."""

import pytest
import torch
from torch.nn.functional import normalize

from mmx.core.errors import ArtifactError, UsageError
from mmx.search.approximate import Compressed, build, fewest, recall
from mmx.search.exact import top_k
from mmx.search.nearest import nearest
from mmx.store.approximation import Approximation
from mmx.store.entries import Entry
from mmx.store.gallery import Gallery


def gallery(rows: int, width: int = 32) -> Gallery:
    """Vectors in forty clusters."""
    random = torch.Generator().manual_seed(0)
    centres = torch.randn(40, width, generator=random)
    near = centres[torch.randint(40, (rows,), generator=random)]
    vectors = normalize(near + 0.5 * torch.randn(rows, width, generator=random), dim=1)
    return Gallery("photos", "f", tuple(Entry(f"{row:05d}", "") for row in range(rows)), vectors)


@pytest.fixture(scope="module", params=["pq", "hnsw"])
def compressed(request: pytest.FixtureRequest) -> tuple[Gallery, Compressed]:
    made = gallery(3000)
    probes = {"photos": made.image_vectors[::50]}
    return made, build(
        request.param, made, probes, {"photos": top_k(probes["photos"], made.image_vectors, 10)[1]}
    )


def test_recall_by_hand() -> None:
    """Of the two nearest, rows 0 and 1, only row 0 is named."""
    truth = torch.tensor([[0, 1]])
    assert recall(torch.tensor([[0, 2]]), truth) == 0.5
    assert recall(torch.tensor([[2, 1, 0]]), truth) == 1.0


@pytest.mark.parametrize(("ahead", "asked"), [(1, [50, 100, 200, 400]), (4, [200, 1600]), (8, [400])])
def test_several_numbers_of_candidates_are_tried_on_one_list(ahead: int, asked: list[int]) -> None:
    # the one true row is the 301st named, so that 400 candidates are the fewest
    lists = []

    def named(queries: torch.Tensor, candidates: int) -> torch.Tensor:
        lists.append(candidates)
        return torch.arange(candidates)[None]

    probes, truth = {"photos": torch.zeros(2, 4)}, {"photos": torch.full((2, 1), 300)}

    assert fewest(named, 5000, probes, truth, ahead) == 400
    assert lists == asked


def test_fewer_candidates_are_the_first_of_more_where_codes_are_scanned() -> None:
    made = gallery(3000)
    probe = made.image_vectors[::50]
    index = build("pq", made, {"photos": probe}, {"photos": top_k(probe, made.image_vectors, 10)[1]})

    few, many = index.named(probe, 50), index.named(probe, 400)

    shared = (few[:, :, None] == many[:, None, :50]).any(2).float().mean()
    assert many.shape == (60, 400) and float(shared) > 0.99  # but for ties of their codes


def test_it_finds_at_least_what_it_was_measured_to_find(compressed: tuple[Gallery, Compressed]) -> None:
    made, index = compressed
    queries = normalize(made.image_vectors[7::90] + 0.02, dim=1)
    truth = top_k(queries, made.image_vectors, 10)[1]

    scores, rows = index.top_k(queries, made.image_vectors, 10)

    assert index.about.recall["photos"] >= 0.98
    assert float((rows[:, :, None] == truth[:, None]).any(1).float().mean()) > 0.95
    same = rows == truth
    assert torch.equal(scores[same], top_k(queries, made.image_vectors, 10)[0][same])


def test_it_is_kept_and_read_again(compressed: tuple[Gallery, Compressed]) -> None:
    made, index = compressed
    again = Compressed.of(index.about)
    queries = made.image_vectors[:3]
    assert torch.equal(
        again.top_k(queries, made.image_vectors, 5)[1], index.top_k(queries, made.image_vectors, 5)[1]
    )


def test_more_hits_than_pictures_and_none(compressed: tuple[Gallery, Compressed]) -> None:
    made, index = compressed
    assert index.top_k(made.image_vectors[:2], made.image_vectors, 0)[1].shape == (2, 0)
    assert index.top_k(made.image_vectors[:1], made.image_vectors, 4000)[1].shape[1] <= 3000
    with pytest.raises(UsageError, match="is zero"):
        index.top_k(torch.zeros(1, 32), made.image_vectors, 1)


def test_with_a_condition_the_search_is_exact(compressed: tuple[Gallery, Compressed]) -> None:
    made, index = compressed
    allowed = torch.zeros(3000, dtype=torch.bool)
    allowed[2990:] = True
    rows = nearest(made.image_vectors[:1], made, 5, allowed, index)[1]
    assert torch.equal(rows[0], 2990 + top_k(made.image_vectors[:1], made.image_vectors[2990:], 5)[1][0])


def test_what_cannot_be_compressed_is_refused() -> None:
    for kind, made, words in (
        ("ivf", gallery(1000), "exact, pq, hnsw"),
        ("pq", gallery(999), "999 pictures"),
        ("pq", gallery(1000, 30), "30 wide"),
    ):
        with pytest.raises(UsageError, match=words):
            build(kind, made, {}, {})


def test_bytes_that_are_no_index_are_refused() -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        Compressed.of(Approximation("pq", "c", 50, {}, torch.ones(64, dtype=torch.uint8)))
