"""Taking in few-shot features made elsewhere, for a dataset that was prepared from the same folder."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.encoders.names import encoder_slug
from mmx.engine.extractor import Extraction, ExtractOptions, keep_shards
from mmx.store.foreign import digest_files
from mmx.store.foreign_shots import read_shots
from mmx.store.manifest import Manifest
from mmx.store.shard import ShardHeader, save_shard
from mmx.store.shot_files import ShotFile, find_shot_files, is_shot_folder
from mmx.store.writers import writing
from mmx.workflows.import_features import Imported, import_header, import_name, vector_tensors
from mmx.workflows.import_sources import ImportSource, Vectors
from mmx.workflows.shot_folder import shot_id


def are_shots(source: ImportSource) -> bool:
    """Whether a source is a folder of few-shot features, and no file of it is named."""
    named = (source.images, source.texts, source.ids)
    return not any(named) and source.path.is_dir() and is_shot_folder(source.path)


def import_shots(
    source: ImportSource,
    name: str,
    manifest: Manifest,
    splits: Sequence[str],
    home: Home,
    options: ExtractOptions,
    reporter: Reporter,
) -> Iterator[Imported]:
    """Take in the vectors of a folder, split by split.

    Raises:
        DataError: when files are broken.
        ArtifactError: when the dataset was not prepared from this folder.
    """
    encoder = import_name(name, "image")
    folder = home.features(manifest.name, encoder_slug(encoder, "image"))
    reporter.info(f"image vectors are kept as features of '{encoder}'.")
    files = find_shot_files(source.path)
    digest = digest_files([path for file in files for path in (file.features, file.labels)])
    with writing(folder):
        for split in splits:
            ours = [file for file in files if file.split == split]
            done = _take_in(ours, source, encoder, digest, manifest, split, folder, options, reporter)
            yield Imported(encoder, "image", split, folder, done)


def _take_in(
    files: Sequence[ShotFile],
    source: ImportSource,
    encoder: str,
    digest: str,
    manifest: Manifest,
    split: str,
    folder: Path,
    options: ExtractOptions,
    reporter: Reporter,
) -> Extraction:
    began = time.perf_counter()
    read = [(file, *read_shots(file)) for file in files]
    rows = [
        (shot_id(file.name, row), label)
        for file, _, labels in read
        for row, label in enumerate(labels.tolist())
    ]
    records = manifest.split(split)
    if rows != [(record.id, record.label) for record in records]:
        raise ArtifactError(
            f"'{source.path}' is not what '{manifest.name}' {split} was prepared from: it holds {len(rows)} "
            f"labelled vectors, the dataset {len(records)} records, and they differ. "
            f"Prepare it from there: mmx prepare {manifest.name} --raw {source.path}"
        )
    array = torch.cat([features for _, features, _ in read])
    found = Vectors("image", split, files[0].features, files[0].labels)
    field = "image_embedding" if source.as_embedding else "image_features"
    header = import_header(found, encoder, digest, (field,), array.shape[1], manifest, options)

    def write(pending: Sequence[ShardHeader]) -> int:
        for shard in pending:
            ours = slice(shard.first, shard.first + shard.count)
            tensors = vector_tensors(found, array[ours], field, records[ours])
            save_shard(folder, shard, tensors, [record.id for record in records[ours]])
        return sum(shard.count for shard in pending)

    return keep_shards(header, folder, options, reporter, began, write)
