"""Every row of the provider's error table and every form of its gateway, under both readings, on both endpoints."""

from __future__ import annotations

import httpx
import pytest

from sceneshift.provider.classification import classify_item_message
from sceneshift.provider.protocol import ErrorKind, OutcomeUnknown, QueryFailed, Refused
from tests.provider_document import ERRORS, GATEWAY, Class, ErrorRow, GatewayForm, Reading
from tests.unit.provider.recording import RESULT_KEY, Script, provider_on

K = ErrorKind
KINDS: dict[Class, ErrorKind] = {
    "transient": K.TRANSIENT,
    "auth": K.UNAUTHORIZED,
    "config": K.MISCONFIGURED,
    "account": K.CREDITS_EXHAUSTED,
    "throttle": K.THROTTLED,
    "content": K.CONTENT_REJECTED,
    "input": K.SOURCE_UNREACHABLE,
    "unfit": K.SOURCE_UNFIT,
    "empty": K.INVALID_INPUT,
    "query": K.NO_RECORD,
    "job": K.EXECUTION_FAILED,
}
"""What each class of the document is called here."""

MAY_HAVE_STARTED: tuple[Class, ...] = ("transient", "job")

# Where a code beside its status may mean something else: what it is taken for on submit and on query, harmless.
WORDLESS: dict[tuple[Reading, Class], tuple[ErrorKind, ErrorKind]] = {
    ("A", "account"): (K.THROTTLED, K.THROTTLED),  # waits, as for credits
    ("B", "content"): (K.THROTTLED, K.THROTTLED),  # waits; the provider goes on refusing, and charges nothing
    ("A", "input"): (K.SOURCE_UNFIT, K.SOURCE_UNFIT),  # both fail the job for its source
    ("A", "unfit"): (K.SOURCE_UNFIT, K.NO_RECORD),  # a query is asked again, and has no source to be unfit
    ("B", "query"): (K.SOURCE_UNFIT, K.NO_RECORD),  # a submission has no key to be unknown
    ("A", "query"): (K.INVALID_INPUT, K.NO_RECORD),  # the same
    ("B", "empty"): (K.INVALID_INPUT, K.NO_RECORD),  # asked again; the question always has its key
}

both_readings = pytest.mark.parametrize("reading", ["A", "B"])
every_row = pytest.mark.parametrize("row", ERRORS, ids=lambda row: row.message.replace(" ", "-"))


def _submit_kind(row: ErrorRow) -> ErrorKind:
    """A submission that is told of an unknown key went to a wrong address."""
    return K.MISCONFIGURED if row.class_ == "query" else KINDS[row.class_]


def _refused(row: ErrorRow) -> bool:
    return row.class_ not in MAY_HAVE_STARTED


def _wordless(row: ErrorRow, reading: Reading) -> tuple[ErrorKind, ErrorKind]:
    shared = row.class_ == "empty" and row.code("A") == row.code("B")
    plain = (_submit_kind(row), KINDS[row.class_])
    return plain if shared else WORDLESS.get((reading, row.class_), plain)


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
def test_message_decides_on_submit(row: ErrorRow, reading: Reading) -> None:
    """SUB9: on submit, each documented error means the same whichever code stands beside its message."""
    verdict = _submit_verdict(httpx.Response(row.http_status, json=row.answer(reading)))
    assert verdict == (_submit_kind(row), _refused(row))


@every_row
@both_readings
def test_message_decides_on_query(row: ErrorRow, reading: Reading) -> None:
    """On query, each documented error fails the question with its meaning, whichever code stands beside it."""
    answer = row.answer(reading)
    assert (
        _query_kind(httpx.Response(row.http_status, json=answer | {"code": str(answer["code"])})) == KINDS[row.class_]
    )


@every_row
@both_readings
def test_failure_inside_a_200_is_refused_by_its_message(row: ErrorRow, reading: Reading) -> None:
    """SUB10: a 200 that says `success: false` is a refusal when its message is a known one."""
    verdict = _submit_verdict(httpx.Response(200, json=row.answer(reading)))
    assert verdict == (_submit_kind(row), _refused(row))
    assert _query_kind(httpx.Response(200, json=row.answer(reading))) == KINDS[row.class_]


@every_row
@both_readings
def test_failure_inside_a_200_with_a_code_only_is_unknown(row: ErrorRow, reading: Reading) -> None:
    """A code without its HTTP status is no evidence of a refusal."""
    _, refused = _submit_verdict(httpx.Response(200, json=row.answer(reading) | {"message": ""}))
    assert not refused


@every_row
@both_readings
@pytest.mark.parametrize("message", [None, "", 7, "something new", "\ufffd\ufffd"])
def test_status_and_code_decide_without_a_usable_message(row: ErrorRow, reading: Reading, message: object) -> None:
    """Without a usable message, status and code are read together, by endpoint, in a way that no reading harms."""
    answer = row.answer(reading) | {"message": message}
    on_submit, on_query = _wordless(row, reading)
    assert _submit_verdict(httpx.Response(row.http_status, json=answer)) == (on_submit, _refused(row))
    assert _query_kind(httpx.Response(row.http_status, json=answer)) == on_query


