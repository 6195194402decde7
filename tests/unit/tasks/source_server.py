"""A real server of sources on the loopback address, and names that lead to it, elsewhere, or nowhere."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from sceneshift.guarded_http import GuardedClient
from tests.loopback import NEVER, Listener, answer
from tests.unit.storage.source_pictures import saved

Script = Callable[[socket.socket], None]
"""Writes an answer to a connection, in whatever way; the connection is closed behind it."""

ADDRESSES = {
    "shop.example": "127.0.0.1",
    "cdn.example": "127.0.0.1",
    "closed.example": "127.0.0.2",
    "private.example": "10.0.0.1",
    "metadata.example": "169.254.169.254",
    "mixed.example": "93.184.215.14 127.0.0.1",
}


def resolve(host: str, _port: int) -> Sequence[str]:
    if host not in ADDRESSES:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return ADDRESSES[host].split()


def moved(location: str, status: str = "302 Found") -> Script:
    """A redirect; `{port}` stands for the server's own port."""

    def write(connection: socket.socket) -> None:
        target = location.format(port=connection.getsockname()[1])
        connection.sendall(answer(b"<html>moved</html>", status=status, headers=[f"Location: {target}"]))

    return write


HOPS: dict[str, bytes | Script] = {
    "photo": answer(saved("JPEG")),
    "stamp": answer(saved("PNG", size=(64, 48))),
    "one-hop": moved("/photo?signature=canary"),
    "two-hops": moved("http://cdn.example:{port}/one-hop"),
    "three-hops": moved("two-hops"),
    "round": moved("/round"),
}
"""What redirects in the corpora lead to."""


class SourceServer(Listener):
    """Answers `/image` and `/mask` with what a test puts there, and all but the hops with bytes that are no HTTP."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.pages: dict[str, bytes | Script] = {}

    def url(self, param: str) -> str:
        """Where this source is, with a query that no text of ours may repeat."""
        return f"http://shop.example:{self.port}/{param}?signature=canary"

    def _read_request(self, connection: socket.socket) -> bytes:
        # Not up to the end of a head: the beginning of a TLS handshake has none.
        return connection.recv(65_536)

    def _answer(self, connection: socket.socket, request: bytes) -> None:
        target = request.partition(b" ")[2].partition(b" ")[0].decode("latin-1")
        path = target.partition("?")[0].lstrip("/")
        page = self.pages.get(path, HOPS.get(path, b"not HTTP\r\n\r\n"))
        if callable(page):
            page(connection)
        else:
            connection.sendall(page)


@contextmanager
def source_server() -> Iterator[tuple[SourceServer, GuardedClient]]:
    """The server runs, and the client reaches it as shop.example; both end with the context."""
    client = GuardedClient(
        allow_hosts=("shop.example", "cdn.example", "closed.example"), resolver=resolve, read_timeout_seconds=NEVER
    )
    with SourceServer() as server, closing(client):
        yield server, client
