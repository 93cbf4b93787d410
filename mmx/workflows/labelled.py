"""A split of posts labelled by a model: entities of their words, or a class each; and how good that is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from mmx.core.errors import DataError
from mmx.core.record import Record
from mmx.core.reporter import Reporter
from mmx.core.task import PostTask, Tagging, Task
from mmx.engine.label_split import TaggedPost, sort_split, tag_split
from mmx.engine.split_data import SplitData
from mmx.tasks import classification, resampling, span_f1
from mmx.tasks.span_f1 import OUTSIDE, RULES

Interval = tuple[float, float]


@dataclass(frozen=True)
class TaggedSplit:
    """Tags of all words of a split, right and predicted; truncated words are predicted O."""

    gold: Sequence[Sequence[str]]
    predicted: Sequence[Sequence[str]]
    unread: int
    """Words that the model cut off."""

    @property
    def posts(self) -> int:
        """Posts that were measured."""
        return len(self.gold)

    @cached_property
    def counts(self) -> dict[str, span_f1.SpanCounts]:
        """Spans of each post, by each rule."""
        return {rule: span_f1.count_spans(self.gold, self.predicted, rule) for rule in RULES}

    @property
    def metrics(self) -> dict[str, float]:
        """Precision, recall and F1 by both rules."""
        found = {rule: span_f1.span_metrics(counts) for rule, counts in self.counts.items()}
        return {
            f"{score}_{rule}": found[rule][score] for rule in RULES for score in ("f1", "precision", "recall")
        }

    def intervals(self, seed: int) -> dict[str, Interval]:
        """The 95% interval of each."""
        return resampling.intervals([self.sums], seed=seed)

    @property
    def sums(self) -> span_f1.SpanSums:
        """What the posts add up to, to compare runs."""
        return span_f1.SpanSums(self.counts)

    @property
    def definitions(self) -> tuple[str, ...]:
        """What the numbers mean."""
        return tuple(span_f1.DEFINITIONS[name] for name in ("match", "strict", "conll", "interval"))

    @property
    def paired(self) -> str:
        """What a comparison with another run means."""
        return span_f1.DEFINITIONS["paired"]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Each type by the strict rule."""
        return [vars(row) for row in span_f1.type_scores(self.counts["strict"])]

    @property
    def remarks(self) -> list[str]:
        """Gold spans by both rules, and words that were cut off."""
        gold = {rule: int(counts.counts[:, :, 2].sum()) for rule, counts in self.counts.items()}
        said = [f"{gold['strict']:,} gold entities by strict, {gold['conll']:,} by conll."]
        return said + [f"{self.unread:,} words were cut off and count as predicted O."] * (self.unread > 0)


@dataclass(frozen=True)
class SortedSplit:
    """Classes of all posts of a split, right and predicted."""

    classes: Sequence[str]
    """Those of the model, then those that it does not know."""
    gold: Tensor
    """[N] int64."""
    predicted: Tensor
    """[N] int64."""
    unlabelled: int
    """Posts without a class, which are left out."""

    @property
    def posts(self) -> int:
        """Posts that were measured."""
        return len(self.gold)

    @cached_property
    def confusion(self) -> Tensor:
        """[K, K] int64: row is the right class, column the one said."""
        return classification.confusion_matrix(self.predicted, self.gold, len(self.classes))

    @property
    def metrics(self) -> dict[str, float]:
        """Accuracy, weighted and macro F1."""
        return classification.classification_metrics(self.confusion)

    def intervals(self, seed: int) -> dict[str, Interval]:
        """The 95% interval of each."""
        return classification.intervals(self.predicted, self.gold, len(self.classes), seed=seed)

    @property
    def sums(self) -> classification.ClassSums:
        """What the posts add up to, to compare runs; classes by name, so that their order does not count."""
        order = sorted(range(len(self.classes)), key=self.classes.__getitem__)
        place = torch.tensor(order).argsort()
        names = tuple(self.classes[number] for number in order)
        return classification.ClassSums(place[self.predicted], place[self.gold], names)

    @property
    def definitions(self) -> tuple[str, ...]:
        """What the numbers mean."""
        return tuple(classification.DEFINITIONS[name] for name in ("accuracy", "f1", "interval"))

    @property
    def paired(self) -> str:
        """What a comparison with another run means."""
        return classification.DEFINITIONS["paired"]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Each class, with how often each class was said of it."""
        scores = classification.class_scores(self.confusion)
        return [
            {
                "class": name,
                **{key: float(getattr(scores, key)[place]) for key in ("precision", "recall", "f1")},
                "posts": int(scores.support[place]),
                "said": dict(zip(self.classes, self.confusion[place].tolist(), strict=True)),
            }
            for place, name in enumerate(self.classes)
        ]

    @property
    def remarks(self) -> list[str]:
        """Posts that were left out, and the share of the most frequent class."""
        most, times = Counter(self.gold.tolist()).most_common(1)[0]
        share = f"'{self.classes[most]}' is {100 * times / self.posts:.1f}% of the posts."
        return [share] + [f"{self.unlabelled:,} posts without a class are left out."] * (self.unlabelled > 0)


def post_task(task: Task) -> PostTask:
    """The same task, of a run that is known to be about posts.

    Raises:
        TypeError: when it is about none: a fault of the program.
    """
    if not isinstance(task, PostTask):
        raise TypeError(f"'{task.name}' is no task of posts")
    return task


def label_split(
    model: nn.Module,
    task: PostTask,
    names: Sequence[str],
    data: SplitData,
    device: torch.device,
    precision: str,
    reporter: Reporter,
    batch_size: int = 64,
) -> TaggedSplit | SortedSplit:
    """Every post of a split once, beside what is right.

    Raises:
        DataError: when no post has what the task is about.
    """
    check_labelled(task, data.records, "these records")
    told = (data, device, batch_size, precision, reporter)
    if isinstance(task, Tagging):
        return _tagged(tag_split(model, task, *told), names, data.records)
    return _sorted(sort_split(model, task, *told).argmax(1), names, data.records)


def check_labelled(task: PostTask, records: Sequence[Record], where: str) -> None:
    """Make sure that a task can be measured.

    Raises:
        DataError: when no post has what it is about.
    """
    tagging = isinstance(task, Tagging)
    if not any(record.tags if tagging else record.sentiment for record in records):
        what = "tags of its words" if tagging else "a sentiment"
        raise DataError(
            f"no post of {where} has {what}, so that {task.name} cannot be measured. Prepare them with it, "
            "or name another split."
        )


def _tagged(found: Sequence[TaggedPost], names: Sequence[str], records: Sequence[Record]) -> TaggedSplit:
    pairs = [(record, said) for record, said in zip(records, found, strict=True) if record.tags]
    predicted = [[OUTSIDE if tag < 0 else names[tag] for tag in said.tags] for _, said in pairs]
    unread = sum(tag < 0 for _, said in pairs for tag in said.tags)
    return TaggedSplit([record.tags for record, _ in pairs], predicted, unread)


def _sorted(predicted: Tensor, names: Sequence[str], records: Sequence[Record]) -> SortedSplit:
    told = {place: record.sentiment for place, record in enumerate(records) if record.sentiment}
    known, classes = list(told), [*names, *sorted(set(told.values()) - set(names))]
    gold = torch.tensor([classes.index(sentiment) for sentiment in told.values()])
    return SortedSplit(classes, gold, predicted[known], len(records) - len(known))
