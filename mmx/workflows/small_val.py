"""What to know of numbers that were taken on few pictures."""

from collections.abc import Sequence
from pathlib import Path

from mmx.core.record import Record
from mmx.core.task import PostTask, Retrieval, Study, Task
from mmx.store.shipped import shipped_run

FEW = 100


def said_of_small_val(task: Task, dataset: str, records: Sequence[Record], run: Path) -> str:
    """A note where val has fewer than a hundred records, with what says more; empty where it has enough, and
    of a study, whose loss is no share of anything.

    Args:
        task: what the run was trained for.
        dataset: as it is prepared.
        records: those of val.
        run: its folder.
    """
    count = len(records)
    if isinstance(task, Study) or not 0 < count < FEW:
        return ""
    what = "posts" if isinstance(task, PostTask) else "pictures"
    note = (
        f"note: val has {count} {what}, so that these numbers say little: one of them is "
        f"{100 / count:.1f} points of a recall or an accuracy. How sure they are: mmx evaluate {run} --split "
        "val"
    )
    shipped = shipped_run()
    if not isinstance(task, Retrieval) or shipped is None:
        return note
    return (
        f"{note}\nnote: beside the run that comes with mmx: mmx compare {shipped.name} {run} "
        f"--dataset {dataset} --split val"
    )
