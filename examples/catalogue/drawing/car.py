"""A red saloon from the side: lacquer that mirrors sky and ground, dark glass, and wheels with five double spokes."""

from __future__ import annotations

from math import cos, pi, sin

from examples.catalogue.drawing.canvas import Canvas, Photo, fade, linear
from examples.catalogue.drawing.shapes import (
    Region,
    area,
    both,
    either,
    ellipse,
    line,
    moved,
    rim,
    soft,
    without,
)

AXLES = (222.0, 682.0)
AXLE_HEIGHT = 578.0
TYRE, ARCH = 67.0, 77.0
BODY = (
    "M 66 566 C 58 540 58 512 70 494 C 84 478 120 466 168 458 C 214 450 258 446 300 442 "
    "C 348 402 396 372 452 362 C 524 352 596 356 650 384 C 690 404 722 424 752 434 C 788 438 818 442 834 450 "
    "C 846 470 850 520 846 566 C 844 584 836 594 820 598 L 92 598 C 78 596 70 584 66 566 Z"
)
GLASS = "M 322 444 C 362 408 404 384 456 376 C 520 368 590 372 634 396 C 664 412 690 428 706 438 L 640 444 Z"
LACQUER = [
    (0.0, "#f0565a"),
    (0.16, "#d92a32"),
    (0.36, "#c2131d"),
    (0.44, "#ee4a4e"),
    (0.5, "#d01f29"),
    (0.66, "#a30c17"),
    (0.78, "#8e0a14"),
    (0.9, "#5c060d"),
    (1.0, "#2b0306"),
]
BELT = "M 84 500 C 240 466 520 466 838 474"


def draw() -> Photo:
    canvas = Canvas(seed=15)
    canvas.shadow(452, 646, 400, 9, blur=6, opacity=0.75)
    canvas.shadow(460, 654, 430, 26, blur=22, opacity=0.45)
    body = without(area(BODY), either(*(ellipse(x, AXLE_HEIGHT, ARCH) for x in AXLES)))
    canvas.paint(both(area(BODY), _wells()), "#0e0d0e")
    for x in AXLES:
        _wheel(canvas, x)
    _lacquer(canvas, body)
    _windows(canvas)
    _seams(canvas, body)
    _lights(canvas, body)
    return canvas.finish()


def _wells() -> Region:
    return either(*(ellipse(x, AXLE_HEIGHT, ARCH) for x in AXLES))


def _lacquer(canvas: Canvas, body: Region) -> None:
    canvas.paint(body, linear((0, 360), (0, 600), LACQUER))
    canvas.tint(both(body, fade((58, 0), (848, 0), [(0, 200), (0.09, 0), (0.92, 0), (1, 210)])), "#38020a", 0.85)
    canvas.tint(both(soft(line("M 60 486 C 220 452 540 452 850 462", 12), 5), body), "#ffb3ae", 0.75)
    canvas.tint(both(soft(line(BELT, 7), 2.5), body), "#6a050d", 0.8)
    canvas.tint(both(soft(line("M 84 505 C 240 472 520 472 838 480", 4), 1.5), body), "#ff8d88", 0.6)
    canvas.tint(both(soft(line("M 292 566 C 400 552 520 552 612 562", 12), 6), body), "#e8383f", 0.8)
    canvas.tint(both(soft(line("M 292 577 C 400 564 520 564 612 573", 7), 3), body), "#3d0308", 0.7)
    canvas.tint(both(area("M 290 588 L 616 588 L 616 600 L 290 600 Z"), body), "#19090a", 0.9)
    canvas.tint(rim(body, 0, 5, 3), "#ffe1df", 0.85)
    for x in AXLES:
        lip = without(ellipse(x, AXLE_HEIGHT, ARCH + 6), ellipse(x, AXLE_HEIGHT, ARCH))
        canvas.tint(both(soft(lip, 1.5), body), "#ff8f8b", 0.5)
        flare = without(ellipse(x, AXLE_HEIGHT, ARCH + 20), ellipse(x, AXLE_HEIGHT, ARCH + 7))
        canvas.tint(both(soft(flare, 5), body), "#5f060c", 0.45)
    canvas.tint(
        both(soft(area("M 110 480 C 170 462 240 452 300 448 L 290 456 C 230 462 170 472 120 488 Z"), 2), body),
        "#ffffff",
        0.7,
    )


