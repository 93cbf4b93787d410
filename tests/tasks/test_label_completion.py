"""Which captions of a split are near each other, and what they name together."""

import torch
from torch.nn.functional import normalize

from mmx.tasks.label_completion import completed_labels, near_captions


def test_a_caption_names_what_those_near_it_name_and_each_concept_once() -> None:
    near = torch.tensor([[1, 2], [0, 1], [2, 2]])

    assert completed_labels([[3, 1], [1], []], near) == [[1, 3], [1, 3], []]


def test_near_are_the_nearest_captions_and_the_neighbours_in_the_best_image_s_ranking() -> None:
    """Captions along a circle: the nearest of caption 0 are the next ones, image 0 ranks them in order."""
    angle = torch.arange(8) * 0.1
    text = torch.stack([angle.cos(), angle.sin()], dim=1)
    image = normalize(torch.tensor([[1.0, 0.0], [-1.0, -1.0]]), dim=1)

    near = near_captions(image, text)

    assert near[0].tolist() == [1, 2, 3, 4, 5, 0, 1]
    assert near[7].tolist()[:5] == [6, 5, 4, 3, 2]
    assert near[3].tolist()[5:] == [2, 4]


def test_a_caption_alone_is_near_to_itself_only() -> None:
    assert near_captions(torch.ones(1, 1), torch.ones(1, 1)).tolist() == [[0, 0]]
