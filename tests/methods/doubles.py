"""Small batches, and towers that stand for encoders: linear maps of mean colours and of token ids."""

import dataclasses

import torch
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.method import Method
from mmx.core.tower import Tower

WIDTH, PATCHES, LENGTH = 12, 4, 6


class StubImageTower(nn.Module):
    """Four patches a picture, each a linear map of its mean colour; three blocks."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.stem, self.middle, self.top = (
            nn.Linear(3, width),
            nn.Linear(width, width),
            nn.Linear(width, width),
        )

    def blocks(self) -> list[list[str]]:
        """Names from input to output."""
        return [["stem"], ["middle"], ["top"]]

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """[B, 3, height, width] uint8 -> image_features [B, F], patch_features [B, 4, F]."""
        colours = nn.functional.adaptive_avg_pool2d(pixels.float() / 255, 2).flatten(2).transpose(1, 2)
        patches = self.top(self.middle(self.stem(colours)).tanh())
        return {"image_features": patches.mean(1), "patch_features": patches}


class StubTextTower(nn.Module):
    """Embeds each token by itself; three blocks."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.words, self.middle, self.top = (
            nn.Embedding(50, width),
            nn.Linear(width, width),
            nn.Linear(width, width),
        )

    def blocks(self) -> list[list[str]]:
        """Names from input to output."""
        return [["words"], ["middle"], ["top"]]

    def forward(self, token_ids: Tensor, token_mask: Tensor) -> dict[str, Tensor]:
        """[C, L], [C, L] -> text_features [C, F], token_features [C, L, F]."""
        tokens = self.top(self.middle(self.words(token_ids)).tanh()) * token_mask[..., None]
        return {"text_features": tokens.sum(1) / token_mask.sum(1, keepdim=True), "token_features": tokens}


def make_batch(images: int = 4, captions_per_image: int = 1, seed: int = 0) -> Batch:
    """A batch with every field filled, so that any towers can read it."""
    random = torch.Generator().manual_seed(seed)
    captions = images * captions_per_image
    lengths = torch.randint(2, LENGTH + 1, (captions,), generator=random)
    lengths[0] = LENGTH
    mask = torch.arange(LENGTH) < lengths[:, None]
    tokens = torch.randn(captions, LENGTH, WIDTH, generator=random) * mask[..., None]
    patches = torch.randn(images, PATCHES, WIDTH, generator=random)
    quarters = torch.randint(0, 256, (images, 3, 2, 2), generator=random, dtype=torch.uint8)
    return Batch(
        pixels=quarters.repeat_interleave(4, 2).repeat_interleave(4, 3),
        image_features=patches.mean(1),
        patch_features=patches,
        image_group=torch.arange(images),
        token_ids=torch.randint(1, 50, (captions, LENGTH), generator=random) * mask,
        text_features=tokens.sum(1) / lengths[:, None],
        token_features=tokens,
        token_mask=mask,
        text_group=torch.arange(images).repeat_interleave(captions_per_image),
    )


def take(batch: Batch, images: Tensor, captions: Tensor) -> Batch:
    """The images and captions of a batch that are asked for, in the order asked for."""
    image_fields = {"pixels", "image_features", "patch_features", "image_group"}
    return Batch(
        **{
            field.name: getattr(batch, field.name)[images if field.name in image_fields else captions]
            for field in dataclasses.fields(batch)
        }
    )


def pad(batch: Batch, extra: int) -> Batch:
    """The same captions with `extra` places of rubbish behind them, masked."""
    captions = len(batch.token_mask)
    return dataclasses.replace(
        batch,
        token_ids=torch.cat([batch.token_ids, torch.zeros(captions, extra, dtype=torch.int64)], 1),
        token_features=torch.cat([batch.token_features, torch.full((captions, extra, WIDTH), 1e3)], 1),
        token_mask=torch.cat([batch.token_mask, torch.zeros(captions, extra, dtype=torch.bool)], 1),
    )


def build(method: Method, settings: object, seed: int = 0) -> nn.Module:
    """The model of these settings over stub towers, in training mode."""
    torch.manual_seed(seed)
    uses = method.towers(settings)
    stubs = {"image": StubImageTower, "text": StubTextTower}
    towers = {name: Tower(WIDTH, stubs[name]() if use.trainable else None) for name, use in uses.items()}
    return method.build(settings, towers)
