"""What every scene is given: the surface, its own random numbers, the brief, and where the product will stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from sceneshift.simulator.rendering.brief import Brief, Light
from sceneshift.simulator.rendering.canvas import Canvas
from sceneshift.simulator.rendering.colour import Colour


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Where the product is, as fractions of the picture; `base` is where it touches the ground."""

    left: float
    top: float
    right: float
    base: float

    @property
    def centre(self) -> float:
        return (self.left + self.right) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One picture in the making."""

    canvas: Canvas
    random: Random
    brief: Brief
    product: Footprint

    def prop(self, *names: str) -> Stage | None:
        """The stage for a thing of these names, or None when the brief avoids it.

        It has random numbers of its own: with the thing or without it, the rest of the picture is the same.
        """
        own = Random(self.random.getrandbits(64))  # noqa: S311 - pictures, not secrets
        return None if self.brief.avoids(*names) else replace(self, random=own)

    def wish(self, *names: str) -> Stage | None:
        """The same for a thing that is only there when the prompt mentions it."""
        stage = self.prop(*names)
        return stage if self.brief.mentions(*names) else None

    def horizon(self, lowest: float, highest: float) -> float:
        """A line between these two, high enough for the product to stand well before it."""
        wished = self.random.uniform(highest, lowest)
        return max(min(wished, self.product.base - 0.1), 0.25)

    def by_light(self, day: Colour, sunset: Colour, night: Colour) -> Colour:
        return {Light.DAY: day, Light.SUNSET: sunset, Light.NIGHT: night}[self.brief.light]
