"""Multi-head self-attention that is added to regions or words before they are pooled.

Source: seed 000, "Multi-Head Self-Attention"; that it is one residual block with the norm after it is ours.
Shapes: B items, T regions or words, D width, H heads.
"""

from torch import Tensor, nn

from mmx.methods.mh_cvse.dropout import Dropout
from mmx.methods.mh_cvse.packing import Packing
from mmx.nn.attention import MultiHeadAttention


class AttentionAddition(nn.Module):
    """Lets regions, or words, take in what they agree with.

    Z = LN(V + dropout(MHSA(V)))
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, heads)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(width)
        # Drawn biases would be as large as regions of unit length, and the same for all of them.
        for layer in self.attention.children():
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, T, D], [B, T] bool -> [B, T, D], zero on padding."""
        layers, packing = self.attention, Packing(mask)
        there = packing.pack(tokens)
        query, key, value = (packing.unpack(read(there)) for read in (layers.query, layers.key, layers.value))
        gathered = packing.pack(layers.gather(query, key, value, mask))
        return packing.unpack(self.norm(there + self.dropout(layers.output(gathered))))
