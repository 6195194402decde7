"""A small renderer for furniture: curved surfaces in metres, one soft lamp, a studio sky, and what shades what.

A surface is a grid of points with normals. Each cell becomes one tiny polygon; the farthest is painted first.
How much light a point gets is sampled against the product's rough volumes, on a coarse grid that is then smoothed.
Coordinates: x to the right, y up, z towards the camera; the floor is y = 0.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product
from math import cos, hypot, pi, sin, sqrt

from PIL import Image, ImageDraw

from examples.catalogue.drawing.canvas import Canvas
from examples.catalogue.drawing.shapes import EDGE_SCALE, SCALE, SIZE, soft

Vector = tuple[float, float, float]
Grid = list[list[Vector]]

LAMP = (-0.48, 0.78, 0.52)
LAMP_SIZE = 0.34
LAMP_RAYS = 14
SKY_RAYS = 14
COARSE_CELLS = 26
BROAD = 0.28
FLOOR_CELLS = 110
CLEARANCE = 0.012


@dataclass(frozen=True, slots=True)
class Material:
    """The colour (0..1 per channel) at a point, how strongly it shines, and how small its highlight is."""

    colour: Callable[[Vector], Vector]
    shine: float = 0.1
    gloss: float = 20.0
    glow: float = 0.0


@dataclass(frozen=True, slots=True)
class Surface:
    points: Grid
    normals: Grid
    material: Material


@dataclass(frozen=True, slots=True)
class Volume:
    """A box or, if round, an ellipsoid that keeps light from others; turned by `turn` radians about its x axis."""

    centre: Vector
    half: Vector
    turn: float = 0.0
    is_round: bool = False

    def stops(self, origin: Vector, direction: Vector) -> bool:
        """Whether the ray meets it."""
        start = turned(subtract(origin, self.centre), -self.turn)
        along = turned(direction, -self.turn)
        return self._stops_round(start, along) if self.is_round else self._stops_box(start, along)

    def _stops_round(self, start: Vector, along: Vector) -> bool:
        o = [value / half for value, half in zip(start, self.half, strict=True)]
        d = [value / half for value, half in zip(along, self.half, strict=True)]
        a, b, c = (sum(x * y for x, y in zip(*pair, strict=True)) for pair in ((d, d), (o, d), (o, o)))
        return b < 0 and b * b > a * (c - 1)

    def _stops_box(self, start: Vector, along: Vector) -> bool:
        near, far = 0.0, 1e9
        for position, speed, half in zip(start, along, self.half, strict=True):
            if abs(speed) < 1e-9:  # noqa: PLR2004 - parallel to this side
                if abs(position) > half:
                    return False
                continue
            first, second = (-half - position) / speed, (half - position) / speed
            near, far = max(near, min(first, second)), min(far, max(first, second))
        return near < far


@dataclass(frozen=True, slots=True)
class Camera:
    """Looks from `eye` at `target`; `zoom` is picture units per metre at the target's distance."""

    eye: Vector
    target: Vector
    zoom: float
    middle: tuple[float, float] = (SIZE / 2, SIZE / 2)

    def axes(self) -> tuple[Vector, Vector, Vector]:
        forward = normal(subtract(self.target, self.eye))
        right = normal((-forward[2], 0.0, forward[0]))
        return right, cross(right, forward), forward

    def project(self, point: Vector, axes: tuple[Vector, Vector, Vector]) -> Vector:
        """Picture x and y, and the depth."""
        away = subtract(point, self.eye)
        depth = dot(away, axes[2])
        scale = self.zoom * hypot(*subtract(self.target, self.eye)) / depth
        return self.middle[0] + dot(away, axes[0]) * scale, self.middle[1] - dot(away, axes[1]) * scale, depth

    def path(self, points: Iterable[Vector]) -> str:
        """The points joined by straight lines, as a path of the picture."""
        axes = self.axes()
        flat = (self.project(point, axes) for point in points)
        return "M " + " L ".join(f"{x:.2f} {y:.2f}" for x, y, _ in flat)


