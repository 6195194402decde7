"""Runs the simulator on a socket: in a thread for tests and the demo, or until a signal for the command line."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from sceneshift.errors import ConfigurationError, SceneshiftError
from sceneshift.simulator.app import create_app
from sceneshift.simulator.config import API_PREFIX, SimulatorConfig
from sceneshift.simulator.control import read_wishes
from sceneshift.simulator.wire import EXTENSION, SocketWire

_START_TIMEOUT_SECONDS: Final = 30.0
_GRACE_SECONDS: Final = 2
_PATIENCE_SECONDS: Final = 1.5
"""For calls under way at the end; shorter than the grace, after which uvicorn reports an error."""
_IDLE_SECONDS: Final = 75
"""Longer than clients keep idle connections, so that none is closed just when its client uses it again."""
_UNSPECIFIED: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - names to translate, nothing is bound here


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSimulator:
    """A simulator that listens.

    Attributes:
        base_url: scheme, host and port, without a slash at the end.
        appcode: what its gateway accepts.
    """

    base_url: str
    appcode: str

    @property
    def url(self) -> str:
        """The provider's URL, with its path prefix: what `SCENESHIFT_PROVIDER_URL` takes."""
        return self.base_url + API_PREFIX

    def ledger(self) -> dict[str, Any]:
        """What was submitted, charged, asked and fetched so far."""
        answer = httpx.get(f"{self.base_url}/_sim/ledger", trust_env=False, timeout=30.0)
        ledger: dict[str, Any] = answer.raise_for_status().json()
        return ledger

    def control(self, **wishes: Any) -> None:
        """The simulator behaves so from now on; see `sceneshift.simulator.control.Wishes`.

        Raises:
            ConfigurationError: a wish is unknown, or cannot be fulfilled; nothing has changed.
        """
        read_wishes(wishes)
        answer = httpx.post(
            f"{self.base_url}/_sim/control",
            content=json.dumps(wishes),
            headers={"Content-Type": "application/json"},
            trust_env=False,
            timeout=10.0,
        )
        if answer.is_client_error:
            raise ConfigurationError(answer.json()["error"])
        answer.raise_for_status()


@contextlib.contextmanager
def running_simulator(
    config: SimulatorConfig | None = None, *, clock: Callable[[], float] = time.time
) -> Iterator[RunningSimulator]:
    """A simulator in a thread of this process, on a free loopback port, until the block ends."""
    config = config or SimulatorConfig()
    ready = threading.Event()
    with listen("127.0.0.1", 0) as listener:
        server = _Server(config, clock=clock, on_ready=ready.set)
        thread = threading.Thread(target=server.run, args=([listener],), name="simulator", daemon=True)
        thread.start()
        try:
            if not ready.wait(_START_TIMEOUT_SECONDS):
                raise SceneshiftError("the simulator did not start; its log says why")
            yield RunningSimulator(base_url=base_url_of(listener), appcode=config.appcode)
        finally:
            server.should_exit = True
            thread.join()


def serve_until_signal(config: SimulatorConfig, listener: socket.socket, *, on_ready: Callable[[], None]) -> None:
    """The simulator has run on this socket and was ended by SIGINT or SIGTERM."""
    _Server(config, clock=time.time, on_ready=on_ready).run([listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to this host and port; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's delay off only for sockets that say that they are TCP: 40 ms a call.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def base_url_of(listener: socket.socket) -> str:
    """An address that reaches this socket from the same machine."""
    host, port = listener.getsockname()[:2]
    host = _UNSPECIFIED.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _WiredProtocol(H11Protocol):
    """Gives the application a hand on the connection of each call, which ASGI does not."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        application = self.app
        self._wire = SocketWire(self._close)

        async def wired(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[EXTENSION] = self._wire
            await application(scope, receive, send)

        self.app = wired

    def _close(self) -> None:
        self.transport.abort()

    def shutdown(self) -> None:
        """The connection ends with its call: at once when that is a pause, or else after a moment's grace."""
        super().shutdown()
        if self._wire.is_pausing:
            self._close()
        else:
            self.loop.call_later(_PATIENCE_SECONDS, self._close)


class _Server(uvicorn.Server):
    """Says when it listens, and treats a signal as the ordinary end instead of raising it again."""

    def __init__(self, config: SimulatorConfig, *, clock: Callable[[], float], on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(config, clock=clock),
                loop="asyncio",
                http=_WiredProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals():
            yield
            self._captured_signals.clear()
