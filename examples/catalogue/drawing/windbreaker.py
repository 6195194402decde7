"""A pink windbreaker on an invisible stand: crinkled nylon, a stand-up collar with a hood, a zip, pockets and cuffs."""

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

SLEEVE = "M 312 240 C 258 250 222 286 204 350 C 184 424 160 540 146 640 C 142 668 138 690 136 712 C 158 728 194 734 216 728 C 226 690 242 640 258 590 C 274 540 288 490 300 440 Z"  # noqa: E501 - one outline
CUFF = "M 136 708 C 160 724 192 730 218 724 L 212 768 C 188 774 156 770 134 756 Z"
BODY = "M 450 224 L 362 214 C 330 226 300 240 276 262 C 288 330 292 400 288 470 C 284 580 276 680 270 760 C 330 776 400 780 450 780 Z"  # noqa: E501 - one outline
HEM = "M 270 756 C 330 774 400 778 450 778 L 450 812 C 396 812 326 808 272 792 Z"
YOKE = "M 278 262 C 284 300 288 330 290 352 C 340 372 400 380 450 380"
COLLAR = "M 450 236 C 420 232 388 224 360 212 C 364 176 378 148 398 134 C 414 150 434 158 450 160 Z"
HOOD = "M 366 206 C 346 128 388 74 450 72 C 512 74 554 128 534 206 C 508 176 392 176 366 206 Z"
POCKET = "M 316 612 L 392 560 L 400 574 L 324 628 Z"
FOLDS = (
    "M 292 356 C 330 366 362 392 384 430",
    "M 290 400 C 322 420 344 456 352 500",
    "M 290 452 C 308 476 318 508 318 540",
    "M 284 560 C 300 550 316 550 330 556",
    "M 276 706 C 310 684 350 690 400 724",
    "M 410 430 C 404 470 408 510 420 540",
    "M 420 660 C 404 690 404 720 412 752",
    "M 320 740 C 318 720 322 700 330 684",
    "M 384 240 C 376 270 360 296 340 312",
)
SLEEVE_FOLDS = (
    "M 216 372 C 240 392 268 396 292 380",
    "M 262 452 C 280 446 290 436 298 420",
    "M 194 470 C 218 490 240 506 262 506",
    "M 184 556 C 200 540 230 536 256 548",
    "M 166 600 C 184 616 214 624 240 620",
    "M 152 676 C 176 660 204 660 228 672",
    "M 180 700 C 196 690 210 690 222 694",
    "M 236 300 C 244 320 262 340 284 348",
)


def draw() -> Photo:
    canvas = Canvas(seed=16)
    figure = area(SLEEVE, mirrored(SLEEVE), CUFF, mirrored(CUFF), BODY, mirrored(BODY), HEM, mirrored(HEM), HOOD)
    canvas.tint(soft(moved(figure, 16, 22), 20), "#2b2629", 0.36)
    _hood(canvas)
    for path in (str, mirrored):
        _sleeve(canvas, path(SLEEVE), path(CUFF), [path(fold) for fold in SLEEVE_FOLDS])
    _body(canvas)
    _collar(canvas)
    _zip(canvas)
    return canvas.finish()


def _crinkle(canvas: Canvas, region: Region, seed: int) -> None:
    for cell, strength, opacity in ((42, 4.0, 0.34), (17, 3.0, 0.2)):
        lit, shaded = relief(seed + cell, cell, strength)
        canvas.tint(both(lit, region), "#ffffff", opacity)
        canvas.tint(both(shaded, region), "#8c1f50", opacity)


def _fold(canvas: Canvas, path: str, region: Region, width: float = 11) -> None:
    crease = soft(line(path, width), width * 0.55)
    canvas.tint(both(crease, region), "#a02a61", 0.42)
    canvas.tint(
        both(soft(moved(line(path, width * 0.7), -width * 0.75, -width * 0.6), width * 0.4), region), "#ffe3ee", 0.5
    )
    canvas.tint(both(soft(line(path, 2), 1.6), region), "#7d1a49", 0.28)


def _hood(canvas: Canvas) -> None:
    hood = area(HOOD)
    canvas.paint(hood, linear((360, 80), (540, 206), [(0, "#f7a3c2"), (0.5, "#ec7fa8"), (1, "#b94f7e")]))
    inside = area("M 398 196 C 382 138 404 104 450 102 C 496 104 518 138 502 196 Z")
    canvas.tint(soft(inside, 4), linear((0, 100), (0, 200), [(0, "#9d3b68"), (1, "#5e1b3b")]))
    _crinkle(canvas, without(hood, inside), 40)
    canvas.tint(rim(hood, 8, 12, 10), "#ffe2ec", 0.7)
    canvas.tint(rim(hood, -10, 0, 12), "#9c345f", 0.6)
    canvas.tint(stitches("M 392 196 C 374 132 402 96 450 94 C 498 96 526 132 508 196", 1.6, 6, 4), "#fff0f5", 0.8)


def _sleeve(canvas: Canvas, sleeve: str, cuff: str, folds: list[str]) -> None:
    region = area(sleeve)
    canvas.paint(
        region, linear((140, 0), (760, 0), [(0, "#e477a3"), (0.2, "#f59bbd"), (0.8, "#ec83ab"), (1, "#c65586")])
    )
    _crinkle(canvas, region, 50)
    for fold in folds:
        _fold(canvas, fold, region)
    canvas.tint(rim(region, 16, 4, 14), "#ffe6ef", 0.55)
    canvas.tint(rim(region, -20, 0, 18), "#97305d", 0.7)
    band = area(cuff)
    canvas.paint(band, linear((0, 708), (0, 772), [(0, "#b64a7a"), (0.4, "#e77ba6"), (1, "#a53c6c")]))
    _ribs(canvas, band, 5)


