"""Pictures pooled as captions ask: what each view is, and what the score of a pair is made of."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize, pad

from mmx.core.errors import UsageError
from mmx.methods.region_align.gathering import CaptionGathering
from mmx.methods.region_align.overview import Overview
from mmx.methods.region_align.pair_blocks import score_pairs

Q, G, L, R, T, F, K = 3, 4, 5, 6, 8, 7, 2
SHARPNESS = 5.0
Sides = tuple[Tensor, Tensor]


def drawn(items: int, longest: int, width: int) -> Sides:
    """Vectors and their mask; the first item is full, the others have two to all."""
    counts = torch.randint(2, longest + 1, (items,))
    counts[0] = longest
    return torch.randn(items, longest, width), torch.arange(longest) < counts[:, None]


def make(window: int = 1, members: int = K, learn: bool = True, regions: int = R) -> CaptionGathering:
    """One that has seen something in training, in evaluation."""
    torch.manual_seed(1)
    made = CaptionGathering(T, F, 16, 6, members, SHARPNESS, power=0.5, window=window)
    if learn:
        score(made, *drawn(8, L, T), *drawn(8, regions, F))
    return made.eval()


def score(made: CaptionGathering, tokens: Tensor, seen: Tensor, regions: Tensor, there: Tensor) -> Tensor:
    return made(made.keep_regions(regions, there), made.keep_tokens(tokens, seen))


def views(found: Overview, parts: Tensor, there: Tensor) -> Tensor:
    """The views of one item that are there [V, F], by the class's own statistics."""
    some = parts[there]
    return torch.cat([found.whole.rescale(some.mean(0, keepdim=True)), found.views.rescale(some)])


@torch.no_grad()
def by_hand(made: CaptionGathering, tokens: Tensor, seen: Tensor, regions: Tensor, there: Tensor) -> Tensor:
    """Pair by pair and member by member, with v written out."""
    scores = torch.zeros(len(tokens), len(regions))
    for q in range(len(tokens)):
        for g in range(len(regions)):
            for of_tokens, of_regions in zip(made.tokens, made.regions, strict=True):
                caption = normalize(of_tokens(views(made.token_views, tokens[q], seen[q])), dim=1)[0]
                found = normalize(of_regions(views(made.region_views, regions[g], there[g])), dim=1)
                likely = torch.ones(len(found))
                likely[0] = max(len(found) - 1, 1) / 2
                shares = likely * (SHARPNESS * found @ caption).exp()
                scores[q, g] += cosine_similarity(caption, shares @ found, dim=0) / K
    return scores


def test_the_cached_form_is_the_explicit_one() -> None:
    made, pairs = make(), (*drawn(Q, L, T), *drawn(G, R, F))

    torch.testing.assert_close(score(made, *pairs), by_hand(made, *pairs), atol=1e-5, rtol=0)


def test_one_region_is_all_there_is_to_find() -> None:
    """With R = 1 the region and the whole are one vector, so that wherever a caption looks it finds it."""
    made, (tokens, seen), region = make(members=1), drawn(1, L, T), torch.randn(1, 1, F)
    made.region_views.views.load_state_dict(made.region_views.whole.state_dict())
    found = made.regions[0](made.region_views.whole.rescale(region))[0, 0]
    caption = made.tokens[0](views(made.token_views, tokens[0], seen[0]))[0]

    scored = score(made, tokens, seen, region, torch.ones(1, 1, dtype=torch.bool))

    torch.testing.assert_close(scored[0, 0], cosine_similarity(caption, found, dim=0), atol=1e-5, rtol=0)


def test_a_blunt_caption_finds_the_whole_as_often_as_it_counts() -> None:
    """With sharpness 0 and three regions: v = (1.5 whole + r_1 + r_2 + r_3) / 4.5."""
    made, (tokens, seen), regions = make(members=1), drawn(1, L, T), torch.randn(1, 3, F)
    made.sharpness, there = 0.0, torch.ones(1, 3, dtype=torch.bool)
    kept, texts = made.keep_regions(regions, there), made.keep_tokens(tokens, seen)
    whole, *others = kept["evidence"][0, :, 0]

    expected = cosine_similarity(texts["caption"][0, 0, 0], (1.5 * whole + sum(others)) / 4.5, dim=0)

    torch.testing.assert_close(made(kept, texts)[0, 0], expected, atol=1e-5, rtol=0)


def test_the_order_of_regions_does_not_matter() -> None:
    made, tokens, (regions, there) = make(), drawn(Q, L, T), drawn(G, R, F)
    order = torch.randperm(R)

    shuffled = score(made, *tokens, regions[:, order], there[:, order])

    torch.testing.assert_close(shuffled, score(made, *tokens, regions, there))


