"""Outlines and regions: where paint goes. Everything is given in picture units of 0..900, y downwards.

A region is an 8-bit mask at twice the picture's size, drawn at four times and reduced, so that every edge is smooth.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIZE = 900
SCALE = 2
WORKING_SIZE = (SIZE * SCALE, SIZE * SCALE)
EDGE_SCALE = 2
CURVE_STEPS = 24

Vertex = tuple[float, float]
Region = Image.Image


def outlines(path: str) -> list[list[Vertex]]:
    """The polygons of a path in SVG's absolute commands M, L, C, Q and Z; curves become short lines."""
    found: list[list[Vertex]] = []
    for letter, tail in re.findall(r"([MLCQZ])([^MLCQZ]*)", path):
        numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", tail)]
        vertices = list(zip(numbers[::2], numbers[1::2], strict=True))
        if letter == "M":
            found.append(vertices)
        elif letter == "L":
            found[-1].extend(vertices)
        elif letter == "Z":
            found[-1].append(found[-1][0])
        else:
            degree = 3 if letter == "C" else 2
            for start in range(0, len(vertices), degree):
                found[-1].extend(_curve([found[-1][-1], *vertices[start : start + degree]]))
    return found


def _curve(controls: Sequence[Vertex]) -> Iterator[Vertex]:
    """De Casteljau's construction, without the first point."""
    for step in range(1, CURVE_STEPS + 1):
        share = step / CURVE_STEPS
        points = list(controls)
        while len(points) > 1:
            points = [
                (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share) for a, b in itertools.pairwise(points)
            ]
        yield points[0]


def nothing() -> Region:
    return Image.new("L", WORKING_SIZE, 0)


def area(*paths: str) -> Region:
    """The inside of the paths, united."""
    large, draw, scale = _sheet()
    for path in paths:
        for polygon in outlines(path):
            draw.polygon([(x * scale, y * scale) for x, y in polygon], fill=255)
    return large.reduce(EDGE_SCALE)


def line(path: str, width: float) -> Region:
    """A line of this width along the path, with round joints and ends."""
    large, draw, scale = _sheet()
    for polygon in outlines(path):
        _draw_line(draw, [(x * scale, y * scale) for x, y in polygon], width * scale)
    return large.reduce(EDGE_SCALE)


def stitches(path: str, width: float, length: float, gap: float) -> Region:
    """A dashed line along the path: a seam."""
    large, draw, scale = _sheet()
    for polygon in outlines(path):
        for dash in _dashes(polygon, length, gap):
            _draw_line(draw, [(x * scale, y * scale) for x, y in dash], width * scale)
    return large.reduce(EDGE_SCALE)


def ellipse(x: float, y: float, radius_x: float, radius_y: float | None = None) -> Region:
    large, draw, scale = _sheet()
    tall = radius_x if radius_y is None else radius_y
    draw.ellipse([(x - radius_x) * scale, (y - tall) * scale, (x + radius_x) * scale, (y + tall) * scale], fill=255)
    return large.reduce(EDGE_SCALE)


def rounded(left: float, top: float, right: float, bottom: float, radius: float) -> Region:
    large, draw, scale = _sheet()
    draw.rounded_rectangle([left * scale, top * scale, right * scale, bottom * scale], radius * scale, fill=255)
    return large.reduce(EDGE_SCALE)


def soft(region: Region, radius: float) -> Region:
    return region.filter(ImageFilter.GaussianBlur(radius * SCALE))


def both(*regions: Region) -> Region:
    """Where all regions are."""
    result = regions[0]
    for region in regions[1:]:
        result = ImageChops.multiply(result, region)
    return result


def either(*regions: Region) -> Region:
    """Where any region is."""
    result = regions[0]
    for region in regions[1:]:
        result = ImageChops.screen(result, region)
    return result


def without(region: Region, taken: Region) -> Region:
    return ImageChops.multiply(region, ImageChops.invert(taken))


def moved(region: Region, right: float, down: float) -> Region:
    result = nothing()
    result.paste(region, (round(right * SCALE), round(down * SCALE)))
    return result


def rim(region: Region, right: float, down: float, blur: float) -> Region:
    """The inner edge that is left bare when the region moves by this much: light or shade on one side of a volume."""
    return without(region, soft(moved(region, right, down), blur))


def mirrored(path: str, axis: float = SIZE / 2) -> str:
    """The same path on the other side of a vertical axis."""
    return re.sub(
        r"(-?\d+\.?\d*)([ ,]+)(-?\d+\.?\d*)",
        lambda match: f"{2 * axis - float(match[1]):.2f}{match[2]}{match[3]}",
        path,
    )


def _sheet() -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    large = Image.new("L", (WORKING_SIZE[0] * EDGE_SCALE, WORKING_SIZE[1] * EDGE_SCALE), 0)
    return large, ImageDraw.Draw(large), SCALE * EDGE_SCALE


def _draw_line(draw: ImageDraw.ImageDraw, points: Sequence[Vertex], width: float) -> None:
    draw.line(list(points), fill=255, width=max(1, round(width)), joint="curve")
    for x, y in (points[0], points[-1]):
        draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=255)


def _dashes(polygon: Sequence[Vertex], length: float, gap: float) -> Iterator[list[Vertex]]:
    walked = 0.0
    dash: list[Vertex] = []
    for (x0, y0), (x1, y1) in itertools.pairwise(polygon):
        distance = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        for step in range(max(1, round(distance * 2))):
            share = step / max(1, round(distance * 2))
            if (walked + distance * share) % (length + gap) < length:
                dash.append((x0 + (x1 - x0) * share, y0 + (y1 - y0) * share))
            elif dash:
                yield dash
                dash = []
        walked += distance
    if dash:
        yield dash
