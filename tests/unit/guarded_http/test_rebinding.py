"""A name that was public a moment ago: whenever the answer changes, nothing connects to what it changed to."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest

from sceneshift.address_rules import Address
from sceneshift.fetch_errors import FetchBlockedError, FetchFailedError
from sceneshift.guarded_http import GuardedClient, network
from tests.loopback import NEVER, Listener, answer, client_for, download
from tests.unit.guarded_http.attacks import PUBLIC, PUBLIC_6
from tests.unit.guarded_http.recording import Everywhere, everywhere, has_ipv6

Call = Callable[[GuardedClient, str], object]

WAYS: dict[str, Call] = {
    "result": lambda client, url: client.download(url, io.BytesIO(), max_bytes=1000, timeout_seconds=NEVER),
    "source": lambda client, url: client.peek(url, max_bytes=1000, timeout_seconds=NEVER, is_enough=lambda _: False),
    "webhook": lambda client, url: client.post(url, b"payload", {}, timeout_seconds=NEVER),
}
INSIDE = ("10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "::ffff:10.0.0.1")
URL = "http://flip.example/"

each_way = pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
each_target = pytest.mark.parametrize("inside", INSIDE)
each_public = pytest.mark.parametrize("public", [PUBLIC, PUBLIC_6])


class Flipping:
    """A name server whose first answer is public, and whose every later one is not."""

    def __init__(self, public: str, inside: str) -> None:
        self.questions = 0
        self._public = public
        self._inside = inside

    def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.questions += 1
        return [self._public if self.questions == 1 else self._inside]


@pytest.fixture(params=["kept", "closed"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Everywhere]:
    """All addresses lead to listeners, which keep their connections or close them after an answer."""
    reply = answer(b"public", headers=["Connection: close"] if request.param == "closed" else [])
    with everywhere(monkeypatch, reply) as running:
        yield running


@each_way
@each_target
@each_public
@pytest.mark.parametrize("world", ["kept"], indirect=True)
def test_at_connect(world: Everywhere, way: Call, public: str, inside: str) -> None:
    """The address that was checked is the one that is connected to: the name is looked up once."""
    resolver = Flipping(public, inside)
    with closing(GuardedClient(resolver=resolver)) as client:
        way(client, URL)
    assert (resolver.questions, world.dialled, world.connections) == (1, [f"{public} 80"], 1)


@each_way
@each_target
@each_public
@pytest.mark.parametrize("world", ["closed"], indirect=True)
def test_at_the_next_connection(world: Everywhere, way: Call, public: str, inside: str) -> None:
    """Once the connection is gone the new answer is checked like the first, and refused."""
    with closing(GuardedClient(resolver=Flipping(public, inside))) as client:
        way(client, URL)
        for _ in range(2):
            with pytest.raises(FetchBlockedError):
                way(client, URL)
    assert (world.dialled, world.connections) == ([f"{public} 80"], 1)


@each_way
@each_target
@pytest.mark.parametrize("world", ["kept"], indirect=True)
def test_at_a_retry(world: Everywhere, monkeypatch: pytest.MonkeyPatch, way: Call, inside: str) -> None:
    """A connection that failed is not tried again at an address that nobody has checked."""

    def refuse(address: Address, port: int, _patience_seconds: float) -> socket.socket:
        world.dialled.append(f"{address} {port}")
        raise ConnectionRefusedError

    monkeypatch.setattr(network, "_connect", refuse)
    with closing(GuardedClient(resolver=Flipping(PUBLIC, inside))) as client:
        with pytest.raises(FetchFailedError):
            way(client, URL)
        with pytest.raises(FetchBlockedError):
            way(client, URL)
    assert (world.dialled, world.connections) == ([f"{PUBLIC} 80"], 0)


@pytest.mark.parametrize("way", [WAYS["result"], WAYS["webhook"]], ids=["result", "webhook"])
@each_target
@each_public
@pytest.mark.parametrize("world", ["kept"], indirect=True)
def test_at_the_reuse_of_a_kept_connection(world: Everywhere, way: Call, public: str, inside: str) -> None:
    """A kept connection still leads to its checked address, and no answer of a name server can move it."""
    resolver = Flipping(public, inside)
    with closing(GuardedClient(resolver=resolver)) as client:
        for _ in range(3):
            way(client, URL)
    assert (resolver.questions, world.dialled, world.connections) == (1, [f"{public} 80"], 1)


@each_way
@each_target
@pytest.mark.parametrize("world", ["kept"], indirect=True)
def test_a_kept_connection_is_for_its_own_name_and_port(world: Everywhere, way: Call, inside: str) -> None:
    """Another name, another port or another scheme is looked up and checked anew, whatever is already connected."""
    with closing(GuardedClient(resolver=Flipping(PUBLIC, inside))) as client:
        way(client, URL)
        for other in ("http://other.example/", "http://flip.example:8080/", "https://flip.example/"):
            with pytest.raises(FetchBlockedError):
                way(client, other)
    assert (world.dialled, world.connections) == ([f"{PUBLIC} 80"], 1)


@each_target
def test_at_a_redirect_to_the_same_name(monkeypatch: pytest.MonkeyPatch, inside: str) -> None:
    """Each hop of a source's redirect is looked up and checked, also one that goes nowhere else."""
    moved = answer(status="302 Found", headers=["Location: /again"])
    with everywhere(monkeypatch, moved) as world:
        with closing(GuardedClient(resolver=Flipping(PUBLIC, inside))) as client, pytest.raises(FetchBlockedError):
            WAYS["source"](client, URL)
        assert (world.dialled, world.connections) == ([f"{PUBLIC} 80"], 1)


