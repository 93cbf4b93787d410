"""mmx push: a run on a hub, for others."""

from pathlib import Path
from typing import Annotated

import typer

from mmx.cli.options import HomeOption, JsonOption
from mmx.cli.report import RichReporter, print_json, print_lines, print_table
from mmx.core.home import Home


def push(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run, by its name or folder.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on the hub.")],
    private: Annotated[
        bool, typer.Option("--private", help="Hide the repository, if it is made now.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", help="A branch; by default the main one.")
    ] = None,
    dry_run: Annotated[
        Path | None,
        typer.Option("--dry-run", help="Write what would be pushed to a new folder, and push nothing."),
    ] = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Publish a run on a hub; the token is that of HF_TOKEN, or of hf auth login."""
    from mmx.workflows import push as workflow

    settings = workflow.PushSettings(run, repository, private, revision, dry_run, Home.find(home))
    made = workflow.push(settings, RichReporter())
    if json:
        return print_json(made.document())
    rows = [(name, f"{size:,}") for name, size in made.files.items()]
    print_table(f"'{made.run}' as '{made.repository}'", ("file", "bytes"), rows, right=("bytes",))
    if made.url is None:
        return print_lines(f"nothing was pushed; look at {dry_run}")
    return print_lines(f"pushed: {made.url}", f"use it: --run hub:{made.repository}")
