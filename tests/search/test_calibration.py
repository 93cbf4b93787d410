"""Cut-offs: shares that can be counted by hand."""

import torch

from mmx.search.calibration import cut_offs


def test_shares_by_hand() -> None:
    """Four sentences score 0.9, 0.8, 0.6 and 0.1 with their picture; with the other one 0, 0, 0 and 0.7."""
    images = torch.eye(2)
    texts = torch.tensor([[0.9, 0.0], [0.0, 0.8], [0.6, 0.0], [0.7, 0.1]])

    found = cut_offs(images, texts, torch.tensor([0, 1, 0, 1]))

    cosines = {percent: round(found[percent][0], 3) for percent in (25, 50, 75, 99)}
    assert cosines == {25: 0.9, 50: 0.8, 75: 0.6, 99: 0.1}
    assert found[50][1] == 2 / 8
    assert found[75][1] == 4 / 8
