"""A batch that is cut in pieces: its gradient is that of the whole, on one process and on several."""

import pytest
import torch

from mmx.core.errors import UsageError
from mmx.core.seed import derive_seed
from mmx.engine.loader import BatchReader
from mmx.engine.pieces import cut_batches
from mmx.engine.rows import join_rows, widen
from mmx.engine.stage_plan import plan_stages
from tests.engine.jobs import double_data, gradients, make_sure
from tests.engine.launched import together
from tests.engine.stub_training import compare, make_method, represent, stage

B = 7
"""Images of the batch that is cut."""


def assert_close(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=1e-10, msg=name)


@pytest.mark.parametrize("chunk", [1, 3, B])
def test_any_chunk_gives_the_gradient_of_the_whole_batch(chunk: int) -> None:
    assert_close(gradients(B, B, chunk), gradients(B, B))


def in_one_graph(chunk: int, dropout: float) -> dict[str, torch.Tensor]:
    """The gradient of the whole batch by autograd alone, each piece under its own random numbers."""
    model, data = make_sure(dropout), double_data(B)
    (plan,) = plan_stages(make_method([stage(batch_size=B)]), None, model, data, 0, chunk)
    rows = []
    for piece in BatchReader(data, plan.order, plan.cut)[(1, 0)]:
        torch.manual_seed(derive_seed(0, "all", 3, piece.number))
        rows.append(represent(model, piece.batch))
    compare(model, join_rows(rows), 0.25)["total"].backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("chunk", [1, 3, B])
def test_with_dropout_both_passes_of_a_piece_drop_the_same(chunk: int) -> None:
    found = gradients(B, B, chunk, dropout=0.4)

    assert_close(found, in_one_graph(chunk, dropout=0.4))
    assert not torch.equal(found["image.0.weight"], gradients(B, B, chunk)["image.0.weight"])


def test_two_processes_have_the_gradient_of_one() -> None:
    for found in together(gradients, B, B):
        assert_close(found, gradients(B, B))


def test_three_processes_share_a_last_batch_of_two_images() -> None:
    """5 images in batches of 3: of the last two one process has none."""
    for found in together(gradients, 5, 3, count=3):
        assert_close(found, gradients(5, 3))


def test_which_process_computes_a_piece_changes_nothing_of_its_dropout() -> None:
    """Two chunks on one process, and one on each of two."""
    for found in together(gradients, B, B, None, 0.4):
        assert_close(found, gradients(B, B, 4, 0.4))


def test_pieces_are_as_even_as_can_be_and_every_image_is_in_one() -> None:
    """10 images, at most 3 at a time, on 2 processes: 4 pieces of 2, 3, 2 and 3."""
    cuts = [cut_batches(10, 3, rank, 2) for rank in range(2)]

    assert [bounds for cut in cuts for bounds in cut.bounds(10)] == [
        (0, 0, 2), (1, 2, 5), (2, 5, 7), (3, 7, 10)
    ]  # fmt: skip
    assert [cut.bounds(1) for cut in cuts] == [[], [(3, 0, 1)]]


def test_rows_are_padded_with_nothing() -> None:
    floats, ints, flags = torch.ones(1, 1), torch.ones(1, 1, dtype=torch.int64), torch.ones(1, 1).bool()

    assert widen(floats, (3,)).tolist() == [[1, 0, 0]]
    assert widen(ints, (3,)).tolist() == [[1, -1, -1]]
    assert widen(flags, (3,)).tolist() == [[True, False, False]]


def test_what_cannot_be_cut_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match="batch_size=3 is too small for 4 processes"):
        cut_batches(3, None, 0, 4)
    with pytest.raises(UsageError, match="--chunk '0' holds no image"):
        cut_batches(8, 0, 0, 1)
