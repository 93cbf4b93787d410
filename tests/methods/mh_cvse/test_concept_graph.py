"""The concept graph: from counts to an adjacency, and through it to embeddings."""

import pytest
import torch
from torch import nn

from mmx.core.discover import find_method
from mmx.core.settings import resolve
from mmx.methods.mh_cvse.concept_graph import (
    ConceptGraph,
    build_adjacency,
    conditional_probability,
    draw_vectors,
    normalize_faithfully,
    normalize_rows,
    rescale,
    reweigh,
)
from mmx.methods.mh_cvse.settings import MhCvseSettings

K = 5
COUNTS = torch.tensor([100, 50, 20, 10, 0])
PAIRS = torch.tensor(
    [[0, 40, 5, 9, 0], [40, 0, 0, 2, 0], [5, 0, 0, 0, 0], [9, 2, 0, 0, 0], [0, 0, 0, 0, 0]],
)


def settings(**changes: object) -> MhCvseSettings:
    """The tiny preset with changes."""
    layers = [("tiny", find_method("mh-cvse").presets["tiny"]), ("test", changes)]
    return resolve(MhCvseSettings, layers, "")[0]


def test_the_probability_is_of_the_second_where_the_first_is() -> None:
    probability = conditional_probability(COUNTS, PAIRS)

    assert (probability[0, 1].item(), probability[1, 0].item()) == (0.4, 0.8)
    assert probability[4].eq(0).all()


def test_f_is_zero_at_zero_and_rises() -> None:
    values = rescale(torch.linspace(0, 1, 50, dtype=torch.float64), 5.0, 0.02)

    assert values[0] == 0
    assert (values.diff() > 0).all()


def test_f_reaches_the_threshold_at_a_probability_of_1677() -> None:
    low, high = (rescale(torch.tensor(p, dtype=torch.float64), 5.0, 0.02) for p in (0.1676, 0.1678))

    assert low < 0.3 < high


def test_each_column_of_edges_is_spread_over_them_beside_the_diagonal() -> None:
    edges = torch.tensor([[0, 1, 0], [1, 0, 0], [1, 0, 0]], dtype=torch.bool)

    weights = reweigh(edges, 0.25)

    assert weights.tolist() == [[1.0, 0.25, 0.0], [0.125, 1.0, 0.0], [0.125, 0.0, 1.0]]


def test_by_rows_what_a_concept_takes_in_sums_to_one_and_it_keeps_itself() -> None:
    adjacency = build_adjacency(COUNTS, PAIRS, settings(graph_norm="row"))

    torch.testing.assert_close(adjacency.sum(1), torch.ones(K))
    assert (adjacency.diagonal() > 0).all()
    assert torch.equal(adjacency[4], torch.eye(K)[4])


def test_by_rows_a_concept_takes_in_those_that_announce_it() -> None:
    """P(0|1) = .8 and P(0|3) = .9 and P(0|2) = .25 are edges to 0; P(1|0) = .4 and P(1|3) = .2 to 1."""
    adjacency = build_adjacency(COUNTS, PAIRS, settings(graph_norm="row"))

    share = 0.25 / 3 / 1.25
    expected = torch.tensor([1 / 1.25, share, share, share, 0.0])
    torch.testing.assert_close(adjacency[0], expected)
    torch.testing.assert_close(adjacency[1], torch.tensor([0.1, 0.8, 0.0, 0.1, 0.0]))


def test_faithfully_it_is_the_dense_formula() -> None:
    weights = torch.rand(K, K, dtype=torch.float64) + torch.eye(K)
    root = torch.diag(weights.sum(1) ** -0.5)

    torch.testing.assert_close(normalize_faithfully(weights), root @ weights.T @ root)


def test_rows_are_normalised_after_the_transpose() -> None:
    weights = torch.rand(K, K)

    torch.testing.assert_close(normalize_rows(weights), weights.T / weights.sum(0)[:, None])


def test_the_network_is_two_graph_convolutions() -> None:
    chosen = settings(graph_norm="faithful")
    adjacency, vectors = build_adjacency(COUNTS, PAIRS, chosen), torch.randn(K, 7)
    graph = ConceptGraph(adjacency, vectors, chosen)
    inner = nn.functional.leaky_relu(adjacency @ vectors @ graph.inner, 0.2)

    expected = nn.functional.normalize(adjacency @ inner @ graph.outer, dim=-1)

    torch.testing.assert_close(graph(), expected)


def make_graph() -> ConceptGraph:
    """In evaluation mode, with learned vectors."""
    chosen = settings()
    return ConceptGraph(build_adjacency(COUNTS, PAIRS, chosen), draw_vectors(K, 7, None, None), chosen).eval()


@torch.no_grad()
def test_in_evaluation_the_concepts_are_embedded_once() -> None:
    graph = make_graph()

    assert graph() is graph()


@pytest.mark.parametrize("change", ["load", "step", "train", "double"])
def test_concepts_are_embedded_anew_when_the_weights_change(change: str) -> None:
    graph, other = make_graph(), make_graph()
    with torch.no_grad():
        before = graph()
    if change == "load":
        graph.load_state_dict(other.state_dict())
    if change == "double":
        graph.double()
    if change in ("step", "train"):
        optimizer = torch.optim.AdamW(graph.parameters(), 0.1, fused=True)
        if change == "train":
            graph.train()
        graph().sum().backward()
        optimizer.step()
        graph.eval()

    with torch.no_grad():
        after = graph()

    assert after is not before
    torch.testing.assert_close(after, graph._embed())


def test_with_gradients_concepts_are_always_embedded_anew() -> None:
    graph = make_graph()
    with torch.no_grad():
        graph()

    assert graph().requires_grad


def test_pretrained_vectors_are_fixed_and_kept_and_random_ones_are_learned() -> None:
    vectors, found = torch.randn(K, 7), torch.arange(K) < 4
    fixed, learned = draw_vectors(K, 3, vectors, found), draw_vectors(K, 3, None, None)

    assert not isinstance(fixed, nn.Parameter) and torch.equal(fixed[:4], vectors[:4])
    assert fixed.shape == (K, 7) and fixed[4].abs().sum() > 0
    assert isinstance(learned, nn.Parameter) and learned.shape == (K, 3)
    assert "vectors" in ConceptGraph(torch.eye(K), fixed, settings()).state_dict()
