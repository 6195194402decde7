"""Reading a body no further than wanted, and what it means when it breaks off."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpcore

from sceneshift.fetch_errors import FetchFailedError, FetchTimeoutError, FetchTruncatedError
from sceneshift.guarded_http.answers import NotYet, headers_of, is_encoded


def body_of(response: httpcore.Response, host: str) -> Iterator[bytes]:
    """The body's bytes; whatever breaks the connection from here on has truncated it."""
    try:
        yield from response.iter_stream()
    except (httpcore.ProtocolError, FetchFailedError) as error:
        raise FetchTruncatedError(f"{host}: the body ended early") from error


def beginning_of(
    chunks: Iterator[bytes], max_bytes: int, is_enough: Callable[[bytes], bool | NotYet]
) -> tuple[bytes, bool]:
    """What is kept of the first bytes of the chunks, and whether there were no more."""
    kept, read_bytes, asked_at_bytes = bytearray(), 0, 0
    try:
        for chunk in chunks:
            kept += chunk
            read_bytes += len(chunk)
            if read_bytes >= max_bytes:
                return bytes(kept[: len(kept) - (read_bytes - max_bytes)]), False
            if len(kept) >= 2 * asked_at_bytes:
                verdict = is_enough(bytes(kept))
                if verdict:
                    return bytes(kept), False
                if isinstance(verdict, NotYet):
                    kept = bytearray(verdict.body)
                asked_at_bytes = len(kept)
    except FetchTimeoutError:
        if not is_enough(bytes(kept)):
            raise
        return bytes(kept), False
    return bytes(kept), True


def first_bytes_of(response: httpcore.Response, host: str, max_bytes: int) -> bytes:
    """At most this many bytes of a readable body, as far as they came."""
    received = bytearray()
    if is_encoded(headers_of(response)):
        return b""
    try:
        for chunk in body_of(response, host):
            received += chunk
            if len(received) >= max_bytes:
                break
    except (FetchTruncatedError, FetchTimeoutError):
        pass
    return bytes(received[:max_bytes])
