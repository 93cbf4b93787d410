"""mmx index: the indexes of folders of photos, kept beside the photos' changes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.options import DeviceOption, HomeOption, JsonOption
from mmx.cli.report import RichReporter, print_json, print_lines, print_table
from mmx.core.errors import ArtifactError
from mmx.core.home import Home

if TYPE_CHECKING:
    from mmx.workflows.index_settings import IndexChange
    from mmx.workflows.index_state import IndexState

SCHEMA, COPY_SCHEMA = "mmx.index/1", "mmx.index-copy/1"

index = typer.Typer(
    no_args_is_help=True, help="Keep the indexes of folders of photos.", rich_markup_mode=None
)

FolderArgument = Annotated[str, typer.Argument(metavar="DIR", help="A folder of photos.")]
PlaceArgument = Annotated[
    str,
    typer.Argument(
        metavar="PLACE",
        help="A folder of photos, or the address of an index: a file of Milvus (PATH.db), a cluster "
        "(http://HOST:PORT/DATABASE#COLLECTION), a gallery's file (PATH.safetensors).",
    ),
]
NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME...]", help="Files and folders below it; else all of it.")
]
RunOption = Annotated[Path | None, typer.Option("--run", help="The run that encodes.")]
ModelOption = Annotated[str | None, typer.Option("--model", help="A pretrained pair of towers that encodes.")]
KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        help="How it is searched: exact; pq, compressed 32 times; hnsw, a graph. Recall against exact search "
        "is measured when it is built.",
    ),
]
RebuildOption = Annotated[bool, typer.Option("--rebuild", help="Encode everything again.")]


@index.command()
def add(
    folder: FolderArgument,
    names: NamesArgument = None,
    run: RunOption = None,
    model: ModelOption = None,
    kind: KindOption = None,
    rebuild: RebuildOption = False,
    json: JsonOption = False,
    device: DeviceOption = "auto",
    home: HomeOption = None,
) -> None:
    """Encode a folder's photos, or some of them, and keep them findable."""
    from mmx.workflows import index as workflow
    from mmx.workflows.index_settings import IndexSettings

    settings = IndexSettings(folder, tuple(names or ()), run, model, kind, rebuild, Home.find(home), device)
    _show_changes(workflow.add(settings, RichReporter()), json)


@index.command()
def remove(
    place: PlaceArgument, names: NamesArgument = None, json: JsonOption = False, home: HomeOption = None
) -> None:
    """Take photos out of every index of their folder, for good; or remove the indexes."""
    from mmx.workflows import index_removal as workflow
    from mmx.workflows.index_settings import IndexSettings

    settings = IndexSettings(place, tuple(names or ()), home=Home.find(home))
    _show_changes(workflow.remove(settings, RichReporter()), json)


@index.command()
def refresh(
    place: PlaceArgument,
    run: RunOption = None,
    model: ModelOption = None,
    kind: KindOption = None,
    rebuild: RebuildOption = False,
    json: JsonOption = False,
    device: DeviceOption = "auto",
    home: HomeOption = None,
) -> None:
    """Encode what is new or changed in a folder, and forget what is gone; an address is made equal to it."""
    from mmx.workflows import index as workflow
    from mmx.workflows.index_settings import IndexSettings

    settings = IndexSettings(place, (), run, model, kind, rebuild, Home.find(home), device)
    _show_changes(workflow.refresh(settings, RichReporter()), json)


@index.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help="As PLACE of the other commands.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="The same; what differs there is made equal.")],
    run: Annotated[
        Path | None, typer.Option("--run", help="Of a folder's indexes, that of this run.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="The same, of this model.")] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="How Milvus searches it: exact, or hnsw, a graph.")
    ] = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Copy an index to another place: a file, embedded Milvus, a cluster, or back to its folder."""
    from mmx.workflows import index_copy as workflow

    settings = workflow.CopySettings(source, target, run, model, kind, Home.find(home))
    done = workflow.copy(settings, RichReporter())
    if json:
        return print_json({"schema": COPY_SCHEMA, **done.document()})
    columns = ("pictures", "sent", "kept", "removed", "seconds")
    row = (done.made_by, done.kind, *(f"{getattr(done, name):,}" for name in columns))
    print_table(f"'{done.folder}' to '{done.target}'", ("made by", "kind", *columns), [row], right=columns)
    return print_lines(*([f"recall@10 against exact: {_recall(done.recall)}"] if done.recall else []))


@index.command()
def info(place: PlaceArgument, json: JsonOption = False, home: HomeOption = None) -> None:
    """Tell what the indexes of a folder, or one at an address, hold and how they are searched."""
    from mmx.workflows import index_state as workflow

    states = workflow.info(place, Home.find(home))
    if json:
        return _print_json([state.document() for state in states])
    return _show_states(states)


@index.command()
def verify(place: PlaceArgument, json: JsonOption = False, home: HomeOption = None) -> None:
    """Check every byte of a folder's indexes, or of one at an address, and compare it with the photos."""
    from mmx.workflows import index_state as workflow

    states = workflow.verify(place, Home.find(home), RichReporter())
    if json:
        _print_json([state.document() for state in states])
    else:
        _show_states(states)
    broken = [(state, state.problems) for state in states if state.problems]
    if broken:
        first, problems = broken[0]
        raise ArtifactError(
            f"{len(broken)} of {len(states)} indexes of '{place}' are damaged ({problems[0]}). "
            f"Mend them: {first.mended_by}"
        )


def _print_json(indexes: Sequence[dict[str, object]]) -> None:
    print_json({"schema": SCHEMA, "indexes": indexes})


def _show_changes(changes: "Sequence[IndexChange]", json: bool) -> None:
    if json:
        return _print_json([change.document() for change in changes])
    columns = ("pictures", "new or changed", "kept", "removed", "unreadable")
    rows = [
        (
            one.made_by,
            one.kind,
            *map("{:,}".format, (one.pictures, one.encoded, one.kept, one.removed, one.unreadable)),
        )
        for one in changes
    ]
    print_table(f"'{changes[0].folder}'", ("made by", "kind", *columns), rows, right=columns)
    return print_lines(*(f"recall@10 against exact: {_recall(one.recall)}" for one in changes if one.recall))


def _show_states(states: "Sequence[IndexState]") -> None:
    for state in states:
        lines = {
            "made by": f"{state.made_by} (fingerprint {state.fingerprint})",
            "pictures": f"{state.pictures:,}, and {state.unreadable:,} that cannot be read",
            "vectors": f"{state.width} wide; {_size(state)}{state.path}",
            "searched": state.kind if state.recall is None else f"{state.kind}, {_recall(state.recall)}",
            "removed": ", ".join(state.removed),
            "unfinished": "" if state.complete else f"yes; go on: {state.mended_by}",
        }
        if state.problems is not None:
            lines["verified"] = "whole" if not state.problems else "; ".join(state.problems)
        if state.outdated is not None:
            lines["outdated"] = f"{state.outdated:,} photos are new, changed or gone"
        print_table(f"'{state.folder}'", ("", "index"), [pair for pair in lines.items() if pair[1]])


def _size(state: "IndexState") -> str:
    return "at " if state.bytes is None else f"{state.bytes / 1e6:,.1f} MB in "


def _recall(recall: dict[str, float]) -> str:
    return " and ".join(f"{share:.1%} for {name}" for name, share in recall.items())
