"""The provider's document as data: an oracle for its client and for its simulator, which imports neither.

What the scan leaves legible is here as it stands there. Where a sample has a value that cannot be read, one of the same
kind stands in its place, and a remark says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

APPCODE_HEADER: Final = "Authorization"
APPCODE_PREFIX: Final = "APPCODE "
NONCE_HEADER: Final = "X-Ca-Nonce"
CONTENT_TYPE: Final = "application/json"
SUBMIT_PATH: Final = "/api/v1/bg-rep/submit"
QUERY_PATH: Final = "/api/v1/bg-rep/query"

# Samples

ITEM: Final[dict[str, Any]] = {
    "image": "https://img.alicdn.com/abc.png",
    "mask": "https://img.alicdn.com/abc.png",
    # Four or five Chinese characters that cannot be read.
    "positive_prompt": "蓝天白云",
    "negative_prompt": "NSFW",
    "guidance_scale": 7.5,
    "strength": 0.5,
    "seed": 0,
    "steps": 50,
    "num_output": 3,
}
RESULT_KEY: Final = "6c8d2f2c0a254b1e915d8ade38aacb51"
RESULTS: Final = [f"https://img.alicdn.com/abc-{number}.png" for number in range(3)]
"""The sample has three addresses of `.png` files, which cannot be read."""

SUBMIT_REQUEST: Final[dict[str, Any]] = {"data": {"task_list": [ITEM]}}
SUBMIT_ANSWER: Final[dict[str, Any]] = {
    "success": True,
    "code": 0,
    "message": "success",
    "requestId": "6438DD42-1EC3-4EA0-9FAE-484C18C839D7",
    "severity": "info",
    "data": {"result_key": RESULT_KEY, "task_list": [{**ITEM, "status": "WAITING"}]},
}
QUERY_REQUEST: Final[dict[str, Any]] = {"data": {"result_key": "fdfd"}}
QUERY_ANSWER: Final[dict[str, Any]] = {
    "success": True,
    "code": 0,
    "message": "success",
    # Its last three groups cannot be read.
    "requestId": "6FFE8C0E-A90F-4FF7-8000-000000000000",
    "severity": "info",
    "data": {
        "result_key": RESULT_KEY,
        "task_list": [{**ITEM, "status": "SUCCESS", "message": "success", "results": RESULTS}],
    },
}
ERROR_ANSWER: Final[dict[str, Any]] = {
    "success": False,
    "code": 23500001,
    "message": "Authorization required to perform current operation",
    # Its end cannot be read; it is in small letters.
    "requestId": "415018a6-0000-4000-8000-000000000000",
    "severity": "error",
}
DAMAGED_SUCCESS_CODE: Final = 9
"""What the scan prints where the samples have their 0."""
SUCCESS_CODES: Final = (0, "0", DAMAGED_SUCCESS_CODE, str(DAMAGED_SUCCESS_CODE))

ENVELOPE_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "success": (bool,),
    "code": (int, str),
    "message": (str,),
    "requestId": (str,),
    "severity": (str,),
}
ITEM_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "image": (str,),
    "mask": (str,),
    "positive_prompt": (str,),
    "negative_prompt": (str,),
    "guidance_scale": (float,),
    "strength": (float,),
    "seed": (int,),
    "steps": (int,),
    "num_output": (int,),
    "status": (str,),
}
PENDING_STATUSES: Final = ("WAITING", "RUNNING")

# Errors

Reading = Literal["A", "B"]
Class = Literal[
    "ok", "transient", "auth", "config", "account", "throttle", "content", "input", "unfit", "empty", "query", "job"
]


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """A row of the table: status and message are certain, the code has two readings."""

    http_status: int
    message: str
    code_b: int
    code_a: int
    class_: Class

    def code(self, reading: Reading) -> int:
        return self.code_b if reading == "B" else self.code_a

    def answer(self, reading: Reading) -> dict[str, Any]:
        """The error answer that this row stands for."""
        return {**ERROR_ANSWER, "code": self.code(reading), "message": self.message}


TABLE: Final = (
    ErrorRow(200, "success", 0, 23500000, "ok"),
    ErrorRow(500, "Internal server error", 23500000, 23500001, "transient"),
    ErrorRow(401, "Authorization required to perform current operation", 23500001, 23500002, "auth"),
    ErrorRow(404, "Specified service does not exist", 23500002, 23500003, "config"),
    ErrorRow(403, "User credit points are exhausted", 23500003, 23500004, "account"),
    ErrorRow(403, "Request was denied due to request throttling", 23500004, 23500005, "throttle"),
    ErrorRow(403, "The image did not pass the content compliance check", 23500005, 23500006, "content"),
    ErrorRow(400, "The image url provided is invalid or non-accessible", 23500006, 23500007, "input"),
    ErrorRow(400, "The uploaded image does not meet the requirements", 23500007, 23500008, "unfit"),
    ErrorRow(400, "No records found related to the specified resultKey parameter", 23500008, 23500009, "query"),
    ErrorRow(400, "Required parameters cannot be empty", 23500009, 23500010, "empty"),
    ErrorRow(500, "Job execution failed", 23500011, 23500011, "job"),
    ErrorRow(400, "Required request body is missing", 23500012, 23500012, "empty"),
    ErrorRow(400, "Illegal input parameter found", 23500013, 23500013, "empty"),
    ErrorRow(400, "Illegal service name", 23500014, 23500014, "config"),
)
ERRORS: Final = TABLE[1:]

# The gateway

Generation = Literal["classic", "newer"]
Action = Literal["back off", "account", "auth", "config", "permanent", "transient", "nonce"]


@dataclass(frozen=True, slots=True)
class GatewayForm:
    """An answer of the gateway, with an empty body.

    `may_have_started` says that the back end may have been called, with this request or an earlier one.
    """

    generation: Generation
    http_status: int
    code: str | None
    message: str | None
    may_have_started: bool
    action: Action

    @property
    def headers(self) -> dict[str, str]:
        given = {"X-Ca-Error-Code": self.code, "X-Ca-Error-Message": self.message}
        return {"X-Ca-Request-Id": "1D2C3B4A-0000-5000-8000-0123456789AB"} | {
            name: value for name, value in given.items() if value is not None
        }


def _classic(http_status: int, message: str | None, action: Action, *, may_have_started: bool = False) -> GatewayForm:
    return GatewayForm("classic", http_status, None, message, may_have_started, action)


def _newer(
    http_status: int, code: str, action: Action, *, message: str | None = None, may_have_started: bool = False
) -> GatewayForm:
    return GatewayForm("newer", http_status, code, message, may_have_started, action)


GATEWAY: Final = (
    *(_classic(403, f"Throttled by {who} Flow Control", "back off") for who in ("USER", "APP", "API", "DOMAIN")),
    *(_newer(429, f"T429{tail}", "back off") for tail in ("ID", "IN", "GR", "PA", "PR", "SR", "MR")),
    _classic(403, "Quota Exhausted", "account"),
    _classic(403, "Api Market Subscription quota exhausted", "account"),
    _newer(403, "B403MQ", "account"),
    _classic(403, "Quota Expired", "account"),
    _classic(403, "User Arrears", "account"),
    *(_newer(403, f"B403{tail}", "account") for tail in ("ME", "MI", "OD", "MO")),
    _classic(403, "Expiry of Authorization", "auth"),
    _newer(403, "A403EP", "auth"),
    _classic(403, "Unauthorized", "auth"),
    _classic(400, "Invalid AppCode `not exists`", "auth"),
    _newer(400, "A400AC", "auth"),
    _newer(401, "A401AC", "auth"),
    _newer(400, "A400MA", "auth"),
    _classic(400, "Invalid Domain", "config"),
    _classic(400, "Invalid Url", "config"),
    _newer(404, "I404DO", "config"),
    _newer(404, "I404NF", "config"),
    _classic(400, "Invalid Param Location", "permanent"),
    _classic(400, "Empty Request Body", "permanent"),
    _classic(400, "Invalid Request Body", "permanent"),
    # The document gives the beginning of these codes only.
    _newer(400, "I400XX", "permanent"),
    _newer(413, "I413RL", "permanent"),
    _newer(413, "I413UL", "permanent"),
    _newer(405, "I405UM", "config"),
    _classic(500, "Internal Error", "transient", may_have_started=True),
    _newer(500, "X500ER", "transient", may_have_started=True),
    _newer(503, "X503BZ", "transient", may_have_started=True),
    _classic(500, "Failed To Call Backend Service", "transient", may_have_started=True),
    _classic(503, "Service Unavailable", "transient", may_have_started=True),
    _newer(504, "D504CO", "transient", may_have_started=True),
    _newer(504, "D504RE", "transient", may_have_started=True),
    _newer(502, "D502FC", "transient", may_have_started=True),
    _classic(504, None, "transient", may_have_started=True),
    _newer(504, "D504TO", "transient", may_have_started=True),
    _newer(504, "X504TO", "transient", may_have_started=True),
    _newer(503, "D503CB", "transient"),
    _newer(503, "D503BB", "transient", may_have_started=True),
    _newer(400, "I400NC", "config", message="X-Ca-Nonce is required"),
    _classic(400, "X-Ca-Nonce is required", "config"),
    _newer(403, "S403NU", "nonce", message="Nonce Used", may_have_started=True),
    _classic(400, "Nonce Used", "nonce", may_have_started=True),
)
