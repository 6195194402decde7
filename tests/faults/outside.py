"""What lies outside in a simulation: sources, results behind their addresses, and the shop's webhook receiver."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import httpx

from sceneshift.errors import WebhookVerificationError
from sceneshift.fetch_errors import FetchFailedError, FetchStatusError, FetchTimeoutError, FetchTruncatedError
from sceneshift.guarded_http import Answer, Downloaded, NotYet, Peek
from sceneshift.jobs.delivery_schedule import SUCCESS
from sceneshift.simulator import SimulatorTransport
from sceneshift.simulator.answers import FaultError
from sceneshift.webhooks import verify
from tests.checkers import ReceivedWebhook
from tests.faults.kernel import Kernel
from tests.faults.orders import picture_behind


@dataclass(slots=True)
class Weather:
    """What happens to requests outside; shares from 0 to 1."""

    lost_requests: float = 0.0
    lost_answers: float = 0.0
    errors: float = 0.0
    refusals: float = 0.0
    """Webhooks that the receiver answers with an error; it has seen them."""
    receiver_is_down: bool = False


TOO_OLD = "timestamp_out_of_tolerance"


@dataclass(slots=True, eq=False)
class Receiver:
    """The shop's route for webhooks: it checks every signature, and remembers what it took."""

    secrets: tuple[str, ...]
    received: list[ReceivedWebhook] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def take(self, body: bytes, headers: Mapping[str, str], *, now: float, accepts: bool) -> int:
        """One webhook has arrived; whether it is answered with a 2xx, the weather decides. Returns the status.

        One that its worker has signed, and slept over before sending it, is too old for any receiver.
        """
        self.bodies.append(body)
        try:
            verify(body, headers, self.secrets, now=now)
            is_authentic = True
        except WebhookVerificationError as error:
            if error.check == TOO_OLD:
                return 401
            is_authentic = False
        self.received.append(
            ReceivedWebhook(
                id=headers["webhook-id"], body=json.loads(body), is_authentic=is_authentic, accepted=accepts
            )
        )
        return 204 if accepts else 500


@dataclass(slots=True, eq=False)
class Outside:
    """All that is fetched from and posted to; what a process has as its guarded client."""

    kernel: Kernel
    provider: SimulatorTransport
    receiver: Receiver
    weather: Weather = field(default_factory=Weather)

    def peek(
        self, url: str, *, max_bytes: int, timeout_seconds: float, is_enough: Callable[[bytes], bool | NotYet]
    ) -> Peek:
        """As `GuardedClient.peek`."""
        return self.kernel.effect("web peek", lambda: self._peek(url, max_bytes, is_enough, timeout_seconds))

    def _peek(self, url: str, max_bytes: int, is_enough: Callable[[bytes], bool | NotYet], seconds: float) -> Peek:
        self._may_fail(seconds)
        try:
            body = picture_behind(url)
        except FaultError:
            raise FetchStatusError("shop.example answered with status 404", status=404) from None
        assert is_enough(body[:max_bytes]), "these pictures are fit"
        return Peek(body=body[:max_bytes], is_whole=True, announced_bytes=len(body), content_encoding="")

    def download(self, url: str, into: BinaryIO, *, max_bytes: int, timeout_seconds: float) -> Downloaded:
        """As `GuardedClient.download`."""
        downloaded = self.kernel.effect("web download", lambda: self._download(url, into, timeout_seconds))
        assert downloaded.size_bytes <= max_bytes, "these pictures are small"
        return downloaded

    def _download(self, url: str, into: BinaryIO, timeout_seconds: float) -> Downloaded:
        self._may_fail(timeout_seconds)
        request = httpx.Request("GET", url, extensions={"timeout": {"read": timeout_seconds}})
        try:
            response = self.provider.handle_request(request)
            body = response.read()
        except httpx.ReadTimeout:
            raise FetchTimeoutError("result.simulated: no answer in time") from None
        except httpx.TransportError:
            raise FetchTruncatedError("result.simulated: the body ended early") from None
        if response.status_code != httpx.codes.OK:
            raise FetchStatusError(f"status {response.status_code}", status=response.status_code)
        announced = response.headers.get("content-length")
        if announced is not None and int(announced) != len(body):
            raise FetchTruncatedError("result.simulated: the body ended early")
        into.write(body)
        return Downloaded(size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest(), content_type=None)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float) -> Answer:
        """As `GuardedClient.post`, to the shop's receiver."""
        assert url, "a webhook has an address"
        return self.kernel.effect("web post", lambda: self._post(body, headers, timeout_seconds))

    def _post(self, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> Answer:
        chance, weather = self.kernel.random, self.weather
        if weather.receiver_is_down or chance.random() < weather.lost_requests:
            self.kernel.counts["webhook lost"] += 1
            raise FetchFailedError("shop.example: nobody answers")
        accepts = chance.random() >= weather.refusals
        status = self.receiver.take(body, headers, now=self.kernel.now, accepts=accepts)
        if status not in SUCCESS:
            self.kernel.counts["webhook too old" if accepts else "webhook refused"] += 1
        elif chance.random() < weather.lost_answers:
            self.kernel.counts["webhook answer lost"] += 1
            raise FetchTimeoutError(f"shop.example: no answer in {timeout_seconds:g} s")
        return Answer(status=status, headers={}, body=b"", elapsed_seconds=0.0)

    def _may_fail(self, seconds: float) -> None:
        chance = self.kernel.random
        if chance.random() < self.weather.errors:
            self.kernel.counts["fetch error"] += 1
            raise FetchStatusError("the server answered with status 503", status=503)
        if chance.random() < self.weather.lost_requests:
            self.kernel.counts["fetch lost"] += 1
            raise FetchTimeoutError(f"no answer in {seconds:g} s")
