"""embed_split: one vector an item, in the order of the split, whatever the batches; the model unchanged."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.errors import DataError, TrainingError, UsageError
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.core.view import View
from mmx.engine.evaluator import embed_split, embed_texts
from mmx.engine.split_data import NumberTexts, PixelImages, SplitData

CPU = torch.device("cpu")
CAPTIONS = (
    ("a", "three words here"),
    (),
    ("two words", "a rather long caption of eight words in all", "one"),
)


class Images:
    """Row i is the vector (i, 1)."""

    def read(self, rows: Tensor, variants: None) -> dict[str, Tensor]:
        return {"image_features": torch.stack([rows.float(), torch.ones(len(rows))], 1)}


class Model(nn.Module):
    """Gives its input back; keeps the lengths of the batches it saw, and whether it was training."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.BatchNorm1d(2)
        self.dropout = nn.Dropout(0.5)
        self.seen: list[tuple[int, ...]] = []


def encode_image(model: Model, batch: Batch) -> Tensor:
    assert not model.training and torch.is_inference_mode_enabled()
    return model.dropout(batch.image_features)


def encode_text(model: Model, batch: Batch) -> Tensor:
    """(first token, number of tokens)."""
    model.seen.append(tuple(batch.token_mask.sum(1).tolist()))
    return torch.stack([batch.token_ids[:, 0].float(), batch.token_mask.sum(1).float()], 1)


def small_data(captions: tuple[tuple[str, ...], ...] = CAPTIONS) -> SplitData:
    """Caption j of the split is the tokens j + 1, then one a further word."""
    records = [Record(str(row), "val", f"{row}.jpg", texts) for row, texts in enumerate(captions)]
    texts = [text for record in records for text in record.captions]
    return SplitData(
        records,
        Images(),
        NumberTexts({"token_ids": [[j + 1] + [9] * text.count(" ") for j, text in enumerate(texts)]}),
    )


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_vectors_stand_in_the_order_of_the_split_for_every_batch_size(batch_size: int) -> None:
    found = embed_split(Model(), encode_image, encode_text, small_data(), CPU, batch_size)

    assert found.image.tolist() == [[0, 1], [1, 1], [2, 1]]
    assert found.text.tolist() == [[1, 1], [2, 3], [3, 2], [4, 9], [5, 1]]
    assert found.image_group.tolist() == [-1, -2, -3]
    assert found.text_group.tolist() == [-1, -1, -3, -3, -3]


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_captions_alone_have_the_vectors_that_they_have_beside_pictures(batch_size: int) -> None:
    alone = embed_texts(Model(), encode_text, small_data(), CPU, batch_size, "fp32", SilentReporter())

    both = embed_split(Model(), encode_image, encode_text, small_data(), CPU, batch_size)
    assert torch.equal(alone, both.text)


def test_captions_are_batched_by_length() -> None:
    model = Model()

    embed_split(model, encode_image, encode_text, small_data(), CPU, batch_size=2)

    assert model.seen == [(1, 1), (2, 3), (9,)]


def test_every_part_of_the_model_is_left_in_the_mode_it_came_in() -> None:
    model = Model()
    model.train()
    model.frozen.eval()

    embed_split(model, encode_image, encode_text, small_data(), CPU)

    assert model.training and model.dropout.training and not model.frozen.training


def test_the_vectors_can_be_changed_afterwards() -> None:
    found = embed_split(Model(), encode_image, encode_text, small_data(), CPU)

    found.image.mul_(2)
    found.text.mul_(2)

    assert not found.image.is_inference() and not found.text.requires_grad


def test_records_without_a_picture_are_passed_over_and_their_captions_kept() -> None:
    data = small_data()
    data.records[0] = Record("0", "val", None, data.records[0].captions)

    found = embed_split(Model(), encode_image, encode_text, data, CPU)

    assert found.image_row.tolist() == [1, 2]
    assert found.image_group.tolist() == [-2, -3]
    assert found.text_group.tolist() == [-1, -1, -3, -3, -3]


def test_autocast_gives_float32_back() -> None:
    layer = nn.Linear(2, 4)

    def encode(model: nn.Module, batch: Batch) -> Tensor:
        projected = layer(batch.image_features)
        assert projected.dtype == torch.bfloat16
        return projected

    found = embed_split(Model(), encode, encode_text, small_data(), CPU, precision="bf16")

    assert found.image.dtype == torch.float32


def test_a_vector_that_is_not_finite_names_its_record_or_caption() -> None:
    def broken_image(model: Model, batch: Batch) -> Tensor:
        return batch.image_features.log() * batch.image_features[:, :1].reciprocal()

    def broken_text(model: Model, batch: Batch) -> Tensor:
        return encode_text(model, batch) / (encode_text(model, batch)[:, :1] != 4)

    with pytest.raises(
        TrainingError, match="1 embeddings are not finite numbers, the first that of record '0'"
    ):
        embed_split(Model(), broken_image, encode_text, small_data(), CPU)
    with pytest.raises(TrainingError, match="caption 'a rather long"):
        embed_split(Model(), encode_image, broken_text, small_data(), CPU)


def test_a_split_without_captions_has_nothing_to_match() -> None:
    with pytest.raises(DataError, match="3 pictures and 0 captions"):
        embed_split(Model(), encode_image, encode_text, small_data(((), (), ())), CPU)


@pytest.mark.parametrize(("batch_size", "precision"), [(0, "fp32"), (8, "fp8")])
def test_an_empty_batch_and_an_unknown_precision_are_refused(batch_size: int, precision: str) -> None:
    with pytest.raises(UsageError, match="is not possible"):
        embed_split(Model(), encode_image, encode_text, small_data(), CPU, batch_size, precision)


def test_a_picture_that_went_missing_is_named(tmp_path: Path) -> None:
    data = small_data()
    for name in ("0.jpg", "2.jpg"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    pixels = PixelImages([tmp_path / record.image for record in data.records], View(4, 4))

    with pytest.raises(DataError, match=r"'1.jpg' can no longer be read: missing"):
        embed_split(Model(), encode_image, encode_text, SplitData(data.records, pixels, data.texts), CPU)
