"""Which concepts captions name: by any form, each once, and together for an image."""

from mmx.core.record import Record
from mmx.words.concepts import concept_ids, image_concept_ids

FORMS = {"dog": 0, "dogs": 0, "red": 2, "run": 1, "runs": 1}


def test_each_caption_gives_its_concepts_once_and_in_order() -> None:
    captions = ["Two RED dogs: a dog runs!", "nothing", "", "the dog's run"]

    assert concept_ids(FORMS, captions) == [[0, 1, 2], [], [], [0, 1]]


def test_an_image_has_the_concepts_of_all_its_captions() -> None:
    records = [
        Record("a", "train", None, ("a dog", "it runs", "dogs run")),
        Record("b", "train", None, ()),
        Record("c", "train", None, ("something red",)),
    ]

    assert image_concept_ids(FORMS, records) == [[0, 1], [], [2]]
