"""The task by which a run matches pictures and words."""

from pathlib import Path

from mmx.core.errors import UsageError
from mmx.core.method import Method
from mmx.core.task import Retrieval, Study


def retrieval_of(method: Method, run: Path) -> Retrieval:
    """How the method of a run embeds, indexes and ranks.

    Raises:
        UsageError: when it does not, or when its embeddings must not be used so.
    """
    for task in method.tasks:
        if isinstance(task, Retrieval):
            return task
        if isinstance(task, Study):
            raise UsageError(
                f"'{run}' cannot be ranked, indexed or searched with: {task.why}. "
                "Its log.jsonl holds its losses."
            )
    raise UsageError(f"'{run}' does not match pictures and words. See what there is: mmx runs")
