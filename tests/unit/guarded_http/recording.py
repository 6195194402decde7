"""A network in which every address leads to a listener that counts, so that no connection of ours stays unseen.

The guard decides as it always does. What it would connect to is written down, and the connection is made to a listener
on the loopback address of the same family: a guard that lets an attack through is seen to, whatever its address.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address

import pytest

from sceneshift.address_rules import Address
from sceneshift.guarded_http import network
from tests.loopback import Listener, Reply, answer

ALIVE = answer(b"hello from the inside")


def has_ipv6() -> bool:
    """Whether this machine has a loopback address of that family."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class Everywhere:
    """The listeners behind all addresses, and the addresses that were connected to, in order."""

    def __init__(self, ipv4: Listener, ipv6: Listener | None) -> None:
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.dialled: list[str] = []
        self._connect = network._connect

    @property
    def connections(self) -> int:
        """How many connections the listeners have seen."""
        return self.ipv4.connections + (self.ipv6.connections if self.ipv6 else 0)

    @property
    def requests(self) -> list[bytes]:
        return self.ipv4.requests + (self.ipv6.requests if self.ipv6 else [])

    def connect(self, address: Address, port: int, patience_seconds: float) -> socket.socket:
        """A connection to a listener in place of the address."""
        self.dialled.append(f"{address} {port}")
        if address.version == 6 and self.ipv6:
            return self._connect(ip_address("::1"), self.ipv6.port, patience_seconds)
        return self._connect(ip_address("127.0.0.1"), self.ipv4.port, patience_seconds)


@contextmanager
def everywhere(monkeypatch: pytest.MonkeyPatch, reply: bytes | Reply = ALIVE) -> Iterator[Everywhere]:
    """All addresses of both families lead to listeners that answer so."""
    with ExitStack() as stack:
        ipv4 = stack.enter_context(Listener(reply))
        ipv6 = stack.enter_context(Listener(reply, address="::1")) if has_ipv6() else None
        network_now = Everywhere(ipv4, ipv6)
        monkeypatch.setattr(network, "_connect", network_now.connect)
        yield network_now
