"""The HTTP face of the simulated provider: bytes to calls, answers to bytes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from sceneshift.simulator.answers import Answer, Fault, new_request_id
from sceneshift.simulator.config import API_PREFIX, SimulatorConfig
from sceneshift.simulator.control import control_routes
from sceneshift.simulator.gateway import BODY_MAX_BYTES, Credentials, Refusal
from sceneshift.simulator.moving_clock import MovingClock
from sceneshift.simulator.openapi import openapi_route
from sceneshift.simulator.page import page_routes
from sceneshift.simulator.results import ResultGallery
from sceneshift.simulator.scenarios.downloads import ACCESS_DENIED, NO_SUCH_KEY
from sceneshift.simulator.service import Call, SimulatedProvider
from sceneshift.simulator.sources import Fetch, fetch_bytes
from sceneshift.simulator.wire import WiredResponse


class SimulatorApp:
    """One simulated provider as an ASGI application. `provider` is its memory, for those in the same process."""

    def __init__(self, provider: SimulatedProvider) -> None:
        self.provider = provider
        self._gallery = ResultGallery()
        self._starlette = Starlette(
            routes=[
                Route(f"{API_PREFIX}/submit", _Answering(self._submit), methods=["POST"]),
                Route(f"{API_PREFIX}/query", _Answering(self._query), methods=["POST"]),
                Route("/results/{key}/{index}.png", _Answering(self._result), methods=["GET"]),
                *control_routes(provider),
                *page_routes(provider, self._gallery),
                openapi_route(provider.config),
                *_catalogue_routes(provider.config.catalogue),
            ],
            exception_handlers={HTTPException: self._unrouted, Exception: self._broken},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._starlette(scope, receive, send)

    async def _submit(self, request: Request) -> Answer:
        return await self.provider.submit(await _read_call(request))

    async def _query(self, request: Request) -> Answer:
        return self.provider.query(await _read_call(request))

    async def _result(self, request: Request) -> Answer:
        given, key = request.query_params, request.path_params["key"]
        opens = self.provider.address_opens(
            request.url.path, expires=given.get("expires", ""), signature=given.get("signature", "")
        )
        # Only a sealed address has a number for certain.
        order = self.provider.render_order(key, int(request.path_params["index"])) if opens else None
        if order is not None:
            due = Answer(http_status=200, content=await self._gallery.png(order), content_type="image/png")
        elif opens:
            due = Answer(http_status=404, content=NO_SUCH_KEY, content_type="application/xml")
        else:
            due = Answer(http_status=403, content=ACCESS_DENIED, content_type="application/xml")
        return self.provider.download(key, due)

    async def _unrouted(self, request: Request, error: Exception) -> Response:
        """A wrong path or method is the gateway's business, except among files and pages."""
        if isinstance(error, HTTPException) and not request.url.path.startswith("/api/"):
            return Response(b"", error.status_code, error.headers)
        form = Refusal.NOT_FOUND.form(self.provider.config.gateway)
        return _as_response(self.provider.voice.refusal(form, request_id=new_request_id()))

    async def _broken(self, _request: Request, _error: Exception) -> Response:
        return _as_response(self.provider.voice.failure(Fault.INTERNAL_ERROR, request_id=new_request_id()))


def create_app(
    config: SimulatorConfig | None = None, *, clock: Callable[[], float] = time.time, fetch: Fetch = fetch_bytes
) -> SimulatorApp:
    """One simulated provider, with its own memory.

    Args:
        config: how it behaves.
        clock: unix seconds; every duration, expiry and window is measured on it.
        fetch: the bytes behind a picture's address; raises `OSError`, or `FaultError`, where there are none.

    Raises:
        ConfigurationError: a scenario's rule cannot be read.
    """
    return SimulatorApp(SimulatedProvider(config or SimulatorConfig(), clock=MovingClock(clock), fetch=fetch))


class _Answering:
    """An endpoint whose answer goes onto the wire as its delivery says."""

    def __init__(self, answer_to: Callable[[Request], Awaitable[Answer]]) -> None:
        self._answer_to = answer_to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer_to(Request(scope, receive))
        await WiredResponse(answer)(scope, receive, send)


def _catalogue_routes(directory: Path | str | None) -> list[BaseRoute]:
    return [Mount("/catalogue", StaticFiles(directory=directory))] if directory else []


def _as_response(answer: Answer) -> Response:
    headers = {"X-Ca-Request-Id": answer.request_id, **answer.headers}
    return Response(answer.payload(), answer.http_status, headers, media_type=answer.content_type)


async def _read_call(request: Request) -> Call:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_MAX_BYTES:
                break
    except ClientDisconnect:
        # A call whose sender went away while sending it is cut short, and judged like any other.
        pass
    credentials = Credentials(
        authorization=request.headers.get("authorization"), nonce=request.headers.get("x-ca-nonce")
    )
    return Call(
        credentials=credentials,
        content_type=request.headers.get("content-type"),
        body=bytes(body),
        base_url=str(request.base_url).rstrip("/"),
    )
