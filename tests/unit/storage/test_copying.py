"""Copying a result: what reaches the store, what never does, and what a second run of the same step finds."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import http.server
import io
import json
import threading
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from sceneshift.errors import SceneshiftError
from sceneshift.guarded_http import FetchStatusError, GuardedClient
from sceneshift.identifiers import new_job_id
from sceneshift.jobs.record import OutputImage
from storage.copying import (
    SPOOL_MEMORY_BYTES,
    CopyLimits,
    StoredImageDamagedError,
    copy_result,
)
from storage.decoding import InProcessDecoder
from storage.directory import DirectoryStore
from storage.images import ImageRejectedError, TooManyPixelsError
from storage.names import output_name
from storage.objects import BodyMismatchError, ObjectStore, StorageRefusedError, StorageUnavailableError
from tests.unit.storage.memory_store import MemoryStore
from tests.unit.storage.pictures import picture

JOB_ID = new_job_id(1_795_392_000.0)
URL = "https://results.example/0?signature=secret"
LIMITS = CopyLimits(max_bytes=10_000_000, max_pixels=1_000_000, timeout_seconds=30.0)
PNG = picture("PNG")


class CutError(SceneshiftError):
    """Raised in place of the HTTP client's own errors."""

    code = "truncated"
    retryable = True


@dataclass(frozen=True)
class Downloaded:
    size_bytes: int
    sha256: str


class Server:
    """The provider's result server: gives its content in pieces, as the HTTP client writes them."""

    def __init__(self, content: bytes, *, cut_at: int | None = None) -> None:
        self.content = content
        self.cut_at = cut_at
        self.asked: list[tuple[str, int, float]] = []

    def download(self, url: str, into: BinaryIO, *, max_bytes: int, timeout_seconds: float) -> Downloaded:
        self.asked.append((url, max_bytes, timeout_seconds))
        sent = io.BytesIO(self.content[: self.cut_at])
        while piece := sent.read(65_536):
            into.write(piece)
        if self.cut_at is not None:
            raise CutError("fewer bytes than promised")
        return Downloaded(len(self.content), hashlib.sha256(self.content).hexdigest())


def copy(
    server: Server,
    store: ObjectStore,
    *,
    index: int = 0,
    limits: CopyLimits = LIMITS,
    metadata: dict[str, str] | None = None,
) -> OutputImage:
    return copy_result(
        server, store, InProcessDecoder(), url=URL, job_id=JOB_ID, index=index, limits=limits, metadata=metadata or {}
    )


def place(store: MemoryStore, content: bytes, content_type: str, *, index: int = 0) -> str:
    """Another run of the step has put this object."""
    key = output_name(JOB_ID, index, content_type)
    store.put(
        key,
        io.BytesIO(content),
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        content_type=content_type,
        metadata={},
    )
    return key


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_a_result_is_stored_as_it_was_sent(image_format: str) -> None:
    """The object has the bytes of the result, its type by content, its name by the job; the report says all of it."""
    store, content = MemoryStore(), picture(image_format, (80, 60))
    server = Server(content)
    image = copy(server, store, index=2, metadata={"sku": "TSHIRT-RED-M"})
    content_type = f"image/{image_format.lower()}"
    key = output_name(JOB_ID, 2, content_type)
    assert image == OutputImage(
        index=2,
        key=key,
        uri=f"memory:///{key}",
        sha256=hashlib.sha256(content).hexdigest(),
        content_type=content_type,
        width=80,
        height=60,
        size_bytes=len(content),
    )
    assert list(store.objects) == [key]
    body, info = store.objects[key]
    assert (body, info.content_type, info.metadata) == (content, content_type, {"sku": "TSHIRT-RED-M"})
    assert server.asked == [(URL, LIMITS.max_bytes, LIMITS.timeout_seconds)]


def test_running_the_step_twice_writes_once() -> None:
    """The second run reports the same image, asks the provider's server nothing and writes nothing."""
    store, server = MemoryStore(), Server(PNG)
    first = copy(server, store)
    store.before = lambda operation, key: pytest.fail(f"{operation} {key}") if operation == "put" else None
    assert copy(server, store) == first
    assert len(server.asked) == 1


def test_another_format_from_the_provider_makes_no_second_version() -> None:
    """When the provider sends a WEBP where an earlier run stored a PNG, the PNG stays the one result of this index."""
    store = MemoryStore()
    first = copy(Server(PNG), store)
    assert copy(Server(picture("WEBP")), store) == first
    assert list(store.objects) == [first.key]


def test_other_indexes_are_other_images() -> None:
    """Index 1 is not taken for present because index 10 is."""
    store = MemoryStore()
    place(store, PNG, "image/png", index=10)
    server = Server(picture("JPEG"))
    assert copy(server, store, index=1).content_type == "image/jpeg"
    assert len(server.asked) == 1


