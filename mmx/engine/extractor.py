"""Running one frozen encoder over one split, shard by shard, so that a killed extraction goes on where it
was.

A shard depends on nothing but its own records and the batch size: however the shards are shared out among
machines, and however often the work is broken off, the same files come out.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mmx.core.errors import ArtifactError, ResourceError, UsageError
from mmx.core.reporter import Reporter
from mmx.engine.encode_shards import Job, image_shards, text_shards
from mmx.engine.text_batches import pad_tokens
from mmx.store.manifest import Manifest
from mmx.store.shard import MIRRORED, Shard, ShardHeader, save_shard, shard_paths

MADE_FROM = ("manifest", "encoder", "fields", "width", "fingerprint", "total", "shard_records")
"""What two shards of one store must have in common, in the order in which a difference is told."""


@dataclass(frozen=True)
class ExtractOptions:
    """What may be chosen about an extraction."""

    batch_size: int
    workers: int = 1
    """Threads that decode pictures."""
    part: int = 0
    parts: int = 1
    """Shards s with s % parts == part are made."""
    fields: tuple[str, ...] = ()
    """Fields kept; none named keeps all."""
    flip: bool = False
    overwrite: bool = False
    shard_records: int = 1024


@dataclass(frozen=True)
class Extraction:
    """What was done for one encoder and split."""

    items: int
    """Images or captions encoded now."""
    seconds: float
    shards_made: int
    shards_kept: int
    bytes: int
    """Size on disk of all shards of the split."""


Make = Callable[[Job, Path, Sequence[ShardHeader], Reporter], int]
"""(job, folder, shards) -> how many images or captions were encoded; the shards are there when it returns."""


@torch.inference_mode()
def make_here(job: Job, folder: Path, pending: Sequence[ShardHeader], reporter: Reporter) -> int:
    """Make shards in this process, one after the other.

    Raises:
        DataError, ResourceError: as for `extract_split`.
    """
    make = image_shards if job.encoder.modality == "image" else text_shards
    items = 0
    try:
        for shard, tensors in zip(pending, make(job, pending, reporter), strict=True):
            save_shard(folder, shard, tensors, [record.id for record in job.of(shard)])
            items += job.items(shard)
    except torch.OutOfMemoryError as error:
        raise ResourceError(
            f"the memory of '{job.device}' is too small for batches of {job.batch_size}. Use a "
            "smaller --batch-size."
        ) from error
    return items


def extract_split(
    encoder: nn.Module,
    manifest: Manifest,
    split: str,
    folder: Path,
    options: ExtractOptions,
    device: torch.device,
    reporter: Reporter,
    make: Make = make_here,
) -> Extraction:
    """Make the shards of a split that are not there yet; `make` says where.

    Raises:
        UsageError: when a field is asked for that the encoder does not give.
        ArtifactError: when shards are there that another encoder, manifest or choice of fields made.
        DataError: when a picture cannot be read or a vector is not finite; names the record.
        ResourceError: when disk or memory is full; finished shards stay.
    """
    records = manifest.split(split)
    job = Job(
        encoder.to(device), manifest, records, options.batch_size, options.workers, options.flip, device
    )
    header = _header(job, split, options)
    return keep_shards(
        header, folder, options, reporter, time.perf_counter(), lambda some: make(job, folder, some, reporter)
    )


def keep_shards(
    header: ShardHeader,
    folder: Path,
    options: ExtractOptions,
    reporter: Reporter,
    began: float,
    make: Callable[[Sequence[ShardHeader]], int],
) -> Extraction:
    """Have the shards of a split made that are not there yet, whatever they are made from.

    Args:
        header: of any of them.
        folder: where they are kept.
        options: which of them are ours.
        reporter: hears what is kept.
        began: when the work began, by `time.perf_counter`.
        make: writes some shards, and says how many images or captions they hold.

    Raises:
        ArtifactError: when shards are there that were made from something else.
        And whatever `make` raises.
    """
    pending, kept = plan(header, folder, options, reporter)
    items = make(pending) if pending else 0
    _drop_leftovers(header, folder)
    size = sum(path.stat().st_size for path in shard_paths(folder, header.split))
    return Extraction(items, time.perf_counter() - began, len(pending), kept, size)


@torch.inference_mode()
def fields_of(encoder: nn.Module, device: torch.device) -> list[str]:
    """What an encoder on the device gives; one that does not say so runs once on next to nothing to tell."""
    if hasattr(encoder, "fields"):
        return list(encoder.fields)
    if encoder.modality == "image":
        size = (encoder.view.height, encoder.view.width)
        return list(encoder(torch.zeros(1, 3, *size, dtype=torch.uint8, device=device)))
    return list(encoder(*(tensor.to(device) for tensor in pad_tokens(encoder.tokenize(["a"])))))


def plan(
    header: ShardHeader, folder: Path, options: ExtractOptions, reporter: Reporter
) -> tuple[list[ShardHeader], int]:
    """The shards still to be made, and how many of ours are there already.

    Raises:
        ArtifactError: when shards are there that were made from something else.
    """
    numbers = [number for number in range(header.shards) if number % options.parts == options.part]
    ours = {header.at(number).path(folder): header.at(number) for number in numbers}
    there, strangers = set(), _strangers(header, folder)
    # shards of other machines are theirs to check; files of another count of shards are strangers to everyone
    for path in () if options.overwrite else shard_paths(folder, header.split):
        if (path in ours or path in strangers) and _is_whole(path, header, reporter):
            there.add(path)
    pending = [shard for path, shard in ours.items() if path not in there]
    kept = len(ours) - len(pending)
    if kept:
        reporter.info(
            f"{header.split} of {header.encoder}: {kept} of {len(ours)} shards are there and are kept."
        )
    return pending, kept


def _drop_leftovers(header: ShardHeader, folder: Path) -> None:
    """Delete the split's files of another count of shards, once the new ones are there."""
    for path in _strangers(header, folder):
        path.unlink(missing_ok=True)


