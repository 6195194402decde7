"""What submissions and questions come to, told by answers as the document prints them and as it does not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    OutcomeUnknown,
    Pending,
    QueryFailed,
    QueryOutcome,
    Refused,
    RenderFailed,
    SubmitOutcome,
    Succeeded,
)
from tests import provider_document as document
from tests.unit.provider.recording import APPCODE, NOW, RESULT_KEY, Script, provider_on

ECHO = document.ITEM
SUBMITTED = document.SUBMIT_ANSWER
URLS = [f"https://oss.test/{name}.png?Expires=1&Signature=s" for name in "abc"]


def finished(**item: Any) -> dict[str, Any]:
    state = ECHO | {"status": "SUCCESS", "message": "success", "results": URLS} | item
    return SUBMITTED | {"data": {"result_key": RESULT_KEY, "task_list": [state]}}


def submitted(**parts: Any) -> SubmitOutcome:
    return provider_on(Script(httpx.Response(parts.pop("status", 200), **parts))).submit(b"{}", nonce="n")


def asked(**parts: Any) -> QueryOutcome:
    return provider_on(Script(httpx.Response(parts.pop("status", 200), **parts))).query(RESULT_KEY)


@pytest.mark.parametrize(
    "body",
    [
        SUBMITTED | {"code": "0"},
        SUBMITTED | {"code": 23500000},
        {"success": True, "data": {"result_key": RESULT_KEY}},
        {"success": True, "code": 23500004, "data": {"result_key": RESULT_KEY}},
        {"code": 23500000, "data": {"result_key": RESULT_KEY}},
        {"code": 0, "data": {"result_key": RESULT_KEY}},
        {"data": {"result_key": f" {RESULT_KEY}\n"}},
        SUBMITTED | {"data": {"result_key": RESULT_KEY, "task_list": None}, "severity": 3, "new_field": {}},
    ],
)
def test_a_readable_key_in_a_success_is_never_dropped(body: dict[str, Any]) -> None:
    """P3: codes, missing fields and new ones do not cost a key that was paid for."""
    outcome = submitted(json=body)
    assert isinstance(outcome, Accepted)
    assert outcome.result_key == RESULT_KEY


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize(
    "parts",
    [
        {"content": b""},
        {"text": "<html>Welcome</html>"},
        {"text": '{"success": true, "data": {"result_key": "6c8d'},
        {"json": {"success": True, "data": None}},
        {"json": {"success": True, "data": {"result_key": 7}}},
        {"json": {"success": True, "data": {"result_key": ""}}},
        {"json": {"success": False, "code": 0, "data": {"result_key": RESULT_KEY}}},
        {"json": {"success": False, "code": 23500099, "message": "something new"}},
        {"json": {"code": 23500004, "data": {"result_key": RESULT_KEY}}},
        {"text": '{"data": {"result_key": "a", "result_key": "b"}}'},
        {"json": []},
    ],
)
def test_a_2xx_without_a_clear_answer_is_unknown(status: int, parts: dict[str, Any]) -> None:
    """SUB10: whatever cannot be read after a 2xx may have been charged."""
    assert isinstance(submitted(status=status, **parts), OutcomeUnknown)


def test_an_unreadable_2xx_keeps_its_beginning_for_the_operator() -> None:
    """The key in an answer that we refused to trust can still be found by a person."""
    outcome = submitted(json={"success": False, "message": "odd", "data": {"result_key": RESULT_KEY}})
    assert isinstance(outcome, OutcomeUnknown)
    assert outcome.error is not None
    assert RESULT_KEY in outcome.error.message
    assert outcome.error.http_status == 200


def test_a_key_beside_an_error_status_is_not_an_acceptance() -> None:
    """An error status that carries a key is a contradiction, hence unknown."""
    assert isinstance(submitted(status=500, json=SUBMITTED), OutcomeUnknown)


def test_nonce_used_on_submit_says_that_an_earlier_request_got_through() -> None:
    """A replayed nonce is never a refusal, and its reason says what it proves."""
    outcome = submitted(status=403, headers={"X-Ca-Error-Code": "S403NU", "X-Ca-Error-Message": "Nonce Used"})
    assert isinstance(outcome, OutcomeUnknown)
    assert "got through" in outcome.reason
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.NONCE_USED


@pytest.mark.parametrize("results", [[], None, "none", {}, [1, None]])
def test_success_without_urls_is_left_to_the_caller(results: object) -> None:
    """POL5: an empty success is a value of its own."""
    assert asked(json=finished(results=results)) == Succeeded(urls=())


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("WAITING", "WAITING"),
        ("RUNNING", "RUNNING"),
        ("DREAMING\x1b[31m\n", "DREAMING[31m"),
        (None, "null"),
        (7, "7"),
        ("", "(none)"),
        ([], "(none)"),
        ("W" * 200, "W" * 63 + "…"),
    ],
)
def test_unknown_words_are_pending(status: object, word: str) -> None:
    """POL2: no status but the documented ends and their likes ends anything, and the word is safe to print."""
    assert asked(json=finished(status=status, results=[])) == Pending(provider_status=word)


@pytest.mark.parametrize("status", ["FAILED", "failed", "AIGC_ERROR", "CANCELED", "CANCELLED", "TIMEOUT", "FC_ERROR"])
def test_failures_by_name_are_final(status: str) -> None:
    """A status that names a failure, a cancellation or a time-out ends the rendering."""
    outcome = asked(json=finished(status=status, message="", results=[]))
    assert isinstance(outcome, RenderFailed)
    assert outcome.error.kind is ErrorKind.EXECUTION_FAILED
    assert status in outcome.error.message


def test_a_failed_item_is_explained_by_its_own_message() -> None:
    """The item's reason is kept, with the id of the call that told it."""
    outcome = asked(json=finished(status="FAILED", message="The image did not pass the content compliance check"))
    assert isinstance(outcome, RenderFailed)
    assert outcome.error.kind is ErrorKind.CONTENT_REJECTED
    assert outcome.error.message == "The image did not pass the content compliance check"
    assert outcome.error.request_id == "6438DD42-1EC3-4EA0-9FAE-484C18C839D7"


