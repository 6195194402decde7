"""Puts the product into its scene: cut out by the mask, shadowed where it stands, in the scene's light."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from random import Random
from typing import Final

from PIL import Image, ImageChops

from sceneshift.simulator.config import MaskKeeps
from sceneshift.simulator.rendering.backdrops import paint_drape, paint_marble, paint_studio, paint_wood
from sceneshift.simulator.rendering.brief import Brief, Light, Setting, read_prompt
from sceneshift.simulator.rendering.canvas import Canvas, fading, softened
from sceneshift.simulator.rendering.colour import Colour
from sceneshift.simulator.rendering.interior import paint_room
from sceneshift.simulator.rendering.outdoors import paint_open_land, paint_water, paint_woodland
from sceneshift.simulator.rendering.stage import Footprint, Stage
from sceneshift.simulator.rendering.urban import paint_city, paint_graffiti

_PAINTERS: Final[dict[Setting, Callable[[Stage], None]]] = {
    Setting.GRAFFITI: paint_graffiti,
    Setting.ROOM: paint_room,
    Setting.WATER: paint_water,
    Setting.OPEN_LAND: paint_open_land,
    Setting.CITY: paint_city,
    Setting.DRAPE: paint_drape,
    Setting.MARBLE: paint_marble,
    Setting.WOODLAND: paint_woodland,
    Setting.WOOD: paint_wood,
    Setting.STUDIO: paint_studio,
}
_SCENE_MAX_PIXELS: Final = 520
"""Scenes are painted no larger than this and scaled up: they are out of focus anyway."""
_LIGHTS: Final[dict[Light, Colour]] = {
    Light.DAY: (255, 253, 248),
    Light.SUNSET: (255, 226, 200),
    Light.NIGHT: (204, 210, 234),
}
_CUT_OFF: Final = 0.985
"""A product that reaches below this is cut off by the border, and throws no shadow on the ground."""
_GRAIN: Final = 3


def render_png(image: bytes, mask: bytes, *, keeps: MaskKeeps, prompt: str, seed: int) -> bytes:
    """The product of `image` in the scene of `prompt`, as large as `image`; equal arguments give equal bytes."""
    with Image.open(io.BytesIO(image)) as opened, Image.open(io.BytesIO(mask)) as opened_mask:
        photo, kept = opened.convert("RGB"), opened_mask.convert("L")
    if keeps == "black":
        kept = ImageChops.invert(kept)
    brief = read_prompt(prompt)
    random = Random(f"{seed}\n{prompt}")  # noqa: S311 - pictures, not secrets
    footprint = _footprint(kept)
    scene = paint_scene(brief, footprint, photo.size, random)
    picture = _place_product(scene, photo, _tightened(kept), brief, footprint)
    output = io.BytesIO()
    _with_grain(picture, random).save(output, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return output.getvalue()


def paint_scene(brief: Brief, footprint: Footprint, size: tuple[int, int], random: Random) -> Image.Image:
    """The background alone."""
    scale = min(1.0, _SCENE_MAX_PIXELS / max(size))
    canvas = Canvas((round(size[0] * scale), round(size[1] * scale)))
    _PAINTERS[brief.setting](Stage(canvas=canvas, random=random, brief=brief, product=footprint))
    return canvas.image if scale == 1 else canvas.image.resize(size, Image.Resampling.BICUBIC)


def _footprint(kept: Image.Image) -> Footprint:
    box = kept.point([255 if value > 127 else 0 for value in range(256)]).getbbox()  # noqa: PLR2004 - the middle grey
    left, top, right, bottom = box or (0, 0, *kept.size)
    width, height = kept.size
    return Footprint(left=left / width, top=top / height, right=right / width, base=bottom / height)


def _tightened(kept: Image.Image) -> Image.Image:
    """The mask without its faintest rim, which still has the old background in it."""
    return kept.point([min(max((value - 48) * 255 // 190, 0), 255) for value in range(256)])


def _place_product(
    scene: Image.Image, photo: Image.Image, kept: Image.Image, brief: Brief, footprint: Footprint
) -> Image.Image:
    if brief.setting in {Setting.MARBLE, Setting.CITY} and footprint.base < _CUT_OFF:
        _mirror(scene, photo, kept, footprint)
    shade = (34, 30, 36)
    if brief.setting is Setting.DRAPE:
        _press_into_cloth(scene, kept, shade)
    elif footprint.base < _CUT_OFF:
        _stand_on_ground(scene, kept, footprint, shade)
    scene.paste(_in_the_light(scene, photo, kept, brief), (0, 0), kept)
    return scene


def _stand_on_ground(scene: Image.Image, kept: Image.Image, footprint: Footprint, shade: Colour) -> None:
    """A wide soft shadow of the whole shape laid down, and a narrow dark one where it touches."""
    small = kept.reduce(4)
    left, right = round(footprint.left * small.width), round(footprint.right * small.width)
    top, base = round(footprint.top * small.height), round(footprint.base * small.height)
    tall, wide = max(base - top, 1), max(right - left, 1)
    shape = small.crop((left, top, right, base))
    lying = Image.new("L", small.size)
    flat = max(round(min(tall * 0.16, wide * 0.3)), 2)
    lying.paste(shape.resize((wide, flat)), (left + round(wide * 0.03), base - round(flat * 0.62)))
    lying = softened(lying, max(wide * 0.045, 1)).point([value * 62 // 100 for value in range(256)])
    touching = Image.new("L", small.size)
    sole = shape.crop((0, round(tall * 0.93), wide, tall)).resize((wide, max(round(tall * 0.035), 2)))
    touching.paste(sole, (left, base - max(round(tall * 0.018), 1)))
    touching = softened(touching, max(wide * 0.012, 1)).point([value * 85 // 100 for value in range(256)])
    scene.paste(shade, (0, 0), ImageChops.lighter(lying, touching).resize(scene.size, Image.Resampling.BICUBIC))


def _press_into_cloth(scene: Image.Image, kept: Image.Image, shade: Colour) -> None:
    """Cloth is close all around: the shadow follows the outline, away from the light."""
    small = kept.reduce(4)
    shift = max(small.width // 45, 1)
    away = Image.new("L", small.size)
    away.paste(small, (shift, round(shift * 1.3)))
    wide = softened(away, small.width * 0.03).point([value * 48 // 100 for value in range(256)])
    near = softened(small, small.width * 0.008).point([value * 45 // 100 for value in range(256)])
    scene.paste(shade, (0, 0), ImageChops.lighter(wide, near).resize(scene.size, Image.Resampling.BICUBIC))


def _mirror(scene: Image.Image, photo: Image.Image, kept: Image.Image, footprint: Footprint) -> None:
    """What a polished or wet ground shows of the product below its base."""
    base = round(footprint.base * scene.height)
    depth = min(scene.height - base, base)
    if depth < 1:
        return
    box = (0, base - depth, scene.width, base)
    flip = Image.Transpose.FLIP_TOP_BOTTOM
    image, mask = photo.crop(box).transpose(flip), kept.crop(box).transpose(flip)
    scene.paste(image, (0, base), ImageChops.multiply(mask, fading(mask.size, 0.42, 0.02)))


def _in_the_light(scene: Image.Image, photo: Image.Image, kept: Image.Image, brief: Brief) -> Image.Image:
    """The product with the light's colour on it, and a little of what surrounds it on its rim."""
    lit = ImageChops.multiply(photo, Image.new("RGB", photo.size, _LIGHTS[brief.light]))
    around = scene.reduce(max(scene.width // 24, 1)).resize(scene.size, Image.Resampling.BILINEAR)
    lit = Image.blend(lit, ImageChops.soft_light(lit, around), 0.3)
    inside = softened(kept.reduce(4), max(scene.width / 4 * 0.012, 1)).resize(kept.size)
    rim = ImageChops.invert(inside).point([min(value * 7 // 10, 150) for value in range(256)])
    lit.paste(around, (0, 0), rim)
    return lit


def _with_grain(picture: Image.Image, random: Random) -> Image.Image:
    """Light grain over everything: product and scene seem to be of one exposure."""
    half = ((picture.width + 1) // 2, (picture.height + 1) // 2)
    grain = Image.frombytes("L", half, random.randbytes(half[0] * half[1]))
    grain = grain.point([128 + (value % (2 * _GRAIN + 1)) - _GRAIN for value in range(256)])
    grain = grain.resize(picture.size, Image.Resampling.BILINEAR)
    return ImageChops.add(picture, Image.merge("RGB", (grain, grain, grain)), 1, -128)
