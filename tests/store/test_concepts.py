"""Concepts on disk: a round trip, and every file that must not be believed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmx.core.assets import ConceptTable
from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.record import Record
from mmx.store.concepts import open_concepts, remove_concepts, save_concepts
from mmx.store.manifest import Manifest, write_manifest
from mmx.store.sealed import read_sealed, write_sealed
from mmx.store.tensors import save_tensors

TABLE = ConceptTable(
    words=("dog", "café", "red"),
    kinds=("object", "object", "property"),
    forms={"dog": 0, "dogs": 0, "café": 1, "red": 2},
    counts=torch.tensor([5, 2, 1]),
    pairs=torch.tensor([[0, 1, 1], [1, 0, 0], [1, 0, 0]]),
)


def manifest_of(home: Home, caption: str = "a dog") -> Manifest:
    folder = home.dataset("small")
    return write_manifest(folder, "small", folder, {"train": [Record("a", "train", None, (caption,))]})


@pytest.fixture
def manifest(home: Home) -> Manifest:
    stored = manifest_of(home)
    save_concepts(stored, TABLE)
    return stored


def test_what_was_saved_is_opened(manifest: Manifest) -> None:
    opened = open_concepts(manifest)

    assert (opened.words, opened.kinds, opened.forms) == (TABLE.words, TABLE.kinds, TABLE.forms)
    assert torch.equal(opened.counts, TABLE.counts) and torch.equal(opened.pairs, TABLE.pairs)
    assert opened.counts.dtype == opened.pairs.dtype == torch.int64


def test_there_are_none_until_they_are_saved_and_none_when_they_were_removed(home: Home) -> None:
    manifest = manifest_of(home)
    assert open_concepts(manifest) is None

    save_concepts(manifest, TABLE)
    remove_concepts(manifest.folder)
    remove_concepts(manifest.folder)

    assert open_concepts(manifest) is None
    assert not list(manifest.folder.glob("*concepts*"))


def test_those_of_another_manifest_are_refused_with_both_fingerprints(home: Home, manifest: Manifest) -> None:
    other = manifest_of(home, "a cat")

    assert other.fingerprint != manifest.fingerprint
    with pytest.raises(
        ArtifactError,
        match=rf"concepts\.json' were counted from manifest '{manifest.fingerprint}', but 'small' now has "
        rf"'{other.fingerprint}'\. Count them again: mmx prepare small",
    ):
        open_concepts(other)


def test_counts_of_another_manifest_are_refused_too(home: Home, manifest: Manifest) -> None:
    tensors = {"counts": TABLE.counts, "pairs": TABLE.pairs}
    save_tensors(manifest.folder / "concepts.safetensors", tensors, {"manifest": "0" * 32})

    with pytest.raises(ArtifactError, match=r"concepts\.safetensors' were counted from manifest '0000"):
        open_concepts(manifest)


def set_values(path: Path, **values: object) -> None:
    write_sealed(path, {**read_sealed(path, ""), **values})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_text(path.read_text()[:50]), "cannot be read"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "cannot be read"),
        (lambda path: path.write_text("[1]"), "is not a JSON object"),
        (lambda path: set_values(path, format="mmx-manifest"), "of format .mmx-manifest."),
        (lambda path: set_values(path, version=99), "version .99.; this mmx reads .mmx-concepts., version 1"),
        (
            lambda path: path.write_text('{"format": "mmx-concepts", "version": 1}'),
            "lacks forms, kinds, manifest",
        ),
        (lambda path: set_values(path, words=["dog"]), "do not fit each other"),
        (lambda path: set_values(path, words=["dog", "dog", "red"]), "do not fit each other"),
        (lambda path: set_values(path, words=7), "do not fit each other"),
        (lambda path: set_values(path, kinds=["object", "object", "colour"]), "do not fit each other"),
        (lambda path: set_values(path, kinds=["object", [], {}]), "do not fit each other"),
        (lambda path: set_values(path, forms={"dog": 0, "red": 3}), "do not fit each other"),
        (lambda path: set_values(path, forms={"dog": 0, "dogs": "0", "red": 2}), "do not fit each other"),
        (lambda path: set_values(path, forms=["dog"]), "do not fit each other"),
    ],
)
def test_broken_words_are_refused_with_the_command_that_counts_anew(
    manifest: Manifest, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(manifest.folder / "concepts.json")

    with pytest.raises(ArtifactError, match=rf"concepts\.json'.*{said}.*mmx prepare small"):
        open_concepts(manifest)


@pytest.mark.parametrize(
    "tensors",
    [
        {"counts": torch.tensor([5, 2])},
        {"counts": torch.tensor([5.0, 2.0, 1.0])},
        {"counts": torch.tensor([5, 2, -1])},
        {"counts": torch.tensor([0, 2, 1])},
        {"pairs": torch.tensor([[0, 1], [1, 0]])},
        {"pairs": torch.tensor([[0, 1, 1], [0, 0, 0], [1, 0, 0]])},
        {"pairs": torch.eye(3, dtype=torch.int64)},
    ],
    ids=["short", "float", "negative", "less than its pairs", "small", "not symmetric", "with a diagonal"],
)
def test_counts_that_cannot_be_are_refused(manifest: Manifest, tensors: dict) -> None:
    both = {"counts": TABLE.counts, "pairs": TABLE.pairs, **tensors}
    save_tensors(manifest.folder / "concepts.safetensors", both, {"manifest": manifest.fingerprint})

    with pytest.raises(ArtifactError, match=r"do not fit each other\. Count them again: mmx prepare small"):
        open_concepts(manifest)


@pytest.mark.parametrize("kept", [0, 8, 200])
def test_counts_that_are_cut_short_or_gone_are_refused(manifest: Manifest, kept: int) -> None:
    path = manifest.folder / "concepts.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArtifactError, match=r"concepts\.safetensors' is not a whole .*mmx prepare small"):
        open_concepts(manifest)

    path.unlink()
    with pytest.raises(ArtifactError, match=r"there is no file .*concepts\.safetensors'.*mmx prepare small"):
        open_concepts(manifest)


def test_saving_over_others_replaces_them(manifest: Manifest) -> None:
    save_concepts(manifest, replace(TABLE, counts=torch.tensor([9, 9, 9])))

    assert open_concepts(manifest).counts.tolist() == [9, 9, 9]
    assert not list(manifest.folder.glob(".mmx-tmp-*"))
