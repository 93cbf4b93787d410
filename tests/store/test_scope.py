"""Scope: the nearest rule decides, and a later one does away with those below it."""

from hypothesis import given
from hypothesis import strategies as st

from mmx.store.scope import EVERYTHING, NOTHING, Scope


def test_everything_and_nothing() -> None:
    assert EVERYTHING.covers("a/b.jpg") and not NOTHING.covers("a/b.jpg")


def test_a_removed_folder_stays_out_but_for_what_is_added_again() -> None:
    scope = EVERYTHING.with_rule("a", False).with_rule("a/b/c.jpg", True)
    assert [scope.covers(name) for name in ("a/x.jpg", "a/b/c.jpg", "a/b/d.jpg", "ab.jpg")] == [
        False, True, False, True,
    ]  # fmt: skip


def test_a_rule_on_a_folder_does_away_with_those_below_it() -> None:
    scope = EVERYTHING.with_rule("a/b.jpg", False).with_rule("a", True)
    assert scope.rules == {".": True, "a": True}
    assert scope.with_rule(".", False).rules == {".": False}


NAMES = st.sampled_from(["a", "a/b", "a/b/c.jpg", "a/d.jpg", "e.jpg"])
FILES = ("a/b/c.jpg", "a/d.jpg", "e.jpg")


@given(st.lists(st.tuples(NAMES, st.booleans())))
def test_it_is_as_if_each_rule_marked_every_file_below_it(rules: list[tuple[str, bool]]) -> None:
    scope, marked = Scope({}), dict.fromkeys(FILES, False)
    for name, is_in in rules:
        scope = scope.with_rule(name, is_in)
        marked |= {file: is_in for file in FILES if file == name or file.startswith(f"{name}/")}
    assert {file: scope.covers(file) for file in FILES} == marked
