"""Faults at each stage of a request: first as the HTTP library names them, then made by real sockets on loopback."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count

import httpx
import pytest

from sceneshift.provider.bg_rep import BgRepProvider
from sceneshift.provider.protocol import Accepted, ErrorKind, NotSent, OutcomeUnknown, Pending, QueryFailed, Refused
from tests.unit.provider.recording import APPCODE, RESULT_KEY, Broken, Script, provider_on

ACCEPTED = b'{"success":true,"code":0,"data":{"result_key":"k-1"}}'
RUNNING = b'{"success":true,"code":0,"data":{"task_list":[{"status":"RUNNING"}]}}'


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("[Errno -2] Name or service not known"),
        httpx.ConnectError("[Errno 111] Connection refused"),
        httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
        httpx.ConnectTimeout("timed out"),
        httpx.PoolTimeout(""),
    ],
    ids=repr,
)
def test_before_the_connection_nothing_was_sent(error: Exception) -> None:
    """SUB6: DNS, connect, TLS and pool faults prove that nothing was sent."""
    outcome = provider_on(Script(error)).submit(b"{}", nonce="n")
    assert isinstance(outcome, NotSent)
    assert outcome.reason.startswith(type(error).__name__)


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout("timed out"),
        httpx.WriteTimeout("timed out"),
        httpx.WriteError("[Errno 32] Broken pipe"),
        httpx.ReadError("[Errno 104] Connection reset by peer"),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        httpx.LocalProtocolError("illegal header"),
        httpx.CloseError(""),
        httpx.DecodingError("incorrect header check"),
        httpx.InvalidURL("no URL"),
        httpx.UnsupportedProtocol("no protocol"),
        ConnectionResetError(104, "reset"),
        UnicodeError("label empty or too long"),
        KeyError("anything"),
        RuntimeError("anything"),
    ],
    ids=repr,
)
def test_after_the_connection_the_outcome_is_unknown(error: Exception) -> None:
    """SUB7: from the first byte on, no fault proves anything; to a question it is a passing failure."""
    assert isinstance(provider_on(Script(error)).submit(b"{}", nonce="n"), OutcomeUnknown)
    outcome = provider_on(Script(error)).query(RESULT_KEY)
    assert isinstance(outcome, QueryFailed)
    assert outcome.error.kind is ErrorKind.TRANSIENT


@pytest.mark.parametrize("error", [httpx.ReadError("reset"), httpx.ReadTimeout(""), httpx.RemoteProtocolError("cut")])
def test_a_broken_off_acceptance_is_unknown(error: Exception) -> None:
    """SUB7: half an acceptance is not believed, and what arrived of it is kept."""
    reply = httpx.Response(200, stream=Broken(ACCEPTED, error=error))
    outcome = provider_on(Script(reply)).submit(b"{}", nonce="n")
    assert isinstance(outcome, OutcomeUnknown)
    assert "broke off" in outcome.reason
    assert outcome.error is not None
    assert "k-1" in outcome.error.message


def test_a_broken_off_refusal_by_the_gateway_stays_one() -> None:
    """The gateway's header is evidence enough, even when the body after it is lost."""
    reply = httpx.Response(
        403, headers={"X-Ca-Error-Code": "B403MQ"}, stream=Broken(b"{", error=httpx.ReadError("reset"))
    )
    outcome = provider_on(Script(reply)).submit(b"{}", nonce="n")
    assert isinstance(outcome, Refused)
    assert outcome.error.kind is ErrorKind.CREDITS_EXHAUSTED


def test_an_endless_body_is_cut_off() -> None:
    """SUB10: reading ends at the cap, however much more would come."""
    taken = count()

    def endless() -> Iterator[bytes]:
        while True:
            next(taken)
            yield b" " * 65_536

    outcome = provider_on(Script(httpx.Response(200, content=endless()))).submit(b"{}", nonce="n")
    assert isinstance(outcome, OutcomeUnknown)
    assert "exceeds 1048576 bytes" in outcome.reason
    assert next(taken) == 17


