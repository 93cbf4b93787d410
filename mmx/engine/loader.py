"""Batches for training, read ahead of the step that they are for."""

import os
import signal
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch.utils.data import DataLoader, Dataset

from mmx.core.errors import DataError, ResourceError
from mmx.engine.pieces import WHOLE, Cut, Piece
from mmx.engine.post_images import PostImages
from mmx.engine.split_data import PixelImages, SplitData
from mmx.engine.training_order import Place, TrainingOrder
from mmx.engine.unreadable import unreadable
from mmx.store.images import ImageError

Pieces = list[Piece]
"""What a process computes of one batch."""

AHEAD = 2
"""Batches read ahead by the thread, and by each worker."""


class BatchReader(Dataset):
    """Reads the batch at a place, as far as it is this process's; where a picture cannot be read, the error
    comes back in its stead.
    """

    def __init__(self, data: SplitData, order: TrainingOrder, cut: Cut) -> None:
        self._data, self._order, self._cut = data, order, cut

    def __getitem__(self, place: Place) -> Pieces | DataError:
        """The pieces of the batch, or what is wrong with one."""
        epoch, index = place
        plan, pieces = self._order.epoch(epoch)[index], []
        for number, first, end in self._cut.bounds(len(plan.rows)):
            part = plan.part(first, end)
            try:
                batch = self._data.batch(part.rows, part.captions, part.variants)
            except ImageError as error:
                return unreadable(self._data, part.rows, error)
            pieces.append(Piece(number, batch))
        return pieces


def read_ahead(
    data: SplitData,
    order: TrainingOrder,
    places: Sequence[Place],
    workers: int | None,
    cut: Cut = WHOLE,
    pin: bool = False,
) -> Generator[Pieces, None, None]:
    """The batches at the given places, in order, read while the steps before them are computed; of each the
    pieces that are this process's.

    Pictures are decoded in `workers` processes (None: the cores less one); features are copied by one thread.
    With `pin` they come in memory that a CUDA card copies from without the processor.

    Raises:
        DataError: naming a picture that cannot be read.
        ResourceError: when a process died.
    """
    reader = BatchReader(data, order, cut)
    images = data.images.pictures if isinstance(data.images, PostImages) else data.images
    decoding = isinstance(images, PixelImages)
    count = default_workers() if workers is None else workers
    by_processes = decoding and count
    batches = _by_processes(reader, places, count, pin) if by_processes else _by_thread(reader, places, pin)
    try:
        for batch in batches:
            if isinstance(batch, DataError):
                raise batch
            yield batch
    finally:
        batches.close()


def default_workers() -> int:
    """The cores this process may use, less one."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(usable - 1, 0)


def _read(reader: BatchReader, place: Place, pin: bool) -> Pieces | DataError:
    found = reader[place]
    return [piece.pin_memory() for piece in found] if pin and not isinstance(found, DataError) else found


def _by_thread(
    reader: BatchReader, places: Sequence[Place], pin: bool
) -> Generator[Pieces | DataError, None, None]:
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="mmx-batches") as thread:
        waiting = [thread.submit(_read, reader, place, pin) for place in places[:AHEAD]]
        try:
            for following in range(AHEAD, len(places) + AHEAD):
                if not waiting:
                    return
                batch = waiting.pop(0).result()
                if following < len(places):
                    waiting.append(thread.submit(_read, reader, places[following], pin))
                yield batch
        finally:
            thread.shutdown(wait=True, cancel_futures=True)


def _by_processes(
    reader: BatchReader, places: Sequence[Place], workers: int, pin: bool
) -> Generator[Pieces | DataError, None, None]:
    loader = DataLoader(
        reader,
        batch_size=None,
        sampler=places,
        num_workers=workers,
        prefetch_factor=AHEAD,
        pin_memory=pin,
        collate_fn=_unchanged,
        worker_init_fn=_ignore_signals,
        # else it draws a seed from the generator that dropout draws from, and a training gone on from differs
        generator=torch.Generator().manual_seed(0),
    )
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise ResourceError(
            f"a process that decodes pictures died ({error}). Memory ran out, or /dev/shm: try --workers 0."
        ) from error


def _unchanged(pieces: Pieces | DataError) -> Pieces | DataError:
    return pieces


def _ignore_signals(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; only the trainer decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
