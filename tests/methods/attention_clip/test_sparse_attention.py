"""Sparse attention is dense attention with all else hidden, and what is hidden is never touched."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from mmx.methods.attention_clip.sparse_attention import GridWindow, TopK, Window
from mmx.nn.attention import MultiHeadAttention, Pattern, SelfAttentionBlock

B, H, W = 2, 3, 4


def drawn(keys: int, hidden: int = 0, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys and values [B, H, keys, W], and a mask that hides the last ones of the first item."""
    random = torch.Generator().manual_seed(seed)
    query, key, value = torch.randn(3, B, H, keys, W, generator=random)
    mask = torch.ones(B, keys, dtype=torch.bool)
    mask[0, keys - hidden :] = False
    return query, key, value, mask


def dense(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, allowed: Tensor) -> Tensor:
    """Dense attention with everything hidden that a pattern does not allow."""
    return scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :] & allowed)


def in_window(keys: int, half: int, first: int = 1) -> Tensor:
    """[keys, keys] bool by a plain loop."""
    rows = [[i < first or j < first or abs(i - j) <= half for j in range(keys)] for i in range(keys)]
    return torch.tensor(rows)


def in_grid(rows: int, columns: int, radius: int) -> Tensor:
    """[1 + cells, 1 + cells] bool by a plain loop."""
    cells = [None, *((row, column) for row in range(rows) for column in range(columns))]
    near = [
        [a is None or b is None or max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= radius for b in cells]
        for a in cells
    ]
    return torch.tensor(near)


@pytest.mark.parametrize("keys", [2, 3, 9, 17, 50])
@pytest.mark.parametrize("half", [0, 1, 4, 16])
def test_a_window_is_dense_attention_with_all_farther_tokens_hidden(keys: int, half: int) -> None:
    tokens = drawn(keys, hidden=min(5, keys - 1))

    torch.testing.assert_close(Window(half)(*tokens, 0.0), dense(*tokens, in_window(keys, half)))


def test_two_global_tokens_look_at_all_and_are_seen_by_all() -> None:
    tokens = drawn(20)

    torch.testing.assert_close(Window(2, dense_rows=2)(*tokens, 0.0), dense(*tokens, in_window(20, 2, 2)))


@pytest.mark.parametrize("keys", [1, 7, 40])
def test_a_window_twice_as_wide_as_the_text_is_long_is_dense_attention(keys: int) -> None:
    tokens = drawn(keys + 1)

    everything = torch.ones(keys + 1, keys + 1, dtype=torch.bool)
    torch.testing.assert_close(Window(2 * keys)(*tokens, 0.0), dense(*tokens, everything))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 3), (7, 7), (12, 4), (4, 8)])
@pytest.mark.parametrize("radius", [0, 1, 2])
def test_a_window_over_a_grid_is_dense_attention_with_all_farther_cells_hidden(
    rows: int, columns: int, radius: int
) -> None:
    tokens = drawn(1 + rows * columns, hidden=rows * columns // 3)

    found = GridWindow(radius, columns / rows)(*tokens, 0.0)

    torch.testing.assert_close(found, dense(*tokens, in_grid(rows, columns, radius)))


def test_cells_that_fill_no_grid_are_told() -> None:
    with pytest.raises(ValueError, match="10 cells fill no grid 1 times"):
        GridWindow(1)(*drawn(11), 0.0)


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [(Window(3), in_window(26, 3)), (GridWindow(1), in_grid(5, 5, 1))],
    ids=["window", "grid"],
)
def test_what_is_not_looked_at_has_a_weight_of_exactly_zero(pattern: Pattern, allowed: Tensor) -> None:
    """With one-hot values, what a query gathers are its weights."""
    query, key, _, mask = drawn(26)
    value = torch.eye(26).expand(B, H, 26, 26)

    weights = pattern(query, key, value, mask, 0.0)

    assert weights[..., ~allowed].eq(0).all() and weights[..., allowed].gt(0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, H, 26))


@pytest.mark.parametrize("number", [1, 5, 12, 99])
def test_top_k_looks_at_the_keys_with_the_largest_scores(number: int) -> None:
    query, key, value, mask = drawn(12, hidden=3)
    scores = (query @ key.transpose(-2, -1)).masked_fill(~mask[:, None, None, :], -torch.inf)
    kept = scores >= scores.sort(-1, descending=True).values[..., [min(number, 12) - 1]]

    found = TopK(number)(query, key, value, mask, 0.0)

    expected = scaled_dot_product_attention(query, key, value, attn_mask=kept & mask[:, None, None, :])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("pattern", [Window(2), GridWindow(1), TopK(4)])
def test_gradients_are_those_of_the_hidden_dense_form(pattern: Pattern) -> None:
    query, key, value, mask = drawn(17, seed=3)
    if isinstance(pattern, TopK):
        scores = query @ key.transpose(-2, -1)
        allowed = scores >= scores.sort(-1, descending=True).values[..., [3]]
    else:
        allowed = in_window(17, 2) if isinstance(pattern, Window) else in_grid(4, 4, 1)
    grown = [tensor.clone().requires_grad_() for tensor in (query, key, value)]
    other = [tensor.clone().requires_grad_() for tensor in (query, key, value)]

    pattern(*grown, mask, 0.0).square().sum().backward()
    dense(*other, mask, allowed).square().sum().backward()

    for one, two in zip(grown, other, strict=True):
        torch.testing.assert_close(one.grad, two.grad, atol=1e-4, rtol=1e-4)


def test_the_work_of_a_window_grows_with_the_length_and_not_with_its_square() -> None:
    def flops(keys: int) -> int:
        with FlopCounterMode(display=False) as counter:
            Window(16)(*drawn(keys + 1), 0.0)
        return counter.get_total_flops()

    assert 3.8 < flops(1_600) / flops(400) < 4.2


def test_a_block_with_a_wide_window_is_the_block_without_one() -> None:
    torch.manual_seed(0)
    sparse, plain = SelfAttentionBlock(8, 2, pattern=Window(40)).eval(), SelfAttentionBlock(8, 2).eval()
    plain.load_state_dict(sparse.state_dict())
    tokens, mask = torch.randn(3, 15, 8), torch.ones(3, 15, dtype=torch.bool)

    torch.testing.assert_close(sparse(tokens, mask), plain(tokens, mask), atol=1e-5, rtol=1e-5)


def test_the_global_token_alone_is_worked_out_densely() -> None:
    attention = MultiHeadAttention(8, 2, pattern=Window(1)).eval()
    tokens, mask = torch.randn(3, 9, 8), torch.ones(3, 9, dtype=torch.bool)

    alone = attention(tokens[:, :1], tokens, mask)

    torch.testing.assert_close(alone, attention(tokens, tokens, mask)[:, :1])


def test_dropout_hides_weights_in_training_only() -> None:
    attention = MultiHeadAttention(8, 2, dropout=0.9, pattern=Window(1))
    tokens, mask = torch.randn(3, 9, 8), torch.ones(3, 9, dtype=torch.bool)

    assert not torch.equal(attention.train()(tokens, tokens, mask), attention(tokens, tokens, mask))
    assert torch.equal(attention.eval()(tokens, tokens, mask), attention(tokens, tokens, mask))


@pytest.mark.parametrize("pattern", [Window(2), GridWindow(1), TopK(17)])
def test_half_precision_is_kept(pattern: Pattern) -> None:
    query, key, value, mask = drawn(17)

    found = pattern(query.bfloat16(), key.bfloat16(), value.bfloat16(), mask, 0.0)

    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), pattern(query, key, value, mask, 0.0), atol=0.05, rtol=0.05)
