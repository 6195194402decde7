"""An armchair in deep green velvet: padded arms, a leaning back, a loose seat cushion, and turned oak legs."""

from __future__ import annotations

from math import atan2, cos, pi, sin

from examples.catalogue.drawing.canvas import Canvas, Photo
from examples.catalogue.drawing.shapes import line, moved, soft
from examples.catalogue.drawing.solids import Camera, Material, Vector, Volume, add, cushion, render, rod, turned
from examples.catalogue.drawing.timber import timber

BACK_SEAM_ENDS = (-0.15, -0.098)
SEAT_SEAM_BACK = 0.285


def draw() -> Photo:
    canvas = Canvas(seed=12)
    camera = Camera(eye=(1.35, 1.25, 2.7), target=(0.0, 0.4, 0.0), zoom=640, middle=(450, 470))
    velvet = Material(_velvet, shine=0.16, gloss=5)
    oak = Material(timber((0.3, 0.17, 0.08), (0.72, 0.48, 0.28), along=1, rings_per_metre=60), shine=0.25, gloss=30)
    surfaces = [
        *cushion((0, 0.25, 0), (0.4, 0.09, 0.37), 0.04, velvet, step=0.004),
        *cushion((0, 0.62, -0.3), (0.41, 0.34, 0.085), 0.08, velvet, turn=0.17, bulge=0.02),
        *cushion((0, 0.64, -0.17), (0.295, 0.21, 0.07), 0.065, velvet, turn=0.2, bulge=0.05),
        *cushion((0, 0.425, 0.05), (0.295, 0.075, 0.34), 0.06, velvet, bulge=0.03),
    ]
    volumes = [
        Volume((0, 0.25, 0), (0.39, 0.08, 0.36)),
        Volume((0, 0.62, -0.3), (0.38, 0.31, 0.06), turn=0.17),
        Volume((0, 0.64, -0.17), (0.25, 0.18, 0.05), turn=0.2),
        Volume((0, 0.425, 0.05), (0.27, 0.055, 0.31)),
    ]
    for x in (-0.385, 0.385):
        surfaces += cushion((x, 0.38, 0.02), (0.085, 0.22, 0.38), 0.08, velvet, bulge=0.012)
        volumes.append(Volume((x, 0.38, 0.02), (0.06, 0.19, 0.35)))
    for x in (-1, 1):
        for z in (-1, 1):
            surfaces.append(rod((x * 0.39, 0, z * 0.34), (x * 0.34, 0.17, z * 0.3), (0.014, 0.028), oak, steps=70))
            volumes.append(Volume((x * 0.365, 0.08, z * 0.32), (0.016, 0.08, 0.016)))
    render(canvas, camera, surfaces, volumes)
    for cord in _piping():
        path = camera.path(cord)
        canvas.tint(soft(moved(line(path, 5), 1, 2.5), 2), "#04211a", 0.75)
        canvas.tint(line(path, 3.4), "#0f5241")
        canvas.tint(moved(line(path, 1.2), -0.6, -0.8), "#5aa58d", 0.5)
    return canvas.finish()


def _piping() -> list[list[Vector]]:
    """The cords sewn into the seams that the camera sees: both arm fronts, the seat and the back cushion."""
    arm = _outline(0.062, 0.197, 0.056)
    cords: list[list[Vector]] = [[(x + a, 0.38 + b, 0.3766) for a, b in arm] for x in (-0.385, 0.385)]
    cords.append(sorted((a, 0.4825, 0.05 + b) for a, b in _outline(0.277, 0.3225, 0.042) if b > SEAT_SEAM_BACK))
    upper = sorted(((a, b) for a, b in _outline(0.276, 0.191, 0.05) if b > 0), key=lambda point: atan2(*point))
    back = [(-0.276, BACK_SEAM_ENDS[0]), *upper, (0.276, BACK_SEAM_ENDS[1])]
    cords.append([add((0, 0.64, -0.17), turned((a, b, 0.0474), 0.2)) for a, b in back])
    return cords


def _outline(half_width: float, half_height: float, radius: float) -> list[tuple[float, float]]:
    """A closed rectangle with round corners, as points."""
    points = []
    for step in range(121):
        angle = 2 * pi * step / 120 + pi / 4
        corner_x = half_width - radius if cos(angle) > 0 else radius - half_width
        corner_y = half_height - radius if sin(angle) > 0 else radius - half_height
        points.append((corner_x + radius * cos(angle), corner_y + radius * sin(angle)))
    return points


def _velvet(point: Vector) -> Vector:
    """Green whose pile catches the light unevenly, in slow waves."""
    x, y, z = point
    pile = 0.5 + 0.5 * sin(9 * x + 4 * sin(6 * y + 2 * z) + 3 * z) * sin(7 * y - 5 * z)
    thread = 0.02 * sin(x * 800) * sin((y + z) * 800)
    lift = 0.9 + 0.22 * pile + thread
    return 0.12 * lift, 0.36 * lift, 0.29 * lift