def test_ten_megabytes_of_json_are_an_unknown_outcome() -> None:
    """SUB10: an answer over the cap is not parsed, even where it would be valid."""
    reply = httpx.Response(200, content=ACCEPTED[:-1] + b',"pad":"' + b"x" * 10_000_000 + b'"}')
    assert isinstance(provider_on(Script(reply)).submit(b"{}", nonce="n"), OutcomeUnknown)


def test_a_dripping_body_is_given_up() -> None:
    """A body that trickles without ever being silent cannot hold a worker for ever."""
    seconds = count(start=0, step=20)

    def drips() -> Iterator[bytes]:
        while True:
            yield b" "

    provider = provider_on(Script(httpx.Response(200, content=drips())), monotonic=lambda: float(next(seconds)))
    outcome = provider.submit(b"{}", nonce="n")
    assert isinstance(outcome, OutcomeUnknown)
    assert "took longer than 35 s" in outcome.reason


class Server:
    """A server on loopback that gives each connection to `serve`, and counts connections and request heads."""

    def __init__(self, serve: Callable[[Server, socket.socket], None]) -> None:
        self.connections = 0
        self.heads: list[bytes] = []
        self.finished = threading.Event()
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self.finished.is_set():
                    return
                self.connections += 1
                connection.settimeout(10)
                self._serve(self, connection)

    def read_request(self, connection: socket.socket) -> bool:
        """Whether one more request (with the body `{}` or a question) came before the other end closed."""
        received = b""
        while b"\r\n\r\n" not in received or not received.endswith(b"}"):
            if not (part := connection.recv(65_536)):
                return False
            received += part
        self.heads.append(received.partition(b"\r\n\r\n")[0])
        return True

    def close(self) -> None:
        self.finished.set()
        socket.create_connection(("127.0.0.1", self.port), timeout=10).close()
        self._thread.join()
        self._listener.close()


def answer(body: bytes, *, length: int | None = None) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body) if length is None else length, body)


@contextmanager
def over_sockets(
    serve: Callable[[Server, socket.socket], None],
    *,
    scheme: str = "http",
    read_timeout_seconds: float = 10,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[BgRepProvider, Server]]:
    nonces = count(1)
    with closing(Server(serve)) as server:
        provider = BgRepProvider(
            base_url=f"{scheme}://127.0.0.1:{server.port}/api/v1/bg-rep",
            appcode=APPCODE,
            connect_timeout_seconds=10,
            read_timeout_seconds=read_timeout_seconds,
            new_nonce=lambda: f"fresh-{next(nonces)}",
            monotonic=monotonic,
        )
        with provider:
            yield provider, server


