"""count_concepts: five captions worked out by hand, forms that must fire, and 300 concepts of Flickr8k."""

import itertools
import random
import time
from pathlib import Path

import pytest
import torch

from mmx.core.assets import ConceptTable
from mmx.core.errors import UsageError
from mmx.words.concept_count import count_concepts
from mmx.words.concepts import concept_ids
from mmx.words.excluded import EXCLUDED

CAPTIONS = (
    "A brown dog runs on the grass.",
    "Two dogs are running.",
    "A man rides a brown horse.",
    "The men ride horses.",
    "A dog jumps.",
)
# dog 1 2 5; horse 3 4; man 3 4; grass 1 | brown 1 3; two 2 | ride 3 4; run 1 2; jump 5
WORDS = ("dog", "horse", "man", "grass", "brown", "two", "ride", "run", "jump")
COUNTS = (3, 2, 2, 1, 2, 1, 2, 2, 1)
ODD_WORDS = """
    a the two three red short shorts dress dresses dressed dressing left leaves leaf leave found founding saw
    see glass glasses wood woods jump jumps jumping lie lying lay laying laid swing swings swinging dog's dogs
    is being of with light lights lit lighting people person park parks parked parking one others
""".split()  # noqa: SIM905
PAIRS = {
    "dog grass": 1, "dog brown": 1, "dog two": 1, "dog run": 2, "dog jump": 1,
    "horse man": 2, "horse brown": 1, "horse ride": 2,
    "man brown": 1, "man ride": 2,
    "grass brown": 1, "grass run": 1,
    "brown ride": 1, "brown run": 1,
    "two run": 1,
}  # fmt: skip


def equal(one: ConceptTable, other: ConceptTable) -> bool:
    return (
        (one.words, one.kinds, dict(one.forms)) == (other.words, other.kinds, dict(other.forms))
        and torch.equal(one.counts, other.counts)
        and torch.equal(one.pairs, other.pairs)
    )


def concept_of(captions: list[str]) -> dict[str, str]:
    """Word as it is written -> the word of its concept, over all concepts that there are."""
    table = count_concepts(captions, 1000, fewer=True)
    return {form: table.words[place] for form, place in table.forms.items()}


def test_five_captions_worked_out_by_hand() -> None:
    table = count_concepts(CAPTIONS, 9)

    assert table.words == WORDS
    assert table.kinds == ("object",) * 4 + ("property",) * 2 + ("motion",) * 3
    assert table.counts.tolist() == list(COUNTS)
    assert table.counts.dtype == table.pairs.dtype == torch.int64
    for one, other in itertools.product(range(9), repeat=2):
        names = (f"{WORDS[one]} {WORDS[other]}", f"{WORDS[other]} {WORDS[one]}")
        assert table.pairs[one, other] == max(PAIRS.get(name, 0) for name in names), names


def test_every_form_in_the_captions_leads_to_its_concept() -> None:
    table = count_concepts(CAPTIONS, 9)

    assert {form: table.words[place] for form, place in table.forms.items()} == {
        "dog": "dog", "dogs": "dog", "horse": "horse", "horses": "horse", "man": "man", "men": "man",
        "grass": "grass", "brown": "brown", "two": "two", "ride": "ride", "rides": "ride",
        "runs": "run", "running": "run", "jumps": "jump",
    }  # fmt: skip


def test_objects_properties_and_motions_are_taken_as_seven_to_two_to_one() -> None:
    captions = [
        f"a {colour} {thing} {verb}"
        for colour in ("red", "green", "blue", "white")
        for thing in ("dog", "cat", "man", "boy", "girl", "horse", "cow", "bird", "woman", "child")
        for verb in ("runs", "sits", "walks")
    ]
    kinds = count_concepts(captions, 10).kinds

    assert kinds == ("object",) * 7 + ("property",) * 2 + ("motion",)


