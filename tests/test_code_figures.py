"""The figures of the code, on trees small enough to count by hand."""

from textwrap import dedent

import pytest

from benchmarks.code_figures import figures_of, rings, upward

ONE = dedent(
    '''\
    """One."""
    # a comment


    def told(text: str) -> str:  # another
        """Said."""
        return "# no comment" + text


    def silent(text):
        return text


    class Kept:
        def open(self) -> None:
            """Opened."""

        def _hidden(self):
            return None


    class _Own:
        def seen_by_nobody(self):
            return None
    '''
)


def test_lines_types_documentation_and_comments_are_counted_by_hand() -> None:
    figures = figures_of({"mmx/store/one.py": ONE, "mmx/store/two.py": "x = 1\n"})

    assert (figures.files, figures.lines, figures.largest) == (2, 25, "24 one.py")
    assert figures.typed == pytest.approx(2 / 3)
    assert figures.documented == pytest.approx(2 / 3)
    assert figures.comments == pytest.approx(2 / 25)


def test_files_that_import_each_other_are_one_group_wherever_the_import_stands() -> None:
    ring = {
        "mmx/store/one.py": "from mmx.store import two\n",
        "mmx/store/two.py": "def later():\n    from mmx.store.one import x\n",
        "mmx/store/three.py": "import mmx.store.one\n",
    }
    assert figures_of(ring).cycles == 1
    assert rings({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
    assert rings({"a": {"b"}, "b": set()}) == []


def test_a_relative_import_is_one_of_the_same_folder() -> None:
    ring = {"mmx/store/one.py": "from . import two\n", "mmx/store/two.py": "from .one import x\n"}

    assert figures_of(ring).cycles == 1


def test_an_arrow_points_up_only_where_no_order_of_the_rooms_helps() -> None:
    down = {("cli", "workflows"), ("workflows", "store"), ("cli", "store"), ("store", "store")}

    assert upward(down) == 0
    assert upward(down | {("store", "cli")}) == 1
    assert upward(down | {("store", "cli"), ("store", "workflows")}) == 2
    assert upward({("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")}) == 2
