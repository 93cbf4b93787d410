"""Conditions: SQL over the columns of pictures, and over nothing else."""

import pyarrow
import pytest

from mmx.core.errors import UsageError
from mmx.search import where
from mmx.search.where import rows_where

TABLE = pyarrow.table(
    {
        "id": ["a.jpg", "b/c.jpg", "b/d.jpg"],
        "size": [10, 200, None],
        "date": pyarrow.array(["2026-01-01", "2026-11-21", "2025-05-05"]).cast(pyarrow.timestamp("s")),
        "captions": [["a dog", "two dogs"], [], ["a cat"]],
    }
)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("size > 50", [1]),
        ("size > 50 OR size IS NULL", [1, 2]),
        ("id LIKE 'b/%' AND date >= '2026-01-01'", [1]),
        ("year(date) = 2025", [2]),
        ("list_contains(captions, 'a cat')", [2]),
        ("array_to_string(captions, ' ') ILIKE '%DOG%' -- no matter", [0]),
        ("size > (SELECT avg(size) FROM pictures)", [1]),
        ("false", []),
    ],
)
def test_rows_for_which_a_condition_holds(condition: str, rows: list[int]) -> None:
    assert rows_where(TABLE, condition).nonzero().flatten().tolist() == rows


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("colour = 'red'", r'"colour" not found.*columns: id, size, date, captions'),
        ("size >", "syntax error"),
        ("true); DROP TABLE pictures; SELECT (1", "more than one condition|cannot be read"),
        ("true) UNION ALL (SELECT 99", "is no condition"),
        ("id IN (SELECT content FROM read_text('/etc/hostname'))", "Permission Error"),
        ("true) UNION (SELECT 1 FROM read_csv('/etc/passwd')", "cannot be read"),
        ("(SELECT count(*) FROM TABLE) > 0", "cannot be read"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_columns(condition: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        rows_where(TABLE, condition)


def test_a_condition_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, "SECONDS", 0.2)
    with pytest.raises(UsageError, match=r"more than 0\.2 s"):
        rows_where(TABLE, "size > (SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b)")


def test_no_pictures_have_no_rows() -> None:
    assert rows_where(TABLE.slice(0, 0), "size > 50").tolist() == []
