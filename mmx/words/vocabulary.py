"""Vocabulary: the words that a method without a text tower knows, counted from training captions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmx.core.caption_words import CaptionWords
from mmx.core.errors import ArtifactError, DataError
from mmx.words.split import split_words

PADDING, START, END, UNKNOWN = range(4)
SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")
LEAST_COUNT = 4
SHORTEST = 3


@dataclass(frozen=True)
class Vocabulary:
    """Words with their ids: word i of `words` has id i, the four special ones first."""

    words: tuple[str, ...]

    @classmethod
    def count(cls, captions: Iterable[str], least: int = LEAST_COUNT) -> "Vocabulary":
        """The words that stand at least `least` times in the captions, by falling count, then by alphabet.

        Raises:
            DataError: when no word stands that often.
        """
        counts = Counter(word for caption in captions for word in split_words(caption))
        kept = [word for word, count in counts.items() if count >= least]
        if not kept:
            often, times = max(counts.items(), key=lambda item: item[1], default=("", 0))
            most = f"the most frequent, '{often}', stands {times} times" if often else "they hold no word"
            raise DataError(
                f"no word stands {least} times in the training captions: {most}. "
                "Ask for fewer times, or prepare more captions."
            )
        return cls((*SPECIAL, *sorted(kept, key=lambda word: (-counts[word], word))))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Vocabulary":
        """What `values` gave, back from JSON.

        Raises:
            ArtifactError: when it is not a vocabulary.
        """
        words = values.get("words")
        if (
            not isinstance(words, list)
            or not all(isinstance(word, str) for word in words)
            or tuple(words[: len(SPECIAL)]) != SPECIAL
            or len(set(words)) < len(words)
        ):
            raise ArtifactError(
                "the vocabulary is broken: it is no list of different words that begins with "
                f"{', '.join(SPECIAL)}. Train again."
            )
        return cls(tuple(words))

    def values(self) -> dict[str, Any]:
        """The vocabulary as plain values, for JSON."""
        return {"words": list(self.words)}

    def __len__(self) -> int:
        """How many ids there are, the special ones included."""
        return len(self.words)

    def ids(self, caption: str, longest: int) -> list[int]:
        """`<start>`, the words, `<end>`: at most `longest` ids, of which the last is always `<end>`."""
        if longest < SHORTEST:
            raise ValueError(f"longest is {longest}; a caption needs at least {SHORTEST} ids.")
        words = split_words(caption)[: longest - 2]
        return [START, *(self._ids.get(word, UNKNOWN) for word in words), END]

    def caption_words(self, caption: str, longest: int) -> CaptionWords:
        """The words that `ids` of the same arguments stand for, with its signs at both ends."""
        ids = self.ids(caption, longest)
        words = (SPECIAL[START], *split_words(caption)[: longest - 2], SPECIAL[END])
        places = tuple(range(len(words)))
        unknown = frozenset(place for place in places if ids[place] == UNKNOWN)
        return CaptionWords(words, places, frozenset({0, len(words) - 1}), unknown)

    @cached_property
    def _ids(self) -> dict[str, int]:
        # a caption cannot hold a special one: split words have no angle brackets
        return {word: place for place, word in enumerate(self.words)}
