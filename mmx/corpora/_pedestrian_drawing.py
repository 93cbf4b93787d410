"""Drawing a person as a tall crop: pose, size, place, light and background by chance."""

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageEnhance

from mmx.corpora._pedestrian_people import Person

OVERSAMPLING = 3
ASPECT = 3
"""A crop is so many times as tall as it is wide."""
TONES = {
    "red": (200, 36, 40),
    "green": (40, 140, 66),
    "blue": (40, 80, 190),
    "yellow": (232, 200, 44),
    "purple": (124, 52, 156),
    "orange": (236, 124, 28),
    "black": (30, 30, 34),
    "white": (240, 240, 238),
    "grey": (132, 134, 138),
    "brown": (116, 76, 44),
    "pink": (238, 144, 180),
    "blond": (222, 190, 110),
}
SKINS = ((244, 208, 178), (224, 172, 132), (172, 116, 78), (104, 68, 46))
WALLS = ((176, 170, 160), (150, 158, 166), (190, 180, 150), (120, 126, 120), (206, 206, 204))
GROUNDS = ((110, 110, 112), (140, 136, 128), (96, 124, 84), (156, 150, 140))
LIGHT_SHIRT = (214, 214, 208)
LIGHT = (0.75, 1.2)
# Heights down a person of height 1, from the crown to the soles.
NECK, WAIST, KNEE, SOLE = 0.17, 0.50, 0.74, 0.97
HALF_SHOULDERS, HALF_WAIST = 0.125, 0.095
LONGEST_STEP, LONGEST_SWING = 0.5, 0.6
Colour = tuple[int, ...]
Point = tuple[float, float]


@dataclass(frozen=True)
class _Body:
    """Where a person stands in the picture, and how the limbs are held."""

    pen: ImageDraw.ImageDraw
    left: float
    top: float
    height: float
    facing: int
    """1 to the right, -1 to the left."""
    from_behind: bool
    step: float
    """Angle of the forward leg from the plumb line, in radians."""
    swing: float
    """Of the forward arm."""

    def at(self, across: float, down: float) -> Point:
        """A place by its distance from the middle line and from the crown, in heights of the person."""
        return self.left + self.facing * across * self.height, self.top + down * self.height

    def limb(self, start: Point, angle: float, length: float, width: float, colour: Colour) -> Point:
        """A limb from a place on, hanging at an angle; its end."""
        end = (start[0] + length * math.sin(angle), start[1] + length * math.cos(angle))
        line = [self.at(*start), self.at(*end)]
        self.pen.line(line, fill=colour, width=max(1, round(width * self.height)))
        for place in line:
            self.disc(place, width / 2, colour)
        return end

    def shape(self, corners: list[Point], colour: Colour) -> None:
        """A filled outline."""
        self.pen.polygon([self.at(*corner) for corner in corners], fill=colour)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """A disc about a place in the picture; the radius in heights of the person."""
        (x, y), r = centre, radius * self.height
        self.pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def draw(person: Person, height: int, chance: random.Random) -> Image.Image:
    """A person as an RGB crop, three times as tall as wide, with smooth edges."""
    tall, wide = height * OVERSAMPLING, height * OVERSAMPLING // ASPECT
    canvas = Image.new("RGB", (wide, tall))
    pen = ImageDraw.Draw(canvas)
    _draw_background(pen, wide, tall, chance)
    size = tall * chance.uniform(0.80, 0.95)
    body = _Body(
        pen=pen,
        left=wide * chance.uniform(0.42, 0.58),
        top=(tall - size) * chance.random(),
        height=size,
        facing=chance.choice((1, -1)),
        from_behind=chance.random() < 0.5,
        step=chance.uniform(0, LONGEST_STEP),
        swing=chance.uniform(0, LONGEST_SWING),
    )
    _draw_person(body, person, _vary(chance.choice(SKINS), 8, chance), chance)
    picture = canvas.reduce(OVERSAMPLING)
    picture = ImageEnhance.Brightness(picture).enhance(chance.uniform(*LIGHT))
    return ImageEnhance.Color(picture).enhance(chance.uniform(*LIGHT))


def _draw_background(pen: ImageDraw.ImageDraw, wide: int, tall: int, chance: random.Random) -> None:
    wall, ground = (_vary(chance.choice(tones), 12, chance) for tones in (WALLS, GROUNDS))
    horizon = tall * chance.uniform(0.45, 0.8)
    pen.rectangle((0, 0, wide, horizon), fill=wall)
    pen.rectangle((0, horizon, wide, tall), fill=ground)
    # Posts, doors and bins of any colour, so that a colour somewhere in the picture proves nothing.
    for _ in range(chance.randint(0, 3)):
        left, width = wide * chance.uniform(-0.1, 1), wide * chance.uniform(0.05, 0.3)
        top = horizon * chance.uniform(0, 0.8)
        colour = _vary(chance.choice(list(TONES.values())), 30, chance)
        pen.rectangle((left, top, left + width, horizon + tall * chance.uniform(0, 0.1)), fill=colour)


