"""Result addresses expire, and result pictures are real composites that repeat byte for byte."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import zlib
from typing import Any, get_args

import httpx
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from sceneshift.simulator.config import MaskKeeps
from sceneshift.simulator.rendering import composite
from sceneshift.simulator.rendering.composite import render_png
from sceneshift.simulator.rendering.png import encode_doubled_png, encode_png
from sceneshift.simulator.rendering.recipe import Quality, Recipe
from tests.unit.simulator.support import PRODUCT_BOX, PRODUCT_COLOUR, SIZE, Desk, item, mask, open_desk, photo

LONG_AFTER = 3000.0
INSIDE_PRODUCT = (200, 170, 280, 290)
BESIDE_PRODUCT = (0, 0, 140, 100)


def finished(desk: Desk, **changes: object) -> list[str]:
    key = desk.accepted(item(**changes))
    desk.now += LONG_AFTER
    return desk.results(key)


def pixels(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return opened(answer.content)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def drawn(
    *,
    image: bytes | None = None,
    mask_bytes: bytes | None = None,
    keeps: MaskKeeps = "white",
    quality: Quality = "full",
    **wishes: Any,
) -> bytes:
    usual: dict[str, Any] = {"prompt": "on deep red silk", "seed": 1}
    recipe = Recipe(**usual | wishes)
    return render_png(image or photo(), mask_bytes or mask(), keeps=keeps, recipe=recipe, quality=quality)


def photo_before_stripes() -> bytes:
    """The usual product before a background that nobody can overlook."""
    picture = opened(photo())
    for top in range(0, SIZE[1], 40):
        ImageDraw.Draw(picture).rectangle((0, top, SIZE[0], top + 20), fill=(20, 60, 250))
    picture.paste(PRODUCT_COLOUR, PRODUCT_BOX)
    output = io.BytesIO()
    picture.save(output, "PNG")
    return output.getvalue()


def product_distances(picture: Image.Image) -> list[float]:
    """How far the product's mean colour is from the given one, by channel."""
    product = ImageStat.Stat(picture.crop(INSIDE_PRODUCT)).mean
    return [abs(got - given) for got, given in zip(product, PRODUCT_COLOUR, strict=True)]


def outside(content: bytes) -> Image.Image:
    """The picture with the product, and the pixels next to it, blacked out."""
    picture = opened(content)
    left, top, right, bottom = PRODUCT_BOX
    picture.paste((0, 0, 0), (left - 2, top - 2, right + 3, bottom + 3))
    return picture


def mean_difference(first: Image.Image, second: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(first, second)).mean) / 3


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


@pytest.mark.parametrize("quality", get_args(Quality))
def test_mask_polarity_can_be_turned_round(quality: Quality) -> None:
    """With `mask_keeps="black"`, a black product on white gives the very same picture."""
    white = drawn(quality=quality)
    assert drawn(mask_bytes=mask(kept=0), keeps="black", quality=quality) == white
    assert drawn(mask_bytes=mask(kept=0), quality=quality) != white


@pytest.mark.parametrize("quality", get_args(Quality))
@pytest.mark.parametrize("keeps", get_args(MaskKeeps))
@pytest.mark.parametrize("strength", [0.001, 0.5, 1.0])
@pytest.mark.parametrize("guidance_scale", [0.0, 1e9])
@pytest.mark.parametrize("prompt", ["a city at night", "a beach at sunset", "on deep red silk"])
def test_product_shows_whatever_the_parameters(
    quality: Quality, keeps: MaskKeeps, strength: float, guidance_scale: float, prompt: str
) -> None:
    """What the mask keeps has the product's colours, the more exactly the lower the strength is."""
    wishes: dict[str, Any] = {"strength": strength, "guidance_scale": guidance_scale, "prompt": prompt, "steps": 15}
    picture = opened(
        drawn(mask_bytes=mask(kept=255 if keeps == "white" else 0), keeps=keeps, quality=quality, **wishes)
    )
    assert all(distance < 4 + 65 * strength for distance in product_distances(picture))


def test_strength_decides_how_much_is_relit() -> None:
    """The product is nearly untouched at a low strength, and takes on more of the scene's light at each higher one."""
    shifts = [
        sum(product_distances(opened(drawn(prompt="a city at night", strength=strength))))
        for strength in (0.01, 0.25, 0.5, 0.75, 1.0)
    ]
    assert shifts == sorted(set(shifts))
    assert shifts[0] < 4
    assert shifts[-1] > 30


def test_strength_decides_how_much_of_the_surroundings_is_on_the_rim() -> None:
    """The product's very edge is untouched at a low strength, and takes on the surroundings more at each higher one."""
    left, top, _, bottom = PRODUCT_BOX
    rims = [
        opened(drawn(prompt="fresh snow", strength=strength)).crop((left, top + 60, left + 3, bottom - 60))
        for strength in (0.01, 0.3, 0.6)
    ]
    shifts = [ImageStat.Stat(rim).mean[0] - PRODUCT_COLOUR[0] for rim in rims]
    assert shifts == sorted(set(shifts))
    assert abs(shifts[0]) < 4
    assert shifts[-1] > 20


def test_old_background_is_gone_from_the_usual_strength_up() -> None:
    """At a strength of 0.35 and more, nothing outside the mask tells what the old background was."""
    for strength in (0.35, 0.5, 1.0):
        plain, chequered = (
            outside(drawn(image=image, strength=strength)) for image in (photo(), photo_before_stripes())
        )
        assert plain == chequered


