"""extract: frozen features of a prepared corpus, by pretrained encoders or from files made elsewhere."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch

from mmx.core.errors import Interrupted, UsageError
from mmx.core.home import Home
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.core.tower import MODALITIES
from mmx.encoders.load import load_encoder, modalities_of
from mmx.encoders.names import encoder_slug, is_detector, resolve_name
from mmx.engine.extractor import Extraction, ExtractOptions, extract_split, fields_of
from mmx.store.manifest import Manifest
from mmx.store.writers import writing
from mmx.workflows.extract_engine import Engine, load_frozen, started
from mmx.workflows.import_features import import_features
from mmx.workflows.import_shots import are_shots, import_shots
from mmx.workflows.import_sources import ImportSource

CPU_BATCH = {"image": 4, "text": 64}
"""So few pictures that their maps stay in the cache: 16 at once take an EfficientNet a fifth longer."""
CARD_BATCH = {"image": 256, "text": 512}
DETECTOR_BATCH = (2, 32)
"""On a CPU and on a card: a detector reads pictures many times as large."""
SCHEMA = "mmx.extract/1"


@dataclass(frozen=True)
class ExtractSettings:
    """What to extract, of what, and how."""

    dataset: str
    encoders: tuple[str, ...]
    splits: tuple[str, ...] = ()
    """None named takes every split."""
    modalities: tuple[str, ...] = MODALITIES
    home: Home = field(default_factory=Home.find)
    device: str = "auto"
    engine: str = "local"
    """`local`, this process; or `ray`."""
    address: str | None = None
    """Of a cluster of Ray, `host:port` or `auto`; None for one of this machine alone."""
    batch_size: int | None = None
    workers: int | None = None
    shard: str = "0/1"
    """`i/n`: this machine makes the shards s with s % n == i."""
    fields: tuple[str, ...] = ()
    flip: bool = False
    overwrite: bool = False
    shard_records: int = 1024
    source: ImportSource | None = None
    """Features made elsewhere, to be taken in instead of running an encoder."""


@dataclass(frozen=True)
class ExtractRow:
    """What was done for one encoder, modality and split."""

    encoder: str
    modality: str
    split: str
    items: int
    seconds: float
    shards_made: int
    shards_kept: int
    bytes: int
    folder: str

    @property
    def rate(self) -> float:
        """Items a second."""
        return self.items / self.seconds if self.items and self.seconds else 0.0


@dataclass(frozen=True)
class ExtractResult:
    """All rows, in the order of the work."""

    dataset: str
    rows: tuple[ExtractRow, ...]

    def document(self) -> dict[str, Any]:
        """The result as one JSON document."""
        rows = [{**asdict(row), "items_per_second": round(row.rate, 2)} for row in self.rows]
        return {"schema": SCHEMA, "dataset": self.dataset, "features": rows}


def extract(settings: ExtractSettings, reporter: Reporter) -> ExtractResult:
    """Make, or finish, the features that the settings name.

    Raises:
        UsageError: for an unknown encoder, split, shard or engine.
        MissingExtraError: when the engine is not installed.
        ArtifactError: when the corpus is not prepared, weights cannot be had, or features of another making
        are in the way.
        DataError: when a picture cannot be read.
        DeviceError: when the device or the cluster is not there.
        ResourceError: when the disk is full or closed.
        Interrupted: on Ctrl-C; finished shards are kept.
    """
    if not settings.encoders:
        raise UsageError("no encoder is named. Give --encoder NAME, for example --encoder offline.")
    manifest = Manifest.open(settings.home.dataset(settings.dataset))
    splits = settings.splits or tuple(manifest.splits)
    for split in splits:
        manifest.split(split)
    try:
        rows = (
            _imported(settings, manifest, splits, reporter)
            if settings.source
            else _run(settings, manifest, splits, reporter)
        )
        return ExtractResult(manifest.name, tuple(rows))
    except KeyboardInterrupt as error:
        raise Interrupted(
            "interrupted. Finished shards are kept; the same command goes on from there."
        ) from error


def _run(
    settings: ExtractSettings, manifest: Manifest, splits: tuple[str, ...], reporter: Reporter
) -> Iterator[ExtractRow]:
    towers = [
        (resolve_name(name, modality), modality)
        for name in settings.encoders
        for modality in modalities_of(name)
        if modality in settings.modalities
    ]
    if settings.fields:
        _check_fields(settings.fields, towers)
    with started(settings.engine, settings.address, settings.device, reporter) as engine:
        for name, modality in dict.fromkeys(towers):
            yield from _run_tower(name, modality, settings, manifest, splits, engine, reporter)


def _run_tower(
    name: str,
    modality: str,
    settings: ExtractSettings,
    manifest: Manifest,
    splits: tuple[str, ...],
    engine: Engine,
    reporter: Reporter,
) -> Iterator[ExtractRow]:
    folder = settings.home.features(manifest.name, encoder_slug(name, modality))
    detector = modality == "image" and is_detector(name)
    options = _options(settings, modality, engine.device, detector, engine.workers)
    load = partial(load_frozen, name, modality)
    with writing(folder):
        encoder = load()
        if name.startswith("random:"):
            reporter.warn(
                f"'{name}' has random weights: its features are for trying things out, not for results."
            )
        for split in splits:
            done = extract_split(
                encoder, manifest, split, folder, options, engine.here, reporter, engine.make(load)
            )
            yield _row(name, modality, split, done, str(folder))


def _check_fields(fields: tuple[str, ...], towers: list[tuple[str, str]]) -> None:
    """Each field named must be given by one of the towers."""
    there = dict.fromkeys(
        name for tower in towers for name in fields_of(load_encoder(*tower), torch.device("cpu"))
    )
    absent = [name for name in fields if name not in there]
    if absent:
        raise UsageError(f"there is no field '{absent[0]}'. These encoders give: {', '.join(there)}.")


def _imported(
    settings: ExtractSettings, manifest: Manifest, splits: tuple[str, ...], reporter: Reporter
) -> Iterator[ExtractRow]:
    if len(settings.encoders) != 1:
        raise UsageError("features made elsewhere need one name. Give --encoder once.")
    refused = {
        "--flip": settings.flip,
        "--fields": settings.fields,
        "--batch-size": settings.batch_size,
        "--engine": settings.engine != "local",
        "--address": settings.address,
    }
    given = [option for option, value in refused.items() if value]
    if given:
        raise UsageError(f"{', '.join(given)} cannot go with --import: no encoder is run. Leave it out.")
    options = _options(settings, "image", torch.device("cpu"))
    source = present(settings.source)
    take_in = import_shots if are_shots(source) else import_features
    for found in take_in(source, settings.encoders[0], manifest, splits, settings.home, options, reporter):
        yield _row(found.encoder, found.modality, found.split, found.extraction, str(found.folder))


def _row(name: str, modality: str, split: str, done: Extraction, folder: str) -> ExtractRow:
    return ExtractRow(name, modality, split, **asdict(done), folder=folder)


def _options(
    settings: ExtractSettings,
    modality: str,
    device: torch.device,
    detector: bool = False,
    workers: int = 1,
) -> ExtractOptions:
    part, parts = _shard(settings.shard)
    on_card = device.type != "cpu"
    usual = (CARD_BATCH if on_card else CPU_BATCH)[modality]
    for name, value in (("--batch-size", settings.batch_size), ("--shard-size", settings.shard_records)):
        if value is not None and value < 1:
            raise UsageError(f"{name} {value} is too small. It is at least 1.")
    return ExtractOptions(
        batch_size=settings.batch_size or (DETECTOR_BATCH[on_card] if detector else usual),
        workers=settings.workers or workers,
        part=part,
        parts=parts,
        fields=settings.fields,
        flip=settings.flip,
        overwrite=settings.overwrite,
        shard_records=settings.shard_records,
    )


def _shard(text: str) -> tuple[int, int]:
    """`1/4` as (1, 4)."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise UsageError(
            f"'{text}' is no share of the shards. Write i/n with 0 <= i < n, for example --shard 0/4."
        )
    return int(part), int(parts)
