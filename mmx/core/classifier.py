"""Classifier: what a few-shot classifier declares. It learns from a handful of labelled features in memory.

Shapes: N training shots, V validation shots, B features, F feature width, C classes, M class texts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmx.core.settings import setting

if TYPE_CHECKING:
    from torch import Tensor

NO_TEXTS, ANY_TEXTS, SHARED_TEXTS = "none", "any", "shared"
"""What a classifier needs of class texts: nothing; any vectors; vectors of the space of the pictures."""


@dataclass(frozen=True)
class ShotSettings:
    """What every classifier's settings begin with: what it is shown."""

    encoder: str = setting(
        "auto",
        "Encoder of the pictures and class texts; auto: the features that were taken in, else offline.",
        source="ours",
    )
    shots: int = setting(16, "Labelled training pictures a class.", source="seed: 4 and 16", low=1)


@dataclass(frozen=True)
class ClassTexts:
    """Sentences that stand for classes, as a text encoder sees them."""

    features: "Tensor"
    """[M, F_t] float32, of unit length."""
    labels: "Tensor"
    """[M] int64: the class of each; every class has at least one."""
    words: tuple[str, ...]
    """The sentences themselves."""
    shared: bool
    """Their space is that of the pictures, so that a cosine means something."""

    def prototypes(self, classes: int) -> "Tensor":
        """[C, F_t]: the mean of each class's texts, of unit length."""
        sums = self.features.new_zeros(classes, self.features.shape[1])
        sums.index_add_(0, self.labels, self.features)
        return sums / sums.norm(dim=1, keepdim=True).clamp(min=1e-12)


@dataclass(frozen=True)
class Episode:
    """All that a classifier may see: shots to learn from and shots to choose on. No test picture is in it."""

    features: "Tensor"
    """[N, F] float32, of unit length."""
    labels: "Tensor"
    """[N] int64, from 0 to C - 1; every class occurs."""
    val_features: "Tensor"
    """[V, F]."""
    val_labels: "Tensor"
    classes: int
    texts: ClassTexts | None = None
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """A classifier that has learned."""

    tensors: "Mapping[str, Tensor]"
    """All that `score` needs, by name."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """What was settled on the validation shots, in plain values."""


@dataclass(frozen=True)
class Evidence:
    """What a classifier compared features with, and how much of each it took."""

    weights: "Tensor"
    """[B, M or C] float32, whose rows sum to 1; 0 where nothing was taken."""
    reads: str
    """`texts`, in their order, or `classes`: the mean picture of each."""


@dataclass(frozen=True)
class Labelling:
    """Sorting of pictures into classes that were shown by example."""

    name: str = "labelling"
    primary_metric: str = "accuracy"


@dataclass(frozen=True)
class Classifier:
    """One way to learn from a few shots; found by the name of its file in `mmx.heads`, or of its folder in
    `mmx.methods`. Its functions are pure: equal settings, features and seed give equal numbers.
    """

    summary: str
    settings: type[Any]
    """A frozen dataclass of `setting()` fields that extends ShotSettings."""
    needs_texts: Callable[[Any], str]
    """settings -> NO_TEXTS, ANY_TEXTS or SHARED_TEXTS."""
    fit: Callable[[Any, Episode], Fitted]
    """(settings, episode) -> what was learned; choices are made on its validation shots."""
    score: "Callable[[Any, Mapping[str, Tensor], Tensor], Tensor]"
    """(settings, tensors of Fitted, [B, F] of unit length) -> logits [B, C]."""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Named changes of the defaults."""
    rows: tuple[str, ...] = ()
    """The presets that have a row each in a table; none means one row, for the defaults."""
    learns: bool = True
    """False where all is in closed form."""
    explain: "Callable[[Any, Mapping[str, Tensor], Tensor], Evidence] | None" = None
    """As `score`, for a classifier that chooses among the class texts."""
    tasks: tuple[Labelling, ...] = (Labelling(),)