def test_the_winner_of_a_race_is_reported_by_both() -> None:
    """When another run writes the name in the last moment, its object is verified and reported, not ours."""
    store, others = MemoryStore(), picture("PNG", seed=5)

    def other_run(operation: str, _key: str) -> None:
        if operation == "put":
            store.before = lambda _operation, _key: None
            place(store, others, "image/png")

    store.before = other_run
    image = copy(Server(PNG), store)
    assert image.sha256 == hashlib.sha256(others).hexdigest() != hashlib.sha256(PNG).hexdigest()
    assert store.objects[image.key][0] == others


@pytest.mark.parametrize(
    ("failing", "applied"), [("list", False), ("put", False), ("put", True), ("head", False), ("get", False)]
)
def test_a_crash_at_any_call_is_mended_by_running_again(failing: str, applied: bool) -> None:
    """Whichever call of the store fails, before or after its effect, running again ends with one whole image."""
    store = MemoryStore()

    def fail_once(operation: str, _key: str) -> None:
        if operation == failing:
            store.before = lambda _operation, _key: None
            if applied:
                place(store, PNG, "image/png")
            raise StorageUnavailableError(f"{operation} failed")

    store.before = fail_once
    images: list[OutputImage] = []
    while len(images) < 2:
        with contextlib.suppress(StorageUnavailableError):
            images.append(copy(Server(PNG), store))
    assert images[0] == images[1]
    assert {key: body for key, (body, _) in store.objects.items()} == {images[0].key: PNG}


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>502</html>", PNG[: len(PNG) // 2], picture("GIF", mode="P"), picture("PNG", (1001, 1000))],
    ids=["empty", "error page", "half", "gif", "too many pixels"],
)
def test_what_is_no_whole_image_never_reaches_the_store(content: bytes) -> None:
    """A rejected result raises its reason and leaves nothing, not even for a moment."""
    store = MemoryStore()
    store.before = lambda operation, key: pytest.fail(f"{operation} {key}") if operation == "put" else None
    with pytest.raises(ImageRejectedError):
        copy(Server(content), store)
    assert store.objects == {}


@pytest.mark.parametrize("claim", [{"size_bytes": len(PNG) + 1}, {"sha256": "0" * 64}])
def test_what_differs_from_the_download_s_report_is_not_stored(claim: dict[str, Any]) -> None:
    """Bytes that are not the downloaded ones any more (a bad temporary disk) are refused, and may be fetched again."""

    class Misreported(Server):
        def download(self, url: str, into: BinaryIO, *, max_bytes: int, timeout_seconds: float) -> Downloaded:
            sent = super().download(url, into, max_bytes=max_bytes, timeout_seconds=timeout_seconds)
            return dataclasses.replace(sent, **claim)

    store = MemoryStore()
    with pytest.raises(BodyMismatchError) as caught:
        copy(Misreported(PNG), store)
    assert caught.value.retryable
    assert store.objects == {}


def test_a_full_temporary_disk_waits_for_a_person() -> None:
    """An error of the temporary file is an error of storage, not of the image, and the job is not given up."""

    class FullDisk(Server):
        def download(self, *_args: object, **_options: object) -> Downloaded:
            raise OSError(errno.ENOSPC, "of the test")

    with pytest.raises(StorageRefusedError) as caught:
        copy(FullDisk(PNG), MemoryStore())
    assert caught.value.retryable


def test_an_object_that_vanishes_while_it_is_read_is_looked_for_again() -> None:
    """When a person deletes the object in between, the step is to be run again and copies it anew."""
    store = MemoryStore()
    place(store, PNG, "image/png")
    store.before = lambda operation, _key: store.objects.clear() if operation == "get" else None
    with pytest.raises(StorageUnavailableError):
        copy(Server(PNG), store)
    assert copy(Server(PNG), store).size_bytes == len(PNG)


def test_a_stranger_s_file_beside_the_results_is_not_taken_for_one() -> None:
    """Only the names that we give count: a backup copy of some person is neither read nor in the way."""
    store = MemoryStore()
    key = output_name(JOB_ID, 0, "image/jpeg").replace(".jpg", ".jpg.orig")
    store.put(key, io.BytesIO(b""), size_bytes=0, sha256=hashlib.sha256().hexdigest(), content_type="x/y", metadata={})
    assert copy(Server(PNG), store).key == output_name(JOB_ID, 0, "image/png")


