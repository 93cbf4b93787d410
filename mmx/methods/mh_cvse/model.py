"""Members that learn side by side, each from its own start, and an embedding that keeps what all of them say.

Source: one member is seed 000's model; several are an ensemble, ours.
Shapes: B images, C captions, M members, E what a member embeds in.
"""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.methods.mh_cvse.member import Member, embed_images, embed_texts, gauges
from mmx.methods.mh_cvse.settings import MhCvseSettings


class MhCvse(nn.Module):
    """Embeds images and captions apart from each other, so that either can be indexed."""

    def __init__(
        self, settings: MhCvseSettings, members: Sequence[Member], text_tower: nn.Module | None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.members, self.text_tower = nn.ModuleList(members), text_tower

    def read(self, batch: Batch) -> Batch:
        """The batch with the tokens of a text tower that is trained along, read once for all members."""
        if self.text_tower is None or batch.token_ids is None:
            return batch
        limit = self.settings.max_tokens
        ids, mask = batch.token_ids[:, :limit], batch.token_mask[:, :limit]
        tokens = self.text_tower(ids, mask)["token_features"]
        return dataclasses.replace(batch, token_features=tokens, token_mask=mask)


def encode_image(model: MhCvse, batch: Batch) -> Tensor:
    """The regions of B images -> image_embedding [B, M E], unit length."""
    return _side_by_side([embed_images(member, batch) for member in model.members])


def encode_text(model: MhCvse, batch: Batch) -> Tensor:
    """The words of C captions, and the concepts they name -> text_embedding [C, M E], unit length."""
    batch = model.read(batch)
    return _side_by_side([embed_texts(member, batch) for member in model.members])


def find_gauges(model: MhCvse) -> dict[str, float]:
    """What the members gauge, on average."""
    found = [gauges(member) for member in model.members]
    return {name: sum(values[name] for values in found) / len(found) for name in found[0]}


def _side_by_side(embeddings: Sequence[Tensor]) -> Tensor:
    """[B, E] of each member, unit length -> [B, M E], unit length: inner products are the members' means."""
    return torch.cat(embeddings, dim=-1) / len(embeddings) ** 0.5
