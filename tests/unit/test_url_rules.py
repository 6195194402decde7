from __future__ import annotations

import pickle
import subprocess
import sys
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sceneshift.address_rules import denial_reason
from sceneshift.errors import ConfigurationError
from sceneshift.fetch_errors import FetchBlockedError
from sceneshift.url_rules import URL_MAX_CHARACTERS, canonical_hosts, check_url, read_url

REFUSED = {
    "loopback": [
        "http://127.0.0.1",
        "http://127.0.0.1:8080/",
        "http://127.255.255.254/",
        "https://[::1]/",
        "https://[0:0:0:0:0:0:0:1]/",
        "http://0.0.0.0/",
        "http://0.1.2.3/",
        "https://[::]/",
    ],
    "private and shared": [
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://172.31.255.255/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "https://[fc00::1]/",
        "https://[fd12:3456::1]/",
        "https://[fe80::1]/",
        "https://[fec0::1]/",
    ],
    "cloud metadata": [
        "http://169.254.169.254/latest/meta-data/",
        "http://169.254.170.2/",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "https://[fd00:ec2::254]/",
        "https://[fd20:ce::254]/",
        "http://metadata.google.internal/",
        "http://METADATA.GOOGLE.INTERNAL/",
    ],
    "reserved": [
        "http://192.0.0.192/",
        "http://192.0.2.1/",
        "http://192.88.99.1/",
        "http://198.18.0.1/",
        "http://198.19.255.255/",
        "http://198.51.100.7/",
        "http://203.0.113.9/",
        "http://224.0.0.1/",
        "http://240.0.0.1/",
        "http://255.255.255.255/",
        "https://[2001:db8::1]/",
        "https://[3fff::1]/",
        "https://[5f00::1]/",
        "https://[100::1]/",
        "https://[ff02::1]/",
        "https://[4000::1]/",
    ],
    "one address that stands for another": [
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[0:0:0:0:0:ffff:7f00:1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[::127.0.0.1]/",
        "https://[::7f00:1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[64:ff9b:1::1]/",
        "https://[2002:7f00:1::]/",
        "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
        "https://[2001:10::1]/",
    ],
    "addresses in disguise": [
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0x7f.0.0.0x1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.0.0.01/",
        "http://017700000001/",
        "http://8.8.8/",
        "http://8.8.8.8.8/",
        "http://256.1.1.1/",
        "http://shop.example.1/",
        "http://1.2.3.4.0x7f/",
        "http://127.0.0.1./",
        "https://[127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[::1/",
        "https://::1/",
        "https://[]/",
        "https://[v1.a]/",
    ],
    "unicode": [
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://１２７.0.0.1/",  # noqa: RUF001 - the full-width digits are the attack.
        "http://١٢٧.0.0.1/",
        "http://ⓛocalhost/",
        "http://shoр.example/",  # noqa: RUF001 - the Cyrillic letter is the attack.
        "http://shop.example\u2028/",
        "http://shop.example/\u202e",
        "http://shop\u00ad.example/",
        "http://shop.example:８０/",  # noqa: RUF001 - the full-width digits are the attack.
        "http://shop.example/\ud800",
    ],
    "names of the local network": [
        "http://localhost/",
        "http://LOCALHOST/",
        "http://localhost./",
        "http://app.localhost/",
        "http://ip6-localhost/",
        "http://redis/",
        "http://printer.local/",
        "http://api.default.svc/",
        "http://api.default.svc.cluster.local/",
        "http://vault.service.consul/",
        "http://wiki.corp/",
        "http://nas.home.arpa/",
        "http://home.arpa/",
        "http://router.lan/",
    ],
    "malformed names": [
        "http:///path",
        "http://",
        "http://.example/",
        "http://shop..example/",
        "http://shop.example./",
        "http://-shop.example/",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 127}example/",
        "http://shop.example%2f.evil.example/",
        "http://%31%32%37.0.0.1/",
        "http://shop$.example/",
    ],
    "two readings of one authority": [
        "http://good.example@127.0.0.1/",
        "http://user:word@shop.example/",
        "http://@shop.example/",
        "http://127.0.0.1\\@good.example/",
        "http://good.example\\.evil.example/",
        "http://good.example/\\evil.example",
        "http://good.example:80@evil.example/",
        "http://good.example:80:90/",
        "http:/\\good.example/",
        "http:\\\\good.example/",
    ],
    "white space and control characters": [
        " http://shop.example/",
        "http://shop.example/ ",
        "http://shop.example/a b",
        "http://shop.example/\r\nHost: evil",
        "http://sh\top.example/",
        "ht\ntp://shop.example/",
        "http://shop.example/\x00",
        "http://shop.example/\x7f",
        "\x01http://shop.example/",
        "http://shop.example/\u0085",
    ],
    "schemes": [
        "file:///etc/passwd",
        "ftp://shop.example/",
        "gopher://shop.example/",
        "dict://shop.example/",
        "ws://shop.example/",
        "data:text/plain,hello",
        "javascript:alert(1)",
        "unix:///var/run/docker.sock",
        "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
        "s3://bucket/key",
        "HTTP://shop.example/",
        "//shop.example/",
        "shop.example/",
        "http:shop.example",
        "http:/shop.example",
        "",
        "http",
    ],
    "ports": [
        "http://shop.example:0/",
        "http://shop.example:22/",
        "http://shop.example:25/",
        "http://shop.example:6379/",
        "http://shop.example:65536/",
        "http://shop.example:99999/",
        "http://shop.example:99999999999/",
        "http://shop.example:/",
        "http://shop.example:080/",
        "http://shop.example:-80/",
        "http://shop.example:+80/",
        "http://shop.example: 80/",
        "http://shop.example:80\\/",
        "http://shop.example:http/",
    ],
}

