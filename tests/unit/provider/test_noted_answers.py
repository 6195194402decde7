"""What is told of an answer beyond its outcome: the text that nobody could read, and what is worth counting."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from sceneshift.provider.answer import KEPT_ANSWER_MAX_BYTES
from sceneshift.provider.protocol import (
    Accepted,
    Endpoint,
    NotedAnswer,
    OutcomeUnknown,
    QueryFailed,
    QueryOutcome,
    SubmitOutcome,
)
from sceneshift.provider.redaction import Redactor
from tests import provider_document as document
from tests.unit.provider.recording import APPCODE, Script, provider_on

PAGE = f"<html>\r\n<p>Bad AppCode {APPCODE}</p>\n\x1b[2J<a href='https://u:p@h.test/a.png?sig=SECRET'>{{}}\n</html>"


def submitted(status: int = 200, **parts: Any) -> SubmitOutcome:
    return provider_on(Script(httpx.Response(status, **parts))).submit(b"{}", nonce="n")


def asked(status: int = 200, **parts: Any) -> QueryOutcome:
    return provider_on(Script(httpx.Response(status, **parts))).query(document.RESULT_KEY)


def unreadable(outcome: SubmitOutcome | QueryOutcome) -> str:
    assert isinstance(outcome, OutcomeUnknown | QueryFailed)
    return outcome.unreadable_answer


# The raw answer


def test_an_unreadable_answer_is_kept_line_by_line_and_clean() -> None:
    """SUB10: every line is there, printable, without the AppCode, credentials and signatures."""
    expected = "<html>\n<p>Bad AppCode [secret]</p>\n[2J<a href='https://h.test/a.png'>{}\n</html>"
    assert unreadable(submitted(text=PAGE)) == unreadable(asked(text=PAGE)) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_an_unreadable_answer_is_kept_in_any_encoding(encoding: str) -> None:
    """A key in it can be found by a person, and the AppCode by the redaction."""
    answer = {"success": False, "message": f"成功 {APPCODE}", "data": {"result_key": document.RESULT_KEY}}
    kept = unreadable(submitted(content=json.dumps(answer, ensure_ascii=False).encode(encoding)))
    assert f'"成功 [secret]", "data": {{"result_key": "{document.RESULT_KEY}"}}' in kept
    assert APPCODE not in kept


@pytest.mark.parametrize("body", ["x" * 200_000, "é" * 200_000, "\n" * 200_000, ("x" * 99 + "\n") * 2_000])
def test_no_more_than_64_kilobytes_are_kept(body: str) -> None:
    """SUB10: of a query's 2; whatever its characters are; an ellipsis shows that it was longer."""
    assert KEPT_ANSWER_MAX_BYTES == {Endpoint.SUBMIT: 65_536, Endpoint.QUERY: 2_048}
    for outcome, max_bytes in ((submitted(text=f"<p>{body}"), 65_536), (asked(text=f"<p>{body}"), 2_048)):
        kept = unreadable(outcome)
        assert max_bytes // 4 < len(kept.encode()) <= max_bytes
        assert kept.endswith("…")


@pytest.mark.parametrize(
    "text",
    [
        "https://h.test/a\\u003fsig=LEAK",
        "https:\\u002f\\u002fh.test/a?sig=LEAK",
        "https:\\\\u002F\\\\u002Fu:LEAK\\u0040h.test/a",
        "https%3A%2F%2Fh.test%2Fa%3Fsig%3DLEAK",
        "HTTPS%3a%2f%2fu%3aLEAK%40h.test%2fa%3fsig%3dLEAK",
        "https%253A%252F%252Fh.test%252Fa%253Fsig%253DLEAK",
        "https:\\/\\/h.test\\/a?sig=LEAK",
        "\\u0068ttps://h.test/a?sig=LEAK",
    ],
)
def test_an_address_in_disguise_loses_its_signature_too(text: str) -> None:
    """P8: JSON may escape its slashes and question marks, and another address may carry it in its query."""
    kept = unreadable(submitted(text=f'{{"url": "{text}"'))
    assert "LEAK" not in kept
    assert kept.lower() == '{"url": "https://h.test/a"'


def test_an_appcode_in_disguise_is_replaced() -> None:
    """P8: JSON may write any letter by its number."""
    assert APPCODE[1:] not in unreadable(submitted(text=f"\\u{ord(APPCODE[0]):04x}{APPCODE[1:]} <p>"))


def test_the_secret_is_not_cut_in_half() -> None:
    """An AppCode that lies across the limit leaves no beginning of itself behind."""
    text = "x" * 60 + APPCODE + "y" * 60
    for limit in range(40, 110):
        kept = Redactor(APPCODE).lines(text, max_bytes=limit)
        assert APPCODE[:4] not in kept


