"""Which tokens are exchanged, and what they become."""

import pytest
import torch

from mmx.methods.muse.cross_transformer import CrossTransformer, Sequence
from mmx.methods.muse.exchange import (
    add_exchange,
    chosen_of,
    count_exchanged,
    gated_exchange,
    least_attended,
    mean_of,
)
from tests.methods.muse.small import small_settings

MASK = torch.tensor([[True] * 10, [True] * 7 + [False] * 3])


def attention() -> torch.Tensor:
    return torch.rand(2, 10, generator=torch.Generator().manual_seed(0))


def least(looked: torch.Tensor, mask: torch.Tensor, theta: float) -> torch.Tensor:
    """[B, K] bool."""
    return chosen_of(*least_attended(looked, mask, theta), mask)


@pytest.mark.parametrize(("theta", "floor", "quantile"), [(0.1, 6, 7), (0.0, 0, 0), (0.25, 16, 16)])
def test_of_64_tokens_the_share_is_rounded_down_or_by_the_quantile(
    theta: float, floor: int, quantile: int
) -> None:
    tokens = torch.tensor([64])

    assert count_exchanged(tokens, theta, "floor").item() == floor
    assert count_exchanged(tokens, theta, "quantile").item() == quantile


def test_a_tenth_of_thirty_is_three_whatever_floating_point_says() -> None:
    assert count_exchanged(torch.tensor([30]), 0.1, "floor").item() == 3


def test_the_least_attended_are_chosen_and_no_padding() -> None:
    looked = attention()

    chosen = least(looked, MASK, 0.3)

    for row, count in enumerate((3, 2)):
        wanted = sorted(range(int(MASK[row].sum())), key=lambda place: looked[row, place])[:count]
        assert sorted(chosen[row].nonzero().flatten().tolist()) == sorted(wanted)


def test_of_equal_ones_the_first_are_chosen() -> None:
    chosen = least(torch.ones(1, 10), torch.ones(1, 10, dtype=torch.bool), 0.2)

    assert chosen.nonzero()[:, 1].tolist() == [0, 1]


def test_the_gate_has_the_value_of_a_replacement_and_a_slope_to_the_choice() -> None:
    looked = attention().requires_grad_(True)
    tokens, mean = torch.randn(2, 10, 4), torch.randn(2, 4)
    chosen = least(looked.detach(), MASK, 0.3)

    found = gated_exchange(tokens, chosen, mean, looked, MASK)

    torch.testing.assert_close(found, torch.where(chosen[..., None], mean[:, None], tokens))
    (found * torch.randn_like(found)).sum().backward()
    assert looked.grad[MASK].abs().sum() > 0 and (looked.grad[~MASK] == 0).all()


def run(extra: int = 0, **changes: object) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """What each layer hands to its feed-forward half, text and image, of the same weights and posts."""
    settings = small_settings(
        **{"layers": 4, "mu": 1, "eta": 3, "theta": 0.3, "exchange": "replace", **changes}
    )
    torch.manual_seed(0)
    cross = CrossTransformer(settings).eval()
    random = torch.Generator().manual_seed(1)
    sides = []
    for places in (10, 6):
        tokens = torch.randn(2, places, settings.width, generator=random)
        tokens = torch.cat([tokens, torch.full((2, extra, settings.width), 9.0)], dim=1)
        mask = torch.cat([MASK[:, :places], torch.zeros(2, extra, dtype=torch.bool)], dim=1)
        sides.append(Sequence(tokens, mask))
    seen = []
    for layer in cross.layers:
        layer.widen.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
    cross(*sides)
    return list(zip(seen[::2], seen[1::2], strict=True))


def test_tokens_are_exchanged_in_the_layers_from_mu_to_eta_and_in_no_other() -> None:
    plain, swapped = run(theta=0.0), run()

    for side in (0, 1):
        assert torch.equal(plain[0][side], swapped[0][side])
        places = (10, 6)[side]
        differ = (plain[1][side] != swapped[1][side]).any(-1)
        counts = [int(0.3 * int(row.sum()) + 1e-6) for row in MASK[:, :places]]
        assert differ.sum(1).tolist() == counts
        assert not differ[:, 0].any()
        assert not differ[:, 1:][~MASK[:, :places]].any()