def test_the_answer_must_be_about_the_question() -> None:
    """POL10: results that are labelled with another key are not taken for this job's."""
    outcome = asked(json=finished() | {"data": finished()["data"] | {"result_key": "another"}})
    assert isinstance(outcome, QueryFailed)
    assert outcome.error.kind is ErrorKind.TRANSIENT


@pytest.mark.parametrize("echo", [RESULT_KEY.upper(), None, 7])
def test_an_echo_in_other_letters_or_absent_is_no_contradiction(echo: object) -> None:
    """A paid result is not lost to the spelling of its label."""
    assert asked(json=finished() | {"data": finished()["data"] | {"result_key": echo}}) == Succeeded(urls=tuple(URLS))


@pytest.mark.parametrize(
    "parts",
    [
        {"content": b""},
        {"text": "<html>"},
        {"json": SUBMITTED | {"data": None}},
        {"json": SUBMITTED | {"data": {"task_list": []}}},
        {"json": SUBMITTED | {"data": {"task_list": [ECHO, ECHO]}}},
        {"json": finished() | {"success": False}},
        {"json": {"code": 23500004, "data": finished()["data"]}},
        {"status": 500, "json": finished()},
        {"status": 302, "headers": {"Location": "https://elsewhere.test/"}},
    ],
)
def test_an_unclear_answer_fails_the_question_only(parts: dict[str, Any]) -> None:
    """POL1: no malformed answer fails a job."""
    assert isinstance(asked(**parts), QueryFailed)


def test_no_records_is_told_apart() -> None:
    """POL3: the one failed question that says something about the job has its own kind."""
    body = {"success": False, "code": 23500008, "message": "No records found related to the specified resultKey"}
    outcome = asked(status=400, json=body)
    assert isinstance(outcome, QueryFailed)
    assert outcome.error.kind is ErrorKind.NO_RECORD
    assert outcome.error.code == "23500008"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("999999", 3600.0),
        ("1e400", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Fri, 15 Jan 2027 08:01:00 -0000", 60.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2038 08:01:00 GMT", 3600.0),
        ("Fri, 99 Foo 20270 08:01:00 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    """`Retry-After` counts as seconds or as a date, is finite, and stays between 0 and an hour."""
    assert NOW == 1_800_000_000  # 2027-01-15 08:00:00 UTC
    outcome = submitted(status=429, headers={"X-Ca-Error-Code": "T429PA", "Retry-After": value})
    assert isinstance(outcome, Refused)
    assert outcome.error.retry_after_seconds == seconds


def test_messages_are_one_short_clean_line() -> None:
    """What is kept of a message cannot forge a log line, carry a signature, or fill a record."""
    text = "bad\r\nlevel=ERROR \x1b[2J\u2028 https://u:p@img.test/a.png?sig=SECRET#f end " + "x" * 500
    outcome = submitted(status=400, json={"success": False, "code": 23500013, "message": text})
    assert isinstance(outcome, Refused)
    message = outcome.error.message
    assert message.startswith("bad level=ERROR [2J https://img.test/a.png end xxx")
    assert len(message) == 300
    assert message.isprintable()


@pytest.mark.parametrize(
    "echoed", [APPCODE, APPCODE.upper(), APPCODE[:8] + "\u200b" + APPCODE[8:], f"https://x.test/{APPCODE}/y"]
)
def test_an_echoed_appcode_is_kept_nowhere(echoed: str) -> None:
    """P8: a gateway that repeats the credential that it refuses does not put it into our records."""
    headers = {"X-Ca-Error-Message": f"Invalid AppCode `{echoed}`".encode(), "X-Ca-Request-Id": echoed.encode()}
    body = {"success": False, "code": echoed, "message": f"Invalid AppCode `{echoed}`", "requestId": echoed}
    html = f"<p>{echoed}</p>"
    for outcome in (
        submitted(status=400, headers=headers),
        submitted(status=400, json=body),
        submitted(text=html),
        asked(status=401, json=body),
        asked(text=html),
        asked(json=finished(status=echoed)),
        asked(json=finished(status="FAILED", message=echoed)),
    ):
        assert APPCODE not in repr(outcome).lower()
