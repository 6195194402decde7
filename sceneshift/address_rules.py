"""Which addresses a request may reach, decided from the address alone.

A URL that came from outside can name the cloud's metadata service, our own Redis or a neighbour's admin page.
Everything that is not an ordinary public address is refused. A host that the operator has allowed may be on the local
network, but nowhere else: no allowance opens a metadata service, a multicast group or an address that stands for
another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Checked first: some of these lie inside a local range below.
_METADATA: Mapping[Network, str] = {
    IPv4Network("169.254.0.0/16"): "link-local, where cloud metadata lives",
    IPv4Network("168.63.129.16/32"): "cloud platform service (Azure)",
    IPv4Network("100.100.100.200/32"): "cloud metadata (Alibaba)",
    IPv6Network("fd00:ec2::/32"): "cloud metadata (AWS)",
    IPv6Network("fd20:ce::/32"): "cloud metadata (Google)",
}

_LOCAL: Mapping[Network, str] = {
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.168.0.0/16"): "private",
    IPv4Network("100.64.0.0/10"): "shared by a carrier or cluster",
    IPv6Network("::1/128"): "loopback",
    IPv6Network("fc00::/7"): "unique local",
}

# The special-purpose registries of IANA (RFC 6890 and its updates), and what was once in them.
_SPECIAL: Mapping[Network, str] = {
    IPv4Network("0.0.0.0/8"): "this host",
    IPv4Network("192.0.0.0/24"): "protocol assignments",
    IPv4Network("192.0.2.0/24"): "documentation",
    IPv4Network("192.88.99.0/24"): "6to4 relay",
    IPv4Network("198.18.0.0/15"): "benchmarking",
    IPv4Network("198.51.100.0/24"): "documentation",
    IPv4Network("203.0.113.0/24"): "documentation",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved or broadcast",
    IPv6Network("::/96"): "unspecified or IPv4-compatible",
    IPv6Network("64:ff9b::/96"): "NAT64",
    IPv6Network("64:ff9b:1::/48"): "local NAT64",
    IPv6Network("2001::/23"): "Teredo, ORCHID or protocol assignments",
    IPv6Network("2001:db8::/32"): "documentation",
    IPv6Network("2002::/16"): "6to4",
    IPv6Network("3fff::/20"): "documentation",
}

_GLOBAL_UNICAST = IPv6Network("2000::/3")


def denial_reason(address: Address, *, local_allowed: bool = False) -> str | None:
    """Why no request may reach this address, or None when it may.

    An IPv4-mapped IPv6 address is judged as the IPv4 address that it means. IPv6 addresses are refused unless they are
    global unicast, so that a range nobody has heard of yet is refused too.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "address with a zone"
        address = address.ipv4_mapped or address
    if reason := _named(address, _METADATA):
        return reason
    if local := _named(address, _LOCAL):
        return None if local_allowed else local
    if reason := _named(address, _SPECIAL):
        return reason
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return "not global unicast"
    return None


def _named(address: Address, networks: Mapping[Network, str]) -> str | None:
    return next((name for network, name in networks.items() if address in network), None)
