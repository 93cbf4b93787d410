"""The consensus embedding against its formula, item by item and concept by concept."""

import torch
from torch.nn import functional

from mmx.methods.mh_cvse.consensus import Consensus, concept_labels

B, K, D = 3, 4, 6


def some_items() -> tuple[torch.Tensor, torch.Tensor]:
    """Instances and concepts of unit length."""
    return functional.normalize(torch.randn(B, D), dim=-1), functional.normalize(torch.randn(K, D), dim=-1)


def test_shares_and_embedding_are_what_the_formula_gives() -> None:
    consensus, (instance, concepts) = Consensus(D, 10.0, 0.35).eval(), some_items()
    by_concept = consensus.concept_norm(consensus.concept_gate(concepts)).tanh()
    by_item = consensus.instance_norm(consensus.instance_gate(instance)).tanh()
    scores = torch.tensor(
        [[consensus.score(by_concept[k] * by_item[b]).item() for k in range(K)] for b in range(B)]
    )

    embedding, shares = consensus(instance, concepts, None)

    torch.testing.assert_close(shares, (10 * scores).softmax(1), atol=1e-6, rtol=1e-4)
    expected = torch.stack([sum(shares[b, k] * concepts[k] for k in range(K)) for b in range(B)])
    torch.testing.assert_close(embedding, functional.normalize(expected, dim=-1))


def test_a_caption_looks_at_the_concepts_it_names_by_their_share() -> None:
    consensus, (instance, concepts) = Consensus(D, 10.0, 0.35).eval(), some_items()
    labels = torch.tensor([[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=torch.bool)
    _, looked = consensus(instance, concepts, None)

    _, shares = consensus(instance, concepts, labels)

    named = (10.0 * labels.float()).softmax(1)
    torch.testing.assert_close(shares, 0.35 * named + 0.65 * looked)
    torch.testing.assert_close(shares.sum(1), torch.ones(B))


def test_a_caption_that_names_nothing_spreads_that_share_evenly() -> None:
    consensus, (instance, concepts) = Consensus(D, 10.0, 1.0).eval(), some_items()

    embedding, shares = consensus(instance, concepts, torch.zeros(B, K, dtype=torch.bool))

    torch.testing.assert_close(shares, torch.full((B, K), 1 / K))
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(B))


def test_padding_of_concepts_names_none() -> None:
    labels = concept_labels(torch.tensor([[2, 0, -1], [-1, -1, -1], [3, 3, -1]]), 4)

    assert labels.int().tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]


def test_a_batch_in_which_no_caption_names_anything_has_no_labels() -> None:
    assert not concept_labels(torch.empty(2, 0, dtype=torch.int64), 4).any()
