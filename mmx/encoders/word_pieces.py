"""From the tokens of a caption back to its words."""

import re
from collections.abc import Collection, Sequence

from mmx.core.caption_words import CaptionWords

WORD = re.compile(r"\w+(?:[-'’.,]\w+)*|[^\w\s]")
"""A run of letters and digits, marks within it included (snow-covered, dog's, 2.5), or any other sign."""
SPACE = "▁"
"""What stands before a piece that begins a word, by SentencePiece."""


def words_by_offsets(
    caption: str,
    pieces: Sequence[str],
    offsets: Sequence[tuple[int, int]],
    special: Sequence[bool],
    unknown: Sequence[bool],
) -> CaptionWords:
    """The words that pieces lie in; a sign that no person wrote is a word of its own, by the piece's name.

    Args:
        caption: as it was given to the tokenizer.
        pieces: each token as its vocabulary writes it.
        offsets: where each begins and ends in the caption.
        special: which of them stand for nothing in the caption.
        unknown: which of them stand for what the vocabulary lacks.
    """
    word_at: dict[int, tuple[int, str]] = {}
    for number, found in enumerate(WORD.finditer(caption)):
        word_at |= dict.fromkeys(range(found.start(), found.end()), (number, found.group()))
    named = []
    for place, (piece, (begin, end), sign) in enumerate(zip(pieces, offsets, special, strict=True)):
        inside = None if sign else next((word_at[at] for at in range(begin, end) if at in word_at), None)
        # What lies in no word, such as a space alone, is named by its piece.
        named.append(inside or (-1 - place, piece))
    return _gather(named, special, unknown)


def words_by_marks(pieces: Sequence[str], special: Sequence[bool], unknown: Sequence[bool]) -> CaptionWords:
    """The words that pieces make by the mark of SentencePiece, which does not say where they lay."""
    numbers: list[int] = []
    for place, (piece, sign) in enumerate(zip(pieces, special, strict=True)):
        begins = sign or piece.startswith(SPACE) or place == 0 or special[place - 1]
        numbers.append(place if begins else numbers[-1])
    texts: dict[int, str] = {}
    for number, piece in zip(numbers, pieces, strict=True):
        texts[number] = texts.get(number, "") + piece.removeprefix(SPACE)
    return _gather([(number, texts[number]) for number in numbers], special, unknown)


def first_pieces(words: Sequence[str], offsets: Sequence[tuple[int, int] | None], cut: bool) -> list[int]:
    """Place of the first token of each word of a post; -1 for words behind the last token of a cut post.

    A word that the tokenizer leaves nothing of has the place of the word before it, or that of the first
    token.

    Args:
        words: as they stand in the post, with one space between two of them.
        offsets: where each token begins and ends in the post; None for a sign that no person wrote.
        cut: whether the post may be longer than its tokens say.
    """
    word_at = [at for number, word in enumerate(words) for at in (*[number] * len(word), -1)]
    starts: dict[int, int] = {}
    for place, span in enumerate(offsets):
        # some tokenizers count the space before a word as a part of its first piece
        inside = [number for number in word_at[slice(*(span or (0, 0)))] if number >= 0]
        if inside:
            starts.setdefault(inside[0], place)
    furthest = max(starts, default=-1)
    found, before = [], 0
    for number in range(len(words)):
        before = starts.get(number, before)
        found.append(-1 if cut and number > furthest else before)
    return found


def _gather(
    named: Sequence[tuple[int, str]], special: Sequence[bool], unknown: Sequence[bool]
) -> CaptionWords:
    """(number of the word, its text) for each token -> the words, numbered by their first tokens."""
    places = {number: place for place, number in enumerate(dict.fromkeys(number for number, _ in named))}
    texts = dict(named)
    of_token = tuple(places[number] for number, _ in named)

    def of(flags: Collection[bool]) -> frozenset[int]:
        return frozenset(place for place, flag in zip(of_token, flags, strict=True) if flag)

    return CaptionWords(tuple(texts[number] for number in places), of_token, of(special), of(unknown))
