"""One modality from what its encoder gives to an instance embedding.

Source: CVSE code (BruceW91/CVSE, commit 94c2191); attention is seed 000's, the pooled path is ours.
Shapes: B images or captions, T regions or words, F encoder width, W inner width, D shared width.
"""

from torch import Tensor, nn

from mmx.methods.mh_cvse.attention_addition import AttentionAddition
from mmx.methods.mh_cvse.dropout import Dropout
from mmx.methods.mh_cvse.masking import hide, masked_mean, seen
from mmx.methods.mh_cvse.settings import MhCvseSettings
from mmx.nn.feature_scaling import FeatureScaling
from mmx.nn.precision import at_least_float32, lengths, unit
from mmx.nn.projection import PerceptronHead


class PooledPath(nn.Module):
    """A head over the mean of all features.

    y = W2 dropout(GELU(W1 dropout(scaled mean_t x_t) + b1)) + b2
    """

    def __init__(self, in_width: int, power: float, input_dropout: float, settings: MhCvseSettings) -> None:
        super().__init__()
        self.scale = FeatureScaling(in_width, power) if settings.standardize else None
        self.dropout = Dropout(input_dropout)
        self.head = PerceptronHead(in_width, settings.hidden_width, settings.width, settings.dropout)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """[B, T, F], [B, T] bool -> [B, D], not of unit length."""
        pooled = masked_mean(features, mask)
        return self.head(self.dropout(pooled if self.scale is None else self.scale(pooled)))


class Branch(nn.Module):
    """Embeds regions or words, lets them attend to each other, and pools them.

    x = l2(pool(Z))                        Z: attended embeddings of the regions or words
    x = l2(pooled path + W pool(Z))        with a pooled path; W = 0 at the start
    """

    def __init__(
        self,
        embed: nn.Module,
        pool: nn.Module,
        hidden_share: float,
        pooled_path: PooledPath | None,
        settings: MhCvseSettings,
    ) -> None:
        super().__init__()
        inner, width = settings.inner_width, settings.width
        self.hidden_share = hidden_share
        self.embed, self.pool, self.pooled_path = embed, pool, pooled_path
        self.attend = self.join = None
        if settings.attention:
            self.attend = AttentionAddition(inner, settings.heads, settings.attention_dropout)
        if pooled_path is not None or inner != width:
            self.join = nn.Linear(inner, width)
            if pooled_path is not None:
                nn.init.zeros_(self.join.weight)
                nn.init.zeros_(self.join.bias)

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """[B, T, F] features, or [B, T] word ids, and [B, T] bool -> instance [B, D] float32, unit length."""
        mask = seen(mask)
        tokens = self.embed(inputs, mask)
        shown = hide(mask, self.hidden_share) if self.training and self.hidden_share else mask
        if self.attend is not None:
            tokens = self.attend(tokens, shown)
        return unit(self._join(self.pool(tokens, shown), inputs, mask))

    def parts(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """The same arguments -> [B, T, D]: what each region or word gave to the instance, 0 on padding.

        They sum to the instance less what the pooled path and the bias gave.
        """
        there = seen(mask)
        tokens = self.embed(inputs, there)
        if self.attend is not None:
            tokens = self.attend(tokens, there)
        whole, parts = self._join(self.pool(tokens, there), inputs, there), self.pool.parts(tokens, there)
        if self.join is not None:
            parts = parts @ self.join.weight.T
        parts = at_least_float32(parts).masked_fill(~mask[..., None], 0.0)
        return parts / lengths(at_least_float32(whole))[..., None]

    def _join(self, pooled: Tensor, inputs: Tensor, mask: Tensor) -> Tensor:
        """What was pooled [B, W], brought to the shared width, and what the pooled path says -> [B, D]."""
        if self.join is not None:
            pooled = self.join(pooled)
        return pooled if self.pooled_path is None else pooled + self.pooled_path(inputs, mask)
