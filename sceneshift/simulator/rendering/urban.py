"""Walls with graffiti, and the city."""

from __future__ import annotations

import math

from PIL import Image, ImageOps

from sceneshift.simulator.rendering.brief import Light
from sceneshift.simulator.rendering.canvas import Canvas, Point, fading, noise, softened, thresholded
from sceneshift.simulator.rendering.colour import BLACK, WHITE, Colour, coloured, darker, lighter, mix, vary
from sceneshift.simulator.rendering.sky import haze_colour, paint_sky
from sceneshift.simulator.rendering.stage import Stage

_SPRAY: tuple[Colour, ...] = (
    (236, 64, 98), (250, 166, 36), (46, 178, 214), (124, 82, 196), (60, 184, 120), (250, 220, 62),
    (238, 106, 52), (32, 92, 180),
)  # fmt: skip


def paint_graffiti(stage: Stage) -> None:
    """A brick wall painted all over, and the pavement before it."""
    random = stage.random
    pavement = max(min(stage.product.base - 0.05, 0.93), 0.6)
    _paint_bricks(stage, pavement)
    tones = random.sample(_SPRAY, len(_SPRAY))
    for index in range(10):
        place = (random.random(), random.uniform(0, pavement))
        stage.canvas.disc(
            place, random.uniform(0.08, 0.24), tones[index % 8], opacity=random.uniform(0.35, 0.75), blur=0.035
        )
    for index in range(4):
        _paint_ribbon(stage, pavement, tones[index], tones[(index + 3) % 8])
    if letters := stage.prop("letter", "lettering", "text", "word", "writing"):
        _paint_lettering(letters, pavement, tones)
    if emblems := stage.prop("emblem", "symbol", "logo", "sign"):
        for index in range(7):
            place = (emblems.random.random(), emblems.random.uniform(0.04, pavement * 0.9))
            _paint_emblem(emblems, place, tones[(index * 3) % 8])
    if drips := stage.prop("drip", "splash"):
        _paint_drips(drips, pavement, tones)
    _paint_joints(stage, pavement)
    _paint_pavement(stage, pavement)


