"""FeatureStore: what was written is read, and nothing broken or foreign passes for features."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from mmx.core.errors import ArtifactError, DataError
from mmx.store.features import ALONE, LONG_ROW, FeatureStore
from mmx.store.shard import HEADER_KEY, ShardHeader, save_shard

HEADER = ShardHeader(
    encoder="random:x",
    fingerprint="f1",
    modality="image",
    corpus="small",
    manifest="m1",
    split="test",
    fields=("image_features", "patch_features"),
    width=3,
    first=0,
    count=4,
    total=10,
    shard_records=4,
)
IMAGES = torch.arange(10 * 2 * 3).reshape(10, 2, 3).half()


def _write_images(folder: Path, header: ShardHeader = HEADER, skip: int | None = None) -> None:
    for number in range(header.shards):
        shard = header.at(number)
        rows = IMAGES[shard.first : shard.first + shard.count]
        if number != skip:
            save_shard(
                folder, shard, {"image_features": rows[:, 0], "patch_features": rows}, [""] * shard.count
            )


COUNTS = ((2, [3, 1]), (0, []), (1, [4]))
"""For each of three records: its captions, and their tokens."""
TEXT_HEADER = dataclasses.replace(
    HEADER, modality="text", fields=("text_features", "token_features"), count=2, total=3, shard_records=2
)


def _write_texts(folder: Path) -> torch.Tensor:
    """Token vectors are 0, 1, 2, ... in reading order; returns them."""
    tokens = torch.arange(8 * 3).reshape(8, 3).half()
    for number, (captions, lengths, begin) in enumerate((([2, 0], [3, 1], 0), ([1], [4], 4))):
        shard = TEXT_HEADER.at(number)
        tensors = {
            "caption_offsets": torch.tensor([0, *captions]).cumsum(0),
            "text_features": tokens[begin : begin + len(lengths)].clone(),
            "token_features": tokens[begin : begin + sum(lengths)],
            "token_offsets": torch.tensor([0, *lengths]).cumsum(0),
        }
        save_shard(folder, shard, tensors, ["a", "b"])
    return tokens


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_any_rows_come_back_in_the_order_asked_for(
    rows: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "once"
    if not folder.exists():
        _write_images(folder)
    store = FeatureStore.open(folder, "test", "m1")

    read = store.read("patch_features", torch.tensor(rows))

    assert read.dtype == torch.float32
    assert torch.equal(read, IMAGES[rows].float())


def test_a_store_tells_what_made_it(tmp_path: Path) -> None:
    _write_images(tmp_path)

    store = FeatureStore.open(tmp_path, "test", "m1")

    assert (store.encoder, store.fingerprint, store.modality) == ("random:x", "f1", "image")
    assert (store.width, store.rows) == (3, 10)
    assert store.read("image_features", torch.tensor([], dtype=torch.int64)).shape == (0, 3)


def test_mirrored_rows_are_read_from_the_mirrored_pictures(tmp_path: Path) -> None:
    header = dataclasses.replace(
        HEADER, fields=("image_features", "image_features_mirrored"), count=2, total=2
    )
    save_shard(
        tmp_path,
        header,
        {"image_features": IMAGES[:2, 0], "image_features_mirrored": IMAGES[:2, 1]},
        ["", ""],
    )
    store = FeatureStore.open(tmp_path, "test", "m1")

    read = store.read("image_features", torch.tensor([1, 0, 1]), torch.tensor([False, True, True]))

    assert torch.equal(read, torch.stack([IMAGES[1, 0], IMAGES[0, 1], IMAGES[1, 1]]).float())


REGIONS = {
    "region_features": torch.arange(4 * 2 * 3).reshape(4, 2, 3).half(),
    "region_boxes": torch.tensor([0, 0.25, 0.5, 1]).repeat(4, 2, 1).half(),
    "region_scores": torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.3, 0], [1, 0]]).half(),
}
REGION_HEADER = dataclasses.replace(HEADER, fields=tuple(sorted(REGIONS)), count=4, total=4, view=(800, 1333))


def test_regions_come_back_with_their_boxes_and_scores(tmp_path: Path) -> None:
    save_shard(tmp_path, REGION_HEADER, REGIONS, [""] * 4)

    store = FeatureStore.open(tmp_path, "test", "m1")

    assert (store.width, store.fields) == (3, ("region_boxes", "region_features", "region_scores"))
    for field, values in REGIONS.items():
        assert torch.equal(store.read(field, torch.tensor([3, 0])), values[[3, 0]].float())


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("region_features", torch.zeros(4, 2, 5)),
        ("region_features", torch.zeros(4, 3, 3)),
        ("region_boxes", torch.zeros(4, 2, 5)),
        ("region_boxes", torch.zeros(4, 8)),
        ("region_scores", torch.zeros(4, 3)),
        ("region_scores", torch.zeros(4, 2, 1)),
    ],
)
def test_fields_of_regions_that_do_not_fit_each_other_are_found_out(
    field: str, values: torch.Tensor, tmp_path: Path
) -> None:
    save_shard(tmp_path, REGION_HEADER, {**REGIONS, field: values.half()}, [""] * 4)

    with pytest.raises(ArtifactError, match=r"has 'region_\w+' as \[4.*do not fit\. Make it again"):
        FeatureStore.open(tmp_path, "test", "m1")


def test_a_shard_that_says_nothing_of_the_view_is_read_as_of_a_square_one(tmp_path: Path) -> None:
    """So were those that an earlier mmx wrote."""
    header = dataclasses.asdict(dataclasses.replace(HEADER, fields=("image_features",), count=2, total=2))
    del header["view"]
    said = {"format": "mmx-features", "version": 1, **header}
    path = tmp_path / "test-00000-of-00001.safetensors"
    save_file({"image_features": torch.zeros(2, 3).half()}, path, metadata={HEADER_KEY: json.dumps(said)})

    assert FeatureStore.open(tmp_path, "test", "m1").grid_view == (1, 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_long_rows_of_several_shards_come_back_with_those_of_mirrored_pictures_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    width = max(LONG_ROW, ALONE + 1)
    rows = torch.arange(4.0)[:, None].expand(4, width).half()
    header = dataclasses.replace(
        HEADER, fields=("image_features", "image_features_mirrored"), width=width, total=4, shard_records=2
    )
    for number in range(2):
        shard = header.at(number)
        some = rows[shard.first : shard.first + 2]
        tensors = {"image_features": some, "image_features_mirrored": some + 10}
        save_shard(tmp_path, shard, tensors, ["", ""])
    store = FeatureStore.open(tmp_path, "test", "m1")
    asked, mirrored = torch.tensor([3, 0, 1, 3]), torch.tensor([False, True, False, True])

    read = store.read("image_features", asked, mirrored)

    assert read.dtype == torch.float32
    assert read[:, 0].tolist() == read[:, -1].tolist() == [3, 10, 1, 13]


def test_a_batch_that_is_still_held_is_not_written_over(tmp_path: Path) -> None:
    """Two rows of a million bytes and more: their memory is used again, but not before its time."""
    width = 1 << 18
    header = dataclasses.replace(HEADER, fields=("image_features",), width=width, count=2, total=2)
    rows = torch.arange(2.0)[:, None].expand(2, width).half()
    save_shard(tmp_path, header, {"image_features": rows}, ["", ""])
    store = FeatureStore.open(tmp_path, "test", "m1")

    held = [store.read("image_features", torch.tensor([number % 2] * 2)) for number in range(12)]

    assert [batch[0, 0].item() for batch in held] == [0, 1] * 6
    assert all(bool((batch == batch[0, 0]).all()) for batch in held)


def test_mirrored_rows_that_nobody_extracted_are_asked_for_by_command(tmp_path: Path) -> None:
    _write_images(tmp_path)
    store = FeatureStore.open(tmp_path, "test", "m1")

    with pytest.raises(ArtifactError, match=r"--flip --overwrite"):
        store.read("image_features", torch.tensor([0]), torch.tensor([True]))


def test_tokens_come_back_padded_to_the_longest_asked_for(tmp_path: Path) -> None:
    tokens = _write_texts(tmp_path).float()
    store = FeatureStore.open(tmp_path, "test", "m1")

    read, mask = store.read_tokens(torch.tensor([2, 1, 0]))

    assert store.caption_offsets.tolist() == [0, 2, 2, 3]
    assert mask.sum(dim=1).tolist() == [4, 1, 3]
    assert torch.equal(read[0], tokens[4:8])
    assert torch.equal(read[1], torch.stack([tokens[3], *torch.zeros(3, 3)]))
    assert torch.equal(read[2, :3], tokens[:3])
    assert torch.equal(store.read("text_features", torch.tensor([2, 0])), tokens[[4, 0]])
    assert store.read_tokens(torch.tensor([1]))[0].shape == (1, 1, 3)


def test_absent_features_are_answered_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no features of split 'test'.*mmx extract"):
        FeatureStore.open(tmp_path, "test", "m1")


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    _write_images(tmp_path, skip=1)

    with pytest.raises(
        ArtifactError, match=r"1 of 3 shards .*'test-00001-of-00003\.safetensors'.*mmx extract small"
    ):
        FeatureStore.open(tmp_path, "test", "m1")


def test_features_of_another_manifest_are_refused_naming_both(tmp_path: Path) -> None:
    _write_images(tmp_path)

    with pytest.raises(ArtifactError, match=r"'m1'.*'m2'.*--encoder random:x --split test --overwrite"):
        FeatureStore.open(tmp_path, "test", "m2")


def test_shards_of_two_encoders_are_refused_naming_both(tmp_path: Path) -> None:
    _write_images(tmp_path)
    _write_images(tmp_path / "other", dataclasses.replace(HEADER, fingerprint="f2"))
    name = HEADER.at(2).path(tmp_path).name
    (tmp_path / "other" / name).replace(tmp_path / name)

    with pytest.raises(ArtifactError, match=r"fingerprint 'f2'.*'f1'"):
        FeatureStore.open(tmp_path, "test", "m1")


def test_a_vector_that_is_no_number_is_not_written_and_its_record_is_named(tmp_path: Path) -> None:
    header = dataclasses.replace(HEADER, fields=("image_features",), count=2, total=2)
    for value in (float("nan"), 1e6):
        features = torch.tensor([[0.0, 0, 0], [0, value, 0]]).half()
        with pytest.raises(DataError, match="'image_features' of record 'b'"):
            save_shard(tmp_path, header, {"image_features": features}, ["a", "b"])
    assert not list(tmp_path.glob("*"))


def _forge(folder: Path, tensors: dict[str, torch.Tensor], **changes: object) -> Path:
    header = dataclasses.replace(HEADER, fields=("image_features",), count=2, total=2)
    said = {"format": "mmx-features", "version": 1, **dataclasses.asdict(header), **changes}
    path = header.path(folder)
    folder.mkdir(exist_ok=True)
    save_file(tensors, path, metadata={HEADER_KEY: json.dumps(said)})
    return path


@pytest.mark.parametrize(
    ("tensors", "changes", "words"),
    [
        ({"image_features": torch.zeros(3, 3).half()}, {}, "3 rows"),
        ({"image_features": torch.zeros(2, 4).half()}, {}, "width 4"),
        ({"image_features": torch.zeros(2, 3)}, {}, "float32"),
        ({"image_features": torch.zeros(2).half()}, {}, "not as float16 rows"),
        ({"other": torch.zeros(2, 3).half()}, {}, "header says"),
        ({"image_features": torch.zeros(2, 3).half()}, {"total": 10**12}, "another shard"),
        ({"image_features": torch.zeros(2, 3).half()}, {"count": 10**12, "total": 10**12}, "another shard"),
        ({"image_features": torch.zeros(2, 3).half()}, {"shard_records": 0}, "another shard"),
        ({"image_features": torch.zeros(2, 3).half()}, {"width": "3"}, "another shard"),
        ({"image_features": torch.zeros(2, 3).half()}, {"view": [224]}, "another shard"),
        ({"image_features": torch.zeros(2, 3).half()}, {"view": 224}, "lacks something"),
        ({"image_features": torch.zeros(2, 3).half()}, {"version": 2}, "version '2'"),
        ({"image_features": torch.zeros(2, 3).half()}, {"format": "else"}, "of format 'else'"),
        ({"image_features": torch.zeros(2, 3).half()}, {"fields": None}, "lacks something"),
    ],
)
def test_a_header_that_lies_is_found_out(tensors: dict, changes: dict, words: str, tmp_path: Path) -> None:
    _forge(tmp_path, tensors, **changes)

    with pytest.raises(ArtifactError, match=words):
        FeatureStore.open(tmp_path, "test", "m1")


def test_offsets_that_fall_are_found_out(tmp_path: Path) -> None:
    _write_texts(tmp_path)
    header = TEXT_HEADER.at(1)
    tensors = {
        "caption_offsets": torch.tensor([0, 1]),
        "text_features": torch.zeros(1, 3).half(),
        "token_features": torch.zeros(4, 3).half(),
        "token_offsets": torch.tensor([0, -4]),
    }
    save_shard(tmp_path, header, tensors, ["c"])

    with pytest.raises(ArtifactError, match="do not rise"):
        FeatureStore.open(tmp_path, "test", "m1")


def test_nan_rows_on_disk_are_found_when_they_are_read(tmp_path: Path) -> None:
    features = torch.zeros(2, 3).half()
    features[1, 2] = float("nan")
    _forge(tmp_path, {"image_features": features})
    store = FeatureStore.open(tmp_path, "test", "m1")

    assert store.read("image_features", torch.tensor([0])).sum() == 0
    with pytest.raises(ArtifactError, match=r"row 1 of 'test'"):
        store.read("image_features", torch.tensor([0, 1]))


@pytest.mark.parametrize("content", [b"", b"\x80\x04cos\nsystem\n.", b"\xff" * 64])
def test_a_truncated_or_disguised_shard_is_refused(content: bytes, tmp_path: Path) -> None:
    _write_images(tmp_path)
    path = HEADER.at(1).path(tmp_path)
    for broken in (content, path.read_bytes()[:-5]):
        path.write_bytes(broken)
        with pytest.raises(ArtifactError, match="not a whole safetensors file"):
            FeatureStore.open(tmp_path, "test", "m1")


@pytest.mark.parametrize("field", ["text_features", "token_features"])
def test_a_row_that_changed_on_the_disk_is_named_when_it_is_read(tmp_path: Path, field: str) -> None:
    """Rows that nobody reads cost nothing and say nothing."""
    offsets = torch.tensor([0, 2, 5])
    tensors = {
        "caption_offsets": torch.tensor([0, 1, 2]),
        "token_offsets": offsets,
        "text_features": torch.arange(6).view(2, 3).half(),
        "token_features": (100 + torch.arange(15)).view(5, 3).half(),
    }
    header = ShardHeader(
        "stub", "f", "text", "small", "m", "val", ("text_features", "token_features"), 3, 0, 2, 2, 2
    )
    path = save_shard(tmp_path, header, tensors, ["a", "b"])
    last = tensors[field][-1].numpy().tobytes()
    data = path.read_bytes()
    spot = data.rindex(last)
    path.write_bytes(data[:spot] + b"\0\0" + data[spot + 2 :])

    def read(row: int) -> None:
        store, rows = FeatureStore.open(tmp_path, "val", "m"), torch.tensor([row])
        store.read_tokens(rows) if field == "token_features" else store.read(field, rows)

    read(0)
    with pytest.raises(
        ArtifactError, match=rf"'{field}' of row 1 in .* is not what was written.*--overwrite"
    ):
        read(1)
