"""What a server may answer to lead us on: redirects, proxies, certificates, and texts that tell too much."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext

import pytest

from sceneshift.fetch_errors import FetchBlockedError, FetchError, FetchStatusError
from sceneshift.guarded_http import GuardedClient
from sceneshift.redirects import REDIRECTS
from storage.opening import fetchable_url
from tests.loopback import NEVER, Listener, answer, client_for
from tests.unit.guarded_http.attacks import PUBLIC
from tests.unit.guarded_http.recording import Everywhere, everywhere

STATUSES = ("300 Choices", "301 Moved", "302 Found", "303 See Other", "304 Same", "305 Proxy", "306 Switch",
            "307 Temporary", "308 Permanent")  # fmt: skip
HARMLESS = "http://public.example/\tx"
LOCATIONS = {
    "http://169.254.169.254/latest/meta-data/": "metadata",
    "//169.254.169.254/latest/": "without a scheme",
    "http://127.0.0.1/": "loopback",
    "http://[::1]/": "loopback of the other family",
    "http://[::ffff:127.0.0.1]/": "one family in the other",
    "http://2130706433/": "a number",
    "http://localhost/": "a name of this machine",
    "http://inside.example/": "a name with a private address",
    "http://public.example:6379/": "another port",
    "http://public.example@inside.example/": "user information",
    "http://inside.example\\@public.example/": "a backslash",
    "http://user:word@127.0.0.1/": "user information",
    "file:///etc/passwd": "a file",
    "gopher://127.0.0.1:6379/_INFO": "another protocol",
    "javascript:alert(1)": "a script",
    HARMLESS: "a tab",
    "": "nowhere",
}


def lead(host: str, _port: int) -> list[str]:
    return ["10.0.0.1"] if host == "inside.example" else [PUBLIC]


@contextmanager
def led(monkeypatch: pytest.MonkeyPatch, reply: bytes) -> Iterator[tuple[GuardedClient, Everywhere]]:
    """A client for which every name but one is public, and listeners that answer so; the client ends first."""
    with everywhere(monkeypatch, reply) as world, closing(GuardedClient(resolver=lead)) as client:
        yield client, world


@pytest.mark.parametrize("location", LOCATIONS, ids=LOCATIONS.values())
@pytest.mark.parametrize("status", STATUSES)
def test_no_redirect_leads_inside(monkeypatch: pytest.MonkeyPatch, status: str, location: str) -> None:
    """Results and webhooks follow none, sources none to where they may not go: one connection each, to the first."""
    headers = [f"Location: {location}", f"Refresh: 0; url={location}", f"Content-Location: {location}", "Link: </a>"]
    with led(monkeypatch, answer(status=status, headers=headers)) as (client, world):
        url = "http://public.example/"
        with pytest.raises(FetchStatusError):
            client.download(url, io.BytesIO(), max_bytes=1000, timeout_seconds=NEVER)
        assert client.post(url, b"", {}, timeout_seconds=NEVER).status == int(status[:3])
        before = len(world.dialled)
        with pytest.raises((FetchStatusError, FetchBlockedError)):
            client.peek(url, max_bytes=1000, timeout_seconds=NEVER, is_enough=bool)
        # A tab is sent as %09, as browsers do: that one leads round in a circle outside.
        is_followed = location == HARMLESS and int(status[:3]) in REDIRECTS
        assert len(world.dialled) - before == (4 if is_followed else 1)
        assert set(world.dialled) == {f"{PUBLIC} 80"}


def test_a_long_chain_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A circle of redirects costs a source four requests, and a result or a webhook one."""
    with led(monkeypatch, answer(status="302 Found", headers=["Location: /round"])) as (client, world):
        url = "http://public.example/"
        with pytest.raises(FetchStatusError, match="after 3 redirects"):
            client.peek(url, max_bytes=1000, timeout_seconds=NEVER, is_enough=bool)
        assert len(world.requests) == 4
        with pytest.raises(FetchStatusError):
            client.download(url, io.BytesIO(), max_bytes=1000, timeout_seconds=NEVER)
        client.post(url, b"", {}, timeout_seconds=NEVER)
        assert len(world.requests) == 6


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_variable_of_the_environment_is_a_proxy(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """Whatever names a proxy, requests of all three kinds go to the address of their own host."""
    with Listener(answer(b"proxied")) as proxy, ExitStack() as stack:
        for name in ("http_proxy", "https_proxy", "all_proxy", "socks_proxy"):
            for spelling in (name, name.upper()):
                monkeypatch.setenv(spelling, f"http://127.0.0.1:{proxy.port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "")
        client, world = stack.enter_context(led(monkeypatch, answer(b"direct")))
        url, seconds = f"{scheme}://public.example/", NEVER if scheme == "http" else 0.1
        for call in (
            lambda: client.download(url, io.BytesIO(), max_bytes=1000, timeout_seconds=seconds),
            lambda: client.peek(url, max_bytes=1000, timeout_seconds=seconds, is_enough=bool),
            lambda: client.post(url, b"", {}, timeout_seconds=seconds),
        ):
            # The listener speaks no TLS.
            with nullcontext() if scheme == "http" else pytest.raises(FetchError):
                call()
        assert proxy.connections == 0
        assert world.dialled
        assert {dialled.split()[0] for dialled in world.dialled} == {PUBLIC}


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "224.0.0.1"])
def test_a_refusal_is_the_same_whatever_lies_there(address: str) -> None:
    """Closed or open, private or metadata, by name or by number: one type, one code, one text, nothing to retry."""
    literal = f"[{address}]" if ":" in address else address
    seen = set()
    for url in (f"http://{literal}/", "http://any.example/", "http://any.example:6379/", "file:///etc/passwd"):
        with client_for(address, allow=()) as client, pytest.raises(FetchError) as caught:
            client.post(url, b"", {}, timeout_seconds=NEVER)
        error = caught.value
        seen.add((type(error), error.code, str(error), repr(error.args), error.retryable, error.__cause__))
    assert seen == {
        (FetchBlockedError, "blocked", "This URL is not allowed.", "('This URL is not allowed.',)", False, None)
    }


