"""Files that are made of a result: what they look like, and that they never cost one."""

from __future__ import annotations

import hashlib
import io
import logging

import pytest
from PIL import Image

from sceneshift.jobs.record import OutputImage
from storage.objects import ObjectStore, StorageUnavailableError
from storage.renditions import make_renditions, render, rendition_name
from storage.xmp import DIGITAL_SOURCE_TYPE, labelled_packet
from tests.unit.storage.memory_store import MemoryStore
from tests.unit.storage.pictures import picture

FOLDER = "results/2026/11/23/job_01"


def stored(store: ObjectStore, body: bytes, content_type: str = "image/png", index: int = 0) -> OutputImage:
    """A result in the store."""
    extension = content_type.partition("/")[2].replace("jpeg", "jpg")
    image = OutputImage(
        index=index,
        key=f"{FOLDER}/{index}.{extension}",
        uri="s3://x",
        sha256=hashlib.sha256(body).hexdigest(),
        content_type=content_type,
        width=900,
        height=600,
        size_bytes=len(body),
    )
    store.put(image.key, io.BytesIO(body), size_bytes=len(body), sha256=image.sha256, content_type=content_type,
              metadata={})  # fmt: skip
    return image


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def test_each_kind_stands_beside_its_image_and_is_described() -> None:
    """Names, sizes, hashes and sides are those of the files, in the order of the images."""
    store = MemoryStore()
    images = [stored(store, picture("PNG", size=(900, 600), seed=index + 1), index=index) for index in (1, 0)]
    made = make_renditions(store, images, ("thumbnail", "webp"))
    assert [each["key"].removeprefix(FOLDER) for each in made] == [
        "/0-thumbnail.webp", "/0-webp.webp", "/1-thumbnail.webp", "/1-webp.webp",
    ]  # fmt: skip
    for each in made:
        body = store.get(each["key"])
        assert (each["sha256"], each["size_bytes"]) == (hashlib.sha256(body).hexdigest(), len(body))
        assert opened(body).format == "WEBP"
        assert opened(body).size == (each["width"], each["height"])
    assert [(each["width"], each["height"]) for each in made[:2]] == [(320, 213), (900, 600)]


def test_a_second_run_writes_nothing_and_says_the_same() -> None:
    """What is there stays, and its image is not even read."""
    store = MemoryStore()
    image = stored(store, picture("PNG"))
    first = make_renditions(store, [image], ("thumbnail",))
    calls: list[str] = []
    store.before = lambda operation, _key: calls.append(operation)
    assert make_renditions(store, [image], ("thumbnail",)) == first
    assert set(calls) == {"head"}


def test_the_first_of_two_writers_is_described() -> None:
    """Another worker's file, of another release of the encoder perhaps, is the one that the manifest names."""
    store = MemoryStore()
    image, other = stored(store, picture("PNG")), picture("WEBP")

    def meanwhile(operation: str, key: str) -> None:
        if operation == "put" and "thumbnail" in key:
            store.before = lambda _operation, _key: None
            store.put(key, io.BytesIO(other), size_bytes=len(other), sha256=hashlib.sha256(other).hexdigest(),
                      content_type="image/webp", metadata={"width": "64", "height": "48"})  # fmt: skip

    store.before = meanwhile
    (made,) = make_renditions(store, [image], ("thumbnail",))
    assert made["sha256"] == hashlib.sha256(other).hexdigest()


def test_a_small_image_is_not_made_larger() -> None:
    """A thumbnail of 64 by 48 pixels has as many."""
    assert render(picture("PNG"), "image/png", side_max=320)[1] == (64, 48)


def test_a_webp_is_not_made_again() -> None:
    """In full size it is there already."""
    store = MemoryStore()
    made = make_renditions(store, [stored(store, picture("WEBP"), "image/webp")], ("thumbnail", "webp"))
    assert [each["kind"] for each in made] == ["thumbnail"]


def test_profile_and_label_are_carried_over_and_the_image_is_turned() -> None:
    """What says how an image was made says so in its thumbnail, and Exif's orientation has been obeyed."""
    exif = Image.Exif()
    exif[0x0112] = 6
    body = saved(
        Image.new("RGB", (600, 300), "red"), "JPEG", exif=exif, icc_profile=b"p" * 200, xmp=labelled_packet(None)
    )
    rendered, size = render(body, "image/jpeg", side_max=320)
    after = opened(rendered)
    assert size == after.size == (160, 320)
    assert after.info["icc_profile"] == b"p" * 200
    assert DIGITAL_SOURCE_TYPE.encode() in after.info["xmp"]
    assert "exif" not in after.info


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_a_result_can_be_rendered(mode: str) -> None:
    """Transparency stays, and grey of sixteen bits is neither white nor black."""
    image = Image.new("L", (20, 10), 128).convert(mode) if mode != "I;16" else Image.new("I;16", (20, 10), 128 * 256)
    if "A" in mode:
        image.putalpha(100)
    after = opened(render(saved(image, "PNG"), "image/png", side_max=None)[0])
    assert (after.mode == "RGBA") is ("A" in mode)
    if mode == "I;16":
        assert abs(after.convert("L").getpixel((5, 5)) - 128) < 4  # type: ignore[operator]  # one channel


def test_a_file_that_cannot_be_made_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """WEBP has no side of 20,000 pixels: the thumbnail is made, the other left out and logged."""
    store = MemoryStore()
    image = stored(store, saved(Image.new("1", (20_000, 4)), "PNG"))
    with caplog.at_level(logging.WARNING):
        made = make_renditions(store, [image], ("thumbnail", "webp"))
    assert [each["kind"] for each in made] == ["thumbnail"]
    assert [record.message for record in caplog.records] == ["rendition.not_made"]


def test_only_checked_bytes_are_rendered() -> None:
    """What is read must be what was decoded and hashed before; else the step comes again."""
    store = MemoryStore()
    image = stored(store, picture("PNG"))
    store.objects[image.key] = (picture("PNG", seed=2), store.objects[image.key][1])
    with pytest.raises(StorageUnavailableError):
        make_renditions(store, [image], ("thumbnail",))


def test_a_rendition_is_not_taken_for_a_result() -> None:
    """Results are looked for by `{index}.`, which no such name begins with."""
    assert not rendition_name(f"{FOLDER}/0.png", "webp").startswith(f"{FOLDER}/0.")
