"""Seeded nonsense in every part of an answer: always a value, never a credential, and never more than it proves.

The proofs are stated here from the document, on the raw answer, and not in the terms of the code.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sceneshift.provider.protocol import (
    Accepted,
    OutcomeUnknown,
    Pending,
    QueryFailed,
    Refused,
    RenderFailed,
    Succeeded,
)
from tests.provider_document import ERRORS, GATEWAY, Reading
from tests.unit.provider.recording import APPCODE, RESULT_KEY, provider_on

ANSWERS = 5_000
SEEDS = 10
READINGS: list[Reading] = ["A", "B"]

STATUSES = [
    200, 200, 200, 201, 204, 302, 307, 400, 400, 401, 403, 403, 404, 408, 409, 418, 423, 425, 429, 499, 500, 502, 503,
    504, 599,
]  # fmt: skip
SCALARS: list[Any] = [
    None, True, False, 0, 1, -1, 1e308, float("inf"), 10**30, "", " ", "0", "true", "SUCCESS", "FAILED", "WAITING",
    "\ud800", "\x00\x1b[2J", "a" * 5000, 23500004, "23500008", RESULT_KEY, "https://x.test/a.png?s=1", "https://[",
    "Nonce Used", "null", "<br>", "a\ufffdb", "Duplicate request", "upstream timed out", f"Invalid AppCode `{APPCODE}`",
    *(row.message for row in ERRORS), *(row.code_b for row in ERRORS),
]  # fmt: skip
FIELDS = [
    "success", "code", "message", "requestId", "severity", "data", "result_key", "resultKey", "task_list", "status",
    "results",
]  # fmt: skip
GATEWAY_TEXTS = [form.message for form in GATEWAY if form.message]
GATEWAY_CODES = [
    *(form.code for form in GATEWAY if form.code),
    *[""] * 20,
    *["Z", "Q403AB", "T" * 900, APPCODE, "\x7f", "d503cb", "T", "BackendTimeout", "SERVICE_TIMEOUT", "T504TO"],
    *["T429PA, D504TO", "T429PA, T429PA"],
]
RETRY_AFTERS = ["", "5", "-1", "nan", "1e999", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 99 Xyz", "\u0661"]


def _value(chance: random.Random, depth: int = 0) -> Any:
    shape = chance.random()
    if depth > 3 or shape < 0.5:
        return chance.choice(SCALARS)
    if shape < 0.65:
        return [_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(FIELDS): _value(chance, depth + 1) for _ in range(chance.randrange(7))}


def _document(chance: random.Random) -> dict[str, Any]:
    """Nonsense, or a good answer of which up to three fields, at any level, are nonsense."""
    if chance.random() < 0.3:
        return {name: _value(chance) for name in chance.sample(FIELDS, 6)}
    item: dict[str, Any] = {
        "status": chance.choice(["SUCCESS", "FAILED", "RUNNING"]),
        "message": "",
        "results": ["https://x.test/a"],
    }
    data: dict[str, Any] = {"result_key": RESULT_KEY, "task_list": [item]}
    document: dict[str, Any] = {"success": True, "code": 0, "message": "success", "requestId": "R-1", "data": data}
    for _ in range(chance.randrange(4)):
        level = chance.choice([document, data, item])
        level[chance.choice(list(level))] = _value(chance)
    return document


def _body(chance: random.Random) -> bytes:
    text = json.dumps(_document(chance), ensure_ascii=chance.random() < 0.9)
    body = text.encode(chance.choice(["utf-8", "utf-8-sig", "utf-16"]), errors="surrogatepass")
    damage = chance.random()
    if damage < 0.15:
        return body[: chance.randrange(len(body) + 1)]
    if damage < 0.3:
        where = chance.randrange(len(body))
        return body[:where] + chance.randbytes(3) + body[where:]
    return chance.randbytes(chance.randrange(300)) if damage < 0.4 else body


def _documented(chance: random.Random) -> dict[str, Any]:
    """An error of the document with a field or two of it damaged."""
    document: dict[str, Any] = chance.choice(ERRORS).answer(chance.choice(READINGS))
    for _ in range(chance.randrange(3)):
        document[chance.choice(FIELDS)] = _value(chance)
    return document


def _reply(chance: random.Random) -> httpx.Response:
    headers = [
        (b"X-Ca-Error-Code", chance.choice(GATEWAY_CODES).encode()),
        (b"X-Ca-Error-Message", str(chance.choice([*SCALARS, *GATEWAY_TEXTS])).encode(errors="replace")),
        (b"X-Ca-Request-Id", chance.randbytes(chance.randrange(20))),
        (b"Retry-After", chance.choice(RETRY_AFTERS).encode()),
        (b"Date", chance.choice(RETRY_AFTERS).encode()),
    ]
    kept = [header for header in (*headers, headers[1]) if chance.random() < 0.3]
    body = json.dumps(_documented(chance)).encode() if chance.random() < 0.3 else _body(chance)
    return httpx.Response(chance.choice(STATUSES), headers=kept, content=body)


# What the document demands


def _read(response: httpx.Response) -> dict[str, Any]:
    """The body's JSON object; empty when it is none."""
    try:
        text = response.content.decode(json.detect_encoding(response.content), errors="replace")
        document = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _says(response: httpx.Response, *texts: str) -> bool:
    """Whether one of the texts stands in the gateway's message or in the body's."""
    message = _read(response).get("message")
    spoken = f"{response.headers.get('x-ca-error-message', '')} {message if isinstance(message, str) else ''}"
    folded = "".join(filter(str.isprintable, " ".join(spoken.split()))).casefold()
    return any(text.casefold() in folded for text in texts)


