"""mmx evaluate: measure how well a run matches pictures and captions, and how sure that is."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.label_tables import show_head
from mmx.cli.metric_tables import metric_table, with_interval
from mmx.cli.options import (
    DeviceOption,
    EmbeddedOption,
    HomeOption,
    JsonOption,
    RerankTopOption,
    SeedOption,
    SplitOption,
)
from mmx.cli.post_tables import show_evaluation
from mmx.cli.report import RichReporter, print_json, print_lines, print_table
from mmx.core.errors import UsageError
from mmx.core.home import Home

if TYPE_CHECKING:
    from mmx.workflows.evaluate import Evaluation
    from mmx.workflows.evaluate_head import HeadEvaluation
    from mmx.workflows.evaluate_posts import PostEvaluation


def evaluate(
    run: Annotated[
        Path | None, typer.Argument(help="A run's folder or name; the newest when left out.")
    ] = None,
    split: SplitOption = "val",
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Another dataset than the run's own.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="A second run, tested on the same queries.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="A pretrained pair of towers instead of a run.")
    ] = None,
    worst: Annotated[
        int, typer.Option("--worst", help="Show this many worst queries of each direction.", min=0)
    ] = 0,
    rerank_top: RerankTopOption = None,
    tune_weight: Annotated[
        bool,
        typer.Option("--tune-weight", help="Add a row with the second stage's weight that is best on val."),
    ] = False,
    k_reciprocal: Annotated[
        bool,
        typer.Option(
            "--k-reciprocal",
            help="Of data with identities: add a row of the nearest ranked again by shared neighbours.",
        ),
    ] = False,
    complete_labels: Annotated[
        bool,
        typer.Option(
            "--transductive-label-completion",
            help="Of a run that asks what a caption names: add a row in which captions near it in the split "
            "name it too. Not a number of the model.",
        ),
    ] = False,
    gallery: Annotated[
        Path | None,
        typer.Option(
            "--gallery",
            help="Write an HTML file of queries and what is ranked for them, right and wrong framed.",
        ),
    ] = None,
    gallery_queries: Annotated[
        int,
        typer.Option("--gallery-queries", help="How many queries it shows, from all over the split.", min=1),
    ] = 24,
    faithfulness: Annotated[
        int,
        typer.Option(
            "--faithfulness",
            help="For this many captions, mask the regions with most weight: does the score fall more than "
            "without random ones?",
            min=0,
        ),
    ] = 0,
    samples: Annotated[
        int,
        typer.Option(
            "--samples",
            help="Of a run on posts: draw what it makes up of this many posts, as samples.png.",
            min=0,
        ),
    ] = 0,
    batch_size: EmbeddedOption = 256,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Measure how well a run matches the pictures and captions of a split, or labels its photos or posts.

    Prints each number with its 95% interval and its definition, and keeps them in the run. --compare adds a
    paired test against a second run. --model evaluates pretrained towers, such as clip-vit-b32. A run with a
    second stage has a row for each stage; --compare and --worst go by the headline.
    """
    from mmx.workflows import evaluate as workflow
    from mmx.workflows import evaluate_head as heads
    from mmx.workflows import evaluate_posts as posts

    settings = workflow.EvaluateSettings(
        home=Home.find(home),
        run=run,
        model=model,
        split=split,
        dataset=dataset,
        compare=compare,
        worst=worst,
        rerank_top=rerank_top,
        tune_weight=tune_weight,
        k_reciprocal=k_reciprocal,
        complete_labels=complete_labels,
        gallery=gallery,
        gallery_queries=gallery_queries,
        faithfulness=faithfulness,
        device=device,
        batch_size=batch_size,
        seed=seed,
        argv=("mmx", *sys.argv[1:]),
    )
    if heads.labels_photos(settings):
        _refuse_samples(samples)
        return _show_head(heads.evaluate_head(settings, RichReporter()), json)
    if posts.reads_posts(run, settings):
        return _show_posts(posts.evaluate_posts(settings, samples, RichReporter()), json)
    _refuse_samples(samples)
    evaluation = workflow.evaluate(settings, RichReporter())
    if json:
        print_json(evaluation.document())
    else:
        show(evaluation)
    return None


def _refuse_samples(samples: int) -> None:
    if samples:
        raise UsageError(
            "--samples is for a run on posts, which makes up captions and pictures. Leave it out."
        )


def _show_head(evaluation: "HeadEvaluation", json: bool) -> None:
    return print_json(evaluation.document()) if json else show_head(evaluation)


def _show_posts(evaluation: "PostEvaluation", json: bool) -> None:
    return print_json(evaluation.document()) if json else show_evaluation(evaluation)


def show(evaluation: "Evaluation") -> None:
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
                case.rank,
                case.query,
                case.right,
                _score(case.right_score),
                case.first,
                _score(case.first_score),
            )
            for case in evaluation.worst
        ]
        title = "worst queries" if len(evaluation.rows) == 1 else f"worst queries, {evaluation.headline}"
        print_table(title, columns, rows, ("rank", "its score"))


def _stages(evaluation: "Evaluation") -> tuple[tuple[str, ...], list[tuple[str, ...]], tuple[str, ...]]:
    """The rows of both stages side by side, each number with its interval."""
    columns = ("metric", *(f"{row.name} (95%)" for row in evaluation.rows))
    weights = ("weight", *("" if row.weight_from is None else f"{row.weight:.4g}" for row in evaluation.rows))
    cells = [
        (
            name.replace("_", " "),
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
