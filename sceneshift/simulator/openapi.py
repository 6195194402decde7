"""The OpenAPI 3.1 document of this server: the provider's two endpoints, and the simulator's own addresses.

The provider publishes none. This one says what its document says, so that other tools can make clients and calls.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from sceneshift.simulator.answers import Fault, Voice
from sceneshift.simulator.config import API_PREFIX, SimulatorConfig
from sceneshift.simulator.gateway_forms import FORMS
from sceneshift.simulator.openapi_backstage import BACKSTAGE_PATHS, BACKSTAGE_SCHEMAS
from sceneshift.simulator.openapi_parts import Document, list_of, object_of, reference

_SAMPLE_REQUEST_ID: Final = "6438DD42-1EC3-4EA0-9FAE-484C18C839D7"

_ITEM_FIELDS: Final[Document] = {
    "image": {
        "type": "string",
        "pattern": r"^https?://[^/?#\s]+",
        "description": "The product photo, as a public http or https address: JPEG, PNG or WEBP, each side from 400 to "
        "4096 pixels.",
        "examples": ["https://img.alicdn.com/abc.png"],
    },
    "mask": {
        "type": "string",
        "pattern": r"^https?://[^/?#\s]+",
        "description": "Which part of the photo is the product, as an image of the same size.",
        "examples": ["https://img.alicdn.com/abc.png"],
    },
    "positive_prompt": {
        "type": "string",
        "maxLength": 500,
        "pattern": r"\S",
        "description": "What the new background shows.",
        "examples": ["The perfume bottle is placed on soft pale yellow silk."],
    },
    "negative_prompt": {
        "type": ["string", "null"],
        "maxLength": 500,
        "description": "What it does not show.",
        "examples": ["NSFW"],
    },
    "guidance_scale": {
        "type": ["number", "null"],
        "description": "How closely the prompt is followed; 7.5 when absent. No range is known.",
        "examples": [7.5],
    },
    "strength": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "examples": [0.5]},
    "seed": {
        "type": ["integer", "null"],
        "description": "Drawn when absent. Integers are written without a decimal point.",
        "examples": [0],
    },
    "steps": {"type": "integer", "minimum": 15, "maximum": 50, "examples": [50]},
    "num_output": {
        "type": "integer",
        "minimum": 1,
        "maximum": 4,
        "description": "How many images are made.",
        "examples": [3],
    },
}
_REQUIRED: Final = ["image", "mask", "positive_prompt", "strength", "steps", "num_output"]
"""Where the provider's document is illegible, the stricter reading holds."""


def _wrapped(data: Document) -> Document:
    """A request body: everything is under `data`."""
    return object_of({"data": data})


def _envelope(data: Document, *, success: bool) -> Document:
    return object_of(
        {
            "success": {"const": success},
            "code": {"type": "integer", "description": "0 for success under reading B, 23500000 under reading A."},
            "message": {"type": "string"},
            "requestId": {"type": "string", "pattern": "^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$"},
            "severity": {"type": "string"},
            "data": data,
        }
    )


_KEY: Final[Document] = {"type": "string", "description": "Stands for all items of one submission."}
_WAITING_ITEM: Final = object_of(
    {**_ITEM_FIELDS, "status": {"const": "WAITING"}},
    required=[*_REQUIRED, "status"],
    description="What was ordered, repeated.",
)
_ASKED_ITEM: Final = object_of(
    {
        **_ITEM_FIELDS,
        "status": {"type": "string", "enum": ["WAITING", "RUNNING", "SUCCESS", "FAILED"]},
        "message": {"type": "string", "description": "`success`, or why it failed; absent until the end."},
        "results": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The addresses of the images, which expire; empty unless the status is SUCCESS.",
        },
    },
    required=[*_REQUIRED, "status", "results"],
)
_SCHEMAS: Final[Document] = {
    "Item": object_of(_ITEM_FIELDS, required=_REQUIRED),
    "Submission": _wrapped(object_of({"task_list": list_of(reference("Item"), minItems=1, maxItems=10)})),
    "Question": _wrapped(object_of({"result_key": {**_KEY, "pattern": r"\S", "examples": ["fdfd"]}})),
    "Accepted": _envelope(object_of({"result_key": _KEY, "task_list": list_of(_WAITING_ITEM)}), success=True),
    "Progress": _envelope(object_of({"result_key": _KEY, "task_list": list_of(_ASKED_ITEM)}), success=True),
    "Error": _envelope({"type": "null"}, success=False),
}

