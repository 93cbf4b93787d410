"""The order of training: each image once, captions drawn fairly, the same from any start, by any workers."""

import itertools
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmx.core.errors import DataError, UsageError
from mmx.core.method import Stage
from mmx.core.view import View
from mmx.engine.loader import read_ahead
from mmx.engine.split_data import NumberTexts, PixelImages, SplitData
from mmx.engine.training_order import TrainingOrder
from tests.engine.stub_training import MemoryTexts, make_data


def order_of(data: SplitData, batch_size: int = 4, captions: int | None = 2, seed: int = 0) -> TrainingOrder:
    return TrainingOrder(data, Stage("stage", (), 1, batch_size, captions), seed)


@given(images=st.integers(2, 40), batch_size=st.integers(2, 12), captions=st.sampled_from([1, 2, 3, None]))
@settings(max_examples=60, deadline=None)
def test_an_epoch_holds_each_image_once_and_no_batch_has_a_single_image(
    images: int, batch_size: int, captions: int | None
) -> None:
    data = make_data(images)
    plans = order_of(data, batch_size, captions).epoch(1)

    assert sorted(torch.cat([plan.rows for plan in plans]).tolist()) == list(range(images))
    assert all(2 <= len(plan.rows) <= batch_size + 1 for plan in plans)
    for plan in plans:
        owners = Counter((torch.bucketize(plan.captions, data.caption_offsets, right=True) - 1).tolist())
        for row in plan.rows.tolist():
            there = len(data.records[row].captions)
            assert owners[row] == (there if captions is None else min(there, captions))
        assert len(set(plan.captions.tolist())) == len(plan.captions)
        assert len(plan.variants) == len(plan.rows)


def test_a_last_batch_of_one_image_joins_the_one_before_it() -> None:
    assert [len(plan.rows) for plan in order_of(make_data(9)).epoch(1)] == [4, 5]
    assert [len(plan.rows) for plan in order_of(make_data(10)).epoch(1)] == [4, 4, 2]


def test_an_epoch_is_a_function_of_seed_stage_and_number_alone() -> None:
    data = make_data()
    fresh, used = order_of(data), order_of(data)
    used.epoch(1), used.epoch(5)

    for left, right in zip(fresh.epoch(3), used.epoch(3), strict=True):
        assert torch.equal(left.rows, right.rows) and torch.equal(left.captions, right.captions)
        assert left.variants == right.variants


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 2}, {"stage": "other"}])
def test_another_seed_stage_or_epoch_gives_another_order(change: dict) -> None:
    data = make_data()

    def rows(seed: int = 0, stage: str = "stage", epoch: int = 1) -> list[int]:
        plans = TrainingOrder(data, Stage(stage, (), 1, 4), seed).epoch(epoch)
        return torch.cat([plan.rows for plan in plans]).tolist()

    assert rows() != rows(**change)


def test_each_caption_of_an_image_is_drawn_equally_often() -> None:
    """Image 3 has four captions; one is drawn in each of 2000 epochs: 500 each, standard deviation 19."""
    data = make_data(4)
    order = order_of(data, captions=1)
    mine = set(range(int(data.caption_offsets[3]), int(data.caption_offsets[4])))

    drawn = Counter(
        caption
        for epoch in range(1, 2001)
        for plan in order.epoch(epoch)
        for caption in plan.captions.tolist()
        if caption in mine
    )

    assert set(drawn) == mine and all(420 < count < 580 for count in drawn.values())


def bucketed(data: SplitData, bucket: int) -> TrainingOrder:
    """One caption an image; caption j of the split has 1 + j * 7 % 23 tokens."""
    lengths = [1 + j * 7 % 23 for j in range(int(data.caption_offsets[-1]))]
    texts = NumberTexts({"token_ids": [[1] * length for length in lengths]})
    return TrainingOrder(
        SplitData(data.records, data.images, texts), Stage("s", (), 1, 4, 1, bucket=bucket), 0
    )


def test_with_buckets_captions_of_like_length_meet_and_each_image_still_comes_once() -> None:
    data = make_data(40)

    def padding(order: TrainingOrder) -> int:
        lengths = [[1 + j * 7 % 23 for j in plan.captions.tolist()] for plan in order.epoch(1)]
        return sum(max(batch) * len(batch) - sum(batch) for batch in lengths)

    order = bucketed(data, bucket=10)

    assert sorted(torch.cat([plan.rows for plan in order.epoch(1)]).tolist()) == list(range(40))
    assert padding(order) < padding(bucketed(data, bucket=1)) / 3


