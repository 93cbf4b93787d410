"""Person search: captions look for every image of an identity.

Source: the protocol of Li et al., CVPR 2017 (Rank-k), with mAP and mINP as in arXiv 2001.04193.
"""

import math

from mmx.tasks.recall import CUTOFFS, NO_ANSWER, Ranks

METRICS = (*(f"rank@{k}" for k in CUTOFFS), "map", "minp")
PRIMARY = "map"
"""What weights are chosen by on val: unlike Rank-1 it counts every image of the identity."""

DEFINITIONS = {
    "query": "A caption looks for the images of its identity among all images of the split; the image that "
    "it was written for is one of them. A caption without a right answer is left out and counted.",
    "rank": "rank@k: percent of captions with a right image among the first k.",
    "map": "map: mean average precision, over all right images of a caption, in percent.",
    "minp": "minp: mean of right images / place of the last of them, in percent.",
    "ties": "Ties count against: a wrong image that scores as high as a right one stands before it.",
}
"""What the numbers mean, printed and saved with them."""


def person_metrics(ranks: Ranks) -> dict[str, float]:
    """Rank-1, 5 and 10, mAP and mINP in percent.

    Raises:
        ValueError: when no caption has a right answer, or the whole lists were not counted.
    """
    if ranks.lists is None:
        raise ValueError("the captions' whole lists were not counted")
    places = ranks.answered("t2i")
    if not len(places):
        raise ValueError("no t2i query has a right answer")
    asked = ranks.t2i != NO_ANSWER
    metrics = {f"rank@{k}": 100.0 * int((places < k).sum()) / len(places) for k in CUTOFFS}
    for name, values in (("map", ranks.lists.precision), ("minp", ranks.lists.inverse)):
        # fsum, so that the mean does not depend on the order of the captions
        metrics[name] = 100.0 * math.fsum(values[asked].tolist()) / len(places)
    return metrics