@every_row
@both_readings
def test_an_error_that_also_claims_success_refuses_nothing(row: ErrorRow, reading: Reading) -> None:
    """Where flag and code disagree, or a key stands beside an error, the submission may have been accepted."""
    for claim in ({"success": True}, {"data": {"result_key": RESULT_KEY}}):
        assert not _submit_verdict(httpx.Response(row.http_status, json=row.answer(reading) | claim))[1]


GATEWAY_KINDS = {
    "back off": K.THROTTLED,
    "account": K.CREDITS_EXHAUSTED,
    "auth": K.UNAUTHORIZED,
    "config": K.MISCONFIGURED,
    "permanent": K.INVALID_INPUT,
    "transient": K.TRANSIENT,
    "nonce": K.NONCE_USED,
}
OTHER_FORMS = [
    GatewayForm("newer", 429, "T429PA", "Throttled", False, "back off"),
    GatewayForm("classic", 429, None, None, False, "back off"),
    GatewayForm("newer", 403, "S403NU", None, True, "nonce"),
    GatewayForm("newer", 400, "I400NC", "Nonce Used", True, "nonce"),
    GatewayForm("classic", 400, None, "SignatureNonceUsed", True, "nonce"),
    GatewayForm("classic", 400, None, "Missing AppCode", False, "auth"),
    GatewayForm("newer", 403, "Q403ZZ", None, False, "back off"),
    GatewayForm("classic", 400, None, "A text that nobody documented", False, "permanent"),
    GatewayForm("newer", 500, "Q500ZZ", None, True, "transient"),
    *(GatewayForm("classic", status, None, None, True, "transient") for status in (500, 502, 503)),
]
"""Forms that the document does not have, but its gateway might."""


@pytest.mark.parametrize(
    "form", [*GATEWAY, *OTHER_FORMS], ids=lambda form: f"{form.http_status}-{form.code}-{form.message}"
)
def test_gateway_forms(form: GatewayForm) -> None:
    """SUB8, SUB9: each gateway form keeps its meaning on both endpoints, and refuses only where nothing was started."""
    verdict = _submit_verdict(httpx.Response(form.http_status, headers=form.headers))
    assert verdict == (GATEWAY_KINDS[form.action], not form.may_have_started)
    assert _query_kind(httpx.Response(form.http_status, headers=form.headers)) == GATEWAY_KINDS[form.action]


@pytest.mark.parametrize("form", GATEWAY, ids=lambda form: f"{form.http_status}-{form.code}-{form.message}")
@pytest.mark.parametrize("status", [200, 301, 302, 307, 308])
def test_a_gateway_s_word_beside_another_status_refuses_nothing(form: GatewayForm, status: int) -> None:
    """A success or a redirect is no answer that a gateway refuses with, whatever its headers say."""
    assert not _submit_verdict(httpx.Response(status, headers=form.headers))[1]


@pytest.mark.parametrize("status", [102, 300, 301, 302, 303, 304, 307, 308])
def test_neither_success_nor_error_is_unknown(status: int) -> None:
    """A redirect is not followed and an interim answer not waited for: to a submission both are unknown outcomes."""
    assert not _submit_verdict(httpx.Response(status, headers={"Location": "https://elsewhere.test/"}))[1]


@pytest.mark.parametrize(
    ("header", "message", "kind"),
    [
        ("Throttled by APP Flow Control", "The image did not pass the content compliance check", K.CONTENT_REJECTED),
        ("Something", "User credit points are exhausted", K.CREDITS_EXHAUSTED),
        ("Quota Exhausted", "", K.CREDITS_EXHAUSTED),
        ("Quota Exhausted", "something new", K.CREDITS_EXHAUSTED),
    ],
)
def test_the_provider_s_own_json_outranks_the_gateway_s_text(header: str, message: str, kind: ErrorKind) -> None:
    """Without a gateway code the answer is the back end's, so its message comes before the header's."""
    body = {"success": False, "code": 23500099, "message": message}
    response = httpx.Response(403, headers={"X-Ca-Error-Message": header}, json=body)
    assert _submit_verdict(response) == (kind, True)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Failed To Call Backend Service", "Illegal input parameter found"),
        ("Throttled by APP Flow Control", "Job execution failed"),
        ("Internal Error", "something new"),
    ],
)
def test_two_voices_of_which_one_tells_of_a_start_refuse_nothing(header: str, message: str) -> None:
    """A refusal needs that nothing in the answer speaks of a call that was made."""
    body = {"success": False, "code": 23500013, "message": message}
    response = httpx.Response(400, headers={"X-Ca-Error-Message": header}, json=body)
    assert not _submit_verdict(response)[1]


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
