"""Embed one split with a trained model: every image and every caption once, in the order of the split.

Shapes: N images, C captions, D width of the shared space, B batch.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.errors import DataError, TrainingError, UsageError
from mmx.core.reporter import Reporter, SilentReporter
from mmx.engine.loader import default_workers
from mmx.engine.split_data import SplitData
from mmx.store.images import ImageError

Encode = Callable[[nn.Module, Batch], Tensor]
Read = Callable[[Tensor], Mapping[str, Tensor]]

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16}


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


def embed_split(
    model: nn.Module,
    encode_image: Encode,
    encode_text: Encode,
    data: SplitData,
    device: torch.device,
    batch_size: int = 256,
    precision: str = "fp32",
    reporter: Reporter | None = None,
) -> Embeddings:
    """Embed all pictures and all captions; the model is left in the mode it came in.

    Besides the result, one batch is held on the device and one a reading thread in memory. Captions go by
    length, so that little of a batch is padding.

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
            f"nothing can be matched: the split has {len(rows)} pictures and {len(captions)} captions."
        )
    by_length = torch.tensor([len(caption) for caption in captions]).argsort(stable=True)
    embed = _Embedder(model, device, precision, batch_size, reporter or SilentReporter())
    with _evaluating(model), torch.inference_mode():
        image = embed(encode_image, lambda part: _read_images(data, part), rows, "images")
        text = embed(encode_text, data.texts.read, by_length, "captions")
    # Copies, since what is made in inference mode cannot be changed by whoever is given it.
    image, text = image.clone(), text[by_length.argsort()]
    _check_finite(image, [f"record '{data.records[row].id}'" for row in rows.tolist()])
    _check_finite(text, [f"caption '{caption}'" for caption in captions])
    return Embeddings(image, text, data.image_group[rows], data.text_group, rows)


@dataclass(frozen=True)
class _Embedder:
    model: nn.Module
    device: torch.device
    precision: str
    batch_size: int
    reporter: Reporter

    def __call__(self, encode: Encode, read: Read, items: Tensor, unit: str) -> Tensor:
        """[items] int64 -> [items, D] float32 on the CPU, in the order of the items."""
        parts = items.split(self.batch_size)
        whole = None
        with self.reporter.progress(f"embedding {unit}", len(items), unit) as progress:
            done = 0
            for fields in _read_ahead(read, parts):
                with self._autocast():
                    embedding = encode(self.model, Batch(**fields).to(self.device))
                if whole is None:
                    whole = torch.empty(len(items), embedding.shape[1])
                whole[done : done + len(embedding)] = embedding
                done += len(embedding)
                progress.advance(len(embedding))
        return whole

    def _autocast(self) -> AbstractContextManager:
        kind = PRECISIONS[self.precision]
        return nullcontext() if kind is None else torch.autocast(self.device.type, dtype=kind)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout off and running averages held still, then everything as it was."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _read_ahead(read: Read, parts: Sequence[Tensor]) -> Iterator[Mapping[str, Tensor]]:
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
        name, reason = _unreadable(data, rows, error)
        raise DataError(
            f"'{name}' cannot be read: {reason}. Put it back, or prepare the dataset again."
        ) from error


def _unreadable(data: SplitData, rows: Tensor, error: ImageError) -> tuple[str, ImageError]:
    """The first picture of a batch that cannot be read, and why."""
    for row in rows:
        try:
            data.images.read(row[None], None)
        except ImageError as reason:
            return str(data.records[int(row)].image), reason
    return "a picture", error


def _check_finite(embedding: Tensor, names: Sequence[str]) -> None:
    wrong = (~embedding.isfinite().all(1)).nonzero().squeeze(1)
    if len(wrong):
        raise TrainingError(
            f"{len(wrong)} embeddings are not finite numbers, the first that of {names[int(wrong[0])]}. "
            "Evaluate with --device cpu, or train again with a smaller rate."
        )