def _paint_bricks(stage: Stage, bottom: float) -> None:
    random, canvas = stage.random, stage.canvas
    brick = vary(random, random.choice(((176, 112, 92), (188, 180, 170), (150, 140, 134))))
    canvas.fill_gradient([(0, lighter(brick, 0.12)), (1, darker(brick, 0.12))], bottom=bottom)
    dirt = noise(random, (canvas.width // 2, canvas.height // 2), (6, 6), octaves=5, gain=0.7).resize(canvas.size)
    canvas.stain(darker(brick, 0.4), thresholded(dirt, 0.4, 0.9, most=0.5))


def _paint_joints(stage: Stage, bottom: float) -> None:
    """The mortar shows through the paint."""
    canvas, rows = stage.canvas, 26
    size = (canvas.width, round(bottom * canvas.height))
    stencil = Canvas(size)
    for row in range(rows):
        y = row / rows
        stencil.rectangle((0, y), (1, y + 0.0035), WHITE)
        for column in range(12):
            x = (column + (row % 2) / 2) / 12
            stencil.rectangle((x, y), (x + 0.003, y + 1 / rows), WHITE)
    mask = stencil.image.getchannel(0)
    canvas.stain((50, 44, 44), mask.point([value * 26 // 100 for value in range(256)]))
    lit = Image.new("L", size)
    lit.paste(mask, (1, 2))
    canvas.stain((255, 250, 240), lit.point([value * 12 // 100 for value in range(256)]))


def _paint_ribbon(stage: Stage, bottom: float, tone: Colour, outline: Colour) -> None:
    """A broad swinging band with an outline and a highlight."""
    random = stage.random
    start, swing = random.uniform(0.1, bottom * 0.85), random.uniform(0.05, 0.16)
    bends, phase = random.uniform(3, 7), random.random() * math.tau
    path = [(step / 28 * 1.1 - 0.05, start + swing * math.sin(phase + bends * step / 28)) for step in range(29)]
    thick = random.uniform(0.03, 0.06)
    stage.canvas.line(path, thick + 0.018, darker(outline, 0.55))
    stage.canvas.line(path, thick, tone)
    stage.canvas.line([(x, y - thick * 0.22) for x, y in path], thick * 0.16, lighter(tone, 0.6), opacity=0.8)


_GLYPHS: tuple[tuple[Point, ...], ...] = (
    ((0.1, 1), (0.1, 0), (0.9, 0.15), (0.1, 0.5), (0.95, 1)),
    ((0.9, 0.1), (0.2, 0), (0.1, 0.5), (0.9, 0.5), (0.8, 1), (0.05, 0.9)),
    ((0, 0), (0.3, 1), (0.5, 0.45), (0.75, 1), (1, 0)),
    ((0.05, 1), (0.5, 0), (0.95, 1), (0.7, 0.62), (0.25, 0.62)),
    ((0.9, 0.15), (0.35, 0), (0.05, 0.5), (0.35, 1), (0.9, 0.85), (0.9, 0.55), (0.55, 0.55)),
    ((0.05, 0.05), (0.95, 0), (0.05, 1), (0.95, 0.95)),
    ((0.1, 0), (0.1, 1), (0.5, 0.4), (0.9, 1), (0.9, 0)),
)


def _paint_lettering(stage: Stage, bottom: float, tones: list[Colour]) -> None:
    """One row of fat letters of no alphabet: shadow, outline, body, highlight."""
    random, canvas = stage.random, stage.canvas
    size, top = random.uniform(0.2, 0.26), random.uniform(0.06, max(bottom * 0.5, 0.08))
    body, rim = tones[4], random.choice((WHITE, (250, 240, 120), BLACK))
    glyphs = random.sample(_GLYPHS, 5)
    for shift, thick, paint in ((0.016, 0.085, darker(tones[6], 0.45)), (0, 0.082, rim), (0, 0.058, body)):
        for index, glyph in enumerate(glyphs):
            left = -0.02 + index * 0.21
            path = [
                (left + x * 0.17 + shift, top + (y + 0.12 * math.sin(index * 2.1)) * size + shift) for x, y in glyph
            ]
            tone = mix(paint, tones[(index + 5) % 8], 0.4) if paint == body else paint
            canvas.line(path, thick, tone)
            if paint == body:
                canvas.line([(x - 0.008, y - 0.014) for x, y in path], 0.01, lighter(tone, 0.7), opacity=0.75)


def _paint_emblem(stage: Stage, centre: Point, tone: Colour) -> None:
    """A star, a ring, a crown or an arrow."""
    random, canvas, (x, y) = stage.random, stage.canvas, centre
    size = random.uniform(0.03, 0.06)
    match random.randrange(4):
        case 0:
            turn = random.random()
            star = [
                (x + size * (1 if step % 2 else 0.42) * math.sin(turn + step * math.pi / 5),
                 y + size * (1 if step % 2 else 0.42) * math.cos(turn + step * math.pi / 5))
                for step in range(10)
            ]  # fmt: skip
            canvas.polygon(star, tone)
            canvas.line([*star, star[0]], 0.005, BLACK, opacity=0.85)
        case 1:
            canvas.disc(centre, size, BLACK, opacity=0.8)
            canvas.disc(centre, size * 0.85, lighter(tone, 0.2))
            canvas.disc((x - size * 0.25, y - size * 0.25), size * 0.25, WHITE, opacity=0.8)
        case 2:
            crown = [(-1, 0.7), (-1, -0.4), (-0.5, 0.15), (0, -0.8), (0.5, 0.15), (1, -0.4), (1, 0.7), (-1, 0.7)]
            canvas.line([(x + dx * size, y + dy * size) for dx, dy in crown], 0.009, lighter(tone, 0.3))
        case _:
            arrow = [(-1.4, 0.5), (0.6, -0.3), (0.2, -0.7), (1.3, -0.6), (0.8, 0.4), (0.6, -0.3)]
            canvas.line([(x + dx * size, y + dy * size) for dx, dy in arrow], 0.011, tone)


def _paint_drips(stage: Stage, bottom: float, tones: list[Colour]) -> None:
    random = stage.random
    for index in range(22):
        x, y = random.random(), random.uniform(0.1, bottom * 0.8)
        end = min(y + random.uniform(0.03, 0.16), bottom - 0.01)
        stage.canvas.line([(x, y), (x, end)], random.uniform(0.003, 0.006), tones[index % 8], opacity=0.85)
    for index in range(90):
        place = (random.random(), random.uniform(0, bottom))
        stage.canvas.disc(place, random.uniform(0.001, 0.005), tones[index % 8], opacity=0.8)


def _paint_pavement(stage: Stage, top: float) -> None:
    random, canvas = stage.random, stage.canvas
    stone = vary(random, (150, 148, 146))
    texture = noise(random, (canvas.width // 2, canvas.height // 2), (60, 60), octaves=2, gain=0.8).resize(canvas.size)
    slabs = coloured(texture, ((0.1, darker(stone, 0.2)), (0.9, lighter(stone, 0.14))))
    canvas.polygon([(0, top), (1, top), (1, 1), (0, 1)], slabs)
    canvas.rectangle((0, top - 0.006), (1, top + 0.018), BLACK, opacity=0.35)
    for index in range(-3, 10):
        near, far = index / 6 - 0.03, 0.5 + (index / 6 - 0.53) * 0.72
        canvas.line([(near, 1), (far, top)], 0.003, darker(stone, 0.5), opacity=0.7)
    for share in (0.3, 0.75):
        canvas.line(
            [(0, top + (1 - top) * share), (1, top + (1 - top) * share)], 0.003, darker(stone, 0.5), opacity=0.6
        )


def paint_city(stage: Stage) -> None:
    """Towers behind a street; at night lit windows, lamps out of focus, and a wet road that mirrors them."""
    horizon = stage.horizon(0.66, 0.58)
    paint_sky(stage, horizon)
    haze = haze_colour(stage)
    tower = stage.by_light((126, 142, 160), (112, 84, 112), (28, 34, 62))
    for depth, tall in ((0.6, 0.42), (0.32, 0.34), (0.08, 0.24)):
        _paint_towers(stage, horizon, tall, mix(tower, haze, depth), depth)
    stage.canvas.soften(0.002, bottom=horizon)
    lights = stage.prop("bokeh", "lamp", "neon")
    if lights and stage.brief.light is not Light.DAY:
        _paint_bokeh(lights, horizon)
    _paint_street(stage, horizon)


def _paint_towers(stage: Stage, horizon: float, tall: float, colour: Colour, depth: float) -> None:
    random, canvas = stage.random, stage.canvas
    x = -0.04
    while x < 1:
        wide = random.uniform(0.06, 0.13)
        top = horizon - tall * random.uniform(0.45, 1.0)
        tone = vary(random, colour)
        body = canvas.ramp([(0, tone), (1, mix(tone, haze_colour(stage), 0.45))], top=top, bottom=horizon)
        canvas.rectangle((x, top), (x + wide, horizon), body)
        canvas.rectangle((x + wide * 0.7, top), (x + wide, horizon), darker(tone, 0.4), opacity=0.3)
        if random.random() < 0.3:  # noqa: PLR2004 - a mast on every third tower or so
            canvas.line([(x + wide / 2, top), (x + wide / 2, top - 0.05)], 0.003, tone)
        _paint_windows(stage, (x, top), (x + wide, horizon), depth)
        x += wide + random.uniform(-0.01, 0.02)


def _paint_windows(stage: Stage, upper_left: Point, lower_right: Point, depth: float) -> None:
    random, canvas = stage.random, stage.canvas
    (left, top), (right, bottom) = upper_left, lower_right
    columns, rows = max(round((right - left) / 0.017), 2), max(round((bottom - top) / 0.022), 2)
    lit_share = {Light.DAY: 0.0, Light.SUNSET: 0.3, Light.NIGHT: 0.48}[stage.brief.light]
    panes = Image.new("L", (columns * 4, rows * 5))
    lights = panes.copy()
    for row in range(rows):
        for column in range(columns):
            box = (column * 4 + 1, row * 5 + 1, column * 4 + 3, row * 5 + 4)
            (lights if random.random() < lit_share else panes).paste(random.randint(120, 255), box)
    size = (max(round((right - left) * canvas.width), 1), max(round((bottom - top) * canvas.height), 1))
    place = (round(left * canvas.width), round(top * canvas.height))
    fade = 1 - depth
    for mask, paint, most in (
        (panes, stage.by_light((220, 232, 242), (70, 56, 84), (16, 20, 40)), 0.4),
        (lights, (255, 214, 138), 1),
    ):
        scaled = mask.resize(size, Image.Resampling.BILINEAR).point(
            [round(value * most * fade) for value in range(256)]
        )
        canvas.image.paste(paint, (place[0], place[1], place[0] + size[0], place[1] + size[1]), scaled)


def _paint_bokeh(stage: Stage, horizon: float) -> None:
    random = stage.random
    tones = ((255, 190, 96), (255, 120, 88), (120, 190, 255), (255, 232, 180), (236, 98, 150), (110, 226, 200))
    for _ in range(34):
        place = (random.random(), random.uniform(horizon - 0.24, horizon + 0.01))
        stage.canvas.disc(
            place, random.uniform(0.008, 0.034), random.choice(tones), opacity=random.uniform(0.2, 0.6), blur=0.0015
        )


def _paint_street(stage: Stage, horizon: float) -> None:
    random, canvas = stage.random, stage.canvas
    asphalt = stage.by_light((128, 130, 134), (92, 78, 86), (24, 26, 38))
    line = round(horizon * canvas.height)
    band = (canvas.width, canvas.height - line)
    upper = canvas.image.crop((0, max(line - band[1], 0), canvas.width, line))
    mirrored = softened(ImageOps.flip(upper).resize(band), canvas.width * 0.012)
    road = Canvas(band)
    road.fill_gradient([(0, lighter(asphalt, 0.2)), (0.3, asphalt), (1, darker(asphalt, 0.2))])
    wet = 0.3 if stage.brief.light is Light.DAY else 0.72
    surface = Image.composite(mirrored, road.image, fading(band, wet, wet * 0.35))
    grit = noise(random, band, (band[0] / 5, band[1] / 3), octaves=2)
    surface.paste(darker(asphalt, 0.5), (0, 0), thresholded(grit, 0.45, 0.95, most=0.4))
    canvas.image.paste(surface, (0, line))
    canvas.rectangle((0, horizon - 0.004), (1, horizon + 0.008), darker(asphalt, 0.45), opacity=0.7)
