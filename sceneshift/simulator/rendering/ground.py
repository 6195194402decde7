"""What the product does to the place where it stands: its shadow, and its reflection in polished or wet ground.

Both are soft, so they are drawn into the scene before it is scaled up.
"""

from __future__ import annotations

from typing import Final

from PIL import Image, ImageChops

from sceneshift.simulator.rendering.brief import Setting
from sceneshift.simulator.rendering.canvas import fading, softened
from sceneshift.simulator.rendering.colour import Colour
from sceneshift.simulator.rendering.stage import Footprint

_SHADE: Final[Colour] = (34, 30, 36)
_CUT_OFF: Final = 0.985
"""A product that reaches below this is cut off by the border, and throws no shadow on the ground."""
_MIRRORING: Final = frozenset((Setting.MARBLE, Setting.CITY))


def ground_product(
    scene: Image.Image, photo: Image.Image, kept: Image.Image, *, setting: Setting, footprint: Footprint, depth: float
) -> None:
    """`scene` has the product's shadow and reflection in it; 1 is a natural `depth` for both.

    The mask is as large as the scene; `photo` may be of any size.
    """
    stands = footprint.base < _CUT_OFF
    if setting in _MIRRORING and stands:
        small = photo.resize(scene.size, Image.Resampling.BILINEAR, reducing_gap=1.0)
        _mirror(scene, small, kept, footprint, depth)
    if setting is Setting.DRAPE:
        _press_into_cloth(scene, kept, depth)
    elif stands:
        _stand_on_ground(scene, kept, footprint, depth)


def _stand_on_ground(scene: Image.Image, kept: Image.Image, footprint: Footprint, depth: float) -> None:
    """A wide soft shadow of the whole shape laid down, and a narrow dark one where it touches."""
    left, right = round(footprint.left * kept.width), round(footprint.right * kept.width)
    top, base = round(footprint.top * kept.height), round(footprint.base * kept.height)
    tall, wide = max(base - top, 1), max(right - left, 1)
    shape = kept.crop((left, top, left + wide, top + tall))
    lying = Image.new("L", kept.size)
    flat = max(round(min(tall * 0.16, wide * 0.3)), 2)
    lying.paste(shape.resize((wide, flat)), (left + round(wide * 0.03), base - round(flat * 0.62)))
    lying = _dimmed(softened(lying, max(min(wide * 0.045, flat * 0.45), 1)), 0.62 * depth)
    touching = Image.new("L", kept.size)
    sole = shape.crop((0, round(tall * 0.93), wide, tall)).resize((wide, max(round(tall * 0.035), 2)))
    touching.paste(sole, (left, base - max(round(tall * 0.018), 1)))
    touching = _dimmed(softened(touching, max(wide * 0.012, 1)), 0.85 * depth)
    scene.paste(_SHADE, (0, 0), ImageChops.lighter(lying, touching))


def _press_into_cloth(scene: Image.Image, kept: Image.Image, depth: float) -> None:
    """Cloth is close all around: the shadow follows the outline, away from the light."""
    shift = max(kept.width // 45, 1)
    away = Image.new("L", kept.size)
    away.paste(kept, (shift, round(shift * 1.3)))
    wide = _dimmed(softened(away, kept.width * 0.03), 0.48 * depth)
    near = _dimmed(softened(kept, kept.width * 0.008), 0.45 * depth)
    scene.paste(_SHADE, (0, 0), ImageChops.lighter(wide, near))


def _mirror(scene: Image.Image, photo: Image.Image, kept: Image.Image, footprint: Footprint, depth: float) -> None:
    """What a polished or wet ground shows of the product below its base."""
    base = round(footprint.base * scene.height)
    reach = min(scene.height - base, base)
    if reach < 1:
        return
    box = (0, base - reach, scene.width, base)
    flip = Image.Transpose.FLIP_TOP_BOTTOM
    image, mask = photo.crop(box).transpose(flip), kept.crop(box).transpose(flip)
    scene.paste(image, (0, base), ImageChops.multiply(mask, fading(mask.size, min(0.42 * depth, 1), 0.02)))


def _dimmed(mask: Image.Image, share: float) -> Image.Image:
    return mask.point([min(round(value * share), 255) for value in range(256)])
