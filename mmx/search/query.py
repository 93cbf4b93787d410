"""What is asked: a sentence, a picture's file, or a sum of them such as `2: dog + ./pool.jpg - fruit`.

query = sum_i w_i t_i / |sum_i w_i t_i|,  t_i the unit vector of a term, w_i its weight with its sign
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mmx.core.errors import UsageError
from mmx.core.paths import expanded

if TYPE_CHECKING:
    import numpy
    from torch import Tensor

Vectors = TypeVar("Vectors", "numpy.ndarray", "Tensor")
"""What is asked is encoded by torch or by something else, and the sum is the same."""

SIGN = re.compile(r"(?:^|(?<=\s))[+-](?=\s|$)")
WEIGHT = re.compile(r"^(\d+(?:\.\d+)?|\.\d+)\s*:(?!\d)")
WEB = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
PLACES = ("./", "../", "/", "~")
CANCELLED = 1e-4
"""A sum of unit vectors that is shorter than this points nowhere but by rounding."""


@dataclass(frozen=True)
class Term:
    """A sentence, or the picture in a file, with its weight; a negative one is to be unlike it."""

    weight: float
    text: str = ""
    picture: Path | None = None


def parse_query(said: str, suffixes: Collection[str]) -> tuple[Term, ...]:
    """The terms of a query. `+` and `-` between spaces join them, `N:` before one is its weight, and what
    stands in double quotes is a sentence whatever it holds.

    A term is a picture if it begins as a path does (`./`, `../`, `/`, `~`), or ends as a picture does and is
    one word or a file that is there.

    Args:
        said: the query.
        suffixes: how the names of pictures end.

    Raises:
        UsageError: when there is no term, a sign has none, or one is a web address.
    """
    if said.count('"') % 2:
        raise UsageError(f"a quotation mark is not closed in '{said}'. Close it, or leave it out.")
    quotes: list[str] = []

    def hide(match: re.Match[str]) -> str:
        quotes.append(match.group(1))
        return f"\0{len(quotes) - 1}\0"

    hidden = re.sub(r'"([^"]*)"', hide, said.replace("\0", " "))
    parts, signs = SIGN.split(hidden), SIGN.findall(hidden)
    if signs and not parts[0].strip():
        parts = parts[1:]
    else:
        signs = ["+", *signs]
    return tuple(_term(part, sign, quotes, suffixes, said) for part, sign in zip(parts, signs, strict=True))


def _term(part: str, sign: str, quotes: Sequence[str], suffixes: Collection[str], said: str) -> Term:
    part = part.strip()
    weight = 1.0
    if found := WEIGHT.match(part):
        weight, part = float(found.group(1)), part[found.end() :].strip()
    text = re.sub("\0(\\d+)\0", lambda match: quotes[int(match.group(1))], part)
    if not text.strip() or weight == 0:
        raise UsageError(
            f"a term of '{said}' is empty or has no weight. Write sums as: \"2: dog + ./pool.jpg - fruit\""
        )
    weight = -weight if sign == "-" else weight
    if WEB.match(part):
        raise UsageError(
            f"'{text}' is a web address, and mmx fetches nothing. Save the picture, and name its file."
        )
    if part.startswith("\0") or not _is_picture(text, suffixes):
        return Term(weight, text)
    return Term(weight, picture=expanded(text))


def _is_picture(text: str, suffixes: Collection[str]) -> bool:
    if text.startswith(PLACES):
        return True
    return Path(text).suffix.lower() in suffixes and (len(text.split()) == 1 or Path(text).is_file())


def directionless(name: object, length: float) -> UsageError:
    """What is said of a query whose vector has such a length, and so no direction."""
    fault = "is zero" if length == 0 else "holds NaN or infinity"
    return UsageError(f"the vector of query '{name}' {fault}, so nothing is near it. Ask in other words.")


def combine(terms: Sequence[Term], vectors: Vectors, said: str) -> Vectors:
    """The sum of the terms' vectors [T, D] of unit length -> [1, D], of unit length.

    Raises:
        UsageError: when a vector is no direction, or the terms cancel each other out.
    """
    lengths = (vectors * vectors).sum(-1) ** 0.5
    for term, length in zip(terms, lengths.tolist(), strict=True):
        if not 0 < length < float("inf"):
            raise directionless(term.text or term.picture, length)
    if len(terms) == 1 and terms[0].weight > 0:
        return vectors
    summed = sum(term.weight * vector for term, vector in zip(terms, vectors, strict=True))
    length = float((summed * summed).sum()) ** 0.5
    if length < CANCELLED * sum(abs(term.weight) for term in terms):
        raise UsageError(f"the terms of '{said}' cancel each other out. Change a weight.")
    return summed[None] / length
