"""Seeded nonsense in every part of an answer: always a value, never an exception, never a credential."""

from __future__ import annotations

import json
import random
from typing import Any

import httpx
import pytest

from sceneshift.provider.protocol import (
    Accepted,
    NotSent,
    OutcomeUnknown,
    Pending,
    QueryFailed,
    Refused,
    RenderFailed,
    Succeeded,
)
from tests.unit.provider.recording import APPCODE, RESULT_KEY, Script, provider_on

STATUSES = [200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 408, 418, 429, 500, 502, 503, 504, 599]
SCALARS: list[Any] = [
    None, True, False, 0, 1, -1, 1e308, float("inf"), 10**30, "", " ", "0", "true", "SUCCESS", "FAILED", "WAITING",
    "\ud800", "\x00\x1b[2J", "a" * 5000, 23500004, "23500008", RESULT_KEY, "https://x.test/a.png?s=1", "https://[",
    "Nonce Used", "Request was denied due to request throttling", f"Invalid AppCode `{APPCODE}`",
]  # fmt: skip
FIELDS = ["success", "code", "message", "requestId", "severity", "data", "result_key", "task_list", "status", "results"]
GATEWAY_CODES = ["", "", "T429PA", "D504TO", "S403NU", "B403MQ", "X500ER", "Z", "T" * 900, APPCODE, "\x7f", "d503cb"]
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


def _reply(chance: random.Random) -> httpx.Response:
    headers = [
        (b"X-Ca-Error-Code", chance.choice(GATEWAY_CODES).encode()),
        (b"X-Ca-Error-Message", str(chance.choice(SCALARS)).encode(errors="replace")),
        (b"X-Ca-Request-Id", chance.randbytes(chance.randrange(20))),
        (b"Retry-After", chance.choice(RETRY_AFTERS).encode()),
    ]
    kept = [header for header in headers if chance.random() < 0.5]
    return httpx.Response(chance.choice(STATUSES), headers=kept, content=_body(chance))


@pytest.mark.parametrize("seed", range(400))
def test_every_answer_has_a_class(seed: int) -> None:
    """Whatever comes back, both calls return one of their values, short, printable and without the AppCode."""
    chance = random.Random(seed)
    submitted = provider_on(Script(_reply(chance))).submit(b"{}", nonce="n")
    asked = provider_on(Script(_reply(chance))).query(RESULT_KEY)
    assert isinstance(submitted, Accepted | NotSent | Refused | OutcomeUnknown)
    assert isinstance(asked, Pending | Succeeded | RenderFailed | QueryFailed)
    assert APPCODE not in repr((submitted, asked))
    for outcome in (submitted, asked):
        if (error := getattr(outcome, "error", None)) is not None:
            assert len(error.message) <= 300
            assert error.message.isprintable()
            assert error.retry_after_seconds is None or 0 <= error.retry_after_seconds <= 3600
