"""k-reciprocal neighbours: who shares them is near, whatever a caption says of it."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.tasks.k_reciprocal import WEIGHT, KReciprocal
from mmx.tasks.person_search import person_metrics
from mmx.tasks.rerank import FirstStage, rerank


def people(number: int, crops: int, spread: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Crops about the middle of each person, unit length, and whose they are."""
    random = torch.Generator().manual_seed(seed)
    middle = torch.randn(number, 32, generator=random)
    drawn = middle.repeat_interleave(crops, 0) + spread * torch.randn(number * crops, 32, generator=random)
    return normalize(drawn, dim=-1), torch.arange(number).repeat_interleave(crops)


def test_an_encoding_sums_to_one_and_overlaps_itself_wholly() -> None:
    image, _ = people(15, 4, 0.3)

    found = KReciprocal.of(image, image[:5])

    for side in (found.images, found.texts):
        torch.testing.assert_close(side.share.sum(1), torch.ones(len(side.share)))
    overlap = KReciprocal(found.images, found.images)(torch.arange(60), torch.arange(60))
    torch.testing.assert_close(overlap.diagonal(), torch.ones(60))
    torch.testing.assert_close(overlap, overlap.T)
    assert overlap.ge(0).all() and overlap.le(1 + 1e-6).all()


def test_people_who_share_no_neighbour_do_not_overlap() -> None:
    image, group = people(3, 25, 0.01)

    found = KReciprocal.of(image, image)
    overlap = found(torch.arange(75), torch.arange(75))

    assert overlap[group[:, None] != group].eq(0).all()
    assert overlap[group[:, None] == group].gt(0.3).all()


def test_a_table_is_its_pairs() -> None:
    image, _ = people(12, 4, 0.5)
    text, _ = people(12, 2, 0.5, seed=1)
    found = KReciprocal.of(image, text)

    table = found(torch.arange(48), torch.arange(24))

    assert table.shape == (24, 48)
    torch.testing.assert_close(found(torch.tensor([7]), torch.tensor([3, 9]))[:, 0], table[[3, 9], 7])


def test_crops_that_are_alike_bring_along_the_one_that_a_caption_missed() -> None:
    """Captions point half away from their people; crops of a person stay together."""
    image, image_group = people(20, 15, 0.4)
    random = torch.Generator().manual_seed(5)
    middles = image.view(20, 15, 32).mean(1)
    text = normalize(middles + 0.35 * torch.randn(20, 32, generator=random), dim=-1)
    first = FirstStage.of(image, text, image_group, torch.arange(20), lists=True)

    (ranks,) = rerank(first, KReciprocal.of(image, text), [WEIGHT], top=100)

    before, after = person_metrics(first.ranks), person_metrics(ranks)
    assert before["map"] < 90 and after["map"] > before["map"] + 2 and after["minp"] > before["minp"]


def test_a_gallery_smaller_than_the_neighbourhood_is_no_trouble() -> None:
    image, text = torch.eye(3), torch.eye(3)

    overlap = KReciprocal.of(image, text)(torch.arange(3), torch.arange(3))

    assert overlap.isfinite().all()
