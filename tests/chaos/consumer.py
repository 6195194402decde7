"""The receiving end of a storm's webhooks: it verifies every one, and treats some of them badly.

It keeps what arrived, as a witness: with which id and body, whether its signature was right, and whether it was told
that it has arrived.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

from sceneshift.errors import WebhookVerificationError
from sceneshift.webhooks import verify
from tests.checkers import ReceivedWebhook

FAILED_SHARE = 0.03
DROPPED_SHARE = 0.03
SLOW_SHARE = 0.02
TOO_SLOW_SHARE = 0.005
SLOW_SECONDS = 1.0
TOO_SLOW_SECONDS = 5.0
"""Longer than the sender waits: it has arrived, and the sender does not know."""


@dataclass(slots=True)
class Consumer:
    """What arrived so far, and how it was treated. `bodies` are all of them as they came in, one after the other."""

    secret: str
    seed: int
    port: int = 0
    behaves: bool = False
    """From now on every webhook is taken at once."""
    webhooks: list[ReceivedWebhook] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    treatments: Counter[str] = field(default_factory=Counter)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks"

    def come_up(self) -> None:
        """It listens, on the same port as before."""
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="consumer", daemon=True)
        self._thread.start()

    def go_down(self) -> None:
        """Nothing listens on its port."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    def treatment(self) -> str:
        """How the next webhook is treated."""
        with self._lock:
            name = "taken" if self.behaves else drawn_treatment(self.seed, self.treatments.total())
            self.treatments[name] += 1
            return name

    def note(self, body: bytes, headers: dict[str, str], *, accepted: bool) -> None:
        """It arrived; `accepted` says that its sender is told so."""
        try:
            verify(body, headers, self.secret)
            is_authentic = True
        except WebhookVerificationError:
            is_authentic = False
        webhook = ReceivedWebhook(
            id=headers.get("webhook-id", ""), body=json.loads(body), is_authentic=is_authentic, accepted=accepted
        )
        with self._lock:
            self.webhooks.append(webhook)
            self.bodies.append(body)


_SHARES = {
    "answered with 500": FAILED_SHARE,
    "dropped": DROPPED_SHARE,
    "slow": SLOW_SHARE,
    "too slow": TOO_SLOW_SHARE,
}


def drawn_treatment(seed: int, number: int) -> str:
    """How the webhook of this number is treated, which the seed decides."""
    drawn, name = Random(f"{seed} webhook {number}").random(), "taken"
    for treatment, share in _SHARES.items():
        if 0.0 <= drawn < share:
            name = treatment
        drawn -= share
    return name


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that has gone away is no news."""


def _handler(consumer: Consumer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:
                # Its sender was killed while it was sending.
                self.close_connection = True
                return
            treatment = consumer.treatment()
            if treatment == "slow":
                time.sleep(SLOW_SECONDS)
            elif treatment == "too slow":
                time.sleep(TOO_SLOW_SECONDS)
            accepted = treatment not in {"answered with 500", "dropped"}
            consumer.note(body, {name.lower(): value for name, value in self.headers.items()}, accepted=accepted)
            if treatment == "dropped":
                self.close_connection = True
                return
            self.send_response(204 if accepted else 500)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class's name
            """Requests are counted, not listed."""

    return Handler


@contextmanager
def consuming(secret: str, *, seed: int) -> Iterator[Consumer]:
    """A consumer on a free port, until the context ends."""
    consumer = Consumer(secret, seed)
    consumer.come_up()
    try:
        yield consumer
    finally:
        consumer.go_down()
