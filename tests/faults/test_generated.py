"""Whatever is written comes back: generated manifests, features, weights, galleries and sealed files."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mmx.core.errors import MmxError
from mmx.core.record import SPLITS, Record
from mmx.store.checkpoint import read_weights, save_weights
from mmx.store.entries import Entry
from mmx.store.features import FeatureStore
from mmx.store.gallery import Gallery
from mmx.store.image_paths import path_inside, relative_path
from mmx.store.manifest import Manifest, write_manifest
from mmx.store.scope import Scope
from mmx.store.sealed import read_sealed, write_sealed
from mmx.store.shard import ShardHeader, save_shard

quickly = settings(
    max_examples=15, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=8,
)
records = st.builds(
    Record,
    id=words, split=st.sampled_from(SPLITS), image=st.one_of(st.none(), words), label=numbers,
    identity=numbers, captions=st.tuples(words, words), words=st.lists(words, max_size=3).map(tuple),
    extra=st.dictionaries(words, plain, max_size=2),
)  # fmt: skip
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
tensors = st.builds(
    lambda shape, kind: (torch.arange(torch.Size(shape).numel()) % 120).reshape(shape).to(kind),
    st.lists(st.integers(0, 4), max_size=3),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.uint8]),
)


@contextmanager
def folder() -> Iterator[Path]:
    """One for each example: a fixture would serve all of them."""
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


@quickly
@given(st.lists(records, max_size=6), st.lists(words, max_size=3))
def test_any_records_come_back_as_they_were(rows: list[Record], classes: list[str]) -> None:
    split = {name: [row for row in rows if row.split == name] for name in SPLITS}
    with folder() as place:
        written = write_manifest(place / "d", "d", place, split, classes)
        opened = Manifest.open(place / "d")
        assert (opened.fingerprint, opened.class_names) == (written.fingerprint, tuple(classes))
        assert {name: opened.split(name) for name in opened.splits} == {
            name: some for name, some in split.items() if some
        }


@quickly
@given(
    st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=1, max_size=5), st.integers(1, 5), st.data()
)
def test_any_captions_have_their_features_back(
    lengths: list[list[int]], width: int, data: st.DataObject
) -> None:
    """A list of token counts for each record, a count for each of its captions."""
    counts = [count for some in lengths for count in some]
    tokens = torch.tensor([0, *counts]).cumsum(0)
    fields = {
        "caption_offsets": torch.tensor([0, *map(len, lengths)]).cumsum(0),
        "token_offsets": tokens,
        "text_features": torch.randn(len(counts), width).half(),
        "token_features": torch.randn(int(tokens[-1]), width).half(),
    }
    about = ("stub", "f", "text", "small", "m", "val", ("text_features", "token_features"), width, 0)
    with folder() as place:
        header = ShardHeader(*about, len(lengths), len(lengths), len(lengths))
        save_shard(place, header, fields, [str(row) for row in range(len(lengths))])
        store = FeatureStore.open(place, "val", "m")
        rows = torch.tensor(
            data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=4)) if counts else [],
            dtype=torch.int64,
        )
        assert torch.equal(store.read("text_features", rows), fields["text_features"][rows].float())
        read, mask = store.read_tokens(rows)
        for place_, row in enumerate(rows.tolist()):
            whole = fields["token_features"][tokens[row] : tokens[row + 1]].float()
            assert torch.equal(read[place_][mask[place_]], whole)


@quickly
@example({"a/b.weight": torch.ones(()), "mmx": torch.zeros(0, 3)})
@given(
    st.dictionaries(names.filter(lambda name: name not in {"__metadata__", "mmx.sums"}), tensors, max_size=5)
)
def test_any_weights_come_back_bit_for_bit(weights: dict[str, torch.Tensor]) -> None:
    with folder() as place:
        save_weights(place / "w.safetensors", weights)
        back = read_weights(place / "w.safetensors")
    assert back.keys() == weights.keys()
    assert all(
        torch.equal(back[name], tensor) and back[name].dtype == tensor.dtype
        for name, tensor in weights.items()
    )


@quickly
@given(st.lists(st.builds(Entry, id=words, path=words, captions=st.tuples(words), digest=words), max_size=5),
       st.dictionaries(words, st.booleans(), max_size=3), words)  # fmt: skip
def test_any_gallery_comes_back_as_it_was(entries: list[Entry], rules: dict[str, bool], source: str) -> None:
    vectors = torch.randn(len(entries), 3)
    with folder() as place:
        Gallery(source, "f", entries, vectors, vectors.flip(0), scope=Scope(rules)).save(
            place / "g.safetensors"
        )
        back = Gallery.open(place / "g.safetensors", "f")
        assert (back.source, list(back.entries), dict(back.scope.rules)) == (source, entries, rules)
        assert torch.equal(back.image_vectors, vectors) and torch.equal(back.text_vectors, vectors.flip(0))


@quickly
@given(st.dictionaries(words.filter(lambda name: name not in {"seal", "sealed"}), plain, max_size=4))
def test_any_values_come_back_from_under_a_seal(value: dict[str, object]) -> None:
    with folder() as place:
        write_sealed(place / "x.json", value)
        assert read_sealed(place / "x.json", "") == value


@settings(max_examples=200, deadline=None, database=None)
@example("a/../../b")
@example("C:\\x")
@example("\\\\host\\share")
@given(st.text(st.sampled_from("./\\:abC ~\0\ud800"), max_size=12))
def test_no_path_whatever_is_opened_outside_its_root(path: str) -> None:
    try:
        inside = path_inside("/nowhere/root", relative_path(path))
    except (ValueError, MmxError):
        return
    assert str(inside).startswith("/nowhere/root/")
