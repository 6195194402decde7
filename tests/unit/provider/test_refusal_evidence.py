"""What must not pass for a refusal: each of these submissions may have been accepted and charged."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sceneshift.provider.protocol import OutcomeUnknown, QueryFailed, Refused, SubmitOutcome
from tests.provider_document import SUBMIT_ANSWER
from tests.unit.provider.recording import RESULT_KEY, Script, provider_on

THROTTLING = {"success": False, "code": 23500004, "message": "Request was denied due to request throttling"}
ILLEGAL = {"success": False, "code": 23500013, "message": "Illegal input parameter found"}


def submitted(status: int, headers: Any = None, **parts: Any) -> SubmitOutcome:
    return provider_on(Script(httpx.Response(status, headers=headers, **parts))).submit(b"{}", nonce="n")


def codes(*values: str) -> list[tuple[str, str]]:
    return [("X-Ca-Error-Code", value) for value in values]


WORDS = ["InternalError", "SERVICE_TIMEOUT", "BackendTimeout", "BAD_GATEWAY", "API_TIMEOUT", "success", "B", "S", "T",
         "T429", "T429PAX", "t429pa", "T 429PA", "A\uff14\uff10\uff10AC"]  # fmt: skip


@pytest.mark.parametrize("status", [400, 403, 413, 500, 503, 504])
@pytest.mark.parametrize("word", WORDS)
def test_a_word_in_the_code_s_place_is_no_evidence(word: str, status: int) -> None:
    """P2: only the documented shape is the gateway's own; whoever else writes there may have called the back end."""
    headers = [(b"X-Ca-Error-Code", word.encode())]
    assert isinstance(submitted(status, headers), OutcomeUnknown)
    assert isinstance(submitted(status, [*headers, (b"X-Ca-Error-Message", b"something new")]), OutcomeUnknown)


@pytest.mark.parametrize("word", ["SERVICE_TIMEOUT", "BackendTimeout", "DuplicateRequest"])
def test_a_word_that_tells_of_a_start_is_heard(word: str) -> None:
    """Where a message beside it refuses, they contradict each other."""
    assert isinstance(submitted(429, codes(word)), OutcomeUnknown)
    assert isinstance(submitted(400, codes(word), json=ILLEGAL), OutcomeUnknown)
    assert isinstance(submitted(400, codes("Oddly"), json=ILLEGAL), Refused)


@pytest.mark.parametrize(
    ("status", "code"),
    [(504, "T429PA"), (504, "T504TO"), (500, "A500XX"), (403, "T429PA"), (400, "D504TO"), (429, "B403MQ"),
     (500, "D503CB")],
)  # fmt: skip
def test_a_code_of_another_status_is_no_evidence(status: int, code: str) -> None:
    """P2: the code has its status in it; where they differ, or it refuses with a server error, it is not believed."""
    assert isinstance(submitted(status, codes(code)), OutcomeUnknown)
    assert isinstance(submitted(status, codes(code), json=ILLEGAL), OutcomeUnknown)


@pytest.mark.parametrize("pair", [("T429PA", "D504TO"), ("T429PA", "T429PA"), ("", "T429PA"), ("T429PA", "S403NU")])
@pytest.mark.parametrize("status", [429, 504])
def test_two_codes_are_no_evidence(pair: tuple[str, str], status: int) -> None:
    """P2: a header that was sent twice has two authors, and one of them may have called the back end."""
    assert isinstance(submitted(status, codes(*pair)), OutcomeUnknown)


@pytest.mark.parametrize(
    "texts",
    [
        ("Throttled by APP Flow Control", "Failed To Call Backend Service"),
        ("Invalid Url", "Internal Error"),
        ("Quota Exhausted", "Job execution failed"),
        ("X-Ca-Nonce is required", "Nonce Used"),
    ],
)
def test_two_texts_of_which_one_tells_of_a_start_are_no_evidence(texts: tuple[str, str]) -> None:
    """P2: whichever comes first."""
    for order in (texts, texts[::-1]):
        assert isinstance(submitted(403, [("X-Ca-Error-Message", text) for text in order]), OutcomeUnknown)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "Job execution failed"),
        ({}, "Internal server error"),
        ({"X-Ca-Error-Message": "Failed To Call Backend Service"}, ""),
    ],
)
@pytest.mark.parametrize(("status", "code"), [(429, "T429PA"), (400, "I400PR"), (403, "B403MQ"), (503, "D503CB")])
def test_a_gateway_code_beside_a_message_of_a_start_is_no_evidence(
    status: int, code: str, headers: dict[str, str], message: str
) -> None:
    """P2: the code alone refuses; the code beside either voice that tells of a start does not."""
    assert isinstance(submitted(status, codes(code)), Refused)
    body = {"success": False, "code": 23500011, "message": message}
    assert isinstance(submitted(status, {"X-Ca-Error-Code": code, **headers}, json=body), OutcomeUnknown)


