"""A tan leather handbag: grained hide, saddle stitching, a flap with a brass turn lock, and a rolled handle."""

from __future__ import annotations

from examples.catalogue.drawing.canvas import Canvas, Photo, linear, relief
from examples.catalogue.drawing.shapes import (
    Region,
    area,
    both,
    ellipse,
    line,
    mirrored,
    moved,
    rim,
    rounded,
    soft,
    stitches,
    without,
)

BODY = "M 232 400 C 300 388 600 388 668 400 C 690 404 700 420 704 440 L 736 752 C 738 786 722 804 690 806 L 210 806 C 178 804 162 786 164 752 L 196 440 C 200 420 210 404 232 400 Z"  # noqa: E501 - one outline
FLAP = "M 222 396 C 300 382 600 382 678 396 C 696 402 704 416 706 434 L 716 556 C 716 590 690 606 650 616 C 580 634 320 634 250 616 C 210 606 184 590 184 556 L 194 434 C 196 416 204 402 222 396 Z"  # noqa: E501 - one outline
FLAP_SEAM = (
    "M 200 470 L 197 552 C 198 578 216 590 254 600 C 322 618 578 618 646 600 C 684 590 702 578 703 552 L 700 470"
)
HANDLE = "M 300 420 C 286 250 330 150 450 150 C 570 150 614 250 600 420"
BRASS = [(0.0, "#fff3c4"), (0.3, "#d5a64a"), (0.55, "#8a5f1d"), (0.75, "#f3d488"), (1.0, "#a87a2c")]


def draw() -> Photo:
    canvas = Canvas(seed=17)
    canvas.shadow(450, 804, 292, 9, blur=7, opacity=0.7)
    canvas.shadow(486, 812, 330, 30, blur=28, opacity=0.4)
    _handle(canvas)
    _body(canvas)
    _flap(canvas)
    _tabs(canvas)
    _lock(canvas)
    return canvas.finish()


def _grain(canvas: Canvas, region: Region, seed: int) -> None:
    lit, shaded = relief(seed, 3.4, 3.6)
    canvas.tint(both(lit, region), "#ffd9a8", 0.2)
    canvas.tint(both(shaded, region), "#3a1703", 0.24)


def _handle(canvas: Canvas) -> None:
    strap = line(HANDLE, 30)
    canvas.paint(strap, linear((290, 150), (610, 420), [(0, "#c27b3f"), (0.5, "#a5602a"), (1, "#7a421a")]))
    canvas.tint(rim(strap, 5, 6, 5), "#f6bd84", 0.85)
    canvas.tint(rim(strap, -6, -5, 6), "#3f1c06", 0.85)
    canvas.tint(both(soft(line(HANDLE, 5), 2.5), strap), "#e9ac72", 0.5)
    _grain(canvas, strap, 71)
    canvas.tint(stitches(HANDLE, 2, 8, 5), "#f5e3c4", 0.9)


def _body(canvas: Canvas) -> None:
    body = area(BODY)
    canvas.paint(body, linear((190, 400), (700, 806), [(0, "#c98446"), (0.45, "#b26a30"), (1, "#874a1e")]))
    canvas.tint(rim(body, 18, 0, 20), "#7a3f16", 0.55)
    canvas.tint(rim(body, -26, 0, 24), "#53280b", 0.7)
    canvas.tint(rim(body, 0, -34, 26), "#45200a", 0.75)
    canvas.tint(both(soft(ellipse(370, 700, 150, 60), 45), body), "#efb278", 0.45)
    _grain(canvas, body, 72)
    seam = "M 190 650 L 181 742 C 181 772 190 788 216 789 L 684 789 C 710 788 719 772 719 742 L 710 650"
    canvas.tint(both(soft(line(seam, 5), 2), body), "#44200a", 0.55)
    canvas.tint(stitches(seam, 2.2, 9, 6), "#f7e6c8", 0.95)
    for x in (204, 696):
        canvas.paint(rounded(x - 14, 800, x + 14, 810, 4), linear((x - 14, 0), (x + 14, 0), BRASS))


