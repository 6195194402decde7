"""A living room: wall, window light, floor, and the furniture that the prompt or the seed asks for."""

from __future__ import annotations

import math

from PIL import ImageChops

from sceneshift.simulator.rendering.backdrops import paint_planks
from sceneshift.simulator.rendering.brief import Light
from sceneshift.simulator.rendering.canvas import Canvas, fading, noise, softened, thresholded
from sceneshift.simulator.rendering.colour import BLACK, WHITE, Colour, darker, lighter, mix, vary
from sceneshift.simulator.rendering.stage import Stage

_WALLS: tuple[Colour, ...] = ((226, 218, 206), (214, 220, 216), (232, 224, 214), (206, 212, 220), (222, 206, 190))
_WARM_WALLS: tuple[Colour, ...] = ((232, 212, 184), (224, 196, 166), (228, 214, 192), (198, 176, 150))
_TEXTILES: tuple[Colour, ...] = (
    (120, 138, 140),
    (164, 142, 122),
    (96, 112, 132),
    (188, 176, 158),
    (130, 142, 118),
    (176, 122, 100),
)


def paint_room(stage: Stage) -> None:
    random, brief = stage.random, stage.brief
    floor = stage.horizon(0.72, 0.66)
    palette = _WARM_WALLS if brief.mentions("warm", "cosy", "cozy", "rustic") else _WALLS
    wall = vary(random, brief.colour or random.choice(palette))
    timber = vary(random, random.choice(((196, 158, 116), (166, 122, 82), (212, 184, 148))))
    night = brief.light is Light.NIGHT
    _paint_wall(stage, darker(wall, 0.45) if night else wall, floor)
    paint_planks(stage, floor, darker(timber, 0.45) if night else timber)
    _paint_skirting(stage, floor, wall)
    sofa_left = random.random() < 0.5  # noqa: PLR2004 - one side or the other, at even odds
    _furnish(stage, floor, wall, sofa_left=sofa_left)
    stage.canvas.soften(0.0016, bottom=min(floor + 0.06, 1))


def _furnish(stage: Stage, floor: float, wall: Colour, *, sofa_left: bool) -> None:
    brief = stage.brief
    if rug := stage.prop("rug", "carpet"):
        _paint_rug(rug, floor)
    if pictures := stage.prop("painting", "picture", "art", "frame"):
        _paint_picture(pictures, floor, wall)
    if sofa := stage.prop("sofa", "couch", "furniture"):
        _paint_sofa(sofa, floor, left=sofa_left)
    if plant := stage.prop("plant", "leaf"):
        _paint_plant(plant, 0.1 if not sofa_left else 0.9, floor + 0.035)
    lamp = stage.prop("lamp")
    if lamp and (brief.mentions("lamp", "warm", "cosy", "cozy", "nordic") or brief.light is Light.NIGHT):
        beside, outside = (0.76, 0.07) if sofa_left else (0.24, 0.93)
        hidden = stage.product.left < beside < stage.product.right
        _paint_lamp(lamp, outside if hidden else beside, floor + 0.02)


