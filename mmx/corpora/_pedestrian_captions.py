"""Captions of a drawn person: the clothing always, and of the rest what the writer cared to tell."""

import random
from collections.abc import Sequence

from mmx.corpora._pedestrian_people import Person

UPPERS = {
    "t-shirt": ("t-shirt", "tee", "short sleeved shirt"),
    "sweater": ("sweater", "pullover", "long sleeved top"),
    "striped": ("striped shirt", "shirt with stripes", "top with horizontal stripes"),
    "jacket": ("open jacket", "jacket over a light shirt", "unzipped jacket"),
    "coat": ("long coat", "coat that reaches the knees", "overcoat"),
}
LOWERS = {
    "trousers": ("trousers", "pants", "long pants"),
    "shorts": ("shorts", "short pants", "knee length shorts"),
    "skirt": ("skirt", "knee length skirt"),
}
BAGS = {
    "backpack": ("a {} backpack", "a {} rucksack on the back"),
    "handbag": ("a {} handbag", "a {} bag in the hand"),
    "shoulder": ("a {} shoulder bag", "a {} bag with a strap across the body"),
}
SHADES = {"grey": ("grey", "gray"), "purple": ("purple", "violet"), "white": ("white", "plain white")}
WHO = ("a person", "the pedestrian", "someone", "this person")
WEARS = ("wears", "is wearing", "has on", "is dressed in")
CLOTHING = ("{upper} and {lower}", "{upper} with {lower}", "{lower} and {upper}", "{lower} below {upper}")
ALONGSIDE = ("{} shoes", "a pair of {} shoes", "{} sneakers")
CARRIES = ("carries {}", "is carrying {}", "has {}")
SHARE_TOLD = 0.6


def describe(person: Person, count: int, chance: random.Random) -> tuple[str, ...]:
    """So many different captions."""
    told: dict[str, None] = {}
    while len(told) < count:
        told[_describe(person, chance)] = None
    return tuple(told)


def _describe(person: Person, chance: random.Random) -> str:
    upper = f"a {_shade(person.upper_colour, chance)} {chance.choice(UPPERS[person.upper])}"
    article = "a " if person.lower == "skirt" else ""
    lower = f"{article}{_shade(person.lower_colour, chance)} {chance.choice(LOWERS[person.lower])}"
    clothing = chance.choice(CLOTHING).format(upper=upper, lower=lower)
    more = [fact for fact in _others(person, chance) if chance.random() < SHARE_TOLD]
    chance.shuffle(more)
    return " and ".join([f"{chance.choice(WHO)} {chance.choice(WEARS)} {clothing}", *more])


def _others(person: Person, chance: random.Random) -> Sequence[str]:
    shoes = chance.choice(ALONGSIDE).format(_shade(person.shoes_colour, chance))
    colour = _shade(person.hair_colour, chance)
    hair = f"has a {colour} cap" if person.hair == "cap" else f"has {person.hair} {colour} hair"
    if person.bag == "none":
        return hair, f"wears {shoes}", "carries no bag"
    bag = chance.choice(BAGS[person.bag]).format(_shade(person.bag_colour, chance))
    return hair, f"wears {shoes}", chance.choice(CARRIES).format(bag)


def _shade(colour: str, chance: random.Random) -> str:
    return chance.choice(SHADES.get(colour, (colour,)))
