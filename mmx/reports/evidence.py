"""Evidence: which words of a sentence met which regions of a picture, and how that is told.

Shapes: R regions, W words.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from PIL import Image

Box = tuple[float, float, float, float]
"""x1 y1 x2 y2 as fractions of the picture."""
ALIKE = 0.9
"""Mean correlation from which words look at nearly the same regions."""
FLAT = 1e-6
"""Weights that differ by less than this share of the largest are equal."""


@dataclass(frozen=True)
class Word:
    """A word with its weight on each region."""

    text: str
    weights: tuple[float, ...]
    kind: str = "word"
    """`word`; `stop` for words of grammar and marks; `special` for a model's own signs, such as [CLS]."""
    unknown: bool = False
    """The model does not know it, and reads it as any other such word."""

    @property
    def name(self) -> str:
        """The word as it is shown."""
        return f"{self.text} (unknown)" if self.unknown else self.text

    @property
    def weight(self) -> float:
        """Its weights together."""
        return math.fsum(self.weights)


@dataclass(frozen=True)
class Evidence:
    """A picture and a sentence that a model holds to belong together, and what that rests on."""

    rank: int
    id: str
    path: str
    caption: str
    score: float
    picture: Image.Image | str
    """The photo, or the reason why it cannot be shown."""
    boxes: tuple[Box, ...]
    words: tuple[Word, ...]
    adds_up: bool
    """The weights are parts of the score; else they are attention."""

    @property
    def accounted_for(self) -> float | None:
        """The part of the score that words and regions make together; None where weights are attention."""
        return math.fsum(word.weight for word in self.words) if self.adds_up else None

    @property
    def alike(self) -> float | None:
        """Mean correlation -1..1 of the weights of two words; 1 where all look at the same regions. None
        with fewer than two words that look anywhere in particular.
        """
        looking = [word.weights for word in self.words if word.kind == "word" and any(shades(word.weights))]
        if len(looking) < 2:
            return None
        above_diagonal = numpy.triu_indices(len(looking), k=1)
        return float(numpy.asarray(numpy.corrcoef(looking))[above_diagonal].mean())

    @property
    def contrast(self) -> float | None:
        """How many times the mean weight of a word its largest one is, on average over the words; 1 where all
        regions are met alike. None where no word has a mean above 0.
        """
        positive = [word for word in self.words if word.kind == "word" and word.weight > 0]
        found = [max(word.weights) * len(word.weights) / word.weight for word in positive]
        return math.fsum(found) / len(found) if found else None

    @property
    def notes(self) -> tuple[str, ...]:
        """How to read it, and how much it says, in sentences."""
        lines = [
            "In colour: regions that a word met more than its average region; outlined: the one it met most."
        ]
        if self.accounted_for is None:
            lines.append(
                "The weights are attention: those of a word sum to 1 over the regions. "
                f"They are no parts of the score, {self.score:.3f}."
            )
        else:
            lines.append(
                "The numbers are parts of the score: words and regions account for "
                f"{self.accounted_for:+.3f} of {self.score:.3f}. The rest, "
                f"{self.score - self.accounted_for:+.3f}, is no word's and no region's alone."
            )
        if not any(any(shades(word.weights)) for word in self.words):
            lines.append("No word met one region more than another.")
        elif self.contrast is not None:
            lines.append(
                f"The region that a word met most has {self.contrast:.2f} times the weight of its average "
                "region."
            )
        if self.alike is not None:
            near = "The words look at nearly the same regions: " if self.alike >= ALIKE else ""
            lines.append(f"{near}{'m' if near else 'M'}ean correlation of two words {self.alike:.2f}.")
        return tuple(lines)

    def together(self) -> tuple[float, ...]:
        """[R]: the weights of all words on each region."""
        columns = zip(*(word.weights for word in self.words), strict=True)
        return tuple(math.fsum(column) for column in columns)

    def document(self) -> dict[str, Any]:
        """For JSON; documented in docs/json.md."""
        return {
            "rank": self.rank,
            "id": self.id,
            "path": self.path,
            "caption": self.caption,
            "score": self.score,
            "weights_are": "parts of the score" if self.adds_up else "attention",
            "accounted_for": self.accounted_for,
            "rest": None if self.accounted_for is None else self.score - self.accounted_for,
            "contrast": self.contrast,
            "alike": self.alike,
            "boxes": [list(box) for box in self.boxes],
            "words": [
                {
                    "text": word.text,
                    "kind": word.kind,
                    "unknown": word.unknown,
                    "weight": word.weight,
                    "weights": list(word.weights),
                }
                for word in self.words
            ],
        }


def shades(weights: Sequence[float]) -> list[float]:
    """Weights of regions -> how strongly each is shown, 0..1: 0 up to the mean of all, 1 for the largest."""
    if not weights:
        return []
    largest, mean = max(weights), math.fsum(weights) / len(weights)
    if largest - mean <= FLAT * max(abs(largest), abs(mean)):
        return [0.0] * len(weights)
    return [max(0.0, (weight - mean) / (largest - mean)) for weight in weights]
