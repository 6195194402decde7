from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from sceneshift.fetch_errors import (
    FetchFailedError,
    FetchStatusError,
    FetchTimeoutError,
    FetchTruncatedError,
)
from tests.loopback import NEVER, Listener, answer, client_for, download


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for shop.example, with its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl command is not installed")
    directory = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example"]
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    make = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    subprocess.run([*make, *subject, *files], check=True, capture_output=True, timeout=60)
    both = directory / "both.pem"
    both.write_text((directory / "key.pem").read_text() + (directory / "cert.pem").read_text())
    return both


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_tls_verifies_the_name_of_the_url(certificate: Path) -> None:
    """The pinned connection still asks for, and verifies, the host's name; another name is refused."""
    names: list[str | None] = []
    context = serving(certificate)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    allow = ("shop.example", "other.example")
    with Listener(answer(b"secure"), tls=context) as listener, client_for(allow=allow, verify=trusting) as client:
        assert download(client, f"https://shop.example:{listener.port}/")[1] == b"secure"
        with pytest.raises(FetchFailedError, match="TLS failed") as caught:
            download(client, f"https://other.example:{listener.port}/")
        assert len(listener.requests) == 1
    assert names == ["shop.example", "other.example"]
    assert caught.value.retryable


def test_a_look_leaves_https_for_nothing(certificate: Path) -> None:
    """A redirect from https to https is followed, with the name verified again; one to plain http is not."""
    trusting = ssl.create_default_context(cafile=str(certificate))
    with Listener(answer(b"pixels")) as plain, Listener(answer(b"pixels"), tls=serving(certificate)) as secure:
        for target, followed in ((plain, False), (secure, True)):
            location = f"Location: http{'s' if followed else ''}://shop.example:{target.port}/"
            moved = answer(status="301 Moved", headers=[location])
            with Listener(moved, tls=serving(certificate)) as first, client_for(verify=trusting) as client:
                url = f"https://shop.example:{first.port}/"
                if followed:
                    assert client.peek(url, max_bytes=100, timeout_seconds=NEVER, is_enough=bool).body == b"pixels"
                    continue
                with pytest.raises(FetchStatusError, match="from https to http"):
                    client.peek(url, max_bytes=100, timeout_seconds=NEVER, is_enough=bool)
        assert (plain.connections, secure.connections) == (0, 1)


def test_tls_is_verified_by_default(certificate: Path) -> None:
    """An allowed host is not a trusted one: a self-signed certificate fails, and nothing is sent."""
    with Listener(answer(b"x"), tls=serving(certificate)) as listener, client_for() as client:
        with pytest.raises(FetchFailedError, match="TLS failed"):
            client.post(f"https://shop.example:{listener.port}/", b"canary", {}, timeout_seconds=NEVER)
        assert listener.requests == []


def test_a_handshake_that_stalls_ends_at_the_deadline() -> None:
    """A server that takes the connection and never shakes hands is left at the total deadline."""
    started_at = time.monotonic()
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        client_for() as client,
        pytest.raises(FetchTimeoutError, match="TLS"),
    ):
        download(client, f"https://shop.example:{mute.getsockname()[1]}/", timeout=0.2)
    # The client's own limit for connecting is 5 s.
    assert time.monotonic() - started_at < 4


def test_a_cut_tls_connection_is_not_the_end_of_a_body(certificate: Path) -> None:
    """A body without a length, cut off by somebody between us and the server, is truncated rather than complete."""

    def cut(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf a pic")
        # Ends TCP without ending TLS.
        connection.shutdown(socket.SHUT_WR)

    trusting = ssl.create_default_context(cafile=str(certificate))
    with (
        Listener(cut, tls=serving(certificate)) as listener,
        client_for(verify=trusting) as client,
        pytest.raises(FetchTruncatedError),
    ):
        download(client, f"https://shop.example:{listener.port}/")
