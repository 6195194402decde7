from __future__ import annotations

import hashlib
import math
import pickle
import random
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from sceneshift.address_rules import Address, denial_reason
from sceneshift.fetch_errors import (
    FetchBlockedError,
    FetchFailedError,
    FetchStatusError,
    FetchTimeoutError,
)
from sceneshift.guarded_http import Downloaded, GuardedClient, network, resolve, retry_after_seconds
from tests.loopback import NEVER, Listener, answer, answers, client_for, download, failed_download


@pytest.fixture
def nat(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 stands for a public address, so that a test can connect to one without leaving the machine."""

    def judge(address: Address, *, local_allowed: bool = False) -> str | None:
        return None if str(address) == "127.0.0.1" else denial_reason(address, local_allowed=local_allowed)

    monkeypatch.setattr(network, "denial_reason", judge)
    monkeypatch.setattr(network, "is_own", lambda _address: False)


@pytest.fixture
def any_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener's random port counts as open."""
    monkeypatch.setattr("sceneshift.url_rules.OPEN_PORTS", frozenset(range(1, 65_536)))


def test_download() -> None:
    """A 200 answer's body is written whole, with its size, its SHA-256 and the declared type."""
    with Listener(answer(b"pixels", headers=["Content-Type: image/png"])) as listener, client_for() as client:
        done, body = download(client, f"http://shop.example:{listener.port}/a.png?x=1")
    assert body == b"pixels"
    assert done == Downloaded(size_bytes=6, sha256=hashlib.sha256(b"pixels").hexdigest(), content_type="image/png")


def test_the_request_is_bare() -> None:
    """Exactly the URL's target is asked for, without cookies, with no encoding accepted, under the host's name."""
    reply = answer(b"x", headers=["Set-Cookie: a=canary; Path=/"])
    with Listener(reply) as listener, client_for() as client:
        for _ in range(2):
            download(client, f"http://shop.example:{listener.port}/a%2Fb?sig=c%3D&d=ü#part")
        head = listener.requests[1].decode().lower().split("\r\n")
    assert head[0] == "get /a%2fb?sig=c%3d&d=%c3%bc http/1.1"
    assert f"host: shop.example:{listener.port}" in head
    assert "accept-encoding: identity" in head
    assert not [line for line in head if line.startswith(("cookie", "authorization", "referer"))]


def test_post() -> None:
    """The body and the caller's headers arrive as they are, and every status is an answer."""
    with (
        Listener(answer(b"gone", status="410 Gone", headers=["X-Why: one", "X-Why: two"])) as listener,
        client_for() as client,
    ):
        got = client.post(
            f"http://shop.example:{listener.port}/hook", b'{"a":1}', {"webhook-id": "evt_1"}, timeout_seconds=NEVER
        )
    assert (got.status, got.body, got.headers["x-why"]) == (410, b"gone", "one, two")
    assert got.elapsed_seconds >= 0
    assert b"\r\nwebhook-id: evt_1\r\n" in listener.requests[0]
    assert listener.requests[0].endswith(b'\r\n\r\n{"a":1}')


def test_connections_are_reused_for_the_same_host_only() -> None:
    """A second request to the same origin needs no second connection; another name gets its own, newly checked one."""
    with Listener(answer(b"x")) as listener, client_for(allow=("shop.example", "other.example")) as client:
        for host in ("shop.example", "shop.example", "other.example"):
            download(client, f"http://{host}:{listener.port}/")
        assert (len(listener.requests), listener.connections) == (3, 2)


def test_many_threads_share_one_client() -> None:
    """Every thread has its own deadline and gets its own answer."""

    def echo(connection: socket.socket, request: bytes) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        announced = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        # The body may come later than its head.
        while len(body) < announced and (more := connection.recv(100)):
            body += more
        connection.sendall(answer(body))

    got: list[tuple[int, bytes]] = []

    def call(number: int) -> None:
        seconds = NEVER if number % 2 else 0.0
        try:
            body = client.post(url, str(number).encode(), {}, timeout_seconds=seconds).body
        except FetchTimeoutError:
            body = b"late"
        got.append((number, body))

    with Listener(echo) as listener, client_for() as client:
        url = f"http://shop.example:{listener.port}/"
        threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(got) == [(number, str(number).encode() if number % 2 else b"late") for number in range(8)]


@pytest.mark.parametrize(
    "addresses",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fe80::1%lo",
        "fd00::1",
        "93.184.215.14 127.0.0.1",
        "127.0.0.1 93.184.215.14",
        "93.184.215.14 ::1",
        "93.184.215.14 93.184.215.15 93.184.215.16 93.184.215.17 93.184.215.18 10.0.0.1",
        "not-an-address",
        "0x7f000001",
    ],
)
@pytest.mark.usefixtures("any_port")
def test_a_name_with_any_denied_address_is_refused(addresses: str) -> None:
    """One denied address among any number of public ones refuses the host, and nothing connects."""
    with Listener(answer(b"secret")) as listener:
        url = f"http://public.example:{listener.port}/"
        with client_for(addresses, allow=()) as client:
            with pytest.raises(FetchBlockedError):
                client.peek(url, max_bytes=1000, timeout_seconds=NEVER, is_enough=bool)
            with pytest.raises(FetchBlockedError) as caught:
                download(client, url)
        assert listener.connections == 0
    assert str(caught.value) == "This URL is not allowed."
    assert "public.example" in caught.value.reason


