"""What mh-cvse counts before it learns, and the numbers it reads of captions."""

import json

import pytest
import torch

from mmx.core.assets import Assets
from mmx.core.errors import ArtifactError, DataError
from mmx.core.record import Record
from mmx.methods.mh_cvse.assets import caption_ids, count_assets, vocabulary_of
from tests.methods.doubles import CONCEPTS, SOURCE, build
from tests.methods.mh_cvse.small import METHOD, tiny

PAIR = (Record("1", "train", "1.jpg", ("a word4 here", "no more", "word5s run")),)


def test_words_and_concepts_of_the_training_captions_are_counted() -> None:
    assets = count_assets(tiny(), SOURCE)

    words = vocabulary_of(assets).words
    assert words[:5] == ("<pad>", "<start>", "<end>", "<unk>", "stands")
    assert assets.values["concepts"]["words"] == [f"word{place}" for place in range(4, 4 + CONCEPTS)]
    assert set(assets.tensors) == {"concept_counts", "concept_pairs"}


def test_no_more_concepts_than_asked_for_are_taken() -> None:
    assets = count_assets(tiny(concepts=2), SOURCE)

    assert assets.values["concepts"]["words"] == ["word4", "word5"]
    assert assets.tensors["concept_pairs"].shape == (2, 2)


def test_what_is_not_read_is_not_counted() -> None:
    assert "vocabulary" not in count_assets(tiny(text="encoder"), SOURCE).values
    assert "concepts" not in count_assets(tiny(consensus=False), SOURCE).values
    assert count_assets(tiny(text="encoder", consensus=False), SOURCE) == Assets({}, {})


def test_a_file_of_vectors_gives_words_and_concepts_their_start_and_width() -> None:
    settings = tiny(word_vectors="glove.txt")

    (member,), assets = build(METHOD, settings).members, count_assets(settings, SOURCE)

    assert member.text_branch.embed.embedding.embedding_dim == 7
    assert torch.equal(member.text_branch.embed.embedding.weight[4], assets.tensors["word_vectors"][4])
    assert torch.equal(member.graph.vectors[:5], assets.tensors["concept_vectors"][:5])
    assert "graph.vectors" not in dict(member.named_parameters())
    assert "graph.vectors" in dict(build(METHOD, tiny()).members[0].named_parameters())


def test_a_caption_reads_as_its_words_between_start_and_end() -> None:
    assets = count_assets(tiny(), SOURCE)

    ids = caption_ids(tiny(), assets, PAIR)["token_ids"]

    words = vocabulary_of(assets).words
    assert [[words[number] for number in row] for row in ids] == [
        ["<start>", "<unk>", "word4", "<unk>", "<end>"],
        ["<start>", "<unk>", "<unk>", "<end>"],
        ["<start>", "<unk>", "<unk>", "<end>"],
    ]


def test_a_caption_names_its_own_concepts_and_in_training_those_of_its_image_if_asked() -> None:
    assets = count_assets(tiny(), SOURCE)
    test = [Record("2", "test", None, PAIR[0].captions)]

    own, union = tiny(label_source="caption"), tiny(label_source="union")

    assert caption_ids(own, assets, PAIR)["concept_ids"] == [[0], [], [1]]
    assert caption_ids(union, assets, PAIR)["concept_ids"] == [[0, 1], [0, 1], [0, 1]]
    assert caption_ids(union, assets, test)["concept_ids"] == [[0], [], [1]]


def test_what_was_counted_comes_back_from_json() -> None:
    assets = count_assets(tiny(), SOURCE)
    again = Assets(json.loads(json.dumps(assets.values)), assets.tensors)

    assert caption_ids(tiny(), again, PAIR) == caption_ids(tiny(), assets, PAIR)


def test_a_long_caption_is_cut_at_its_end() -> None:
    assets = count_assets(tiny(), SOURCE)
    long = [Record("3", "test", None, ("word4 " * 500,))]

    (ids,) = caption_ids(tiny(max_tokens=10), assets, long)["token_ids"]

    assert len(ids) == 10 and vocabulary_of(assets).words[ids[-1]] == "<end>"


def test_too_few_captions_for_any_word_are_refused() -> None:
    with pytest.raises(DataError, match="no word stands 1000 times"):
        count_assets(tiny(least_count=1000), SOURCE)


def test_a_broken_vocabulary_is_refused() -> None:
    with pytest.raises(ArtifactError, match="vocabulary is broken"):
        caption_ids(tiny(), Assets({"vocabulary": {"words": ["a"]}, "concepts": {"forms": {}}}, {}), PAIR)
