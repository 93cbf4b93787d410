"""The GRU that captions are read with is torch's: the same numbers and gradients, whatever the lengths."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmx.methods.mh_cvse.packed_gru import read_both_ways

W, D = 3, 4


def by_torch(reader: nn.GRU, tokens: Tensor, mask: Tensor) -> Tensor:
    """What the library itself reads."""
    packed = pack_padded_sequence(tokens, mask.sum(dim=1), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(reader(packed)[0], batch_first=True, total_length=mask.shape[1])[0]


def make(lengths: list[int], seed: int) -> tuple[nn.GRU, Tensor, Tensor]:
    """A reader in float64, tokens [C, L, W] and their mask, with two places more than the longest has."""
    torch.manual_seed(seed)
    reader = nn.GRU(W, D, batch_first=True, bidirectional=True).double()
    tokens = torch.randn(len(lengths), max(lengths) + 2, W, dtype=torch.float64, requires_grad=True)
    return reader, tokens, torch.arange(max(lengths) + 2) < torch.tensor(lengths)[:, None]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 99))
def test_it_reads_what_torch_reads_and_learns_what_torch_learns(lengths: list[int], seed: int) -> None:
    reader, tokens, mask = make(lengths, seed)
    wanted = torch.randn(*mask.shape, 2 * D, dtype=torch.float64)

    ours, theirs = (read(reader, tokens, mask) for read in (read_both_ways, by_torch))
    learned = [*reader.parameters(), tokens]
    gradients = [torch.autograd.grad((read * wanted).sum(), learned) for read in (ours, theirs)]

    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=0)


def test_mixed_precision_carries_what_was_read_in_float32() -> None:
    reader, tokens, mask = make([4, 2], seed=0)
    reader, tokens = reader.float(), tokens.detach().float()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        read = read_both_ways(reader, tokens, mask)
    read.sum().backward()

    assert read.dtype == torch.float32
    torch.testing.assert_close(read, by_torch(reader, tokens, mask), atol=0.02, rtol=0)
    assert all(parameter.grad.dtype == torch.float32 for parameter in reader.parameters())
