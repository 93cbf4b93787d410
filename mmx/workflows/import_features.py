"""Taking in features made elsewhere: aligned to the manifest by id or file name, kept as any other
features.
"""

import hashlib
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.names import canonical
from mmx.core.record import Record
from mmx.core.reporter import Reporter
from mmx.encoders.names import ALIASES, encoder_slug, resolve_name
from mmx.engine.alignment import caption_column, image_rows, text_rows
from mmx.engine.encode_shards import offsets_of
from mmx.engine.extractor import Extraction, ExtractOptions, keep_shards
from mmx.engine.row_names import RowNames, Table, name_rows
from mmx.store.foreign import digest_files, read_array, read_id_table
from mmx.store.manifest import Manifest
from mmx.store.shard import REGION_FIELDS, ShardHeader, save_shard
from mmx.store.writers import writing
from mmx.workflows.import_regions import open_boxes, region_tensors
from mmx.workflows.import_sources import ImportSource, Vectors, find_vectors


@dataclass(frozen=True)
class Imported:
    """What was taken in for one modality and split."""

    encoder: str
    modality: str
    split: str
    folder: Path
    extraction: Extraction


def import_features(
    source: ImportSource,
    name: str,
    manifest: Manifest,
    splits: Sequence[str],
    home: Home,
    options: ExtractOptions,
    reporter: Reporter,
) -> Iterator[Imported]:
    """Take in the vectors of a source, split by split.

    Raises:
        UsageError: when nothing is named that could be taken in.
        ArtifactError: when files are broken, or rows cannot be told apart or do not cover the manifest.
    """
    vectors = find_vectors(source, splits)
    for modality in dict.fromkeys(found.modality for found in vectors):
        ours = [found for found in vectors if found.modality == modality]
        encoder = import_name(name, modality)
        folder = home.features(manifest.name, encoder_slug(encoder, modality))
        _check_alike(ours)
        digests = {files: digest_files(list(files)) for files in {found.files for found in ours}}
        reporter.info(f"{modality} vectors are kept as features of '{encoder}'.")
        with writing(folder):
            for found in ours:
                digest = digests[found.files]
                done = _take_in(
                    found, encoder, digest, source.as_embedding, manifest, folder, options, reporter
                )
                yield Imported(encoder, modality, found.split, folder, done)


def import_name(name: str, modality: str) -> str:
    """The encoder's own name where mmx knows it, so that methods find the features under it; else
    `import:NAME`.
    """
    known = ":" in name or modality in ALIASES.get(canonical(name), {})
    return resolve_name(name, modality) if known else f"import:{canonical(name)}"


def _check_alike(ours: Sequence[Vectors]) -> None:
    """The splits of one encoder must be of one kind and width, and all have boxes or none.

    Raises:
        ArtifactError: when they differ, or a file is broken; names both files.
    """
    arrays = [(found, read_array(found.file, found.modality)) for found in ours]
    for (one, first), (other, second) in itertools.pairwise(arrays):
        if (first.dim(), first.shape[-1]) != (second.dim(), second.shape[-1]):
            raise ArtifactError(
                f"'{one.file}' holds {list(first.shape)} and '{other.file}' {list(second.shape)}: the splits "
                "of one encoder are of one width. Take in what other encoders made under another name."
            )
        if first.dim() > 2 and (one.boxes is None) != (other.boxes is None):
            with_boxes, without = (other, one) if one.boxes is None else (one, other)
            raise ArtifactError(
                f"'{with_boxes.boxes}' gives the boxes of its split, but beside '{without.file}' there are "
                "none. Lay boxes beside every split, or beside none."
            )


