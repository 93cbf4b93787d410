"""What a split's captions look like as whole numbers, whatever says them."""

import torch
from torch import Tensor

from mmx.engine.split_data import JoinedTexts, NumberTexts


def test_tokens_are_padded_with_zero_and_concepts_with_minus_one() -> None:
    texts = NumberTexts({"token_ids": [[5], [6, 7, 8], [9, 4]], "concept_ids": [[], [2], [0, 3]]})

    read = texts.read(torch.tensor([2, 0]))

    assert read["token_ids"].tolist() == [[9, 4], [5, 0]]
    assert read["token_mask"].tolist() == [[True, True], [True, False]]
    assert read["concept_ids"].tolist() == [[0, 3], [-1, -1]]


def test_captions_without_any_number_give_empty_rows() -> None:
    texts = NumberTexts({"concept_ids": [[], []]})

    assert texts.read(torch.tensor([1, 0]))["concept_ids"].shape == (2, 0)
    assert texts.lengths is None


def test_lengths_are_counted_in_tokens_not_in_concepts() -> None:
    texts = NumberTexts({"concept_ids": [[1], [1]], "token_ids": [[3, 3], [3]]})

    assert texts.lengths.tolist() == [2, 1]


class Pooled:
    lengths = None

    def read(self, captions: Tensor) -> dict[str, Tensor]:
        return {"text_features": captions[:, None].float()}


def test_joined_sources_give_all_fields_and_the_first_lengths_there_are() -> None:
    texts = JoinedTexts([Pooled(), NumberTexts({"token_ids": [[1, 2], [3]]})])

    read = texts.read(torch.tensor([1]))

    assert set(read) == {"text_features", "token_ids", "token_mask"}
    assert texts.lengths.tolist() == [2, 1]