def test_within_a_pool_no_batch_is_longer_than_the_next_in_rank_is_short() -> None:
    """One pool of everything: sorted by length, the batches' ranges do not overlap."""
    data = make_data(40)
    ranges = sorted(
        (min(lengths), max(lengths))
        for plan in bucketed(data, bucket=10).epoch(3)
        for lengths in [[1 + j * 7 % 23 for j in plan.captions.tolist()]]
    )

    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ranges))


def test_images_without_captions_or_without_a_picture_are_left_out() -> None:
    data = make_data(6)
    records = list(data.records)
    records[2] = replace(records[2], image=None)
    without = SplitData(records, data.images, data.texts)

    assert sorted(torch.cat([plan.rows for plan in order_of(without).epoch(1)]).tolist()) == [0, 1, 3, 4, 5]


def test_fewer_than_two_images_cannot_be_trained_on() -> None:
    with pytest.raises(DataError, match="at least 2 images"):
        order_of(make_data(1))


def test_a_batch_of_one_image_is_refused() -> None:
    with pytest.raises(UsageError, match="batch_size=1"):
        order_of(make_data(), batch_size=1)


def test_reading_may_start_anywhere() -> None:
    data = make_data()
    order = order_of(data)
    every = list(read_ahead(data, order, order.places((1, 0), epochs=3), workers=0))

    late = list(read_ahead(data, order, order.places((2, 4), epochs=3), workers=0))

    assert len(every) == 18 and len(late) == 8
    for (left,), (right,) in zip(every[10:], late, strict=True):
        left, right = left.batch, right.batch
        assert torch.equal(left.image_features, right.image_features)
        assert torch.equal(left.text_group, right.text_group)


@pytest.fixture
def pictures(tmp_path: Path) -> SplitData:
    data = make_data(9)
    random = numpy.random.default_rng(0)
    paths = [tmp_path / record.image for record in data.records]
    for path in paths:
        Image.fromarray(random.integers(0, 255, (30, 30, 3), dtype=numpy.uint8)).save(path)
    images = PixelImages(paths, View(16, 16), "crop-flip")
    return SplitData(data.records, images, MemoryTexts(data.texts.features))


def test_batches_do_not_depend_on_the_number_of_workers(pictures: SplitData) -> None:
    order = order_of(pictures)
    places = order.places((1, 0), epochs=2)

    alone, by_two = (list(read_ahead(pictures, order, places, workers)) for workers in (0, 2))

    assert len(alone) == len(by_two) == 4
    for (left,), (right,) in zip(alone, by_two, strict=True):
        left, right = left.batch, right.batch
        assert torch.equal(left.pixels, right.pixels) and torch.equal(left.text_features, right.text_features)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_broke_since_it_was_prepared_is_named(workers: int, pictures: SplitData) -> None:
    pictures.images.paths[4].write_bytes(b"")
    order = order_of(pictures)

    with pytest.raises(DataError, match=r"'4\.jpg' can no longer be read: empty file"):
        list(read_ahead(pictures, order, order.places((1, 0), epochs=1), workers))


def test_leaving_early_ends_the_reading(pictures: SplitData) -> None:
    order = order_of(pictures)
    batches = read_ahead(pictures, order, order.places((1, 0), epochs=50), workers=0)
    next(batches)

    batches.close()

    assert next(batches, None) is None


def test_for_a_card_every_field_is_pinned_where_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = []

    def pin(self: torch.Tensor) -> torch.Tensor:
        pinned.append(threading.current_thread().name)
        return self + 1

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    data = make_data(8)
    order = order_of(data)
    places = order.places((1, 0), epochs=1)

    plain, moved = (list(read_ahead(data, order, places, workers=0, pin=pin)) for pin in (False, True))

    for [before], [after] in zip(plain, moved, strict=True):
        assert after.number == before.number and after.batch.filled().keys() == before.batch.filled().keys()
        for name, value in before.batch.filled().items():
            assert torch.equal(after.batch.filled()[name], value + 1)
    assert len(pinned) == 2 * len(plain[0][0].batch.filled())
    assert all(name.startswith("mmx-batches") for name in pinned)
