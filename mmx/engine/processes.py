"""Several processes that train one model: how they hear of each other, share tensors, and end together.

All say something at the same places (`exchange`); one that fails says so at the next of them, wherever the
others are, and all end with its exit code. Only the first one writes and speaks.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from mmx.core.errors import DeviceError, MmxError, SaidElsewhere, TrainingError, UsageError, first_line
from mmx.core.launch import Launch, find_launch

PATIENCE = 300.0
"""Seconds after which a process that is not heard of is taken for dead; over gloo a killed one is missed at
once.
"""
BEAT = 5.0
"""Seconds between two signs of life while the first process works and the others wait."""
FRAME, LENGTH = 1024, 8
"""Bytes of a message that is sent at once, and of these what tell its length."""
BUCKET = 2**24
"""Numbers that are summed over the processes at a time."""

T = TypeVar("T")


class Processes:
    """The processes of a training, as one of them sees them; without others it does nothing at no cost."""

    def __init__(
        self,
        launch: Launch = Launch(),  # noqa: B008
        words: distributed.ProcessGroup | None = None,
        beat: float = BEAT,
    ) -> None:
        """One among others, who hear each other's words in a group of their own."""
        self.rank, self.count, self.first = launch.rank, launch.processes, launch.first
        self._words, self._beat, self._ended = words, beat, False

    def exchange(self, value: Any = None) -> list[Any]:
        """What every process says here, in their order: plain values that JSON keeps.

        Raises:
            SaidElsewhere: when another process failed instead of coming here.
            TrainingError: when one is gone.
        """
        if self.count == 1:
            return [value]
        said = self._gather_words({"said": value})
        codes = [each["failed"] for each in said if "failed" in each]
        if codes:
            self._ended = True
            raise SaidElsewhere(codes[0])
        return [each["said"] for each in said]

    def any(self, flag: bool) -> bool:
        """Whether it is so for any process."""
        return any(self.exchange(flag))

    def in_turn(self, work: Callable[[], T]) -> T:
        """What the first process does, and then the others, who find what it left on the disk."""
        with self.alone() as mine:
            if mine:
                return work()
        return work()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """True on the first process, which works while the others wait, however long, as long as it lives.

        Raises:
            SaidElsewhere: on the others, when it fails.
        """
        if self.count == 1:
            yield True
        elif self.first:
            with self._living():
                yield True
            self.exchange("done")
        else:
            yield False
            while self.exchange()[0] != "done":
                pass

    @contextmanager
    def _living(self) -> Iterator[None]:
        """Give signs of life, so that others wait, and hear whether they live."""
        done, heard = threading.Event(), []

        def live() -> None:
            try:
                while not done.wait(self._beat):
                    self.exchange("working")
            except MmxError as error:
                heard.append(error)

        # Words of one group must be said in one order everywhere: until the thread has ended it alone speaks.
        thread = threading.Thread(target=live, name="mmx-living", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        if heard:
            raise heard[0]

    def gather(self, own: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        """The bytes [N] uint8 of every process, of which each has `sizes`.

        Raises:
            TrainingError: when a process is gone.
        """
        if not any(sizes):
            return [own for _ in sizes]
        padded = own.new_zeros(max(sizes))
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in sizes]
        with _heard():
            distributed.all_gather(parts, padded)
        return [part[:size] for part, size in zip(parts, sizes, strict=True)]

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Add up the gradients of all processes; a parameter that no process has one for stays without.

        Raises:
            TrainingError: when a process is gone.
        """
        if self.count == 1:
            return
        own = "".join("0" if parameter.grad is None else "1" for parameter in parameters)
        masks = self.exchange(own)
        taken = [parameters[i] for i in range(len(parameters)) if any(mask[i] == "1" for mask in masks)]
        for parameter in taken:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets([parameter.grad for parameter in taken]):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            with _heard():
                distributed.all_reduce(flat)
            for gradient, summed in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
                gradient.copy_(summed.view_as(gradient))

    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Fill tensors with those of the first process.

        Raises:
            TrainingError: when a process is gone.
        """
        if self.count > 1:
            for tensor in tensors:
                with _heard():
                    distributed.broadcast(tensor.detach(), 0)

    def fail(self, error: MmxError) -> MmxError:
        """Tell the others of an error; what to raise: it, or silence where an earlier one speaks."""
        if self.count == 1 or self._ended:
            return error
        self._ended = True
        try:
            said = self._gather_words({"failed": error.exit_code})
        except TrainingError:
            return error
        first = next(rank for rank, each in enumerate(said) if "failed" in each)
        return error if first == self.rank else SaidElsewhere(said[first]["failed"])

    def _gather_words(self, value: dict[str, Any]) -> list[dict[str, Any]]:
        """In frames that all are of one size; what a frame is too short for follows in a longer one."""
        text = json.dumps(value).encode()
        frames = self._gather_frames(len(text).to_bytes(LENGTH) + text, FRAME)
        lengths = [int.from_bytes(frame[:LENGTH]) for frame in frames]
        if LENGTH + max(lengths) > FRAME:
            frames = self._gather_frames(bytes(LENGTH) + text, LENGTH + max(lengths))
        texts = [frame[LENGTH : LENGTH + length] for frame, length in zip(frames, lengths, strict=True)]
        return [json.loads(text) for text in texts]

    def _gather_frames(self, text: bytes, size: int) -> list[bytes]:
        own = torch.frombuffer(bytearray(text[:size].ljust(size, b"\0")), dtype=torch.uint8)
        frames = [torch.empty_like(own) for _ in range(self.count)]
        with _heard():
            distributed.all_gather(frames, own, group=self._words)
        return [frame.numpy().tobytes() for frame in frames]


SINGLE = Processes()
"""One process that has no others."""


@contextmanager
def opened(device: torch.device, patience: float = PATIENCE, beat: float = BEAT) -> Iterator[Processes]:
    """Meet the other processes of this training, if it was launched as several; what one fails at ends all.

    Raises:
        UsageError: when the launcher did not say where to meet.
        DeviceError: when there are more processes on this machine than accelerators.
        TrainingError: when the others do not come, or one is gone.
    """
    launch = find_launch()
    if launch.processes == 1:
        yield SINGLE
        return
    _meet(launch, device, patience)
    # words go over gloo wherever tensors are, since no device has to be waited for
    words = distributed.new_group(backend="gloo", timeout=timedelta(seconds=patience))
    processes = Processes(launch, words, beat)
    try:
        yield processes
        processes.exchange()
    except MmxError as error:
        said = processes.fail(error)
        if said is error:
            raise
        raise said from error
    finally:
        distributed.destroy_process_group()


def _meet(launch: Launch, device: torch.device, patience: float) -> None:
    if device.type == "cuda":
        if launch.local_rank >= torch.cuda.device_count():
            raise DeviceError(
                f"process '{launch.local_rank}' of this machine has no card of its own: there "
                f"are {torch.cuda.device_count()}. Start as many processes as cards, or use --device cpu."
            )
        torch.cuda.set_device(launch.local_rank)
    elif device.type != "cpu":
        raise DeviceError(f"'{device.type}' trains in one process only. Use --device cpu, or one process.")
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        distributed.init_process_group(
            backend,
            timeout=timedelta(seconds=patience),
            rank=launch.rank,
            world_size=launch.processes,
        )
    except ValueError as error:
        raise UsageError(
            f"there are {launch.processes} processes, and nobody said where they meet ({error}). Start them "
            "with torchrun or accelerate launch."
        ) from error
    except RuntimeError as error:
        said = f"the {launch.processes} processes did not meet ({first_line(error)})"
        raise TrainingError(f"{said}. See that all were started, with the same address.") from error


@contextmanager
def _heard() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        late = "timed out" in str(error).lower()
        how = "it said nothing for too long" if late else "its connection is closed"
        raise TrainingError(
            f"another process of this training is gone: {how}. Go on from the last saved state with --resume."
        ) from error


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients of one kind, in their order, as many as are sent at a time."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        if bucket and (bucket[0].dtype != gradient.dtype or sum(g.numel() for g in bucket) > BUCKET):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket
