"""Draws the demo's product photos and their masks: `python -m examples.draw_catalogue`, from the project's root.

The pictures are kept beside catalogue.json, so that the demo needs no drawing; this is where they come from. The same
code, with the same Pillow, writes the same bytes every time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from examples.catalogue.drawing import (
    armchair,
    car,
    coffee_table,
    handbag,
    perfume,
    table_lamp,
    windbreaker,
)
from examples.catalogue.drawing.canvas import Photo

FOLDER = Path(__file__).resolve().parent / "catalogue"
JPEG_QUALITY = 90

PRODUCTS: dict[str, Callable[[], Photo]] = {
    "perfume": perfume.draw,
    "armchair": armchair.draw,
    "coffee-table": coffee_table.draw,
    "table-lamp": table_lamp.draw,
    "car": car.draw,
    "windbreaker": windbreaker.draw,
    "handbag": handbag.draw,
}


def write(name: str, folder: Path) -> tuple[Path, Path]:
    """The product is in the folder as `{name}.jpg` with its mask `{name}.mask.png`; gives both paths."""
    photo = PRODUCTS[name]()
    image_path, mask_path = folder / f"{name}.jpg", folder / f"{name}.mask.png"
    photo.image.save(image_path, quality=JPEG_QUALITY, subsampling="4:4:4", optimize=True)
    photo.mask.save(mask_path, optimize=True)
    return image_path, mask_path


def main(names: list[str]) -> int:
    """Draw these products, or all when none is named."""
    if unknown := sorted(set(names) - PRODUCTS.keys()):
        print(f"no such product: {', '.join(unknown)}; there are {', '.join(PRODUCTS)}", file=sys.stderr)
        return 2
    for name in names or PRODUCTS:
        for path in write(name, FOLDER):
            print(f"{path.name}  {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
