"""The alignment of tokens and regions: what the second stage promises, on tensors small enough to read."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.methods.region_align.alignment import LateInteraction, RegionTokenAlignment
from mmx.methods.region_align.masking import taking_part
from mmx.methods.region_align.pair_blocks import score_pairs

Q, G, L, R, D, F, A = 3, 4, 5, 6, 8, 7, 10


@pytest.fixture
def alignment() -> RegionTokenAlignment:
    """One that has learned something."""
    torch.manual_seed(0)
    made = RegionTokenAlignment(D, F, A)
    torch.nn.init.xavier_uniform_(made.output.weight)
    return made


def drawn(*sizes: int) -> tuple[Tensor, Tensor]:
    """Unit vectors and their mask; the first item is full, the others have two to all."""
    items, longest, _ = sizes
    counts = torch.randint(2, longest + 1, (items,))
    counts[0] = longest
    return normalize(torch.randn(*sizes), dim=-1), torch.arange(longest) < counts[:, None]


def score(made: torch.nn.Module, tokens: Tensor, seen: Tensor, regions: Tensor, there: Tensor) -> Tensor:
    return made(made.keep_regions(regions, there), made.keep_tokens(tokens, seen))


def by_hand(
    made: RegionTokenAlignment, tokens: Tensor, seen: Tensor, regions: Tensor, there: Tensor
) -> Tensor:
    """Pair by pair and token by token, with v_m written out."""
    scores = torch.zeros(len(tokens), len(regions))
    for q in range(len(tokens)):
        for g in range(len(regions)):
            found, some = [], regions[g][there[g]]
            for token in tokens[q][seen[q]]:
                alpha = ((made.key(some) @ made.query(token)) / made.key.out_features**0.5).softmax(0)
                gathered = alpha @ made.value(some)
                found.append(token @ made.output(gathered))
            scores[q, g] = torch.stack(found).mean()
    return scores


def test_the_cached_form_is_the_explicit_one(alignment: RegionTokenAlignment) -> None:
    tokens, regions = drawn(Q, L, D), drawn(G, R, F)

    torch.testing.assert_close(
        score(alignment, *tokens, *regions), by_hand(alignment, *tokens, *regions), atol=1e-5, rtol=0
    )


def test_attention_sums_to_one_over_the_regions_there_are_and_is_zero_on_padding(
    alignment: RegionTokenAlignment,
) -> None:
    (tokens, seen), (regions, there) = drawn(G, L, D), drawn(G, R, F)

    alpha = alignment.shares(alignment.keep_regions(regions, there), alignment.keep_tokens(tokens, seen))

    torch.testing.assert_close(alpha.sum(dim=-1), torch.ones(G, L))
    assert alpha.shape == (G, L, R) and not alpha.masked_select(~there[:, None]).any()


def test_a_caption_is_kept_as_its_tokens_alone(alignment: RegionTokenAlignment) -> None:
    """What it asks for is part of the images' keys, so that a pair needs one gathering of the caption."""
    tokens, seen = drawn(Q, L, D)

    kept = alignment.keep_tokens(tokens, seen)

    assert kept.keys() == {"tokens", "mask"} and torch.equal(kept["tokens"], tokens)


def test_one_region_is_its_own_average(alignment: RegionTokenAlignment) -> None:
    """With R = 1 the softmax is 1, so that s_fine is mean_m t_m . W_o W_v r."""
    tokens, region = torch.randn(1, L, D), torch.randn(1, 1, F)
    expected = (tokens[0] @ alignment.output(alignment.value(region[0, 0]))).mean()

    found = score(alignment, tokens, torch.ones(1, L, dtype=torch.bool), region, torch.ones(1, 1) > 0)

    torch.testing.assert_close(found[0, 0], expected)


def test_without_scaled_logits_attention_is_sharper_by_the_root_of_the_width(
    alignment: RegionTokenAlignment,
) -> None:
    plain = RegionTokenAlignment(D, F, A, scale_logits=False)
    plain.load_state_dict(alignment.state_dict())
    plain.query.weight.data /= A**0.5
    tokens, regions = drawn(Q, L, D), drawn(G, R, F)

    torch.testing.assert_close(score(plain, *tokens, *regions), score(alignment, *tokens, *regions))


def test_a_new_alignment_says_nothing_and_still_learns() -> None:
    made = RegionTokenAlignment(D, F, A)
    found = score(made, *drawn(Q, L, D), *drawn(G, R, F))
    assert torch.equal(found, torch.zeros(Q, G))

    (found * torch.randn(Q, G)).sum().backward()

    assert made.output.weight.grad.abs().max() > 0


BOTH = pytest.mark.parametrize("kind", ["attention", "maxsim"])