def _ribs(canvas: Canvas, band: Region, spacing: float) -> None:
    columns = range(round(900 / spacing))
    dark = line(" ".join(f"M {x * spacing} 690 L {x * spacing} 830" for x in columns), 1.6)
    canvas.tint(both(dark, band), "#8a2854", 0.5)
    canvas.tint(both(moved(dark, -1.8, 0), band), "#ffd9e7", 0.4)
    canvas.tint(rim(band, 0, 4, 2.5), "#7d2049", 0.7)
    canvas.tint(rim(band, 0, -5, 4), "#7d2049", 0.6)


def _body(canvas: Canvas) -> None:
    body = area(BODY, mirrored(BODY))
    canvas.tint(soft(without(moved(body, 0, 6), body), 6), "#7d2049", 0.3)
    canvas.paint(
        body,
        linear(
            (270, 0),
            (640, 0),
            [(0, "#e67aa5"), (0.22, "#fbaecb"), (0.48, "#f392b7"), (0.75, "#f08bb2"), (1, "#c75a89")],
        ),
    )
    _crinkle(canvas, body, 60)
    for fold in FOLDS:
        _fold(canvas, fold, body, 13)
        _fold(canvas, mirrored(fold), body, 13)
    canvas.tint(rim(body, 26, 0, 20), "#a63a69", 0.55)
    canvas.tint(rim(body, -30, 0, 22), "#8e2b58", 0.65)
    canvas.tint(both(soft(ellipse(372, 320, 54, 40), 24), body), "#fff3f7", 0.55)
    for yoke in (YOKE, mirrored(YOKE)):
        canvas.tint(both(soft(moved(line(yoke, 7), 0, 4), 3), body), "#8e2b58", 0.6)
        canvas.tint(both(line(yoke, 2), body), "#ffd5e4", 0.9)
        canvas.tint(both(moved(stitches(yoke, 1.4, 6, 4), 0, -6), body), "#fff3f7", 0.8)
    for pocket in (POCKET, mirrored(POCKET)):
        welt = area(pocket)
        canvas.tint(soft(moved(welt, 2, 5), 4), "#7d2049", 0.6)
        canvas.tint(welt, linear((0, 560), (0, 630), [(0, "#fbb9d1"), (1, "#d0648f")]))
        canvas.tint(rim(welt, 0, 2, 1.2), "#ffffff", 0.8)
        canvas.tint(rim(welt, 0, -2, 1.2), "#7d2049", 0.8)
    hem = area(HEM, mirrored(HEM))
    canvas.paint(hem, linear((0, 756), (0, 812), [(0, "#b64a7a"), (0.4, "#e77ba6"), (1, "#a53c6c")]))
    _ribs(canvas, hem, 6)


def _collar(canvas: Canvas) -> None:
    for path in (COLLAR, mirrored(COLLAR)):
        side = area(path)
        canvas.tint(soft(moved(side, 2, 8), 6), "#7d2049", 0.5)
        canvas.paint(side, linear((0, 134), (0, 236), [(0, "#fbb9d1"), (0.5, "#f191b7"), (1, "#d46a97")]))
        _crinkle(canvas, side, 80)
        canvas.tint(rim(side, 0, 5, 4), "#fff0f5", 0.8)
        canvas.tint(rim(side, 0, -6, 5), "#8e2b58", 0.7)
    for start, end in ((412, 400), (488, 500)):
        cord = f"M {start} 226 C {start - 4} 270 {end + 8} 320 {end} 372"
        canvas.tint(soft(moved(line(cord, 5), 4, 5), 3), "#7d2049", 0.6)
        canvas.tint(line(cord, 5), "#fff6f0")
        canvas.tint(moved(stitches(cord, 1.5, 2, 3), 1.4, 0), "#c9aeb6", 0.9)
        canvas.tint(
            rounded(end - 5, 366, end + 5, 388, 4),
            linear((end - 5, 0), (end + 5, 0), [(0, "#7f848a"), (0.4, "#ffffff"), (1, "#6b7076")]),
        )
        canvas.tint(
            ellipse(start, 228, 6), linear((start - 6, 222), (start + 6, 234), [(0, "#ffffff"), (1, "#777c82")])
        )
        canvas.tint(ellipse(start, 228, 3), "#4b1a31")


def _zip(canvas: Canvas) -> None:
    placket = area("M 438 164 L 462 164 L 463 812 L 437 812 Z")
    canvas.tint(soft(moved(placket, 5, 2), 5), "#7d2049", 0.55)
    canvas.tint(
        placket, linear((437, 0), (463, 0), [(0, "#f9b3cd"), (0.3, "#e2799f"), (0.7, "#d5668f"), (1, "#a8426f")])
    )
    canvas.tint(line("M 450 166 L 450 810", 6), "#5a1c39")
    canvas.tint(stitches("M 450 168 L 450 808", 5, 1.2, 6.4), "#f4f0f2", 0.9)
    for x in (440, 460):
        canvas.tint(stitches(f"M {x} 168 L {x} 808", 1.3, 6, 4), "#fff3f7", 0.8)
    slider = area("M 443 236 L 457 236 L 459 256 L 441 256 Z")
    pull = area("M 446 256 L 454 256 L 456 296 Q 450 304 444 296 Z")
    for part in (slider, pull):
        canvas.tint(soft(moved(part, 3, 4), 2), "#4d1630", 0.7)
        canvas.tint(
            part, linear((441, 0), (459, 0), [(0, "#8b9096"), (0.35, "#ffffff"), (0.7, "#b4b9be"), (1, "#5f6469")])
        )