@pytest.mark.usefixtures("nat", "any_port")
def test_the_connection_goes_to_the_checked_address() -> None:
    """A resolver that changes its answer after the check cannot move the connection: there is no second look-up."""
    with Listener(answer(b"public")) as public, client_for("127.0.0.1", "127.0.0.2", allow=()) as client:
        assert download(client, f"http://flip.example:{public.port}/")[1] == b"public"


@pytest.mark.usefixtures("nat", "any_port")
def test_each_new_connection_is_checked_again() -> None:
    """A name that was public once is refused when a later connection finds it private."""
    closing_reply = answer(b"x", headers=["Connection: close"])
    with (
        Listener(closing_reply, address="0.0.0.0") as listener,
        client_for("127.0.0.1", "127.0.0.2", allow=()) as client,
    ):
        download(client, f"http://flip.example:{listener.port}/")
        with pytest.raises(FetchBlockedError):
            download(client, f"http://flip.example:{listener.port}/")
        assert listener.connections == 1


def test_the_next_address_is_tried() -> None:
    """When the first checked address takes no connection the next one is tried; when none does, that is a failure."""
    with Listener(answer(b"x"), address="127.0.0.3") as listener, client_for("127.0.0.2 127.0.0.3") as client:
        assert download(client, f"http://shop.example:{listener.port}/")[1] == b"x"
    with client_for("127.0.0.2 127.0.0.3") as client, pytest.raises(FetchFailedError, match="connecting failed"):
        download(client, f"http://shop.example:{listener.port}/")


def test_an_allowance_is_for_the_name_not_for_its_address() -> None:
    """Another name with the same address stays refused, and so does metadata behind an allowed name."""
    with Listener(answer(b"x")) as listener:
        with client_for(allow=("shop.example", "127.0.0.1")) as client, pytest.raises(FetchBlockedError):
            download(client, "http://other.example/")
        with client_for("169.254.169.254") as client, pytest.raises(FetchBlockedError):
            download(client, f"http://shop.example:{listener.port}/")
        with client_for(allow=("127.0.0.1",)) as client:
            assert download(client, f"http://127.0.0.1:{listener.port}/")[1] == b"x"
        assert listener.connections == 1


def test_urls_are_checked_before_anything_is_looked_up() -> None:
    """A refused URL reaches no name server."""

    def resolver(host: str, _port: int) -> Sequence[str]:
        raise AssertionError(host)

    with closing(GuardedClient(resolver=resolver)) as client:
        for url in ("http://shop.example:22/", "http://localhost/", "file:///etc/passwd", "http://a@shop.example/"):
            with pytest.raises(FetchBlockedError):
                download(client, url)
            with pytest.raises(FetchBlockedError):
                client.post(url, b"", {}, timeout_seconds=NEVER)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirects_are_not_followed(status: str) -> None:
    """A redirect is a failed download and an ordinary answer to a post; its target sees no connection."""
    with Listener(answer(b"secret")) as target:
        location = f"Location: http://shop.example:{target.port}/"
        with Listener(answer(status=status, headers=[location, f"Refresh: 0; url={location[10:]}"])) as listener:
            assert failed_download(listener, FetchStatusError).retryable is False
            with client_for() as client:
                got = client.post(f"http://shop.example:{listener.port}/", b"", {}, timeout_seconds=NEVER)
            assert got.status == int(status[:3])
        assert target.connections == 0


