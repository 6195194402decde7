"""A simulator as an httpx transport: for tests of a client, blocking or on asyncio, without socket and waiting.

Silence becomes `httpx.ReadTimeout` at once, and a closed connection the error that httpx raises for one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, Final, Self, TypeVar

import httpx
from starlette.types import Receive

from sceneshift.simulator.app import create_app
from sceneshift.simulator.config import SimulatorConfig
from sceneshift.simulator.control import Wishes, fulfil, read_wishes
from sceneshift.simulator.ledger import Ledger
from sceneshift.simulator.service import SimulatedProvider
from sceneshift.simulator.sources import Fetch, fetch_bytes
from sceneshift.simulator.wire import EXTENSION

Result = TypeVar("Result")
_CLOSED: Final = "this simulator is closed"


class SimulatorTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers any number of clients, threads and asyncio tasks from one simulator in this process.

    A client that is closed closes its transport; inside `with SimulatorTransport() as …:`, or `async with`, the end of
    the block alone does.

    Args:
        config: how it behaves.
        clock: unix seconds; every duration, expiry and window is measured on it.
        fetch: the bytes behind a picture's address, as for `create_app`.

    Raises:
        ConfigurationError: a scenario's rule cannot be read.
    """

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        clock: Callable[[], float] = time.time,
        fetch: Fetch = fetch_bytes,
    ) -> None:
        self._app = create_app(config, clock=clock, fetch=fetch)
        self._loop = asyncio.new_event_loop()
        # A simulator that nobody closes must not keep its process from ending.
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulator", daemon=True)
        self._thread.start()
        self._blocks = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        with self._lock:
            self._blocks += 1
        return self

    def __exit__(self, *_exception: object) -> None:
        self._leave()
        self.close()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_exception: object) -> None:
        self._leave()
        await self.aclose()

    def _leave(self) -> None:
        with self._lock:
            self._blocks -= 1

    def close(self) -> None:
        """No further call is possible, and those under way are given up, unless a `with` block is still open."""
        with self._lock:
            if self._blocks or self._loop.is_closed():
                return
            self._run(_cancel_calls())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def aclose(self) -> None:
        """As `close`, while other tasks go on: a picture that is being fetched is waited for."""
        await asyncio.to_thread(self.close)

    def _start(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        """The coroutine runs where everything of this simulator runs."""
        if self._loop.is_closed():
            coroutine.close()
            raise RuntimeError(_CLOSED)
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """What the coroutine returns, after it ran there."""
        try:
            return self._start(coroutine).result()
        except CancelledError:
            raise RuntimeError(_CLOSED) from None

    @property
    def provider(self) -> SimulatedProvider:
        return self._app.provider

    @property
    def ledger(self) -> Ledger:
        """What was submitted, charged, asked and fetched so far."""
        return self._app.provider.ledger

    def control(self, **wishes: Any) -> None:
        """The simulator behaves so from now on; see `Wishes`.

        Raises:
            ConfigurationError: a wish is unknown, or cannot be fulfilled; nothing has changed.
        """
        self._run(_fulfil(read_wishes(wishes), self._app.provider))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The simulator's answer.

        Raises:
            httpx.ReadTimeout: it keeps silent for longer than the request's read time-out.
            httpx.RemoteProtocolError: it closes the connection instead of answering.
        """
        request.read()
        exchange = _Exchange(request)
        self._run(self._app(exchange.scope(), exchange.receive, exchange.send))
        return exchange.response()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The simulator's answer; raises as `handle_request` does."""
        await request.aread()
        exchange = _Exchange(request)
        call = self._start(self._app(exchange.scope(), exchange.receive, exchange.send))
        try:
            await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller and caller.cancelling():
                raise
            # It was the simulator that ended: nobody asked for the end of the task that called it.
            raise RuntimeError(_CLOSED) from None
        return exchange.response()


async def _fulfil(wishes: Wishes, provider: SimulatedProvider) -> None:
    fulfil(wishes, provider)


async def _cancel_calls() -> None:
    calls = asyncio.all_tasks() - {asyncio.current_task()}
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


class _Exchange:
    """One call of an ASGI application, and the wire below it, in memory."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        self._read_timeout_seconds: float | None = request.extensions.get("timeout", {}).get("read")
        self._body_given = False
        self._start: dict[str, Any] | None = None
        self._chunks: list[bytes] = []
        self._silent = False
        self._closed = False

    def scope(self) -> dict[str, Any]:
        url = self._request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "server": (url.host, url.port or (443 if url.scheme == "https" else 80)),
            "client": ("127.0.0.1", 0),
            "extensions": {EXTENSION: self},
        }

    async def receive(self) -> dict[str, Any]:
        if self._body_given:
            return {"type": "http.disconnect"}
        self._body_given = True
        return {"type": "http.request", "body": self._request.content, "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._start = dict(message)
        elif self._request.method != "HEAD":
            self._chunks.append(message.get("body", b""))

    async def pause(self, seconds: float, _receive: Receive) -> bool:
        self._silent = self._read_timeout_seconds is not None and seconds >= self._read_timeout_seconds
        return not self._silent

    async def abort(self, _receive: Receive) -> None:
        self._closed = True

    def response(self) -> httpx.Response:
        if self._start is None:
            raise self._failure("Server disconnected without sending a response.")
        return httpx.Response(self._start["status"], headers=self._start["headers"], stream=_Body(self._body()))

    def _body(self) -> Iterator[bytes]:
        yield from self._chunks
        if self._silent or self._closed:
            raise self._failure("peer closed connection without sending complete message body")

    def _failure(self, text: str) -> httpx.TransportError:
        return httpx.ReadTimeout("silence") if self._silent else httpx.RemoteProtocolError(text)


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
