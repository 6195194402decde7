"""`doctor --provider`: one harmless question, and everything that its answer tells."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from sceneshift.provider.protocol import Endpoint, NotedAnswer
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER
from sceneshift.store.opening import open_job_store
from tests import provider_document as document
from tests.loopback import Listener, answer
from tests.unit.doctoring import APPCODE, Doctor, Said, consulting
from workers.embedded.processes import free_port
from workers.embedded.redis_server import RedisServer


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Doctor]:
    """The doctor, with settings of the test's own."""
    yield from consulting(monkeypatch, capsys)


@contextmanager
def provider(*replies: httpx.Response) -> Iterator[tuple[Listener, str]]:
    """A provider on loopback that gives one answer after the other, the last one for ever; and its URL."""
    rest = list(replies)

    def reply(connection: Any, _request: bytes) -> None:
        response = rest.pop(0) if len(rest) > 1 else rest[0]
        status = f"{response.status_code} {HTTPStatus(response.status_code).phrase}"
        lines = [f"{name}: {value}" for name, value in response.headers.items() if name != "content-length"]
        connection.sendall(answer(response.content, status=status, headers=[*lines, "Connection: close"]))

    with Listener(reply) as listener:
        yield listener, f"http://127.0.0.1:{listener.port}/api/v1/bg-rep"


def ask(doctor: Doctor, *replies: httpx.Response, **settings: str) -> Said:
    """What the doctor says of a provider that answers so; the job store is away unless it is given."""
    with provider(*replies) as (_, url):
        given = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", "PROVIDER_APPCODE": APPCODE, **settings}
        return doctor("--provider", PROVIDER_URL=url, **given)


def row(
    class_: document.Class, reading: document.Reading = "B", *, headers: dict[str, str] | None = None
) -> httpx.Response:
    found = next(each for each in document.ERRORS if each.class_ == class_)
    return httpx.Response(found.http_status, json=found.answer(reading), headers=headers)


