"""Connections that lead to checked addresses only.

The network half of the guarded client: httpcore asks it for a connection to a host, and gets one to an address that was
looked up once and checked.
"""

from __future__ import annotations

import errno
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import httpcore

from sceneshift.address_rules import Address, denial_reason
from sceneshift.fetch_errors import FetchBlockedError, FetchFailedError, FetchTimeoutError
from sceneshift.guarded_http.limits import ExchangeLimits
from sceneshift.guarded_http.stream import GuardedStream, network_errors

Resolver = Callable[[str, int], Sequence[str]]
"""Gives all addresses of a host name, as texts; raises OSError when there are none."""

ADDRESSES_TRIED = 4


def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses that the system's resolver knows for a name, in its order of preference.

    Raises:
        OSError: the name has no address, or no name server answered.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(socket_address[0]) for *_, socket_address in found))


class GuardedBackend(httpcore.NetworkBackend):
    """Opens connections to checked addresses only."""

    def __init__(self, allowed: frozenset[str], resolver: Resolver, limits: ExchangeLimits) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._limits = limits

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - httpcore passes it; none is configured.
        socket_options: Any = None,  # noqa: ARG002 - the same.
    ) -> httpcore.NetworkStream:
        with network_errors(host, "looking up the name"):
            addresses = self._checked_addresses(host, port, self._limits.left(timeout))[:ADDRESSES_TRIED]
        for untried in range(len(addresses), 0, -1):
            try:
                with network_errors(host, "connecting"):
                    patience_seconds = self._limits.left(timeout) / untried
                    return GuardedStream(_connect(addresses[-untried], port, patience_seconds), host, self._limits)
            except (FetchTimeoutError, FetchFailedError):
                if untried == 1:
                    raise
        raise FetchFailedError(f"{host}: the name has no address")

    def _checked_addresses(self, host: str, port: int, patience_seconds: float) -> list[Address]:
        """All addresses of the host; a single one that is not allowed refuses them all."""
        try:
            addresses = [ip_address(host)]
        except ValueError:
            addresses = [_read_address(host, text) for text in _ask(self._resolver, host, port, patience_seconds)]
        for address in addresses:
            if reason := _refusal(address, local_allowed=host in self._allowed):
                raise FetchBlockedError(reason=f"{host} has the address {address}: {reason}")
        return addresses


def _refusal(address: Address, *, local_allowed: bool) -> str | None:
    """Why no connection may lead to this address, by the rules for all machines and by what this one is."""
    if reason := denial_reason(address, local_allowed=local_allowed):
        return reason
    return None if local_allowed or not is_own(address) else "an address of this machine"


def is_own(address: Address) -> bool:
    """Whether this machine has the address, public or not; nothing is sent.

    A machine that may use addresses which it does not have (`ip_nonlocal_bind`, as load balancers do) cannot tell, and
    takes none for its own.
    """
    return _can_be_bound(address) and not _binds_anything()


@cache
def _binds_anything() -> bool:
    return _can_be_bound(IPv4Address("192.0.2.1"))


def _can_be_bound(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    try:
        with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError as error:
        # Whatever else is wrong says nothing about the address, and the request may be tried again.
        if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            return False
        raise
    return True


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6


def _read_address(host: str, text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise FetchBlockedError(reason=f"{host} resolves to {text!r}, which is not an address") from None


def _ask(resolver: Resolver, host: str, port: int, patience_seconds: float) -> Sequence[str]:
    """The resolver's answer, in time: the system's resolver has no time limit of its own, so it gets a thread.

    Raises:
        OSError: the resolver's own error, or `TimeoutError`.
    """
    answers: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolver(host, port))
        except Exception as error:  # noqa: BLE001 - raised again by the thread that asked.
            answers.put(error)

    threading.Thread(target=ask, name="sceneshift-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=patience_seconds)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _connect(address: Address, port: int, patience_seconds: float) -> socket.socket:
    connection = socket.socket(_family(address))
    try:
        connection.settimeout(patience_seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect((str(address), port))
    except BaseException:
        connection.close()
        raise
    return connection
