"""Result addresses expire, and result pictures are real composites that repeat byte for byte."""

from __future__ import annotations

import io

import httpx
from PIL import Image, ImageStat

from sceneshift.simulator.rendering.composite import render_png
from tests.unit.simulator.support import PRODUCT_COLOUR, SIZE, Desk, item, mask, open_desk, photo

LONG_AFTER = 3000.0
INSIDE_PRODUCT = (200, 170, 280, 290)
BESIDE_PRODUCT = (0, 0, 140, 100)


def finished(desk: Desk, **changes: object) -> list[str]:
    key = desk.accepted(item(**changes))
    desk.now += LONG_AFTER
    return desk.results(key)


def pixels(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content)).convert("RGB")


def test_result_is_a_whole_png_of_the_images_size(desk: Desk) -> None:
    """A result address gives a PNG as large as the photo, with its length announced."""
    answer = desk.request("GET", finished(desk, num_output=1)[0])
    assert answer.headers["Content-Type"] == "image/png"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert pixels(answer).size == SIZE


def test_product_is_kept_and_background_replaced(desk: Desk) -> None:
    """Inside the mask the product keeps its colour; outside, the grey wall is gone."""
    picture = pixels(desk.request("GET", finished(desk, num_output=1, positive_prompt="on deep red silk")[0]))
    product = ImageStat.Stat(picture.crop(INSIDE_PRODUCT)).mean
    red, green, blue = ImageStat.Stat(picture.crop(BESIDE_PRODUCT)).mean
    assert all(abs(got - given) < 25 for got, given in zip(product, PRODUCT_COLOUR, strict=True))
    assert red > 1.7 * green
    assert red > 1.7 * blue


def test_mask_polarity_can_be_turned_round() -> None:
    """With `mask_keeps="black"`, a black product on white gives the very same picture."""
    white = render_png(photo(), mask(), keeps="white", prompt="silk", seed=1)
    assert render_png(photo(), mask(kept=0), keeps="black", prompt="silk", seed=1) == white
    assert render_png(photo(), mask(kept=0), keeps="white", prompt="silk", seed=1) != white


def test_same_order_gives_the_same_bytes() -> None:
    """Two simulators draw the same bytes for the same inputs and seed; another seed or prompt draws another picture."""
    drawn = []
    for changes in ({"seed": 7}, {"seed": 7}, {"seed": 8}, {"seed": 7, "positive_prompt": "a lake"}):
        with open_desk() as desk:
            drawn.append(desk.request("GET", finished(desk, num_output=1, **changes)[0]).content)
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


def test_second_image_is_the_next_seeds_first(desk: Desk) -> None:
    """Image i of an order with seed s is image 0 of one with seed s + i."""
    several = finished(desk, seed=40, num_output=2)
    single = finished(desk, seed=41, num_output=1)
    assert desk.request("GET", several[1]).content == desk.request("GET", single[0]).content


def test_absent_seed_is_drawn_per_task(desk: Desk) -> None:
    """Without a seed, two equal orders give two pictures, and each of them stays as it is."""
    first, second = (finished(desk, seed=None, num_output=1)[0] for _ in range(2))
    assert desk.request("GET", first).content != desk.request("GET", second).content
    assert desk.request("GET", first).content == desk.request("GET", first).content


def test_address_expires_and_a_new_query_gives_a_fresh_one() -> None:
    """An address works until its lifetime ends, then gives 403; the next query's address works again."""
    with open_desk(result_lifetime_seconds=60.0) as desk:
        key = desk.accepted(item(num_output=1))
        desk.now += LONG_AFTER
        (old,) = desk.results(key)
        desk.now += 59.0
        assert desk.request("GET", old).status_code == 200
        desk.now += 1.0
        assert desk.request("GET", old).status_code == 403
        (fresh,) = desk.results(key)
        assert fresh != old
        assert desk.request("GET", fresh).status_code == 200


def test_address_cannot_be_made_up(desk: Desk) -> None:
    """Without a signature, with a later expiry, or for another picture, an address is refused."""
    first, second = finished(desk, num_output=2)
    path, _, sealed = first.partition("?")
    for forged in (
        path,
        first.replace("expires=1", "expires=2"),
        second.partition("?")[0] + "?" + sealed,
        path + "?expires=x&signature=",
    ):
        assert desk.request("GET", forged).status_code == 403


def test_result_of_a_forgotten_key_is_gone() -> None:
    """A good address of a submission whose retention ended is a 404."""
    with open_desk(retention_seconds=4000.0) as desk:
        (address,) = finished(desk, num_output=1)
        desk.now += 1500.0
        desk.query("any")
        assert desk.request("GET", address).status_code == 404


def test_mask_without_product_still_gives_a_picture() -> None:
    """An all-black mask leaves the scene alone, and is not an error."""
    nothing = Image.new("L", SIZE)
    output = io.BytesIO()
    nothing.save(output, "PNG")
    drawn = render_png(photo(), output.getvalue(), keeps="white", prompt="a city at night", seed=1)
    with Image.open(io.BytesIO(drawn)) as picture:
        assert picture.size == SIZE