def _strangers(header: ShardHeader, folder: Path) -> list[Path]:
    siblings = {header.at(number).path(folder) for number in range(header.shards)}
    return [path for path in shard_paths(folder, header.split) if path not in siblings]


def _is_whole(path: Path, header: ShardHeader, reporter: Reporter) -> bool:
    """Whether a shard can be kept: whole, and from the same files if it was made elsewhere.

    Raises:
        ArtifactError: when it was made from something else.
    """
    try:
        held = Shard(path).header
    except ArtifactError as error:
        reporter.warn(f"{error} It is made anew now.")
        return False
    for name in MADE_FROM:
        if getattr(held, name) != getattr(header, name):
            raise ArtifactError(
                f"'{path}' was made with {name} '{getattr(held, name)}', not with '{getattr(header, name)}'. "
                "Add --overwrite to make these features anew."
            )
    if held.source != header.source:
        reporter.warn(f"'{path}' was taken in from other vectors or ids. It is made anew now.")
    return held.source == header.source


def _header(job: Job, split: str, options: ExtractOptions) -> ShardHeader:
    """The header of shard 0."""
    encoder = job.encoder
    kept = _kept(encoder, fields_of(encoder, job.device), options)
    return ShardHeader(
        encoder=encoder.name,
        fingerprint=encoder.fingerprint,
        modality=encoder.modality,
        corpus=job.manifest.name,
        manifest=job.manifest.fingerprint,
        split=split,
        fields=tuple(sorted(kept)),
        width=encoder.width,
        first=0,
        count=0,
        total=len(job.records),
        shard_records=options.shard_records,
        view=(encoder.view.height, encoder.view.width) if encoder.modality == "image" else (0, 0),
    ).at(0)


def _kept(encoder: nn.Module, fields: Sequence[str], options: ExtractOptions) -> list[str]:
    kept = [field for field in fields if not options.fields or field in options.fields]
    if not kept:
        raise UsageError(
            f"'{encoder.name}' gives no '{', '.join(options.fields)}'. It gives: {', '.join(fields)}."
        )
    mirrored = [field + MIRRORED for field in kept] if options.flip and encoder.modality == "image" else []
    return kept + mirrored