ACCEPTED = [
    "https://shop.example",
    "https://shop.example/hook",
    "http://shop.example:8080/hook?a=b&c=%2F#part",
    "https://Shop.Example:8443/",
    "https://xn--mnchen-3ya.example/",
    "https://under_score.shop.example/",
    "https://123.shop.example/",
    "https://8.8.8.8/",
    "https://[2606:4700::1111]/",
    "https://[::ffff:8.8.8.8]/",
    "https://shop.example/bilder/übung.png",
    "https://bucket.s3.example/k?X-Amz-Signature=0a&response-content-disposition=a%22b",
    "https://shop.example?query=only",
    "https://internal.example/",
    "https://localhost.example/",
]


@pytest.mark.parametrize(
    ("family", "url"),
    [(family, url) for family, urls in REFUSED.items() for url in urls],
    ids=ascii,
)
def test_refused(family: str, url: str) -> None:
    """Every known way to name what is not an ordinary public host is refused, without saying why to whoever tried."""
    with pytest.raises(FetchBlockedError) as caught:
        check_url(url)
    assert str(caught.value) == "This URL is not allowed.", family
    assert caught.value.reason
    assert caught.value.code == "blocked"
    assert not caught.value.retryable


@pytest.mark.parametrize("url", ACCEPTED)
def test_accepted(url: str) -> None:
    """Ordinary public URLs pass, presigned and international ones among them."""
    check_url(url)


@pytest.mark.parametrize("url", [None, b"https://shop.example/", 5, "https://shop.example/" + "a" * URL_MAX_CHARACTERS])
def test_refused_as_a_whole(url: object) -> None:
    """What is not a text of sensible length is refused rather than crashing."""
    with pytest.raises(FetchBlockedError):
        check_url(url)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://localhost:9000/hook", "localhost"),
        ("http://LocalHost:9000/hook", "LOCALHOST"),
        ("http://127.0.0.1:4000/", "127.0.0.1"),
        ("http://[::1]:4000/", "::1"),
        ("http://[0:0::1]:4000/", "[::1]"),
        ("http://minio:9000/bucket/key", "minio"),
        ("http://store.default.svc.cluster.local:5000/", "store.default.svc.cluster.local"),
        ("https://shop.example:3000/", "shop.example"),
        ("http://100.64.0.9/", "100.64.0.9"),
        ("http://[fd12::1]/", "fd12::1"),
    ],
)
def test_an_allowed_host_may_be_local_and_on_any_port(url: str, allowed: str) -> None:
    """An allowance opens exactly the named host, in any spelling of case, on any port."""
    with pytest.raises(FetchBlockedError):
        check_url(url)
    check_url(url, allow_hosts=["other.example", allowed])


