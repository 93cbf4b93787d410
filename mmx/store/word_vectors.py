"""Pretrained vectors of words, from a text file of GloVe, word2vec or fastText.

A line is a word and its numbers, parted by single spaces; a first line of two whole numbers (how many, how
wide) may stand before them. Such a file has gigabytes: it is read once, line by line, and of its numbers only
those of the words asked for.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.core.paths import expanded

HEADER = re.compile(rb"\d+ \d+")
HEAD = 65_536
# British and American: whichever is asked for, the other one will do
SPELLINGS = (
    ("colour", "color"),
    ("grey", "gray"),
    ("blonde", "blond"),
    ("centre", "center"),
    ("theatre", "theater"),
    ("favourite", "favorite"),
    ("neighbour", "neighbor"),
    ("harbour", "harbor"),
    ("moustache", "mustache"),
    ("jewellery", "jewelry"),
    ("pyjama", "pajama"),
    ("doughnut", "donut"),
    ("travell", "travel"),
)


@dataclass
class _Found:
    """What the file says of the words asked for: for each the best spelling met so far."""

    wanted: Mapping[bytes, list[tuple[int, int]]]
    """Spelling -> the words that it will do for, and how far it is from each."""
    best: dict[int, tuple[int, list[float]]] = field(default_factory=dict)

    def take(self, spelling: bytes, numbers: list[float]) -> None:
        """Keep the numbers for words that have nothing nearer yet; a word's first line counts."""
        for place, distance in self.wanted.get(spelling, ()):
            if place not in self.best or distance < self.best[place][0]:
                self.best[place] = (distance, numbers)


def read_word_vectors(file: str | Path, words: Sequence[str]) -> tuple[Tensor, Tensor]:
    """(file, n words) -> vectors [n, width] float32, found [n] bool; zeros where a word was not found.

    A word that the file lacks is looked for in lower case, with a capital, without hyphens and apostrophes,
    and in the other of the British and American spellings, in this order.

    Raises:
        ArtifactError: when the file is absent, empty, binary, cut short, or a line has another width.
    """
    path = expanded(file)
    found = _Found(_wanted(words))
    try:
        _check_text(path)
        width = _scan(path, found)
    except OSError as error:
        raise ArtifactError(
            f"'{path}' cannot be read: {error.strerror}. Name a text file of GloVe, word2vec or fastText."
        ) from error
    vectors, mask = torch.zeros(len(words), width), torch.zeros(len(words), dtype=torch.bool)
    for place, (_, numbers) in found.best.items():
        vectors[place], mask[place] = torch.tensor(numbers), True
    return vectors, mask


def spellings(word: str) -> list[str]:
    """The word and what will do for it, nearest first."""
    plain = word.replace("-", "").replace("'", "")
    other = [word.lower().replace(old, new) for old, new in SPELLINGS if old in word.lower()]
    other += [word.lower().replace(new, old) for old, new in SPELLINGS if new in word.lower()]
    return list(
        dict.fromkeys(form for form in (word, word.lower(), word.capitalize(), plain, *other) if form)
    )


def _wanted(words: Sequence[str]) -> dict[bytes, list[tuple[int, int]]]:
    wanted: dict[bytes, list[tuple[int, int]]] = {}
    for place, word in enumerate(words):
        for distance, spelling in enumerate(spellings(word)):
            wanted.setdefault(spelling.encode(), []).append((place, distance))
    return wanted


def _check_text(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.strip():
        raise ArtifactError(f"'{path}' is empty. Fetch it again.")
    if b"\0" in head:
        raise ArtifactError(
            f"'{path}' is not text. Unpack an archive first; of word2vec's '.bin' save the text form."
        )


def _scan(path: Path, found: _Found) -> int:
    """Read all lines, take the numbers of the words asked for; the width."""
    with path.open("rb") as file:
        first = file.readline().rstrip()
        is_header = HEADER.fullmatch(first) is not None
        promised, width = map(int, first.split()) if is_header else (None, first.count(b" "))
        count = 0
        for number, line in enumerate(chain(() if is_header else (first,), file), start=1 + is_header):
            cells = line.rstrip()
            if not width or not cells:
                continue
            count += 1
            word, numbers = _cut(path, number, cells, width)
            if count == 1 or word in found.wanted:
                found.take(word, _numbers(path, number, numbers))
    if not count:
        start = first[:60].decode(errors="replace")
        raise ArtifactError(f"'{path}' holds no vectors of words: it begins with '{start}'. Fetch it again.")
    if promised is not None and count != promised:
        raise ArtifactError(
            f"'{path}' promises {promised:,} words and holds {count:,}: it is cut short. Fetch it again."
        )
    return width


def _cut(path: Path, number: int, line: bytes, width: int) -> tuple[bytes, bytes]:
    """A line as its word and its numbers."""
    surplus = line.count(b" ") - width
    if surplus == 0:
        word, _, numbers = line.partition(b" ")
        return word, numbers
    word, *cells = line.rsplit(b" ", width)
    # ". . ." and "at name@domain.com" are words of some files; a number is none
    if surplus < 0 or _is_number(word.rsplit(b" ", 1)[-1]):
        raise ArtifactError(
            f"'{path}' line {number} has {width + surplus} numbers where {width} are due. Fetch it again."
        )
    return word, b" ".join(cells)


def _numbers(path: Path, number: int, cells: bytes) -> list[float]:
    try:
        values = [float(cell) for cell in cells.split(b" ")]
    except ValueError as error:
        raise ArtifactError(f"'{path}' line {number}: {error}. Fetch it again.") from error
    if not all(abs(value) < float("inf") for value in values):
        raise ArtifactError(f"'{path}' line {number} holds a number that is not finite. Fetch it again.")
    return values


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
