"""The pixel network: what each of its outputs may depend on."""

import torch

from mmx.methods.muse.mixture import outputs_of
from mmx.methods.muse.pixel_cnn import PixelCnn
from tests.methods.muse.small import small_settings

SIDE = 8


def make() -> tuple[PixelCnn, torch.Tensor, torch.Tensor]:
    settings = small_settings(blocks=2)
    torch.manual_seed(0)
    network = PixelCnn(settings).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network, torch.rand(2, 3, SIDE, SIDE) * 2 - 1, torch.randn(2, settings.width)


def test_it_gives_a_distribution_for_every_pixel() -> None:
    network, pixels, vector = make()

    assert network(pixels, vector).shape == (2, outputs_of(2), SIDE, SIDE)


def test_a_pixel_changes_no_output_at_or_before_its_place_and_some_behind_it() -> None:
    network, pixels, vector = make()
    with torch.no_grad():
        before = network(pixels, vector).flatten(2)
        for row, column in ((0, 0), (0, 7), (3, 4), (5, 1), (6, 6)):
            changed = pixels.clone()
            changed[:, :, row, column] += 0.5
            after = network(changed, vector).flatten(2)
            place = row * SIDE + column + 1
            assert torch.equal(after[:, :, :place], before[:, :, :place])
            assert not torch.allclose(after[:, :, place:], before[:, :, place:])


def test_every_pixel_before_can_be_seen_in_the_end() -> None:
    network, pixels, vector = make()
    pixels.requires_grad_(True)

    network(pixels, vector)[0, :, SIDE - 1, SIDE - 1].sum().backward()

    seen = pixels.grad[0].abs().sum(0).flatten() > 0
    assert seen[:-1].all() and not seen[-1]


def test_the_vector_changes_what_is_drawn() -> None:
    network, pixels, vector = make()

    assert not torch.allclose(network(pixels, vector), network(pixels, -vector))


def test_rows_below_need_not_be_computed() -> None:
    network, pixels, vector = make()

    with torch.no_grad():
        torch.testing.assert_close(network(pixels[:, :, :4], vector), network(pixels, vector)[:, :, :4])


def test_pictures_are_drawn_by_the_seed_on_the_range_of_pixels() -> None:
    network, _, vector = make()

    first, again = network.sample(vector, 4, seed=1), network.sample(vector, 4, seed=1)

    assert torch.equal(first, again) and first.abs().max() <= 1
    assert not torch.equal(first, network.sample(vector, 4, seed=2))
