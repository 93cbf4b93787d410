"""What a few-shot comparison finds: each classifier on the same shots, its mean and deviation over seeds."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmx.tasks.classification import DEFINITIONS

SCHEMA = "mmx.fewshot/1"


@dataclass(frozen=True)
class Trial:
    """One classifier on the shots of one seed."""

    name: str
    shots: int
    seed: int
    val_accuracy: float
    """Percent, on the validation shots; NaN without any."""
    val_loss: float
    """Calibrated log loss there, in nats."""
    metrics: Mapping[str, float]
    """Of the split that is reported, in percent."""
    seconds: float
    """To learn, choices on val included."""
    chosen: Mapping[str, Any]
    """What was settled on val."""


@dataclass(frozen=True)
class Row:
    """One classifier with so many shots, over all seeds."""

    name: str
    shots: int
    learns: bool
    val: float
    mean: float
    deviation: float
    """Sample standard deviation of the accuracy; 0 of one seed."""
    macro_f1: float
    seconds: float
    """Mean."""


@dataclass(frozen=True)
class LeftOut:
    """A classifier that could not be run, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class ShotTable:
    """The comparison, and the run in which the chosen classifier is kept."""

    facts: Mapping[str, Any]
    """Dataset, encoder, split, counts, class texts and how shots were come by."""
    trials: tuple[Trial, ...]
    learns: Mapping[str, bool]
    left_out: tuple[LeftOut, ...]
    chosen: str
    run: Path
    curve: Path
    seconds: float
    remarks: tuple[str, ...] = ()

    @property
    def shots(self) -> list[int]:
        """The numbers of shots, rising."""
        return sorted({trial.shots for trial in self.trials})

    def rows(self, shots: int) -> list[Row]:
        """Each classifier with so many shots, in the order in which they were run."""
        return [_row(name, shots, self.learns[name], found) for name, found in self._by_name(shots)]

    def _by_name(self, shots: int) -> Iterator[tuple[str, list[Trial]]]:
        for name in self.learns:
            found = [trial for trial in self.trials if (trial.name, trial.shots) == (name, shots)]
            if found:
                yield name, found

    @property
    def definitions(self) -> tuple[str, ...]:
        """What the numbers mean."""
        seeds = len({trial.seed for trial in self.trials})
        return (
            DEFINITIONS["accuracy"],
            f"Mean and sample standard deviation over {seeds} seeds. Whatever is chosen is chosen on the "
            "validation shots; no pictures of the reported split were seen by any choice.",
        )

    def document(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return {
            "schema": SCHEMA,
            **self.facts,
            "rows": [asdict(row) for shots in self.shots for row in self.rows(shots)],
            "trials": [{**vars(trial), "chosen": dict(trial.chosen)} for trial in self.trials],
            "left_out": [vars(found) for found in self.left_out],
            "chosen": self.chosen,
            "run": str(self.run),
            "curve": str(self.curve),
            "seconds": round(self.seconds, 3),
            "remarks": list(self.remarks),
            "definitions": list(self.definitions),
        }


def _row(name: str, shots: int, learns: bool, trials: Sequence[Trial]) -> Row:
    reached = [trial.metrics["accuracy"] for trial in trials]
    return Row(
        name=name,
        shots=shots,
        learns=learns,
        val=statistics.fmean(trial.val_accuracy for trial in trials),
        mean=statistics.fmean(reached),
        deviation=statistics.stdev(reached) if len(reached) > 1 else 0.0,
        macro_f1=statistics.fmean(trial.metrics["macro_f1"] for trial in trials),
        seconds=statistics.fmean(trial.seconds for trial in trials),
    )


def best_on_val(trials: Sequence[Trial], names: Sequence[str]) -> str:
    """The classifier that is most often right on the validation shots of the most shots, over all seeds; of
    equals the one with the least log loss there, and then the first.
    """
    most = max(trial.shots for trial in trials)

    def rank(name: str) -> tuple[float, float]:
        found = [trial for trial in trials if trial.name == name and trial.shots == most]
        accuracy = statistics.fmean(trial.val_accuracy for trial in found)
        return -round(accuracy, 9), statistics.fmean(trial.val_loss for trial in found)

    return min(names, key=rank)
