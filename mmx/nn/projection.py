"""Projection heads: from an encoder's features into the shared space.

Source: ProjectionHead is that of seed 001 as built in public code (moein-shariatnia/OpenAI-CLIP, commit
73fea1f, modules.py); PerceptronHead is ours.
Shapes: B items, F encoder width, D shared width.
"""

from torch import Tensor, nn
from torch.nn import functional


class ProjectionHead(nn.Module):
    """A linear map with one residual layer on top.

    p = W1 x + b1
    y = LN(p + dropout(W2 GELU(p)))        squared length about D
    """

    def __init__(self, in_width: int, out_width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.project = nn.Linear(in_width, out_width)
        self.refine = nn.Linear(out_width, out_width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(out_width)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, D], not of unit length."""
        projected = self.project(features)
        refined = self.refine(functional.gelu(projected))
        return self.norm(projected + self.dropout(refined))


class PerceptronHead(nn.Module):
    """A perceptron with one hidden layer.

    y = W2 dropout(GELU(W1 x + b1)) + b2
    """

    def __init__(self, in_width: int, hidden_width: int, out_width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.widen = nn.Linear(in_width, hidden_width)
        self.project = nn.Linear(hidden_width, out_width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, D], not of unit length."""
        return self.project(self.dropout(functional.gelu(self.widen(features))))
