"""Drawing a scene: each group in its own part of the canvas; place, size, turn and tones by chance."""

import math
import random

from PIL import Image, ImageDraw

from mmx.corpora._toy_scenes import Group, Scene

OVERSAMPLING = 3
TONES = {
    "red": (214, 32, 38),
    "green": (34, 146, 62),
    "blue": (36, 78, 200),
    "yellow": (240, 208, 32),
    "purple": (128, 46, 160),
    "orange": (242, 128, 20),
    "black": (26, 26, 28),
}
BACKGROUNDS = (
    (244, 240, 232),
    (228, 236, 242),
    (232, 242, 230),
    (242, 230, 234),
    (222, 222, 222),
    (250, 250, 250),
)
TONE_CHANGE, BACKGROUND_CHANGE = 10, 6
LARGEST_TURN = math.pi / 15
# Parts of the canvas as fractions left, top, right, bottom; the gaps keep "left of" and "above" true.
PARTS = {
    ("alone", 1): ((0.10, 0.10, 0.90, 0.90),),
    ("row", 2): ((0.03, 0.22, 0.48, 0.78), (0.52, 0.22, 0.97, 0.78)),
    ("column", 2): ((0.22, 0.03, 0.78, 0.48), (0.22, 0.52, 0.78, 0.97)),
    ("row", 3): ((0.02, 0.28, 0.32, 0.72), (0.35, 0.28, 0.65, 0.72), (0.68, 0.28, 0.98, 0.72)),
    ("column", 3): ((0.28, 0.02, 0.72, 0.32), (0.28, 0.35, 0.72, 0.65), (0.28, 0.68, 0.72, 0.98)),
    ("pair-above", 3): ((0.03, 0.05, 0.48, 0.48), (0.52, 0.05, 0.97, 0.48), (0.25, 0.53, 0.75, 0.96)),
    ("pair-below", 3): ((0.25, 0.04, 0.75, 0.47), (0.03, 0.52, 0.48, 0.95), (0.52, 0.52, 0.97, 0.95)),
}
# Where the shapes of a group stand within their part, as fractions of it, by their number.
PLACES = {
    1: ((0.5, 0.5),),
    2: ((0.27, 0.5), (0.73, 0.5)),
    3: ((0.5, 0.26), (0.26, 0.74), (0.74, 0.74)),
    4: ((0.26, 0.26), (0.74, 0.26), (0.26, 0.74), (0.74, 0.74)),
}
LARGEST_RADIUS = {1: 0.46, 2: 0.24, 3: 0.24, 4: 0.23}


def draw(scene: Scene, size: int, chance: random.Random) -> Image.Image:
    """A scene as a square RGB picture with smooth edges."""
    wide = size * OVERSAMPLING
    background = _vary(chance.choice(BACKGROUNDS), BACKGROUND_CHANGE, chance)
    canvas = Image.new("RGB", (wide, wide), background)
    pen = ImageDraw.Draw(canvas)
    parts = PARTS[scene.arrangement, len(scene.groups)]
    for group, part in zip(scene.groups, parts, strict=True):
        _draw_group(pen, group, [edge * wide for edge in part], background, chance)
    return canvas.reduce(OVERSAMPLING)


def _draw_group(
    pen: ImageDraw.ImageDraw,
    group: Group,
    part: list[float],
    background: tuple[int, ...],
    chance: random.Random,
) -> None:
    left, top, right, bottom = part
    side = min(right - left, bottom - top)
    # A group takes a square of its part, moved about by chance within it.
    left += (right - left - side) * chance.random()
    top += (bottom - top - side) * chance.random()
    share = chance.uniform(0.72, 1.0)
    slack = side * (1 - share)
    left, top, side = left + slack * chance.random(), top + slack * chance.random(), side * share
    radius = side * LARGEST_RADIUS[group.count]
    colour = _vary(TONES[group.colour], TONE_CHANGE, chance)
    for across, down in PLACES[group.count]:
        centre = (left + side * across, top + side * down)
        turn = chance.uniform(-LARGEST_TURN, LARGEST_TURN)
        _draw_shape(pen, group.shape, centre, radius * chance.uniform(0.88, 1.0), turn, colour, background)


def _draw_shape(
    pen: ImageDraw.ImageDraw,
    shape: str,
    centre: tuple[float, float],
    radius: float,
    turn: float,
    colour: tuple[int, ...],
    background: tuple[int, ...],
) -> None:
    if shape in {"circle", "ring"}:
        pen.ellipse(_box(centre, radius), fill=colour)
        if shape == "ring":
            pen.ellipse(_box(centre, radius * 0.55), fill=background)
        return
    x, y = centre
    corners = [
        (x + radius * r * math.sin(a + turn), y - radius * r * math.cos(a + turn)) for r, a in OUTLINES[shape]
    ]
    pen.polygon(corners, fill=colour)


def _box(centre: tuple[float, float], radius: float) -> tuple[float, float, float, float]:
    return (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)


def _vary(tone: tuple[int, ...], change: int, chance: random.Random) -> tuple[int, ...]:
    return tuple(min(255, max(0, part + chance.randint(-change, change))) for part in tone)


def _spikes(count: int, inner: float) -> list[tuple[float, float]]:
    """Corners of a star as (radius, angle from the top)."""
    return [(1.0 if step % 2 == 0 else inner, math.pi * step / count) for step in range(2 * count)]


def _cross(arm: float) -> list[tuple[float, float]]:
    """Corners of an upright cross with arms of half-width `arm`."""
    quarter = [(math.hypot(1, arm), -math.atan(arm)), (math.hypot(1, arm), math.atan(arm))]
    quarter.append((arm * math.sqrt(2), math.pi / 4))
    return [(r * 0.95, a + math.pi / 2 * step) for step in range(4) for r, a in quarter]


OUTLINES = {
    "square": [(1.0, math.pi / 4 + math.pi / 2 * step) for step in range(4)],
    "triangle": [(1.0, 2 * math.pi / 3 * step) for step in range(3)],
    "star": _spikes(5, 0.42),
    "cross": _cross(0.28),
}