def _windows(canvas: Canvas) -> None:
    glass = area(GLASS)
    canvas.tint(soft(area(GLASS), 2), "#12090a", 0.9)
    canvas.tint(
        glass, linear((0, 372), (0, 446), [(0, "#5a6a76"), (0.25, "#2c363e"), (0.7, "#11161a"), (1, "#2b3237")])
    )
    sheen = area("M 392 376 L 452 366 L 398 446 L 330 446 Z", "M 562 366 L 584 366 L 548 446 L 522 446 Z")
    canvas.tint(both(soft(sheen, 3), glass, fade((0, 370), (0, 446), [(0, 200), (1, 40)])), "#dfeaf0", 0.5)
    canvas.tint(
        both(area("M 424 446 C 428 424 438 410 452 410 L 462 410 C 472 414 476 430 478 446 Z"), glass), "#07090a", 0.65
    )
    canvas.tint(
        both(area("M 566 446 C 570 426 580 414 594 414 L 602 414 C 612 420 616 434 618 446 Z"), glass), "#07090a", 0.65
    )
    canvas.tint(both(area("M 500 366 L 518 366 L 522 448 L 502 448 Z"), glass), "#0b0a0b")
    canvas.tint(both(area("M 626 388 L 636 392 L 650 448 L 638 448 Z"), glass), "#0b0a0b")
    canvas.tint(both(area("M 376 396 L 384 392 L 380 448 L 372 448 Z"), glass), "#0b0a0b")
    trim = rim(glass, 0, -3, 0.8)
    canvas.tint(trim, linear((320, 0), (706, 0), [(0, "#8d9196"), (0.4, "#ffffff"), (0.7, "#b4b8bc"), (1, "#eef0f2")]))
    mirror = area("M 352 450 C 350 434 360 426 378 428 C 392 430 394 440 390 450 C 380 456 362 456 352 450 Z")
    canvas.tint(soft(moved(mirror, 2, 5), 3), "#4a050a", 0.6)
    canvas.tint(mirror, linear((0, 426), (0, 454), [(0, "#f4686a"), (0.5, "#b9141d"), (1, "#3f0409")]))


def _seams(canvas: Canvas, body: Region) -> None:
    doors = (
        "M 372 450 C 352 480 350 550 366 588",
        "M 512 448 L 514 588",
        "M 646 446 C 664 466 660 500 634 520 C 616 536 606 560 604 588",
    )
    for seam in doors:
        canvas.tint(both(line(seam, 1.8), body), "#2d0206", 0.9)
        canvas.tint(both(moved(line(seam, 1.4), 2, 0), body), "#ff9a96", 0.4)
    canvas.tint(both(line("M 300 443 C 296 452 290 458 282 462 C 220 468 140 478 92 492", 1.4), body), "#3a0308", 0.8)
    canvas.tint(both(line("M 752 436 C 756 446 760 452 770 456 L 838 462", 1.4), body), "#3a0308", 0.8)
    for x in (458, 598):
        handle = area(f"M {x} 486 C {x + 10} 481 {x + 34} 481 {x + 42} 486 C {x + 34} 491 {x + 10} 491 {x} 486 Z")
        canvas.tint(soft(moved(handle, 0, 3), 2), "#41040a", 0.8)
        canvas.tint(handle, linear((0, 481), (0, 491), [(0, "#ffffff"), (0.5, "#c9ccd0"), (1, "#54575b")]))
    flap = without(ellipse(724, 482, 15), ellipse(724, 482, 13.6))
    canvas.tint(both(flap, body), "#3a0308", 0.8)


