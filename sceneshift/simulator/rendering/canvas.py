"""A painting surface in fractions of its size: smooth gradients, noise, and shapes with clean or soft edges.

Shapes are drawn at twice the size inside their bounding box and reduced: clean edges at little cost. Smooth things are
made small and scaled up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from PIL import Image, ImageDraw, ImageFilter

from sceneshift.simulator.rendering.colour import Colour, Stops, coloured

Point = tuple[float, float]
Paint = Colour | Image.Image
Box = tuple[int, int, int, int]

_OVERSAMPLING = 2


class Canvas:
    """A picture being painted; `x` and `y` run from 0 to 1, from the upper left corner."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.width, self.height = size
        self.image = Image.new("RGB", size)

    def fill_gradient(self, stops: Stops, *, top: float = 0, bottom: float = 1) -> None:
        """The band between `top` and `bottom` holds a vertical ramp."""
        upper, lower = max(round(top * self.height), 0), min(round(bottom * self.height), self.height)
        if lower > upper:
            box = (0, upper, self.width, lower)
            self.image.paste(_piece(self.ramp(stops, top=top, bottom=bottom), box), box)

    def ramp(self, stops: Stops, *, top: float = 0, bottom: float = 1) -> Image.Image:
        """A paint that changes downwards, from `top` to `bottom`: one pixel wide, as high as the canvas."""
        upper, lower = round(top * self.height), round(bottom * self.height)
        slope = Image.linear_gradient("L").resize((1, max(lower - upper, 1)))
        column = Image.new("RGB", (1, self.height), stops[-1][1])
        column.paste(stops[0][1], (0, 0, 1, max(min(upper, self.height), 0)))
        column.paste(coloured(slope, stops), (0, upper))
        return column

    def polygon(self, points: Sequence[Point], paint: Paint, *, opacity: float = 1, blur: float = 0) -> None:
        """`blur` is a fraction of the width."""
        box, level = self._box(points, blur), round(255 * opacity)
        if box is not None:
            mask, draw = self._stencil(box)
            draw.polygon([self._in_box(point, box) for point in points], fill=level)
            self._apply(mask, box, paint, blur)

    def ellipse(
        self, centre: Point, radius_x: float, radius_y: float, paint: Paint, *, opacity: float = 1, blur: float = 0
    ) -> None:
        """`radius_x` is a fraction of the width, `radius_y` of the height."""
        corners = [(centre[0] - radius_x, centre[1] - radius_y), (centre[0] + radius_x, centre[1] + radius_y)]
        box, level = self._box(corners, blur), round(255 * opacity)
        if box is not None:
            mask, draw = self._stencil(box)
            draw.ellipse([self._in_box(corner, box) for corner in corners], fill=level)
            self._apply(mask, box, paint, blur)

    def disc(self, centre: Point, radius: float, paint: Paint, *, opacity: float = 1, blur: float = 0) -> None:
        """A round one, whatever the picture's shape: `radius` is a fraction of the width."""
        self.ellipse(centre, radius, radius * self.width / self.height, paint, opacity=opacity, blur=blur)

    def rectangle(self, upper_left: Point, lower_right: Point, paint: Paint, *, opacity: float = 1) -> None:
        (left, top), (right, bottom) = upper_left, lower_right
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], paint, opacity=opacity)

    def line(
        self, points: Sequence[Point], thickness: float, paint: Paint, *, opacity: float = 1, blur: float = 0
    ) -> None:
        """`thickness` is a fraction of the width; the ends are round."""
        box, level = self._box(points, thickness + blur), round(255 * opacity)
        if box is None:
            return
        mask, draw = self._stencil(box)
        pixels = [self._in_box(point, box) for point in points]
        wide = max(round(thickness * self.width * _OVERSAMPLING), 1)
        draw.line(pixels, fill=level, width=wide, joint="curve")
        for x, y in (pixels[0], pixels[-1]):
            draw.ellipse((x - wide / 2, y - wide / 2, x + wide / 2, y + wide / 2), fill=level)
        self._apply(mask, box, paint, blur)

    def glow(self, centre: Point, radius: float, colour: Colour, *, strength: float = 1) -> None:
        """Light of this colour lies around `centre`, fading out at `radius` (a fraction of the width)."""
        small = (max(self.width // 4, 1), max(self.height // 4, 1))
        reach = max(round(radius * small[0]), 1)
        falloff = Image.radial_gradient("L").point([round(255 * strength * _smooth(1 - v / 180)) for v in range(256)])
        light = Image.new("L", small)
        light.paste(
            falloff.resize((2 * reach, 2 * reach), Image.Resampling.BILINEAR),
            (round(centre[0] * small[0]) - reach, round(centre[1] * small[1]) - reach),
        )
        self.stain(colour, light.resize(self.size, Image.Resampling.BILINEAR))

    def stain(self, paint: Paint, mask: Image.Image, *, top: float = 0) -> None:
        """`paint` shows where `mask` (as wide as the canvas) is bright, from `top` down."""
        upper = round(top * self.height)
        box = (0, upper, mask.width, upper + mask.height)
        self.image.paste(paint, box, mask)

    def soften(self, radius: float, *, top: float = 0, bottom: float = 1) -> None:
        """The band is out of focus by `radius` (a fraction of the width)."""
        box = (0, round(top * self.height), self.width, round(bottom * self.height))
        self.image.paste(softened(self.image.crop(box), radius * self.width), box)

    def _box(self, points: Sequence[Point], margin: float) -> Box | None:
        """The pixels that a shape touches, inside the canvas; None when it touches none."""
        border = math.ceil(margin * self.width * 2) + 2
        across = [x * self.width for x, _ in points]
        down = [y * self.height for _, y in points]
        left, top = max(math.floor(min(across)) - border, 0), max(math.floor(min(down)) - border, 0)
        right = min(math.ceil(max(across)) + border, self.width)
        bottom = min(math.ceil(max(down)) + border, self.height)
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _in_box(self, point: Point, box: Box) -> Point:
        return (point[0] * self.width - box[0]) * _OVERSAMPLING, (point[1] * self.height - box[1]) * _OVERSAMPLING

    def _stencil(self, box: Box) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        mask = Image.new("L", ((box[2] - box[0]) * _OVERSAMPLING, (box[3] - box[1]) * _OVERSAMPLING))
        return mask, ImageDraw.Draw(mask)

    def _apply(self, mask: Image.Image, box: Box, paint: Paint, blur: float) -> None:
        mask = mask.reduce(_OVERSAMPLING)
        if blur > 0:
            mask = softened(mask, blur * self.width)
        self.image.paste(_piece(paint, box) if isinstance(paint, Image.Image) else paint, box, mask)


def _piece(paint: Image.Image, box: Box) -> Image.Image:
    """The part of a paint that covers this box; a ramp is as wide as it has to be."""
    if paint.width == 1:
        return paint.crop((0, box[1], 1, box[3])).resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.NEAREST)
    return paint.crop(box)


def softened(image: Image.Image, radius: float) -> Image.Image:
    """Blurred by this many pixels; a wide blur is made at a smaller size, where it costs little."""
    shrink = max(int(radius / 2), 1)
    if shrink == 1 or min(image.size) < shrink * 2:
        return image.filter(ImageFilter.GaussianBlur(radius))
    small = image.reduce(shrink).filter(ImageFilter.GaussianBlur(radius / shrink))
    return small.resize(image.size, Image.Resampling.BICUBIC)


def noise(
    random: Random, size: tuple[int, int], cells: tuple[float, float], *, octaves: int = 3, gain: float = 0.5
) -> Image.Image:
    """Cloudy grey noise; `cells` says how many blobs fit across and down in its coarsest layer."""
    # One number from the caller, whatever the size: a smaller picture of the same scene draws the same ones after it.
    own = Random(random.getrandbits(64))  # noqa: S311 - pictures, not secrets
    result: Image.Image | None = None
    share = 1.0
    for octave in range(octaves):
        columns, rows = (max(round(count * 2**octave), 2) for count in cells)
        columns, rows = min(columns, size[0]), min(rows, size[1])
        layer = Image.frombytes("L", (columns, rows), own.randbytes(columns * rows))
        if result is None:
            result = layer
        else:
            coarse = result.resize(layer.size, Image.Resampling.BICUBIC)
            result = Image.blend(coarse, layer, share / (1 + share))
        share *= gain
    if result is None:
        raise ValueError("octaves: at least 1")
    return result.resize(size, Image.Resampling.BICUBIC)


def thresholded(grey: Image.Image, low: float, high: float, *, most: float = 1) -> Image.Image:
    """A mask that is empty below `low`, reaches `most` at `high`, and is smooth between them (all from 0 to 1)."""
    return grey.point([round(255 * most * _smooth((value / 255 - low) / (high - low))) for value in range(256)])


def fading(size: tuple[int, int], start: float, end: float) -> Image.Image:
    """A vertical mask from `start` at the top to `end` at the bottom (0 to 1)."""
    ramp = Image.linear_gradient("L").resize((1, size[1]))
    return ramp.point([round(255 * (start + (end - start) * value / 255)) for value in range(256)]).resize(size)


def _smooth(value: float) -> float:
    value = min(max(value, 0.0), 1.0)
    return value * value * (3 - 2 * value)