def test_one_question_is_asked_about_a_key_that_cannot_exist(doctor: Doctor) -> None:
    """No submission, one query with a random key each time; and it is said what that costs."""
    with provider(row("query")) as (listener, url):
        settings = {"PROVIDER_URL": url, "PROVIDER_APPCODE": APPCODE, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
        said = [doctor("--provider", **settings) for _ in range(2)]
    assert [request.split(b" ")[1] for request in listener.requests] == [b"/api/v1/bg-rep/query"] * 2
    keys = [json.loads(request.partition(b"\r\n\r\n")[2])["data"]["result_key"] for request in listener.requests]
    assert keys[0] != keys[1]
    assert all(len(bytes.fromhex(key)) == 16 for key in keys)
    for each in said:
        assert "it starts no rendering" in each.error
        assert "charges for queries is not known" in each.error


@pytest.mark.parametrize("reading", ["A", "B"])
def test_no_record_is_an_accepted_key_in_either_reading(doctor: Doctor, reading: document.Reading) -> None:
    """The documented answer is fine, and settles the reading by itself; that no job store is there does not matter."""
    said = ask(doctor, row("query", reading))
    assert said.code == 0
    assert said.line("AppCode").startswith("ok    AppCode           accepted: No records found")
    assert said.line("counted answers").startswith("warn  counted answers   the job store is away")
    assert said.line("reading of codes") == f"ok    reading of codes  {reading}, proven by the counted answers"


GATEWAY = {form.code or form.message: form for form in document.GATEWAY}


def gateway(name: str) -> httpx.Response:
    form = GATEWAY[name]
    return httpx.Response(form.http_status, headers=form.headers)


@pytest.mark.parametrize(
    ("reply", "code", "line"),
    [
        (row("auth"), 4, "fail  AppCode           refused: Authorization required"),
        (gateway("A400AC"), 4, "fail  AppCode           refused: "),
        (gateway("Invalid AppCode `not exists`"), 4, "fail  AppCode           refused: Invalid AppCode"),
        (httpx.Response(401), 4, "fail  AppCode           refused: HTTP 401 without a message"),
        (row("config"), 1, "fail  address           wrong: Specified service"),
        (gateway("I404NF"), 1, "fail  address           wrong: "),
        (gateway("Invalid Url"), 1, "fail  address           wrong: Invalid Url"),
        (httpx.Response(404, text="<p>not here"), 1, "fail  address           wrong: <p>not here"),
        (httpx.Response(302, headers={"Location": "https://h"}), 1, "fail  address           wrong: "),
        (row("throttle"), 0, "warn  AppCode           accepted, but throttled"),
        (gateway("T429PA"), 0, "warn  AppCode           accepted, but throttled"),
        (row("account"), 4, "fail  AppCode           accepted, but nothing is left: User credit points"),
        (gateway("B403MQ"), 4, "fail  AppCode           accepted, but nothing is left"),
        (row("transient"), 5, "fail  AppCode           unknown, the provider fails: Internal server error"),
        (gateway("D504TO"), 5, "fail  AppCode           unknown, the provider fails"),
        (gateway("S403NU"), 1, "fail  AppCode           unknown: the nonce was refused twice"),
        (httpx.Response(403), 1, "fail  AppCode           unknown, the answer is unexpected"),
        (
            httpx.Response(403, headers={"X-Ca-Error-Message": "Something"}),
            1,
            "fail  AppCode           unknown, the answer is unexpected: Something",
        ),
        (row("input"), 1, "fail  AppCode           unknown, the answer is unexpected: The image url"),
        (httpx.Response(200, text=f"<p>{APPCODE}"), 1, "fail  AppCode           unknown, the answer is unexpected"),
        (httpx.Response(200, json={}), 1, "fail  AppCode           unknown, the answer is unexpected"),
        (httpx.Response(200, json={"status": "ok"}), 1, "fail  AppCode           unknown, the answer is unexpected"),
        (httpx.Response(200, json={"code": 0}), 0, "warn  AppCode           accepted; but an unknown key"),
        (httpx.Response(200, json=document.QUERY_ANSWER), 0, "warn  AppCode           accepted; but an unknown key"),
    ],
    ids=lambda value: value.status_code if isinstance(value, httpx.Response) else None,
)
def test_what_the_answer_says_of_the_key(doctor: Doctor, reply: httpx.Response, code: int, line: str) -> None:
    """Accepted, refused, wrong address, nothing left, throttled, failing, unexpected: each with its exit code."""
    said = ask(doctor, reply)
    assert said.code == code
    assert any(each.startswith(line) for each in said.out.splitlines()), said.out
    if not line.startswith("ok"):
        assert " -> " in next(each for each in said.out.splitlines() if each.startswith(line))


def test_a_used_nonce_is_no_verdict(doctor: Doctor) -> None:
    """The second try, with another nonce, is what counts."""
    assert ask(doctor, gateway("S403NU"), row("query")).code == 0


def test_the_call_is_described(doctor: Doctor) -> None:
    """Status, code, request id and time of the call, for whoever writes to the provider's support."""
    line = ask(doctor, row("query")).line("provider")
    assert line.startswith("ok    provider          HTTP 400 after ")
    assert line.endswith(f" ms, code 23500008, request id {document.ERROR_ANSWER['requestId']}")


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (gateway("T429PA"), "ok    gateway           a newer instance: it sends X-Ca-Error-Code (T429PA)"),
        (gateway("Invalid Url"), "ok    gateway           a classic instance"),
        (row("query", headers={"X-Ca-Request-Id": "R-1"}), "ok    gateway           there is one"),
        (row("query"), "warn  gateway           the answer has no sign of one"),
    ],
)
def test_the_gateway_s_generation_is_told(doctor: Doctor, reply: httpx.Response, text: str) -> None:
    """By the headers that only one of them sends."""
    assert ask(doctor, reply).line("gateway").startswith(text)


@pytest.mark.parametrize(("skew", "level"), [(-20, "ok"), (20, "ok"), (-90, "warn"), (90, "warn")])
def test_the_provider_s_clock_is_compared(doctor: Doctor, skew: int, level: str) -> None:
    """More than half a minute is a warning."""
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + skew))
    assert ask(doctor, row("query", headers={"Date": date})).line("clock").startswith(level)


