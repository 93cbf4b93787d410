"""Class texts: how names become sentences, and vectors made elsewhere find their class."""

from pathlib import Path

import numpy
import pytest
import torch

from mmx.core.classifier import ANY_TEXTS, NO_TEXTS, SHARED_TEXTS
from mmx.core.errors import ArtifactError, UsageError
from mmx.workflows.class_texts import (
    FoundTexts,
    encoded_texts,
    named_texts,
    plain_name,
    prompts_of,
    read_named,
)
from tests.shot_files import NAMES, WIDTH, write_class_texts

CPU = torch.device("cpu")


def test_a_name_is_spoken_without_underscores() -> None:
    assert plain_name("great_pyrenees ") == "great pyrenees"


def test_a_known_dataset_has_sentences_of_its_own() -> None:
    assert prompts_of("oxford-pets", ()) == ("a photo of a {}, a type of pet.",)
    assert prompts_of("oxford-pets", ("{}!",)) == ("{}!",)
    assert prompts_of("mine", ()) == ("a photo of a {}.",)
    with pytest.raises(UsageError, match="'a dog' has no place for the class"):
        prompts_of("mine", ("a {}", "a dog"))


def test_each_prompt_is_said_of_each_class_and_seen_by_the_text_tower() -> None:
    found = encoded_texts(
        "random:bert", "image_features", ("great_pyrenees", "cat"), ("a {}.", "the {}!"), CPU
    )

    texts = found.texts
    assert texts.words == ("a great pyrenees.", "the great pyrenees!", "a cat.", "the cat!")
    assert texts.labels.tolist() == [0, 0, 1, 1] and found.said == "class texts: 2 prompts by 'random:bert'"
    torch.testing.assert_close(texts.features.norm(dim=1), torch.ones(4))
    assert not texts.shared
    with_space = found.lacks(SHARED_TEXTS)
    assert with_space is not None and "these towers share none" in with_space
    assert found.lacks(ANY_TEXTS) is None and found.lacks(NO_TEXTS) is None


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("import:mine", "'import:mine' has vectors of pictures alone"),
        ("random:resnet", "'random:resnet' has no text tower"),
        ("hub:nobody/nothing", "the text tower of 'hub:nobody/nothing' is not at hand"),
    ],
)
def test_without_a_text_tower_it_is_said_why(encoder: str, said: str) -> None:
    found = encoded_texts(encoder, "image_embedding", NAMES, ("a {}",), CPU)

    assert found.texts is None and found.said.startswith(said)
    assert found.lacks(ANY_TEXTS) == f"no class texts: {found.said}" and found.lacks(NO_TEXTS) is None


def test_vectors_find_their_class_in_any_spelling_and_become_of_unit_length(tmp_path: Path) -> None:
    vectors, names = write_class_texts(tmp_path)

    known = read_named(vectors, names)
    found = named_texts(known, ("Great Pyrenees", "cat"), WIDTH, vectors)

    assert found.texts.words == ("Great_Pyrenees", "Cat") and found.texts.shared
    rows = torch.from_numpy(numpy.load(vectors))[[2, 0]]
    torch.testing.assert_close(found.texts.features, rows / rows.norm(dim=1, keepdim=True))
    assert not named_texts(known, ("cat", "dog"), WIDTH + 1, vectors).texts.shared
    with pytest.raises(UsageError, match=r"1 of 2 classes have no text in .* such as 'fox'"):
        named_texts(known, ("cat", "fox"), WIDTH, vectors)


def test_as_many_names_as_vectors(tmp_path: Path) -> None:
    vectors, names = write_class_texts(tmp_path)
    names.write_text("cat\ndog\n")

    with pytest.raises(ArtifactError, match=r"holds \[4, 16\], but '.*texts.txt' names 2 rows"):
        read_named(vectors, names)
    with pytest.raises(UsageError, match="Give --text-names FILE"):
        read_named(vectors, None)


def test_nothing_lacks_for_what_needs_nothing() -> None:
    assert FoundTexts(None, "why not").lacks(NO_TEXTS) is None
