"""What `mmx evaluate` prints of how a run ranks pictures and captions."""

from typing import TYPE_CHECKING

from mmx.cli.metric_tables import metric_table, title, with_interval
from mmx.cli.report import print_lines, print_table

if TYPE_CHECKING:
    from mmx.workflows.evaluation import Evaluation


def show_rankings(evaluation: "Evaluation") -> None:
    """The numbers as tables, then what they mean."""
    facts = evaluation.facts
    print_lines(f"{evaluation.name} on {facts['dataset']} {facts['split']}")
    if len(evaluation.rows) > 1:
        print_table("", *_stages(evaluation))
    if len(evaluation.rows) == 1 or evaluation.comparison is not None:
        print_table("", *metric_table(evaluation.metrics, evaluation.intervals, evaluation.comparison))
    print_lines(*_headline(evaluation), *_circumstances(evaluation), *evaluation.findings)
    print_lines(*evaluation.definitions)
    if evaluation.worst:
        columns = ("direction", "rank", "query", "right answer", "its score", "put first", "its score")
        rows = [
            (
                case.direction,
                str(case.rank),
                case.query,
                case.right,
                _score(case.right_score),
                case.first,
                _score(case.first_score),
            )
            for case in evaluation.worst
        ]
        by = "" if len(evaluation.rows) == 1 else f", {evaluation.headline}"
        print_table(f"worst queries{by}", columns, rows, ("rank", "its score"))


def _stages(evaluation: "Evaluation") -> tuple[tuple[str, ...], list[tuple[str, ...]], tuple[str, ...]]:
    """The rows of both stages side by side, each number with its interval."""
    columns = ("metric", *(f"{row.name} (95%)" for row in evaluation.rows))
    weights = ("weight", *("" if row.weight_from is None else f"{row.weight:.4g}" for row in evaluation.rows))
    cells = [
        (
            title(name),
            *(with_interval(row.metrics[name], row.intervals.get(name)) for row in evaluation.rows),
        )
        for name in evaluation.metrics
    ]
    return columns, [weights, *cells], columns[1:]


def _headline(evaluation: "Evaluation") -> list[str]:
    """Which row stands for the run, in words; nothing where there is but one and could not be more."""
    weight = evaluation.facts["second_stage_weight"]
    if all(row.weight_from in (None, "source") for row in evaluation.rows):
        why = {None: "", 0.0: "The second stage has weight 0 and no say: the first stage is all there is."}
        said = why.get(weight, "The second stage was left out: these are the numbers of the first.")
        return [said] if said else []
    headline = next(row for row in evaluation.rows if row.name == evaluation.headline)
    metric = evaluation.facts["primary_metric"]
    first, both = evaluation.rows[0].metrics[metric], headline.metrics[metric]
    return [
        f"Headline: {headline.name}, with the trained weight {headline.weight:g}: {metric} {both:.1f}; the "
        f"first stage alone {first:.1f}."
    ]


def _circumstances(evaluation: "Evaluation") -> list[str]:
    """What was measured on what, in a line or three."""
    facts, encoders = evaluation.facts, evaluation.facts["encoders"].values()
    dropped = [
        f"{count:,} {direction} queries left out" for direction, count in facts["dropped"].items() if count
    ]
    counts = ", ".join([f"{facts['images']:,} images", f"{facts['captions']:,} captions", *dropped])
    lines = [f"{counts}. Encoders: {', '.join(encoders)}. {facts['seconds']:.1f} s on {facts['device']}."]
    if any(encoder.startswith("random:") for encoder in encoders):
        lines.append(
            "An encoder began with random weights: these numbers are for trying things out, no results."
        )
    if evaluation.comparison is not None:
        compared = evaluation.comparison
        lines.append(
            f"Compared with: {compared.name}"
            if evaluation.headline == compared.headline == "first stage"
            else f"Compared: {evaluation.headline}, with {compared.name}: {compared.headline}"
        )
    return lines


def _score(score: float) -> str:
    return f"{score:.3f}"
