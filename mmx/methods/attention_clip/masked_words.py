"""Finding hidden words of a caption with the help of its picture.

Source: arXiv 2303.12501 (IRRA), section 3.2. Every hidden word gives way to one sign; the source leaves one
in ten as it is, and puts another word for one in ten.
Shapes: C captions, L tokens, W attention width, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class WordHead(nn.Module):
    """Names the word that a token stands for: logits = W2 LN(GELU(W1 x))."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.name = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """[X, W] -> [X, V]."""
        return self.name(self.norm(functional.gelu(self.dense(tokens))))


def hide_words(
    token_ids: Tensor, token_mask: Tensor, signs: Tensor, mask_id: int, share: float
) -> tuple[Tensor, Tensor]:
    """[C, L], [C, L], ids that are no words -> the ids with a share of the words hidden, and which [C, L]."""
    words = token_mask & ~torch.isin(token_ids, signs)
    hidden = words & (torch.rand(words.shape, device=words.device) < share)
    return token_ids.masked_fill(hidden, mask_id), hidden


def word_nll(logits: Tensor, token_ids: Tensor) -> Tensor:
    """[X, V], [X] -> the sum of cross entropies in nats; 0 where nothing is hidden."""
    return functional.cross_entropy(logits, token_ids, reduction="sum")
