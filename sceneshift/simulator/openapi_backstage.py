"""The part of the OpenAPI document that is about the simulator's own addresses."""

from __future__ import annotations

from typing import Any, Final

from sceneshift.simulator.openapi_parts import Document, list_of, object_of, reference

_TEXT: Final[Document] = {"type": "string"}
_TEXT_OR_NULL: Final[Document] = {"type": ["string", "null"]}
_COUNT: Final[Document] = {"type": "integer", "minimum": 0}
_COUNT_OR_NULL: Final[Document] = {"type": ["integer", "null"], "minimum": 0}
_NUMBER_OR_NULL: Final[Document] = {"type": ["number", "null"]}
_TIME: Final[Document] = {"type": "number", "description": "Unix seconds on the simulator's clock."}
_HTTP_STATUS: Final[Document] = {"type": "integer", "description": "0 when the caller got none."}


def _map(values: Document, description: str) -> Document:
    return {"type": "object", "additionalProperties": values, "description": description}


_EXCHANGE: Final[Document] = {"type": "string", "enum": ["submit", "query", "download"]}
_RULE: Final[Document] = {
    "type": "string",
    "description": "A scenario's name, then perhaps `=PROBABILITY`, then perhaps `@CALL`, `@FIRST-` or `@FIRST-LAST`.",
    "examples": ["submit-accept-then-drop=0.02", "query-500@3", "download-expired@1-2"],
}
_TOTALS: Final[Document] = {"charged": _COUNT, "accepted": _COUNT, "queries": _COUNT, "downloads": _COUNT}

BACKSTAGE_SCHEMAS: Final[Document] = {
    "Wishes": object_of(
        {
            "scenarios": list_of(_RULE, description="The rules that hold from now on, with calls counted anew."),
            "advance_seconds": {
                "type": "number",
                "minimum": 0,
                "exclusiveMaximum": 1e12,
                "description": "The clock is put forward by so much.",
            },
            "credits": {"type": "integer", "minimum": 0, "description": "The new balance."},
            "forget_nonces": {"type": "boolean", "description": "The gateway has lost its memory of used nonces."},
            "forget_results": {"type": "boolean", "description": "The provider has lost every `result_key`."},
        },
        required=[],
        additionalProperties=False,
        description="Changes to the running simulator; what is absent stays as it is.",
    ),
    "Refusal": object_of({"error": _TEXT}),
    "Scenario": object_of(
        {
            "name": _TEXT,
            "exchange": {"type": "string", "enum": ["submit", "query", "task", "download"]},
            "behaviour": {"type": "string", "description": "What the provider does."},
            "reaction": {"type": "string", "description": "What Sceneshift does about it."},
        }
    ),
    "StateTask": object_of(
        {
            "image": _TEXT,
            "mask": _TEXT,
            "positive_prompt": _TEXT,
            "negative_prompt": _TEXT_OR_NULL,
            "guidance_scale": _NUMBER_OR_NULL,
            "strength": {"type": "number"},
            "seed": {"type": ["integer", "null"]},
            "steps": _COUNT,
            "num_output": _COUNT,
            "seed_drawn": {"type": "integer", "description": "The seed that holds, given or drawn."},
            "first_index": {"type": "integer", "minimum": 0, "description": "The number of its first image."},
            "status": _TEXT,
            "ends_at": {**_NUMBER_OR_NULL, "description": "Unix seconds; null for a task that never ends."},
            "results": list_of(_TEXT),
        },
        required=[
            "image",
            "mask",
            "positive_prompt",
            "strength",
            "steps",
            "num_output",
            "status",
            "ends_at",
            "results",
        ],
    ),
    "StateSubmission": object_of(
        {
            "result_key": _TEXT,
            "accepted_at": _TIME,
            "nonce": _TEXT_OR_NULL,
            "scenario": {**_TEXT_OR_NULL, "description": "The one that its call met, if any."},
            "tasks": list_of(reference("StateTask")),
        }
    ),
    "StateExchange": object_of(
        {
            "number": _COUNT,
            "time": _TIME,
            "exchange": _EXCHANGE,
            "http_status": _HTTP_STATUS,
            "said": _TEXT,
            "result_key": _TEXT_OR_NULL,
            "scenario": _TEXT_OR_NULL,
        }
    ),
    "State": object_of(
        {
            "now": _TIME,
            "provider_url": _TEXT,
            "settings": {"type": "object"},
            "credits": {**_COUNT_OR_NULL, "description": "Null is without end."},
            "running": _COUNT,
            "scenarios": list_of(_RULE),
            "struck": _map(_COUNT, "How often each scenario was met since the rules changed."),
            "totals": object_of({**_TOTALS, "submits": _COUNT}),
            "submissions": list_of(reference("StateSubmission"), description="The last 50, the newest first."),
            "exchanges": list_of(reference("StateExchange"), description="The last 200, the newest first."),
        }
    ),
    "LedgerTotals": object_of(_TOTALS),
    "Ledger": object_of(
        {
            **_TOTALS,
            "submits": list_of(reference("LedgerSubmit")),
            "nonces": _map(reference("NonceAccount"), "By nonce, in order of first use."),
            "keys": _map(reference("KeyAccount"), "By `result_key`, given out or asked about."),
        }
    ),
    "LedgerSubmit": object_of(
        {
            "time": _TIME,
            "nonce": _TEXT_OR_NULL,
            "accepted": {"type": "boolean", "description": "It was taken, whatever its caller was told."},
            "http_status": _HTTP_STATUS,
            "error_code": _TEXT_OR_NULL,
            "result_key": _TEXT_OR_NULL,
            "charged": _COUNT,
            "image": _TEXT_OR_NULL,
            "mask": _TEXT_OR_NULL,
            "positive_prompt": _TEXT_OR_NULL,
            "scenario": _TEXT_OR_NULL,
        }
    ),
    "NonceAccount": object_of(
        {"submits": _COUNT, "accepted": _COUNT, "charged": _COUNT, "result_keys": list_of(_TEXT)}
    ),
    "KeyAccount": object_of({"nonce": _TEXT_OR_NULL, "charged": _COUNT, "queries": _COUNT, "downloads": _COUNT}),
}


