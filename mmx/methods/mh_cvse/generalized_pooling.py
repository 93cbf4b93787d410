"""Pooling that learns how much the first, second, .. largest value of a feature counts.

Source: arXiv 2011.04305, section 3.2 (generalised pooling operator).
Shapes: B items, T regions or words, D width, S different counts of parts.
"""

import numpy
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmx.nn.precision import at_least_float32

LONGEST_WAVE = 10_000
MOST_WRITTEN = 256
"""Parts of an item of which a graph that is written for other programs holds the weights."""


class GeneralizedPooling(nn.Module):
    """Sorts each feature over the parts, and weighs the places of that order by what it learned of them.

    x_d    = sum_k weight_k (k-th largest of z_1d, .., z_nd)
    weight = softmax_k(score_k / temperature)            sums to 1 over the n places there are
    score  = Linear(Bi-GRU(code_1, .., code_n))          code: sines and cosines of the place
    """

    def __init__(self, code_width: int, temperature: float) -> None:
        super().__init__()
        self.code_width, self.temperature = code_width, temperature
        self.reader = nn.GRU(code_width, code_width, batch_first=True, bidirectional=True)
        self.score = nn.Linear(code_width, 1, bias=False)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, T, D], [B, T] bool -> [B, D]; the order of parts is of no meaning."""
        count = mask.sum(dim=1)
        places = torch.arange(mask.shape[1], device=mask.device) < count[:, None]
        ranked = largest_first(tokens.masked_fill(~mask[..., None], -torch.inf).transpose(1, 2))
        ranked = ranked.masked_fill(~places[:, None], 0.0)
        weights = self.weights(count, mask.shape[1]).to(ranked.dtype)
        return torch.bmm(ranked, weights[..., None])[..., 0]

    def parts(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """The same arguments -> [B, T, D] that sums to the result over T: what each part gave."""
        order = tokens.masked_fill(~mask[..., None], -torch.inf).argsort(dim=1, descending=True)
        weights = self.weights(mask.sum(dim=1), mask.shape[1]).to(tokens.dtype)
        # The inverse of the order: at which place each value of each part stands.
        places = order.argsort(dim=1)
        of_place = weights[..., None].expand_as(tokens).gather(1, places)
        return tokens.masked_fill(~mask[..., None], 0.0) * of_place

    def weights(self, count: Tensor, places: int) -> Tensor:
        """[B] int64, T -> [B, T] float32: the weight of each place for an item of so many parts."""
        if torch.onnx.is_in_onnx_export():
            return self._table()[count - 1][:, :places]
        different, which = count.unique(return_inverse=True)
        return self._weights(different, places)[which]

    def _table(self) -> Tensor:
        """[M, M]: row n holds the weights of n + 1 parts. They hang on nothing but the number of parts."""
        counts = torch.arange(1, MOST_WRITTEN + 1)
        return torch.from_numpy(self._weights(counts, MOST_WRITTEN).numpy())

    def _weights(self, different: Tensor, places: int) -> Tensor:
        """[N] int64, T -> [N, T] float32: the same for each of some numbers of parts."""
        device = different.device
        codes = self._codes(places, device).expand(len(different), -1, -1)
        with torch.autocast(device.type, enabled=False):
            packed = pack_padded_sequence(codes, different.cpu(), batch_first=True, enforce_sorted=False)
            read, _ = pad_packed_sequence(self.reader(packed)[0], batch_first=True, total_length=places)
            forward, backward = read.chunk(2, dim=-1)
            scores = self.score((forward + backward) / 2)[..., 0] / self.temperature
        held = torch.arange(places, device=device) < different[:, None]
        return scores.masked_fill(~held, -torch.inf).softmax(dim=-1)

    def _codes(self, places: int, device: torch.device) -> Tensor:
        """[T, code width]: sine and cosine of the place at wave lengths from 2 pi to 20,000 pi."""
        half = torch.arange(self.code_width // 2, device=device) / (self.code_width / 2)
        angles = torch.arange(places, device=device)[:, None] / LONGEST_WAVE**half
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def largest_first(values: Tensor) -> Tensor:
    """[B, D, T] -> the same numbers in falling order over T."""
    if values.device.type != "cpu" or torch.onnx.is_in_onnx_export():
        return values.sort(descending=True).values
    # numpy sorts short rows with vector instructions, several times faster than torch on a CPU.
    order = numpy.argsort(-at_least_float32(values.detach()).contiguous().numpy(), axis=-1)
    return values.gather(-1, torch.from_numpy(order))