def test_layers_beyond_eta_exchange_nothing() -> None:
    early, late = run(mu=0, eta=1), run(mu=0, eta=4)

    assert torch.equal(early[0][0], late[0][0])
    assert not torch.equal(early[1][0], late[1][0])


def test_nothing_exchanged_is_the_plain_encoder() -> None:
    for one, other in zip(run(theta=0.0), run(mu=4, eta=4), strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_a_replaced_token_is_exactly_the_mean_of_the_other_side_before_the_exchange() -> None:
    plain, swapped, added = run(theta=0.0), run(), run(exchange="residual")
    mean = mean_of(plain[1][1][:, 1:], MASK[:, :6])
    differ = (plain[1][0] != swapped[1][0]).any(-1)

    for row in range(2):
        places = differ[row]
        torch.testing.assert_close(swapped[1][0][row][places], mean[row].expand(int(places.sum()), -1))
        torch.testing.assert_close(added[1][0][row][places], plain[1][0][row][places] + mean[row])


def test_the_gated_form_computes_what_the_replacing_one_does() -> None:
    for one, other in zip(run(exchange="gated"), run(), strict=True):
        torch.testing.assert_close(one[0], other[0])


def test_longer_padding_changes_nothing() -> None:
    for (text, image), (longer_text, longer_image) in zip(run(), run(extra=3), strict=True):
        torch.testing.assert_close(longer_text[:, :11][:, 1:][MASK], text[:, 1:][MASK])
        torch.testing.assert_close(longer_image[:, :7][:, 1:][MASK[:, :6]], image[:, 1:][MASK[:, :6]])


def test_swapping_the_modalities_swaps_what_comes_out() -> None:
    settings = small_settings(theta=0.3, exchange="replace", mu=0, eta=2)
    torch.manual_seed(0)
    cross = CrossTransformer(settings).eval()
    cross.image_class.data.copy_(cross.text_class.data)
    one, other = (Sequence(torch.randn(2, 10, settings.width), MASK) for _ in range(2))

    text, image = cross(one, other)
    swapped_text, swapped_image = cross(other, one)

    assert torch.equal(text, swapped_image) and torch.equal(image, swapped_text)


@pytest.mark.parametrize("exchange", ["replace", "residual", "gated"])
def test_every_form_has_a_slope_in_half_precision(exchange: str) -> None:
    torch.manual_seed(0)
    cross = CrossTransformer(small_settings(exchange=exchange)).train()
    sides = [Sequence(torch.randn(2, 10, 32, requires_grad=True), MASK) for _ in range(2)]

    with torch.autocast("cpu", torch.bfloat16):
        text, image = cross(*sides)
    (text.sum() + image.square().sum()).backward()

    assert all(side.tokens.grad.isfinite().all() and side.tokens.grad.any() for side in sides)


def test_an_added_mean_leaves_what_was_not_chosen() -> None:
    tokens, mean = torch.randn(2, 10, 4), torch.randn(2, 4)
    places, there = least_attended(attention(), MASK, 0.3)
    chosen = chosen_of(places, there, MASK)

    found = add_exchange(tokens.clone(), places, there, mean)

    torch.testing.assert_close(found, torch.where(chosen[..., None], tokens + mean[:, None], tokens))
    assert torch.equal(found[~chosen], tokens[~chosen])


def test_a_mean_that_is_no_number_reaches_only_the_tokens_that_are_exchanged() -> None:
    tokens, mean = torch.randn(2, 10, 4), torch.full((2, 4), torch.nan)
    places, there = least_attended(attention(), MASK, 0.3)

    found = add_exchange(tokens.clone(), places, there, mean)

    assert torch.equal(found.isnan().all(-1), chosen_of(places, there, MASK))
    assert torch.equal(found.isnan().any(-1), chosen_of(places, there, MASK))
