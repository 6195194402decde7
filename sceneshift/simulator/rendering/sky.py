"""Skies, and what stands along the horizon: clouds, sun, moon, stars, birds, mountain ridges."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from PIL import ImageChops

from sceneshift.simulator.rendering.brief import Light
from sceneshift.simulator.rendering.canvas import Canvas, Point, fading, noise, thresholded
from sceneshift.simulator.rendering.colour import WHITE, Colour, Stops, darker, lighter, mix, vary
from sceneshift.simulator.rendering.stage import Stage

_SKIES: dict[Light, Stops] = {
    Light.DAY: ((0, (70, 130, 200)), (0.55, (138, 186, 226)), (1, (220, 234, 242))),
    Light.SUNSET: ((0, (66, 78, 138)), (0.45, (190, 120, 140)), (0.75, (244, 164, 120)), (1, (255, 214, 158))),
    Light.NIGHT: ((0, (8, 14, 36)), (0.6, (26, 38, 76)), (1, (70, 84, 126))),
}


def haze_colour(stage: Stage) -> Colour:
    """The colour that distance takes on."""
    return stage.by_light((214, 228, 238), (246, 196, 158), (62, 76, 116))


def paint_sky(stage: Stage, horizon: float) -> None:
    random, canvas = stage.random, stage.canvas
    canvas.fill_gradient([(place, vary(random, colour)) for place, colour in _SKIES[stage.brief.light]], bottom=horizon)
    if stage.brief.light is Light.NIGHT:
        if stars := stage.prop("star"):
            _paint_stars(stars, horizon)
        if moon := stage.prop("moon"):
            _paint_moon(moon)
    else:
        if sun := stage.prop("sun"):
            _paint_sun(sun, horizon)
        if clouds := stage.prop("cloud"):
            _paint_clouds(clouds, horizon)
    if birds := stage.wish("seagull", "gull", "bird"):
        _paint_birds(birds, horizon)


def _paint_sun(stage: Stage, horizon: float) -> None:
    x = stage.random.uniform(0.12, 0.88)
    if stage.brief.light is Light.SUNSET:
        y = horizon - stage.random.uniform(0.02, 0.09)
        stage.canvas.glow((x, y), 0.75, (255, 170, 90), strength=0.7)
        stage.canvas.disc((x, y), 0.045, (255, 240, 206))
        stage.canvas.glow((x, y), 0.2, (255, 220, 160), strength=0.8)
    else:
        stage.canvas.glow((x, horizon * 0.15), 0.55, (255, 248, 226), strength=0.45)


def _paint_stars(stage: Stage, horizon: float) -> None:
    random, canvas = stage.random, stage.canvas
    for _ in range(70):
        place = (random.random(), horizon * random.random() ** 1.4)
        canvas.disc(place, random.choice((0.0008, 0.0012, 0.002)), (226, 232, 255), opacity=random.uniform(0.35, 0.95))


def _paint_moon(stage: Stage) -> None:
    random, canvas = stage.random, stage.canvas
    moon = (random.uniform(0.12, 0.88), random.uniform(0.08, 0.2))
    canvas.glow(moon, 0.3, (150, 170, 220), strength=0.6)
    canvas.disc(moon, 0.032, (240, 240, 228))
    canvas.disc((moon[0] + 0.008, moon[1] - 0.006), 0.008, (214, 216, 210), opacity=0.6)


def _paint_clouds(stage: Stage, horizon: float) -> None:
    random, canvas = stage.random, stage.canvas
    size = (canvas.width // 2, max(round(canvas.height * horizon / 2), 2))
    density = noise(random, size, (random.uniform(2, 4), random.uniform(4, 7)), octaves=5, gain=0.55)
    cover = random.uniform(0.46, 0.54)
    mask = ImageChops.multiply(thresholded(density, cover, cover + 0.2, most=0.92), fading(size, 1, 0.35))
    shade = ImageChops.offset(mask, 0, max(size[1] // 40, 1))
    full = (canvas.width, round(canvas.height * horizon))
    canvas.stain(stage.by_light((168, 186, 206), (176, 104, 118), WHITE), shade.resize(full))
    canvas.stain(stage.by_light((255, 255, 255), (255, 208, 178), WHITE), mask.resize(full))


def _paint_birds(stage: Stage, horizon: float) -> None:
    random = stage.random
    for _ in range(random.randint(9, 15)):
        x, y = random.uniform(0.04, 0.96), random.uniform(0.04, horizon * 0.85)
        span, lift = random.uniform(0.012, 0.036), random.uniform(0.35, 0.75)
        tilt = random.uniform(-0.25, 0.25) * span
        wing = [(x - span, y - span * lift + tilt), (x - span * 0.5, y - span * lift * 1.15), (x, y)]
        other = [(x, y), (x + span * 0.5, y - span * lift * 1.1), (x + span, y - span * lift * 0.8 - tilt)]
        for side in (wing, other):
            stage.canvas.line(side, span * 0.16, (252, 252, 252))
            stage.canvas.line([side[0], side[1]] if side is wing else [side[1], side[2]], span * 0.05, (150, 158, 168))
        stage.canvas.line([(x - span * 0.18, y + span * 0.05), (x + span * 0.22, y)], span * 0.17, (236, 238, 242))


def ridge(random: Random, *, base: float, relief: float, roughness: float = 0.5, levels: int = 7) -> list[Point]:
    """A mountain line from the left edge to the right one, by halving: no point lies below `base`."""
    heights = [random.uniform(0.2, 0.8), random.uniform(0.2, 1.0), random.uniform(0.2, 0.8)]
    swing = 0.5
    for _ in range(levels):
        between = [(a + b) / 2 + random.uniform(-swing, swing) * 0.5 for a, b in pairwise(heights)]
        heights = [value for pair in zip(heights, [*between, 0], strict=True) for value in pair][:-1]
        swing *= roughness
    lowest, highest, last = min(heights), max(heights), len(heights) - 1
    shares = [0.12 + 0.88 * (height - lowest) / (highest - lowest) for height in heights]
    return [(index / last, base - relief * share) for index, share in enumerate(shares)]


def paint_ridge(canvas: Canvas, line: list[Point], floor: float, colour: Colour, mist: Colour) -> None:
    """The land under this line, down to `floor`, growing misty towards its foot."""
    top = min(y for _, y in line)
    body = canvas.ramp([(0, colour), (1, mist)], top=top, bottom=floor)
    canvas.polygon([(0, floor), *line, (1, floor)], body)


def paint_mountain_faces(stage: Stage, line: list[Point], colour: Colour, *, snow: bool) -> None:
    """Each peak gets a lit and a shaded face, and snow down to a ragged edge where it is wanted."""
    random, canvas = stage.random, stage.canvas
    foot = max(y for _, y in line)
    relief = foot - min(y for _, y in line)
    if snow:
        snowline = ridge(random, base=foot - relief * 0.18, relief=relief * 0.46, roughness=0.8)
        edge = [(x, max(y, low)) for (x, y), (_, low) in zip(line, snowline, strict=True)]
        canvas.polygon([*line, *reversed(edge)], lighter(mix(colour, (226, 234, 246), 0.85), 0.35))
    for index in _peaks(line):
        x, y = line[index]
        depth, lean = (foot - y) * random.uniform(0.55, 0.95), random.uniform(0.01, 0.06)
        right = [point for point in line[index:] if point[0] < x + 0.09 and point[1] < y + depth]
        spine = [
            (x + lean * share + random.uniform(-0.008, 0.008), y + depth * share) for share in (0.9, 0.6, 0.35, 0.15)
        ]
        canvas.polygon([(x, y), *right, *spine], darker(colour, 0.5), opacity=0.3, blur=0.0015)


def _peaks(line: list[Point]) -> list[int]:
    reach = 6
    inner = range(reach, len(line) - reach)
    return [index for index in inner if line[index][1] == min(y for _, y in line[index - reach : index + reach + 1])]
