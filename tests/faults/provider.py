"""The provider in a simulation: the real client, the simulated provider, and a network with accidents between them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar
from unittest.mock import patch

import httpx

from sceneshift.clock import elapsed
from sceneshift.provider.bg_rep import BgRepProvider
from sceneshift.provider.exchange_limit import SEND_BY
from sceneshift.settings import Settings
from sceneshift.simulator import SimulatorConfig, SimulatorTransport, results
from sceneshift.simulator.config import API_PREFIX
from tests.faults.kernel import Kernel, Process
from tests.faults.orders import picture_behind

Result = TypeVar("Result")
BASE_URL = "http://provider.simulated"


@dataclass(slots=True)
class Wire:
    """What the network does to calls of the provider; shares from 0 to 1."""

    not_sent: float = 0.0
    lost_requests: float = 0.0
    lost_answers: float = 0.0
    is_away: bool = False
    """Nothing can be reached."""


class _InTurnTransport(SimulatorTransport):
    """Answers on the thread that asks, for of all threads of a simulation only one runs at a time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self._loop.run_until_complete(coroutine)


@dataclass(slots=True, eq=False)
class SimulatedProviderSite:
    """The simulated provider of one world, and all connections to it."""

    kernel: Kernel
    config: SimulatorConfig
    settings: Settings
    wire: Wire = field(default_factory=Wire)
    on_submission: Callable[[str | None], None] = lambda _nonce: None
    """Told of the nonce of every submission at the moment at which it leaves us."""
    transport: SimulatorTransport = field(init=False)
    submissions: int = 0
    """How many have left us."""

    def __post_init__(self) -> None:
        self.transport = _InTurnTransport(self.config, clock=lambda: self.kernel.now, fetch=picture_behind)

    def client(self, process: Process) -> BgRepProvider:
        """The real client, as this process has it."""
        appcode = self.settings.provider_appcode
        assert appcode is not None, "the world sets it"
        return BgRepProvider(
            base_url=f"{BASE_URL}{API_PREFIX}",
            appcode=appcode.get_secret_value(),
            connect_timeout_seconds=self.settings.provider_connect_timeout_seconds,
            read_timeout_seconds=self.settings.provider_read_timeout_seconds,
            new_nonce=lambda: f"query-{self.kernel.random.getrandbits(64):x}",
            transport=_Route(self),
            now=lambda: self.kernel.now + process.wall_skew_seconds,
            monotonic=elapsed,
        )

    @property
    def submits(self) -> list[Mapping[str, Any]]:
        """The provider's own account of what was submitted."""
        listed: list[Mapping[str, Any]] = self.transport.ledger.as_json()["submits"]
        return listed

    def behave(self, *rules: str) -> None:
        """It behaves by these scenarios from now on."""
        self.transport.control(scenarios=list(rules))

    def close(self) -> None:
        self.transport.close()


class _Route(httpx.BaseTransport):
    """The way of one client's requests to the provider."""

    def __init__(self, site: SimulatedProviderSite) -> None:
        self._site = site

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        kind = "submit" if request.url.path.endswith("/submit") else "query"
        return self._site.kernel.effect(f"provider {kind}", lambda: self._exchange(request, kind))

    def _exchange(self, request: httpx.Request, kind: str) -> httpx.Response:
        site, chance = self._site, self._site.kernel.random
        send_by = request.extensions.get(SEND_BY)
        if send_by is not None and elapsed() > send_by:
            raise httpx.ConnectTimeout("too late to be sent")
        if site.wire.is_away or chance.random() < site.wire.not_sent:
            site.kernel.counts[f"{kind} not sent"] += 1
            raise httpx.ConnectError("the simulated network has no way there")
        if kind == "submit":
            site.submissions += 1
            site.on_submission(request.headers.get("x-ca-nonce"))
        if chance.random() < site.wire.lost_requests:
            site.kernel.counts[f"{kind} request lost"] += 1
            raise httpx.ReadTimeout("the simulated network lost the request")
        try:
            response = site.transport.handle_request(request)
            response.read()
        except httpx.ReadTimeout:
            site.kernel.sleep(site.settings.provider_read_timeout_seconds)
            raise
        if chance.random() < site.wire.lost_answers:
            site.kernel.counts[f"{kind} answer lost"] += 1
            raise chance.choice([httpx.ReadTimeout, httpx.RemoteProtocolError])("the simulated network lost the answer")
        return response


# Drawing is what takes longest, and the same few pictures are drawn in every world.
drawn = lru_cache(maxsize=512)(results._render)
patch.object(results, "_render", drawn)
