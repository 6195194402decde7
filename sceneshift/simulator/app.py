"""The HTTP face of the simulated provider: bytes to calls, answers to bytes."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from sceneshift.simulator.answers import Answer, Fault, failure, new_request_id, refused
from sceneshift.simulator.config import API_PREFIX, SimulatorConfig
from sceneshift.simulator.gateway import BODY_MAX_BYTES, Credentials, GatewayRefusal
from sceneshift.simulator.results import ResultGallery
from sceneshift.simulator.service import Call, SimulatedProvider
from sceneshift.simulator.sources import Fetch, fetch_bytes

Endpoint = Callable[[Request], Awaitable[Response]]

_ACCESS_DENIED: Final = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>'
_NO_SUCH_KEY: Final = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code></Error>'


def create_app(
    config: SimulatorConfig | None = None, *, clock: Callable[[], float] = time.time, fetch: Fetch = fetch_bytes
) -> Starlette:
    """One simulated provider, with its own memory.

    Args:
        config: how it behaves.
        clock: unix seconds; every duration, expiry and window is measured on it.
        fetch: the bytes behind a picture's address; raises `FaultError` where there are none.
    """
    config = config or SimulatorConfig()
    provider = SimulatedProvider(config, clock=clock, fetch=fetch)
    gallery = ResultGallery()

    async def submit(request: Request) -> Response:
        return _response(await provider.submit(await _read_call(request)))

    async def query(request: Request) -> Response:
        return _response(provider.query(await _read_call(request)))

    async def ledger(_request: Request) -> Response:
        return JSONResponse(provider.ledger.as_json())

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    routes: list[BaseRoute] = [
        Route(f"{API_PREFIX}/submit", submit, methods=["POST"]),
        Route(f"{API_PREFIX}/query", query, methods=["POST"]),
        Route("/results/{key}/{index:int}.png", _result_endpoint(provider, gallery), methods=["GET"]),
        Route("/ledger", ledger, methods=["GET"]),
        Route("/healthz", healthz, methods=["GET"]),
        *_catalogue_routes(config.catalogue),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _unrouted, Exception: _broken})


def _catalogue_routes(directory: Path | None) -> list[BaseRoute]:
    return [Mount("/catalogue", StaticFiles(directory=directory))] if directory else []


def _result_endpoint(provider: SimulatedProvider, gallery: ResultGallery) -> Endpoint:
    async def result(request: Request) -> Response:
        given = request.query_params
        if not provider.address_opens(
            request.url.path, expires=given.get("expires", ""), signature=given.get("signature", "")
        ):
            return Response(_ACCESS_DENIED, 403, media_type="application/xml")
        order = provider.render_order(request.path_params["key"], request.path_params["index"])
        if order is None:
            return Response(_NO_SUCH_KEY, 404, media_type="application/xml")
        return Response(await gallery.png(order), media_type="image/png")

    return result


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


def _response(answer: Answer) -> Response:
    headers = {"X-Ca-Request-Id": answer.request_id}
    if answer.gateway_code and answer.gateway_message:
        headers |= {"X-Ca-Error-Code": answer.gateway_code, "X-Ca-Error-Message": answer.gateway_message}
    if answer.body is None:
        return Response(b"", answer.http_status, headers)
    content = json.dumps(answer.body, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(content, answer.http_status, headers, media_type="application/json")


async def _unrouted(request: Request, error: Exception) -> Response:
    """A wrong path or method is the gateway's business, except among static files."""
    if request.url.path.startswith("/catalogue/") and isinstance(error, HTTPException):
        return Response(b"", error.status_code)
    return _response(refused(GatewayRefusal.NOT_FOUND, request_id=new_request_id()))


async def _broken(_request: Request, _error: Exception) -> Response:
    return _response(failure(Fault.INTERNAL_ERROR, request_id=new_request_id()))
