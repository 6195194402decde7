"""The product as the mask cuts it out of its photo."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

from sceneshift.simulator.config import MaskKeeps
from sceneshift.simulator.rendering.stage import Footprint

_FAINT: Final = 48
_SOLID: Final = 238


def open_photo(content: bytes, *, coarse: bool = False) -> Image.Image:
    """The photo in RGB; a coarse one has half the width and height, rounded up."""
    image: Image.Image = Image.open(io.BytesIO(content))
    half = tuple(-(-side // 2) for side in image.size)
    if coarse:
        # A JPEG is read at half its size for a third of the time; other formats ignore this.
        image.draft("RGB", (half[0], half[1]))
    image = _loaded(image, "RGB")
    return image.reduce(2) if coarse and image.size != half else image


def open_mask(content: bytes, *, keeps: MaskKeeps) -> Image.Image:
    """A grey picture that is white where the product is.

    It is without its faintest rim, which still has the old background in it.
    """
    kept = _loaded(Image.open(io.BytesIO(content)), "L")
    table = [min(max((value - _FAINT) * 255 // (_SOLID - _FAINT), 0), 255) for value in range(256)]
    return kept.point(table if keeps == "white" else table[::-1])


def footprint_of(kept: Image.Image) -> Footprint:
    """Where the product is; the whole picture when there is none."""
    box = kept.point([255 if value > 127 else 0 for value in range(256)]).getbbox()  # noqa: PLR2004 - the middle grey
    left, top, right, bottom = box or (0, 0, *kept.size)
    width, height = kept.size
    return Footprint(left=left / width, top=top / height, right=right / width, base=bottom / height)


def _loaded(image: Image.Image, mode: str) -> Image.Image:
    """Wholly decoded, and not copied when its mode is right already: a large one weighs 64 MB."""
    image.load()
    return image if image.mode == mode else image.convert(mode)
