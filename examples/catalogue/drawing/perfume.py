"""A perfume bottle: thick square glass, amber liquid, a gold collar and a faceted cap."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from examples.catalogue.drawing.canvas import Canvas, Photo, fade, linear
from examples.catalogue.drawing.shapes import (
    SCALE,
    WORKING_SIZE,
    Region,
    area,
    both,
    ellipse,
    line,
    rim,
    rounded,
    soft,
    without,
)

GOLD = [(0, "#6d4a17"), (0.12, "#f7e2a4"), (0.3, "#b9852f"), (0.55, "#ffefbd"), (0.78, "#8d5f1e"), (1, "#e0b765")]

GLASS = [
    (0, "#8c8a86"),
    (0.05, "#eeece6"),
    (0.1, "#a7a49d"),
    (0.2, "#dedbd4"),
    (0.8, "#d8d4cb"),
    (0.9, "#98948c"),
    (0.95, "#f4f1ea"),
    (1, "#7b7772"),
]
AMBER_EDGES = [
    (0, "#8a4712"),
    (0.07, "#fbdc98"),
    (0.16, "#d48a30"),
    (0.5, "#f3bd5f"),
    (0.84, "#c97a24"),
    (0.93, "#f9d48b"),
    (1, "#7d3c0e"),
]
LACQUER = [
    (0, "#0c0b0d"),
    (0.1, "#5b5a60"),
    (0.2, "#1a191c"),
    (0.42, "#2b2a2e"),
    (0.6, "#08080a"),
    (0.82, "#3f3e44"),
    (0.92, "#121114"),
    (1, "#2d2c31"),
]


def draw() -> Photo:
    canvas = Canvas(seed=11)
    canvas.shadow(450, 806, 250, 14, blur=12, opacity=0.5)
    canvas.shadow(500, 812, 300, 34, blur=30, opacity=0.32)
    canvas.tint(soft(ellipse(470, 826, 130, 14), 12), "#f3c46d", 0.55)
    _glass(canvas)
    _liquid(canvas)
    _reflections(canvas)
    _label(canvas)
    _collar(canvas)
    _cap(canvas)
    return canvas.finish()


def _glass(canvas: Canvas) -> None:
    body = rounded(245, 330, 655, 808, 46)
    glass = linear((245, 0), (655, 0), GLASS)
    canvas.paint(body, glass)
    canvas.tint(rim(body, 0, -26, 18), "#55524c", 0.55)
    canvas.tint(rim(body, 0, 16, 10), "#ffffff", 0.8)
    canvas.tint(rim(body, 3, 3, 2), "#ffffff", 0.7)
    canvas.tint(rim(body, -3, -3, 2), "#3e3b37", 0.6)
    shoulder = area("M 300 332 L 600 332 Q 590 362 560 372 L 340 372 Q 310 362 300 332 Z")
    canvas.tint(soft(shoulder, 5), "#ffffff", 0.45)


def _liquid(canvas: Canvas) -> None:
    liquid = area("M 283 424 L 617 424 L 617 734 Q 617 764 587 764 L 313 764 Q 283 764 283 734 Z")
    amber = linear((283, 424), (617, 764), [(0, "#f6cf7d"), (0.25, "#eeb04b"), (0.6, "#d98a2b"), (1, "#b4611b")])
    canvas.tint(liquid, amber)
    edges = linear((283, 0), (617, 0), AMBER_EDGES)
    canvas.tint(liquid, edges, 0.5)
    canvas.tint(rim(liquid, 0, -40, 26), "#7c3a0c", 0.75)
    canvas.tint(both(soft(ellipse(450, 742, 130, 20), 12), liquid), "#ffdf94", 0.75)
    surface = ellipse(450, 424, 167, 9)
    canvas.tint(
        surface, linear((286, 0), (614, 0), [(0, "#b5722a"), (0.3, "#ffe9b4"), (0.7, "#f5cc7c"), (1, "#9a5a1d")])
    )
    canvas.tint(line("M 285 426 Q 450 440 615 426", 2), "#fff4d6", 0.85)
    tube = area("M 444 350 L 456 350 L 462 750 L 450 756 L 446 750 Z")
    canvas.tint(tube, "#fff2cf", 0.3)
    canvas.tint(line("M 456 352 L 461 748", 1.5), "#7a4413", 0.5)
    canvas.tint(line("M 445 352 L 447 748", 1.5), "#fff9e8", 0.7)


def _reflections(canvas: Canvas) -> None:
    body = rounded(245, 330, 655, 808, 46)
    window = area("M 268 380 L 318 366 L 318 770 L 268 756 Z")
    canvas.tint(
        both(soft(window, 1.5), body, fade((0, 360), (0, 780), [(0, 235), (0.5, 150), (1, 30)])), "#ffffff", 0.62
    )
    canvas.tint(area("M 326 364 L 336 362 L 336 772 L 326 771 Z"), "#ffffff", 0.35)
    sweep = area("M 360 330 L 520 330 L 380 808 L 270 808 Z")
    canvas.tint(both(sweep, body, fade((0, 330), (0, 808), [(0, 110), (0.6, 40), (1, 0)])), "#ffffff", 0.5)
    strip = area("M 622 386 L 636 392 L 636 748 L 622 756 Z")
    canvas.tint(soft(strip, 2), "#ffffff", 0.75)
    canvas.tint(soft(line("M 292 790 L 608 790", 4), 1.5), "#fff3d8", 0.9)
    canvas.tint(soft(line("M 300 778 L 600 778", 5), 2), "#7d4d1c", 0.5)
    canvas.tint(soft(ellipse(300, 360, 16, 6), 3), "#ffffff", 0.95)


def _label(canvas: Canvas) -> None:
    plate = rounded(352, 548, 548, 678, 6)
    canvas.tint(soft(rounded(354, 552, 552, 684, 6), 5), "#5d2c06", 0.55)
    canvas.tint(plate, linear((352, 548), (548, 678), [(0, "#fffaf0"), (0.5, "#f6eddc"), (1, "#e6d8bf")]))
    frame = without(rounded(360, 556, 540, 670, 4), rounded(362, 558, 538, 668, 3))
    canvas.tint(frame, linear((352, 0), (548, 0), GOLD))
    canvas.tint(_words("LUMEN", 31, 588), "#3a2a17")
    canvas.tint(_words("EAU DE PARFUM", 11, 630), "#6d5433")
    canvas.tint(_words("50 ml", 10, 652), "#6d5433")
    canvas.tint(line("M 420 617 L 480 617", 1), "#a9812f")


def _words(text: str, size: int, baseline_middle: float) -> Region:
    region = Image.new("L", WORKING_SIZE, 0)
    font = ImageFont.load_default(size * SCALE)
    draw = ImageDraw.Draw(region)
    spacing = size * SCALE * 0.16
    left = 450 * SCALE - (font.getlength(text) + spacing * (len(text) - 1)) / 2
    for letter in text:
        draw.text((left, baseline_middle * SCALE), letter, fill=255, font=font, anchor="lm")
        left += font.getlength(letter) + spacing
    return region


def _collar(canvas: Canvas) -> None:
    canvas.paint(rounded(392, 296, 508, 338, 6), linear((392, 0), (508, 0), GOLD))
    for top in (302, 312, 322):
        canvas.tint(line(f"M 394 {top} L 506 {top}", 2), "#553407", 0.5)
        canvas.tint(line(f"M 394 {top + 2.5} L 506 {top + 2.5}", 1.5), "#fff6d8", 0.55)
    canvas.tint(soft(line("M 396 340 L 504 340", 6), 3), "#4e3b1d", 0.55)


def _cap(canvas: Canvas) -> None:
    cap = area("M 378 296 L 368 150 Q 368 132 386 130 L 514 130 Q 532 132 532 150 L 522 296 Z")
    black = linear((368, 0), (532, 0), LACQUER)
    canvas.paint(cap, black)
    facet = area("M 412 294 L 408 134 L 492 134 L 488 294 Z")
    canvas.tint(facet, linear((0, 134), (0, 294), [(0, "#6a6970"), (0.35, "#29282c"), (1, "#131215")]), 0.6)
    canvas.tint(line("M 412 294 L 408 134", 1.6), "#b9b8c0", 0.6)
    canvas.tint(line("M 488 294 L 492 134", 1.6), "#8d8c94", 0.5)
    canvas.tint(soft(area("M 384 288 L 378 150 L 394 150 L 398 288 Z"), 3), "#ffffff", 0.55)
    canvas.tint(rim(cap, 0, 5, 3), "#ffffff", 0.6)
    canvas.tint(rim(cap, 0, -14, 9), "#000000", 0.6)
    canvas.tint(area("M 379 284 L 521 284 L 522 296 L 378 296 Z"), linear((378, 0), (522, 0), GOLD))
