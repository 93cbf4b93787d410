"""Captioner: writes the words of a post while it looks at the tokens of its picture.

Source: arXiv 1502.03044, with soft attention, as in the code of MuSE, commit 812dc19, models.py.
Shapes: B pictures, V tokens of a picture, T words of a caption, N words known, D width, E of the memory.
"""

import torch
from torch import Tensor, nn

from mmx.methods.muse.exchange import mean_of
from mmx.methods.muse.settings import MuseSettings
from mmx.nn.precision import at_least_float32
from mmx.words.vocabulary import END, PADDING, START, UNKNOWN

EVENNESS = 1.0
"""Weight of the term that wants every token of the picture looked at once in all."""


class Captioner(nn.Module):
    """An LSTM over words, with additive attention over the picture's tokens."""

    def __init__(self, settings: MuseSettings, words: int) -> None:
        super().__init__()
        width, inner = settings.width, settings.caption_width
        self.words = nn.Embedding(words, inner)
        self.from_token = nn.Linear(width, inner)
        self.from_memory = nn.Linear(inner, inner)
        self.agreement = nn.Linear(inner, 1)
        self.gate = nn.Linear(inner, width)
        self.first_memory = nn.Linear(width, inner)
        self.first_cell = nn.Linear(width, inner)
        self.cell = nn.LSTMCell(inner + width, inner)
        self.dropout = nn.Dropout(settings.caption_dropout)
        self.output = nn.Linear(inner, words)

    def forward(self, tokens: Tensor, mask: Tensor, spoken_ids: Tensor) -> tuple[Tensor, Tensor]:
        """[B, V, D], [B, V] bool, [B, T] padded with -1 -> scores of the words after the first
        [B, T - 1, N], attention [B, T - 1, V], which sums to 1 over the tokens there are.
        """
        memory, keys = self.begin(tokens, mask)
        written = self.words(spoken_ids.clamp_min(PADDING))
        states, looked = [], []
        for place in range(spoken_ids.shape[1] - 1):
            memory, attention = self.step(tokens, mask, keys, memory, written[:, place])
            states.append(memory[0])
            looked.append(attention)
        return self.output(self.dropout(torch.stack(states, dim=1))), torch.stack(looked, dim=1)

    def begin(self, tokens: Tensor, mask: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The first memory and cell [B, E] each, and keys of the tokens [B, V, E]."""
        mean = mean_of(tokens, mask)
        return (self.first_memory(mean), self.first_cell(mean)), self.from_token(tokens)

    def step(
        self, tokens: Tensor, mask: Tensor, keys: Tensor, memory: tuple[Tensor, Tensor], word: Tensor
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """One word further: memory and cell, and attention [B, V] float32."""
        scores = self.agreement((keys + self.from_memory(memory[0])[:, None]).relu()).squeeze(-1)
        attention = at_least_float32(scores).masked_fill(~mask, -torch.inf).softmax(dim=1)
        seen = (attention.to(tokens.dtype)[:, None] @ tokens).squeeze(1)
        read = torch.cat([word.to(seen.dtype), self.gate(memory[0]).sigmoid() * seen], dim=1)
        return self.cell(read, memory), attention

    def nll(self, tokens: Tensor, mask: Tensor, spoken_ids: Tensor) -> dict[str, Tensor]:
        """[B, V, D], [B, V] bool, [B, T] padded with -1 -> `words_nll` [1] nats of all words, `words` [1] how
        many, `unevenness` [X] of each token: (1 - sum of attention over words)^2.
        """
        scores, attention = self(tokens, mask, spoken_ids)
        following = spoken_ids[:, 1:]
        there = following >= 0
        wanted = following[there]
        nll = nn.functional.cross_entropy(at_least_float32(scores[there]), wanted, reduction="sum")
        looked = (attention * there[..., None]).sum(1)
        words = torch.tensor([len(wanted)], device=mask.device)
        return {"words_nll": nll[None], "words": words, "unevenness": ((1 - looked) ** 2)[mask]}

    @torch.no_grad()
    def write(self, tokens: Tensor, mask: Tensor, longest: int) -> list[list[int]]:
        """[B, V, D], [B, V] bool -> the words of each picture, the likeliest one by one; signs left out."""
        memory, keys = self.begin(tokens, mask)
        word = torch.full((len(tokens),), START, device=tokens.device)
        written = []
        for _ in range(longest):
            memory, _ = self.step(tokens, mask, keys, memory, self.words(word))
            scores = self.output(memory[0])
            scores[:, [PADDING, START, UNKNOWN]] = -torch.inf
            word = scores.argmax(1)
            written.append(word)
        rows = torch.stack(written, dim=1).tolist()
        return [row[: row.index(END)] if END in row else row for row in rows]


def caption_loss(words_nll: Tensor, words: Tensor, unevenness: Tensor) -> Tensor:
    """What `nll` gave of all pictures -> nats of a word, a scalar: the mean over words, and over tokens of
    their unevenness; 0 where there is no picture.
    """
    mean = words_nll.sum() / words.sum().clamp(min=1)
    return mean + EVENNESS * unevenness.mean() if len(unevenness) else mean
