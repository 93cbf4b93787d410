"""Head: from the features of a tower that shares no space with the other one into a space of their own.

Source: ours, tried on Flickr8k val; the power is that of arXiv 1406.6909.
Shapes: B items, T patches or tokens, F encoder width, D shared width.
"""

from torch import Tensor, nn

from mmx.nn.feature_scaling import FeatureScaling
from mmx.nn.projection import PerceptronHead


class Head(nn.Module):
    """Standardises features over the training data, then projects them with one hidden layer.

    Patches and tokens go the way of the pooled features, with the pooled features' mean and variance.
    """

    def __init__(
        self,
        in_width: int,
        hidden_width: int,
        out_width: int,
        power: float,
        input_dropout: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.scaling = FeatureScaling(in_width, power)
        self.dropout = nn.Dropout(input_dropout)
        self.project = PerceptronHead(in_width, hidden_width, out_width, dropout)

    def forward(self, pooled: Tensor) -> Tensor:
        """[B, F] -> [B, D], not of unit length."""
        return self.project(self.dropout(self.scaling(pooled)))

    def project_parts(self, parts: Tensor) -> Tensor:
        """[B, T, F] -> [B, T, D], not of unit length; the statistics take in nothing."""
        return self.project(self.dropout(self.scaling.rescale(parts)))
