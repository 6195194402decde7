"""Open land, water, and woodland."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageOps

from sceneshift.simulator.rendering.brief import Light
from sceneshift.simulator.rendering.canvas import Canvas, fading, noise, softened, thresholded
from sceneshift.simulator.rendering.colour import Colour, coloured, darker, lighter, mix, vary
from sceneshift.simulator.rendering.sky import haze_colour, paint_mountain_faces, paint_ridge, paint_sky, ridge
from sceneshift.simulator.rendering.stage import Stage


def paint_open_land(stage: Stage) -> None:
    """Mountains behind grassland, and a road where the prompt has one."""
    horizon = stage.horizon(0.62, 0.52)
    paint_sky(stage, horizon)
    if mountains := stage.prop("mountain", "peak"):
        paint_far_mountains(mountains, horizon)
    if hills := stage.prop("hill"):
        _paint_hills(hills, horizon)
    _paint_plain(stage, horizon)
    if road := stage.wish("highway", "road", "driving", "street"):
        _paint_road(road)


def paint_far_mountains(stage: Stage, horizon: float) -> None:
    random, brief = stage.random, stage.brief
    haze = haze_colour(stage)
    by_chance = random.random() < 0.3  # noqa: PLR2004 - on every third range or so
    snow = (by_chance or brief.mentions("snow", "alp", "glacier", "capped")) and not brief.avoids("snow")
    rock = vary(random, stage.by_light((86, 108, 142), (128, 98, 122), (30, 40, 72)))
    high = brief.mentions("mountain", "snow", "alp", "peak", "plateau", "glacier")
    for depth, relief in ((0.58, 0.42), (0.22, 0.27)):
        line = ridge(random, base=horizon, relief=relief if high else relief * 0.5)
        colour = mix(rock, haze, depth)
        paint_ridge(stage.canvas, line, horizon + 0.01, colour, mix(colour, haze, 0.75))
        if high:
            paint_mountain_faces(stage, line, colour, snow=snow)


def _paint_hills(stage: Stage, horizon: float) -> None:
    green, haze = _grass_colour(stage), haze_colour(stage)
    for depth, relief in ((0.55, 0.09), (0.35, 0.05)):
        line = ridge(stage.random, base=horizon + 0.02, relief=relief, roughness=0.36)
        colour = mix(vary(stage.random, green), haze, depth)
        paint_ridge(stage.canvas, line, horizon + 0.03, colour, mix(colour, haze, 0.3))


def _grass_colour(stage: Stage) -> Colour:
    brief = stage.brief
    if brief.mentions("desert", "sand", "dune"):
        return stage.by_light((214, 180, 130), (206, 140, 96), (72, 64, 74))
    if _snow_lies(stage):
        return stage.by_light((226, 234, 244), (232, 200, 190), (84, 96, 134))
    if brief.mentions("autumn", "prairie", "wheat"):
        return stage.by_light((190, 150, 72), (186, 120, 64), (58, 54, 50))
    return stage.by_light((112, 150, 72), (128, 116, 66), (30, 50, 48))


def _snow_lies(stage: Stage) -> bool:
    """Whether the ground itself is white, and not only the peaks."""
    brief = stage.brief
    everywhere = brief.mentions("fresh", "snowy", "winter") or not brief.mentions("capped")
    green = brief.mentions("grass", "grassland", "meadow", "highway", "road")
    return brief.mentions("snow", "snowy", "winter") and everywhere and not green


def _paint_plain(stage: Stage, horizon: float) -> None:
    random, canvas = stage.random, stage.canvas
    green = vary(random, _grass_colour(stage))
    near, far = darker(green, 0.04 if _snow_lies(stage) else 0.12), mix(lighter(green, 0.22), haze_colour(stage), 0.3)
    canvas.fill_gradient([(0, far), (0.25, lighter(green, 0.1)), (1, near)], top=horizon + 0.01)
    if _snow_lies(stage):
        _paint_drifts(stage, horizon, green)
    else:
        _paint_grass(stage, horizon, green)


def _paint_drifts(stage: Stage, horizon: float, snow: Colour) -> None:
    for index in range(6):
        crest = horizon + 0.03 + (0.98 - horizon) * (index / 6) ** 1.3
        line = ridge(stage.random, base=crest + 0.03, relief=0.035, roughness=0.3)
        paint_ridge(stage.canvas, line, min(crest + 0.14, 1), lighter(snow, 0.6), darker(snow, 0.06))


def _paint_grass(stage: Stage, horizon: float, green: Colour) -> None:
    random, canvas = stage.random, stage.canvas
    band = (canvas.width, canvas.height - round((horizon + 0.01) * canvas.height))
    patches = noise(random, (band[0] // 4, band[1] // 4), (4, 9), octaves=3).resize(band, Image.Resampling.BILINEAR)
    canvas.stain(darker(green, 0.3), thresholded(patches, 0.5, 0.75, most=0.45), top=horizon + 0.01)
    canvas.stain(lighter(green, 0.25), thresholded(ImageOps.invert(patches), 0.55, 0.8, most=0.4), top=horizon + 0.01)
    blades = ImageChops.multiply(noise(random, band, (band[0] / 3, band[1] / 9), octaves=1), fading(band, 0.25, 1))
    canvas.stain(lighter(green, 0.3), thresholded(blades, 0.5, 0.95, most=0.45), top=horizon + 0.01)
    canvas.stain(
        darker(green, 0.5), thresholded(ImageChops.offset(blades, 2, -3), 0.5, 0.95, most=0.35), top=horizon + 0.01
    )
    if flowers := stage.wish("flower", "meadow", "daisy", "poppy"):
        _scatter_flowers(flowers, horizon)


def _scatter_flowers(stage: Stage, horizon: float) -> None:
    random = stage.random
    petals = ((250, 246, 238), (240, 196, 72), (222, 92, 96), (186, 142, 206))
    for _ in range(140):
        y = horizon + 0.03 + (0.97 - horizon) * random.random() ** 0.7
        stage.canvas.disc((random.random(), y), 0.0012 + 0.007 * (y - horizon), random.choice(petals), opacity=0.9)


def _paint_road(stage: Stage) -> None:
    """A road across the picture, under whatever stands there."""
    random, canvas, base = stage.random, stage.canvas, stage.product.base
    asphalt = vary(random, stage.by_light((104, 106, 110), (96, 86, 90), (40, 44, 58)))
    top, bottom = base - 0.085, min(base + 0.075, 0.985)
    canvas.rectangle((0, top - 0.014), (1, bottom + 0.02), mix(asphalt, (172, 150, 116), 0.45))
    surface = canvas.ramp([(0, lighter(asphalt, 0.14)), (1, darker(asphalt, 0.1))], top=top, bottom=bottom)
    canvas.rectangle((0, top), (1, bottom), surface)
    band = (canvas.width, max(round((bottom - top) * canvas.height), 2))
    streaks = noise(random, band, (14, band[1] / 2.5), octaves=2)
    canvas.stain(darker(asphalt, 0.4), thresholded(streaks, 0.5, 0.9, most=0.28), top=top)
    line = stage.by_light((240, 238, 230), (240, 214, 190), (150, 156, 170))
    canvas.rectangle((0, top + 0.008), (1, top + 0.013), line, opacity=0.85)
    canvas.rectangle((0, bottom - 0.016), (1, bottom - 0.007), line, opacity=0.9)
    shift = random.random() * 0.16
    for index in range(-1, 7):
        left = index * 0.16 + shift
        canvas.polygon(
            [
                (left, base - 0.037),
                (left + 0.08, base - 0.037),
                (left + 0.077, base - 0.03),
                (left - 0.003, base - 0.03),
            ],
            (232, 190, 84),
            opacity=0.85,
        )


def paint_water(stage: Stage) -> None:
    """A lake or the sea with what is behind it mirrored, and a shore to stand on."""
    horizon = min(stage.horizon(0.52, 0.42), max(stage.product.base - 0.24, 0.3))
    shore = max(stage.product.base - 0.055, horizon + 0.08)
    paint_sky(stage, horizon)
    mountains = stage.prop("mountain", "peak")
    if mountains and (not stage.brief.mentions("sea", "ocean", "beach") or stage.brief.mentions("mountain")):
        paint_far_mountains(mountains, horizon)
    _paint_surface(stage, horizon)
    _paint_shore(stage, shore)


def _paint_surface(stage: Stage, horizon: float) -> None:
    random, canvas = stage.random, stage.canvas
    line = round(horizon * canvas.height)
    band = (canvas.width, canvas.height - line)
    mirrored = ImageOps.flip(canvas.image.crop((0, 0, canvas.width, line))).resize(band)
    ripple = noise(random, (band[0] // 2, band[1] // 2), (5, band[1] / 9), octaves=2).resize(band)
    tint = Canvas(band)
    deep = stage.by_light((38, 98, 142), (92, 74, 108), (14, 24, 52))
    tint.fill_gradient([(0, lighter(deep, 0.35)), (0.3, vary(random, deep)), (1, darker(deep, 0.25))])
    water = Image.composite(softened(mirrored, canvas.width * 0.006), tint.image, fading(band, 0.72, 0.1))
    canvas.image.paste(water, (0, line))
    glint = ImageChops.multiply(thresholded(ripple, 0.58, 0.78, most=0.5), fading(band, 0.5, 1))
    canvas.stain(stage.by_light((206, 228, 240), (255, 206, 160), (120, 140, 190)), glint, top=horizon)
    canvas.stain(darker(deep, 0.35), thresholded(ImageOps.invert(ripple), 0.58, 0.82, most=0.4), top=horizon)
    canvas.rectangle((0, horizon - 0.001), (1, horizon + 0.002), lighter(haze_colour(stage), 0.3), opacity=0.6)


def _paint_shore(stage: Stage, shore: float) -> None:
    random, canvas = stage.random, stage.canvas
    sandy = stage.brief.mentions("beach", "sea", "ocean", "sand") and not stage.brief.mentions("rock")
    ground = vary(random, stage.by_light(*_SAND) if sandy else stage.by_light(*_STONE))
    edge = ridge(random, base=shore + 0.02, relief=0.035, roughness=0.45)
    canvas.polygon([(0, 1), *[(x, y - 0.01) for x, y in edge], (1, 1)], lighter(ground, 0.62), opacity=0.55, blur=0.004)
    texture = noise(random, (canvas.width // 2, canvas.height // 2), (5, 12), octaves=5, gain=0.7).resize(canvas.size)
    body = coloured(texture, ((0.15, darker(ground, 0.4)), (0.5, ground), (0.85, lighter(ground, 0.3))))
    canvas.polygon([(0, 1), *edge, (1, 1)], body)
    if rocks := stage.prop("rock", "stone"):
        _scatter_rocks(rocks, 4 if sandy else 16, shore, darker(ground, 0.1))


def _scatter_rocks(stage: Stage, count: int, shore: float, colour: Colour) -> None:
    random = stage.random
    for _ in range(count):
        x, y = random.random(), random.uniform(shore + 0.01, 1)
        _paint_rock(stage, (x, y), random.uniform(0.012, 0.05) * (0.6 + y - shore), colour)


_SAND = ((222, 200, 160), (214, 164, 124), (74, 72, 84))
_STONE = ((142, 136, 126), (140, 110, 102), (50, 54, 68))


def _paint_rock(stage: Stage, place: tuple[float, float], size: float, colour: Colour) -> None:
    random, (x, y) = stage.random, place
    stage.canvas.ellipse(
        (x + size * 0.15, y + size * 0.08), size * 1.15, size * 0.3, (30, 30, 34), opacity=0.4, blur=0.004
    )
    top = [(-1, 0), (-0.85, -0.4), (-0.35, -0.72), (0.2, -0.66), (0.75, -0.4), (1, 0), (0.5, 0.14), (-0.5, 0.14)]
    outline = [
        (x + size * (dx + random.uniform(-0.1, 0.1)), y + size * (dy + random.uniform(-0.08, 0.08))) for dx, dy in top
    ]
    stage.canvas.polygon(outline, colour)
    stage.canvas.polygon(
        [outline[1], outline[2], outline[3], (x - size * 0.1, y - size * 0.3)], lighter(colour, 0.28), blur=0.001
    )
    stage.canvas.polygon(
        [outline[4], outline[5], outline[6], (x + size * 0.2, y - size * 0.2)], darker(colour, 0.35), blur=0.001
    )


def paint_woodland(stage: Stage) -> None:
    """Trees out of focus with light falling through, and a forest floor."""
    random, canvas = stage.random, stage.canvas
    autumn = stage.brief.mentions("autumn", "fall", "orange", "golden")
    leaf = (206, 124, 46) if autumn else (98, 142, 66)
    if stage.brief.light is Light.NIGHT:
        leaf = darker(leaf, 0.6)
    horizon = stage.horizon(0.66, 0.56)
    canvas.fill_gradient([(0, lighter(leaf, 0.25)), (0.6, lighter(leaf, 0.55)), (1, leaf)], bottom=horizon + 0.02)
    foliage = noise(random, (canvas.width // 2, canvas.height // 2), (5, 5), octaves=4, gain=0.6).resize(canvas.size)
    canvas.stain(
        darker(leaf, 0.35), ImageChops.multiply(thresholded(foliage, 0.46, 0.66, most=0.85), fading(canvas.size, 1, 0))
    )
    if trees := stage.prop("tree", "trunk"):
        _paint_trunks(trees, horizon, autumn=autumn)
    for _ in range(46):
        place = (random.random(), horizon * random.random() ** 0.8)
        tone = random.choice((lighter(leaf, 0.5), vary(random, leaf, hue=0.05), darker(leaf, 0.2), (255, 244, 206)))
        canvas.disc(place, random.uniform(0.012, 0.045), tone, opacity=random.uniform(0.18, 0.5), blur=0.003)
    canvas.glow((random.uniform(0.2, 0.8), 0.08), 0.6, (255, 240, 196), strength=0.5)
    _paint_forest_floor(stage, horizon, leaf, autumn=autumn)


def _paint_trunks(stage: Stage, horizon: float, *, autumn: bool) -> None:
    random = stage.random
    bark = (84, 66, 54) if autumn else (74, 68, 56)
    for depth in (0.55, 0.55, 0.55, 0.3, 0.3, 0.05):
        x, wide = random.random(), random.uniform(0.014, 0.03) * (1.4 - depth)
        foot = horizon + 0.03 + 0.05 * (0.55 - depth)
        colour = mix(vary(random, bark), (214, 206, 170), depth)
        lean = random.uniform(-0.03, 0.03)
        outline = [(x - wide + lean, 0), (x + wide * 0.8 + lean, 0), (x + wide, foot), (x - wide * 1.15, foot)]
        stage.canvas.polygon(outline, colour, blur=0.002 + 0.004 * depth)
        shade = [(x + lean, 0), (x + wide * 0.8 + lean, 0), (x + wide, foot), (x + wide * 0.1, foot)]
        stage.canvas.polygon(shade, darker(colour, 0.35), opacity=0.6, blur=0.004)


def _paint_forest_floor(stage: Stage, horizon: float, leaf: Colour, *, autumn: bool) -> None:
    random, canvas = stage.random, stage.canvas
    soil = mix(leaf, (96, 74, 52), 0.55 if autumn else 0.4)
    band = (canvas.width, canvas.height - round(horizon * canvas.height))
    litter = noise(random, (band[0] // 2, band[1] // 2), (14, 18), octaves=4, gain=0.8).resize(band)
    floor = coloured(litter, ((0.2, darker(soil, 0.35)), (0.5, soil), (0.8, lighter(mix(soil, leaf, 0.6), 0.25))))
    canvas.stain(floor, fading(band, 0, 1).point([min(value * 14, 255) for value in range(256)]), top=horizon)
    if leaves := stage.prop("leaf"):
        _scatter_leaves(leaves, 110 if autumn else 40, horizon, leaf)


def _scatter_leaves(stage: Stage, count: int, horizon: float, leaf: Colour) -> None:
    random, canvas = stage.random, stage.canvas
    for _ in range(count):
        y = horizon + 0.05 + (0.95 - horizon) * random.random() ** 0.8
        size = 0.004 + 0.02 * (y - horizon)
        place, tone = (random.random(), y), vary(random, leaf, hue=0.05, tone=0.3)
        canvas.ellipse(place, size, size * random.uniform(0.3, 0.6), tone, opacity=0.9)
