"""The demo's catalogue: what the provider accepts, and the pictures that the drawing script makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from examples import draw_catalogue
from examples.catalogue.drawing import shapes

FOLDER = draw_catalogue.FOLDER
ENTRIES: list[dict[str, Any]] = json.loads((FOLDER / "catalogue.json").read_text(encoding="utf-8"))
PRODUCTS = sorted(draw_catalogue.PRODUCTS)
FIELDS = {"sku", "title", "image", "mask", "positive_prompt", "num_output", "seed"}


def test_the_catalogue_makes_a_dozen_different_jobs_of_all_products() -> None:
    """There are at least twelve jobs, no two of them alike, and every drawn product is in one."""
    assert len(ENTRIES) >= 12
    assert len({(entry["sku"], entry["positive_prompt"]) for entry in ENTRIES}) == len(ENTRIES)
    assert {entry["image"].removesuffix(".jpg") for entry in ENTRIES} == set(PRODUCTS)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry['sku']}-{entry['seed']}")
def test_every_entry_is_within_the_limits_of_the_provider(entry: dict[str, Any]) -> None:
    """Prompt, number of results and seed are in range, and the files are beside the catalogue."""
    assert set(entry) == FIELDS
    assert 0 < len(entry["positive_prompt"]) <= 500
    assert 1 <= entry["num_output"] <= 4
    assert 0 <= entry["seed"] <= 2_147_483_647
    assert all(
        Path(entry[field]).name == entry[field] and (FOLDER / entry[field]).is_file() for field in ("image", "mask")
    )


def test_one_sku_is_one_product() -> None:
    """Entries with the same stock-keeping unit have the same title, photo and mask."""
    products = {(entry["sku"], entry["title"], entry["image"], entry["mask"]) for entry in ENTRIES}
    assert len(products) == len({entry["sku"] for entry in ENTRIES}) == len(PRODUCTS)


@pytest.mark.parametrize("name", PRODUCTS)
def test_photo_and_mask_fit_together(name: str) -> None:
    """Both are small and of one size that the provider takes; the mask has a product, a background and soft edges."""
    image_path, mask_path = FOLDER / f"{name}.jpg", FOLDER / f"{name}.mask.png"
    assert max(path.stat().st_size for path in (image_path, mask_path)) <= 250_000
    with Image.open(image_path) as image, Image.open(mask_path) as mask:
        assert (image.mode, mask.mode) == ("RGB", "L")
        assert image.size == mask.size
        assert all(400 <= side <= 4096 for side in image.size)
        histogram = mask.histogram()
        pixels = mask.width * mask.height
    assert 0.1 < histogram[255] / pixels < 0.6
    assert histogram[0] / pixels > 0.3
    assert 0 < sum(histogram[1:255]) / pixels < 0.05


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_studio_behind_the_product_is_plain_grey(name: str) -> None:
    """Where the mask is black the photo has no colour to speak of, so that a new background is seen at once."""
    with Image.open(FOLDER / f"{name}.jpg") as image, Image.open(FOLDER / f"{name}.mask.png") as mask:
        corner = (0, 0, image.width, 60)
        saturation = ImageStat.Stat(image.convert("HSV").getchannel("S").crop(corner)).mean[0]
        assert mask.crop(corner).getextrema() == (0, 0)
    assert saturation < 12


def test_drawing_again_gives_the_same_bytes_and_the_kept_picture(tmp_path: Path) -> None:
    """The script is repeatable, and the pictures in the folder are its own."""
    runs = []
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        runs.append(draw_catalogue.write("perfume", tmp_path / run))
    assert [path.read_bytes() for path in runs[0]] == [path.read_bytes() for path in runs[1]]
    for path in runs[0]:
        # Not byte for byte: another Pillow may round or compress a little differently.
        with Image.open(path) as drawn, Image.open(FOLDER / path.name) as kept:
            difference = ImageChops.difference(drawn.convert("L"), kept.convert("L"))
        assert ImageStat.Stat(difference).mean[0] < 1


def test_an_unknown_product_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt name draws nothing, and the message lists the products."""
    assert draw_catalogue.main(["perfum"]) == 2
    assert "perfum; there are perfume," in capsys.readouterr().err


def test_a_curve_ends_where_its_path_says() -> None:
    """Curves become short lines from the current point to the last control point, and Z closes the outline."""
    (outline,) = shapes.outlines("M 0 0 C 0 10 10 10 10 0 Q 15 -5 20 0 L 20 30 Z")
    assert (20.0, 0.0) in outline
    assert outline[0] == outline[-1] == (0.0, 0.0)
    assert max(y for _, y in outline[: shapes.CURVE_STEPS]) == pytest.approx(7.5)


def test_a_mirrored_path_keeps_its_heights() -> None:
    """The other half of a garment is the same path with every x turned about the axis."""
    assert shapes.outlines(shapes.mirrored("M 400 10 L 300 20 Z")) == [[(500.0, 10.0), (600.0, 20.0), (500.0, 10.0)]]
