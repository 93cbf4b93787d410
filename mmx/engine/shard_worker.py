"""One shard at a time, made by a process of another machine that shares our folders.

What it is sent are a few names and numbers; records, pictures and weights it reads itself. What it sends back
is how far it came, or the error in words, so that the error is the same wherever it was met.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mmx.core.errors import ArtifactError, MmxError, ResourceError
from mmx.core.reporter import SilentReporter
from mmx.engine.encode_shards import Job
from mmx.engine.extractor import make_here
from mmx.store.atomic import disk_errors
from mmx.store.manifest import Manifest
from mmx.store.shard import ShardHeader


@dataclass(frozen=True)
class Task:
    """What every worker of one extraction is told."""

    load: Callable[[], nn.Module]
    """Gives the encoder, on the CPU."""
    dataset: Path
    """Folder of the manifest."""
    folder: Path
    """Where the shards go."""
    marks: Path
    """A folder that is there during this extraction: whoever sees it shares the folder. In it, by the number
    of a shard, a byte for each time that it was begun.
    """
    header: ShardHeader
    """Of any shard of the split."""
    batch_size: int
    workers: int
    flip: bool
    device: str
    threads: int
    """Threads of torch: sums come out alike only with the same number."""


@dataclass(frozen=True)
class Outcome:
    """What became of a shard: images or captions encoded, or the kind of error and its words."""

    items: int = 0
    error: str = ""
    words: str = ""

    def check(self) -> int:
        """The images or captions encoded.

        Raises:
            MmxError: the one that the worker met.
        """
        if self.error:
            raise next(kind for kind in MmxError.__subclasses__() if kind.__name__ == self.error)(self.words)
        return self.items


TRIES = 4
"""Times that a shard is begun: one at which its worker is lost every time ends the work."""


class ShardWorker:
    """One encoder, loaded for the first shard and kept for the next ones."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._job: Job | None = None

    def make(self, number: int) -> Outcome:
        """Make a shard; an error that a user can mend comes back as an outcome."""
        try:
            self._begin(number)
            header = self._task.header.at(number)
            return Outcome(make_here(self._ready(), self._task.folder, [header], SilentReporter()))
        except MmxError as error:
            return Outcome(error=type(error).__name__, words=str(error))

    def _ready(self) -> Job:
        if self._job is None:
            self._job = self._load()
        return self._job

    def _load(self) -> Job:
        task = self._task
        torch.set_num_threads(task.threads)
        manifest, encoder = Manifest.open(task.dataset), task.load()
        for what, found, wanted in (
            ("manifest", manifest.fingerprint, task.header.manifest),
            ("weights", encoder.fingerprint, task.header.fingerprint),
        ):
            if found != wanted:
                raise ArtifactError(
                    f"'{socket.gethostname()}' has other {what} than the machine that asks: fingerprint "
                    f"'{found}', not '{wanted}'. Give all machines the same {what} and the same mmx."
                )
        device = torch.device(task.device)
        records = manifest.split(task.header.split)
        return Job(encoder.to(device), manifest, records, task.batch_size, task.workers, task.flip, device)

    def _begin(self, number: int) -> None:
        if not self._task.marks.is_dir():
            raise ArtifactError(
                f"'{socket.gethostname()}' does not see '{self._task.folder}' of the machine that asks. "
                "Put the home on a file system that all of them share, under the same path: --home PATH."
            )
        with disk_errors(self._task.marks), (self._task.marks / str(number)).open("ab") as file:
            file.write(b"x")
            if file.tell() > TRIES:
                raise ResourceError(
                    f"shard {number} of '{self._task.header.split}' lost its process {TRIES} times, as when "
                    "memory runs out. Use a smaller --batch-size, or more OMP_NUM_THREADS for fewer actors."
                )
