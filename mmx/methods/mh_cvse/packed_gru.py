"""A GRU over captions of many lengths on a processor, at a cost that grows with their words and not faster.

PyTorch's own backward through packed captions fills and adds up, for each word, a tensor as large as the
whole batch, and writes the gradient of the recurrent weights anew for each; here either is done once.

Source: the equations are those of `torch.nn.GRU`; how the gradient is worked out is ours.
Shapes: C captions, L words of the longest, N words of all, D width; b_t captions have a word t.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def read_both_ways(reader: nn.GRU, tokens: Tensor, mask: Tensor) -> Tensor:
    """A bidirectional one-layer GRU: [C, L, W], [C, L] bool with no gap -> [C, L, 2 D], zero on padding."""
    lengths, order = mask.sum(dim=1).sort(descending=True, stable=True)
    steps = torch.arange(mask.shape[1], device=mask.device)[:, None]
    there = steps < lengths
    places = (order * mask.shape[1] + steps)[there]
    words = tokens.flatten(0, 1).index_select(0, places)
    sizes = [size for size in there.sum(dim=1).tolist() if size]
    read = torch.cat([_read(reader, words, sizes, reverse) for reverse in (False, True)], dim=-1)
    empty = read.new_zeros(mask.numel(), read.shape[-1])
    return empty.index_copy(0, places, read).unflatten(0, mask.shape)


def _read(reader: nn.GRU, words: Tensor, sizes: Sequence[int], reverse: bool) -> Tensor:
    """One direction: [N, W], word by word of all captions, longest caption first -> [N, D]."""
    end = "_l0_reverse" if reverse else "_l0"
    inner, outer = getattr(reader, f"weight_hh{end}"), getattr(reader, f"weight_ih{end}")
    inputs = functional.linear(words, outer, getattr(reader, f"bias_ih{end}"))
    bias = getattr(reader, f"bias_hh{end}")
    return _PackedGru.apply(inputs, inner.to(inputs.dtype), bias.to(inputs.dtype), tuple(sizes), reverse)


class _PackedGru(torch.autograd.Function):
    """One direction over what the input weights gave.

    r, z = sigmoid(i_rz + W_rz h + b_rz)
    n    = tanh(i_n + r * (W_n h + b_n))
    h'   = n + z * (h - n)
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, sizes: tuple[int, ...], reverse: bool
    ) -> Tensor:
        """[N, 3 D], [3 D, D], [3 D], b_t of each t -> [N, D]."""
        width = weight.shape[1]
        gates, before, asked = (inputs.new_empty(len(inputs), share * width) for share in (3, 1, 1))
        # In mixed precision the products are halves, but what is carried from word to word is not.
        carried = torch.promote_types(inputs.dtype, torch.float32)
        read = inputs.new_empty(len(inputs), width, dtype=carried)
        states = read.new_zeros(sizes[0], width)
        for rows, size in _steps(sizes, reverse):
            state = states[:size]
            before[rows] = state
            hidden = torch.addmm(bias, before[rows], weight.T)
            reset_update = gates[rows, : 2 * width]
            torch.add(inputs[rows, : 2 * width], hidden[:, : 2 * width], out=reset_update)
            reset, update = reset_update.sigmoid_().chunk(2, dim=1)
            asked[rows] = hidden[:, 2 * width :]
            new = gates[rows, 2 * width :]
            torch.addcmul(inputs[rows, 2 * width :], reset, hidden[:, 2 * width :], out=new).tanh_()
            torch.lerp(new.to(carried), state, update.to(carried), out=read[rows])
            states[:size] = read[rows]
        ctx.save_for_backward(gates, before, asked, weight)
        ctx.steps = list(_steps(sizes, reverse))
        return read

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, wanted: Tensor) -> tuple[Tensor | None, ...]:
        """[N, D] -> gradients of inputs, weight and bias."""
        gates, before, asked, weight = ctx.saved_tensors
        reset, update, new = gates.chunk(3, dim=1)
        # What each gate's gradient is for one of the state or of the new state, for all words at once.
        of_update = (before - new) * update * (1 - update)
        of_new = (1 - update) * (1 - new * new)
        of_reset = asked * reset * (1 - reset)
        inner, outer_new = torch.empty_like(gates), torch.empty_like(before)
        state = wanted.new_zeros(max(size for _, size in ctx.steps), weight.shape[1])
        for rows, size in reversed(ctx.steps):
            here, found = state[:size].add_(wanted[rows]), inner[rows]
            to_reset, to_update, to_new = found.chunk(3, dim=1)
            torch.mul(here, of_update[rows], out=to_update)
            outer = torch.mul(here, of_new[rows], out=outer_new[rows])
            torch.mul(outer, of_reset[rows], out=to_reset)
            torch.mul(outer, reset[rows], out=to_new)
            here.mul_(update[rows]).add_(found @ weight)
        outer = torch.cat([inner[:, : -weight.shape[1]], outer_new], dim=1)
        return outer, inner.T @ before, inner.sum(dim=0), None, None


def _steps(sizes: Sequence[int], reverse: bool) -> list[tuple[slice, int]]:
    """Rows of each word, and how many captions have it, in the order of reading."""
    ends = torch.tensor(sizes).cumsum(0).tolist()
    steps = [(slice(end - size, end), size) for end, size in zip(ends, sizes, strict=True)]
    return steps[::-1] if reverse else steps
