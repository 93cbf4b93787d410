"""Shards made by actors of Ray, one encoder an actor, fed by Ray Data with one number of a shard at a time.

The files are those of one process, byte for byte. An actor or a machine that is lost costs the shard it was
at: Ray begins that one again elsewhere.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.data
from torch import nn

from mmx.core.errors import ArtifactError, ResourceError
from mmx.core.reporter import Reporter
from mmx.engine.encode_shards import Job
from mmx.engine.ray_cluster import Crew, Node, crew
from mmx.engine.shard_worker import Outcome, ShardWorker, Task
from mmx.store.atomic import TEMPORARY_PREFIX, disk_errors
from mmx.store.shard import ShardHeader


class ShardActor:
    """A ShardWorker as Ray Data calls it: rows in, rows out."""

    def __init__(self, task: Task) -> None:
        self._worker = ShardWorker(task)

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """`number` of shards -> `number`, `items`, `error` and `words` of each."""
        made = [self._worker.make(int(number)) for number in rows["number"]]
        return {
            "number": rows["number"],
            "items": [outcome.items for outcome in made],
            "error": [outcome.error for outcome in made],
            "words": [outcome.words for outcome in made],
        }


@dataclass(frozen=True)
class RayShards:
    """A way to make the shards of an extraction (`mmx.engine.extractor.Make`): on a cluster joined before."""

    nodes: list[Node]
    device: str
    load: Callable[[], nn.Module]
    """Gives the encoder; sent to the actors by name."""

    def __call__(self, job: Job, folder: Path, pending: Sequence[ShardHeader], reporter: Reporter) -> int:
        """Make the shards and wait for them.

        Raises:
            MmxError: the first one that an actor met; finished shards stay.
            ResourceError: when a shard lost its actor again and again, or Ray all of them.
            ArtifactError: when the machines of Ray lack mmx, or do not share the folder.
        """
        actors, items = crew(self.nodes, self.device, len(pending)), 0
        with (
            disk_errors(folder),
            tempfile.TemporaryDirectory(dir=folder, prefix=TEMPORARY_PREFIX) as marks,
            job.bar(pending, reporter) as bar,
        ):
            task = self._task(job, folder, Path(marks).absolute(), pending[0], actors)
            for outcome in _outcomes(task, [header.number for header in pending], actors):
                items += outcome.check()
                bar.advance(outcome.items)
        return items

    def _task(self, job: Job, folder: Path, marks: Path, header: ShardHeader, actors: Crew) -> Task:
        return Task(
            load=self.load,
            dataset=job.manifest.folder.absolute(),
            folder=folder.absolute(),
            marks=marks,
            header=header,
            batch_size=job.batch_size,
            workers=job.workers,
            flip=job.flip,
            device=actors.device,
            threads=actors.threads,
        )


def _outcomes(task: Task, numbers: Sequence[int], actors: Crew) -> Iterator[Outcome]:
    """What becomes of the shards, in the order in which they are done."""
    shards = ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=len(numbers))
    shards.context.enable_progress_bars = False
    shards.context.print_on_execution_start = False
    made = shards.map_batches(
        ShardActor,
        fn_constructor_args=(task,),
        batch_size=1,
        num_cpus=actors.cores,
        num_gpus=actors.cards,
        # the next shard waits with us and not with an actor that may be lost; idle actors give up their
        # cores, which one that has lost its machine needs to begin again
        compute=ray.data.ActorPoolStrategy(
            min_size=1, max_size=actors.size, initial_size=actors.size, max_tasks_in_flight_per_actor=1
        ),
    )
    try:
        for row in made.iter_rows():
            yield Outcome(row["items"], row["error"], row["words"])
    except ray.exceptions.RayError as error:
        raise _told(error) from error


def _told(error: ray.exceptions.RayError) -> Exception:
    """What Ray says, as an error of ours where a user can mend it."""
    if isinstance(error, ray.exceptions.ActorDiedError | ray.exceptions.NodeDiedError):
        return ResourceError(
            "Ray lost its actors. Finished shards are kept; the same command goes on from there."
        )
    if "No module named 'mmx" in str(error):
        return ArtifactError(
            "the machines of Ray have no mmx of this version. Install it where ray start was typed."
        )
    return error