REFUSING = [row.message for row in ERRORS if row.class_ not in {"transient", "job"}]
"""The messages of the document after which nothing was started."""
BEFORE_THE_BACK_END = ("T", "B", "A", "I", "S", "D503CB")
"""The beginnings of the gateway's codes for what it answers without calling anybody."""
TELLS_OF_A_START = (
    *(row.message for row in ERRORS if row.class_ in {"transient", "job"}),
    *(form.message for form in GATEWAY if form.may_have_started and form.message),
    "duplicate", "already", "in progress", "timed out", "timeout",
)  # fmt: skip
"""What is said, on either side, when the back end may have been called."""


def _flag(document: dict[str, Any]) -> bool | None:
    flag = document.get("success")
    spelled = flag.strip().lower() if isinstance(flag, str) else flag
    return True if spelled in (True, "true") else False if spelled in (False, "false") else None


def _code(document: dict[str, Any]) -> str:
    code = document.get("code")
    if isinstance(code, float) and code.is_integer():
        code = int(code)
    return str(code).strip() if isinstance(code, int | str) and not isinstance(code, bool) else ""


def _key(document: dict[str, Any]) -> str:
    data = document.get("data")
    key = data.get("result_key") if isinstance(data, dict) else None
    return key.strip() if isinstance(key, str) else ""


def _is_key(text: str) -> bool:
    return re.fullmatch("[-_.:=+/0-9A-Za-z]{1,256}", text) is not None and text.lower() not in {
        "null", "none", "undefined", "true", "false",
    }  # fmt: skip


def _is_text(body: bytes) -> bool:
    try:
        body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        return False
    return True


def _speaks_of_submission(value: Any, *, outermost: bool = True) -> bool:
    """A key that is not empty, results, or an item that has a state."""
    if isinstance(value, list):
        return any(_speaks_of_submission(each, outermost=False) for each in value)
    if not isinstance(value, dict):
        return False
    for name in ("result_key", "resultKey", "results"):
        if (found := value.get(name)) not in (None, False, "", [], {}) and str(found).strip():
            return True
    status = value.get("status")
    has_state = isinstance(status, str) and status.strip() in {"WAITING", "RUNNING", "SUCCESS", "FAILED"}
    return (has_state and not outermost) or any(_speaks_of_submission(each, outermost=False) for each in value.values())


def accepted_is_proven(response: httpx.Response) -> bool:
    """A success by HTTP, by the flag (or, where it is missing, by the code), and a key that can be asked about."""
    document = _read(response)
    flag = _flag(document)
    succeeded = flag is True or (flag is None and _code(document) in {"", "0", "23500000"})
    readable = _is_key(_key(document)) and _is_text(response.content)
    return 200 <= response.status_code < 300 and succeeded and readable


def refused_is_proven(response: httpx.Response) -> bool:
    """Gateway or provider have said no, and nothing in the answer speaks of a submission that got through."""
    document, status = _read(response), response.status_code
    contradicted = _says(response, *TELLS_OF_A_START) or _flag(document) is True or _speaks_of_submission(document)
    if contradicted or status < 200 or 300 <= status < 400 or status in {408, 409, 423, 425, 499}:
        return False
    if _code(document) == "0" or (_code(document) == "23500000" and status != 500):
        return False
    if "," in response.headers.get("x-ca-error-code", ""):
        return False
    if status < 300:
        return _flag(document) is not True and _says(response, *REFUSING, "AppCode")
    return status == 429 or _gateway_refuses(response) or (400 <= status < 500 and _provider_refuses(response))


