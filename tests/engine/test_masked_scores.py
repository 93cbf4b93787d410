"""masked_scores: the score of both stages, for every variant of the regions, as one by one."""

import torch
from torch import nn
from torch.nn.functional import normalize

from mmx.core.batch import Batch
from mmx.core.task import Rerank, Retrieval
from mmx.engine.masked_scores import AT_ONCE, masked_scores


def encode_image(model: nn.Module, batch: Batch) -> torch.Tensor:
    seen = batch.region_features * batch.region_mask[..., None]
    return normalize(seen.sum(dim=1) + batch.image_features, dim=-1)


def encode_text(model: nn.Module, batch: Batch) -> torch.Tensor:
    return normalize(batch.text_features, dim=-1)


ONE_STAGE = Retrieval(encode_image=encode_image, encode_text=encode_text)
TWO_STAGES = Retrieval(
    encode_image=encode_image,
    encode_text=encode_text,
    rerank=Rerank(
        keep_image=lambda model, batch: {"left": batch.region_mask.sum(dim=1)},
        keep_text=lambda model, batch: {"one": torch.ones(1)},
        fine=lambda model, images, texts: texts["one"][:, None] * images["left"].float(),
        weight=lambda model: 0.5,
    ),
)
PAIR = Batch(
    image_features=torch.tensor([[0.5, 0.0]]),
    region_features=torch.tensor([[[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]]]),
    region_mask=torch.ones(1, 3, dtype=torch.bool),
    text_features=torch.tensor([[2.0, 0.0]]),
)


def test_each_mask_gives_the_score_of_the_regions_that_it_leaves() -> None:
    """Left are none, the first, the second: directions (1, 0), (1, 0), (.5, 1); the caption is (1, 0)."""
    masks = torch.tensor([[False, False, False], [True, False, False], [False, True, False]])

    scores = masked_scores(nn.Identity(), ONE_STAGE, PAIR, masks)

    torch.testing.assert_close(scores, torch.tensor([1.0, 1.0, 0.5 / 1.25**0.5]))


def test_a_second_stage_adds_its_fine_score_with_its_weight() -> None:
    masks = torch.tensor([[True, False, False], [True, True, True]])

    first, both = (masked_scores(nn.Identity(), task, PAIR, masks) for task in (ONE_STAGE, TWO_STAGES))

    torch.testing.assert_close(both - first, torch.tensor([0.5, 1.5]))


def test_many_variants_are_scored_as_they_are_one_by_one() -> None:
    masks = torch.rand(AT_ONCE + 7, 3, generator=torch.Generator().manual_seed(0)) < 0.5

    together = masked_scores(nn.Identity(), TWO_STAGES, PAIR, masks)

    alone = torch.cat([masked_scores(nn.Identity(), TWO_STAGES, PAIR, mask[None]) for mask in masks])
    torch.testing.assert_close(together, alone)
