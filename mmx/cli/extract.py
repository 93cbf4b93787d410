"""mmx extract: features of frozen encoders, or features made elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.options import DeviceOption, HomeOption, JsonOption
from mmx.cli.report import RichReporter, print_json, print_table
from mmx.core.home import Home

if TYPE_CHECKING:
    from mmx.workflows.extract import ExtractResult

ENCODER_HELP = (
    "offline, clip-vit-b32, resnet50, faster-rcnn, minilm, ... or in full: hub:OWNER/MODEL, "
    "torchvision:NAME, file:FOLDER, package:NAME, random:KIND. May be given several times."
)
SCALES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def extract(
    dataset: Annotated[str, typer.Argument(help="A prepared dataset.")],
    encoder: Annotated[list[str] | None, typer.Option("--encoder", help=ENCODER_HELP)] = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", help="train, val or test; by default all.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Images or captions at once.", min=1)
    ] = None,
    shard: Annotated[
        str, typer.Option("--shard", help="i/n: make every n-th shard from i on, one of n machines.")
    ] = "0/1",
    flip: Annotated[
        bool, typer.Option("--flip", help="Also keep the features of the mirrored pictures.")
    ] = False,
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--fields",
            help="Keep only these: image_features, patch_features, region_features, ...; else all.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make anew what is there.")] = False,
    shard_size: Annotated[int, typer.Option("--shard-size", help="Records a shard.", min=1)] = 1024,
    import_: Annotated[
        Path | None,
        typer.Option(
            "--import", help="Folder or file of features made elsewhere, kept under --encoder NAME."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            help="Image vectors: .npy or .safetensors, [N, F] or [N, P, F]; with boxes beside them regions.",
        ),
    ] = None,
    texts: Annotated[
        Path | None, typer.Option("--texts", help="Text vectors: .npy or .safetensors, [C, F].")
    ] = None,
    ids: Annotated[
        Path | None, typer.Option("--ids", help="csv, txt or json: the id or file name of each row.")
    ] = None,
    as_embedding: Annotated[
        bool, typer.Option("--as-embedding", help="Image and text vectors share one space (CLIP's outputs).")
    ] = False,
    engine: Annotated[
        str,
        typer.Option("--engine", help="local: this process; ray: actors of Ray, the very same files."),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            help="Cluster of Ray, host:port or auto, whose machines share the home; by default one of this "
            "machine's own.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Threads that decode pictures; by default the cores less one.", min=1),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Run frozen encoders over a prepared dataset, or take in features made elsewhere."""
    from mmx.workflows import extract as workflow
    from mmx.workflows.import_sources import import_source

    settings = workflow.ExtractSettings(
        dataset=dataset,
        encoders=tuple(encoder or ()),
        splits=tuple(split or ()),
        home=Home.find(home),
        device=device,
        engine=engine,
        address=address,
        batch_size=batch_size,
        workers=workers,
        shard=shard,
        fields=tuple(name for names in field or () for name in names.split(",")),
        flip=flip,
        overwrite=overwrite,
        shard_records=shard_size,
        source=import_source(import_, images, texts, ids, as_embedding),
    )
    result = workflow.extract(settings, RichReporter())
    if json:
        return print_json(result.document())
    return show(result)


def show(result: "ExtractResult") -> None:
    """A line for each encoder, modality and split."""
    rows = [
        (
            row.encoder,
            row.modality,
            row.split,
            f"{row.items:,}",
            f"{row.seconds:.1f}",
            f"{row.rate:,.{1 if row.rate >= 1 else 2}f}",
            f"{row.shards_made:,} new, {row.shards_kept:,} kept",
            size(row.bytes),
        )
        for row in result.rows
    ]
    columns = ("encoder", "modality", "split", "items", "seconds", "items/s", "shards", "on disk")
    print_table(f"features of {result.dataset}", columns, rows, right=(*columns[3:6], columns[7]))


def size(number: int) -> str:
    """A size in bytes as people read it."""
    scale, unit = next(((scale, unit) for scale, unit in SCALES if number >= scale), (1, "bytes"))
    return f"{number / scale:,.1f} {unit}"
