"""What an encoder must have: every encoder of mmx has it, and what is missing is named."""

import pytest

from mmx.core.encoder import lacks
from mmx.encoders.random_twins import random_image, random_text


@pytest.mark.parametrize("trainable", [False, True])
def test_the_towers_of_mmx_lack_nothing(trainable: bool) -> None:
    assert lacks(random_image("resnet"), "image", trainable) == []
    assert lacks(random_text("bert"), "text", trainable) == []


def test_what_lacks_is_named_in_the_order_of_the_description() -> None:
    run = [
        "modality",
        "name",
        "width",
        "embedding_width",
        "fingerprint",
        "tokenize",
        "words",
        "tokenize_words",
    ]

    assert lacks(object(), "text", trainable=False) == run
    assert lacks(object(), "text", trainable=True) == [*run, "sign_ids", "mask_id", "vocabulary", "blocks"]