@pytest.mark.parametrize("location", ["http:login", "mailto:x", "//[", "http://a:b:c", "foo://", "http://\\"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_odd_redirect_is_a_value(location: str, status: int) -> None:
    """SUB7: to a submission an unknown outcome, to a question a passing failure; nothing is raised."""
    reply = httpx.Response(status, headers={"Location": location})
    provider = provider_on(Script(reply))
    assert isinstance(provider.submit(b"{}", nonce="n"), OutcomeUnknown)
    assert isinstance(provider.query(RESULT_KEY), QueryFailed)
    assert not isinstance(provider.ask(RESULT_KEY), NotSent)


def test_refused_connection_on_a_socket() -> None:
    """A port where nobody listens is `NotSent`."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with BgRepProvider(
        base_url=f"http://127.0.0.1:{port}",
        appcode=APPCODE,
        connect_timeout_seconds=5,
        read_timeout_seconds=5,
        new_nonce=str,
    ) as provider:
        assert isinstance(provider.submit(b"{}", nonce="n"), NotSent)


def test_failed_tls_handshake_on_a_socket() -> None:
    """A server that does not speak TLS never sees the request: `NotSent`."""

    def garbage(_server: Server, connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with over_sockets(garbage, scheme="https") as (provider, server):
        assert isinstance(provider.submit(b"{}", nonce="n"), NotSent)
        assert server.heads == []


@pytest.mark.parametrize(
    ("beginning", "drip"), [(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), (b"HTTP/1.1 200 OK\r\n", b"X-A: 1\r\n")]
)
def test_headers_without_end_are_given_up(beginning: bytes, drip: bytes) -> None:
    """Interim answers and lines without end hold no worker: 40 s here, or 100 kB, and the outcome is unknown."""
    hung_up = threading.Event()

    def dripping(server: Server, connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(beginning)
        with suppress(OSError):
            while True:
                connection.sendall(drip)
        hung_up.set()

    seconds = count(start=0, step=5)
    with over_sockets(dripping, monotonic=lambda: float(next(seconds))) as (provider, server):
        outcome = provider.submit(b"{}", nonce="n")
        assert isinstance(outcome, OutcomeUnknown)
        # A slow reader gets much at once: then it is the HTTP library's bound for headers that comes first.
        assert any(limit in outcome.reason for limit in ("the exchange took too long", "Receive buffer too long"))
        assert hung_up.wait(10)
        assert len(server.heads) == 1


def test_an_exchange_that_ends_before_the_connection_was_not_sent() -> None:
    """SUB6: time that is over before there is a connection proves that nothing was sent."""
    seconds = count(start=0, step=100)
    with over_sockets(_serve_until_closed(ACCEPTED), monotonic=lambda: float(next(seconds))) as (provider, server):
        assert isinstance(provider.submit(b"{}", nonce="n"), NotSent)
        assert server.heads == []


def test_silence_after_the_request_on_a_socket() -> None:
    """A request that is received and never answered is unknown, and was sent once."""

    def silent(server: Server, connection: socket.socket) -> None:
        server.read_request(connection)
        connection.recv(1)  # returns when the client gives up

    with over_sockets(silent, read_timeout_seconds=0.1) as (provider, server):
        outcome = provider.submit(b"{}", nonce="n")
        assert isinstance(outcome, OutcomeUnknown)
        assert outcome.reason.startswith("ReadTimeout")
        assert len(server.heads) == 1


def test_reset_after_the_request_on_a_socket() -> None:
    """A reset after the request is unknown, and nothing below sends it again."""

    def reset(server: Server, connection: socket.socket) -> None:
        server.read_request(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with over_sockets(reset) as (provider, server):
        assert isinstance(provider.submit(b"{}", nonce="n"), OutcomeUnknown)
        assert len(server.heads) == 1


def test_truncated_answer_on_a_socket() -> None:
    """An answer shorter than it announced is unknown, even where what came is whole JSON."""

    def truncated(server: Server, connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(answer(ACCEPTED, length=len(ACCEPTED) + 1))

    with over_sockets(truncated) as (provider, server):
        assert isinstance(provider.submit(b"{}", nonce="n"), OutcomeUnknown)
        assert len(server.heads) == 1


def _serve_until_closed(body: bytes) -> Callable[[Server, socket.socket], None]:
    def serve(server: Server, connection: socket.socket) -> None:
        while server.read_request(connection):
            connection.sendall(answer(body))

    return serve


def test_each_submission_has_a_connection_of_its_own() -> None:
    """No submission can fall into a connection that the other end is about to close."""
    with over_sockets(_serve_until_closed(ACCEPTED)) as (provider, server):
        outcomes = [provider.submit(b"{}", nonce=f"n-{number}") for number in range(2)]
        assert outcomes == [Accepted(result_key="k-1")] * 2
        assert (server.connections, len(server.heads)) == (2, 2)


def test_questions_share_a_connection() -> None:
    """Polling does not pay for a handshake each time."""
    with over_sockets(_serve_until_closed(RUNNING)) as (provider, server):
        assert [provider.query(RESULT_KEY) for _ in range(3)] == [Pending(provider_status="RUNNING")] * 3
        assert (server.connections, len(server.heads)) == (1, 3)


def test_appcode_travels_in_its_header_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """P8: with every logger of the HTTP library at its most talkative, the AppCode is in no record."""
    caplog.set_level(logging.DEBUG)
    with over_sockets(_serve_until_closed(ACCEPTED)) as (provider, server):
        provider.submit(b"{}", nonce="n")
        provider.query(RESULT_KEY)
        assert all(f"APPCODE {APPCODE}".encode() in head for head in server.heads)
    assert caplog.records
    assert APPCODE not in caplog.text
