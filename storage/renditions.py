"""Smaller files of a stored result beside it, where `SCENESHIFT_RENDITIONS` asks for them.

    results/…/0.png               the result, as it came
    results/…/0-thumbnail.webp    at most 320 pixels a side
    results/…/0-webp.webp         in full size

They are made of the stored bytes, after those were checked, and follow the same rules: a name that depends on the job
alone, written once, with their SHA-256. A file that cannot be made costs no paid image: it is left out, and logged.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sceneshift.jobs.record import OutputImage
from storage.objects import ObjectInfo, ObjectStore, StorageUnavailableError

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

CONTENT_TYPE = "image/webp"
THUMBNAIL_SIDE_PIXELS = 320
SIDES: Mapping[str, int | None] = {"thumbnail": THUMBNAIL_SIDE_PIXELS, "webp": None}
"""The kinds that there are, and the longest side of each; None: that of the result."""
QUALITY = 82
_OPAQUE_WIDE = ("I", "F")
"""Modes of more than eight bits a channel begin so; WEBP has none."""


def rendition_name(key: str, kind: str) -> str:
    """`…/0-thumbnail.webp` of `…/0.png`."""
    return f"{key.rpartition('.')[0]}-{kind}.webp"


def make_renditions(store: ObjectStore, images: Sequence[OutputImage], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """These files of each image are in the store; what the manifest says of them, in the order of the indexes.

    Run twice: what is there stays and is described.

    Raises:
        StorageError: the store failed.
    """
    made = []
    for image in sorted(images, key=lambda each: each.index):
        for kind in kinds:
            if kind == "webp" and image.content_type == CONTENT_TYPE:
                continue
            name = rendition_name(image.key, kind)
            if info := store.head(name) or _made(store, image, name, kind):
                made.append(_described(store, image, name, kind, info))
    return made


def _made(store: ObjectStore, image: OutputImage, name: str, kind: str) -> ObjectInfo | None:
    """The file is in the store; None when it cannot be made of this image."""
    body = store.get(image.key)
    if hashlib.sha256(body).hexdigest() != image.sha256:
        raise StorageUnavailableError(f"{image.key}: what is read is not what was stored")
    try:
        rendered, (width, height) = render(body, image.content_type, side_max=SIDES[kind])
    except Exception as error:  # noqa: BLE001 - whatever an encoder fails on, the image itself is there
        log.warning("rendition.not_made", extra={"key": name, "error": type(error).__name__})
        return None
    store.put(
        name,
        io.BytesIO(rendered),
        size_bytes=len(rendered),
        sha256=hashlib.sha256(rendered).hexdigest(),
        content_type=CONTENT_TYPE,
        metadata={"rendition-of": image.key, "width": str(width), "height": str(height)},
    )
    info = store.head(name)
    if info is None:
        raise StorageUnavailableError(f"{name} was written, but the store does not show it yet")
    return info


def render(body: bytes, content_type: str, *, side_max: int | None) -> tuple[bytes, tuple[int, int]]:
    """A WEBP file of the image, and its width and height: turned as Exif says, profile and XMP carried over.

    An image that is small enough is not made larger.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415 - an extra, and 40 ms that others need not wait for

    with Image.open(io.BytesIO(body), formats=(content_type.partition("/")[2].upper(),)) as opened:
        opened.load()
        kept = {name: opened.info[name] for name in ("icc_profile", "xmp") if opened.info.get(name)}
        upright = ImageOps.exif_transpose(opened)
    image = _eight_bits(upright)
    if side_max is not None:
        image.thumbnail((side_max, side_max), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=4, **kept)
    return file.getvalue(), image.size


def _eight_bits(image: Image) -> Image:
    """In RGB, with transparency where the image has some."""
    if image.mode.startswith(_OPAQUE_WIDE):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _described(store: ObjectStore, image: OutputImage, name: str, kind: str, info: ObjectInfo) -> dict[str, Any]:
    sha256 = info.sha256 or hashlib.sha256(store.get(name)).hexdigest()
    sides = {side: int(info.metadata[side]) for side in ("width", "height") if info.metadata.get(side, "").isdigit()}
    return {
        "index": image.index,
        "kind": kind,
        "key": name,
        "content_type": info.content_type,
        "size_bytes": info.size_bytes,
        "sha256": sha256,
        **sides,
    }