@each_target
@pytest.mark.parametrize("world", ["kept"], indirect=True)
def test_an_address_that_does_not_answer_is_followed_by_checked_ones_only(
    world: Everywhere, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    """All addresses of an answer are checked before the first is tried."""
    connect = world.connect

    def skip_first(address: Address, port: int, patience_seconds: float) -> socket.socket:
        if str(address) == PUBLIC:
            raise ConnectionRefusedError
        return connect(address, port, patience_seconds)

    monkeypatch.setattr(network, "_connect", skip_first)
    with client_for(f"{PUBLIC} {inside}", f"{PUBLIC} {PUBLIC_6}", allow=()) as client:
        with pytest.raises(FetchBlockedError):
            WAYS["result"](client, URL)
        assert world.connections == 0
        WAYS["result"](client, URL)
    assert (world.dialled, world.connections) == ([f"{PUBLIC_6} 80"], 1)


@pytest.mark.parametrize("own", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_an_address_of_this_machine_is_refused_even_when_it_is_public(
    monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    """What listens on this machine is not for URLs from outside, whichever address it has; an allowed host may."""
    if own == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    # Loopback stands for the public address of this machine.
    monkeypatch.setattr(network, "denial_reason", lambda _address, **_allowance: None)
    monkeypatch.setattr("sceneshift.url_rules.OPEN_PORTS", frozenset(range(1, 65_536)))
    with Listener(answer(b"x"), address=own.removeprefix("::ffff:")) as listener:
        url = f"http://me.example:{listener.port}/"
        with client_for(own, allow=()) as client:
            for way in WAYS.values():
                with pytest.raises(FetchBlockedError) as caught:
                    way(client, url)
                assert caught.value.reason.endswith("an address of this machine")
        assert listener.connections == 0
        with client_for(own, allow=("me.example",)) as client:
            assert download(client, url)[1] == b"x"


def test_a_public_address_of_others_is_not_taken_for_our_own() -> None:
    """Only what this machine has is its own."""
    assert not network.is_own(network.ip_address(PUBLIC))  # type: ignore[attr-defined]  # imported there for itself
    assert not network.is_own(network.ip_address(PUBLIC_6))  # type: ignore[attr-defined]
