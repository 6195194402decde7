"""A table lamp: a glazed ceramic body, a brass neck, and a linen shade that is lit from inside."""

from __future__ import annotations

from math import atan2, cos, exp, pi, sin

from examples.catalogue.drawing.canvas import Canvas, Photo
from examples.catalogue.drawing.shapes import ellipse, soft
from examples.catalogue.drawing.solids import Camera, Material, Vector, Volume, bezier, lathe, render

SHADE_BOTTOM, SHADE_TOP = 0.5, 0.86
BODY = [(0.075, 0.0), (0.12, 0.02), (0.24, 0.13), (0.13, 0.25), (0.02, 0.24), (0.034, 0.365)]
TRIM = (0.62, 0.47, 0.29)


def draw() -> Photo:
    canvas = Canvas(seed=14)
    camera = Camera(eye=(0.0, 0.72, 2.9), target=(0.0, 0.43, 0.0), zoom=790, middle=(450, 458))
    ceramic = Material(_glaze, shine=0.85, gloss=70)
    brass = Material(lambda _point: (0.78, 0.56, 0.24), shine=0.8, gloss=24)
    linen = Material(_linen, shine=0.0, glow=0.42)
    surfaces = [
        lathe((0, 0, 0), [(0.112, 0.0), (0.116, 0.003), (0.116, 0.014), (0.11, 0.02), (0.05, 0.026)], brass),
        lathe((0, 0.022, 0), bezier(BODY, 150), ceramic, around=320),
        lathe(
            (0, 0.385, 0), [(0.03, 0), (0.03, 0.01), (0.016, 0.016), (0.014, 0.09), (0.022, 0.1), (0.02, 0.16)], brass
        ),
        lathe((0, 0, 0), [_shade(step / 120) for step in range(121)], linen, around=320),
    ]
    volumes = [
        Volume((0, 0.16, 0), (0.125, 0.14, 0.125), is_round=True),
        Volume((0, 0.01, 0), (0.1, 0.008, 0.1)),
        Volume((0, 0.68, 0), (0.2, 0.17, 0.2), is_round=True),
    ]
    render(canvas, camera, surfaces, volumes)
    canvas.tint(soft(ellipse(450, 250, 190, 150), 60), "#ffdf9e", 0.18)
    return canvas.finish()


def _shade(share: float) -> tuple[float, float]:
    return 0.242 - 0.07 * share, SHADE_BOTTOM + (SHADE_TOP - SHADE_BOTTOM) * share


def _glaze(point: Vector) -> Vector:
    """A teal glaze that ran: thicker and darker below, with a pale rim and fine speckles."""
    height = point[1] / 0.39
    angle = atan2(point[2], point[0])
    run = 0.06 * sin(angle * 5) + 0.03 * sin(angle * 13 + 1)
    dark = 1 / (1 + exp((height - 0.55 + run) * 16))
    speckle = 0.05 if sin(angle * 57 + 40 * height) * sin(angle * 31 - 97 * height) > 0.93 else 0.0  # noqa: PLR2004
    return 0.58 - 0.48 * dark - speckle, 0.72 - 0.38 * dark - speckle, 0.68 - 0.26 * dark - speckle


def _linen(point: Vector) -> Vector:
    """Woven cloth, warm and brightest at the height of the bulb."""
    angle = atan2(point[2], point[0])
    lit = exp(-(((point[1] - 0.64) / 0.15) ** 2)) * (0.82 + 0.18 * cos(angle - pi / 2))
    weave = 0.018 * sin(angle * 340) + 0.018 * sin(point[1] * 1500) + 0.012 * sin(point[1] * 310 + 2 * sin(angle * 23))
    if not SHADE_BOTTOM + 0.012 < point[1] < SHADE_TOP - 0.01:
        return TRIM
    return 0.74 + 0.3 * lit + weave, 0.6 + 0.3 * lit + weave, 0.43 + 0.24 * lit + weave
