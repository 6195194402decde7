"""URLs, and answers of name servers, that try to lead a request of ours into somebody's own network.

The families are those of the list that this was written after, by number and name. A URL is refused for its text alone
unless the case has `lookups`: what a name server says, one entry per look-up and the last one repeated, with spaces
between addresses. Whoever finds a new way adds a line here, and it is tried on results, sources and webhooks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

FAMILIES = {
    1: "names of this machine",
    2: "numbers that stand for addresses",
    3: "Unicode that becomes ASCII",
    4: "IPv6 forms of private addresses",
    5: "cloud metadata",
    6: "rebinding",
    7: "redirects",
    8: "two readings of one authority",
    9: "schemes",
    10: "ports",
    11: "names of the inside, and malformed names",
    12: "line breaks and control characters",
    13: "proxies from the environment",
    14: "answers that are hardly HTTP",
    15: "answers that smuggle",
    16: "errors that tell about the network",
    17: "addresses that only an operator may choose",
    18: "other protocols spoken through HTTP",
}

PUBLIC = "93.184.215.14"
PUBLIC_6 = "2606:4700::1111"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One URL that must be refused without a connection, and why somebody would try it."""

    family: int
    url: str
    why: str
    lookups: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How a test run shows it."""
        return f"{self.family}-{ascii(self.url)[1:-1]}" + "".join(f"-{answer}" for answer in self.lookups)


PRIVATE = {
    "127.0.0.1": "loopback",
    "127.0.0.53": "the local name server",
    "127.255.255.254": "the end of loopback",
    "0.0.0.0": "Linux takes it for loopback",
    "0.1.2.3": "this network",
    "10.0.0.1": "a private network",
    "10.255.255.255": "its end",
    "100.64.0.1": "carriers and clusters",
    "100.127.255.255": "its end",
    "172.16.0.1": "a private network",
    "172.17.0.1": "the host of a container",
    "172.31.255.255": "its end",
    "192.168.0.1": "a router",
    "192.0.0.192": "protocol assignments, and a cloud's metadata",
    "192.0.2.1": "documentation",
    "192.88.99.1": "a relay into IPv6",
    "198.18.0.1": "benchmarks",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.250": "discovery of devices",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::7f00:1": "an IPv4 address in the oldest form",
    "64:ff9b::a00:1": "a private address behind NAT64",
    "64:ff9b:1::1": "local NAT64",
    "100::1": "discarded",
    "2001:0:4136:e378:8000:63bf:80ff:fffe": "Teredo to loopback",
    "2001:10::1": "ORCHID",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4 to loopback",
    "2002:a00:1::": "6to4 to a private network",
    "3fff::1": "documentation",
    "4000::1": "not assigned to anybody",
    "5f00::1": "segment routing",
    "fc00::1": "unique local",
    "fd12:3456:789a::1": "unique local",
    "fe80::1": "link-local",
    "febf::1": "the end of link-local",
    "fec0::1": "site-local, as it once was",
    "ff02::1": "all neighbours",
}
"""Addresses that no request may reach, and what lies there."""

METADATA = {
    "169.254.169.254": "most clouds",
    "169.254.170.2": "containers of AWS",
    "169.254.0.1": "link-local",
    "100.100.100.200": "Alibaba",
    "168.63.129.16": "Azure",
    "fd00:ec2::254": "AWS",
    "fd20:ce::254": "Google",
}


def _urls(family: int, why: str, *urls: str) -> Iterator[Attack]:
    for url in urls:
        yield Attack(family=family, url=url, why=why)


def _literal(address: str) -> str:
    return f"http://[{address}]/" if ":" in address else f"http://{address}/"


def _addresses() -> Iterator[Attack]:
    """Each address as it is, under a name, and behind a public one in the same answer."""
    for address, why in {**PRIVATE, **METADATA}.items():
        family = 5 if address in METADATA else 4 if ":" in address else 1
        yield Attack(family=family, url=_literal(address), why=why)
        yield Attack(family=family, url="https://innocent.example/a", why=f"{why}, by name", lookups=(address,))
        beside = PUBLIC if ":" in address else PUBLIC_6
        yield Attack(
            family=6, url="http://mixed.example/", why=f"{why}, behind a public one", lookups=(f"{beside} {address}",)
        )


ATTACKS = (
    *_addresses(),
    *_urls(
        1, "a name of this machine", "http://localhost/", "http://localhost./", "http://LOCALHOST:8080/",
        "http://app.localhost/", "http://localhost.localdomain/", "http://ip6-localhost/", "http://ip6-loopback/",
        "http://web-1/", "http://host.docker.internal/", "http://kubernetes.default.svc/", "http://0/",
    ),
    *_urls(
        2, "getaddrinfo reads it as 127.0.0.1", "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/",
        "http://0x7f.0.0.1/", "http://0x7F.0x0.0x0.0x1/", "http://0177.0.0.1/", "http://0177.0.0.01/",
        "http://017700000001/", "http://127.1/", "http://127.0.1/", "http://127.0.0.01/", "http://127.0.0.1./",
    ),
    *_urls(
        2, "getaddrinfo reads it as metadata", "http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/",
        "http://169.254.43518/", "http://0xa9.0xfe.0xa9.0xfe/",
    ),
    *_urls(
        2, "some readers overflow, or drop a part", "http://4294967297/", "http://127.0.0.257/", "http://256.256.256.256/",
        "http://127.0.0.1.1/", "http://127.0.0/", "http://1.2.3.4.0x7f/", "http://[127.0.0.1]/", "http://-1/",
    ),
    *_urls(
        3, "IDNA, or a resolver, makes 127.0.0.1 or localhost of it", "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/",
        "http://127．0．0．1/", "http://127｡0｡0｡1/", "http://１２７.0.0.1/",  # noqa: RUF001 - the attack
        "http://١٢٧.0.0.1/", "http://१२७.0.0.1/", "http://ⓛocalhost/", "http://loca\u200blhost/",
        "http://local\u00adhost/", "http://ﬁle.example/", "http://ℓocalhost/",  # noqa: RUF001 - the attack
    ),
    *_urls(
        3, "it only looks like a name that somebody trusts", "http://shoр.example/",  # noqa: RUF001 - the attack
        "http://shop.exampⅼe/", "http://ｓhop.example/",  # noqa: RUF001 - the attack
        "http://shop.example／@127.0.0.1/", "http://shop.example\u2024evil.example/",  # noqa: RUF001 - the attack
        "http://evil.example\u2100.shop.example/", "http://shop.example：80/",  # noqa: RUF001 - the attack
    ),
    *_urls(
        4, "an IPv4 address in the form of the other family", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:7f00:1]/", "http://[::ffff:10.0.0.1]/", "http://[::ffff:192.168.1.1]/",
        "http://[::127.0.0.1]/", "http://[64:ff9b::127.0.0.1]/", "http://[2002:c0a8:101::]/",
        "http://[::ffff:0:127.0.0.1]/", "http://[0000:0000:0000:0000:0000:0000:0000:0001]/", "http://[0::1]:8080/",
    ),
    *_urls(
        4, "a zone, or no address at all", "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1%25lo]/",
        "http://[fe80::1%]/", "http://[::1/", "http://::1/", "http://[]/", "http://[v1.fe80::1]/", "http://[::1]]/",
        "http://[[::1]]/", "http://[::1]evil.example/", "http://[::1].example/",
    ),
    *(
        Attack(family=4, url="https://six.example/", why="an AAAA record in another form", lookups=(address,))
        for address in ("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0a00:0001", "fe80::1%lo", "::127.0.0.1")
    ),
    *_urls(
        5, "a form of 169.254.169.254", "http://[::ffff:169.254.169.254]/", "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/", "http://[2002:a9fe:a9fe::]/", "http://[fd00:ec2:0:0:0:0:0:254]/",
        "http://169.254.169.254.:80/", "http://169.254.169.254:80/latest/meta-data/iam/security-credentials/",
    ),
    *_urls(
        5, "a name of a cloud", "http://metadata.google.internal/computeMetadata/v1/", "http://metadata/",
        "http://METADATA.google.INTERNAL/", "http://instance-data.ec2.internal/", "http://metadata.google.internal./",
    ),
    *(
        Attack(family=5, url=f"http://{name}/", why="a public name for a private address", lookups=(address,))
        for name, address in (
            ("169.254.169.254.nip.io", "169.254.169.254"), ("a9fea9fe.nip.io", "169.254.169.254"),
            ("127-0-0-1.sslip.io", "127.0.0.1"), ("localtest.me", "127.0.0.1"), ("x.lvh.me", "::1"),
        )
    ),
    *(
        Attack(family=6, url="http://many.example/", why="one private address among public ones", lookups=(answer,))
        for answer in (
            f"{PUBLIC} 10.0.0.1", f"10.0.0.1 {PUBLIC}", f"{PUBLIC} {PUBLIC_6} ::1", f"::1 {PUBLIC}",
            "8.8.8.8 8.8.4.4 1.1.1.1 1.0.0.1 9.9.9.9 127.0.0.1", f"{PUBLIC} ::ffff:127.0.0.1", f"{PUBLIC} fe80::1%eth0",
            f"{PUBLIC} not-an-address", "0x7f000001", "127.1", f"{PUBLIC} 2130706433", f"{PUBLIC} 127.0.0.1/8",
        )
    ),
    *_urls(
        8, "one reader connects to the first host, another to the second", "http://good.example@127.0.0.1/",
        "http://127.0.0.1\\@good.example/", "http://good.example\\@127.0.0.1/", "http://good.example:80@127.0.0.1/",
        "http://a:b@127.0.0.1/", "http://@127.0.0.1/", "http://good.example@@127.0.0.1/", "http://127.0.0.1#@good.example/",
        "http://127.0.0.1?@good.example/", "http://good.example%40127.0.0.1/", "http://good.example%2f@127.0.0.1/",
        "http://127.0.0.1%2523@good.example/", "http://good.example;@127.0.0.1/", "http://good.example,127.0.0.1/",
        "http://good.example 127.0.0.1/", "http://good.example&@127.0.0.1#@good.example/", "http://user@shop.example/",
        "http:\\\\127.0.0.1/", "http:/\\127.0.0.1/", "http:///127.0.0.1/", "http://shop.example\\.evil.example/",
        "http://%31%32%37.0.0.1/", "http://%6c%6f%63%61%6c%68%6f%73%74/", "http://good.example:80:6379/",
        "http://shop.example/\\127.0.0.1", "http://[::1]@shop.example/", "http://shop.example%00.evil.example/",
    ),
    *_urls(
        9, "another protocol, or a file", "file:///etc/passwd", "file://localhost/etc/passwd", "ftp://127.0.0.1/",
        "gopher://127.0.0.1:6379/_FLUSHALL", "dict://127.0.0.1:6379/info", "ldap://127.0.0.1/", "tftp://127.0.0.1/x",
        "data:text/plain,hello", "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
        "HTTP://127.0.0.1/", "HTTP://shop.example/", "Https://shop.example/", "javascript:alert(1)", "jar:http://127.0.0.1!/",
        "ws://127.0.0.1/", "//127.0.0.1/", "127.0.0.1", "http:127.0.0.1", "http:/127.0.0.1", "http://", "http:",
        "http", "",
        "netdoc:///etc/passwd", "view-source:http://127.0.0.1/", "url:http://127.0.0.1/", "redis://127.0.0.1:6379/0",
    ),
    *_urls(
        10, "a port at which no web server is expected", *(f"http://shop.example:{port}/" for port in (
            1, 21, 22, 23, 25, 53, 110, 143, 389, 445, 2375, 2379, 3306, 5432, 5555, 5672, 6379, 6443, 8081, 9000, 9200,
            10250, 11211, 15672, 27017, 65535,
        )),
    ),
    *_urls(
        10, "no port that exists, or one that readers disagree on", "http://shop.example:0/", "http://shop.example:65536/",
        "http://shop.example:65616/", "http://shop.example:4294967376/", "http://shop.example:/", "http://shop.example:080/",
        "http://shop.example:-80/", "http://shop.example:+80/", "http://shop.example:80\\/", "http://shop.example: 80/",
        "http://shop.example:8 0/", "http://shop.example:0x50/", "http://shop.example:http/",
        "http://shop.example:８０/",  # noqa: RUF001 - the attack
        "http://shop.example:80.0/", "http://[2606:4700::1111]:6379/", "http://8.8.8.8:22/",
    ),
    *_urls(
        11, "a name that only an inside resolver knows", "http://redis/", "http://redis:6379/", "http://printer.local/",
        "http://db.internal/", "http://api.default.svc/", "http://api.default.svc.cluster.local/", "http://cluster.local/",
        "http://vault.service.consul/", "http://wiki.corp/", "http://nas.home.arpa/", "http://home.arpa/",
        "http://router.lan/", "http://portal.intranet/", "http://x.private/", "http://hidden.onion/", "http://tv.home/",
    ),
    *_urls(
        11, "no well-formed name", "http://shop.example./", "http://shop..example/", "http://.shop.example/",
        f"http://{'a' * 64}.example/", f"http://{'a.' * 127}example/", "http://-shop.example/", "http://shop-.example/",
        "http://shop!.example/", "http://*.example/", "http://shop.example.1/", "http://shop.0x7f/", "http://./", "http://../",
    ),
    *_urls(
        12, "a second line in the request", "http://shop.example/\r\nHost: 127.0.0.1", "http://shop.example/\nX: y",
        "http://shop.example/\r\n\r\nGET /admin HTTP/1.1", "http://shop.example\r\n.evil.example/", "http://sh\top.example/",
        "ht\ntp://127.0.0.1/", "http://127.0.0.1\n/", "\thttp://127.0.0.1/", " http://127.0.0.1/",
        "http://shop.example/ a",
        "http://shop.example/\x00", "http://127.0.0.1\x00.shop.example/", "http://shop.example/\x7f", "\x01http://127.0.0.1/",
        "http://shop.example/\u0085", "http://shop.example/\u2028Host: x", "http://shop.example/ HTTP/1.1\u000aX: y",
        "http://shop.example/\ud800", "http://shop.example/\u202e", "http://shop.example/a\x0bb", "http://shop.example\ufeff/",
    ),
    *_urls(
        18, "an HTTP request whose text is a command elsewhere", "http://127.0.0.1:6379/%0D%0AFLUSHALL%0D%0A",
        "http://shop.example:6379/%0D%0ASET%20a%20b%0D%0A", "http://[::1]:6379/", "http://shop.example:11211/%0astats%0a",
        "http://redis.default.svc.cluster.local:6379/", "http://0:6379/", "http://shop.example:9000/\r\nQUIT\r\n",
        "https://127.0.0.1:6379/", "http://rabbitmq:15672/api/", "http://127.1:2375/containers/json",
    ),
)  # fmt: skip
"""Everything that must be refused before a connection is made."""