def test_a_provider_that_is_away_is_unreachable(doctor: Doctor) -> None:
    """A refused connection and a connection without an answer are told apart, and are both exit code 5."""
    settings = {"PROVIDER_APPCODE": APPCODE, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    said = doctor("--provider", PROVIDER_URL=f"http://127.0.0.1:{free_port()}/api", **settings)
    assert (said.code, "cannot be reached (ConnectError" in said) == (5, True)
    with Listener(lambda connection, _request: connection.close()) as listener:
        said = doctor("--provider", PROVIDER_URL=f"http://127.0.0.1:{listener.port}/api", **settings)
    assert (said.code, "did not answer (RemoteProtocolError" in said) == (5, True)


@pytest.mark.parametrize("location", ["http:login", "mailto:x", "//["])
def test_an_odd_redirect_is_no_traceback(doctor: Doctor, location: str) -> None:
    """A login page in between answers with whatever it likes."""
    said = ask(doctor, httpx.Response(302, headers={"Location": location}))
    assert (said.code in {1, 5}, said.error.count("\n")) == (True, 1)


@pytest.mark.parametrize("url", ["redis://:s3cr/et@host", "redis://127.0.0.1:1/0?colour=blue", "redis://h..x/0"])
def test_a_job_store_that_cannot_be_named_costs_no_answer(doctor: Doctor, url: str) -> None:
    """The provider's answer is told all the same, and no part of a password."""
    said = ask(doctor, row("query"), REDIS_URL=url)
    assert (said.code, "s3cr" in said.out) == (0, False)
    assert said.line("counted answers").startswith("warn  counted answers   the job store is away (")


def test_without_address_or_key_nobody_is_asked(doctor: Doctor) -> None:
    """What is missing is named; that is a wrong setting, and no question was sent."""
    said = doctor("--provider", PROVIDER_APPCODE=APPCODE)
    assert (said.code, "SCENESHIFT_PROVIDER_URL is not set" in said, said.error) == (2, True, "")
    said = doctor("--provider", PROVIDER_URL="https://provider.example/api", PROVIDER_APPCODE=f"APPCODE {APPCODE}")
    assert (said.code, "SCENESHIFT_PROVIDER_APPCODE must be the code alone" in said) == (2, True)


def test_counted_answers_are_shown_with_what_they_prove(doctor: Doctor, redis_server: RedisServer) -> None:
    """What the workers have counted and this answer are one table, and proofs of both readings are a warning."""
    settings = Settings(redis_url=redis_server.url, key_prefix="{doctor}")
    store = open_job_store(settings, patience=TIMEKEEPER)
    store.client.delete(store.keys.provider_answers)
    auth = next(each for each in document.ERRORS if each.class_ == "auth")
    counted = NotedAnswer(
        endpoint=Endpoint.SUBMIT, http_status=auth.http_status, code=str(auth.code_a), message=auth.message
    )
    for _ in range(3):
        store.answers.count(counted)
    said = ask(doctor, row("query", "A"), REDIS_URL=redis_server.url, KEY_PREFIX="{doctor}")
    assert said.line("counted answers") == "ok    counted answers   4 in all, of 2 kinds"
    assert said.line("reading of codes") == "ok    reading of codes  A, proven by the counted answers"
    table = said.out.partition("COUNT")[2].splitlines()
    assert table[1].split()[:4] == ["3", "submit", "401", "23500002"]
    assert table[2].split()[:4] == ["1", "query", "400", "23500009"]
    assert store.answers.counts()[0][counted] == 3
    said = ask(doctor, row("query", "B"), REDIS_URL=redis_server.url, KEY_PREFIX="{doctor}")
    assert (said.code, said.line("reading of codes")[:33]) == (0, "warn  reading of codes  contradic")
    store.client.close()


def test_the_provider_s_report_is_a_document_too(doctor: Doctor) -> None:
    """The same checks, the counted answers and the exit code as JSON; the notice stays on standard error."""
    with provider(row("auth")) as (_, url):
        said = doctor(
            "--provider",
            "--json",
            PROVIDER_URL=url,
            PROVIDER_APPCODE=APPCODE,
            REDIS_URL=f"redis://127.0.0.1:{free_port()}/0",
        )
    written = json.loads(said.out)
    assert (said.code, written["exit_code"]) == (4, 4)
    (key,) = [check for check in written["checks"] if check["what"] == "AppCode"]
    assert set(key) == {"level", "what", "finding", "remedy"}
    assert written["answers"] == [
        {
            "count": 1,
            "endpoint": "query",
            "http_status": 401,
            "code": "23500001",
            "message": "Authorization required to perform current operation",
        }
    ]
