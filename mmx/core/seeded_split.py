"""Splits drawn by a seed: a pure function of the seed and the names, whatever order they come in."""

from collections.abc import Collection, Mapping

from mmx.core.record import SPLITS
from mmx.core.seed import derive_seed

TENTHS = {"train": 0.8, "val": 0.1, "test": 0.1}


def seeded_order(names: Collection[str], seed: int) -> list[str]:
    """The names, shuffled."""
    return sorted(set(names), key=lambda name: (derive_seed("split", seed, name), name))


def seeded_split(names: Collection[str], seed: int, shares: Mapping[str, float] = TENTHS) -> dict[str, str]:
    """The split of each name. From three names on, no split with a share is empty; the first never is."""
    order = seeded_order(names, seed)
    wanted = [split for split in SPLITS if shares.get(split)]
    least = 1 if len(order) >= len(wanted) else 0
    # The last splits are cut off first, so that train takes what rounding leaves.
    sizes = {split: max(least, round(shares[split] * len(order))) for split in wanted[1:]}
    chosen: dict[str, str] = {}
    for place, (split, size) in enumerate(sizes.items(), start=1):
        kept_back = len(wanted) - place if least else 1
        for _ in range(min(size, len(order) - kept_back)):
            chosen[order.pop()] = split
    return {**chosen, **dict.fromkeys(order, wanted[0])}