def _gateway_refuses(response: httpx.Response) -> bool:
    code = response.headers.get("x-ca-error-code", "").strip()
    is_4xx = 400 <= response.status_code < 500
    # A letter, the HTTP status, two letters.
    if re.fullmatch("[A-Z][0-9]{3}[A-Z]{2}", code):
        if code[1:4] != str(response.status_code) or code == "S403NU":
            return False
        return code == "D503CB" or (is_4xx and (code.startswith(BEFORE_THE_BACK_END) or code[0] not in "DX"))
    if code:
        return is_4xx and _says(response, *REFUSING, *GATEWAY_TEXTS, "AppCode")
    return is_4xx and bool(response.headers.get("x-ca-error-message", "").strip())


def _provider_refuses(response: httpx.Response) -> bool:
    document = _read(response)
    documented = _code(document) in {str(code) for row in ERRORS for code in (row.code_a, row.code_b)}
    return _flag(document) is False or documented or _says(response, *REFUSING, "AppCode")


def state_is_proven(response: httpx.Response, outcome: Pending | Succeeded | RenderFailed) -> bool:
    """A success by HTTP with exactly one item, whose own status says so."""
    document = _read(response)
    if not 200 <= response.status_code < 300 or _flag(document) is False:
        return False
    [item] = document["data"]["task_list"]
    status = item.get("status")
    word = status.strip().upper() if isinstance(status, str) else ""
    if isinstance(outcome, Succeeded):
        return word == "SUCCESS" and all(url in str(item["results"]) for url in outcome.urls)
    failed = any(part in word for part in ("FAIL", "ERROR", "CANCEL", "TIMEOUT"))
    return failed if isinstance(outcome, RenderFailed) else not failed and word != "SUCCESS"


class Replies:
    """One reply after the other; the last that was given is `latest`."""

    def __init__(self, chance: random.Random) -> None:
        self._replies: Iterator[httpx.Response] = (_reply(chance) for _ in range(10 * ANSWERS))
        self.latest = httpx.Response(200)

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.latest = next(self._replies)
        return self.latest


def _check_what_is_kept(outcome: Any) -> None:
    assert APPCODE not in f"{outcome!r} {getattr(outcome, 'unreadable_answer', '')} {outcome.noted!r}"
    if (error := getattr(outcome, "error", None)) is not None:
        assert len(error.message) <= 300
        assert error.message.isprintable()
        assert error.retry_after_seconds is None or 0 <= error.retry_after_seconds <= 3600
    if outcome.noted is not None:
        assert len(outcome.noted.message) <= 120
        assert (outcome.noted.message + outcome.noted.code).isprintable()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_submission_never_comes_to_more_than_its_answer_proves(seed: int) -> None:
    """P2, P3: each answer has a class; an acceptance and a refusal have the evidence that the document demands."""
    replies = Replies(random.Random(seed))
    provider = provider_on(replies)
    classes = set()
    for _ in range(ANSWERS // SEEDS):
        outcome = provider.submit(b"{}", nonce="n")
        assert isinstance(outcome, Accepted | Refused | OutcomeUnknown)
        classes.add(type(outcome))
        _check_what_is_kept(outcome)
        if isinstance(outcome, Accepted):
            assert accepted_is_proven(replies.latest), replies.latest.content
        elif isinstance(outcome, Refused):
            assert refused_is_proven(replies.latest), (replies.latest, replies.latest.headers, replies.latest.content)
    assert classes == {Accepted, Refused, OutcomeUnknown}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_question_never_comes_to_more_than_its_answer_proves(seed: int) -> None:
    """P3, POL1: each answer has a class; a state of the job is one that its item names."""
    replies = Replies(random.Random(1_000 + seed))
    provider = provider_on(replies)
    classes = set()
    for _ in range(ANSWERS // SEEDS):
        outcome = provider.query(RESULT_KEY)
        assert isinstance(outcome, Pending | Succeeded | RenderFailed | QueryFailed)
        classes.add(type(outcome))
        _check_what_is_kept(outcome)
        if not isinstance(outcome, QueryFailed):
            assert state_is_proven(replies.latest, outcome), replies.latest.content
    assert classes == {Pending, Succeeded, RenderFailed, QueryFailed}