def test_proxies_from_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment variable can move a request to another host."""
    with Listener(answer(b"proxied")) as proxy, Listener(answer(b"direct")) as listener:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        with client_for() as client:
            assert download(client, f"http://shop.example:{listener.port}/")[1] == b"direct"
        assert proxy.connections == 0


def test_a_name_without_address_is_a_failure() -> None:
    """A look-up that fails, or finds nothing, may be tried again."""

    def broken(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolver in (broken, answers("")):
        with closing(GuardedClient(resolver=resolver)) as client, pytest.raises(FetchFailedError) as caught:
            download(client, "http://shop.example/?token=canary")
        assert caught.value.retryable
        assert "canary" not in str(caught.value)


def test_the_system_resolver_gives_each_address_once() -> None:
    """The default resolver asks the system, and repeats nothing."""
    assert "127.0.0.1" in resolve("localhost", 80)
    assert len(resolve("localhost", 80)) == len(set(resolve("localhost", 80)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "a\r\nHost: evil"),
        ("X-A", "a\nb"),
        ("X-A", "\x00"),
        ("X-A", "ü"),
        ("X A", "a"),
        ("", "a"),
        ("X-A:", "a"),
        ("Host", "evil.example"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("Accept-Encoding", "gzip"),
    ],
)
def test_headers_cannot_break_the_request(name: str, value: str) -> None:
    """A header that could split or redefine the request is refused before anything is sent."""
    with Listener(answer()) as listener, client_for() as client:
        with pytest.raises(ValueError, match="request header"):
            client.post(f"http://shop.example:{listener.port}/", b"", {name: value}, timeout_seconds=NEVER)
        assert listener.connections == 0


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        *((status, False) for status in (204, 206, 301, 400, 403, 404, 410)),
        *((status, True) for status in (408, 425, 429, 500, 502, 503, 599)),
    ],
)
def test_which_statuses_are_retryable(status: int, *, retryable: bool) -> None:
    """Only what can pass by itself is retryable, and has a pause; both survive pickling."""
    with Listener(f"HTTP/1.1 {status} X\r\nRetry-After: 7\r\nConnection: close\r\n\r\n".encode()) as listener:
        error = failed_download(listener, FetchStatusError)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes.
    assert (copy.status, copy.retry_after_seconds, copy.retryable) == (status, 7.0 if retryable else None, retryable)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        ("Mon, 23 Nov 2026 00:01:00 GMT", 60.0),
        ("Mon, 23 Nov 2026 00:00:00 GMT", 0.0),
        ("Sun, 22 Nov 2026 00:00:00 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 400, None),
        ("１２", None),  # noqa: RUF001 - the full-width digits are the point.
        ("Mon, 99 Nov 2026 00:00:00 GMT", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999", None),
    ],
)
def test_retry_after(value: str, expected: float | None) -> None:
    """Seconds and dates are read, against the server's own clock; what is unreadable or negative asks for nothing."""
    assert retry_after_seconds({"retry-after": value, "date": "Mon, 23 Nov 2026 00:00:00 GMT"}) == expected
    if "GMT" in value:
        assert retry_after_seconds({"retry-after": value}) is None


def odd_dates() -> Iterator[str]:
    """What a server may send in place of a date: parts of dates in any order, always the same ones."""
    chance = random.Random(20261123)
    days = "Mon, 01 31 Jan Feb 2026 0001 10000 99999999999999999999 -1 1e5 nan inf"
    times = "00:00:00 24:61:61 99:99 : GMT EST +2400 -0000 +99999999999999 , \x00"
    parts = [*days.split(" "), *times.split(" "), ""]
    for _ in range(20_000):
        yield " ".join(chance.choices(parts, k=chance.randint(0, 8)))


def test_no_date_is_too_odd_to_be_read() -> None:
    """Whatever stands in the two headers, a pause is a finite number that is not negative, or there is none."""
    seen = set()
    for text in odd_dates():
        for date in ("Mon, 23 Nov 2026 00:00:00 GMT", text):
            pause = retry_after_seconds({"retry-after": text, "date": date})
            seen.add(pause is None)
            assert pause is None or (pause >= 0 and math.isfinite(pause))
    assert seen == {True, False}