CONTRADICTIONS: list[dict[str, Any]] = [
    {"code": 0},
    {"code": "0"},
    {"code": 23500000},
    {"success": None, "code": 0},
    {"data": {"resultKey": "abc"}},
    {"data": {"RESULT-KEY": 7}},
    {"data": {"result_key": "<br>"}},
    {"data": [{"result_key": "abc"}]},
    {"resultKey": "abc"},
    {"result_key": "null"},
    {"data": {"task_list": [{"status": "WAITING"}]}},
    {"data": {"task_list": [{"status": " running"}]}},
    {"data": {"task_list": {"status": "FAILED"}}},
    {"data": {"task_list": [{"results": ["https://x.test/a.png"]}]}},
    {"task_list": [{"status": "SUCCESS"}]},
]


@pytest.mark.parametrize("contradiction", CONTRADICTIONS, ids=str)
@pytest.mark.parametrize("status", [200, 400, 403])
def test_an_error_that_speaks_of_a_submission_is_unknown_and_kept(status: int, contradiction: dict[str, Any]) -> None:
    """P2, P3: a success's code, a key in any spelling, an item or results: it may be paid, and its text is there."""
    answer = THROTTLING | contradiction
    for headers in ([], codes(f"I{status}PR")):
        outcome = submitted(status, headers, json=answer)
        assert isinstance(outcome, OutcomeUnknown)
        assert "throttling" in outcome.unreadable_answer


@pytest.mark.parametrize(
    "harmless",
    [
        {"data": None},
        {"data": {"result_key": " ", "resultKey": None, "task_list": []}},
        {"data": {"task_list": [{"status": "REJECTED", "results": []}]}},
        {"status": "FAILED"},
        {"data": {"field": "result_key"}},
    ],
    ids=str,
)
def test_an_empty_key_or_an_unknown_word_contradicts_nothing(harmless: dict[str, Any]) -> None:
    """A refusal with an empty form of an acceptance beside it stays one, and is not kept."""
    assert isinstance(submitted(403, json=THROTTLING | harmless), Refused)


@pytest.mark.parametrize("status", [408, 409, 423, 425, 499])
@pytest.mark.parametrize("headers", [{}, {"X-Ca-Error-Message": "Invalid Url"}])
def test_statuses_of_a_race_or_a_lost_wait_are_no_evidence(status: int, headers: dict[str, str]) -> None:
    """P2: a conflict, a lock, a replay or a client that went away can follow an acceptance, whatever is said there."""
    assert isinstance(submitted(status, headers, json=ILLEGAL), OutcomeUnknown)
    assert isinstance(submitted(status, codes(f"I{status}XX")), OutcomeUnknown)


@pytest.mark.parametrize("status", [200, 400, 403, 404, 429])
@pytest.mark.parametrize(
    "message",
    [
        "Duplicate submission",
        "The task is ALREADY running",
        "Illegal input parameter found: a task is in progress",
        "upstream timed out",
        "Request Timeout",
    ],
)
def test_words_of_a_race_or_a_lost_wait_are_no_evidence(status: int, message: str) -> None:
    """P2: in the provider's message and in the gateway's."""
    assert isinstance(submitted(status, json={"success": False, "message": message}), OutcomeUnknown)
    assert isinstance(submitted(status, {"X-Ca-Error-Message": message}), OutcomeUnknown)


def test_a_damaged_acceptance_is_unknown_and_kept() -> None:
    """P3: a key with a byte that is no text would be asked about in vain; a person can look at it."""
    for body in (
        b'{"success":true,"code":0,"data":{"result_key":"6c8d\xff2c0"}}',
        b'{"success":true,"code":0,"message":"\xb3\xc9","data":{"result_key":"6c8d2c0"}}',
    ):
        outcome = submitted(200, content=body)
        assert isinstance(outcome, OutcomeUnknown)
        assert "6c8d" in outcome.unreadable_answer
        assert "is damaged" in outcome.reason


def test_an_echo_that_is_no_key_is_another_job_s() -> None:
    """POL10: a state under a name that cannot be this job's key is not believed."""
    answer = SUBMIT_ANSWER | {"data": {"result_key": "<br>", "task_list": [{"status": "FAILED"}]}}
    assert isinstance(provider_on(Script(httpx.Response(200, json=answer))).query(RESULT_KEY), QueryFailed)


def test_a_word_says_nothing_of_the_kind_either() -> None:
    """What only begins like a code of the gateway is read as if it were not there: by the status."""
    for word, status, kind in (("BackendTimeout", 504, "transient"), ("success", 500, "transient")):
        outcome = submitted(status, codes(word))
        assert isinstance(outcome, OutcomeUnknown)
        assert outcome.error is not None
        assert outcome.error.kind == kind


def test_a_documented_error_with_a_success_s_code_is_told_as_it_is() -> None:
    """In reading B, 23500000 is the code of a 500: it is unknown for its message, which stays, and nothing is kept."""
    answer = {"success": False, "code": 23500000, "message": "Internal server error"}
    outcome = submitted(500, json=answer)
    assert isinstance(outcome, OutcomeUnknown)
    assert outcome.error is not None
    assert (outcome.error.message, outcome.unreadable_answer) == ("Internal server error", "")
