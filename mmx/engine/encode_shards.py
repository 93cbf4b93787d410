"""One frozen encoder over the records of a shard: pictures or captions in, the shard's tensors out.

Shapes: n records, c captions, L tokens of all captions together.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor, nn

from mmx.core.errors import DataError
from mmx.core.record import Record
from mmx.core.reporter import Progress, Reporter
from mmx.core.view import View
from mmx.engine.pictures import encode_pictures, join_pictures
from mmx.engine.text_batches import pad_tokens, sorted_batches
from mmx.store.images import ImageError, read_pixels
from mmx.store.manifest import Manifest
from mmx.store.shard import ShardHeader

AHEAD = 3
"""Batches of pictures decoded before the network asks for them."""


@dataclass(frozen=True)
class Job:
    """One encoder over one split."""

    encoder: nn.Module
    manifest: Manifest
    records: Sequence[Record]
    batch_size: int
    workers: int
    """Threads that decode pictures."""
    flip: bool
    device: torch.device

    def of(self, header: ShardHeader) -> Sequence[Record]:
        """The records of a shard."""
        return self.records[header.first : header.first + header.count]

    def items(self, header: ShardHeader) -> int:
        """Images or captions of a shard."""
        counted = self.encoder.modality == "text"
        return sum(len(record.captions) for record in self.of(header)) if counted else header.count

    def bar(self, headers: Sequence[ShardHeader], reporter: Reporter) -> AbstractContextManager[Progress]:
        """A context manager that yields the Progress of making some shards."""
        unit = "captions" if self.encoder.modality == "text" else "images"
        return reporter.progress(
            f"{headers[0].split} {self.encoder.name}", sum(map(self.items, headers)), unit
        )


def image_shards(job: Job, headers: Sequence[ShardHeader], reporter: Reporter) -> Iterator[dict[str, Tensor]]:
    """For each shard [n, ...] float16 by field, pictures decoded beside the network.

    Raises:
        DataError: for a picture that cannot be read.
    """
    records = [record for header in headers for record in job.of(header)]
    with job.bar(headers, reporter) as bar, closing(_decoded(job, records)) as pictures:
        for header in headers:
            yield image_tensors(job, header, pictures, bar)


def text_shards(job: Job, headers: Sequence[ShardHeader], reporter: Reporter) -> Iterator[dict[str, Tensor]]:
    """For each shard [c, F] or [L, F] float16 by field, and the offsets."""
    counts = [[len(record.captions) for record in job.of(header)] for header in headers]
    with job.bar(headers, reporter) as bar:
        for header, caption_counts in zip(headers, counts, strict=True):
            captions = [caption for record in job.of(header) for caption in record.captions]
            yield text_tensors(job, header, captions, bar) | {"caption_offsets": offsets_of(caption_counts)}


def offsets_of(counts: Sequence[int]) -> Tensor:
    """[n + 1] int64: where each of n runs of rows begins."""
    return torch.tensor([0, *counts]).cumsum(0)


def image_tensors(
    job: Job, header: ShardHeader, pictures: Iterator[numpy.ndarray | None], bar: Progress
) -> dict[str, Tensor]:
    """The next of the decoded pictures, None for a post without one -> [n, ...] float16 by field."""
    tensors: dict[str, Tensor] = {}
    for begin in range(0, header.count, job.batch_size):
        size = min(job.batch_size, header.count - begin)
        decoded = [next(pictures) for _ in range(size)]
        there = [place for place, picture in enumerate(decoded) if picture is not None]
        if there or not tensors:
            # of a post without a picture there is a row of zeros, which nobody reads
            shown = [torch.from_numpy(decoded[place]) for place in there] or [_blank(job.encoder.view)]
            pixels = join_pictures(shown, job.encoder.view)
            fields = encode_pictures(job.encoder, pixels, job.device, job.flip)
        for field in header.fields:
            if field not in tensors:
                tensors[field] = torch.zeros(header.count, *fields[field].shape[1:], dtype=torch.float16)
            if there:
                # halved before it is copied from a card: half of the bytes, and not on the processor
                tensors[field][begin + torch.tensor(there)] = fields[field].half().cpu()
        bar.advance(size)
    return tensors


def _blank(view: View) -> Tensor:
    return torch.zeros(3, view.height, view.width, dtype=torch.uint8)


def _decoded(job: Job, records: Sequence[Record]) -> Generator[numpy.ndarray | None, None, None]:
    """The pictures of the records, in order, decoded in threads a few batches ahead of the network."""
    waiting: deque[Future[numpy.ndarray | None]] = deque()
    upcoming = iter(records)
    pool = ThreadPoolExecutor(max(1, job.workers))

    def ask() -> None:
        record = next(upcoming, None)
        if record is not None:
            waiting.append(pool.submit(_read_record, job, record))

    try:
        for _ in range(AHEAD * max(job.batch_size, job.workers)):
            ask()
        while waiting:
            picture = waiting.popleft().result()
            ask()
            yield picture
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read_record(job: Job, record: Record) -> numpy.ndarray | None:
    if record.image is None:
        return None
    path = job.manifest.image_path(record)
    try:
        return read_pixels(path, job.encoder.view)
    except ImageError as error:
        raise DataError(
            f"'{path}' of record '{record.id}' cannot be read: {error}. "
            f"Mend it, or prepare it again: mmx prepare {job.manifest.name} --raw FOLDER"
        ) from error


def text_tensors(job: Job, header: ShardHeader, captions: Sequence[str], bar: Progress) -> dict[str, Tensor]:
    """Captions -> [c, F] or [L, F] float16 by field, with the offsets of their tokens."""
    tokens = job.encoder.tokenize(captions)
    token_offsets = offsets_of([len(ids) for ids in tokens])
    tensors = _empty_texts(job, header, len(captions), int(token_offsets[-1]))
    for places in sorted_batches(tokens, job.batch_size):
        token_ids, token_mask = pad_tokens([tokens[place] for place in places])
        fields = job.encoder(token_ids.to(job.device), token_mask.to(job.device))
        for field in header.fields:
            rows, value = torch.tensor(places), fields[field].half().cpu()
            if field == "token_features":
                rows = (token_offsets[rows, None] + torch.arange(token_mask.shape[1]))[token_mask]
                value = value[token_mask]
            tensors[field][rows] = value
        bar.advance(len(places))
    return tensors | ({"token_offsets": token_offsets} if "token_features" in header.fields else {})


def _empty_texts(job: Job, header: ShardHeader, captions: int, tokens: int) -> dict[str, Tensor]:
    shapes = {
        "text_features": (captions, header.width),
        "token_features": (tokens, header.width),
        "text_embedding": (captions, job.encoder.embedding_width or 0),
    }
    return {field: torch.empty(shapes[field], dtype=torch.float16) for field in header.fields}
