"""Wood: the colour of growth rings, cut along the grain."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sin, sqrt

from examples.catalogue.drawing.solids import Vector


def timber(dark: Vector, light: Vector, *, along: int = 0, rings_per_metre: float = 34.0) -> Callable[[Vector], Vector]:
    """A colour for each point of a plank whose grain runs along one axis (0 = x, 1 = y, 2 = z)."""

    def colour(point: Vector) -> Vector:
        run, across, through = point[along], point[(along + 2) % 3], point[(along + 1) % 3]
        wander = 0.035 * sin(run * 2.1 + across * 3.0) + 0.012 * sin(run * 7.3 + across * 9.0)
        distance = sqrt((across + wander + 0.13) ** 2 + (through * 0.5 + 0.05 * run) ** 2)
        phase = distance * rings_per_metre
        ring = (phase - int(phase)) ** 2.2
        fibre = 0.5 + 0.5 * sin(across * 900 + 3 * sin(run * 11)) * sin(across * 271 + run * 5)
        broad = 0.5 + 0.5 * sin(across * 2 * pi * 2.3 + 1.2 * sin(run * 1.4))
        share = min(1.0, max(0.0, 0.55 * ring + 0.2 * fibre + 0.25 * broad))
        red, green, blue = (lit + (deep - lit) * share for deep, lit in zip(dark, light, strict=True))
        return red, green, blue

    return colour