def test_a_kind_that_has_too_few_is_filled_up_from_the_others() -> None:
    assert count_concepts(["dog", "cat", "bird", "a cat", "a cat"], 3).words == ("cat", "bird", "dog")
    # of nine, five are asked for: 4 objects, 1 property, no motion
    assert count_concepts(CAPTIONS, 5).words == ("dog", "horse", "man", "grass", "brown")
    # of nine, eight: 5 objects, 2 properties, 1 motion are due, and there are 4 objects
    assert count_concepts(CAPTIONS, 8).words == (
        "dog",
        "horse",
        "man",
        "grass",
        "brown",
        "two",
        "ride",
        "run",
    )


def test_a_caption_that_names_a_concept_twice_counts_once() -> None:
    table = count_concepts(["a dog and a dog and two dogs"], 2)

    assert (table.words, table.counts.tolist(), table.pairs.tolist()) == (
        ("dog", "two"),
        [1, 1],
        [[0, 1], [1, 0]],
    )


def test_the_order_of_captions_does_not_matter() -> None:
    shuffled = list(CAPTIONS)
    random.Random(0).shuffle(shuffled)

    assert shuffled != list(CAPTIONS)
    assert equal(count_concepts(shuffled, 9), count_concepts(CAPTIONS, 9))


def test_fewer_concepts_than_are_asked_for_is_an_error_that_says_how_many_there_are() -> None:
    with pytest.raises(UsageError, match=r"there are 9 concepts .* in the 5 training captions, and 10 are"):
        count_concepts(CAPTIONS, 10)
    with pytest.raises(UsageError, match=r"Ask for fewer: --set concepts=9"):
        count_concepts(CAPTIONS, 300)
    assert equal(count_concepts(CAPTIONS, 300, fewer=True), count_concepts(CAPTIONS, 9))


@pytest.mark.parametrize(
    "captions", [[], ["..."], ["of the and"], ["1 2 3", "a b c"], ["a photo of something"]]
)
def test_captions_that_name_nothing_have_no_concepts(captions: list[str]) -> None:
    table = count_concepts(captions, 300, fewer=True)

    assert (table.words, table.counts.shape, table.pairs.shape) == ((), (0,), (0, 0))
    with pytest.raises(UsageError, match=r"there are 0 concepts .* They must be English"):
        count_concepts(captions, 1)


def test_inflected_forms_of_nouns_share_one_concept() -> None:
    found = concept_of(
        ["two women and three children with glasses", "a woman holds a child", "the leaves", "a leaf falls",
         "two skateboarders", "a skateboarder", "men on buses", "a man on a bus", "red frisbees", "a frisbee",
         "two T-shirts", "a t-shirt", "the dogs' long tails", "a dog's tail"]
    )  # fmt: skip

    singulars = {"women": "woman", "children": "child", "leaves": "leaf", "skateboarders": "skateboarder"}
    singulars |= {"men": "man", "buses": "bus", "frisbees": "frisbee", "t-shirts": "t-shirt", "tails": "tail"}
    for plural, singular in singulars.items():
        assert found[plural] == found[singular] == singular


def test_inflected_forms_of_verbs_share_one_concept_though_the_tagger_takes_some_for_nouns() -> None:
    found = concept_of(
        ["a boy jumps", "a girl is jumping", "they jumped", "the girl rides a horse", "a man is riding",
         "a boy dancing", "the girl dances", "a dog swimming", "a man swims", "a woman sitting", "he sat"]
    )  # fmt: skip

    forms = {
        "jump": "jumps jumping jumped",
        "ride": "rides riding",
        "dance": "dancing dances",
        "swim": "swimming swims",
        "sit": "sitting sat",
    }
    assert {form: found[form] for concept in forms for form in forms[concept].split()} == {
        form: concept for concept in forms for form in forms[concept].split()
    }


def test_a_noun_that_only_looks_like_a_verb_stays_a_noun() -> None:
    found = concept_of(["a tall building", "the brick building", "a red dress", "a wedding", "the railing"])

    assert {found[word] for word in ("building", "dress", "wedding", "railing")} == {
        "building",
        "dress",
        "wedding",
        "railing",
    }


