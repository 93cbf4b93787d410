"""Randomness as a pure function of names and numbers, so that any step can be done again by itself."""

import hashlib
import re

from mmx.core.errors import UsageError

MOST_SEEDS = 1_000


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from its parts: equal parts give equal seeds, in any process and on any machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def read_seeds(text: str) -> tuple[int, ...]:
    """`1,2,5` as (1, 2, 5); a number alone is how many: `3` as (1, 2, 3).

    Raises:
        UsageError: for anything else, a seed that stands twice, or none at all.
    """
    if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", text.strip()):
        raise UsageError(
            f"--seeds '{text}' is not a list of whole numbers. Write it like --seeds 1,2,3, or --seeds 3 for "
            "the first three."
        )
    numbers = tuple(int(number) for number in text.strip().split(","))
    seeds = numbers if len(numbers) > 1 else tuple(range(1, min(numbers[0], MOST_SEEDS + 1) + 1))
    if len(set(seeds)) < len(seeds) or not 0 < len(seeds) <= MOST_SEEDS:
        raise UsageError(
            f"--seeds {text.strip()} is not possible: each seed once, at least one of them and at most "
            f"{MOST_SEEDS:,}."
        )
    return seeds
