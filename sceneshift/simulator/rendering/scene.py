"""Paints the background alone, at the size that its fineness deserves, and grades it as the guidance asks."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from random import Random
from typing import Final

from PIL import Image, ImageChops

from sceneshift.simulator.rendering.backdrops import paint_drape, paint_marble, paint_studio, paint_wood
from sceneshift.simulator.rendering.brief import Brief, Setting, named_colours, read_prompt
from sceneshift.simulator.rendering.canvas import Canvas
from sceneshift.simulator.rendering.colour import Colour
from sceneshift.simulator.rendering.interior import paint_room
from sceneshift.simulator.rendering.outdoors import paint_open_land, paint_water, paint_woodland
from sceneshift.simulator.rendering.recipe import Recipe
from sceneshift.simulator.rendering.stage import Footprint, Stage
from sceneshift.simulator.rendering.urban import paint_city, paint_graffiti

_PAINTERS: Final[dict[Setting, Callable[[Stage], None]]] = {
    Setting.GRAFFITI: paint_graffiti,
    Setting.ROOM: paint_room,
    Setting.WATER: paint_water,
    Setting.CITY: paint_city,
    Setting.OPEN_LAND: paint_open_land,
    Setting.WOODLAND: paint_woodland,
    Setting.DRAPE: paint_drape,
    Setting.MARBLE: paint_marble,
    Setting.WOOD: paint_wood,
    Setting.STUDIO: paint_studio,
}
_FINEST_PIXELS: Final = 520
"""The longer side of the finest scenes. They are scaled up: a background is out of focus anyway."""
_COARSEST_PIXELS: Final = 190
_NARROWEST_PIXELS: Final = 96
"""The shorter side of very long pictures: below it, painters have no room."""
_GRAIN_FINEST: Final = 2
_GRAIN_COARSEST: Final = 20
_HUE_WIDTH: Final = 28 / 360
_HUE_FALLOFF: Final = 14 / 360
_HUELESS_SATURATION: Final = 0.3


def scene_for(recipe: Recipe, footprint: Footprint, size: tuple[int, int]) -> tuple[Image.Image, Brief]:
    """The background of a picture of this size, smaller than it, and the brief that was painted."""
    random = Random(f"{recipe.seed}\n{recipe.prompt}")  # noqa: S311 - pictures, not secrets
    brief = read_prompt(recipe.prompt, negative_prompt=recipe.negative_prompt)
    heeded = brief.heeded(min(2 * recipe.adherence, 1), Random(random.getrandbits(64)))  # noqa: S311 - see above
    grain = Random(random.getrandbits(64))  # noqa: S311 - see above
    scene = paint_scene(heeded, footprint, _scene_size(size, recipe.fineness), random)
    scene = _without_hues(scene, named_colours(brief.avoided))
    return _grained(_graded(scene, recipe.adherence), recipe.fineness, grain), heeded


def paint_scene(brief: Brief, footprint: Footprint, size: tuple[int, int], random: Random) -> Image.Image:
    """The place that the brief describes, at this size."""
    canvas = Canvas(size)
    _PAINTERS[brief.setting](Stage(canvas=canvas, random=random, brief=brief, product=footprint))
    return canvas.image


def _scene_size(size: tuple[int, int], fineness: float) -> tuple[int, int]:
    longest = _COARSEST_PIXELS + fineness * (_FINEST_PIXELS - _COARSEST_PIXELS)
    scale = min(1.0, max(longest / max(size), _NARROWEST_PIXELS / min(size)))
    return round(size[0] * scale), round(size[1] * scale)


def _graded(scene: Image.Image, adherence: float) -> Image.Image:
    """Muted below the usual guidance, richer and harder above it, unchanged at it."""
    away = 2 * adherence - 1
    saturation = 1 + (0.65 if away < 0 else 0.8) * away
    contrast = 1 + (0.3 if away < 0 else 0.4) * away
    if away == 0:
        return scene
    lift = 128 * (1 - contrast)
    share = (0.299 * (1 - saturation), 0.587 * (1 - saturation), 0.114 * (1 - saturation))
    matrix = [
        entry
        for channel in range(3)
        for entry in (
            *(contrast * (grey + (saturation if source == channel else 0)) for source, grey in enumerate(share)),
            lift,
        )
    ]
    return scene.convert("RGB", tuple(matrix))


def _without_hues(scene: Image.Image, colours: list[Colour]) -> Image.Image:
    """The scene with everything of these hues turned nearly grey, and as bright as before."""
    tones = [colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255) for red, green, blue in colours]
    hues = [hue for hue, saturation, _ in tones if saturation >= _HUELESS_SATURATION]
    if not hues:
        return scene
    hue = scene.convert("HSV").getchannel("H")
    kept = hue.point([round(255 * min(_distance(place / 256, avoided) for avoided in hues)) for place in range(256)])
    return Image.composite(scene, scene.convert("L").convert("RGB"), kept)


def _distance(hue: float, avoided: float) -> float:
    """From 0.1 for an avoided hue to 1 for those that are safely another one."""
    apart = abs((hue - avoided + 0.5) % 1 - 0.5)
    return min(max((apart - _HUE_WIDTH) / _HUE_FALLOFF, 0.1), 1.0)


def _grained(scene: Image.Image, fineness: float, random: Random) -> Image.Image:
    """A little grain over the scene; the fewer the steps, the more, and the coarser once the scene is scaled up."""
    most = round(_GRAIN_COARSEST + fineness * (_GRAIN_FINEST - _GRAIN_COARSEST))
    grain = Image.frombytes("L", scene.size, random.randbytes(scene.width * scene.height))
    grain = grain.point([128 + value * (2 * most + 1) // 256 - most for value in range(256)])
    return ImageChops.add(scene, Image.merge("RGB", (grain, grain, grain)), 1, -128)
