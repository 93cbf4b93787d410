"""mmx evaluate: measure how well a run matches pictures and captions, and how sure that is."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mmx.cli.label_tables import show_head
from mmx.cli.options import (
    DeviceOption,
    EmbeddedOption,
    HomeOption,
    JsonOption,
    OtherDatasetOption,
    RerankTopOption,
    SeedOption,
    SplitOption,
)
from mmx.cli.post_tables import show_posts
from mmx.cli.ranking_tables import show_rankings
from mmx.cli.report import RichReporter, print_json
from mmx.core.home import Home


def evaluate(
    run: Annotated[
        Path | None, typer.Argument(help="A run's folder or name; the newest when left out.")
    ] = None,
    split: SplitOption = "val",
    dataset: OtherDatasetOption = None,
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
    from mmx.workflows.evaluate_head import HeadEvaluation
    from mmx.workflows.evaluate_posts import PostEvaluation
    from mmx.workflows.evaluate_settings import EvaluateSettings

    settings = EvaluateSettings(
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
        samples=samples,
        device=device,
        batch_size=batch_size,
        seed=seed,
        argv=("mmx", *sys.argv[1:]),
    )
    evaluation = workflow.evaluate(settings, RichReporter())
    if json:
        return print_json(evaluation.document())
    if isinstance(evaluation, HeadEvaluation):
        return show_head(evaluation)
    if isinstance(evaluation, PostEvaluation):
        return show_posts(evaluation)
    show_rankings(evaluation)
    chosen = f"--run {evaluation.name}" if model is None else f"--model {model}"
    return RichReporter().info(f'next: mmx search "a dog on the grass" --in PHOTOS {chosen}')
