"""Buffers: memory is used again, and never while anybody can still see it."""

import torch

from mmx.store.buffers import MOST, WORTHWHILE, Buffers

SHAPE = (2, WORTHWHILE // 4)


def test_memory_that_nobody_holds_is_used_again() -> None:
    buffers = Buffers()
    first = buffers.empty(SHAPE)
    place = first.data_ptr()
    del first

    again = buffers.empty((1, *SHAPE))

    assert again.shape == (1, *SHAPE) and again.dtype == torch.float32
    assert again.data_ptr() == place


def test_a_view_keeps_the_memory() -> None:
    buffers = Buffers()
    first = buffers.empty(SHAPE)
    place, view = first.data_ptr(), first[1:, ::2]
    del first

    assert buffers.empty(SHAPE).data_ptr() != place
    del view
    assert buffers.empty(SHAPE).data_ptr() == place


def test_what_a_gradient_will_need_keeps_the_memory() -> None:
    buffers, weight = Buffers(), torch.ones(1, requires_grad=True)
    first = buffers.empty(SHAPE).fill_(3.0)
    loss = (first * weight).sum()
    del first

    buffers.empty(SHAPE).fill_(0.0)
    loss.backward()

    assert weight.grad.item() == 3.0 * SHAPE[0] * SHAPE[1]


def test_a_larger_piece_serves_a_smaller_request() -> None:
    buffers = Buffers()
    place = buffers.empty(SHAPE).data_ptr()

    assert buffers.empty((SHAPE[1],)).data_ptr() == place


def test_more_batches_than_are_kept_are_still_given() -> None:
    buffers = Buffers()

    held = [buffers.empty(SHAPE).fill_(number) for number in range(MOST + 3)]

    assert [batch[-1, -1].item() for batch in held] == list(range(MOST + 3))
    assert len(buffers._pieces) == MOST


def test_small_requests_are_left_to_the_allocator() -> None:
    buffers = Buffers()

    assert buffers.empty((3, 4)).shape == (3, 4)
    assert not buffers._pieces