def _paint_wall(stage: Stage, wall: Colour, floor: float) -> None:
    random, canvas = stage.random, stage.canvas
    canvas.fill_gradient([(0, darker(wall, 0.1)), (0.55, wall), (1, darker(wall, 0.07))], bottom=floor)
    plaster = noise(random, (canvas.width // 4, canvas.height // 4), (12, 12), octaves=2).resize(canvas.size)
    canvas.stain(darker(wall, 0.3), thresholded(plaster, 0.4, 1, most=0.16))
    if window := stage.prop("window"):
        _paint_window_light(window, lighter(wall, 0.65))
    canvas.glow((random.choice((-0.05, 1.05)), 0.25), 0.8, (255, 244, 222), strength=0.3)


def _paint_window_light(stage: Stage, light: Colour) -> None:
    """Daylight that falls through panes outside the picture."""
    if stage.brief.light is Light.NIGHT:
        return
    random, canvas = stage.random, stage.canvas
    stencil = Canvas((canvas.width // 2, canvas.height // 2))
    left, slant = random.uniform(0.05, 0.5), random.uniform(0.05, 0.1) * random.choice((-1, 1))
    for column in range(2):
        for row in range(3):
            x, y = left + column * 0.17 + slant * row, 0.06 + row * 0.15
            stencil.polygon(
                [(x, y), (x + 0.15, y + 0.03), (x + 0.15 + slant, y + 0.165), (x + slant, y + 0.135)], WHITE
            )
    mask = softened(stencil.image.convert("L"), stencil.width * 0.006).resize(canvas.size)
    canvas.stain(light, ImageChops.multiply(mask, fading(canvas.size, 0.55, 0.25)))


def _paint_skirting(stage: Stage, floor: float, wall: Colour) -> None:
    canvas, board = stage.canvas, lighter(wall, 0.45)
    canvas.rectangle((0, floor - 0.028), (1, floor), board)
    canvas.rectangle((0, floor - 0.031), (1, floor - 0.028), darker(wall, 0.2), opacity=0.6)
    canvas.rectangle((0, floor), (1, floor + 0.02), BLACK, opacity=0.12)


def _paint_rug(stage: Stage, floor: float) -> None:
    random, canvas = stage.random, stage.canvas
    tone = vary(random, random.choice(((228, 220, 206), (196, 184, 170), (176, 190, 190), (214, 190, 170))))
    middle, top = 0.5 + random.uniform(-0.05, 0.05), floor + 0.06
    bottom = min(max(stage.product.base + 0.06, top + 0.14), 1.03)
    outline = [(middle - 0.4, top), (middle + 0.4, top), (middle + 0.52, bottom), (middle - 0.52, bottom)]
    canvas.polygon([(x, y + 0.006) for x, y in outline], BLACK, opacity=0.3, blur=0.006)
    canvas.polygon(outline, tone)
    inner = [(middle + (x - middle) * 0.92, y + (0.012 if y == top else -0.014)) for x, y in outline]
    canvas.line([*inner, inner[0]], 0.005, darker(tone, 0.28), opacity=0.8)
    for index in range(1, 5):
        y = top + (bottom - top) * (index / 5) ** 1.2
        reach = 0.36 + 0.11 * (y - top) / (bottom - top)
        canvas.line([(middle - reach, y), (middle + reach, y)], 0.003, darker(tone, 0.18), opacity=0.6)


def _paint_picture(stage: Stage, floor: float, wall: Colour) -> None:
    """One or two framed abstracts."""
    random = stage.random
    count = 1 if stage.brief.mentions("painting") else random.choice((1, 2))
    middle, high = random.uniform(0.4, 0.6), floor * 0.46
    for index in range(count):
        wide, tall = (0.15, 0.17) if count == 1 else (0.095, 0.13)
        x = middle + (index - (count - 1) / 2) * 0.23
        _paint_frame(stage, (x, floor * 0.34), wide, min(tall, high / 2), wall)


def _paint_frame(stage: Stage, centre: tuple[float, float], wide: float, tall: float, wall: Colour) -> None:
    random, canvas, (x, y) = stage.random, stage.canvas, centre
    left, right, top, bottom = x - wide, x + wide + 0.012, y - tall + 0.012, y + tall + 0.016
    thrown = [(left, top), (right, top), (right, bottom), (left, bottom)]
    canvas.polygon(thrown, darker(wall, 0.6), opacity=0.45, blur=0.008)
    canvas.rectangle(
        (x - wide, y - tall), (x + wide, y + tall), random.choice(((60, 48, 40), (190, 158, 118), (36, 36, 40)))
    )
    canvas.rectangle((x - wide + 0.008, y - tall + 0.008), (x + wide - 0.008, y + tall - 0.008), (246, 243, 236))
    _paint_art(stage, (x - wide * 0.76, y - tall * 0.76), (x + wide * 0.76, y + tall * 0.76))


def _paint_art(stage: Stage, upper_left: tuple[float, float], lower_right: tuple[float, float]) -> None:
    """A sun over waves, in four colours."""
    random, canvas, (left, top), (right, bottom) = stage.random, stage.canvas, upper_left, lower_right
    art = Canvas((max(round((right - left) * canvas.width), 2), max(round((bottom - top) * canvas.height), 2)))
    ground, *tones = random.sample(_ART, 4)
    art.fill_gradient([(0, lighter(ground, 0.35)), (1, ground)])
    art.disc((random.random(), random.uniform(0.2, 0.42)), random.uniform(0.18, 0.28), tones[0])
    for layer, tone in enumerate(tones[1:]):
        crest, phase = 0.56 + 0.2 * layer, random.random() + layer * 2
        wave = [(step / 10, crest + 0.1 * math.sin(step * 0.7 + phase)) for step in range(11)]
        art.polygon([(0, 1), *wave, (1, 1)], tone)
    canvas.image.paste(art.image, (round(left * canvas.width), round(top * canvas.height)))


_ART: tuple[Colour, ...] = (
    (214, 122, 88),
    (56, 84, 104),
    (232, 186, 110),
    (132, 152, 130),
    (226, 210, 190),
    (160, 84, 76),
    (96, 122, 140),
)


def _paint_sofa(stage: Stage, floor: float, *, left: bool) -> None:
    """A sofa against the wall, half out of the picture."""
    random, canvas = stage.random, stage.canvas
    textile = vary(random, random.choice(_TEXTILES))
    shift = -0.2 if left else 0.62
    seat, back, foot = floor - 0.075, floor - 0.2, floor + 0.03
    canvas.ellipse((shift + 0.29, foot + 0.006), 0.33, 0.022, BLACK, opacity=0.4, blur=0.012)
    for x in (0.04, 0.53):
        canvas.rectangle((shift + x, foot - 0.03), (shift + x + 0.014, foot + 0.004), (96, 66, 44))
    _cushion(canvas, (shift + 0.02, back), (shift + 0.56, foot - 0.03), darker(textile, 0.1))
    for index in range(2):
        x = shift + 0.06 + index * 0.23
        _cushion(canvas, (x, back + 0.014), (x + 0.226, seat + 0.014), lighter(textile, 0.06))
        _cushion(canvas, (x, seat), (x + 0.228, seat + 0.055), lighter(textile, 0.14))
    for x in (-0.005, 0.52):
        _cushion(canvas, (shift + x, seat - 0.05), (shift + x + 0.07, foot - 0.024), lighter(textile, 0.02))
    pillow = vary(random, random.choice(_ART))
    x = shift + (0.4 if left else 0.1)
    canvas.polygon(
        [(x, seat + 0.004), (x + 0.012, seat - 0.088), (x + 0.1, seat - 0.096), (x + 0.108, seat + 0.004)],
        darker(pillow, 0.14),
        blur=0.002,
    )
    canvas.polygon(
        [(x + 0.006, seat), (x + 0.018, seat - 0.082), (x + 0.095, seat - 0.088), (x + 0.1, seat - 0.002)],
        lighter(pillow, 0.1),
        blur=0.004,
    )


def _cushion(canvas: Canvas, upper_left: tuple[float, float], lower_right: tuple[float, float], tone: Colour) -> None:
    """An upholstered block: rounded, lit from above, dark in its seam."""
    (left, top), (right, bottom) = upper_left, lower_right
    body = canvas.ramp([(0, lighter(tone, 0.22)), (0.25, tone), (1, darker(tone, 0.28))], top=top, bottom=bottom)
    bulge = min((right - left) * 0.12, 0.016)
    outline = [
        (left + bulge, top), (right - bulge, top), (right - bulge * 0.3, top + bulge * 0.4), (right, top + bulge * 1.4),
        (right, bottom - bulge), (right - bulge * 0.5, bottom), (left + bulge * 0.5, bottom), (left, bottom - bulge),
        (left, top + bulge * 1.4), (left + bulge * 0.3, top + bulge * 0.4),
    ]  # fmt: skip
    canvas.polygon(outline, darker(tone, 0.5), blur=0.002)
    canvas.polygon(outline, body)


def _paint_plant(stage: Stage, x: float, foot: float) -> None:
    """A tall plant in a pot; its leaves arch outward from the stem."""
    random, canvas = stage.random, stage.canvas
    pot = vary(random, random.choice(((232, 228, 220), (186, 122, 92), (96, 96, 100))))
    rim, wide = foot - 0.1, 0.055
    canvas.ellipse((x + 0.01, foot), wide * 1.3, 0.014, BLACK, opacity=0.45, blur=0.01)
    leaf = vary(random, (72, 112, 72))
    tall = random.uniform(0.28, 0.36)
    for index in range(26):
        share = index / 25
        angle = math.pi * random.uniform(0.08, 0.92)
        root = (x + random.uniform(-0.012, 0.012), rim - tall * share * 0.75)
        length = random.uniform(0.09, 0.15) * (1.15 - 0.35 * share)
        tone = mix(darker(leaf, 0.4), lighter(leaf, 0.25), min(max(share + random.uniform(-0.3, 0.3), 0), 1))
        _paint_leaf(canvas, root, angle, length, tone)
    canvas.line([(x, rim), (x, rim - tall * 0.7)], 0.006, (88, 78, 52))
    canvas.polygon([(x - wide, rim), (x + wide, rim), (x + wide * 0.72, foot), (x - wide * 0.72, foot)], pot)
    canvas.polygon(
        [(x + wide * 0.15, rim), (x + wide, rim), (x + wide * 0.72, foot), (x + wide * 0.1, foot)],
        darker(pot, 0.3),
        opacity=0.6,
        blur=0.01,
    )
    canvas.ellipse((x, rim), wide, 0.01, darker(pot, 0.35))


def _paint_leaf(canvas: Canvas, root: tuple[float, float], angle: float, length: float, tone: Colour) -> None:
    dx, dy = math.cos(angle) * length, -math.sin(angle) * length
    droop = 0.35 * abs(dx)
    tip = (root[0] + dx, root[1] + dy + droop)
    side_x, side_y = -dy * 0.17, dx * 0.17
    middle = (root[0] + dx * 0.5, root[1] + dy * 0.55)
    canvas.polygon(
        [root, (middle[0] + side_x, middle[1] + side_y), tip, (middle[0] - side_x, middle[1] - side_y)], tone
    )
    canvas.line([root, middle, tip], 0.0014, lighter(tone, 0.35), opacity=0.7)


def _paint_lamp(stage: Stage, x: float, foot: float) -> None:
    """A floor lamp that is on."""
    canvas = stage.canvas
    head = foot - 0.52
    metal = stage.random.choice(((60, 58, 58), (172, 134, 84), (228, 226, 222)))
    canvas.glow((x, head + 0.05), 0.34, (255, 206, 132), strength=0.62)
    canvas.ellipse((x, foot), 0.045, 0.009, darker(metal, 0.3))
    canvas.line([(x, foot), (x, head + 0.06)], 0.006, metal)
    shade = canvas.ramp(
        [(0, (244, 214, 164)), (0.6, (255, 240, 206)), (1, (255, 226, 170))], top=head - 0.02, bottom=head + 0.1
    )
    canvas.polygon(
        [(x - 0.038, head - 0.02), (x + 0.038, head - 0.02), (x + 0.066, head + 0.1), (x - 0.066, head + 0.1)], shade
    )
    canvas.glow((x, head + 0.1), 0.13, (255, 224, 160), strength=0.5)
