"""What the provider says: its envelope, its table of errors, and its gateway's headers, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final
from uuid import uuid4

from sceneshift.simulator.config import Gateway, Reading
from sceneshift.simulator.deliveries import Delivery, Whole
from sceneshift.simulator.gateway_forms import GatewayForm

_OK: Final = 200
_SUCCESS_CODES: Final[dict[Reading, int]] = {"A": 23500000, "B": 0}


class Fault(Enum):
    """A row of the provider's error table: HTTP status, code under reading B, code under reading A, message."""

    INTERNAL_ERROR = (500, 23500000, 23500001, "Internal server error")
    UNAUTHORIZED = (401, 23500001, 23500002, "Authorization required to perform current operation")
    UNKNOWN_SERVICE = (404, 23500002, 23500003, "Specified service does not exist")
    CREDITS_EXHAUSTED = (403, 23500003, 23500004, "User credit points are exhausted")
    THROTTLED = (403, 23500004, 23500005, "Request was denied due to request throttling")
    CONTENT_REJECTED = (403, 23500005, 23500006, "The image did not pass the content compliance check")
    IMAGE_UNREACHABLE = (400, 23500006, 23500007, "The image url provided is invalid or non-accessible")
    IMAGE_UNFIT = (400, 23500007, 23500008, "The uploaded image does not meet the requirements")
    NO_RECORD = (400, 23500008, 23500009, "No records found related to the specified resultKey parameter")
    PARAMETER_EMPTY = (400, 23500009, 23500010, "Required parameters cannot be empty")
    EXECUTION_FAILED = (500, 23500011, 23500011, "Job execution failed")
    BODY_MISSING = (400, 23500012, 23500012, "Required request body is missing")
    PARAMETER_ILLEGAL = (400, 23500013, 23500013, "Illegal input parameter found")
    ILLEGAL_SERVICE = (400, 23500014, 23500014, "Illegal service name")

    @property
    def http_status(self) -> int:
        return self.value[0]

    def code(self, reading: Reading) -> int:
        return self.value[1] if reading == "B" else self.value[2]

    @property
    def message(self) -> str:
        return self.value[3]

    @property
    def slug(self) -> str:
        """The row's name in scenarios."""
        return self.name.lower().replace("_", "-")


class FaultError(Exception):
    """Raised while a call is being worked on, when its answer is a row of the error table."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, before it becomes bytes.

    `content`, when given, is sent in place of the JSON of `body`; with neither, the body is empty.
    """

    http_status: int
    request_id: str = ""
    body: dict[str, Any] | None = None
    content: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = field(default_factory=Whole)

    @property
    def is_success(self) -> bool:
        return self.http_status == _OK

    @property
    def error_code(self) -> str | None:
        """The code of an error answer: the gateway's, or its text where it has no codes, or the body's; else None."""
        gateway = self.headers.get("X-Ca-Error-Code") or self.headers.get("X-Ca-Error-Message")
        if gateway:
            return gateway
        failed = self.body is not None and self.body.get("success") is False
        return str(self.body["code"]) if failed and self.body else None

    def payload(self) -> bytes:
        """The body as it is sent."""
        if self.content is not None:
            return self.content
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode() if self.body else b""

    def changed(self, **changes: Any) -> Answer:
        """The same answer with these parts replaced."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Voice:
    """How this provider speaks: which codes it uses, and which generation of gateway stands before it."""

    reading: Reading
    gateway: Gateway

    def success(self, data: dict[str, Any], *, request_id: str) -> Answer:
        return Answer(
            http_status=_OK,
            request_id=request_id,
            body={
                "success": True,
                "code": _SUCCESS_CODES[self.reading],
                "message": "success",
                "requestId": request_id,
                "severity": "info",
                "data": data,
            },
        )

    def failure(self, fault: Fault, *, request_id: str) -> Answer:
        return Answer(
            http_status=fault.http_status,
            request_id=request_id,
            body={
                "success": False,
                "code": fault.code(self.reading),
                "message": fault.message,
                "requestId": request_id,
                "severity": "error",
                "data": None,
            },
        )

    def refusal(self, form: GatewayForm, *, request_id: str) -> Answer:
        """The gateway's own answer: headers, and no body."""
        headers = {"X-Ca-Error-Message": form.message} if form.message else {}
        if form.code:
            headers["X-Ca-Error-Code"] = form.code
        return Answer(http_status=form.http_status, request_id=request_id, headers=headers)


def new_request_id() -> str:
    """An id as the provider prints them: a UUID in capitals."""
    return str(uuid4()).upper()
