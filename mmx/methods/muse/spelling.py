"""Spelling: a word by its letters and its case, which an encoder of lower-case words does not see.

Source: letters by convolution as in arXiv 1511.08308, section 3; ours in muse.
Shapes: C posts, W words, S numbers of a word, E width of a letter, D width.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

LETTERS = 16
"""Letters of a word that are read."""
NUMBERS = LETTERS + 1
"""S: the case, then the letters."""
PADDING, UNKNOWN, FIRST = 0, 1, 2
CASES = 7
LETTER_WIDTH, CASE_WIDTH, SPAN = 32, 16, 3


def spell(word: str, letters: Mapping[str, int]) -> list[int]:
    """The case of a word and its first letters, always S numbers; 0 where there is no letter."""
    known = [FIRST + letters[letter] if letter in letters else UNKNOWN for letter in word[:LETTERS]]
    return [case_of(word), *known, *[PADDING] * (LETTERS - len(known))]


def case_of(word: str) -> int:
    """1 all capitals, 2 one capital and small letters, 3 a capital first, 4 small letters, 5 with a digit,
    else 6.
    """
    shapes = (
        word.isupper(),
        word[:1].isupper() and word[1:].islower(),
        word[:1].isupper(),
        word.islower(),
        any(letter.isdigit() for letter in word),
    )
    return next((number for number, fits in enumerate(shapes, start=1) if fits), CASES - 1)


class Spelling(nn.Module):
    """Letters by a convolution over three of them and the largest of each filter; the case beside it."""

    def __init__(self, letters: int, width: int) -> None:
        """Make it for an alphabet of so many letters."""
        super().__init__()
        self.letters = nn.Embedding(FIRST + letters, LETTER_WIDTH, padding_idx=PADDING)
        self.convolution = nn.Conv1d(LETTER_WIDTH, width, SPAN, padding=SPAN // 2)
        self.cases = nn.Embedding(CASES, CASE_WIDTH, padding_idx=PADDING)
        self.width = width + CASE_WIDTH

    def forward(self, spelling_ids: Tensor) -> Tensor:
        """[C, W S] padded with -1 -> [C, W, D]."""
        words = spelling_ids.clamp_min(PADDING).unflatten(1, (-1, NUMBERS))
        read = self.letters(words[..., 1:].flatten(0, 1)).transpose(1, 2)
        filters = self.convolution(read).relu().amax(-1)
        return torch.cat([filters.unflatten(0, words.shape[:2]), self.cases(words[..., 0])], dim=-1)
