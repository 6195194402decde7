"""The simulator as the transport of an asyncio client: the same answers, failures and ends as for a blocking one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from sceneshift.simulator import SimulatorTransport
from tests.unit.simulator.support import BASE_URL, LONG_AFTER, Desk, item, mask, open_desk, photo


def submit(client: httpx.AsyncClient, desk: Desk) -> Awaitable[httpx.Response]:
    body = {"data": {"task_list": [item(num_output=1)]}}
    return client.post("/api/v1/bg-rep/submit", json=body, headers=desk.headers())


def at_desk(visit: Callable[[httpx.AsyncClient, Desk], Awaitable[None]], **behaviour: Any) -> None:
    """An asyncio client has made this visit to a simulator."""

    async def scenario(desk: Desk) -> None:
        async with httpx.AsyncClient(transport=desk.simulator, base_url=BASE_URL, trust_env=False) as client:
            await visit(client, desk)

    with open_desk(**behaviour) as desk:
        asyncio.run(scenario(desk))


def test_many_calls_at_once_are_all_answered() -> None:
    """Fifty submissions that are gathered have a key each and one charge each."""

    async def visit(client: httpx.AsyncClient, desk: Desk) -> None:
        answers = await asyncio.gather(*(submit(client, desk) for _ in range(50)))
        assert len({answer.json()["data"]["result_key"] for answer in answers}) == 50
        assert desk.simulator.ledger.charged == 50

    at_desk(visit)


def test_drop_and_silence_are_errors_at_once() -> None:
    """What was accepted is charged whichever way its answer was lost."""

    async def visit(client: httpx.AsyncClient, desk: Desk) -> None:
        began = time.monotonic()
        outcomes = [await asyncio.gather(submit(client, desk), return_exceptions=True) for _ in range(3)]
        assert [type(outcome) for (outcome,) in outcomes] == [
            httpx.RemoteProtocolError,
            httpx.ReadTimeout,
            httpx.Response,
        ]
        assert time.monotonic() - began < 10
        assert desk.simulator.ledger.charged == 3

    at_desk(visit, scenarios=("submit-accept-then-drop@1", "submit-accept-then-timeout@2"))


def test_cut_image_gives_what_had_come() -> None:
    """Half of the body can be read as it comes, then the connection is closed."""

    async def visit(client: httpx.AsyncClient, desk: Desk) -> None:
        await submit(client, desk)
        desk.now += LONG_AFTER
        (key,) = desk.simulator.ledger.by_key()
        (url,) = desk.results(key)
        whole, received = (await client.get(url)).content, bytearray()
        with pytest.raises(httpx.RemoteProtocolError):
            await download(client, url, received)
        assert received == whole[: len(whole) // 2]

    at_desk(visit, scenarios=("download-cut@2",), quality="draft")


async def download(client: httpx.AsyncClient, url: str, received: bytearray) -> None:
    """The body has been added to `received` as it came."""
    async with client.stream("GET", url) as answer:
        async for chunk in answer.aiter_raw():
            received += chunk


def fetch(url: str) -> bytes:
    return mask() if "mask" in url else photo()


def test_one_simulator_serves_client_after_client_and_ends_with_its_block() -> None:
    """`async with` keeps it open through its clients' ends; afterwards no thread is left."""

    async def scenario() -> None:
        async with SimulatorTransport(fetch=fetch) as simulator:
            for _ in range(2):
                async with httpx.AsyncClient(transport=simulator, base_url=BASE_URL) as client:
                    assert (await client.get("/healthz")).status_code == 200
        with pytest.raises(RuntimeError, match="closed"):
            await httpx.AsyncClient(transport=simulator, base_url=BASE_URL).get("/healthz")

    before = set(threading.enumerate())
    asyncio.run(scenario())
    assert {thread for thread in threading.enumerate() if thread.name == "simulator"} <= before


def test_client_without_a_block_ends_its_simulator() -> None:
    """`aclose` of the client is that of its transport; a second one does nothing."""

    async def scenario() -> None:
        simulator = SimulatorTransport(fetch=fetch)
        client = httpx.AsyncClient(transport=simulator, base_url=BASE_URL)
        assert (await client.get("/healthz")).status_code == 200
        await client.aclose()
        await simulator.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            simulator.control(credits=1)

    asyncio.run(scenario())


class Gate:
    """A `fetch` that takes as long as it is let."""

    def __init__(self) -> None:
        self.began, self.may_go_on = threading.Event(), threading.Event()

    def fetch(self, url: str) -> bytes:
        self.began.set()
        assert self.may_go_on.wait(20)
        return fetch(url)


@asynccontextmanager
async def call_under_way(desk: Desk) -> AsyncIterator[tuple[SimulatorTransport, Gate, asyncio.Task[httpx.Response]]]:
    gate = Gate()
    async with SimulatorTransport(fetch=gate.fetch) as simulator:
        client = httpx.AsyncClient(transport=simulator, base_url=BASE_URL)
        call = asyncio.ensure_future(submit(client, desk))
        await asyncio.to_thread(gate.began.wait, 20)
        try:
            yield simulator, gate, call
        finally:
            gate.may_go_on.set()


def test_end_of_the_simulator_does_not_look_like_the_end_of_its_caller(desk: Desk) -> None:
    """A call that is given up at the end raises an error, and its task was not cancelled."""

    async def scenario() -> None:
        async with call_under_way(desk) as (simulator, gate, call):
            simulator._leave()
            closing = asyncio.create_task(simulator.aclose())
            await asyncio.sleep(0)
            assert not closing.done(), "the loop stood still until the picture was there"
            gate.may_go_on.set()
            await closing
            with pytest.raises(RuntimeError, match="this simulator is closed"):
                await call
            assert not call.cancelled()
            simulator.__enter__()

    asyncio.run(scenario())


def test_caller_may_give_up(desk: Desk) -> None:
    """A task that is cancelled ends as one, and the simulator charges nothing for what it had not yet accepted."""

    async def scenario() -> None:
        async with call_under_way(desk) as (simulator, gate, call):
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            gate.may_go_on.set()
            assert simulator.ledger.charged == 0

    asyncio.run(scenario())