def make(kind: str) -> torch.nn.Module:
    torch.manual_seed(1)
    if kind == "maxsim":
        return LateInteraction(learned=False)
    made = RegionTokenAlignment(D, D, A)
    torch.nn.init.xavier_uniform_(made.output.weight)
    return made


@BOTH
def test_the_order_of_regions_does_not_matter(kind: str) -> None:
    made, tokens, (regions, there) = make(kind), drawn(Q, L, D), drawn(G, R, D)
    order = torch.randperm(R)

    shuffled = score(made, *tokens, regions[:, order], there[:, order])

    torch.testing.assert_close(shuffled, score(made, *tokens, regions, there))


@BOTH
@pytest.mark.parametrize("length", [L + 2, 77])
def test_padded_tokens_and_regions_have_no_say(kind: str, length: int) -> None:
    made, (tokens, seen), (regions, there) = make(kind), drawn(Q, L, D), drawn(G, R, D)

    longer = torch.cat([tokens, torch.full((Q, length - L, D), 1e3)], dim=1)
    more = torch.cat([regions, torch.full((G, 4, D), 1e3)], dim=1)
    padded = score(
        made,
        longer,
        torch.nn.functional.pad(seen, (0, length - L)),
        more,
        torch.nn.functional.pad(there, (0, 4)),
    )

    torch.testing.assert_close(padded, score(made, tokens, seen, regions, there), atol=1e-6, rtol=1e-5)


@BOTH
def test_nothing_to_look_at_scores_zero_and_not_nan(kind: str) -> None:
    made, (tokens, seen), (regions, there) = make(kind), drawn(Q, L, D), drawn(G, R, D)
    seen[1], there[2] = False, False

    found = score(made, tokens, seen, regions, there)

    assert torch.isfinite(found).all()
    assert not found[1].any() and not found[:, 2].any()


@BOTH
def test_an_explanation_adds_up_to_the_score_of_its_pair(kind: str) -> None:
    made, (tokens, seen), (regions, there) = make(kind), drawn(G, L, D), drawn(G, R, D)
    images, texts = made.keep_regions(regions, there), made.keep_tokens(tokens, seen)

    parts = made.explain(images, texts)

    torch.testing.assert_close(parts.sum(dim=(1, 2)), made(images, texts).diagonal())
    assert not parts[~(seen[:, :, None] & there[:, None])].any()


@BOTH
def test_scores_and_gradients_do_not_depend_on_the_size_of_a_block(kind: str) -> None:
    made, (tokens, seen), (regions, there) = make(kind), drawn(Q, L, D), drawn(G, R, D)
    grown = []
    for numbers in (2**20, L * R * 2, 1):
        regions = regions.detach().requires_grad_()
        kept = made.keep_regions(regions, there), made.keep_tokens(tokens, seen)
        found = score_pairs(made._score_block, *kept, numbers=numbers)
        found.square().sum().backward()
        grown.append((found.detach(), regions.grad))

    for found, slope in grown[1:]:
        torch.testing.assert_close(found, grown[0][0])
        torch.testing.assert_close(slope, grown[0][1])


def test_late_interaction_is_the_mean_of_the_nearest_regions() -> None:
    """Tokens e1, e2; regions e1 and (e1 + e2) / sqrt 2: the nearest are 1 and .7071, their mean .8536."""
    half = 0.5**0.5
    tokens, regions = torch.eye(2)[None], torch.tensor([[[1.0, 0.0], [half, half]]])
    there = torch.ones(1, 2, dtype=torch.bool)

    found = score(LateInteraction(learned=False), tokens, there, regions, there)

    torch.testing.assert_close(found, torch.tensor([[(1 + half) / 2]]))


def test_a_learned_late_interaction_begins_at_nothing() -> None:
    made = LateInteraction(learned=True)

    found = score(made, *drawn(Q, L, D), *drawn(G, R, D))
    found.sum().backward()

    assert not found.any() and made.gate.grad != 0


@pytest.mark.parametrize("sizes", [(0, 5, 6), (3, 0, 6), (3, 5, 0)])
def test_no_images_no_captions_and_no_tokens(alignment: RegionTokenAlignment, sizes: tuple[int, ...]) -> None:
    images, captions, tokens = sizes
    regions, there = torch.randn(images, R, F), torch.ones(images, R, dtype=torch.bool)
    words, seen = torch.randn(captions, tokens, D), torch.ones(captions, tokens, dtype=torch.bool)

    torch.testing.assert_close(score(alignment, words, seen, regions, there), torch.zeros(captions, images))


def test_the_first_and_the_last_token_can_be_left_out() -> None:
    mask = torch.tensor([[True, True, True, True], [True, True, False, False], [True, False, False, False]])

    assert taking_part(mask, True, False).tolist()[0] == [False, True, True, True]
    assert taking_part(mask, False, True).tolist()[1] == [True, False, False, False]
    assert taking_part(mask, True, True).sum(dim=1).tolist() == [2, 0, 0]