_NONCE: Final[Document] = {
    "name": "X-Ca-Nonce",
    "in": "header",
    "required": True,
    "description": "Another one with every request, such as a UUID; each is taken once in 15 minutes.",
    "schema": {"type": "string", "minLength": 1},
}
_HEADERS: Final[Document] = {
    "X-Ca-Request-Id": {"description": "The gateway's id of the call.", "schema": {"type": "string"}},
    "X-Ca-Error-Code": {"description": "Why the gateway refused; newer ones only.", "schema": {"type": "string"}},
    "X-Ca-Error-Message": {"description": "Why the gateway refused, as a text.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait, where it is sent.", "schema": {"type": "string"}},
}


def openapi_document(config: SimulatorConfig) -> Document:
    """The whole document. Error codes are those of the reading in `config`; statuses are those of both gateways."""
    voice = Voice(config.reading, config.gateway)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Simulated background replacement",
            "version": "1",
            "description": "Two operations of the provider, and the simulator's own addresses, which the real provider "
            "does not have. Where a status has no body, the gateway answered for itself: its headers say why.",
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "provider", "description": "As the provider's document describes it."},
            {"name": "simulator", "description": "The simulator's own."},
        ],
        "paths": {
            f"{API_PREFIX}/submit": {"post": _operation("submit", "Order images", "Submission", "Accepted", voice)},
            f"{API_PREFIX}/query": {"post": _operation("query", "Ask about an order", "Question", "Progress", voice)},
            **BACKSTAGE_PATHS,
        },
        "components": {
            "schemas": {**_SCHEMAS, **BACKSTAGE_SCHEMAS},
            "headers": _HEADERS,
            "parameters": {"Nonce": _NONCE},
            "securitySchemes": {
                "AppCode": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "The word `APPCODE`, one space, and the AppCode.",
                }
            },
        },
    }


def openapi_route(config: SimulatorConfig) -> BaseRoute:
    """The document at `/openapi.json`."""
    return Route("/openapi.json", JSONResponse(openapi_document(config)), methods=["GET"])


def _operation(name: str, summary: str, asked: str, answered: str, voice: Voice) -> Document:
    statuses = sorted({*(fault.http_status for fault in Fault), *(form.http_status for form in FORMS.values())})
    success = {
        "description": "The images are ordered and charged for." if name == "submit" else "How far the order is.",
        "headers": {"X-Ca-Request-Id": _header("X-Ca-Request-Id")},
        "content": {"application/json": {"schema": reference(answered)}},
    }
    return {
        "operationId": name,
        "tags": ["provider"],
        "summary": summary,
        "security": [{"AppCode": []}],
        "parameters": [{"$ref": "#/components/parameters/Nonce"}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": reference(asked)}}},
        "responses": {"200": success, **{str(status): _error(status, voice) for status in statuses}},
    }


def _error(status: int, voice: Voice) -> Document:
    """What this status means: with a body, a row of the provider's table; without one, the gateway."""
    rows = {
        fault.slug: {"value": voice.failure(fault, request_id=_SAMPLE_REQUEST_ID).body}
        for fault in Fault
        if fault.http_status == status
    }
    forms = [
        f"`{form.code or form.message or 'neither code nor text'}`"
        for form in FORMS.values()
        if form.http_status == status
    ]
    said = ["the provider's error, as a body"] if rows else []
    said += [f"the gateway's, without a body: {', '.join(dict.fromkeys(forms))}"] if forms else []
    headers = ["X-Ca-Request-Id"] + (["X-Ca-Error-Code", "X-Ca-Error-Message"] if forms else [])
    headers += ["Retry-After"] if status in {403, 429} else []
    response: Document = {
        "description": _sentence("; or ".join(said)),
        "headers": {name: _header(name) for name in headers},
    }
    if rows:
        response["content"] = {"application/json": {"schema": reference("Error"), "examples": rows}}
    return response


def _header(name: str) -> Document:
    return {"$ref": f"#/components/headers/{name}"}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
