"""Embed one split with a trained model: every image and every caption once, in the order of the split.

Shapes: N images, C captions, D width of the shared space, B batch.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.errors import DataError, TrainingError, UsageError
from mmx.core.reporter import Reporter, SilentReporter
from mmx.core.task import Rerank
from mmx.engine.evaluation_mode import evaluating
from mmx.engine.kept import KeptBatches
from mmx.engine.loader import default_workers
from mmx.engine.precision import PRECISIONS, autocast
from mmx.engine.second_stage import SecondStage
from mmx.engine.split_data import SplitData
from mmx.engine.unreadable import unreadable
from mmx.store.images import ImageError

Encode = Callable[[nn.Module, Batch], Tensor]
Keep = Callable[[nn.Module, Batch], Mapping[str, Tensor]]
Read = Callable[[Tensor], Mapping[str, Tensor]]
T = TypeVar("T")


@dataclass(frozen=True)
class Embeddings:
    """One split in the shared space, float32 on the CPU."""

    image: Tensor
    """[N, D], in the order of the records that have a picture."""
    text: Tensor
    """[C, D], in the order of the captions."""
    image_group: Tensor
    """[N] int64."""
    text_group: Tensor
    """[C] int64: the group of the image that each caption describes."""
    image_row: Tensor
    """[N] int64: the record of each image."""
    second: SecondStage | None = None
    """Where it was asked for."""


def embed_split(
    model: nn.Module,
    encode_image: Encode,
    encode_text: Encode,
    data: SplitData,
    device: torch.device,
    batch_size: int = 256,
    precision: str = "fp32",
    reporter: Reporter | None = None,
    rerank: Rerank | None = None,
) -> Embeddings:
    """Embed all pictures and all captions; the model is left in the mode it came in.

    Besides the result, one batch is held on the device and one a reading thread in memory. Captions go by
    length, so that little of a batch is padding. With `rerank` each batch is read once for both stages.

    Raises:
        UsageError: for a batch without items or an unknown precision.
        DataError: when there is nothing to match, or a picture can no longer be read.
        TrainingError: when an embedding is not finite; names the first record or caption.
    """
    if batch_size < 1 or precision not in PRECISIONS:
        raise UsageError(
            f"batch_size={batch_size} with precision '{precision}' is not possible. "
            f"A batch holds at least 1 item; precisions are: {', '.join(PRECISIONS)}."
        )
    rows = torch.tensor(
        [row for row, record in enumerate(data.records) if record.image is not None], dtype=torch.int64
    )
    captions = [caption for record in data.records for caption in record.captions]
    if not len(rows) or not captions:
        raise DataError(
            f"nothing can be matched: the split has {len(rows)} pictures and {len(captions)} captions. "
            "Name another split, or prepare the dataset with both."
        )
    by_length = _by_length(data, captions)
    embed = _Embedder(model, device, precision, batch_size, reporter or SilentReporter())
    keep_image, keep_text = (None, None) if rerank is None else (rerank.keep_image, rerank.keep_text)
    with evaluating(model):
        read_images = partial(_read_images, data)
        image, kept_images = embed("image", encode_image, keep_image, read_images, rows, "images")
        text, kept_texts = embed("text", encode_text, keep_text, data.texts.read, by_length, "captions")
    # Copies, since what is made in inference mode cannot be changed by whoever is given it.
    image, text = image.clone(), text[by_length.argsort()]
    image_names = [f"record '{data.records[row].id}'" for row in rows.tolist()]
    text_names = [f"caption '{caption}'" for caption in captions]
    _check_finite(image, kept_images, torch.arange(len(rows)), image_names)
    _check_finite(text, kept_texts, by_length, text_names)
    second = None
    if rerank is not None:
        kept = kept_images.join(torch.arange(len(rows))), kept_texts.join(by_length)
        second = SecondStage(model, rerank, *kept, by_length, device, image_names, text_names)
    return Embeddings(image, text, data.image_group[rows], data.text_group, rows, second)


def embed_texts(
    model: nn.Module,
    encode_text: Encode,
    data: SplitData,
    device: torch.device,
    batch_size: int,
    precision: str,
    reporter: Reporter,
) -> Tensor:
    """Embed the captions alone, [C, D] float32 on the CPU: those that `embed_split` gives, bit for bit.

    Raises:
        TrainingError: when an embedding is not finite; names the first caption.
    """
    captions = [caption for record in data.records for caption in record.captions]
    by_length = _by_length(data, captions)
    embed = _Embedder(model, device, precision, batch_size, reporter)
    with evaluating(model):
        text, kept = embed("text", encode_text, None, data.texts.read, by_length, "captions")
    text = text[by_length.argsort()]
    _check_finite(text, kept, by_length, [f"caption '{caption}'" for caption in captions])
    return text


def _by_length(data: SplitData, captions: Sequence[str]) -> Tensor:
    """[C]: the captions by their tokens, or by their letters where tokens are not counted."""
    lengths = data.texts.lengths
    if lengths is None:
        lengths = torch.tensor([len(caption) for caption in captions])
    return lengths.argsort(stable=True)


@dataclass(frozen=True)
class _Embedder:
    model: nn.Module
    device: torch.device
    precision: str
    batch_size: int
    reporter: Reporter

    def __call__(
        self, modality: str, encode: Encode, keep: Keep | None, read: Read, items: Tensor, unit: str
    ) -> tuple[Tensor, KeptBatches]:
        """[items] int64 -> [items, D] float32 on the CPU, in their order, and what else is kept."""
        parts = items.split(self.batch_size)
        whole, batches = None, KeptBatches()
        with self.reporter.progress(f"embedding {unit}", len(items), unit) as progress:
            done = 0
            for fields in read_parts(read, parts):
                batch = Batch.of(fields).to(self.device)
                with autocast(self.device, self.precision):
                    kept = {} if keep is None else dict(keep(self.model, batch))
                    embedding = kept.pop(f"{modality}_embedding", None)
                    if embedding is None:
                        embedding = encode(self.model, batch)
                if whole is None:
                    whole = torch.empty(len(items), embedding.shape[1])
                whole[done : done + len(embedding)] = embedding
                batches.add(kept)
                done += len(embedding)
                progress.advance(len(embedding))
        return whole, batches


def read_parts(read: Callable[[Tensor], T], parts: Sequence[Tensor]) -> Iterator[T]:
    """The batches in order, read by a thread a spare core: decoding and copying let go of the interpreter."""
    threads = max(default_workers(), 1)
    waiting: deque[Future] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="mmx-evaluate") as pool:
        try:
            for part in parts:
                waiting.append(pool.submit(read, part))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read_images(data: SplitData, rows: Tensor) -> Mapping[str, Tensor]:
    try:
        return data.images.read(rows, None)
    except ImageError as error:
        raise unreadable(data, rows, error) from error


def _check_finite(embedding: Tensor, kept: KeptBatches, items: Tensor, names: Sequence[str]) -> None:
    """Names are those of the rows of the embedding; `items` are the rows in the order of what is kept."""
    wrong = (~embedding.isfinite().all(1)).nonzero().squeeze(1).tolist()
    what = "embeddings"
    if not wrong and kept.not_finite:
        wrong, what = sorted({int(items[place]) for place in kept.not_finite}), "items of the second stage"
    if wrong:
        raise TrainingError(
            f"{len(wrong)} {what} are not finite numbers, the first that of {names[wrong[0]]}. "
            "Evaluate with --device cpu, or train again with a smaller rate."
        )
