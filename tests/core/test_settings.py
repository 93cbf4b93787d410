"""Settings: later layers win, every value is read as its type and held to its bounds, and each remembers
its source.
"""

from dataclasses import dataclass

import pytest

from mmx.core.errors import UsageError
from mmx.core.settings import parse_assignments, resolve, setting, table


@dataclass(frozen=True)
class Example:
    margin: float = setting(0.2, "Hinge margin.", source="ours", low=0.0, high=1.0)
    epochs: int = setting(5, "Epochs.", source="ours", low=1)
    learned: bool = setting(True, "Learn it.", source="ours")
    kind: str = setting("hinge", "Which loss.", source="ours", choices=("hinge", "nce"))
    limit: int | None = setting(None, "Optional.", source="ours", low=1)


def read(**values: object) -> Example:
    return resolve(Example, [("--set", values)], "mmx train x --settings")[0]


def test_the_strongest_layer_wins_and_is_remembered() -> None:
    layers = [("file.toml", {"margin": 0.3, "epochs": 7}), ("--set", {"margin": "0.4"})]

    settings, set_by = resolve(Example, layers, "")

    assert (settings.margin, settings.epochs, settings.learned) == (0.4, 7, True)
    assert (set_by["margin"], set_by["epochs"], set_by["learned"]) == ("--set", "file.toml", "default")


def test_text_is_read_as_the_type_of_the_field() -> None:
    settings = read(margin="0.5", epochs="3", learned="no", limit="4")

    assert settings == Example(margin=0.5, epochs=3, learned=False, limit=4)
    assert read(limit="none").limit is None


def test_hyphen_and_underscore_are_the_same() -> None:
    @dataclass(frozen=True)
    class Two:
        two_words: int = setting(1, "", source="ours")

    assert resolve(Two, [("--set", {"two-words": "2"})], "")[0].two_words == 2


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("margn", "0.2", "Did you mean 'margin'"),
        ("margin", "wide", "is not a number"),
        ("margin", "nan", "out of bounds"),
        ("margin", "1.5", "[0.0, 1.0]"),
        ("epochs", "0", "[1, inf)"),
        ("epochs", "2.5", "is not a whole number"),
        ("epochs", 2.5, "is not a whole number"),
        ("learned", "perhaps", "is not a yes or no"),
        ("kind", "cosine", "one of: hinge, nce"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(name: str, value: object, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(**{name: value})

    assert words in str(caught.value)


def test_an_assignment_needs_its_equals_sign() -> None:
    assert parse_assignments(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(UsageError, match="is not a setting"):
        parse_assignments(["epochs"])


def test_the_table_tells_value_default_meaning_source_and_who_set_it() -> None:
    settings, set_by = resolve(Example, [("--set", {"epochs": "9"})], "")

    row = {row.name: row for row in table(settings, set_by)}["epochs"]

    assert (row.value, row.default, row.help, row.source, row.set_by) == (9, 5, "Epochs.", "ours", "--set")
