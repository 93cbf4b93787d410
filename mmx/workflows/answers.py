"""What a run answered to every item of a split, whatever it answers: ranks of queries, or labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mmx.core.errors import ArtifactError
from mmx.tasks.resampling import Difference, Sums, check_same_items, paired_test

DIFFERENCE = "Difference: this run less the one that it is compared with."
"""Of an evaluation with a second run beside it."""
__all__ = ["DIFFERENCE", "Answers", "Comparison", "Difference", "check_items", "compare", "differences"]


class Answers(Protocol):
    """Enough to measure a run and to compare it with others, without asking it again."""

    @property
    def primary_metric(self) -> str:
        """By which one run is better than another."""

    @property
    def about(self) -> Mapping[str, str]:
        """What they were measured of and on."""

    @property
    def metrics(self) -> dict[str, float]:
        """By name, in percent, and median ranks."""

    def intervals(self, seed: int) -> dict[str, tuple[float, float]]:
        """The 95% interval of each metric that has one."""

    @property
    def sums(self) -> Sums:
        """What the items add up to."""

    @property
    def definitions(self) -> tuple[str, ...]:
        """What the numbers mean, and how they are compared."""


@dataclass(frozen=True)
class Comparison:
    """A second run on the same items, and how much better the first one is."""

    name: str
    headline: str
    """Name of its row; a run with one stage has but one."""
    metrics: dict[str, float]
    differences: dict[str, Difference]


def differences(
    ours: Mapping[Path, Answers], theirs: Mapping[Path, Answers], seed: int
) -> dict[str, Difference]:
    """How much better one set of runs is than another, item by item.

    Raises:
        ArtifactError: when the runs answered different items.
    """
    check_items({**ours, **theirs})
    return paired_test(_sums(ours), _sums(theirs), seed=seed)


def compare(
    path: Path, answers: Answers, other: Path, headline: str, theirs: Answers, seed: int
) -> Comparison:
    """A second run beside a first one.

    Raises:
        ArtifactError: when they answered different items.
    """
    found = differences({path: answers}, {other: theirs}, seed)
    return Comparison(str(other), headline, theirs.metrics, found)


def check_items(runs: Mapping[Path, Answers]) -> None:
    """Make sure that runs answered the same items.

    Raises:
        ArtifactError: when one did not.
    """
    (first, answers), *others = runs.items()
    for path, found in others:
        try:
            check_same_items([answers.sums, found.sums])
        except ValueError as error:
            raise ArtifactError(
                f"what is kept in '{first}' and '{path}' does not answer the same items of "
                f"'{found.about['dataset']}' {found.about['split']}: other queries, posts or classes. "
                "Compare runs of one kind; if they are, evaluate both again: mmx evaluate RUN"
            ) from error


def _sums(runs: Mapping[Path, Answers]) -> Sequence[Sums]:
    return [answers.sums for answers in runs.values()]
