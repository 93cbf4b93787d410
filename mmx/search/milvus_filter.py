"""A condition in SQL, said in the words of Milvus, so that it is met where the pictures are kept.

    condition = all {OR all};  all = one {AND one};  one = NOT one | ( condition ) | test
    test = column (= | <> | != | < | <= | > | >=) value
         | column [NOT] (IN (value, ..) | LIKE text | BETWEEN value AND value)

What a condition may say beyond that (functions, arithmetic, columns compared with one another) has no
counterpart there and is refused.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

import pyarrow

from mmx.core.errors import UsageError
from mmx.core.present import present
from mmx.search.where import in_microseconds, rows_where

TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"""
    r"""|(?P<quoted>"(?:[^"]|"")+")|(?P<word>[A-Za-z_]\w*)|(?P<sign><>|!=|==|<=|>=|[=<>(),]))"""
)
SIGNS = {"=": "==", "==": "==", "<>": "!=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
KEYWORDS = {"and", "or", "not", "in", "like", "between"}
LARGEST = 2**63

Token = tuple[str, str]
"""What it is (a name of `TOKEN`, or `end`), and how it is written."""


def as_filter(condition: str, schema: pyarrow.Schema) -> str:
    """The condition in the words of Milvus; a timestamp is kept there as microseconds since 1970.

    Args:
        condition: as a search in memory takes it.
        schema: the columns that are kept: text, whole numbers and timestamps, none of them ever null.

    Raises:
        UsageError: when it is no condition over these columns, or more than Milvus can say.
    """
    # A table without rows: whether these are columns and their types fit, in the words of any other search.
    rows_where(schema.empty_table(), condition)
    reader = _Reader(condition, schema)
    said = reader.either()
    if reader.next[0] != "end":
        reader.refuse()
    return said


class _Reader:
    """Reads from left to right."""

    def __init__(self, condition: str, schema: pyarrow.Schema) -> None:
        self._condition = condition
        self._columns = {name.lower(): (name, schema.field(name).type) for name in schema.names}
        self._tokens, self._at = self._split(condition), 0

    @property
    def next(self) -> Token:
        """The token that is read next; keywords in small letters."""
        return self._tokens[self._at]

    def refuse(self) -> NoReturn:
        """Say what can be said instead."""
        raise UsageError(
            f"--where '{self._condition}' is more than Milvus can filter by. It knows a column compared with "
            "a value (=, <>, <, <=, >, >=), [NOT] IN (...), [NOT] LIKE '...', BETWEEN, AND, OR and NOT. For "
            "the rest copy the index to a file: mmx index copy SRC DST.safetensors"
        )

    def either(self) -> str:
        """Conditions joined by OR."""
        return self._joined("or", lambda: self._joined("and", self._one))

    def _joined(self, word: str, read: Callable[[], str]) -> str:
        parts = [read()]
        while self._skip(word):
            parts.append(read())
        return parts[0] if len(parts) == 1 else f"({f' {word} '.join(parts)})"

    def _one(self) -> str:
        if self._skip("not"):
            return f"(not {self._one()})"
        if self._skip("("):
            said = self.either()
            self._must(")")
            return said
        return self._test()

    def _test(self) -> str:
        if self.next[0] in ("text", "number") or self._is_time():
            value = self._take_value()
            sign = SIGNS.get(self._take()[1]) or self.refuse()
            name, kind = self._column()
            return f"({name} {TURNED.get(sign, sign)} {self._constant(value, kind)})"
        name, kind = self._column()
        if self.next[1] in SIGNS:
            return f"({name} {SIGNS[self._take()[1]]} {self._value(kind)})"
        negated = self._skip("not")
        if self._skip("in"):
            said = f"({name} in [{', '.join(self._list(kind))}])"
        elif self._skip("like"):
            said = f"({name} like {self._pattern(kind)})"
        elif self._skip("between"):
            low = self._value(kind)
            self._must("and")
            said = f"({name} >= {low} and {name} <= {self._value(kind)})"
        else:
            self.refuse()
        return f"(not {said})" if negated else said

    def _list(self, kind: pyarrow.DataType) -> Sequence[str]:
        self._must("(")
        values = [self._value(kind)]
        while self._skip(","):
            values.append(self._value(kind))
        self._must(")")
        return values

    def _pattern(self, kind: pyarrow.DataType) -> str:
        what, written = self._take()
        # There a backslash in a pattern takes the meaning from the sign behind it, and in SQL it does not.
        if what != "text" or "\\" in written or not pyarrow.types.is_string(kind):
            self.refuse()
        return _quoted(_unquoted(written))

    def _value(self, kind: pyarrow.DataType) -> str:
        return self._constant(self._take_value(), kind)

    def _is_time(self) -> bool:
        return self.next[1].lower() in ("date", "timestamp") and self._tokens[self._at + 1][0] == "text"

    def _take_value(self) -> Token:
        """A text or a number; `DATE '...'` is a text too, and told from one."""
        if self._is_time():
            self._take()
            return "time", self._take()[1]
        return self._take()

    def _constant(self, value: Token, kind: pyarrow.DataType) -> str:
        what, written = value
        if pyarrow.types.is_timestamp(kind) and what in ("text", "time"):
            return str(in_microseconds(_unquoted(written), self._condition))
        if pyarrow.types.is_string(kind) and what == "text":
            return _quoted(_unquoted(written))
        if pyarrow.types.is_integer(kind) and what == "number":
            number = float(written) if set(".eE") & set(written) else int(written)
            if abs(number) < LARGEST and number == int(number):
                return str(int(number))
        self.refuse()

    def _column(self) -> tuple[str, pyarrow.DataType]:
        what, written = self._take()
        name = written[1:-1].replace('""', '"') if what == "quoted" else written
        if what not in ("word", "quoted") or name.lower() not in self._columns:
            self.refuse()
        return self._columns[name.lower()]

    def _take(self) -> Token:
        token = self.next
        if token[0] == "end":
            self.refuse()
        self._at += 1
        return token

    def _skip(self, written: str) -> bool:
        if self.next != ("keyword" if written in KEYWORDS else "sign", written):
            return False
        self._at += 1
        return True

    def _must(self, written: str) -> None:
        if not self._skip(written):
            self.refuse()

    def _split(self, condition: str) -> list[Token]:
        tokens: list[Token] = []
        place = 0
        while condition[place:].strip():
            match = TOKEN.match(condition, place)
            if match is None:
                self.refuse()
            what = present(match.lastgroup)
            written = match[what]
            is_keyword = what == "word" and written.lower() in KEYWORDS
            tokens.append(("keyword", written.lower()) if is_keyword else (what, written))
            place = match.end()
        return [*tokens, ("end", "")]


def _unquoted(written: str) -> str:
    return written[1:-1].replace("''", "'")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
