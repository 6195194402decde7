"""Which URLs from outside are acceptable, decided from their text alone; standard library only, no name look-up.

`enqueue_job()` calls `check_url` in the shop's process, and the guarded client reads every URL through `read_url`: one
reader, so that no two parsers can disagree about the host. It is far stricter than RFC 3986. Whatever other parsers
read in different ways (user information, backslashes, percent signs or Unicode in the authority, numbers that stand
for addresses) is refused rather than interpreted.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote

from sceneshift.address_rules import Address, denial_reason
from sceneshift.errors import ConfigurationError
from sceneshift.fetch_errors import FetchBlockedError

URL_MAX_CHARACTERS = 8192
OPEN_PORTS = frozenset({80, 443, 8080, 8443})
DEFAULT_PORTS = {"http": 80, "https": 443}

# What a resolver inside a cluster or company network would answer for.
INTERNAL_SUFFIXES = (
    ".cluster.local",
    ".consul",
    ".corp",
    ".home",
    ".home.arpa",
    ".internal",
    ".intranet",
    ".lan",
    ".local",
    ".localdomain",
    ".localhost",
    ".onion",
    ".private",
    ".svc",
)

_URL = re.compile(r"(?P<scheme>[^:/?#]+)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?:#.*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[0-9a-z_](?:[0-9a-z_-]{0,61}[0-9a-z_])?")
# A last label that starts with a letter cannot be read as a number, and so not as an address in disguise.
_LAST_LABEL = re.compile(r"[a-z](?:[0-9a-z_-]{0,61}[0-9a-z])?")
_NAME_MAX_CHARACTERS = 253
_PORT_MAX = 65_535
# All printable ASCII that RFC 3986 allows after the authority; `%` stays, so that signed URLs are sent as they are.
_SENT_AS_IT_IS = "%/:?@!$&'()*+,;=[]~-._"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedUrl:
    """A URL that passed the rules, in the parts that a request needs.

    Attributes:
        host: a name in lower case, or a literal address without brackets.
        literal: the address, when the host is one.
        target: path and query as they are sent.
    """

    scheme: str
    host: str
    port: int
    target: str
    literal: Address | None

    @property
    def host_header(self) -> str:
        """The value of the `Host` header."""
        host = f"[{self.host}]" if isinstance(self.literal, IPv6Address) else self.host
        return host if self.port == DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"


def check_url(url: str, *, allow_hosts: Collection[str] = (), schemes: Collection[str] = ("http", "https")) -> None:
    """The URL is one that a request may be sent to, as far as its text can tell.

    Raises:
        FetchBlockedError: it is not; `reason` says why.
        ConfigurationError: an entry of `allow_hosts` is not a host.
    """
    read_url(url, allowed=canonical_hosts(allow_hosts), schemes=schemes)


def read_url(url: str, *, allowed: frozenset[str], schemes: Collection[str] = ("http", "https")) -> AcceptedUrl:
    """The parts of a URL that passed every rule; `allowed` comes from `canonical_hosts`.

    Raises:
        FetchBlockedError: the URL is not allowed.
    """
    if not isinstance(url, str) or not 0 < len(url) <= URL_MAX_CHARACTERS:
        raise FetchBlockedError(reason=f"not a text of 1 to {URL_MAX_CHARACTERS} characters")
    if not url.isprintable() or " " in url or "\\" in url:
        raise FetchBlockedError(reason="white space, control character or backslash")
    parts = _URL.fullmatch(url)
    if parts is None or parts["scheme"] not in schemes:
        raise FetchBlockedError(reason=f"not an absolute URL with scheme {' or '.join(sorted(schemes))} in lower case")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise FetchBlockedError(reason="the part between // and the path is not just HOST or HOST:PORT in plain ASCII")
    host, literal = _read_host(authority["host"])
    _check_host(host, literal, is_allowed=host in allowed)
    port = int(authority["port"] or DEFAULT_PORTS.get(parts["scheme"], 0))
    _check_port(port, is_allowed=host in allowed)
    target = quote(parts["target"], safe=_SENT_AS_IT_IS)
    if not target.startswith("/"):
        target = f"/{target}"
    return AcceptedUrl(scheme=parts["scheme"], host=host, port=port, target=target, literal=literal)


def canonical_hosts(hosts: Collection[str]) -> frozenset[str]:
    """The hosts as `AcceptedUrl.host` spells them.

    Raises:
        ConfigurationError: an entry is neither a plain host name nor an address.
    """
    return frozenset(_canonical_host(host) for host in hosts)


def _canonical_host(entry: str) -> str:
    bracketed = f"[{entry}]" if ":" in entry and not entry.startswith("[") else entry
    authority = _AUTHORITY.fullmatch(bracketed)
    try:
        host, _literal = _read_host(authority["host"] if authority and not authority["port"] else "")
    except FetchBlockedError:
        raise ConfigurationError(
            f"SCENESHIFT_ALLOW_HOSTS: {entry!r} is not a host; write a name or an address, without scheme or port"
        ) from None
    return host


def _read_host(text: str) -> tuple[str, Address | None]:
    """The host in its canonical spelling, and its address when it is a literal one."""
    try:
        if text.startswith("["):
            literal: Address = IPv6Address(text[1:-1])
            return str(literal), literal
        if not _LAST_LABEL.fullmatch(text.lower().rpartition(".")[2]):
            literal = IPv4Address(text)
            return str(literal), literal
    except AddressValueError:
        raise FetchBlockedError(reason="an address in an unusual spelling, or a name that ends in a number") from None
    name = text.lower()
    if len(name) > _NAME_MAX_CHARACTERS or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise FetchBlockedError(reason="not a well-formed host name")
    return name, None


def _check_host(host: str, literal: Address | None, *, is_allowed: bool) -> None:
    if literal is not None:
        if reason := denial_reason(literal, local_allowed=is_allowed):
            raise FetchBlockedError(reason=f"{host}: {reason}")
    elif not is_allowed and ("." not in host or f".{host}".endswith(INTERNAL_SUFFIXES)):
        raise FetchBlockedError(reason=f"{host}: a name of the local network")


def _check_port(port: int, *, is_allowed: bool) -> None:
    if not 0 < port <= _PORT_MAX:
        raise FetchBlockedError(reason=f"port {port} does not exist")
    if not is_allowed and port not in OPEN_PORTS:
        raise FetchBlockedError(reason=f"port {port} is not open to URLs from outside")