@pytest.mark.parametrize("length", [L + 2, 77])
def test_padded_tokens_and_regions_have_no_say(length: int) -> None:
    made, (tokens, seen), (regions, there) = make(), drawn(Q, L, T), drawn(G, R, F)

    longer, more = pad(tokens, (0, 0, 0, length - L), value=1e3), pad(regions, (0, 0, 0, 4), value=1e3)
    padded = score(made, longer, pad(seen, (0, length - L)), more, pad(there, (0, 4)))

    torch.testing.assert_close(padded, score(made, tokens, seen, regions, there), atol=1e-5, rtol=1e-4)


def test_nothing_to_look_at_scores_zero_and_not_nan() -> None:
    made, (tokens, seen), (regions, there) = make(), drawn(Q, L, T), drawn(G, R, F)
    seen[1], there[2] = False, False

    found = score(made, tokens, seen, regions, there)

    assert torch.isfinite(found).all()
    assert not found[1].any() and not found[:, 2].any()
    assert found[0, 0] != 0


def test_before_it_learns_it_says_nothing() -> None:
    made = make(learn=False)

    assert made.is_silent() and not score(made, *drawn(Q, L, T), *drawn(G, R, F)).any()
    assert not make().is_silent()


def test_a_score_is_a_cosine() -> None:
    found = score(make(members=1), *drawn(30, L, T), *drawn(30, R, F))

    assert found.abs().max() <= 1 + 1e-5 and found.std() > 0.01


def test_the_score_of_members_is_their_mean() -> None:
    made, (tokens, seen), (regions, there) = make(), drawn(Q, L, T), drawn(G, R, F)
    kept = made.keep_regions(regions, there), made.keep_tokens(tokens, seen)

    apart = made.by_member(*kept)

    assert apart.shape == (Q, G, K) and not torch.allclose(apart[..., 0], apart[..., 1], atol=1e-3)
    torch.testing.assert_close(apart.mean(dim=-1), made(*kept))


@pytest.mark.parametrize(("window", "regions"), [(1, R), (2, 9)])
def test_an_explanation_adds_up_to_the_score_of_its_pair(window: int, regions: int) -> None:
    made = make(window, regions=regions)
    (tokens, seen), (parts, there) = drawn(G, L, T), drawn(G, regions, F)
    images, texts = made.keep_regions(parts, there), made.keep_tokens(tokens, seen)

    found = made.explain(images, tokens, seen)

    assert found.shape == (G, L, regions)
    torch.testing.assert_close(found.sum(dim=(1, 2)), made(images, texts).diagonal(), atol=1e-5, rtol=1e-4)
    assert not found[~(seen[:, :, None] & there[:, None])].any()


def test_scores_and_gradients_do_not_depend_on_the_size_of_a_block() -> None:
    made, (tokens, seen), (regions, there) = make(), drawn(Q, L, T), drawn(G, R, F)
    grown = []
    for numbers in (2**20, L * R * 2, 1):
        regions = regions.detach().requires_grad_()
        kept = made.keep_regions(regions, there), made.keep_tokens(tokens, seen)
        found = score_pairs(made._score_block, *kept, numbers=numbers)
        found.square().sum().backward()
        grown.append((found.detach(), regions.grad))

    for found, slope in grown[1:]:
        torch.testing.assert_close(found, grown[0][0])
        torch.testing.assert_close(slope, grown[0][1], atol=1e-6, rtol=1e-4)


def test_wholes_are_learned_from_and_regions_are_read_as_they_are() -> None:
    made, (tokens, seen), (regions, there) = make().train(), drawn(Q, L, T), drawn(Q, R, F)

    learning = made.keep_regions(regions, there), made.keep_tokens(tokens, seen)
    wholes = [kept[name][:, 0] for kept, name in zip(learning, ("evidence", "caption"), strict=True)]
    found = made.by_member(*learning)
    kept = made.eval().keep_regions(regions, there), made.keep_tokens(tokens, seen)

    torch.testing.assert_close(found, torch.einsum("gkd,qkd->qgk", *wholes), atol=1e-5, rtol=0)
    assert learning[0]["mask"].shape == (Q, 1) and kept[0]["mask"].shape == (Q, R + 1)
    assert kept[0]["mask"].sum() == there.sum() + Q


def test_a_window_is_the_mean_of_its_patches_that_are_there() -> None:
    """3 x 3 patches 0..8 in windows of 2, at rows and columns 0 and 1; the last patch is hidden."""
    found, there = Overview(1, 1.0, window=2).eval(), torch.arange(9)[None] < 8

    shares = found.shares(there)
    seen = shares @ torch.arange(9.0)[None, :, None]

    assert seen.flatten().tolist() == pytest.approx([28 / 8, 2.0, 3.0, 5.0, (4 + 5 + 7) / 3])
    assert shares.sum(dim=-1).eq(1).all()


@pytest.mark.parametrize("patches", [12, 4])
def test_windows_over_what_is_no_such_grid_are_refused(patches: int) -> None:
    with pytest.raises(
        UsageError, match=f"region_window=3 needs a square grid.* there are {patches} patches"
    ):
        Overview(2, 1.0, window=3)(torch.ones(1, patches, 2), torch.ones(1, patches, dtype=torch.bool))
