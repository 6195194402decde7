"""A coffee table of oiled oak: a rounded top with its grain, a shelf, and four tapered legs."""

from __future__ import annotations

from examples.catalogue.drawing.canvas import Canvas, Photo
from examples.catalogue.drawing.solids import Camera, Material, Volume, cushion, render, rod
from examples.catalogue.drawing.timber import timber

DARK, LIGHT = (0.36, 0.19, 0.09), (0.83, 0.57, 0.34)


def draw() -> Photo:
    canvas = Canvas(seed=13)
    camera = Camera(eye=(0.75, 1.12, 2.5), target=(0.0, 0.22, 0.0), zoom=560, middle=(450, 500))
    top = Material(timber(DARK, LIGHT), shine=0.3, gloss=26)
    shelf = Material(timber((0.3, 0.16, 0.08), (0.7, 0.46, 0.27)), shine=0.12)
    leg = Material(timber(DARK, (0.74, 0.48, 0.27), along=1, rings_per_metre=60), shine=0.2, gloss=30)
    surfaces = [
        *cushion((0, 0.43, 0), (0.58, 0.026, 0.34), 0.024, top, step=0.0045),
        *cushion((0, 0.17, 0), (0.46, 0.013, 0.24), 0.011, shelf, step=0.005),
    ]
    volumes = [Volume((0, 0.43, 0), (0.575, 0.02, 0.335)), Volume((0, 0.17, 0), (0.455, 0.01, 0.235))]
    for x in (-1, 1):
        for z in (-1, 1):
            surfaces.append(rod((x * 0.53, 0, z * 0.3), (x * 0.47, 0.41, z * 0.25), (0.015, 0.03), leg))
            volumes.append(Volume((x * 0.5, 0.2, z * 0.275), (0.016, 0.2, 0.016)))
    render(canvas, camera, surfaces, volumes)
    return canvas.finish()
