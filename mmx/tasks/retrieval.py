"""The numbers of a retrieval: those of person search where whole lists were counted, else recalls."""

from collections.abc import Mapping

from mmx.tasks import person_search, recall
from mmx.tasks.person_search import person_metrics
from mmx.tasks.recall import Ranks, recall_metrics


def retrieval_metrics(ranks: Ranks) -> dict[str, float]:
    """By name, in percent, and median ranks.

    Raises:
        ValueError: when a direction has no query with a right answer.
    """
    return recall_metrics(ranks) if ranks.lists is None else person_metrics(ranks)


def primary_metric(ranks: Ranks) -> str:
    """The one that weights and settings are chosen by."""
    return "rsum" if ranks.lists is None else person_search.PRIMARY


def definitions(ranks: Ranks) -> Mapping[str, str]:
    """What the numbers mean."""
    return recall.DEFINITIONS if ranks.lists is None else person_search.DEFINITIONS
