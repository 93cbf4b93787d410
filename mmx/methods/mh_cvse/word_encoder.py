"""Words of a caption in their context, learned from the captions alone.

Source: CVSE code (BruceW91/CVSE, commit 94c2191, model_CVSE.py:158-207).
Shapes: C captions, L words, V vocabulary, W width of a word, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmx.methods.mh_cvse.dropout import Dropout
from mmx.methods.mh_cvse.packed_gru import read_both_ways

LARGEST_START = 0.1


class WordEncoder(nn.Module):
    """Embeds each word and reads the caption in both directions.

    u_t = l2((forward_t + backward_t) / 2)        Bi-GRU over dropout(embedding_t)
    """

    def __init__(self, embedding: nn.Embedding, width: int, dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout = Dropout(dropout)
        self.reader = nn.GRU(embedding.embedding_dim, width, batch_first=True, bidirectional=True)

    def forward(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        """[C, L] int64, [C, L] bool -> [C, L, D], unit length, zero on padding."""
        embedded = self.dropout(self.embedding(token_ids))
        whole = embedded.is_cuda or torch.onnx.is_in_onnx_export()
        read = _read_by_library if whole else read_both_ways
        forward, backward = read(self.reader, embedded, mask).chunk(2, dim=-1)
        return functional.normalize(forward + backward, dim=-1)


def _read_by_library(reader: nn.GRU, tokens: Tensor, mask: Tensor) -> Tensor:
    packed = pack_padded_sequence(tokens, mask.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False)
    # Whatever autocast is asked for, on a card it reads in float16, where small gradients are lost.
    with torch.autocast(tokens.device.type, enabled=False):
        read = reader(packed)[0]
    return pad_packed_sequence(read, batch_first=True, total_length=mask.shape[1])[0]


def embed_words(count: int, width: int, vectors: Tensor | None, found: Tensor | None) -> nn.Embedding:
    """An embedding of V words: pretrained vectors [V, W] where they were found [V], else within -0.1..0.1."""
    embedding = nn.Embedding(count, width if vectors is None else vectors.shape[1], padding_idx=0)
    nn.init.uniform_(embedding.weight, -LARGEST_START, LARGEST_START)
    with torch.no_grad():
        if vectors is not None:
            embedding.weight[found] = vectors[found]
        embedding.weight[embedding.padding_idx] = 0
    return embedding
