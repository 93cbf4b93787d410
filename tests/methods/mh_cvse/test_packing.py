"""Packing: there and back again, with zeros where nothing was."""

import torch

from mmx.methods.mh_cvse.packing import Packing

MASK = torch.tensor([[True, True, False], [False, True, False]])


def test_what_is_there_is_packed_item_by_item() -> None:
    values = torch.arange(6.0).view(2, 3, 1)

    assert Packing(MASK).pack(values)[:, 0].tolist() == [0.0, 1.0, 4.0]


def test_unpacked_it_stands_in_its_places_with_zeros_between() -> None:
    unpacked = Packing(MASK).unpack(torch.tensor([[7.0], [8.0], [9.0]]))

    assert unpacked[..., 0].tolist() == [[7.0, 8.0, 0.0], [0.0, 9.0, 0.0]]


def test_where_everything_is_there_nothing_is_copied() -> None:
    values, packing = torch.randn(2, 3, 4), Packing(torch.ones(2, 3, dtype=torch.bool))

    assert packing.pack(values).data_ptr() == values.data_ptr()
    assert torch.equal(packing.unpack(packing.pack(values)), values)


def test_gradients_reach_what_is_there_and_nothing_else() -> None:
    values, packing = torch.randn(2, 3, 4, requires_grad=True), Packing(MASK)

    (2 * packing.unpack(packing.pack(values))).sum().backward()

    assert torch.equal(values.grad, 2.0 * MASK[..., None].expand(2, 3, 4))
