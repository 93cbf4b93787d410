"""What an evaluation finds: its rows with their intervals, and a second run's beside them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmx.store.run import RunFolder
from mmx.store.sealed import write_sealed
from mmx.tasks import faithfulness, k_reciprocal, label_completion, rank_sums, rerank, resampling
from mmx.tasks.faithfulness import Faithfulness
from mmx.tasks.retrieval import definitions, primary_metric, retrieval_metrics
from mmx.workflows.answers import DIFFERENCE, Comparison
from mmx.workflows.embedded import Embedded
from mmx.workflows.rank_files import RankTable
from mmx.workflows.stage_rows import COMPLETED, GRID, SOURCE, VAL, RankedRow, Tuning, headline_of
from mmx.workflows.worst_cases import WorstCase

SCHEMA = "mmx.evaluate/1"


@dataclass(frozen=True)
class MeasuredRow:
    """One way to rank, with the numbers it gives."""

    name: str
    rerank_top: int | str
    """0 for the first stage alone, a number for its nearest ranked again, `all` for all pairs scored."""
    weight: float
    weight_from: str | None
    """`training`, or `val` where the weight was chosen there; None for the first stage, `source` for
    k-reciprocal neighbours and completed labels.
    """
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Evaluation:
    """What was measured, of what and on what."""

    name: str
    facts: dict[str, Any]
    """Dataset, split, fingerprints, counts, and how it was measured."""
    rows: tuple[MeasuredRow, ...]
    headline: str
    """Name of the row that stands for the run: the last one with the weight of training."""
    definitions: tuple[str, ...]
    tuning: Tuning | None = None
    comparison: Comparison | None = None
    """Of the headlines of both runs."""
    worst: tuple[WorstCase, ...] = ()
    """By the headline."""
    faithfulness: Faithfulness | None = None
    findings: tuple[str, ...] = ()
    """What else was found, in sentences."""

    @property
    def metrics(self) -> dict[str, float]:
        """Those of the headline."""
        return self._headline.metrics

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """Those of the headline."""
        return self._headline.intervals

    def with_faithfulness(self, found: Faithfulness | None) -> "Evaluation":
        """The same, with what was measured of it; None where nothing could be."""
        return dataclasses.replace(
            self,
            faithfulness=found,
            findings=(*self.findings, *faithfulness.said(found)),
            definitions=(*self.definitions, faithfulness.DEFINITION),
        )

    def compared(self, found: Comparison) -> "Evaluation":
        """The same, with a second run beside it."""
        definitions = (*self.definitions, DIFFERENCE, rank_sums.DEFINITIONS["paired"])
        return dataclasses.replace(self, comparison=found, definitions=definitions)

    @property
    def _headline(self) -> MeasuredRow:
        return next(row for row in self.rows if row.name == self.headline)

    def document(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        plain = dataclasses.asdict(self)
        rows = [
            {**row, "intervals": {name: list(pair) for name, pair in row["intervals"].items()}}
            for row in plain["rows"]
        ]
        headline = next(row for row in rows if row["name"] == self.headline)
        if self.tuning is not None:
            metric = self.tuning.metric
            tried = [{"weight": weight, metric: value} for weight, value in self.tuning.tried.items()]
            plain["tuning"] = {"split": "val", "weight": self.tuning.weight, "tried": tried}
        return {
            "schema": SCHEMA,
            "name": self.name,
            **self.facts,
            "metrics": headline["metrics"],
            "intervals": headline["intervals"],
            "headline": self.headline,
            "rows": rows,
            "tuning": plain["tuning"],
            "definitions": list(self.definitions),
            "comparison": plain["comparison"],
            "worst": list(plain["worst"]),
            **({} if self.faithfulness is None else {"faithfulness": self.faithfulness.document()}),
        }


def record(
    folder: RunFolder, document: Mapping[str, Any], passing: Sequence[str] = (), place: Path | None = None
) -> None:
    """Add an evaluation to what a run knows of itself, or to what is kept of it at another place, but for
    what is of passing use; nothing is ever taken out.
    """
    kept = folder.metrics(place)
    lasting = {name: value for name, value in document.items() if name not in passing}
    evaluations = [*kept.get("evaluations", []), lasting]
    write_sealed((place or folder.path) / "metrics.json", {**kept, "evaluations": evaluations})


def measure(
    embedded: Embedded,
    rows: Sequence[RankedRow],
    table: RankTable,
    tuning: Tuning | None,
    circumstances: Mapping[str, Any],
) -> Evaluation:
    """The numbers of all rows with their intervals, and what they mean; the table is that of the headline."""
    facts = {
        **{name: value for name, value in table.about.items() if name != "second_stage"},
        "method": embedded.method,
        "encoders": embedded.encoders,
        "images": len(table.ranks.i2t),
        "captions": len(table.ranks.t2i),
        "primary_metric": primary_metric(table.ranks),
        "dropped": _dropped(table),
        "second_stage_weight": embedded.weight,
        "precision": embedded.precision,
        **circumstances,
    }
    return Evaluation(
        name=embedded.name,
        facts=facts,
        rows=tuple(_measured(row, table, circumstances["seed"]) for row in rows),
        headline=headline_of(rows).name,
        definitions=tuple(_definitions(rows, tuning, table)),
        tuning=tuning,
    )


def _dropped(table: RankTable) -> dict[str, int]:
    """Queries without a right answer; where identities are sought, only captions ask."""
    dropped = table.ranks.dropped
    return dropped if table.ranks.lists is None else {"t2i": dropped["t2i"]}


def _definitions(rows: Sequence[RankedRow], tuning: Tuning | None, table: RankTable) -> Iterator[str]:
    yield from definitions(table.ranks).values()
    origins = {row.weight_from for row in rows}
    if origins - {None, SOURCE}:
        yield from rerank.DEFINITIONS.values()
    titles = {row.title for row in rows}
    if COMPLETED in titles:
        yield label_completion.DEFINITION
    if titles - {"", COMPLETED}:
        yield k_reciprocal.DEFINITION
    if tuning is not None:
        shares = ", ".join(f"{share:g}" for share in sorted(GRID))
        flatters = " These are the queries it was chosen on, which flatters." if table.split == VAL else ""
        metric = tuning.metric
        yield f"Weight chosen on val: the best {metric} there of {shares} times the trained weight.{flatters}"
    yield rank_sums.DEFINITIONS["interval"]


def _measured(row: RankedRow, table: RankTable, seed: int) -> MeasuredRow:
    sums = rank_sums.RankSums(row.ranks, table.image_group, table.text_group)
    return MeasuredRow(
        name=row.name,
        rerank_top=row.top,
        weight=row.weight,
        weight_from=row.weight_from,
        metrics=retrieval_metrics(row.ranks),
        intervals=resampling.intervals([sums], seed=seed),
    )
