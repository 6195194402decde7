"""Backdrops of a product studio: draped cloth, marble, wood, and the plain coloured sweep."""

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageChops

from sceneshift.simulator.rendering.brief import Light
from sceneshift.simulator.rendering.canvas import Canvas, Point, fading, noise, softened, thresholded
from sceneshift.simulator.rendering.colour import WHITE, Colour, coloured, darker, deepened, lighter, mix, vary
from sceneshift.simulator.rendering.stage import Stage

_FOLD_GRID = 72


def paint_drape(stage: Stage) -> None:
    """Cloth in soft folds that fills the picture."""
    random, canvas, brief = stage.random, stage.canvas, stage.brief
    cloth = vary(random, brief.colour or (222, 204, 182))
    matt = brief.mentions("linen", "cotton", "velvet", "cloth")
    folds = _fold_tones(random, matt=matt).resize(canvas.size, Image.Resampling.BICUBIC)
    shade = mix(darker(cloth, 0.3), deepened(cloth), 0.6)
    sheen = lighter(cloth, 0.35 if matt else 0.25 + 0.45 * sum(cloth) / 765)
    stops = [
        (0, darker(shade, 0.22)),
        (0.3, shade),
        (0.54, cloth),
        (0.74, lighter(cloth, 0.24)),
        (0.94, sheen),
        (1, sheen),
    ]
    canvas.image.paste(coloured(folds, stops))
    if matt:
        weave = noise(random, canvas.size, (canvas.width / 2, canvas.height / 2), octaves=1)
        canvas.stain(darker(cloth, 0.4), thresholded(weave, 0.45, 1, most=0.16))
    canvas.glow((random.uniform(0.2, 0.45), random.uniform(0.1, 0.3)), 0.7, lighter(cloth, 0.5), strength=0.25)


def _fold_tones(random: Random, *, matt: bool) -> Image.Image:
    """How much light each spot of the cloth returns: the slope of a few warped waves towards the light."""
    lean = random.uniform(0.35, 1.15) * random.choice((-1, 1))
    waves = [
        (lean + random.uniform(-0.35, 0.35), frequency * random.uniform(0.85, 1.2), random.random() * math.tau, weight)
        for frequency, weight in ((9.0, 0.8), (17.0, 0.75), (31.0, 0.4))
    ]
    swirl = [(random.uniform(2, 4.5), random.uniform(2, 4.5), random.random() * math.tau) for _ in range(2)]
    strength = 38 if matt else 52
    steps = [step / _FOLD_GRID for step in range(_FOLD_GRID)]
    slopes = [0.0] * _FOLD_GRID**2
    bends = [sum(math.sin(a * x + b * y + phase) for a, b, phase in swirl) for y in steps for x in steps]
    for angle, frequency, phase, weight in waves:
        across, down, bending = frequency * math.cos(angle), frequency * math.sin(angle), 0.9 + frequency * 0.045
        straight = [across * x + down * y + phase for y in steps for x in steps]
        turns = [turn + bending * bend for turn, bend in zip(straight, bends, strict=True)]
        # A crest is narrower than a valley: that is what makes a wave look like cloth.
        slopes = [
            slope + weight * math.cos(turn + 0.55 * math.sin(turn)) for slope, turn in zip(slopes, turns, strict=True)
        ]
    tones = bytes(min(max(round(136 + strength * slope), 0), 255) for slope in slopes)
    return Image.frombytes("L", (_FOLD_GRID, _FOLD_GRID), tones)


