"""From the regions of an image, or the words of a caption, to one vector: by gates, or by their mean.

Source: CVSE code (BruceW91/CVSE, commit 94c2191, model_CVSE.py:221-382); the masks are ours.
Shapes: B items, T regions or words, D width.
"""

from torch import Tensor, nn
from torch.nn import functional

from mmx.core.present import present
from mmx.methods.mh_cvse.dropout import Dropout
from mmx.methods.mh_cvse.generalized_pooling import GeneralizedPooling
from mmx.methods.mh_cvse.masking import masked_mean, masked_softmax, weighted_sum
from mmx.methods.mh_cvse.packing import Packing
from mmx.methods.mh_cvse.settings import MhCvseSettings
from mmx.methods.mh_cvse.slot_norm import SlotNorm
from mmx.nn.precision import at_least_float32


class GatedPooling(nn.Module):
    """Weighs each part by how it goes with the mean of all.

    m   = mean_t z_t                                      of unit length for captions
    h_t = drop(tanh(N(W1 z_t))) * drop(tanh(N(W2 m)))     N: a norm for images, nothing for captions
    a   = softmax_t(w . h_t)                              sums to 1 over the parts there are
    x   = sum_t a_t z_t
    """

    def __init__(
        self, width: int, dropout: float, part_norm: nn.Module | None, mean_norm: nn.Module | None
    ) -> None:
        super().__init__()
        self.part_gate, self.mean_gate = nn.Linear(width, width), nn.Linear(width, width)
        self.part_norm, self.mean_norm = part_norm, mean_norm
        self.score = nn.Linear(width, 1, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, T, D], [B, T] bool -> [B, D], not of unit length."""
        return weighted_sum(tokens, self.weights(tokens, mask))

    def parts(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """The same arguments -> [B, T, D] that sums to the result over T: what each part gave."""
        return tokens * self.weights(tokens, mask)[..., None].to(tokens.dtype)

    def weights(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, T, D], [B, T] bool -> [B, T]: sums to 1, exactly 0 on padding."""
        mean = masked_mean(tokens, mask)
        if self.part_norm is None:
            mean = self.mean_gate(functional.normalize(mean, dim=-1))
        else:
            mean = present(self.mean_norm)(self.mean_gate(mean))
        # w . (part * mean) = part . (w * mean): no second tensor of the size of all parts.
        parts, asked = self._gate_parts(tokens, mask), self.dropout(mean.tanh()) * self.score.weight
        scores = (parts @ asked[..., None].to(parts.dtype))[..., 0]
        return masked_softmax(at_least_float32(scores), mask)

    def _gate_parts(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, T, D], [B, T] bool -> [B, T, D]: the gate of each part."""
        packing = Packing(mask)
        parts = self.part_gate(packing.pack(tokens))
        if isinstance(self.part_norm, SlotNorm):
            return self.dropout(self.part_norm(packing.unpack(parts), mask).tanh())
        if self.part_norm is not None:
            parts = self.part_norm(parts)
        return packing.unpack(self.dropout(parts.tanh()))


class MeanPooling(nn.Module):
    """The plain mean of the parts there are."""

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, T, D], [B, T] bool -> [B, D]."""
        return masked_mean(tokens, mask)

    def parts(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """The same arguments -> [B, T, D] that sums to the result over T: what each part gave."""
        shares = mask.to(tokens.dtype) / mask.sum(dim=1, keepdim=True)
        return tokens * shares[..., None]


def build_pooling(settings: MhCvseSettings, normed: bool) -> nn.Module:
    """The pooling that the settings name; images have norms inside their gates, captions have none."""
    if settings.pooling == "gpo":
        return GeneralizedPooling(settings.gpo_width, settings.gpo_temperature)
    if settings.pooling == "mean":
        return MeanPooling()
    width = settings.inner_width
    norms: tuple[nn.Module | None, nn.Module | None] = (None, None)
    if normed and settings.gate_norm == "batch":
        norms = SlotNorm(settings.slots), nn.BatchNorm1d(width)
    elif normed:
        norms = nn.LayerNorm(width), nn.LayerNorm(width)
    return GatedPooling(width, settings.gate_dropout, *norms)


def measures_a_batch(settings: MhCvseSettings) -> str | None:
    """The setting for which an image is pooled by the mean and variance of its batch, if it is so."""
    by_batch = settings.pooling == "gated" and settings.gate_norm == "batch"
    return "gate_norm=batch" if by_batch else None
