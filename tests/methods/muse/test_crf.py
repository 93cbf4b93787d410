"""The conditional random field against every sequence there is, and against another implementation."""

import itertools

import pytest
import torch
from torch import Tensor

from mmx.methods.muse.crf import Crf, illegal_pairs

TAGS = 5
LENGTHS = (4, 1, 3)
MASK = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]


@pytest.fixture
def crf() -> Crf:
    torch.manual_seed(0)
    crf = Crf(TAGS)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf.double()


@pytest.fixture
def emissions() -> Tensor:
    return torch.randn(3, 4, TAGS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def score_by_hand(crf: Crf, emissions: Tensor, tags: tuple[int, ...]) -> float:
    total = crf.start[tags[0]] + crf.end[tags[-1]]
    total = total + sum(emissions[place, tag] for place, tag in enumerate(tags))
    return (total + sum(crf.transitions[pair] for pair in itertools.pairwise(tags))).item()


def every_score(crf: Crf, emissions: Tensor, length: int) -> dict[tuple[int, ...], float]:
    return {
        tags: score_by_hand(crf, emissions, tags) for tags in itertools.product(range(TAGS), repeat=length)
    }


def test_the_partition_sums_over_every_sequence(crf: Crf, emissions: Tensor) -> None:
    found = crf.log_partition(emissions, MASK)

    for post, length in enumerate(LENGTHS):
        scores = torch.tensor(list(every_score(crf, emissions[post], length).values()), dtype=torch.float64)
        torch.testing.assert_close(found[post], scores.logsumexp(0), atol=1e-9, rtol=0)


def test_decoding_finds_the_best_of_every_sequence(crf: Crf, emissions: Tensor) -> None:
    found = crf.decode(emissions, MASK)

    for post, length in enumerate(LENGTHS):
        scores = every_score(crf, emissions[post], length)
        assert tuple(found[post, :length].tolist()) == max(scores, key=scores.__getitem__)
    assert (found[~MASK] == -1).all()


def test_the_loss_is_the_log_of_a_probability(crf: Crf, emissions: Tensor) -> None:
    tags = torch.tensor([[0, 1, 2, 3], [4, 0, 0, 0], [2, 2, 1, 0]])

    found = crf.nll(emissions, tags, MASK)

    assert (found >= 0).all()
    for post, length in enumerate(LENGTHS):
        scores = every_score(crf, emissions[post], length)
        whole = torch.tensor(list(scores.values()), dtype=torch.float64).logsumexp(0)
        torch.testing.assert_close(found[post], whole - scores[tuple(tags[post, :length].tolist())])


def test_the_slope_of_the_partition_is_how_probable_each_tag_is(crf: Crf, emissions: Tensor) -> None:
    emissions.requires_grad_(True)
    crf.log_partition(emissions, MASK).sum().backward()

    torch.testing.assert_close(crf.marginals(emissions, MASK), emissions.grad)
    torch.testing.assert_close(emissions.grad.sum(2), MASK.double())


def test_what_stands_on_padding_changes_nothing(crf: Crf, emissions: Tensor) -> None:
    other = torch.where(MASK[..., None], emissions, 1e3)
    tags = torch.zeros(3, 4, dtype=torch.int64)

    torch.testing.assert_close(crf.nll(other, tags, MASK), crf.nll(emissions, tags, MASK))
    assert torch.equal(crf.decode(other, MASK), crf.decode(emissions, MASK))


def test_large_scores_stay_finite_and_so_does_their_slope() -> None:
    crf, emissions = Crf(3), torch.tensor([[[200.0, -200, 0], [-200, 200, 0]]], requires_grad=True)
    mask = torch.ones(1, 2, dtype=torch.bool)

    crf.nll(emissions, torch.tensor([[1, 0]]), mask).sum().backward()

    assert emissions.grad.isfinite().all()


def test_an_inside_tag_is_decoded_behind_one_of_its_type_alone() -> None:
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    crf = Crf(5, *illegal_pairs(tags))
    emissions = torch.zeros(1, 3, 5)
    emissions[0, :, 2] = 5.0

    assert [tags[tag] for tag in crf.decode(emissions, torch.ones(1, 3, dtype=torch.bool))[0]] == [
        "B-PER",
        "I-PER",
        "I-PER",
    ]


def test_only_inside_tags_are_illegal_and_only_behind_others() -> None:
    pairs, start = illegal_pairs(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])

    assert start.tolist() == [False, False, True, False, True]
    assert pairs[:, 2].tolist() == [True, False, False, True, True]
    assert not pairs[:, [0, 1, 3]].any()


def test_it_agrees_with_an_independent_implementation(crf: Crf, emissions: Tensor) -> None:
    torchcrf = pytest.importorskip("torchcrf")
    other = torchcrf.CRF(TAGS, batch_first=True).double()
    with torch.no_grad():
        other.start_transitions.copy_(crf.start)
        other.end_transitions.copy_(crf.end)
        other.transitions.copy_(crf.transitions)
    tags = torch.randint(0, TAGS, (3, 4), generator=torch.Generator().manual_seed(2))

    torch.testing.assert_close(
        crf.nll(emissions, tags, MASK), -other(emissions, tags, MASK, reduction="none"), atol=1e-9, rtol=0
    )
    decoded = [row[row >= 0].tolist() for row in crf.decode(emissions, MASK)]
    assert decoded == other.decode(emissions, MASK)