def _take_in(
    found: Vectors,
    encoder: str,
    digest: str,
    as_embedding: bool,
    manifest: Manifest,
    folder: Path,
    options: ExtractOptions,
    reporter: Reporter,
) -> Extraction:
    began = time.perf_counter()
    array, records = read_array(found.file, found.modality), manifest.split(found.split)
    fields = _fields(found, array, as_embedding)
    table = read_id_table(found.ids)
    names = _names(found, table, manifest)
    rows = _rows(found, names, table, array, manifest)
    boxes = open_boxes(found, array, names, records) if fields == REGION_FIELDS else None
    header = import_header(found, encoder, digest, fields, array.shape[-1], manifest, options)
    if boxes is not None:
        reporter.info(
            f"'{boxes.path}' lies beside the vectors of {found.split}: they are regions with boxes."
        )

    def write(pending: Sequence[ShardHeader]) -> int:
        items = 0
        for shard in pending:
            ours = slice(shard.first, shard.first + shard.count)
            flat = torch.tensor([row for of_record in rows[ours] for row in of_record], dtype=torch.int64)
            vectors = _vectors(found, array, flat)
            if boxes is None:
                tensors = vector_tensors(found, vectors, fields[0], records[ours])
            else:
                tensors = region_tensors(found, vectors, boxes.read(ours), flat)
            save_shard(folder, shard, tensors, [record.id for record in records[ours]])
            items += len(vectors)
        return items

    return keep_shards(header, folder, options, reporter, began, write)


def _fields(found: Vectors, array: Tensor, as_embedding: bool) -> tuple[str, ...]:
    if array.dim() == 2:
        return (f"{found.modality}_{'embedding' if as_embedding else 'features'}",)
    if found.modality == "text" or as_embedding:
        raise ArtifactError(
            f"'{found.file}' holds {list(array.shape)}: a grid for each row. Only images have grids, and "
            "no embedding is one."
        )
    return REGION_FIELDS if found.boxes else ("patch_features",)


def _names(found: Vectors, table: Table, manifest: Manifest) -> RowNames:
    """The names of the rows, by which records are found."""
    records = manifest.split(found.split)
    known = [record for split in manifest.splits for record in manifest.split(split)]
    if found.modality == "text":
        records = [record for record in records if record.captions] or records
    return name_rows(str(found.ids), table, records, known)


def _rows(
    found: Vectors, names: RowNames, table: Table, array: Tensor, manifest: Manifest
) -> list[list[int]]:
    """For each record of the split, its rows of the array: one for an image, one a caption for texts."""
    records = manifest.split(found.split)
    if found.modality == "image":
        return [[row] for row in image_rows(names, array, records)]
    known = [record for split in manifest.splits for record in manifest.split(split)]
    return text_rows(names, caption_column(table), array, records, known)


def import_header(
    found: Vectors,
    encoder: str,
    digest: str,
    fields: tuple[str, ...],
    width: int,
    manifest: Manifest,
    options: ExtractOptions,
) -> ShardHeader:
    """The header of vectors taken in, as that of their first shard."""
    # The vectors are known by name, so that splits taken in from different files go together.
    identity = hashlib.blake2b(f"{encoder} {width} {fields[0]}".encode(), digest_size=16).hexdigest()
    return ShardHeader(
        encoder=encoder,
        fingerprint=identity,
        modality=found.modality,
        corpus=manifest.name,
        manifest=manifest.fingerprint,
        split=found.split,
        fields=tuple(sorted(fields)),
        width=width,
        first=0,
        count=0,
        total=len(manifest.split(found.split)),
        shard_records=options.shard_records,
        source=digest,
    ).at(0)


def _vectors(found: Vectors, array: Tensor, rows: Tensor) -> Tensor:
    """Some rows of the array, float32."""
    vectors = array.index_select(0, rows).float()
    broken = (~vectors.flatten(1).isfinite().all(dim=1)).nonzero().flatten()
    if len(broken):
        raise ArtifactError(
            f"row {int(rows[broken[0]])} of '{found.file}' is not a number. Make the file again."
        )
    return vectors


def vector_tensors(
    found: Vectors, vectors: Tensor, field: str, records: Sequence[Record]
) -> Mapping[str, Tensor]:
    """What a shard keeps of some vectors [N, F]: an embedding at unit length, and the captions of each."""
    tensors = {field: (normalize(vectors, dim=-1) if field.endswith("embedding") else vectors).half()}
    if found.modality == "text":
        tensors["caption_offsets"] = offsets_of([len(record.captions) for record in records])
    return tensors
