"""Paint on regions: gradients, textures, the studio behind the product, and the finished photo with its mask."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageChops, ImageColor, ImageFilter

from examples.catalogue.drawing.shapes import SCALE, SIZE, WORKING_SIZE, Region, Vertex, ellipse, nothing, soft

Stop = tuple[float, str]
Paint = str | Image.Image

STRIP = 512
PADDING = 4


@dataclass(frozen=True, slots=True)
class Photo:
    """A product photo and its mask (white = product), both of the picture's size."""

    image: Image.Image
    mask: Image.Image


@dataclass(slots=True)
class Canvas:
    """A photo being painted: the picture, and how much of each pixel is the product."""

    seed: int
    image: Image.Image = field(init=False)
    product: Region = field(init=False)

    def __post_init__(self) -> None:
        self.image = backdrop()
        self.product = nothing()

    def paint(self, region: Region, paint: Paint, opacity: float = 1.0) -> None:
        """The region of the product is covered; the mask grows by it."""
        self.tint(region, paint, opacity)
        self.product = ImageChops.lighter(self.product, region)

    def tint(self, region: Region, paint: Paint, opacity: float = 1.0) -> None:
        """Paint is laid over what is there; the mask stays as it is."""
        mask = region if opacity >= 1 else region.point([round(value * opacity) for value in range(256)])
        source = paint if isinstance(paint, Image.Image) else Image.new("RGB", WORKING_SIZE, paint)
        self.image.paste(source, (0, 0), mask)

    def shadow(self, x: float, y: float, radius_x: float, radius_y: float, *, blur: float, opacity: float) -> None:
        """A soft shadow lies on the floor; it belongs to the studio, not to the product."""
        self.tint(soft(ellipse(x, y, radius_x, radius_y), blur), "#23211f", opacity)

    def finish(self) -> Photo:
        grain = noise(self.seed, WORKING_SIZE[0] // 2).resize(WORKING_SIZE, Image.Resampling.BICUBIC)
        faint = grain.point([round(128 + (value - 128) * 0.035) for value in range(256)])
        grainy = ImageChops.add(self.image, Image.merge("RGB", (faint, faint, faint)), offset=-128)
        sharp = grainy.reduce(SCALE).filter(ImageFilter.UnsharpMask(radius=0.8, percent=40, threshold=2))
        return Photo(sharp, self.product.reduce(SCALE))


def backdrop() -> Image.Image:
    """A seamless studio grey: a wall that becomes the floor without an edge, brightest behind the product."""
    wall = linear((0, 0), (0, SIZE), [(0, "#b9babb"), (0.55, "#cbccca"), (0.72, "#d4d4d1"), (1, "#c1c0bc")])
    glow = soft(ellipse(SIZE * 0.46, SIZE * 0.45, 300, 300), 110)
    wall.paste(Image.new("RGB", WORKING_SIZE, "#e6e6e3"), (0, 0), glow.point([value // 2 for value in range(256)]))
    return wall


def linear(start: Vertex, end: Vertex, stops: Sequence[Stop]) -> Image.Image:
    """Colours along the line from start to end, constant across it and beyond its ends."""
    strip = Image.new("RGB", (STRIP * (2 * PADDING + 1), 1))
    strip.putdata([_between(stops, x / STRIP - PADDING) for x in range(strip.width)])
    delta_x, delta_y = end[0] - start[0], end[1] - start[1]
    factor = STRIP / (delta_x**2 + delta_y**2) / SCALE
    offset = STRIP * PADDING - (start[0] * delta_x + start[1] * delta_y) * factor * SCALE
    matrix = (delta_x * factor, delta_y * factor, offset, 0.0, 0.0, 0.5)
    return strip.transform(WORKING_SIZE, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


def fade(start: Vertex, end: Vertex, stops: Sequence[tuple[float, int]]) -> Region:
    """A region whose strength (0..255) changes along a line."""
    return linear(start, end, [(at, f"#{value:02x}{value:02x}{value:02x}") for at, value in stops]).getchannel(0)


def _between(stops: Sequence[Stop], at: float) -> tuple[int, int, int]:
    if at <= stops[0][0]:
        return _rgb(stops[0][1])
    for (low, first), (high, second) in itertools.pairwise(stops):
        if at <= high:
            return mixed(_rgb(first), _rgb(second), (at - low) / (high - low))
    return _rgb(stops[-1][1])


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return red, green, blue


def mixed(first: Sequence[float], second: Sequence[float], share: float) -> tuple[int, int, int]:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def noise(seed: int, width: int, height: int | None = None) -> Image.Image:
    """Grey values of pure chance, the same for the same seed."""
    tall = width if height is None else height
    chance = random.Random(seed)  # noqa: S311 - a texture, not a secret
    return Image.frombytes("L", (width, tall), chance.randbytes(width * tall))


def texture(seed: int, cell_width: float, cell_height: float, contrast: float = 1.0) -> Region:
    """Cloudy noise whose grains have about this size in picture units, around mid-grey."""
    size = max(2, round(SIZE / cell_width)), max(2, round(SIZE / cell_height))
    cloud = noise(seed, *size).resize(WORKING_SIZE, Image.Resampling.BICUBIC)
    return cloud.point([max(0, min(255, round(128 + (value - 128) * contrast))) for value in range(256)])


def relief(seed: int, cell: float, strength: float) -> tuple[Region, Region]:
    """The lit and the shaded side of a fine bumpy surface, such as leather."""
    bumps = soft(texture(seed, cell, cell), cell / 4)
    step = max(1, round(cell * SCALE / 3))
    slope = ImageChops.subtract(bumps, ImageChops.offset(bumps, step, step), 1.0, 128)
    lit = slope.point([max(0, min(255, round((value - 128) * strength))) for value in range(256)])
    shaded = slope.point([max(0, min(255, round((128 - value) * strength))) for value in range(256)])
    return lit, shaded
