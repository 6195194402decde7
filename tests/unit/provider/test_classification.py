"""Every row of the provider's error table and every form of its gateway, under both readings, on both endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from sceneshift.provider.classification import classify_item_message
from sceneshift.provider.protocol import ErrorKind, OutcomeUnknown, QueryFailed, Refused
from tests.unit.provider.recording import RESULT_KEY, Script, provider_on


@dataclass(frozen=True)
class Row:
    status: int
    message: str
    code_b: int
    code_a: int
    kind: ErrorKind
    refused: bool
    submit_kind: ErrorKind | None = None
    # By status and code alone, on submit and on query, for reading B and for reading A.
    wordless_b: tuple[ErrorKind, ErrorKind] | None = None
    wordless_a: tuple[ErrorKind, ErrorKind] | None = None

    def wordless(self, reading: str) -> tuple[ErrorKind, ErrorKind]:
        given = self.wordless_b if reading == "B" else self.wordless_a
        return given or (self.submit_kind or self.kind, self.kind)

    def code(self, reading: str) -> int:
        return self.code_b if reading == "B" else self.code_a


K = ErrorKind
ROWS = [
    Row(500, "Internal server error", 23500000, 23500001, K.TRANSIENT, refused=False),
    Row(401, "Authorization required to perform current operation", 23500001, 23500002, K.UNAUTHORIZED, refused=True),
    Row(404, "Specified service does not exist", 23500002, 23500003, K.MISCONFIGURED, refused=True),
    Row(
        403,
        "User credit points are exhausted",
        23500003,
        23500004,
        K.CREDITS_EXHAUSTED,
        refused=True,
        wordless_a=(K.THROTTLED, K.THROTTLED),
    ),
    Row(403, "Request was denied due to request throttling", 23500004, 23500005, K.THROTTLED, refused=True),
    Row(
        403,
        "The image did not pass the content compliance check",
        23500005,
        23500006,
        K.CONTENT_REJECTED,
        refused=True,
        wordless_b=(K.THROTTLED, K.THROTTLED),
    ),
    Row(
        400,
        "The image url provided is invalid or non-accessible",
        23500006,
        23500007,
        K.SOURCE_UNREACHABLE,
        refused=True,
        wordless_a=(K.SOURCE_UNFIT, K.SOURCE_UNFIT),
    ),
    Row(
        400,
        "The uploaded image does not meet the requirements",
        23500007,
        23500008,
        K.SOURCE_UNFIT,
        refused=True,
        wordless_a=(K.SOURCE_UNFIT, K.NO_RECORD),
    ),
    Row(
        400,
        "No records found related to the specified resultKey parameter",
        23500008,
        23500009,
        K.NO_RECORD,
        refused=True,
        submit_kind=K.MISCONFIGURED,
        wordless_b=(K.SOURCE_UNFIT, K.NO_RECORD),
        wordless_a=(K.INVALID_INPUT, K.NO_RECORD),
    ),
    Row(
        400,
        "Required parameters cannot be empty",
        23500009,
        23500010,
        K.INVALID_INPUT,
        refused=True,
        wordless_b=(K.INVALID_INPUT, K.NO_RECORD),
    ),
    Row(500, "Job execution failed", 23500011, 23500011, K.EXECUTION_FAILED, refused=False),
    Row(400, "Required request body is missing", 23500012, 23500012, K.INVALID_INPUT, refused=True),
    Row(400, "Illegal input parameter found", 23500013, 23500013, K.INVALID_INPUT, refused=True),
    Row(400, "Illegal service name", 23500014, 23500014, K.MISCONFIGURED, refused=True),
]

both_readings = pytest.mark.parametrize("reading", ["A", "B"])
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.message.replace(" ", "-"))


def _body(row: Row, reading: str, **changes: Any) -> dict[str, Any]:
    code = row.code(reading)
    return {"success": False, "code": code, "message": row.message, "requestId": "415018a6-1", "data": None} | changes


def _submit_verdict(response: httpx.Response) -> tuple[ErrorKind, bool]:
    outcome = provider_on(Script(response)).submit(b"{}", nonce="n-1")
    assert isinstance(outcome, Refused | OutcomeUnknown)
    assert outcome.error is not None
    return outcome.error.kind, isinstance(outcome, Refused)


def _query_kind(response: httpx.Response) -> ErrorKind:
    outcome = provider_on(Script(response)).query(RESULT_KEY)
    assert isinstance(outcome, QueryFailed)
    return outcome.error.kind


@every_row
@both_readings
def test_message_decides_on_submit(row: Row, reading: str) -> None:
    """SUB9: on submit, each documented error means the same whichever code stands beside its message."""
    verdict = _submit_verdict(httpx.Response(row.status, json=_body(row, reading)))
    assert verdict == (row.submit_kind or row.kind, row.refused)


@every_row
@both_readings
def test_message_decides_on_query(row: Row, reading: str) -> None:
    """On query, each documented error fails the question with its meaning, whichever code stands beside it."""
    assert _query_kind(httpx.Response(row.status, json=_body(row, reading, code=str(row.code(reading))))) == row.kind


@every_row
@both_readings
def test_failure_inside_a_200_is_refused_by_its_message(row: Row, reading: str) -> None:
    """SUB10: a 200 that says `success: false` is a refusal when its message is a known one."""
    verdict = _submit_verdict(httpx.Response(200, json=_body(row, reading)))
    assert verdict == (row.submit_kind or row.kind, row.refused)


@every_row
@both_readings
def test_failure_inside_a_200_with_a_code_only_is_unknown(row: Row, reading: str) -> None:
    """A code without its HTTP status is no evidence of a refusal."""
    _, refused = _submit_verdict(httpx.Response(200, json=_body(row, reading, message="")))
    assert not refused


@every_row
@both_readings
@pytest.mark.parametrize("message", [None, "", 7, "something new"])
def test_status_and_code_decide_without_a_usable_message(row: Row, reading: str, message: object) -> None:
    """Without a usable message, status and code are read together, by endpoint, in a way that no reading harms."""
    response = httpx.Response(row.status, json=_body(row, reading, message=message))
    on_submit, on_query = row.wordless(reading)
    assert _submit_verdict(response) == (on_submit, row.refused)
    assert _query_kind(httpx.Response(row.status, json=_body(row, reading, message=message))) == on_query


@dataclass(frozen=True)
class Gateway:
    status: int
    code: str
    message: str
    kind: ErrorKind
    refused: bool


GATEWAY = [
    *(
        Gateway(403, "", f"Throttled by {who} Flow Control", K.THROTTLED, True)
        for who in ("USER", "APP", "API", "DOMAIN")
    ),
    *(
        Gateway(429, f"T429{tail}", "Throttled", K.THROTTLED, True)
        for tail in ("ID", "IN", "GR", "PA", "PR", "SR", "MR")
    ),
    Gateway(429, "T429PA", "", K.THROTTLED, True),
    Gateway(429, "", "", K.THROTTLED, True),
    Gateway(403, "", "Quota Exhausted", K.CREDITS_EXHAUSTED, True),
    Gateway(403, "", "Api Market Subscription quota exhausted", K.CREDITS_EXHAUSTED, True),
    Gateway(403, "", "Quota Expired", K.CREDITS_EXHAUSTED, True),
    Gateway(403, "", "User Arrears", K.CREDITS_EXHAUSTED, True),
    *(Gateway(403, f"B403{tail}", "", K.CREDITS_EXHAUSTED, True) for tail in ("MQ", "ME", "MI", "OD", "MO")),
    Gateway(403, "", "Expiry of Authorization", K.UNAUTHORIZED, True),
    Gateway(403, "A403EP", "", K.UNAUTHORIZED, True),
    Gateway(403, "", "Unauthorized", K.UNAUTHORIZED, True),
    Gateway(400, "", "Invalid AppCode `not exists`", K.UNAUTHORIZED, True),
    *(Gateway(401, code, "", K.UNAUTHORIZED, True) for code in ("A401AC", "A400AC", "A400MA")),
    Gateway(400, "", "Invalid Domain", K.MISCONFIGURED, True),
    Gateway(400, "", "Invalid Url", K.MISCONFIGURED, True),
    Gateway(404, "I404DO", "", K.MISCONFIGURED, True),
    Gateway(404, "I404NF", "", K.MISCONFIGURED, True),
    Gateway(405, "I405UM", "", K.MISCONFIGURED, True),
    Gateway(400, "I400NC", "X-Ca-Nonce is required", K.MISCONFIGURED, True),
    Gateway(400, "", "X-Ca-Nonce is required", K.MISCONFIGURED, True),
    Gateway(400, "", "Invalid Param Location", K.INVALID_INPUT, True),
    Gateway(400, "", "Empty Request Body", K.INVALID_INPUT, True),
    Gateway(400, "", "Invalid Request Body", K.INVALID_INPUT, True),
    Gateway(400, "I400XX", "", K.INVALID_INPUT, True),
    Gateway(413, "I413RL", "", K.INVALID_INPUT, True),
    Gateway(413, "I413UL", "", K.INVALID_INPUT, True),
    Gateway(500, "", "Internal Error", K.TRANSIENT, False),
    Gateway(500, "X500ER", "", K.TRANSIENT, False),
    Gateway(503, "X503BZ", "", K.TRANSIENT, False),
    Gateway(500, "", "Failed To Call Backend Service", K.TRANSIENT, False),
    Gateway(503, "", "Service Unavailable", K.TRANSIENT, False),
    *(Gateway(504, code, "", K.TRANSIENT, False) for code in ("D504CO", "D504RE", "D504TO", "X504TO", "")),
    Gateway(502, "D502FC", "", K.TRANSIENT, False),
    Gateway(502, "", "", K.TRANSIENT, False),
    Gateway(503, "D503CB", "", K.TRANSIENT, True),
    Gateway(503, "D503BB", "", K.TRANSIENT, False),
    Gateway(500, "", "", K.TRANSIENT, False),
    Gateway(503, "", "", K.TRANSIENT, False),
    Gateway(403, "S403NU", "Nonce Used", K.NONCE_USED, False),
    Gateway(403, "S403NU", "", K.NONCE_USED, False),
    Gateway(400, "", "Nonce Used", K.NONCE_USED, False),
    Gateway(400, "I400NC", "Nonce Used", K.NONCE_USED, False),
    Gateway(400, "", "SignatureNonceUsed", K.NONCE_USED, False),
    Gateway(403, "Q403ZZ", "", K.THROTTLED, True),
    Gateway(400, "", "A text that nobody documented", K.INVALID_INPUT, True),
    Gateway(500, "Q500ZZ", "", K.TRANSIENT, False),
]


@pytest.mark.parametrize("form", GATEWAY, ids=lambda form: f"{form.status}-{form.code}-{form.message}")
def test_gateway_forms(form: Gateway) -> None:
    """SUB8, SUB9: each gateway form keeps its meaning on both endpoints, and refuses only where nothing was started."""
    headers = {"X-Ca-Error-Code": form.code, "X-Ca-Error-Message": form.message, "X-Ca-Request-Id": "R-1"}
    assert _submit_verdict(httpx.Response(form.status, headers=headers)) == (form.kind, form.refused)
    assert _query_kind(httpx.Response(form.status, headers=headers)) == form.kind


def test_gateway_header_outranks_the_body() -> None:
    """A gateway time-out is not a refusal, whatever a body beside it says."""
    body = {"success": False, "code": 23500004, "message": "Request was denied due to request throttling"}
    response = httpx.Response(504, headers={"X-Ca-Error-Code": "D504TO"}, json=body)
    assert _submit_verdict(response) == (K.TRANSIENT, False)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 302])
def test_refusing_words_do_not_outweigh_a_server_error(status: int) -> None:
    """A 5xx or a redirect with the provider's refusing words stays unknown: it can follow an acceptance."""
    body = {"success": False, "code": 23500013, "message": "Illegal input parameter found"}
    assert not _submit_verdict(httpx.Response(status, json=body))[1]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 418])
