"""Assets: what a method counts from training records before it learns, such as a vocabulary."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmx.core.record import Record

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Assets:
    """What was counted; it is kept with a run, so that the model can be built again without the corpus."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """Plain data, kept as JSON."""
    tensors: "Mapping[str, Tensor]" = field(default_factory=dict)


NO_ASSETS = Assets()


@dataclass(frozen=True)
class ConceptTable:
    """The concepts of a corpus, counted over its training captions. Shapes: K concepts."""

    words: tuple[str, ...]
    """Objects, then properties, then motions, each by falling count."""
    kinds: tuple[str, ...]
    """`object`, `property` or `motion`, for each concept."""
    forms: Mapping[str, int]
    """Word as it is written -> its concept: `dogs` -> that of `dog`."""
    counts: "Tensor"
    """[K] int64: captions that name the concept."""
    pairs: "Tensor"
    """[K, K] int64, symmetric with zero diagonal: captions that name both."""


ReadVectors = Callable[[str, Sequence[str]], "tuple[Tensor, Tensor]"]
"""(file, words) -> vectors [n, width], found [n] bool."""


@dataclass(frozen=True)
class AssetSource:
    """What a method may count from: training records, and what was counted of them already."""

    records: Sequence[Record]
    concepts: Callable[[int], ConceptTable]
    """How many -> the corpus's concepts, as `mmx prepare` counted them."""
    word_vectors: ReadVectors
    """Pretrained vectors of words, from a text file."""


def no_assets(settings: Any, source: AssetSource) -> Assets:
    """For a method that counts nothing."""
    return NO_ASSETS