def _lights(canvas: Canvas, body: Region) -> None:
    lamp = both(area("M 66 500 C 84 484 120 476 152 474 C 144 490 116 504 70 510 Z"), body)
    canvas.tint(
        lamp, linear((66, 474), (150, 510), [(0, "#f8fbff"), (0.4, "#aebac4"), (0.7, "#eef5fa"), (1, "#6a7681")])
    )
    canvas.tint(both(ellipse(100, 495, 9, 7), lamp), "#2a3138", 0.8)
    canvas.tint(both(ellipse(100, 494, 5, 4), lamp), "#ffffff")
    canvas.tint(both(line("M 70 508 C 110 503 138 492 150 476", 2), body), "#ffffff", 0.8)
    canvas.tint(both(area("M 60 548 L 116 554 L 108 574 L 60 572 Z"), body), "#130506", 0.85)
    canvas.tint(both(line("M 64 560 L 110 564", 2), body), "#6d6f72", 0.8)
    tail = both(area("M 848 458 L 796 456 C 782 458 776 466 786 474 L 850 484 Z"), body)
    canvas.tint(tail, linear((780, 0), (848, 0), [(0, "#8c0410"), (0.5, "#ff3c3c"), (1, "#ff8a70")]))
    canvas.tint(both(soft(line("M 792 464 L 846 470", 3), 1), tail), "#ffe3d8", 0.9)
    canvas.tint(both(area("M 792 566 L 852 560 L 852 600 L 782 600 Z"), body), "#130506", 0.85)


def _wheel(canvas: Canvas, x: float) -> None:
    tyre = ellipse(x, AXLE_HEIGHT, TYRE)
    canvas.paint(tyre, linear((x - 60, 510), (x + 60, 640), [(0, "#4b4c4f"), (0.5, "#242527"), (1, "#101112")]))
    canvas.tint(without(ellipse(x, AXLE_HEIGHT, 60), ellipse(x, AXLE_HEIGHT, 58.5)), "#5c5e61", 0.6)
    canvas.tint(soft(rim(tyre, 0, -8, 5), 1), "#000000", 0.7)
    barrel = ellipse(x, AXLE_HEIGHT, 49)
    canvas.tint(barrel, linear((x, 530), (x, 628), [(0, "#0c0d0e"), (0.6, "#26282b"), (1, "#3d4044")]))
    disc = ellipse(x, AXLE_HEIGHT, 31)
    canvas.tint(disc, linear((x - 30, 548), (x + 30, 610), [(0, "#8e9298"), (0.5, "#575b60"), (1, "#9da1a6")]))
    canvas.tint(area(f"M {x + 14} 556 L {x + 34} 562 L {x + 34} 590 L {x + 16} 596 Z"), "#a8161d", 0.9)
    silver = linear((x - 46, 532), (x + 46, 624), [(0, "#ffffff"), (0.35, "#c6cacf"), (0.6, "#8d9298"), (1, "#d9dce0")])
    spokes = either(*(_spoke(x, step * 2 * pi / 5 - pi / 2) for step in range(5)))
    ring = without(ellipse(x, AXLE_HEIGHT, 52), ellipse(x, AXLE_HEIGHT, 46))
    metal = either(spokes, ring, ellipse(x, AXLE_HEIGHT, 13))
    canvas.tint(soft(moved(metal, 2, 3), 2), "#000000", 0.75)
    canvas.tint(metal, silver)
    canvas.tint(rim(metal, 1.5, 1.5, 0.8), "#ffffff", 0.9)
    canvas.tint(rim(metal, -1.5, -1.5, 0.8), "#3d4146", 0.8)
    canvas.tint(ellipse(x, AXLE_HEIGHT, 7), "#2a2c2f")
    canvas.tint(without(ellipse(x, AXLE_HEIGHT, 8), ellipse(x, AXLE_HEIGHT, 6.6)), "#f5f6f7")
    for step in range(5):
        angle = step * 2 * pi / 5 - pi / 2 + pi / 5
        canvas.tint(ellipse(x + 10.4 * cos(angle), AXLE_HEIGHT + 10.4 * sin(angle), 1.4), "#33363a")


def _spoke(x: float, angle: float) -> Region:
    arms = []
    for side in (-1, 1):
        hub, end = angle + side * 0.34, angle + side * 0.2
        tip = [(x + 47 * cos(end + turn), AXLE_HEIGHT + 47 * sin(end + turn)) for turn in (-0.075, 0.075)]
        foot = [(x + 11 * cos(hub + turn), AXLE_HEIGHT + 11 * sin(hub + turn)) for turn in (0.3, -0.3)]
        arms.append("M " + " L ".join(f"{a:.2f} {b:.2f}" for a, b in [*tip, *foot]) + " Z")
    return area(*arms)