@pytest.mark.parametrize(
    "source",
    [
        "s3://photos/a.jpg?endpoint_url=http://127.0.0.1:6379",
        "s3://photos/a.jpg#@127.0.0.1/",
        "s3://photos/../../127.0.0.1/a",
        "s3://photos//127.0.0.1/latest/meta-data",
        "s3://127.0.0.1/latest/meta-data",
        "s3://169.254.169.254/latest/meta-data",
        "s3://metadata.google.internal/a",
        "s3://photos/\\\\127.0.0.1\\a",
        "s3://photos/%0d%0aHost:%20127.0.0.1",
    ],
)
def test_an_order_cannot_choose_the_endpoint(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """However a bucket or a key is spelt, the signed URL leads to the endpoint of the operator's setting."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    storage_url = "s3://results?endpoint_url=https://store.example&region=eu-central-1"
    url = fetchable_url(source, storage_url=storage_url, lifetime_seconds=60)
    assert url.startswith("https://store.example/")


@pytest.mark.parametrize(
    "source",
    ["s3://127.0.0.1:6379/a", "s3://a@127.0.0.1/b", "s3://[::1]/a", "s3://photos\\@127.0.0.1/a", "s3://a%2fb/c"],
)
def test_a_bucket_that_is_none_is_refused(source: str) -> None:
    """What could be read as a host with a port or a user is no bucket."""
    storage_url = "s3://results?endpoint_url=https://store.example&region=eu-central-1"
    with pytest.raises(Exception, match="s3://bucket/key"):
        fetchable_url(source, storage_url=storage_url, lifetime_seconds=60)
