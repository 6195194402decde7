"""Which web pages may change a simulator: its own and those of this machine.

A browser names the page that a POST comes from in `Origin`. A page from anywhere else that a developer looks at must
not reach the simulator on their machine; programs send no `Origin`, and may.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_foreign(origin: str | None, host: str) -> bool:
    """Whether a call with these headers comes from a page that is neither of this machine nor of the called address.

    A called address with a public name counts as foreign: whoever owns a name can have it lead to any machine.
    """
    if origin is None:
        return False
    try:
        page = urlsplit(origin)
        name = page.hostname or ""
    except ValueError:
        return True
    if page.scheme not in {"http", "https"} or not name:
        return True
    return not (_is_loopback(name) or (page.netloc.lower() == host.lower() and _is_nobodys(name)))


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _is_nobodys(name: str) -> bool:
    """Whether this is an address, or a machine's name that nobody can register."""
    try:
        ip_address(name)
    except ValueError:
        return "." not in name
    return True
