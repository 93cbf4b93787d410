"""Which concepts captions name: by any form, and each once."""

from mmx.words.concepts import concept_ids

FORMS = {"dog": 0, "dogs": 0, "red": 2, "run": 1, "runs": 1}


def test_each_caption_gives_its_concepts_once_and_in_order() -> None:
    captions = ["Two RED dogs: a dog runs!", "nothing", "", "the dog's run"]

    assert concept_ids(FORMS, captions) == [[0, 1, 2], [], [], [0, 1]]
