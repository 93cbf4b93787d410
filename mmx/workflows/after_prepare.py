"""What to type after a preparation: which command learns from such records."""

from collections.abc import Sequence

from mmx.core.discover import find_all
from mmx.core.record import Record
from mmx.core.task import PostTask
from mmx.store.run_record import RunRecord
from mmx.store.shipped import shipped_run

PRESET = "offline"
"""Whose encoders need no network, as those of the run that comes with mmx."""


def next_step(dataset: str, records: Sequence[Record], pictures: bool) -> str:
    """The command; empty where there is none to name, as of features without pictures.

    Args:
        dataset: as it is prepared.
        records: all of it.
        pictures: whether any is at hand.
    """
    if any(record.tags or record.sentiment is not None for record in records):
        return _train(_post_method(), dataset)
    if not pictures:
        return ""
    if any(record.label is not None for record in records) and not any(record.captions for record in records):
        return f"mmx fewshot {dataset} --shots 4,16"
    shipped = shipped_run()
    method = "" if shipped is None else RunRecord.open(shipped).facts["method"]
    return _train(method, f"{dataset} --preset {PRESET}")


def _post_method() -> str:
    """The first method that learns from posts; that loads what methods need, which takes a second or two."""
    methods = find_all("mmx.methods").items()
    fit = (name for name, method in methods if any(isinstance(task, PostTask) for task in method.tasks))
    return next(fit, "")


def _train(method: str, dataset: str) -> str:
    return f"mmx train {method} --dataset {dataset}" if method else ""
