"""CrossTransformer: words and pictures through the same layers, in some of which they exchange tokens.

Source: seed 002; code of MuSE, commit 812dc19, models.py. Unlike there, padding takes no part in anything.
Shapes: B posts, K tokens of a modality, D width. The class token stands first: sequences have K + 1 places.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.core.present import present
from mmx.methods.muse.exchange import (
    add_exchange,
    chosen_of,
    exchange,
    gated_exchange,
    least_attended,
    mean_of,
)
from mmx.methods.muse.settings import MuseSettings
from mmx.nn.attention import MultiHeadAttention


@dataclass(frozen=True)
class Sequence:
    """The tokens of one modality behind its class token."""

    tokens: Tensor
    """[B, K + 1, D]."""
    mask: Tensor
    """[B, K + 1] bool; the first place is always there."""


class CrossLayer(nn.Module):
    """A post-norm transformer layer in two halves, between which tokens may be exchanged."""

    def __init__(self, settings: MuseSettings) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(settings.width, settings.heads, settings.dropout)
        self.attention_norm = nn.LayerNorm(settings.width)
        self.widen = nn.Linear(settings.width, settings.feedforward)
        self.narrow = nn.Linear(settings.feedforward, settings.width)
        self.feedforward_norm = nn.LayerNorm(settings.width)
        self.dropout = nn.Dropout(settings.dropout)

    def attend(self, found: Sequence, look: bool) -> tuple[Tensor, Tensor | None]:
        """[B, K + 1, D] after attention and norm; with `look` how much the class token looks at each of the
        K others, the mean of the heads [B, K].
        """
        tokens, attention = found.tokens, self.attention
        projected = attention.query(tokens), attention.key(tokens), attention.value(tokens)
        gathered = attention.output(attention.gather(*projected, found.mask))
        looked = None
        if look:
            looked = attention.compare(projected[0][:, :1], projected[1], found.mask).mean(1)[:, 0, 1:]
        return self.attention_norm(tokens + self.dropout(gathered)), looked

    def feed(self, tokens: Tensor) -> Tensor:
        """[B, K + 1, D] -> the same."""
        widened = self.dropout(functional.relu(self.widen(tokens)))
        return self.feedforward_norm(tokens + self.dropout(self.narrow(widened)))


class CrossTransformer(nn.Module):
    """Layers with one set of parameters for both modalities, each behind a class token of its own."""

    def __init__(self, settings: MuseSettings) -> None:
        super().__init__()
        self.settings = settings
        self.text_class = nn.Parameter(torch.empty(1, 1, settings.width))
        self.image_class = nn.Parameter(torch.empty(1, 1, settings.width))
        for token in (self.text_class, self.image_class):
            nn.init.kaiming_normal_(token)
        self.layers = nn.ModuleList(CrossLayer(settings) for _ in range(settings.layers))

    def forward(self, text: Sequence | None, image: Sequence | None) -> tuple[Tensor | None, Tensor | None]:
        """Sequences without class tokens -> [B, K + 1, D] of each modality; None for one that is not read."""
        pair = [
            None if found is None else _behind(token, found)
            for token, found in ((self.text_class, text), (self.image_class, image))
        ]
        for number, layer in enumerate(self.layers):
            pair = self._pass(layer, pair, self.exchanges(number) and None not in pair)
        text_out, image_out = (None if found is None else found.tokens for found in pair)
        return text_out, image_out

    def exchanges(self, layer: int) -> bool:
        """Whether tokens are exchanged in a layer, from 0."""
        return self.settings.theta > 0 and self.settings.mu <= layer < self.settings.eta

    def _pass(self, layer: CrossLayer, pair: list[Sequence | None], swaps: bool) -> list[Sequence | None]:
        attended = [None if found is None else layer.attend(found, swaps) for found in pair]
        states = [None if found is None else found[0] for found in attended]
        if swaps:
            masks = [present(found).mask for found in pair]
            looks = [present(found)[1] for found in attended]
            means = [self._mean(state, mask) for state, mask in zip(states, masks, strict=True)]
            states = list(map(self._exchanged, states, masks, looks, means[::-1]))
        return [
            None if found is None else Sequence(layer.feed(state), found.mask)
            for state, found in zip(states, pair, strict=True)
        ]

    def _mean(self, state: Tensor, mask: Tensor) -> Tensor:
        """[B, D] of a modality before anything is exchanged."""
        first = 0 if self.settings.mean_includes_cls else 1
        return mean_of(state[:, first:], mask[:, first:])

    def _exchanged(self, state: Tensor, mask: Tensor, looked: Tensor, mean: Tensor) -> Tensor:
        settings = self.settings
        places, there = least_attended(looked, mask[:, 1:], settings.theta, settings.count_rule)
        places = places + 1  # the class token stands first and is never chosen
        if settings.exchange == "residual":
            return add_exchange(state, places, there, mean)
        chosen = chosen_of(places, there, mask)
        if settings.exchange == "replace":
            return exchange(state, chosen, mean)
        looked = functional.pad(looked, (1, 0), value=torch.inf)
        return gated_exchange(state, chosen, mean, looked, functional.pad(mask[:, 1:], (1, 0)))


def _behind(token: Tensor, found: Sequence) -> Sequence:
    """The same behind a class token."""
    tokens = torch.cat([token.to(found.tokens.dtype).expand(len(found.tokens), 1, -1), found.tokens], dim=1)
    return Sequence(tokens, functional.pad(found.mask, (1, 0), value=True))
