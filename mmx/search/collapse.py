"""Near duplicates among hits: the best of each group stays, and the others stand behind it."""

from torch import Tensor


def collapse(vectors: Tensor, least: float) -> list[list[int]]:
    """[M, D] of unit length, best hit first -> groups of places; the first of each is its best.

    A hit joins the first group whose best it is as near to as `least`; so no two that stay are that near.
    """
    groups: list[list[int]] = []
    for place, vector in enumerate(vectors):
        heads = vectors[[group[0] for group in groups]]
        near = (heads @ vector >= least).nonzero().flatten().tolist() if groups else []
        if near:
            groups[near[0]].append(place)
        else:
            groups.append([place])
    return groups