def test_the_guarded_client_is_what_downloads(tmp_path: Path) -> None:
    """The real HTTP client fetches from a real server, and a status that is no success arrives as its own error."""

    class Results(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/0.png" else 403)
            self.send_header("Content-Length", str(len(PNG)))
            self.end_headers()
            self.wfile.write(PNG)

        def log_message(self, *_args: object) -> None:
            """Nothing is written to the test's output."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Results) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client, store = GuardedClient(allow_hosts=["127.0.0.1"]), DirectoryStore(tmp_path)
        base = f"http://127.0.0.1:{server.server_port}"
        try:
            image = copy_result(
                client,
                store,
                InProcessDecoder(),
                url=f"{base}/0.png",
                job_id=JOB_ID,
                index=0,
                limits=LIMITS,
                metadata={},
            )
            with pytest.raises(FetchStatusError):
                copy_result(
                    client,
                    store,
                    InProcessDecoder(),
                    url=f"{base}/gone",
                    job_id=JOB_ID,
                    index=1,
                    limits=LIMITS,
                    metadata={},
                )
        finally:
            client.close()
            server.shutdown()
    assert (tmp_path / image.key).read_bytes() == PNG
    assert list(store.list("")) == [image.key]


def test_a_failed_download_passes_through() -> None:
    """The client's error arrives unchanged, and what came before it is nowhere."""
    store = MemoryStore()
    with pytest.raises(CutError):
        copy(Server(PNG, cut_at=100), store)
    assert store.objects == {}


def test_a_retryable_rejection_is_told_from_a_final_one() -> None:
    """A cut image may be fetched again; one with too many pixels will have as many next time."""
    with pytest.raises(ImageRejectedError) as cut:
        copy(Server(PNG[:-100]), MemoryStore())
    with pytest.raises(TooManyPixelsError) as large:
        copy(Server(PNG), MemoryStore(), limits=dataclasses.replace(LIMITS, max_pixels=10))
    assert (cut.value.retryable, large.value.retryable) == (True, False)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>", "not_an_image"),
        (PNG[: len(PNG) // 2], "truncated_image"),
        (picture("JPEG"), "image/jpeg"),
    ],
)
def test_a_damaged_object_is_neither_reported_nor_replaced(content: bytes, reason: str) -> None:
    """What stands under a result's name and is no such image raises, waits for a person, and stays as evidence."""
    store = MemoryStore()
    key = place(store, content, "image/png")
    with pytest.raises(StoredImageDamagedError, match=reason) as caught:
        copy(Server(PNG), store)
    assert caught.value.retryable
    assert store.objects[key][0] == content


def test_an_object_whose_bytes_changed_is_found() -> None:
    """When the bytes are not those of the SHA-256 that was kept at writing, a whole image is damaged all the same."""
    store = MemoryStore()
    key = place(store, PNG, "image/png")
    store.objects[key] = (picture("PNG", seed=3), store.objects[key][1])
    with pytest.raises(StoredImageDamagedError):
        copy(Server(PNG), store)


def test_an_object_over_the_limit_is_not_read() -> None:
    """The size is looked at before an object is read into memory."""
    store = MemoryStore()
    place(store, PNG, "image/png")
    store.before = lambda operation, key: pytest.fail(f"{operation} {key}") if operation == "get" else None
    with pytest.raises(StoredImageDamagedError):
        copy(Server(PNG), store, limits=dataclasses.replace(LIMITS, max_bytes=len(PNG) - 1))


def test_an_object_that_is_not_shown_is_not_announced() -> None:
    """After the write the object is looked for; when the store does not show it, the step is to be run again."""
    store = MemoryStore()
    store.before = lambda operation, _key: store.objects.clear() if operation == "head" else None
    with pytest.raises(StorageUnavailableError):
        copy(Server(PNG), store)


@pytest.mark.parametrize("shown", [{"size_bytes": 1}, {"sha256": "0" * 64}])
def test_an_object_that_is_shown_otherwise_is_not_announced(shown: dict[str, Any]) -> None:
    """When the store shows another size or SHA-256 than was written, that is damage."""
    store = MemoryStore()

    def spoil(operation: str, key: str) -> None:
        if operation == "head":
            body, info = store.objects[key]
            store.objects[key] = (body, dataclasses.replace(info, **shown))

    store.before = spoil
    with pytest.raises(StoredImageDamagedError):
        copy(Server(PNG), store)


def test_strange_metadata_does_not_cost_an_image(tmp_path: Path) -> None:
    """Any text becomes what a store can keep: encoded, shortened, and left out when there is nothing in it."""
    store = DirectoryStore(tmp_path)
    image = copy(Server(PNG), store, metadata={"sku": " Kühl 100%\r\nx: y ", "empty": " ", "long": "ü" * 2000})
    info = store.head(image.key)
    assert info is not None
    assert info.metadata["sku"] == "K%C3%BChl 100%25%0D%0Ax: y"
    assert "empty" not in info.metadata
    assert len(info.metadata["long"]) <= 768


def test_a_large_image_is_not_kept_in_memory(tmp_path: Path) -> None:
    """An image of 24 MB costs a few megabytes on its way from the server to the store, and arrives whole."""
    content = PNG + b"\0" * (24 * 1024 * 1024)
    server, store = Server(content), DirectoryStore(tmp_path)
    tracemalloc.start()
    try:
        image = copy(server, store, limits=dataclasses.replace(LIMITS, max_bytes=len(content)))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 6 * SPOOL_MEMORY_BYTES
    assert (tmp_path / image.key).read_bytes() == content


def test_a_stored_image_survives_json() -> None:
    """What goes into the job record comes out equal, and fields of a newer version are ignored."""
    image = copy(Server(PNG), MemoryStore())
    assert OutputImage.from_json(json.loads(json.dumps(image.to_json() | {"later": 1}))) == image