def subtract(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def add(a: Vector, b: Vector, times: float = 1.0) -> Vector:
    return a[0] + b[0] * times, a[1] + b[1] * times, a[2] + b[2] * times


def dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def normal(a: Vector) -> Vector:
    length = sqrt(dot(a, a)) or 1.0
    return a[0] / length, a[1] / length, a[2] / length


def turned(a: Vector, angle: float) -> Vector:
    """Rotated about the x axis; a positive angle leans the top backwards."""
    return a[0], a[1] * cos(angle) + a[2] * sin(angle), a[2] * cos(angle) - a[1] * sin(angle)


def cushion(
    centre: Vector,
    half: Vector,
    radius: float,
    material: Material,
    *,
    turn: float = 0.0,
    bulge: float = 0.0,
    step: float = 0.007,
) -> list[Surface]:
    """A box with rounded edges, whose broad sides swell by `bulge` metres; `step` is the size of its cells."""
    surfaces = []
    for axis, sign in product(range(3), (-1.0, 1.0)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        rows, columns = (_spread(half[index], radius, step) for index in (first, second))
        cells = [[_swollen(axis, sign, (row, column), half, radius, bulge=bulge) for column in columns] for row in rows]
        points = [[add(centre, turned(point, turn)) for point, _ in line] for line in cells]
        normals = [[turned(facing, turn) for _, facing in line] for line in cells]
        surfaces.append(Surface(points, normals, material))
    return surfaces


def _spread(half: float, radius: float, step: float) -> list[float]:
    """Positions from side to side, closer together on the rounded edges."""
    edges = max(6, round(radius / step * 1.2))
    edge = [half - radius + radius * (index / edges) for index in range(1, edges + 1)]
    count = max(2, round((half - radius) * 2 / step))
    inner = [-(half - radius) + (half - radius) * 2 * index / count for index in range(count + 1)]
    return [-value for value in reversed(edge)] + inner + edge


def _swollen(
    axis: int, sign: float, at: tuple[float, float], half: Vector, radius: float, *, bulge: float
) -> tuple[Vector, Vector]:
    place = [0.0, 0.0, 0.0]
    place[axis], place[(axis + 1) % 3], place[(axis + 2) % 3] = sign * half[axis], *at
    inner = [max(radius - size, min(size - radius, value)) for value, size in zip(place, half, strict=True)]
    facing = normal((place[0] - inner[0], place[1] - inner[1], place[2] - inner[2]))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    fall = [1 - (value / size) ** 2 for value, size in zip(place, half, strict=True)]
    height = bulge * min(1.0, min(half[first], half[second]) / BROAD)
    out = [value + unit * radius for value, unit in zip(inner, facing, strict=True)]
    out[axis] += sign * height * fall[first] * fall[second]
    lean = list(facing)
    for one, other in ((first, second), (second, first)):
        lean[one] += 2 * height * place[one] / half[one] ** 2 * fall[other] * abs(facing[axis])
    return (out[0], out[1], out[2]), normal((lean[0], lean[1], lean[2]))


def lathe(centre: Vector, profile: Sequence[tuple[float, float]], material: Material, *, around: int = 260) -> Surface:
    """The profile of (radius, height), from bottom to top, turned about the vertical axis through the centre."""
    points, normals = [], []
    for index, (radius, height) in enumerate(profile):
        before, after = profile[max(0, index - 1)], profile[min(len(profile) - 1, index + 1)]
        rise, spread = after[1] - before[1], after[0] - before[0]
        angles = [2 * pi * step / around for step in range(around + 1)]
        points.append([add(centre, (radius * cos(a), height, radius * sin(a))) for a in angles])
        normals.append([normal((rise * cos(a), -spread, rise * sin(a))) for a in angles])
    return Surface(points, normals, material)


def bezier(controls: Sequence[tuple[float, float]], steps: int) -> list[tuple[float, float]]:
    """Points along one curve, for a profile."""
    profile = []
    for step in range(steps + 1):
        share = step / steps
        points = list(controls)
        while len(points) > 1:
            pairs = pairwise(points)
            points = [(a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share) for a, b in pairs]
        profile.append(points[0])
    return profile


def rod(bottom: Vector, top: Vector, radii: tuple[float, float], material: Material, *, steps: int = 130) -> Surface:
    """A round leg from one point to another; its rings stay level."""
    points, normals = [], []
    for index in range(steps + 1):
        share = index / steps
        centre = add(bottom, subtract(top, bottom), share)
        radius = radii[0] + (radii[1] - radii[0]) * share
        ring = [(cos(2 * pi * step / 64), 0.0, sin(2 * pi * step / 64)) for step in range(65)]
        points.append([add(centre, unit, radius) for unit in ring])
        normals.append(list(ring))
    return Surface(points, normals, material)


@cache
def _lamp_rays() -> tuple[Vector, ...]:
    chance = random.Random(3)  # noqa: S311 - sample points, not secrets
    jitter = [(chance.uniform(-1, 1), chance.uniform(-1, 1), chance.uniform(-1, 1)) for _ in range(LAMP_RAYS)]
    return tuple(normal(add(LAMP, offset, LAMP_SIZE)) for offset in jitter)


@cache
def _sky_rays() -> tuple[Vector, ...]:
    """Directions all over the upper half, more of them near the top."""
    golden = pi * (3 - sqrt(5))
    heights = [sqrt((index + 0.5) / SKY_RAYS) for index in range(SKY_RAYS)]
    return tuple(
        (sqrt(1 - y * y) * cos(golden * index), y, sqrt(1 - y * y) * sin(golden * index))
        for index, y in enumerate(heights)
    )


def _light(point: Vector, facing: Vector, volumes: Sequence[Volume]) -> tuple[float, float]:
    """How much of the lamp and of the sky a point sees, 0..1 each."""
    origin = add(point, facing, CLEARANCE)
    shares = []
    for rays in (_lamp_rays(), _sky_rays()):
        seen = [ray for ray in rays if dot(ray, facing) > 0]
        open_rays = sum(not any(volume.stops(origin, ray) for volume in volumes) for ray in seen)
        shares.append(open_rays / len(seen) if seen else 0.0)
    return shares[0], shares[1]


def _light_maps(points: Grid, normals: Grid, volumes: Sequence[Volume]) -> tuple[Image.Image, Image.Image]:
    rows, columns = (range(0, size, max(1, size // COARSE_CELLS)) for size in (len(points), len(points[0])))
    cells = [_light(points[row][column], normals[row][column], volumes) for row in rows for column in columns]
    maps = []
    for index in (0, 1):
        coarse = Image.new("F", (len(columns), len(rows)))
        coarse.putdata([cell[index] for cell in cells])
        maps.append(coarse.resize((len(points[0]), len(points)), Image.Resampling.BICUBIC))
    return maps[0], maps[1]


def _coarsely(surface: Surface) -> Iterable[tuple[Vector, Vector]]:
    """Some normals with their points, all over the surface."""
    for points, normals in zip(surface.points[::4], surface.normals[::4], strict=True):
        yield from zip(normals[::4], points[::4], strict=True)


Cell = tuple[float, list[tuple[float, float]], tuple[int, int, int]]


def _cells(surface: Surface, camera: Camera, volumes: Sequence[Volume]) -> Iterable[Cell]:
    if all(dot(facing, camera.eye) < dot(facing, point) for facing, point in _coarsely(surface)):
        return
    axes = camera.axes()
    lamp, sky = (image.load() for image in _light_maps(surface.points, surface.normals, volumes))
    scale = SCALE * EDGE_SCALE
    flat = [[camera.project(point, axes) for point in line] for line in surface.points]
    for row, column in product(range(len(flat) - 1), range(len(flat[0]) - 1)):
        facing, point = surface.normals[row][column], surface.points[row][column]
        view = normal(subtract(camera.eye, point))
        if dot(facing, view) < -0.25 or lamp is None or sky is None:  # noqa: PLR2004 - well turned away
            continue
        corners = [flat[row][column], flat[row][column + 1], flat[row + 1][column + 1], flat[row + 1][column]]
        light = (float(lamp[column, row]), float(sky[column, row]))  # type: ignore[arg-type]
        colour = _shade(surface.material, point, facing, view, light)
        yield sum(c[2] for c in corners), [(c[0] * scale, c[1] * scale) for c in corners], colour


def _shade(
    material: Material, point: Vector, facing: Vector, view: Vector, light: tuple[float, float]
) -> tuple[int, int, int]:
    toward = normal(LAMP)
    direct = max(0.0, dot(facing, toward) * 0.9 + 0.1) * max(0.0, light[0])
    ambient = (0.62 + 0.38 * facing[1]) * (0.25 + 0.75 * max(0.0, light[1]))
    bounce = max(0.0, -facing[1]) * 0.12 + max(0.0, facing[2]) * 0.08
    half = normal(add(toward, view))
    highlight = material.shine * max(0.0, dot(facing, half)) ** material.gloss * (0.15 + 0.85 * max(0.0, light[0]))
    edge = material.shine * 0.35 * (1 - max(0.0, dot(facing, view))) ** 4
    strength = 0.66 * direct + 0.46 * ambient + bounce + material.glow
    red, green, blue = (
        round(255 * min(1.0, max(0.0, channel * strength + highlight + edge)) ** 0.92)
        for channel in material.colour(point)
    )
    return red, green, blue


def render(canvas: Canvas, camera: Camera, surfaces: Sequence[Surface], volumes: Sequence[Volume]) -> None:
    """The surfaces stand on the studio floor with their shadow, and the mask holds them."""
    _floor_shadow(canvas, camera, volumes)
    size = SIZE * SCALE * EDGE_SCALE
    colours, coverage = Image.new("RGB", (size, size)), Image.new("L", (size, size), 0)
    colour_draw, coverage_draw = ImageDraw.Draw(colours), ImageDraw.Draw(coverage)
    cells = [cell for surface in surfaces for cell in _cells(surface, camera, volumes)]
    for _, corners, colour in sorted(cells, key=lambda cell: -cell[0]):
        colour_draw.polygon(corners, fill=colour, outline=colour)
        coverage_draw.polygon(corners, fill=255, outline=255)
    # `reduce` weighs an RGBA picture by its alpha, so that colours do not darken towards the empty edge.
    colours.putalpha(coverage)
    canvas.paint(coverage.reduce(EDGE_SCALE), colours.reduce(EDGE_SCALE).convert("RGB"))


def _floor_shadow(canvas: Canvas, camera: Camera, volumes: Sequence[Volume], reach: float = 1.5) -> None:
    steps = [(2 * index / FLOOR_CELLS - 1) * reach for index in range(FLOOR_CELLS + 1)]
    up = (0.0, 1.0, 0.0)
    points: Grid = [[(x, 0.0, z) for x in steps] for z in steps]
    lamp, sky = (image.load() for image in _light_maps(points, [[up] * len(steps)] * len(steps), volumes))
    axes, scale = camera.axes(), SCALE
    dark = Image.new("L", canvas.image.size, 0)
    draw = ImageDraw.Draw(dark)
    for row, column in product(range(FLOOR_CELLS), range(FLOOR_CELLS)):
        if lamp is None or sky is None:
            break
        corners = [points[row][column], points[row][column + 1], points[row + 1][column + 1], points[row + 1][column]]
        flat = [camera.project(corner, axes) for corner in corners]
        value = 1 - 0.42 * float(lamp[column, row]) - 0.58 * float(sky[column, row])  # type: ignore[arg-type]
        draw.polygon([(x * scale, y * scale) for x, y, _ in flat], fill=round(max(0.0, min(1.0, value)) * 235))
    canvas.tint(soft(dark, 8), "#1c1a19", 0.8)
