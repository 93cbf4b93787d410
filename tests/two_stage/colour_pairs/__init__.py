"""A method with nothing to learn: the first stage knows the half of a colour, the second the colour.

Of plain pictures and of captions whose first word is a colour, so that every rank can be worked out by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import ImageColor
from torch import Tensor, nn

from mmx.core.assets import Assets
from mmx.core.batch import Batch
from mmx.core.method import Method, ParameterGroup, Stage
from mmx.core.record import Record
from mmx.core.settings import setting
from mmx.core.task import Rerank, Retrieval
from mmx.core.tower import Tower, TowerUse
from tests.workflows.evaluated_home import COLOURS

VALUES = torch.tensor([ImageColor.getrgb(name) for name in COLOURS], dtype=torch.float32)


@dataclass(frozen=True)
class ColourPairsSettings:
    weight: float = setting(1.0, "Of the second stage.", source="ours")


class ColourPairs(nn.Module):
    def __init__(self, weight: float, tower: nn.Module) -> None:
        super().__init__()
        self.image_tower = tower
        self.idle = nn.Parameter(torch.zeros(()))
        self.register_buffer("weight", torch.tensor(weight))


def build(settings: ColourPairsSettings, towers: dict[str, Tower], assets: Assets) -> ColourPairs:
    return ColourPairs(settings.weight, towers["image"].module)


def colours_of(batch: Batch) -> Tensor:
    """[B, 3, height, width] -> the nearest colour's number [B]."""
    return torch.cdist(batch.pixels.float().mean((2, 3)), VALUES).argmin(1)


def half(colour: Tensor) -> Tensor:
    return nn.functional.one_hot(colour // 3, 2).float()


def encode_image(model: ColourPairs, batch: Batch) -> Tensor:
    return half(colours_of(batch))


def encode_text(model: ColourPairs, batch: Batch) -> Tensor:
    return half(batch.token_ids[:, 0])


def keep_image(model: ColourPairs, batch: Batch) -> dict[str, Tensor]:
    return {"colour": colours_of(batch)}


def keep_text(model: ColourPairs, batch: Batch) -> dict[str, Tensor]:
    """A token for each word of the caption, of which the first is its colour."""
    return {"colours": batch.token_ids, "mask": batch.token_mask}


def fine(model: ColourPairs, images: dict[str, Tensor], texts: dict[str, Tensor]) -> Tensor:
    """1 where the colour is the same."""
    return (texts["colours"][:, :1] == images["colour"]).float() * texts["mask"][:, :1]


def caption_ids(
    settings: ColourPairsSettings, assets: Assets, records: Sequence[Record]
) -> dict[str, list[list[int]]]:
    captions = [caption.split() for record in records for caption in record.captions]
    return {"token_ids": [[COLOURS.index(words[0])] + [0] * (len(words) - 1) for words in captions]}


METHOD = Method(
    summary="For tests of two stages.",
    settings=ColourPairsSettings,
    presets={"tiny": {}},
    towers=lambda settings: {"image": TowerUse("random:resnet", True, ("image_features",))},
    build=build,
    stages=lambda settings: (Stage("all", (ParameterGroup("idle", ("idle",), lr=0.1),), 1, 8),),
    represent=lambda model, batch: {},
    compare=lambda model, rows, progress: {"total": (model.idle - 1) ** 2},
    tasks=(
        Retrieval(
            encode_image,
            encode_text,
            rerank=Rerank(keep_image, keep_text, fine, lambda model: model.weight.item()),
        ),
    ),
    caption_ids=caption_ids,
)
