"""Method: what one published recipe declares, in functions and plain data; Stage: one phase of its
training.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mmx.core.assets import Assets, AssetSource, no_assets
from mmx.core.caption_words import CaptionWords
from mmx.core.record import Record
from mmx.core.task import Retrieval, Task
from mmx.core.tower import Tower, TowerUse

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mmx.core.batch import Batch


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters whose names begin with one of the prefixes, with their own rate and decay."""

    name: str
    prefixes: tuple[str, ...]
    lr: float
    weight_decay: float = 0.0
    last_blocks: int | None = None
    """Train only the last so many of the `blocks()` of the module that a prefix names; None trains all."""
    layer_decay: float = 1.0
    """Factor of the rate from each block to the one before it; the last block has the full rate."""


@dataclass(frozen=True)
class Schedule:
    """How the rates of a stage change with its steps."""

    kind: str = "constant"
    """`constant`, `cosine` or `linear` (to `floor` of the rate at the end), or `plateau` (by `factor` when
    val stalls).
    """
    warmup: float = 0.0
    """Share of the stage's steps with a linear rise from zero."""
    floor: float = 0.0
    patience: int = 1
    """Epochs without a better val metric before the plateau schedule lowers the rates."""
    factor: float = 0.8


@dataclass(frozen=True)
class Stage:
    """One phase of training. Parameters in no group are frozen in this stage."""

    name: str
    groups: tuple[ParameterGroup, ...]
    epochs: int
    batch_size: int
    """Images a batch."""
    captions_per_image: int | None = 1
    """Captions drawn for each image at each step; all of them share their image as positive. None takes
    them all.
    """
    schedule: Schedule = field(default_factory=Schedule)
    clip_norm: float | None = None
    bucket: int = 1
    """Batches among which images go by the length of their captions, so that little is padding; 1 leaves
    their order to chance.
    """
    average: float = 0.0
    """Decay of the running average of weights that is evaluated and kept; 0 keeps the last weights."""
    from_best: bool = False
    """Begin with the weights that were best on val so far, not with the last ones."""


@dataclass(frozen=True)
class Generated:
    """What a model makes up of posts: C of them."""

    captions: Sequence[str]
    """A sentence of each post's picture, '' for a post without one; empty where nothing is made up."""
    pictures: "Tensor"
    """[C, 3, side, side] uint8 RGB: a picture of each post's words."""


CaptionIds = Callable[[Any, Assets, Sequence[Record]], Mapping[str, Sequence[Sequence[int]]]]
"""(settings, assets, records) -> by name the whole numbers of each caption of the records, in their order,
beside what a text tower reads: as a Batch names them, such as `token_ids`, or for its `own_ids`.
"""
CaptionWordsOf = Callable[[Any, Assets, Sequence[str]], Sequence[CaptionWords]]
"""(settings, assets, captions) -> the words that the `token_ids` of each caption stand for."""


@dataclass(frozen=True)
class Method:
    """One recipe: found by the name of its folder in `mmx.methods`, run by an engine that never asks which
    it is.
    """

    summary: str
    settings: type[Any]
    """A frozen dataclass of `setting()` fields."""
    presets: Mapping[str, Mapping[str, Any]]
    """Named changes of the defaults; `tiny` must be among them and needs no download."""
    towers: Callable[[Any], dict[str, TowerUse]]
    """settings -> the encoder of each modality; one left out is read by the method itself."""
    build: Callable[[Any, dict[str, Tower], Assets], "nn.Module"]
    """(settings, tower of each modality, assets) -> the model."""
    stages: Callable[[Any], tuple[Stage, ...]]
    """settings -> the phases of training, in order."""
    represent: "Callable[[nn.Module, Batch], Mapping[str, Tensor]]"
    """(model, images with all their captions) -> by name, all that the loss is worked out from: rows, one an
    image, a caption, or whatever the images are added up to. A batch may be read in pieces whose rows are put
    one after another; where they differ in further widths they are padded with 0, False, or -1 where whole.
    """
    compare: "Callable[[nn.Module, Mapping[str, Tensor], float], dict[str, Tensor]]"
    """(model, the rows of a whole batch, progress 0..1) -> the loss: `total` and its parts, in nats."""
    tasks: tuple[Task, ...]
    """What the trained model can be measured on; the first one selects the checkpoint."""
    uncut: Callable[[Any], str | None] | None = None
    """settings -> the setting (`norm=batch`) for which `represent` must see a batch as a whole; None where it
    reads every image and caption by itself.
    """
    chosen_task: Callable[[Any, Assets], str] | None = None
    """(settings, assets) -> name of the one task that a model is trained for, where each of `tasks` needs a
    model of its own; None where one model can do them all.
    """
    assets: Callable[[Any, AssetSource], Assets] = no_assets
    """(settings, training records) -> what is counted before learning."""
    caption_ids: CaptionIds | None = None
    caption_words: CaptionWordsOf | None = None
    """For a method that reads captions without a text tower."""
    gauges: "Callable[[nn.Module], dict[str, float]] | None" = None
    """model -> what to log and plot beside the losses, such as their weights."""
    generate: "Callable[[nn.Module, Assets, Batch, int], Generated] | None" = None
    """(model, assets, batch, seed) -> what it makes up of each post of a batch, for people to look at."""

    def loss(self, model: "nn.Module", batch: "Batch", progress: float) -> "dict[str, Tensor]":
        """The loss of a batch that is read at once: `total` and its parts, in nats."""
        return self.compare(model, self.represent(model, batch), progress)

    def with_task(self, settings: Any, assets: Assets) -> "Method":
        """The same, with the one task that a model is trained for where it is to be chosen, and without a
        second stage where the settings want none.
        """
        tasks = self.tasks
        if self.chosen_task is not None:
            name = self.chosen_task(settings, assets)
            tasks = tuple(task for task in tasks if task.name == name)
        return replace(self, tasks=tuple(_as_wanted(task, settings) for task in tasks))


def _as_wanted(task: Task, settings: Any) -> Task:
    if not isinstance(task, Retrieval) or task.rerank is None or task.rerank.wanted(settings):
        return task
    return replace(task, rerank=None)
