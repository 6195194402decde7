"""Carries an answer to its caller as its delivery says, over a socket or inside one process.

A web framework only sends whole answers. What it cannot do, closing a connection and keeping silent, is asked of a
`Wire`, which the server beneath puts into the call's scope.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from starlette.types import Receive, Scope, Send

from sceneshift.simulator.answers import Answer
from sceneshift.simulator.deliveries import CutShort, Dripping, Dropped, Padded, Silent

EXTENSION: Final = "sceneshift.wire"
_SILENCE_SECONDS: Final = 3600.0
_PADDING_BYTES: Final = 1 << 16


class Wire(Protocol):
    """The connection below a call."""

    async def pause(self, seconds: float, receive: Receive) -> bool:
        """Nothing has been sent for so long; False when the caller went away meanwhile."""
        ...

    async def abort(self, receive: Receive) -> None:
        """The connection is closed, whatever was still to come."""
        ...


class SocketWire:
    """A real connection; `close` ends it at once. `is_pausing` while its caller is kept waiting on purpose."""

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self.is_pausing = False

    async def pause(self, seconds: float, receive: Receive) -> bool:
        self.is_pausing = True
        try:
            async with asyncio.timeout(seconds):
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return True
        finally:
            self.is_pausing = False
        return False

    async def abort(self, receive: Receive) -> None:
        self._close()
        while (await receive())["type"] != "http.disconnect":
            pass


class _NoWire:
    """A server that gives no hand on its connections: enough for whole answers."""

    async def pause(self, _seconds: float, _receive: Receive) -> bool:
        raise RuntimeError(_NEEDS_WIRE)

    async def abort(self, _receive: Receive) -> None:
        raise RuntimeError(_NEEDS_WIRE)


_NEEDS_WIRE: Final = "this scenario needs the simulator's own server or transport"
_NO_WIRE: Final = _NoWire()


class WiredResponse:
    """An answer as an ASGI application: sends it the way its delivery says."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer, payload = self._answer, self._answer.payload()
        wire: Wire = scope.get("extensions", {}).get(EXTENSION, _NO_WIRE)
        match answer.delivery:
            case Dropped():
                await wire.abort(receive)
            case Silent():
                if await wire.pause(_SILENCE_SECONDS, receive):
                    await wire.abort(receive)
            case CutShort(share):
                await self._start(send, len(payload))
                await _body(send, payload[: int(len(payload) * share)], more=True)
                await wire.abort(receive)
            case Dripping(piece_bytes=piece_bytes, pause_seconds=pause_seconds):
                await self._start(send, len(payload))
                for start in range(0, len(payload), piece_bytes):
                    await _body(send, payload[start : start + piece_bytes], more=start + piece_bytes < len(payload))
                    if not await wire.pause(pause_seconds, receive):
                        return
            case Padded(size_bytes=size_bytes, announced=announced):
                await self._start(send, size_bytes if announced else None)
                await _body(send, payload[:size_bytes], more=size_bytes > len(payload))
                await _pad(send, size_bytes - len(payload))
            case _:
                await self._start(send, len(payload))
                await _body(send, payload, more=False)

    async def _start(self, send: Send, size_bytes: int | None) -> None:
        answer = self._answer
        headers = dict(answer.headers)
        if size_bytes != 0:
            headers["Content-Type"] = answer.content_type
        if answer.request_id:
            headers["X-Ca-Request-Id"] = answer.request_id
        if size_bytes is not None:
            headers["Content-Length"] = str(size_bytes)
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.http_status, "headers": raw})


async def _pad(send: Send, size_bytes: int) -> None:
    """Zeros; a caller that goes away makes sending them quick, for the server drops what nobody reads."""
    zeros = bytes(_PADDING_BYTES)
    while size_bytes > 0:
        size_bytes -= _PADDING_BYTES
        await _body(send, zeros if size_bytes >= 0 else zeros[:size_bytes], more=size_bytes > 0)


async def _body(send: Send, body: bytes, *, more: bool) -> None:
    message: dict[str, Any] = {"type": "http.response.body", "body": body, "more_body": more}
    await send(message)
