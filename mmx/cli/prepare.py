"""mmx prepare: read a dataset, check it, and write its manifest."""

from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.options import HomeOption, JsonOption, SeedOption, SetOption
from mmx.cli.report import RichReporter, print_json, print_lines, print_table
from mmx.core.settings import parse_assignments

if TYPE_CHECKING:
    from mmx.workflows.prepare import PrepareResult

COUNTED = ("images", "captions", "classes", "identities")


def prepare(
    dataset: Annotated[
        str, typer.Argument(help="A name listed by `mmx datasets`, or a new name for your own data.")
    ],
    raw: Annotated[
        str | None,
        typer.Option(
            "--raw",
            help="Folder of the official files, or your own folder, CSV, JSONL, parquet, or hub:owner/name.",
        ),
    ] = None,
    home: HomeOption = None,
    set_: SetOption = None,
    on_error: Annotated[str, typer.Option("--on-error", help="What a bad row does: skip or fail.")] = "skip",
    max_bad: Annotated[str, typer.Option("--max-bad", help="Share of records that may be left out.")] = "1%",
    no_images: Annotated[
        bool,
        typer.Option(
            "--no-images", help="Keep records whose picture is not at hand (for features made elsewhere)."
        ),
    ] = False,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Accept the same picture or identity in two splits.")
    ] = False,
    seed: SeedOption = 0,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Threads that open pictures; by default one a core.", min=1),
    ] = None,
    json: JsonOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and report; write nothing.")] = False,
) -> None:
    """Read a dataset, check every picture and caption, and write its manifest."""
    from mmx.workflows import prepare as workflow
    from mmx.workflows.raw_data import PrepareSettings

    settings = PrepareSettings(
        name=dataset,
        raw=raw,
        home=home,
        options=parse_assignments(set_ or []),
        on_error=on_error,
        max_bad=max_bad,
        no_images=no_images,
        allow_leaks=allow_leaks,
        seed=seed,
        workers=workers,
        dry_run=dry_run,
    )
    result = workflow.prepare(settings, RichReporter())
    if json:
        return print_json(result.document())
    return show(result)


def show(result: "PrepareResult") -> None:
    """Counts of each split, what was found, and where it was written."""
    named = [
        name for name in COUNTED if name == "images" or any(row[name] for row in result.counts().values())
    ]
    counts = [(split, *(f"{row[name]:,}" for name in named)) for split, row in result.counts().items()]
    print_table(result.name, ("split", *named), counts, right=named)
    found = [(row.kind, f"{row.count:,}", row.done, "\n".join(row.examples)) for row in result.findings]
    if found:
        print_table("found", ("what", "count", "done", "for example"), found, right=("count",))
    print_lines(*(f"note: {remark}" for remark in result.remarks))
    where = "nothing was written (--dry-run)" if result.dry_run else f"written to {result.folder}"
    print_lines(f"{where}; pictures in {result.image_root}; {result.seconds:.1f} s")
    if result.next:
        RichReporter().info(f"next: {result.next}")