@pytest.mark.parametrize(
    "parts",
    [
        {"status": 500, "text": PAGE},
        {"status": 403, "headers": {"X-Ca-Error-Message": "Quota Exhausted"}, "text": PAGE},
        {"content": b""},
    ],
)
def test_only_an_answer_that_is_a_success_by_http_is_kept(parts: dict[str, Any]) -> None:
    """An error page holds no lost key."""
    assert getattr(submitted(**parts), "unreadable_answer", "") == ""
    assert unreadable(asked(**parts)) == ""


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (document.ERROR_ANSWER, False),
        ({**document.QUERY_ANSWER, "data": None}, True),
        ({**document.QUERY_ANSWER, "data": {"task_list": [document.ITEM] * 2}}, True),
        ({**document.QUERY_ANSWER, "data": {**document.QUERY_ANSWER["data"], "result_key": "another"}}, True),
    ],
)
def test_a_question_s_answer_is_kept_when_it_says_neither_state_nor_error(
    answer: dict[str, Any], *, kept: bool
) -> None:
    """What the provider calls a failure was read; what it calls a success and cannot be understood was not."""
    assert bool(unreadable(asked(json=answer))) is kept


def test_an_accepted_or_finished_job_has_nothing_unreadable() -> None:
    """Good answers are kept nowhere."""
    for outcome in (submitted(json=document.SUBMIT_ANSWER), asked(json=document.QUERY_ANSWER)):
        assert not hasattr(outcome, "unreadable_answer")
        assert outcome.noted is None  # type: ignore[union-attr]  # both came with an answer


# What is counted


@pytest.mark.parametrize("reading", ["A", "B"])
@pytest.mark.parametrize("row", document.ERRORS, ids=lambda row: row.message.replace(" ", "-"))
def test_every_error_is_noted_with_its_triple(row: document.ErrorRow, reading: document.Reading) -> None:
    """Endpoint, status, code and message are those of the answer, for every row on both endpoints."""
    answer = row.answer(reading)
    for endpoint, outcome in (
        (Endpoint.SUBMIT, submitted(row.http_status, json=answer)),
        (Endpoint.QUERY, asked(row.http_status, json=answer)),
    ):
        assert outcome.noted == NotedAnswer(  # type: ignore[union-attr]  # an answer came
            endpoint=endpoint, http_status=row.http_status, code=str(row.code(reading)), message=row.message
        )


def note_of(outcome: SubmitOutcome | QueryOutcome) -> tuple[str, str] | None:
    noted: NotedAnswer | None = getattr(outcome, "noted", None)
    return (noted.code, noted.message) if noted else None


GATEWAY_SPEAKS = {"X-Ca-Error-Code": "T429PA", "X-Ca-Error-Message": "Throttled"}


@pytest.mark.parametrize(
    ("parts", "note"),
    [
        ({"status": 429, "headers": GATEWAY_SPEAKS}, ("T429PA", "Throttled")),
        ({"status": 429, "headers": GATEWAY_SPEAKS, "json": document.ERROR_ANSWER}, ("T429PA", "Throttled")),
        ({"status": 403, "headers": {"X-Ca-Error-Message": "Quota Exhausted"}}, ("", "Quota Exhausted")),
        ({"status": 403, "text": "<p>Forbidden by request 17</p>"}, ("", "")),
        ({"status": 500}, ("", "")),
        ({"text": PAGE}, ("", "(not the provider's JSON)")),
        ({"status": 400, "json": {"message": "m" * 500, "code": "c" * 500}}, ("c" * 63 + "…", "m" * 119 + "…")),
        ({"status": 400, "json": {"message": f"{APPCODE}\n!", "code": 7}}, ("7", "[secret] !")),
    ],
)
def test_a_note_has_the_words_of_one_speaker(parts: dict[str, Any], note: tuple[str, str]) -> None:
    """The gateway's code goes with the gateway's message; a page's text, which may hold an id, is not noted."""
    assert note_of(submitted(**parts)) == note_of(asked(**parts)) == note


@pytest.mark.parametrize(
    ("changes", "noted"),
    [({"code": 23500000}, True), ({"code": "9"}, True), ({"code": "0"}, False), ({"code": None}, False)],
)
def test_a_success_whose_code_says_otherwise_is_noted(changes: dict[str, Any], *, noted: bool) -> None:
    """Flag and code disagree: it is accepted all the same, and counted on both endpoints."""
    for outcome in (submitted(json=document.SUBMIT_ANSWER | changes), asked(json=document.QUERY_ANSWER | changes)):
        assert note_of(outcome) == ((str(changes["code"]), "success") if noted else None)


def test_a_failure_whose_code_says_success_is_noted() -> None:
    """The other way round it is an error, which is counted in any case."""
    answer = document.SUBMIT_ANSWER | {"success": False}
    assert note_of(submitted(json=answer)) == note_of(asked(json=answer)) == ("0", "success")
    assert not isinstance(submitted(json=answer), Accepted)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"status": "WAITING"}, None),
        ({"status": "running"}, None),
        ({"status": "DREAMING"}, "item DREAMING"),
        ({"status": 7}, "item 7"),
        ({"status": "FAILED", "message": "Job execution failed"}, "item FAILED: Job execution failed"),
        ({"status": "AIGC_ERROR", "message": ""}, "item AIGC_ERROR"),
    ],
)
def test_a_status_that_nobody_documented_is_noted(item: dict[str, Any], message: str | None) -> None:
    """POL2: it is counted with its word, and a failed item with its reason."""
    answer = document.QUERY_ANSWER | {"data": {"task_list": [document.ITEM | item]}}
    assert note_of(asked(json=answer)) == (None if message is None else ("0", message))
