"""How the provider answers: its envelope and its table of errors (reading B, in which success is 0)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import uuid4

from sceneshift.simulator.gateway import GatewayRefusal


class Fault(Enum):
    """A row of the provider's error table: HTTP status, code, message."""

    INTERNAL_ERROR = (500, 23500000, "Internal server error")
    UNAUTHORIZED = (401, 23500001, "Authorization required to perform current operation")
    UNKNOWN_SERVICE = (404, 23500002, "Specified service does not exist")
    CREDITS_EXHAUSTED = (403, 23500003, "User credit points are exhausted")
    THROTTLED = (403, 23500004, "Request was denied due to request throttling")
    CONTENT_REJECTED = (403, 23500005, "The image did not pass the content compliance check")
    IMAGE_UNREACHABLE = (400, 23500006, "The image url provided is invalid or non-accessible")
    IMAGE_UNFIT = (400, 23500007, "The uploaded image does not meet the requirements")
    NO_RECORD = (400, 23500008, "No records found related to the specified resultKey parameter")
    PARAMETER_EMPTY = (400, 23500009, "Required parameters cannot be empty")
    EXECUTION_FAILED = (500, 23500011, "Job execution failed")
    BODY_MISSING = (400, 23500012, "Required request body is missing")
    PARAMETER_ILLEGAL = (400, 23500013, "Illegal input parameter found")
    ILLEGAL_SERVICE = (400, 23500014, "Illegal service name")

    @property
    def http_status(self) -> int:
        return self.value[0]

    @property
    def code(self) -> int:
        return self.value[1]

    @property
    def message(self) -> str:
        return self.value[2]


class FaultError(Exception):
    """Raised while a call is being worked on, when its answer is a row of the error table."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the API, before it becomes bytes."""

    http_status: int
    request_id: str
    body: dict[str, Any] | None
    gateway_code: str | None = None
    gateway_message: str | None = None


def new_request_id() -> str:
    """An id as the provider prints them: a UUID in capitals."""
    return str(uuid4()).upper()


def success(data: dict[str, Any], *, request_id: str) -> Answer:
    body = {"success": True, "code": 0, "message": "success", "requestId": request_id, "severity": "info", "data": data}
    return Answer(http_status=200, request_id=request_id, body=body)


def failure(fault: Fault, *, request_id: str) -> Answer:
    body = {
        "success": False,
        "code": fault.code,
        "message": fault.message,
        "requestId": request_id,
        "severity": "error",
        "data": None,
    }
    return Answer(http_status=fault.http_status, request_id=request_id, body=body)


def refused(refusal: GatewayRefusal, *, request_id: str) -> Answer:
    """The gateway's answer: headers, and no body."""
    return Answer(
        http_status=refusal.http_status,
        request_id=request_id,
        body=None,
        gateway_code=refusal.code,
        gateway_message=refusal.message,
    )
