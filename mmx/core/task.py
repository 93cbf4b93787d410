"""Task: something that can be measured of a trained model, and what it needs from a method."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmx.core.assets import Assets

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mmx.core.batch import Batch

    Encode = Callable[[nn.Module, Batch], Tensor]
    Keep = Callable[[nn.Module, Batch], Mapping[str, Tensor]]
    Fine = Callable[[nn.Module, Mapping[str, Tensor], Mapping[str, Tensor]], Tensor]
    Explain = Callable[[nn.Module, Batch], Tensor]
    Decode = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]
    Sort = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True)
class Rerank:
    """A finer look at pairs that the first stage has brought near; Q captions, G images.

    score(q, g) = text_embedding_q . image_embedding_g + weight(model) fine(q, g)
    """

    keep_image: "Keep"
    """(model, batch) -> what pairs are scored from, by name: [B, ..], the same shape for every batch.

    It may hold `image_embedding` too, as `encode_image` gives it: the towers then run once for both.
    """
    keep_text: "Keep"
    """(model, batch) -> by name [C, L, ..] or [C, ..]; what is padded behind has no say in `fine`.

    It may hold `text_embedding` too.
    """
    fine: "Fine"
    """(model, kept of G images, kept of Q captions) -> fine_scores [Q, G] float32."""
    weight: "Callable[[nn.Module], float]"
    """model -> the weight it was trained with."""
    wanted: Callable[[Any], bool] = lambda settings: True
    """settings -> whether a model of these looks twice at all."""


@dataclass(frozen=True)
class Retrieval:
    """Matching of images and captions in a shared space.

    `encode_image` gives image_embedding [B, D] and `encode_text` text_embedding [C, D], both of unit length,
    so that the score of a pair is their inner product; an index needs nothing else.
    """

    encode_image: "Encode"
    encode_text: "Encode"
    rerank: Rerank | None = None
    explain: "Explain | None" = None
    """(model, batch with caption i beside image i) -> [C, L, R]: what each word took from each region; 0 on
    padding; of a word, larger is more.
    """
    adds_up: bool = False
    """What `explain` gives are parts of the pair's score, and what lacks in their sum is the rest; else it is
    attention, whose shares sum to 1 over the regions of a word.
    """
    labels: str = ""
    """Field of a batch that lists what a caption names, -1 behind; none: the model asks for no such thing."""

    name: str = "retrieval"
    primary_metric: str = "rsum"


Names = Callable[[Assets], Sequence[str]]
"""What the numbers of a model stand for, as counted before training."""


@dataclass(frozen=True)
class Tagging:
    """Naming of entities in posts: each word of a post gets a tag such as B-PER, I-PER or O.

    A post is a record with words, and with a picture or without one; it has one caption, its words.
    """

    decode: "Decode"
    """(model, batch) -> tags [C, W] int64, -1 where the model reads no word, and how sure each is [C, W]."""
    labels: Names
    """assets -> the tags by number."""

    name: str = "tagging"
    primary_metric: str = "f1_strict"


@dataclass(frozen=True)
class Classification:
    """Sorting of posts, each of one caption and of a picture or none, by their sentiment."""

    sort: "Sort"
    """(model, batch) -> probabilities [C, K] float32, whose rows sum to 1."""
    labels: Names
    """assets -> the classes by number."""

    name: str = "sentiment"
    primary_metric: str = "accuracy"


@dataclass(frozen=True)
class Study:
    """Learning that is looked at for its own sake: the model is measured by its loss on val, and no more."""

    why: str
    """Why nothing can be found or ranked with the model, in a clause."""

    name: str = "study"
    primary_metric: str = "minus_loss"


PostTask = Tagging | Classification
Task = Retrieval | PostTask | Study