def test_a_noun_and_a_verb_of_one_form_are_two_concepts_with_names_of_their_own() -> None:
    found = concept_of(
        ["a swing", "the red swing", "a girl is swinging", "the boy swings", "short shorts", "shorts"]
    )

    assert found["swing"] == "swing"
    assert found["swinging"] == found["swings"] != "swing"
    assert found["shorts"] == "shorts" != found["short"]


def test_a_word_that_is_used_as_noun_and_as_verb_is_one_concept() -> None:
    found = concept_of(["a high jump", "the jump", "people jump", "the girls jump", "a dog is jumping"])

    assert found["jump"] == found["jumping"] == "jump"


def test_a_noun_that_has_no_singular_in_the_captions_bears_its_plural() -> None:
    found = concept_of(["a man in pants", "blue pants", "graffiti on a wall"])

    assert found["pants"] == "pants" and found["graffiti"] == "graffiti"


def test_two_spellings_are_one_concept() -> None:
    found = concept_of(["a grey dog", "a gray cat", "a blonde girl", "a blond boy"])

    assert found["grey"] == found["gray"] and found["blonde"] == found["blond"]


def test_words_of_grammar_and_words_for_any_picture_are_no_concepts() -> None:
    captions = [
        "there is a picture of a dog that has been in the background",
        "this photo was made by someone who does something in front of other people",
        "a dog is doing things and gets another one while having it",
    ]

    assert set(concept_of(captions)) == {"dog", "people", "one"}


def laws(table: ConceptTable, captions: list[str]) -> None:
    """What every table must obey, whatever was counted."""
    size = len(table.words)
    assert len(set(table.words)) == size == len(table.kinds)
    assert torch.equal(table.pairs, table.pairs.T)
    assert not table.pairs.diagonal().any()
    assert bool((table.pairs <= table.counts).all()) and bool((table.pairs <= table.counts[:, None]).all())
    order = {"object": 0, "property": 1, "motion": 2}
    places = [(order[kind], -int(count)) for kind, count in zip(table.kinds, table.counts, strict=True)]
    assert places == sorted(places)
    fired = concept_ids(table.forms, captions)
    counts = torch.bincount(torch.tensor([one for ids in fired for one in ids]), minlength=size)
    assert torch.equal(counts, table.counts)
    assert bool((table.counts >= 1).all()), "each concept fires by some form: none collapsed into another"
    assert not EXCLUDED & (set(table.forms) | set(table.words))


@pytest.mark.parametrize("seed", range(5))
def test_the_laws_hold_for_captions_of_any_words(seed: int) -> None:
    chance = random.Random(seed)
    captions = [" ".join(chance.choices(ODD_WORDS, k=chance.randint(1, 9))) for _ in range(40)]

    for wanted in (1, 7, 20, 1000):
        laws(count_concepts(captions, wanted, fewer=True), captions)


@pytest.mark.real_data
def test_three_hundred_concepts_of_flickr8k(real_data: Path) -> None:
    folder = real_data / "flickr8k"
    train = set((folder / "Flickr_8k.trainImages.txt").read_text().split())
    rows = [line.split("\t") for line in (folder / "Flickr8k.token.txt").read_text().splitlines()]
    captions = [caption for name, caption in rows if name.split("#")[0] in train]
    started = time.process_time()
    table = count_concepts(captions, 300)

    assert time.process_time() - started < 30
    assert len(captions) == 30_000
    assert [table.kinds.count(kind) for kind in ("object", "property", "motion")] == [210, 60, 30]
    laws(table, captions)
    assert table.words[:6] == ("dog", "man", "boy", "girl", "woman", "people")
    assert {"two", "white", "black", "young", "snowy", "gray"} <= set(table.words[210:270])
    assert {"run", "play", "stand", "jump", "sit", "ride", "swim"} <= set(table.words[270:])
    for plural, singular in (("dogs", "dog"), ("men", "man"), ("children", "child"), ("riding", "ride")):
        assert table.words[table.forms[plural]] == singular
