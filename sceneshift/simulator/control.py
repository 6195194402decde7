"""Backstage: the ledger, what a page shows, and a way to change the provider's behaviour while it runs.

These addresses are the simulator's own; the real provider has nothing like them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sceneshift.errors import ConfigurationError
from sceneshift.simulator.config import API_PREFIX
from sceneshift.simulator.journal import shortened
from sceneshift.simulator.ledger import SubmitEntry
from sceneshift.simulator.ledger_document import LedgerDocument
from sceneshift.simulator.origins import is_foreign
from sceneshift.simulator.scenarios.catalogue import SCENARIOS
from sceneshift.simulator.service import SimulatedProvider
from sceneshift.simulator.submissions import status_word

SUBMISSIONS_SHOWN: Final = 50
_CALLS_LOOKED_THROUGH: Final = 1000
_BODY_MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Changes to a running simulator; what is None stays as it is.

    Attributes:
        scenarios: the rules that hold from now on, with calls counted anew.
        advance_seconds: the clock is put forward by so much.
        credits: the new balance.
        forget_nonces: the gateway has lost its memory of used nonces.
        forget_results: the provider has lost every `result_key`.
    """

    scenarios: tuple[str, ...] | None = None
    advance_seconds: float | None = None
    credits: int | None = None
    forget_nonces: bool = False
    forget_results: bool = False


def read_wishes(document: Any) -> Wishes:
    """The wishes in a JSON document, or in keyword arguments.

    Raises:
        ConfigurationError: it is no object, names something unknown, or has a value of a wrong type.
    """
    known: dict[str, Callable[[Any], bool]] = {
        "scenarios": lambda value: isinstance(value, list | tuple) and all(isinstance(rule, str) for rule in value),
        "advance_seconds": lambda value: _is_number(value) and value >= 0,
        "credits": lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
        "forget_nonces": lambda value: isinstance(value, bool),
        "forget_results": lambda value: isinstance(value, bool),
    }
    if not isinstance(document, Mapping):
        raise ConfigurationError(f"give a JSON object with some of {', '.join(known)}")
    for name, value in document.items():
        if name not in known:
            raise ConfigurationError(f"{name!r} cannot be changed; there are {', '.join(known)}")
        if not known[name](value):
            raise ConfigurationError(f"{name}: {json.dumps(value, default=repr)[:80]} is not a value for it")
    rules = document.get("scenarios")
    return Wishes(**{**document, "scenarios": None if rules is None else tuple(rules)})


def fulfil(wishes: Wishes, provider: SimulatedProvider) -> None:
    """The provider behaves as wished from now on.

    Raises:
        ConfigurationError: a rule cannot be read; nothing has changed.
    """
    if wishes.scenarios is not None:
        provider.director.direct(wishes.scenarios)
    if wishes.advance_seconds:
        provider.clock.advance(wishes.advance_seconds)
    if wishes.credits is not None:
        provider.credits.balance = wishes.credits
    if wishes.forget_nonces:
        provider.door.nonces.forget()
    if wishes.forget_results:
        provider.book.forget()


def state_of(provider: SimulatedProvider, base_url: str) -> dict[str, Any]:
    """What a page shows: the behaviour, the sums, the latest submissions with their images, the latest exchanges."""
    now, config = provider.clock(), provider.config
    settings = {name: getattr(config, name) for name in _SHOWN_SETTINGS}
    calls = _accepted_calls(provider)
    return {
        "now": now,
        "provider_url": base_url + API_PREFIX,
        "settings": settings,
        "credits": provider.credits.balance,
        "running": provider.book.running(now),
        "scenarios": list(provider.director.rules),
        "struck": dict(provider.director.struck),
        "totals": {**provider.ledger.totals(), "submits": len(provider.ledger.submits)},
        "submissions": [
            {
                "result_key": key,
                "accepted_at": submission.accepted_at,
                "nonce": _nonce_of(calls.get(key)),
                "scenario": calls[key].scenario if key in calls else None,
                "tasks": [
                    {
                        **task.order.echo,
                        "image": shortened(task.order.image),
                        "mask": shortened(task.order.mask),
                        "seed_drawn": task.seed,
                        "first_index": task.first_index,
                        "status": (status := status_word(task, submission, now)),
                        "ends_at": task.timeline.ends_at if math.isfinite(task.timeline.ends_at) else None,
                        "results": provider.result_addresses(base_url, key, task) if status == "SUCCESS" else [],
                    }
                    for task in submission.tasks
                ],
            }
            for key, submission in provider.book.latest(SUBMISSIONS_SHOWN)
        ],
        "exchanges": [asdict(entry) for entry in provider.journal.latest()],
    }


_SHOWN_SETTINGS: Final = (
    "reading",
    "gateway",
    "nonces",
    "seed",
    "median_seconds",
    "failure_rate",
    "result_lifetime_seconds",
    "retention_seconds",
    "mask_keeps",
    "submit_rate",
    "query_rate",
    "max_running",
    "quality",
    "throttled_by",
    "retry_after_seconds",
)


def _accepted_calls(provider: SimulatedProvider) -> dict[str, SubmitEntry]:
    """The calls that the latest submissions came with, as far as they are among the last thousand."""
    latest = islice(reversed(provider.ledger.submits), _CALLS_LOOKED_THROUGH)
    return {entry.result_key: entry for entry in latest if entry.result_key}


def _nonce_of(call: SubmitEntry | None) -> str | None:
    return shortened(call.nonce) if call and call.nonce else None


def control_routes(provider: SimulatedProvider) -> list[BaseRoute]:
    """The simulator's own addresses."""
    document = LedgerDocument(provider.ledger)

    async def ledger(request: Request) -> Response:
        if request.query_params.get("totals") == "1":
            return JSONResponse(provider.ledger.totals())
        return Response(await document.as_bytes(), media_type="application/json")

    async def state(request: Request) -> Response:
        return JSONResponse(state_of(provider, str(request.base_url).rstrip("/")))

    async def control(request: Request) -> Response:
        if is_foreign(request.headers.get("origin"), request.headers.get("host", "")):
            return JSONResponse({"error": "a page of another origin may not change this simulator"}, 403)
        # A form of such a page, from a browser that names no origin, cannot have this type.
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return JSONResponse({"error": "send application/json"}, 415)
        try:
            fulfil(read_wishes(_json(await _body(request))), provider)
        except ConfigurationError as error:
            return JSONResponse({"error": error.message}, 400)
        return JSONResponse({"now": provider.clock(), "scenarios": list(provider.director.rules)})

    async def scenarios(_request: Request) -> Response:
        return JSONResponse([each.as_json() for each in SCENARIOS.values()])

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return [
        Route("/_sim/ledger", ledger, methods=["GET"]),
        Route("/_sim/state", state, methods=["GET"]),
        Route("/_sim/control", control, methods=["POST"]),
        Route("/_sim/scenarios", scenarios, methods=["GET"]),
        Route("/healthz", healthz, methods=["GET"]),
    ]


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY_MAX_BYTES:
                raise ConfigurationError(f"the body has more than {_BODY_MAX_BYTES} bytes")
    except ClientDisconnect:
        raise ConfigurationError("the body broke off") from None
    return bytes(body)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ConfigurationError("the body is not JSON") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12  # noqa: PLR2004
