"""People as plain descriptions: what each wears and carries; no two of them alike.

People come in pairs that say the same words in another order: the colours of the upper and the lower clothing
are swapped, so that a matcher of bare words cannot tell the two apart.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "black", "white", "grey", "brown", "pink")
HAIR_COLOURS = ("black", "brown", "blond", "grey", "red")
UPPERS = ("t-shirt", "sweater", "striped", "jacket", "coat")
LOWERS = ("trousers", "shorts", "skirt")
HAIRS = ("short", "long", "cap")
BAGS = ("none", "backpack", "handbag", "shoulder")
SHARE_OF_BAGS = (2, 3, 2, 2)
PATIENCE = 10_000


@dataclass(frozen=True)
class Person:
    """Everything that stays the same from crop to crop."""

    hair: str
    """`cap` for a cap over short hair."""
    hair_colour: str
    """Of the cap, where there is one."""
    upper: str
    upper_colour: str
    lower: str
    lower_colour: str
    shoes_colour: str
    bag: str
    bag_colour: str


class PersonSource:
    """Draws people of whom no two wear and carry the same."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._seen: set[Person] = set()

    def pairs(self) -> Iterator[tuple[Person, Person]]:
        """Two people who differ in nothing but which of two colours is above; ends when none are left."""
        misses = 0
        while misses < PATIENCE:
            pair = self._pair()
            misses = misses + 1 if self._seen & set(pair) else 0
            if not misses:
                self._seen |= set(pair)
                yield pair

    def _pair(self) -> tuple[Person, Person]:
        choose = self._random.choice
        above, below = self._random.sample(COLOURS, 2)
        bag = self._random.choices(BAGS, SHARE_OF_BAGS)[0]
        hair = choose(HAIRS)
        one = Person(
            hair=hair,
            hair_colour=choose(COLOURS if hair == "cap" else HAIR_COLOURS),
            upper=choose(UPPERS),
            upper_colour=above,
            lower=choose(LOWERS),
            lower_colour=below,
            shoes_colour=choose(COLOURS),
            bag=bag,
            bag_colour="" if bag == "none" else choose(COLOURS),
        )
        return one, replace(one, upper_colour=below, lower_colour=above)