@pytest.mark.parametrize("text", ["", "<html>Forbidden</html>", '{"error":"no"}'])
def test_a_status_alone_refuses_nothing(status: int, text: str) -> None:
    """A 4xx that neither the gateway nor the provider can be seen to have written is an unknown outcome."""
    assert not _submit_verdict(httpx.Response(status, text=text))[1]


def test_a_bare_403_is_not_an_authorization_failure() -> None:
    """Three errors share 403, so that by itself it only slows the questions down."""
    assert _query_kind(httpx.Response(403)) == K.THROTTLED


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("The image did not pass the content compliance check", K.CONTENT_REJECTED),
        ("The image URL provided is invalid or non-accessible", K.SOURCE_UNREACHABLE),
        ("the uploaded image does not meet the requirements", K.SOURCE_UNFIT),
        ("Illegal input parameter found", K.INVALID_INPUT),
        ("Job execution failed", K.EXECUTION_FAILED),
        ("Internal server error", K.EXECUTION_FAILED),
        ("Request was denied due to request throttling", K.EXECUTION_FAILED),
        ("", K.EXECUTION_FAILED),
    ],
)
def test_item_messages(message: str, kind: ErrorKind) -> None:
    """A failed item is explained by its message where that is about the image, and otherwise just failed."""
    assert classify_item_message(message) == kind


@pytest.mark.parametrize(
    "headers", [{"X-Ca-Error-Code": "T429PA"}, {"X-Ca-Error-Message": "Throttled by APP Flow Control"}]
)
def test_a_refusing_header_beside_a_2xx_is_a_contradiction(headers: dict[str, str]) -> None:
    """SUB10: a 2xx without a key may have been charged, whatever the gateway's header says."""
    assert _submit_verdict(httpx.Response(200, headers=headers)) == (K.THROTTLED, False)