@pytest.mark.parametrize(
    "url",
    [
        "http://user@localhost/",
        "http://localhost:0/",
        "http://localhost:65536/",
        "http://localhost\\@evil.example/",
        "ftp://localhost/",
        "http://app.localhost/",
        "http://localhost./",
        "http://notlocalhost/",
        "http://127.0.0.2/",
        "http://2130706433/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/",
        "http://100.100.100.200/",
        "http://0.0.0.0/",
    ],
)
def test_an_allowance_opens_nothing_else(url: str) -> None:
    """Syntax rules, neighbours and metadata services stay closed whatever is allowed."""
    with pytest.raises(FetchBlockedError):
        check_url(url, allow_hosts=["localhost", "127.0.0.1", "169.254.169.254", "100.100.100.200", "0.0.0.0"])


@pytest.mark.parametrize(
    "entry", ["minio:9000", "http://minio", "*.example", "10.0.0.0/8", "2130706433", "", "a b", "::g"]
)
def test_an_allowance_that_cannot_match_is_an_error(entry: str) -> None:
    """An entry that would silently allow nothing is reported with the setting's name."""
    with pytest.raises(ConfigurationError, match="SCENESHIFT_ALLOW_HOSTS"):
        canonical_hosts([entry])


def test_schemes_can_be_narrowed() -> None:
    """A caller that demands https gets https only."""
    check_url("https://shop.example/", schemes=("https",))
    with pytest.raises(FetchBlockedError):
        check_url("http://shop.example/", schemes=("https",))


def test_the_parts_are_what_is_sent() -> None:
    """Signed query strings are untouched, other characters are encoded, and the fragment stays here."""
    read = read_url("https://Shop.Example:8443/ü?sig=a%2Fb+c/d==&x={1}#top", allowed=frozenset())
    assert (read.host, read.port, read.host_header) == ("shop.example", 8443, "shop.example:8443")
    assert read.target == "/%C3%BC?sig=a%2Fb+c/d==&x=%7B1%7D"
    assert read_url("http://[2606:4700::1]?a", allowed=frozenset()).host_header == "[2606:4700::1]"
    assert read_url("http://shop.example?a", allowed=frozenset()).target == "/?a"


def test_the_reason_survives_pickling_and_holds_no_query() -> None:
    """A blocked error keeps its reason across processes, and neither text holds what may be a credential."""
    with pytest.raises(FetchBlockedError) as caught:
        check_url("http://user:canary@10.0.0.1/?token=canary")
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes.
    assert copy.reason == caught.value.reason
    assert "canary" not in str(caught.value) + caught.value.reason


@given(st.text(max_size=80))
def test_any_text_is_accepted_or_blocked(text: str) -> None:
    """No text raises anything but FetchBlockedError, and what passes has a plain ASCII host and request target."""
    for url in (text, f"https://{text}", f"https://shop.example/{text}"):
        try:
            read = read_url(url, allowed=frozenset())
        except FetchBlockedError:
            continue
        assert f"{read.host}{read.target}".isascii()
        assert f"{read.host}{read.target}".isprintable()


@given(st.ip_addresses())
def test_denied_addresses_agree_with_the_registry(address: object) -> None:
    """Whatever Python's own tables call not global is denied here too."""
    parsed = ip_address(str(address))
    if not parsed.is_global or parsed.is_multicast:
        assert denial_reason(parsed)


def test_only_the_standard_library_is_imported() -> None:
    """A shop's process can check a URL without the HTTP client, or anything else from a registry."""
    code = (
        "import sys, sceneshift.url_rules\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(roots - sys.stdlib_module_names - {'sceneshift', '__main__'}))"
    )
    # -S keeps the environment's own start-up hooks out of the list.
    shown = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"