def _answer(description: str, content_type: str = "", schema: Document | None = None) -> Document:
    if not content_type:
        return {"description": description}
    return {"description": description, "content": {content_type: {"schema": schema or {"type": "string"}}}}


def _json(description: str, schema: Document) -> Document:
    return _answer(description, "application/json", schema)


def _operation(name: str, summary: str, responses: Document, **more: Any) -> Document:
    return {"operationId": name, "tags": ["simulator"], "summary": summary, "responses": responses, **more}


def _get(name: str, summary: str, responses: Document, **more: Any) -> Document:
    return {"get": _operation(name, summary, responses, **more)}


def _parameter(name: str, place: str, schema: Document, *, required: bool = True) -> Document:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _part(name: str, content_type: str) -> Document:
    return _get(name, "A part of the page", {"200": _answer("As a file.", content_type)})


_PICTURE: Final[Document] = {
    "description": "The picture.",
    "content": {kind: {} for kind in ("image/png", "image/jpeg", "image/webp")},
}

BACKSTAGE_PATHS: Final[Document] = {
    "/results/{result_key}/{index}.png": _get(
        "download",
        "A result image, by the address that a query gave",
        {
            "200": _answer("The image.", "image/png", {}),
            "403": _answer("The address is not genuine, or has expired.", "application/xml"),
            "404": _answer("There is no such image any more.", "application/xml"),
        },
        parameters=[
            _parameter("result_key", "path", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
            _parameter("index", "path", {"type": "integer", "minimum": 0}),
            _parameter("expires", "query", {"type": "string"}),
            _parameter("signature", "query", {"type": "string"}),
        ],
    ),
    "/_sim/state": _get("state", "What the page shows", {"200": _json("The state.", reference("State"))}),
    "/_sim/ledger": _get(
        "ledger",
        "What was submitted, charged, asked and fetched",
        {"200": _json("All of it, or the sums.", {"anyOf": [reference("Ledger"), reference("LedgerTotals")]})},
        parameters=[
            {
                **_parameter("totals", "query", {"type": "string", "enum": ["0", "1"]}, required=False),
                "description": "1 for the sums alone.",
            }
        ],
    ),
    "/_sim/scenarios": _get(
        "scenarios",
        "Every way in which this provider can misbehave",
        {"200": _json("All scenarios.", list_of(reference("Scenario")))},
    ),
    "/_sim/control": {
        "post": _operation(
            "control",
            "Change the behaviour from now on",
            {
                "200": _json("It is as wished.", object_of({"now": _TIME, "scenarios": list_of(_RULE)})),
                "400": _json("A wish cannot be fulfilled; nothing has changed.", reference("Refusal")),
                "403": _json("A browser sent it for a page from elsewhere.", reference("Refusal")),
                "415": _json("The body is not declared as JSON.", reference("Refusal")),
            },
            requestBody={"required": True, "content": {"application/json": {"schema": reference("Wishes")}}},
        )
    },
    "/_sim/pictures/{result_key}/{name}": _get(
        "picture",
        "A picture for the page, which no ledger counts and no scenario strikes",
        {"200": _PICTURE, "404": _answer("There is no such picture, or not yet, or not any more.")},
        parameters=[
            _parameter("result_key", "path", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
            {
                **_parameter("name", "path", {"type": "string", "pattern": "^(photo|mask|result)-[0-9]{1,4}$"}),
                "description": "`photo` and `mask` by the number of the task, `result` by that of the image.",
            },
        ],
    ),
    "/healthz": _get("health", "Whether it runs", {"200": _json("It does.", object_of({"status": {"const": "ok"}}))}),
    "/openapi.json": _get("openapi", "This document", {"200": _json("The document.", {"type": "object"})}),
    "/": _part("page", "text/html"),
    "/_sim/page.css": _part("page_style", "text/css"),
    "/_sim/page.js": _part("page_script", "text/javascript"),
    "/_sim/page_words.js": _part("page_words", "text/javascript"),
    "/_sim/page.svg": _part("page_icon", "image/svg+xml"),
}