def test_old_background_shows_through_at_low_strengths() -> None:
    """The less the strength, the more of the old background is left; near nothing, nearly all of it."""
    old = outside(photo_before_stripes())
    gaps = [
        mean_difference(outside(drawn(image=photo_before_stripes(), strength=strength)), old)
        for strength in (0.001, 0.15, 0.3, 0.5)
    ]
    assert gaps == sorted(set(gaps))
    assert gaps[0] < 0.15 * gaps[-1]


def test_each_parameter_reaches_the_picture(desk: Desk) -> None:
    """An order that differs in any one parameter gives another picture."""
    usual = {"seed": 3, "num_output": 1, "positive_prompt": "a blue lake with mountains"}
    changes: list[dict[str, Any]] = [
        {}, {"positive_prompt": "a red wall"}, {"negative_prompt": "mountains"}, {"seed": 4}, {"strength": 0.8},
        {"steps": 20}, {"guidance_scale": 3.0},
    ]  # fmt: skip
    pictures = {desk.request("GET", finished(desk, **usual | change)[0]).content for change in changes}
    assert len(pictures) == len(changes)


def test_same_arguments_give_the_same_bytes_in_any_process() -> None:
    """Processes with different hash seeds draw the same bytes, also where words were forgotten or avoided."""
    program = (
        "import hashlib\nfrom tests.unit.simulator.test_results import drawn\n"
        "wishes = dict(prompt='a lake with mountains, birds and rocks', negative_prompt='blue, red, green')\n"
        "print(hashlib.sha256(drawn(guidance_scale=2.0, **wishes)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    wishes: dict[str, Any] = {"prompt": "a lake with mountains, birds and rocks", "negative_prompt": "blue, red, green"}
    assert digests == {hashlib.sha256(drawn(guidance_scale=2.0, **wishes)).hexdigest()}


@pytest.mark.parametrize("strength", [0.1, 0.5])
def test_bands_fit_without_a_seam(monkeypatch: pytest.MonkeyPatch, strength: float) -> None:
    """A picture that is put together from many bands is the same as one in a single piece."""
    monkeypatch.setattr(composite, "_BAND_PIXELS", 7 * SIZE[0])
    banded = opened(drawn(prompt="on white marble", strength=strength))
    monkeypatch.setattr(composite, "_BAND_PIXELS", 2**30)
    whole = opened(drawn(prompt="on white marble", strength=strength))
    assert max(high for _, high in ImageStat.Stat(ImageChops.difference(banded, whole)).extrema) <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (41, 1), (64, 65), (65, 64), (401, 403)])
def test_png_files_hold_what_was_written(size: tuple[int, int]) -> None:
    """Pictures of odd and even sizes are read back exactly, also when each pixel was doubled."""
    picture = Image.effect_noise(size, 90).convert("RGB")
    picture.putpixel((0, 0), (1, 2, 3))
    bands = [picture.crop((0, top, size[0], min(top + 17, size[1]))) for top in range(0, size[1], 17)]
    assert opened(encode_png(size, bands)).tobytes() == picture.tobytes()
    half = picture.crop((0, 0, -(-size[0] // 2), -(-size[1] // 2)))
    doubled = half.resize((half.width * 2, half.height * 2), Image.Resampling.NEAREST).crop((0, 0, *size))
    assert opened(encode_doubled_png(size, half)).tobytes() == doubled.tobytes()


@pytest.mark.parametrize("size", [(64, 64), (65, 65)])
def test_png_files_hold_no_more_than_their_rows(size: tuple[int, int]) -> None:
    """The data of a file is as long as its header says, which strict readers insist on."""
    half = Image.new("RGB", (-(-size[0] // 2), -(-size[1] // 2)), "teal")
    for content in (encode_png(size, [Image.new("RGB", size)]), encode_doubled_png(size, half)):
        start = content.index(b"IDAT") + 4
        data = content[start : content.rindex(b"IEND") - 8]
        assert len(zlib.decompress(data)) == (3 * size[0] + 1) * size[1]


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(480, 400), (481, 401)])
def test_draft_is_as_large_as_the_photo(image_format: str, size: tuple[int, int]) -> None:
    """A draft is a whole PNG of the photo's size, odd sizes too, with the product in it, from any format."""
    picture = opened(drawn(image=photo(size, image_format), mask_bytes=mask(size), quality="draft"))
    assert picture.size == size
    assert max(product_distances(picture)) < 12


def test_drafts_differ_by_prompt_and_seed() -> None:
    """Two drafts of different prompts or seeds have visibly different backgrounds, and nothing of the old one."""
    drafts = [
        outside(drawn(quality="draft", prompt=prompt, seed=seed))
        for prompt in ("a lake", "on silk")
        for seed in range(3)
    ]
    gaps = [mean_difference(a, b) for index, a in enumerate(drafts) for b in drafts[index + 1 :]]
    assert min(gaps) > 3
    assert outside(drawn(quality="draft", image=photo_before_stripes())) == outside(drawn(quality="draft"))


def test_same_order_gives_the_same_bytes() -> None:
    """Two simulators draw the same bytes for the same inputs and seed; another seed or prompt draws another picture."""
    pictures = []
    for changes in ({"seed": 7}, {"seed": 7}, {"seed": 8}, {"seed": 7, "positive_prompt": "a lake"}):
        with open_desk() as desk:
            pictures.append(desk.request("GET", finished(desk, num_output=1, **changes)[0]).content)
    assert pictures[0] == pictures[1]
    assert len(set(pictures)) == 3


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
    for quality in get_args(Quality):
        picture = drawn(mask_bytes=output.getvalue(), prompt="a city at night", quality=quality)
        assert opened(picture).size == SIZE
