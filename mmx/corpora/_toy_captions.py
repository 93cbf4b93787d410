"""Captions of a drawn scene: several wordings, each of which tells the whole scene."""

import random

from mmx.corpora._toy_scenes import Group, Scene

NUMBERS = {1: ("a", "one", "a single"), 2: ("two", "a pair of"), 3: ("three",), 4: ("four",)}
NOUNS = {
    "circle": ("circle", "disc"),
    "square": ("square",),
    "triangle": ("triangle",),
    "star": ("star",),
    "cross": ("cross", "plus sign"),
    "ring": ("ring", "hoop"),
}
PLURALS = {"cross": "crosses"}
ALONE = (
    "{a} and nothing else",
    "only {a}",
    "a picture of just {a}",
    "{a} alone on a plain background",
    "nothing but {a} in the picture",
    "{a} with no other shape around",
)
ROW_OF_TWO = (
    "{a} to the left of {b}",
    "{b} to the right of {a}",
    "on the left {a} , on the right {b}",
    "{a} left of {b}",
    "{b} on the right and {a} on the left",
    "{a} on the left side with {b} on the right side",
    "left is {a} and right is {b}",
)
COLUMN_OF_TWO = (
    "{a} above {b}",
    "{b} below {a}",
    "at the top {a} , at the bottom {b}",
    "{a} over {b}",
    "{b} underneath {a}",
    "{a} in the upper half and {b} in the lower half",
    "{b} at the bottom and {a} at the top",
)
ROW_OF_THREE = (
    "{a} , {b} and {c} from left to right",
    "{c} , {b} and {a} from right to left",
    "{b} between {a} on the left and {c} on the right",
    "{a} on the left , {b} in the middle and {c} on the right",
    "{a} left of {b} , which stands left of {c}",
    "{c} to the right of {b} , with {a} on the far left",
)
COLUMN_OF_THREE = (
    "{a} , {b} and {c} from top to bottom",
    "{c} , {b} and {a} from bottom to top",
    "{b} between {a} at the top and {c} at the bottom",
    "{a} at the top , {b} in the middle and {c} at the bottom",
    "{a} above {b} , which stands above {c}",
    "{c} underneath {b} , with {a} at the very top",
)
PAIR_ABOVE = (
    "{a} left of {b} , both above {c}",
    "{c} below {a} on the left and {b} on the right",
    "at the top {a} beside {b} on its right , at the bottom {c}",
    "{b} to the right of {a} , with {c} underneath them",
    "{a} in the upper left , {b} in the upper right and {c} at the bottom",
    "under {a} and {b} from left to right stands {c}",
)
PAIR_BELOW = (
    "{a} above {b} on the left and {c} on the right",
    "{b} left of {c} , both below {a}",
    "at the top {a} , at the bottom {b} with {c} on its right",
    "{c} to the right of {b} , with {a} above them",
    "{a} at the top , {b} in the lower left and {c} in the lower right",
    "over {b} and {c} from left to right stands {a}",
)
WORDINGS = {
    ("alone", 1): ALONE,
    ("row", 2): ROW_OF_TWO,
    ("column", 2): COLUMN_OF_TWO,
    ("row", 3): ROW_OF_THREE,
    ("column", 3): COLUMN_OF_THREE,
    ("pair-above", 3): PAIR_ABOVE,
    ("pair-below", 3): PAIR_BELOW,
}


def describe(scene: Scene, captions: int, chance: random.Random) -> tuple[str, ...]:
    """So many captions of a scene, no wording twice."""
    wordings = chance.sample(WORDINGS[scene.arrangement, len(scene.groups)], captions)
    return tuple(_say(wording, scene, chance) for wording in wordings)


def _say(wording: str, scene: Scene, chance: random.Random) -> str:
    names = {letter: _name(group, chance) for letter, group in zip("abc", scene.groups, strict=False)}
    return wording.format(**names)


def _name(group: Group, chance: random.Random) -> str:
    number = chance.choice(NUMBERS[group.count])
    noun = chance.choice(NOUNS[group.shape])
    if group.count > 1:
        noun = PLURALS.get(noun, noun + "s")
    article = "an" if number == "a" and group.colour[0] in "aeiou" else number
    return f"{article} {group.colour} {noun}"
