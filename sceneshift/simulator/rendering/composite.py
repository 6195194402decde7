"""Puts the product into its scene: cut out by the mask, shadowed where it stands, in the scene's light.

The scene is painted small and scaled up in bands, so that a picture of 4096 pixels a side needs memory for itself and
little more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops

from sceneshift.simulator.config import MaskKeeps
from sceneshift.simulator.rendering.brief import Light
from sceneshift.simulator.rendering.canvas import Box, softened
from sceneshift.simulator.rendering.colour import WHITE, Colour, mix
from sceneshift.simulator.rendering.cutout import footprint_of, open_mask, open_photo
from sceneshift.simulator.rendering.draft import draft_png
from sceneshift.simulator.rendering.ground import ground_product
from sceneshift.simulator.rendering.png import encode_png
from sceneshift.simulator.rendering.recipe import Quality, Recipe
from sceneshift.simulator.rendering.scene import scene_for

_LIGHTS: Final[dict[Light, Colour]] = {
    Light.DAY: (255, 251, 241),
    Light.SUNSET: (255, 197, 145),
    Light.NIGHT: (153, 165, 213),
}
"""What white becomes in a product that is wholly relit."""
_BAND_PIXELS: Final = 2**16
_SURROUNDINGS_PIXELS: Final = 16
"""The longer side of the scene as the product's surface takes it up, more or less: no detail is left of it."""


def render_png(image: bytes, mask: bytes, *, keeps: MaskKeeps, recipe: Recipe, quality: Quality) -> bytes:
    """The product of `image` in the scene of the recipe, as large as `image`; equal arguments give equal bytes."""
    kept = open_mask(mask, keeps=keeps)
    if quality == "draft":
        return draft_png(open_photo(image, coarse=True), kept.reduce(2), kept.size, recipe)
    photo = open_photo(image)
    return encode_png(photo.size, _bands(photo, kept, recipe))


def _bands(photo: Image.Image, kept: Image.Image, recipe: Recipe) -> Iterator[Image.Image]:
    """The finished picture from top to bottom."""
    footprint = footprint_of(kept)
    scene, brief = scene_for(recipe, footprint, photo.size)
    depth = min(2 * recipe.strength, 0.85 + 0.3 * recipe.strength)
    surroundings = _surroundings(scene)
    shape = kept.resize(scene.size, Image.Resampling.BILINEAR, reducing_gap=1.0)
    ground_product(scene, photo, shape, setting=brief.setting, footprint=footprint, depth=depth)
    light = _SceneLight(
        tone=mix(WHITE, _LIGHTS[brief.light], recipe.strength),
        surroundings=surroundings,
        rim=_rim(shape, min(1.4 * recipe.strength, 1)),
        mirrored=0.6 * recipe.strength,
    )
    product = kept.getbbox()
    rows = max(_BAND_PIXELS // photo.width, 1)
    for top in range(0, photo.height, rows):
        box = (0, top, photo.width, min(top + rows, photo.height))
        band = _part(scene, photo.size, box, Image.Resampling.BICUBIC)
        if recipe.remnant > 0:
            band = Image.blend(band, photo.crop(box), recipe.remnant)
        if product and (piece := _overlap(product, box)):
            band.paste(light.falls_on(photo, piece), (piece[0], piece[1] - top), kept.crop(piece))
        yield band


@dataclass(frozen=True, slots=True, kw_only=True)
class _SceneLight:
    """What the scene does to the product's colours."""

    tone: Colour
    surroundings: Image.Image
    rim: Image.Image
    mirrored: float

    def falls_on(self, photo: Image.Image, box: Box) -> Image.Image:
        """This part of the photo with the light's colour on it, and a little of what surrounds it on its rim."""
        lit = photo.crop(box).point([round(value * channel / 255) for channel in self.tone for value in range(256)])
        around = _part(self.surroundings, photo.size, box, Image.Resampling.BILINEAR)
        lit = Image.blend(lit, ImageChops.soft_light(lit, around), self.mirrored)
        lit.paste(around, (0, 0), _part(self.rim, photo.size, box, Image.Resampling.BILINEAR))
        return lit


def _surroundings(scene: Image.Image) -> Image.Image:
    return softened(scene.reduce(max(max(scene.size) // _SURROUNDINGS_PIXELS, 1)), 1)


def _rim(shape: Image.Image, most: float) -> Image.Image:
    """A mask of the product's outermost pixels and all that is not the product."""
    inside = softened(shape, max(shape.width * 0.012, 1))
    return inside.point([min(round((255 - value) * most), 150) for value in range(256)])


def _part(small: Image.Image, size: tuple[int, int], box: Box, resampling: Image.Resampling) -> Image.Image:
    """What lies in `box` when `small` is scaled up to `size`; neighbouring parts fit without a seam."""
    across, down = small.width / size[0], small.height / size[1]
    left, top, right, bottom = box
    source = (left * across, top * down, min(right * across, small.width), min(bottom * down, small.height))
    return small.resize((right - left, bottom - top), resampling, box=source)


def _overlap(first: Box, second: Box) -> Box | None:
    left, top = max(first[0], second[0]), max(first[1], second[1])
    right, bottom = min(first[2], second[2]), min(first[3], second[3])
    return (left, top, right, bottom) if left < right and top < bottom else None
