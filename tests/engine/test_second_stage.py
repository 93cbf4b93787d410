"""The second stage over a split: each pair gets the score of its own image and caption."""

import pytest
import torch
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.errors import TrainingError
from mmx.core.record import Record
from mmx.core.task import Rerank
from mmx.engine.evaluator import Embeddings, embed_split
from mmx.engine.second_stage import SecondStage, active
from mmx.engine.split_data import NumberTexts, SplitData

CPU = torch.device("cpu")
LENGTHS = (3, 1, 2, 5, 1)
"""Tokens of each caption; token m of caption j is 10 j + m."""


class Images:
    """Row i is (i, 1); counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, rows: Tensor, variants: None) -> dict[str, Tensor]:
        self.reads += 1
        return {"image_features": torch.stack([rows.float(), torch.ones(len(rows))], 1)}


class Model(nn.Module):
    """Counts what it is asked for; dropout would show in any score."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.encoded = 0


def encode_image(model: Model, batch: Batch) -> Tensor:
    model.encoded += 1
    return batch.image_features


def encode_text(model: Model, batch: Batch) -> Tensor:
    model.encoded += 1
    return torch.ones(len(batch.token_ids), 2)


def keep_image(model: Model, batch: Batch) -> dict[str, Tensor]:
    return {"number": batch.image_features[:, :1]}


def keep_text(model: Model, batch: Batch) -> dict[str, Tensor]:
    return {"tokens": batch.token_ids.float(), "mask": batch.token_mask}


def fine(model: Model, images: dict[str, Tensor], texts: dict[str, Tensor]) -> Tensor:
    """Sum of the caption's tokens, and a thousandth of the image's number."""
    assert not model.training and torch.is_inference_mode_enabled()
    sums = (texts["tokens"] * texts["mask"]).sum(1, keepdim=True)
    return model.dropout(sums + images["number"].T / 1024)


RERANK = Rerank(keep_image, keep_text, fine, lambda model: 0.5)


def data(with_picture: tuple[bool, ...] = (True, True, True)) -> SplitData:
    records = [
        Record(str(row), "val", f"{row}.jpg" if there else None, (f"{row} a", f"{row} b")[: 2 - row // 2])
        for row, there in enumerate(with_picture)
    ]
    tokens = [[10 * j + m for m in range(length)] for j, length in enumerate(LENGTHS)]
    return SplitData(records, Images(), NumberTexts({"token_ids": tokens}))


def embed(split: SplitData, model: Model | None = None, rerank: Rerank = RERANK, size: int = 2) -> Embeddings:
    return embed_split(model or Model(), encode_image, encode_text, split, CPU, size, rerank=rerank)


def scores(second: SecondStage, images: list[int], texts: list[int]) -> list[list[float]]:
    with second.scoring() as score:
        return score(torch.tensor(images), torch.tensor(texts)).tolist()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_pair_is_scored_from_its_own_image_and_caption_for_every_batch_size(size: int) -> None:
    found = scores(embed(data(), size=size).second, [2, 0], [0, 3, 1])

    sums = [0 + 1 + 2, 30 + 31 + 32 + 33 + 34, 10]
    assert found == [[total + 2 / 1024, total] for total in sums]


def test_rows_of_images_are_those_that_have_a_picture() -> None:
    found = embed(data((False, True, True)))

    assert found.image_row.tolist() == [1, 2]
    assert scores(found.second, [0, 1], [1]) == [[10 + 1 / 1024, 10 + 2 / 1024]]


def test_captions_are_ordered_by_length() -> None:
    assert embed(data()).second.order.tolist() == [1, 4, 2, 0, 3]


def test_each_batch_is_read_once_for_both_stages() -> None:
    split = data()

    embed(split)

    assert split.images.reads == 2


def test_an_embedding_that_is_kept_is_not_made_again() -> None:
    model = Model()
    keep = Rerank(
        lambda model, batch: {**keep_image(model, batch), "image_embedding": batch.image_features * 2},
        keep_text,
        fine,
        lambda model: 1.0,
    )

    found = embed(data(), model, keep, size=10)

    assert model.encoded == 1 and found.image.tolist() == [[0, 2], [2, 2], [4, 2]]
    assert scores(found.second, [1], [1]) == [[10 + 1 / 1024]]


def test_the_model_is_left_in_the_mode_it_came_in() -> None:
    model = Model()
    model.train()
    second = embed(data(), model).second

    scores(second, [0], [0])

    assert model.training and model.dropout.training


def test_without_a_second_stage_nothing_is_kept() -> None:
    assert embed_split(Model(), encode_image, encode_text, data(), CPU).second is None


def test_a_second_stage_of_weight_zero_has_no_say() -> None:
    idle = Rerank(keep_image, keep_text, fine, lambda model: 0.0)

    assert active(None, Model()) is None and active(idle, Model()) is None
    assert active(RERANK, Model()) is RERANK


def test_what_is_kept_and_no_number_names_its_caption() -> None:
    broken = Rerank(
        keep_image,
        lambda model, batch: {"a": batch.token_ids[:, 0].float().log() / (batch.token_ids[:, 0] != 10)},
        fine,
        lambda model: 1.0,
    )

    with pytest.raises(TrainingError, match=r"2 items of the second stage are not finite.*caption '0 a'"):
        embed(data(), rerank=broken)


def test_a_fine_score_that_is_no_number_names_its_pair() -> None:
    broken = Rerank(
        keep_image,
        keep_text,
        lambda model, images, texts: 1 / (fine(model, images, texts) - 10 - 1 / 1024),
        lambda model: 1.0,
    )

    with pytest.raises(TrainingError, match="fine score of record '1' and caption '0 b' is not a finite"):
        scores(embed(data(), rerank=broken).second, [0, 1], [0, 1])