def _draw_person(body: _Body, person: Person, skin: Colour, chance: random.Random) -> None:
    upper, lower, shoes, hair = (
        _vary(TONES[colour], 12, chance)
        for colour in (person.upper_colour, person.lower_colour, person.shoes_colour, person.hair_colour)
    )
    bag = _vary(TONES[person.bag_colour], 12, chance) if person.bag_colour else None
    if person.bag == "backpack" and bag is not None and not body.from_behind:
        _draw_backpack(body, bag)
    _draw_arm(body, person, upper, skin, -body.swing)
    _draw_legs(body, person, lower, shoes, skin)
    _draw_upper(body, person, upper)
    hand = _draw_arm(body, person, upper, skin, body.swing)
    if bag is not None:
        _draw_bag(body, person.bag, bag, hand)
    _draw_head(body, person, hair, skin)


def _draw_legs(body: _Body, person: Person, colour: Colour, shoes: Colour, skin: Colour) -> None:
    bare = person.lower != "trousers"
    for side, angle in ((-0.045, -body.step * 0.7), (0.045, body.step * 0.7)):
        knee = body.limb((side, WAIST), angle, KNEE - WAIST, 0.09, skin if bare else colour)
        if person.lower == "shorts":
            body.limb((side, WAIST), angle, (KNEE - WAIST) * 0.7, 0.10, colour)
        foot = body.limb(knee, angle * 0.3, SOLE - KNEE - 0.02, 0.07, skin if bare else colour)
        body.limb(foot, math.pi / 2, 0.035, 0.05, shoes)
    if person.lower == "skirt":
        flare = 0.13 + 0.06 * body.step
        body.shape(
            [(-HALF_WAIST, WAIST - 0.03), (HALF_WAIST, WAIST - 0.03), (flare, KNEE), (-flare, KNEE)], colour
        )


def _draw_upper(body: _Body, person: Person, colour: Colour) -> None:
    hem = KNEE - 0.04 if person.upper == "coat" else WAIST + 0.02
    flare = HALF_WAIST + 0.025 if person.upper == "coat" else HALF_WAIST
    body.shape(
        [(-HALF_SHOULDERS, NECK + 0.01), (HALF_SHOULDERS, NECK + 0.01), (flare, hem), (-flare, hem)], colour
    )
    if person.upper == "striped":
        for row in range(3):
            top = NECK + 0.06 + row * 0.09
            half = HALF_SHOULDERS - row * 0.01
            body.shape([(-half, top), (half, top), (half, top + 0.035), (-half, top + 0.035)], LIGHT_SHIRT)
    if person.upper == "jacket" and not body.from_behind:
        body.shape([(-0.035, NECK), (0.045, NECK), (0.03, hem), (-0.02, hem)], LIGHT_SHIRT)


def _draw_arm(body: _Body, person: Person, colour: Colour, skin: Colour, angle: float) -> Point:
    shoulder = (HALF_SHOULDERS - 0.01 if angle >= 0 else -HALF_SHOULDERS + 0.01, NECK + 0.04)
    elbow = body.limb(shoulder, angle * 0.6, 0.15, 0.065, colour)
    short = person.upper == "t-shirt"
    hand = body.limb(elbow, angle, 0.15, 0.05, skin if short else colour)
    body.disc(body.at(*hand), 0.028, skin)
    return hand


def _draw_backpack(body: _Body, colour: Colour) -> None:
    body.shape(
        [(-0.2, NECK + 0.03), (-0.06, NECK + 0.03), (-0.06, WAIST - 0.04), (-0.2, WAIST - 0.04)], colour
    )


def _draw_bag(body: _Body, bag: str, colour: Colour, hand: Point) -> None:
    if bag == "handbag":
        x, y = hand
        body.shape(
            [(x - 0.06, y + 0.03), (x + 0.06, y + 0.03), (x + 0.07, y + 0.13), (x - 0.07, y + 0.13)], colour
        )
    elif bag == "shoulder":
        body.pen.line(
            [body.at(HALF_SHOULDERS - 0.03, NECK + 0.01), body.at(-0.1, WAIST)],
            fill=colour,
            width=max(1, round(0.025 * body.height)),
        )
        body.shape(
            [(-0.17, WAIST - 0.05), (-0.04, WAIST - 0.05), (-0.04, WAIST + 0.08), (-0.17, WAIST + 0.08)],
            colour,
        )
    elif body.from_behind:
        body.shape(
            [(-0.085, NECK + 0.03), (0.085, NECK + 0.03), (0.085, WAIST - 0.05), (-0.085, WAIST - 0.05)],
            colour,
        )
    else:
        # From the front only the straps are seen, and the part that stands out behind.
        for side in (-0.07, 0.07):
            body.limb((side, NECK + 0.02), 0.0, 0.16, 0.025, colour)


def _draw_head(body: _Body, person: Person, hair: Colour, skin: Colour) -> None:
    centre = 0.09
    if person.hair == "long":
        body.shape([(-0.075, 0.05), (0.065, 0.05), (0.06, NECK + 0.07), (-0.085, NECK + 0.07)], hair)
    body.disc(body.at(0.0, centre), 0.075, hair)
    if not body.from_behind:
        body.disc(body.at(0.02, centre + 0.018), 0.056, skin)
    if person.hair == "cap":
        body.shape([(-0.02, 0.055), (0.13, 0.055), (0.13, 0.075), (-0.02, 0.075)], hair)


def _vary(tone: Colour, change: int, chance: random.Random) -> Colour:
    return tuple(min(255, max(0, part + chance.randint(-change, change))) for part in tone)