def paint_marble(stage: Stage) -> None:
    """A polished slab before a calm wall."""
    random, canvas, brief = stage.random, stage.canvas, stage.brief
    stone = brief.colour or (238, 236, 232)
    dark = sum(stone) < 300  # noqa: PLR2004 - the middle of three channels, a little below
    vein = lighter(stone, 0.65) if dark else mix(stone, (112, 108, 112), 0.85)
    edge = stage.horizon(0.68, 0.58)
    wall = vary(random, mix(stone, (206, 196, 184), 0.5), hue=0.04)
    _paint_wall(stage, wall, edge)
    slab = coloured(
        noise(random, (canvas.width // 2, canvas.height // 2), (3, 3), octaves=3),
        ((0, darker(stone, 0.1)), (1, lighter(stone, 0.3))),
    )
    slab = slab.resize(canvas.size)
    if veins := stage.prop("vein"):
        _paint_veins(veins.random, slab, vein)
    canvas.polygon([(0, edge), (1, edge), (1, 1), (0, 1)], slab)
    canvas.rectangle((0, edge - 0.002), (1, edge + 0.004), lighter(stone, 0.6), opacity=0.7)
    sheen = Image.new("L", (canvas.width, canvas.height - round(edge * canvas.height)), 0)
    sheen.paste(fading(sheen.size, 0.45, 0))
    canvas.stain(lighter(wall, 0.4), sheen, top=edge)


def _paint_veins(random: Random, slab: Image.Image, colour: Colour) -> None:
    for cells, sharpness, most in (((1.2, 4), 0.012, 0.75), ((2, 6), 0.008, 0.4), ((1.5, 3), 0.09, 0.3)):
        cloud = noise(random, slab.size, cells, octaves=4, gain=0.34)
        slab.paste(colour, (0, 0), _isolines(cloud, sharpness, most))


def _isolines(cloud: Image.Image, width: float, most: float) -> Image.Image:
    """A mask of thin wandering lines: where cloudy noise passes through its middle."""
    return cloud.point([round(255 * most * max(0.0, 1 - abs(value / 255 - 0.5) / width)) for value in range(256)])


def paint_wood(stage: Stage) -> None:
    """A table of planks before a warm, unsharp background."""
    random, canvas, brief = stage.random, stage.canvas, stage.brief
    timber = vary(random, (110, 74, 48) if brief.mentions("walnut", "dark", "mahogany") else (186, 136, 88))
    edge = stage.horizon(0.66, 0.56)
    backdrop = brief.colour or (206, 188, 162)
    if brief.light is Light.NIGHT:
        backdrop, timber = darker(backdrop, 0.35), darker(timber, 0.4)
    _paint_wall(stage, backdrop, edge)
    if lights := stage.prop("bokeh"):
        _paint_bokeh(lights, edge, lighter(backdrop, 0.6))
    paint_planks(stage, edge, timber)
    canvas.glow((random.uniform(0.25, 0.75), edge), 0.5, (255, 236, 200), strength=0.25)


def _paint_bokeh(stage: Stage, edge: float, pale: Colour) -> None:
    """Lights out of focus in the background."""
    random = stage.random
    for _ in range(16):
        place, tone = (random.random(), edge * random.random()), random.choice(((255, 226, 170), pale))
        stage.canvas.disc(place, random.uniform(0.02, 0.06), tone, opacity=random.uniform(0.12, 0.35), blur=0.003)


def paint_planks(stage: Stage, edge: float, timber: Colour) -> None:
    """Boards that run towards the eye, from `edge` down to the lower border."""
    random, canvas = stage.random, stage.canvas
    grain = wood_grain(random, canvas.size, timber)
    canvas.polygon([(0, edge), (1, edge), (1, 1), (0, 1)], grain)
    vanishing: Point = (random.uniform(0.42, 0.58), edge - 0.55)
    boards = 13
    for index in range(boards):
        near = [(-0.9 + 2.8 * (index + step) / boards) for step in (0, 1)]
        far = [_towards((x, 1.0), vanishing, edge) for x in near]
        board = [(near[0], 1.0), (far[0], edge), (far[1], edge), (near[1], 1.0)]
        tone = random.choice((darker(timber, 0.45), lighter(timber, 0.4)))
        canvas.polygon(board, tone, opacity=random.uniform(0.03, 0.22))
        canvas.line([board[0], board[1]], 0.0022, darker(timber, 0.65), opacity=0.75)
    band = (canvas.width, canvas.height - round(edge * canvas.height))
    canvas.stain(lighter(timber, 0.55), fading(band, 0.38, 0), top=edge)


def _towards(start: Point, end: Point, y: float) -> float:
    """Where the line from `start` to `end` is at this height."""
    return start[0] + (end[0] - start[0]) * (y - start[1]) / (end[1] - start[1])


def wood_grain(random: Random, size: tuple[int, int], timber: Colour) -> Image.Image:
    """Fibres that run up and down, with long slow changes of tone."""
    half = (max(size[0] // 2, 2), max(size[1] // 2, 2))
    fibres = noise(random, half, (half[0] / 3, 3), octaves=2)
    bands = noise(random, half, (18, 1.5), octaves=3)
    tones = Image.blend(fibres, bands, 0.55).resize(size)
    return coloured(tones, ((0.2, darker(timber, 0.38)), (0.5, timber), (0.8, lighter(timber, 0.26))))


def _paint_wall(stage: Stage, wall: Colour, edge: float) -> None:
    """A wall with light falling over it from one side, down to `edge`."""
    canvas = stage.canvas
    canvas.fill_gradient([(0, darker(wall, 0.14)), (0.7, wall), (1, darker(wall, 0.08))], bottom=edge + 0.01)
    canvas.glow((stage.random.choice((0.15, 0.85)), 0.2), 0.75, lighter(wall, 0.3), strength=0.3)


def paint_studio(stage: Stage) -> None:
    """A seamless sweep with a pool of light, a round podium, and the shadow of leaves or of a window."""
    random, canvas = stage.random, stage.canvas
    tone = vary(random, stage.brief.colour or random.choice(_STUDIO_TONES), hue=0.01)
    bend = stage.horizon(0.7, 0.6)
    floor = mix(tone, WHITE, 0.22)
    canvas.fill_gradient([(0, darker(tone, 0.12)), (bend - 0.12, tone), (bend + 0.04, floor), (1, darker(floor, 0.1))])
    canvas.glow((stage.product.centre, bend - 0.25), 0.6, lighter(tone, 0.5), strength=0.35)
    if shadows := stage.prop("shadow"):
        _paint_gobo(shadows, darker(tone, 0.45))
    podium = stage.prop("podium", "plinth", "pedestal")
    if podium and stage.product.base < 0.95:  # noqa: PLR2004 - one that is cut off by the border stands on nothing
        _paint_podium(podium, tone)


_STUDIO_TONES: tuple[Colour, ...] = (
    (226, 206, 190),
    (198, 214, 206),
    (206, 210, 226),
    (236, 214, 208),
    (222, 218, 208),
)


def _paint_podium(stage: Stage, tone: Colour) -> None:
    random, product = stage.random, stage.product
    radius = min(max((product.right - product.left) * 0.78, 0.2), 0.55)
    flat, tall = radius * random.uniform(0.17, 0.22), random.uniform(0.05, 0.08)
    centre, deck = product.centre, product.base - 0.012
    side = Canvas(stage.canvas.size)
    across = [(0, darker(tone, 0.05)), (0.3, lighter(tone, 0.42)), (0.65, tone), (1, darker(tone, 0.32))]
    width = max(round(2 * radius * side.width), 2)
    drum = coloured(Image.linear_gradient("L").rotate(90).resize((width, side.height)), across)
    side.image.paste(drum, (round((centre - radius) * side.width), 0))
    stage.canvas.ellipse(
        (centre + 0.03, deck + tall + 0.01), radius * 1.12, flat * 1.15, darker(tone, 0.6), opacity=0.4, blur=0.02
    )
    stage.canvas.ellipse((centre, deck + tall), radius, flat, side.image)
    stage.canvas.rectangle((centre - radius, deck), (centre + radius, deck + tall), side.image)
    stage.canvas.ellipse((centre, deck), radius, flat, lighter(tone, 0.45))
    stage.canvas.ellipse(
        (centre - radius * 0.1, deck - flat * 0.1), radius * 0.8, flat * 0.75, lighter(tone, 0.62), blur=0.02
    )


def _paint_gobo(stage: Stage, shadow: Colour) -> None:
    """Shadows that something outside the picture throws on the backdrop."""
    random, size = stage.random, stage.canvas.size
    stencil = Canvas((size[0] // 2, size[1] // 2))
    leaves = random.random() < 0.5  # noqa: PLR2004 - one of the two, at even odds
    if (leaves or stage.brief.avoids("window")) and not stage.brief.avoids("leaf", "plant"):
        paint_frond(stencil, random, (random.choice((-0.05, 1.05)), random.uniform(-0.05, 0.1)), WHITE)
    else:
        stencil.image.paste(WHITE, (0, 0, *stencil.size))
        left = random.uniform(0.05, 0.35)
        for column in range(2):
            for row in range(3):
                x, y = left + column * 0.24, 0.02 + row * 0.23
                stencil.polygon([(x, y), (x + 0.21, y + 0.05), (x + 0.21, y + 0.24), (x, y + 0.19)], (0, 0, 0))
    mask = softened(stencil.image.convert("L"), size[0] * 0.006).resize(size)
    mask = ImageChops.multiply(mask, fading(size, 0.42, 0.0))
    stage.canvas.stain(shadow, mask)


def paint_frond(canvas: Canvas, random: Random, root: Point, paint: Colour) -> None:
    """A palm leaf that hangs into the picture from `root`, towards the middle."""
    inward = 1 if root[0] < 0.5 else -1  # noqa: PLR2004 - the middle of the picture
    for stem in range(3):
        angle = 0.25 + 0.38 * stem + random.uniform(-0.08, 0.08)
        reach = random.uniform(0.5, 0.7)
        for leaflet in range(2, 15):
            share = leaflet / 15
            x = root[0] + inward * reach * share * math.cos(angle)
            y = root[1] + reach * share * math.sin(angle) + 0.12 * share * share
            length = 0.2 * math.sin(math.pi * (0.15 + 0.8 * share))
            for turn in (0.75, -0.75):
                tip = (x + inward * length * math.cos(angle + turn), y + length * math.sin(angle + turn))
                middle = ((x + tip[0]) / 2, (y + tip[1]) / 2)
                canvas.polygon(
                    [(x, y), (middle[0] - 0.008, middle[1] + 0.008), tip, (middle[0] + 0.008, middle[1] - 0.008)], paint
                )