def _flap(canvas: Canvas) -> None:
    flap = area(FLAP)
    canvas.tint(both(soft(moved(flap, 4, 14), 11), area(BODY)), "#2a1204", 0.75)
    canvas.paint(flap, linear((200, 390), (650, 620), [(0, "#dc9a5c"), (0.4, "#c67d3f"), (1, "#9a5725")]))
    canvas.tint(rim(flap, 0, 26, 22), "#f7c48f", 0.6)
    canvas.tint(rim(flap, 0, -16, 12), "#5c2d0d", 0.7)
    canvas.tint(rim(flap, -22, 0, 20), "#5c2d0d", 0.6)
    canvas.tint(both(soft(ellipse(340, 470, 130, 46), 34), flap), "#ffd9a8", 0.5)
    _grain(canvas, flap, 73)
    canvas.tint(rim(flap, 0, -3, 1.2), "#3d1a05", 0.8)
    canvas.tint(both(soft(line(FLAP_SEAM, 5), 2), flap), "#5a2c0d", 0.5)
    canvas.tint(stitches(FLAP_SEAM, 2.2, 9, 6), "#fbeacb", 0.95)


def _tabs(canvas: Canvas) -> None:
    left = "M 278 396 L 326 396 L 322 470 C 320 492 284 492 282 470 Z"
    seam = "M 285 402 L 288 468 C 292 482 312 482 316 468 L 319 402"
    for tab, stitched, x in ((left, seam, 302.0), (mirrored(left), mirrored(seam), 598.0)):
        region = area(tab)
        canvas.tint(soft(moved(region, 3, 6), 5), "#331505", 0.6)
        canvas.paint(region, linear((0, 396), (0, 490), [(0, "#a8622b"), (0.3, "#cf8748"), (1, "#9c5a27")]))
        _grain(canvas, region, round(x))
        canvas.tint(rim(region, 2, 2, 1.5), "#ffd3a0", 0.7)
        canvas.tint(rim(region, -2, -2, 1.5), "#3d1a05", 0.7)
        canvas.tint(stitches(stitched, 1.8, 7, 5), "#fbeacb", 0.95)
        ring = without(rounded(x - 26, 378, x + 26, 412, 12), rounded(x - 17, 386, x + 17, 404, 7))
        canvas.tint(soft(moved(ring, 2, 4), 3), "#331505", 0.6)
        canvas.paint(ring, linear((x - 26, 378), (x + 26, 412), BRASS))
        canvas.tint(rim(ring, 1, 1, 0.8), "#fffbe6", 0.8)
        canvas.tint(ellipse(x, 462, 5), linear((x - 5, 457), (x + 5, 467), BRASS))


def _lock(canvas: Canvas) -> None:
    plate = rounded(412, 562, 488, 634, 14)
    canvas.tint(soft(moved(plate, 4, 8), 6), "#2a1003", 0.75)
    canvas.paint(plate, linear((412, 562), (488, 634), BRASS))
    canvas.tint(rim(plate, 2.5, 2.5, 1.5), "#fffbe8", 0.9)
    canvas.tint(rim(plate, -2.5, -2.5, 1.5), "#5b3a0c", 0.85)
    knob = rounded(440, 578, 460, 618, 10)
    canvas.tint(soft(moved(knob, 3, 5), 3), "#3d2506", 0.85)
    canvas.tint(knob, linear((440, 0), (460, 0), [(0, "#9c6f24"), (0.3, "#fff4cd"), (0.6, "#d3a346"), (1, "#70490f")]))
    for x, y in ((421, 571), (479, 571), (421, 625), (479, 625)):
        canvas.tint(ellipse(x, y, 3), "#6e4a12", 0.9)
        canvas.tint(line(f"M {x - 2} {y - 1} L {x + 2} {y + 1}", 1), "#2e1d04", 0.9)
