"""CaptionWords: which words of a caption the tokens of a model are pieces of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CaptionWords:
    """The words of one caption as a person wrote them, as far as a model reads them, in their order."""

    words: tuple[str, ...]
    of_token: tuple[int, ...]
    """For each token of the model the place, in `words`, of what it is a piece of."""
    special: frozenset[int] = frozenset()
    """Places of the signs that no person wrote, such as [CLS] or <end>."""
    unknown: frozenset[int] = frozenset()
    """Places of words that the model does not know, and reads as it reads any other such word."""
