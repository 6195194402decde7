"""The pictures that a submission names: fetched once, and checked as the document says."""

from __future__ import annotations

import asyncio
import socket
import threading

import httpx
import pytest

from sceneshift.simulator import SimulatorTransport
from sceneshift.simulator.answers import Fault, FaultError
from sceneshift.simulator.cache import SharedCache
from sceneshift.simulator.sources import SourceLibrary, check_image, fetch_bytes
from tests.unit.simulator.support import BASE_URL, Desk, item, mask, photo

UNREACHABLE, UNFIT = 23500006, 23500007


def test_catalogue_picture_is_fetched_once(desk: Desk) -> None:
    """Many submissions of the same addresses fetch each address once."""
    for _ in range(5):
        desk.accepted()
    assert sorted(desk.fetched) == sorted([item()["image"], item()["mask"]])


def test_failed_fetch_is_tried_again_by_the_next_submission(desk: Desk) -> None:
    """A picture that was missing is taken once it is there."""
    missing = item(image="https://img.alicdn.com/late.png")
    assert desk.submit(missing).json()["code"] == UNREACHABLE
    desk.pictures[missing["image"]] = photo()
    assert desk.submit(missing).status_code == 200


@pytest.mark.parametrize(
    "error", [FileNotFoundError("none.jpg"), PermissionError(), TimeoutError(), OSError(5, "disk")]
)
def test_picture_that_cannot_be_read_is_unreachable(desk: Desk, error: OSError) -> None:
    """A `fetch` that raises `OSError` refuses the submission; its nonce is used up, and the ledger has it uncharged."""

    def fetch(_url: str) -> bytes:
        raise error

    with SimulatorTransport(fetch=fetch) as simulator:
        client = httpx.Client(transport=simulator, base_url=f"{BASE_URL}/api/v1/bg-rep", headers=desk.headers())
        answers = [client.post("/submit", json={"data": {"task_list": [item()]}}) for _ in range(2)]
        told = [(entry.error_code, entry.image, entry.charged) for entry in simulator.ledger.submits]
    assert [answer.status_code for answer in answers] == [400, 403]
    assert answers[0].json()["message"] == Fault.IMAGE_UNREACHABLE.message
    assert told == [(str(UNREACHABLE), item()["image"], 0), ("S403NU", item()["image"], 0)]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (photo((399, 800)), UNFIT),
        (photo((4097, 400)), UNFIT),
        (photo(image_format="GIF"), UNFIT),
        (photo()[:-200], UNFIT),
        (b"<html>not a picture</html>", UNFIT),
        (b"", UNFIT),
    ],
    ids=["too small", "too large", "format", "truncated", "html", "empty"],
)
def test_unfit_picture_is_refused(desk: Desk, content: bytes, code: int) -> None:
    """A side outside 400 to 4096 pixels, another format or a damaged file does not meet the requirements."""
    desk.pictures[item()["image"]] = content
    answer = desk.submit()
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert desk.ledger()["charged"] == 0


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(400, 400), (4096, 400)])
def test_documented_formats_and_sizes_are_taken(size: tuple[int, int], image_format: str) -> None:
    """The three named formats pass, at both limits of size."""
    assert check_image(photo(size, image_format)).size == size


def test_mask_must_be_as_large_as_its_image(desk: Desk) -> None:
    """A mask of another size does not meet the requirements."""
    desk.pictures[item()["mask"]] = mask((500, 500))
    assert desk.submit().json()["code"] == UNFIT


def test_equal_pictures_are_held_once() -> None:
    """Two addresses of the same bytes, such as presigned ones, share one picture in memory."""

    async def scenario() -> bool:
        library = SourceLibrary(lambda _url: photo())
        return await library.get("https://a.test/?signature=1") is await library.get("https://a.test/?signature=2")

    assert asyncio.run(scenario())


def test_nobody_there_is_unreachable() -> None:
    """A refused connection and an impossible address are the document's unreachable image, not a crash."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/a.png", "http://exa mple/", "http://[::1/"):
        with pytest.raises(FaultError) as caught:
            fetch_bytes(url)
        assert caught.value.fault is Fault.IMAGE_UNREACHABLE


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Fault.IMAGE_UNREACHABLE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", Fault.IMAGE_UNREACHABLE),
        (b"garbage\r\n\r\n", Fault.IMAGE_UNREACHABLE),
    ],
    ids=["404", "cut short", "no HTTP"],
)
def test_bad_answer_is_unreachable(answer: bytes, fault: Fault) -> None:
    """An error, a body that ends early and something that is no HTTP are all the same to the provider."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_once, args=(listener, answer))
        thread.start()
        with pytest.raises(FaultError) as caught:
            fetch_bytes(f"http://127.0.0.1:{listener.getsockname()[1]}/a.png")
        thread.join()
    assert caught.value.fault is fault


def _answer_once(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


def test_cache_makes_a_value_once_for_all_who_wait() -> None:
    """Callers that come while a value is being made get that one."""

    async def scenario() -> tuple[int, set[str]]:
        gate, made = asyncio.Event(), 0

        async def make(key: str) -> str:
            nonlocal made
            made += 1
            await gate.wait()
            return key

        cache: SharedCache[str, str] = SharedCache(make, weigh=len, max_bytes=10)
        callers = [asyncio.create_task(cache.get("key")) for _ in range(5)]
        await asyncio.sleep(0)
        gate.set()
        values = set(await asyncio.gather(*callers))
        return made, values

    assert asyncio.run(scenario()) == (1, {"key"})


def test_cache_drops_what_was_used_longest_ago() -> None:
    """Beyond its bound the cache forgets, and what was asked for last stays."""

    async def scenario() -> list[str]:
        made: list[str] = []

        async def make(key: str) -> str:
            made.append(key)
            return key * 4

        cache: SharedCache[str, str] = SharedCache(make, weigh=len, max_bytes=8)
        for key in ("a", "b", "a", "c", "a", "b"):
            await cache.get(key)
        return made

    assert asyncio.run(scenario()) == ["a", "b", "c", "b"]
