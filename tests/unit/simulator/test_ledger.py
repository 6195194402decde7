"""The ledger knows every submit call, so that tests can count what was paid for."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from sceneshift.simulator import ledger_document
from sceneshift.simulator.ledger import Ledger, SubmitEntry
from tests.unit.simulator.support import LONG_AFTER, START, Desk, item, open_desk


def test_accepted_submission_is_written_down_in_full(desk: Desk) -> None:
    """An accepted call has its nonce, key, prompt, addresses, time and charge on record."""
    desk.now += 5.0
    key = desk.submit(item(), **{"X-Ca-Nonce": "n-1"}).json()["data"]["result_key"]
    assert desk.ledger()["submits"] == [
        {
            "time": START + 5.0,
            "nonce": "n-1",
            "accepted": True,
            "http_status": 200,
            "error_code": None,
            "result_key": key,
            "charged": 1,
            "image": item()["image"],
            "mask": item()["mask"],
            "positive_prompt": item()["positive_prompt"],
            "scenario": None,
        }
    ]


def test_refusals_are_written_down_without_a_charge(desk: Desk) -> None:
    """A call that the gateway, the rules or a picture stopped is on record, with the code that stopped it."""
    desk.submit(Authorization=None)
    desk.submit(item(steps=1))
    desk.submit(item(image="https://img.alicdn.com/none.png"))
    ledger = desk.ledger()
    assert [entry["error_code"] for entry in ledger["submits"]] == ["A400MA", "23500013", "23500006"]
    assert [entry["http_status"] for entry in ledger["submits"]] == [400, 400, 400]
    assert ledger["submits"][2]["image"] == "https://img.alicdn.com/none.png"
    assert (ledger["charged"], ledger["accepted"]) == (0, 0)


REFUSED: list[tuple[dict[str, Any], dict[str, str | None]]] = [
    ({}, {"Authorization": None}),
    ({}, {"Authorization": "APPCODE wrong"}),
    ({}, {"X-Ca-Nonce": None}),
    ({}, {"X-Ca-Nonce": "used"}),
    ({}, {"Content-Type": "text/plain"}),
    ({"steps": 1}, {}),
    ({"num_output": "3"}, {}),
]


@pytest.mark.parametrize(("changes", "headers"), REFUSED, ids=str)
def test_refused_submission_keeps_what_it_asked_for(
    desk: Desk, changes: dict[str, Any], headers: dict[str, str | None]
) -> None:
    """Gateway, wrong type or illegal field: first image, mask and prompt are on record, uncharged."""
    desk.submit(**{"X-Ca-Nonce": "used"})
    assert desk.submit(item(image="https://shop.test/a.png", **changes), **headers).status_code >= 400
    entry = desk.ledger()["submits"][-1]
    assert (entry["image"], entry["mask"], entry["charged"]) == ("https://shop.test/a.png", item()["mask"], 0)
    assert entry["positive_prompt"] == item()["positive_prompt"]


def test_fault_of_another_item_hides_nothing(desk: Desk) -> None:
    """The first item stands in the ledger when the second is what was wrong."""
    desk.submit(item(), item(strength=2))
    assert desk.ledger()["submits"][0]["image"] == item()["image"]


def test_throttled_submission_keeps_what_it_asked_for() -> None:
    """As does one that came too soon."""
    with open_desk(submit_rate=1) as desk:
        assert [desk.submit().status_code for _ in range(2)] == [200, 403]
        assert [entry["image"] for entry in desk.ledger()["submits"]] == [item()["image"]] * 2


def test_what_is_no_text_is_not_in_the_ledger(desk: Desk) -> None:
    """Fields of another type and half characters are nothing there; the others stay, at most 4,096 characters each."""
    body = json.dumps({"data": {"task_list": [item(image=5, mask="\ud800", positive_prompt="x" * 5000)]}})
    desk.request("POST", "/api/v1/bg-rep/submit", content=body, headers=desk.headers())
    entry = desk.ledger()["submits"][0]
    assert (entry["image"], entry["mask"], entry["positive_prompt"]) == (None, None, "x" * 4096)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[[]]", b'{"data": []}', b'{"data": {"task_list": {}}}',
                                  b'{"data": {"task_list": []}}', b'{"data": {"task_list": [3]}}', b"[" * 100_000,
                                  b"\xff", b"9" * 5000])  # fmt: skip
def test_body_that_cannot_be_read_leaves_nothing_but_its_call(desk: Desk, body: bytes) -> None:
    """Whatever it is, the submission is on record, without image, mask and prompt."""
    desk.request("POST", "/api/v1/bg-rep/submit", content=body, headers=desk.headers())
    (entry,) = desk.ledger()["submits"]
    assert (entry["http_status"], entry["image"], entry["mask"], entry["positive_prompt"]) == (400, None, None, None)


def test_totals_count_items_calls_and_queries(desk: Desk) -> None:
    """`charged` counts items, `accepted` counts calls, `queries` counts every question."""
    key = desk.accepted(item(), item())
    desk.accepted(item())
    desk.query(key)
    desk.query("unknown")
    ledger = desk.ledger()
    assert (ledger["charged"], ledger["accepted"], ledger["queries"]) == (3, 2, 2)


def test_health_is_answered_without_credentials(desk: Desk) -> None:
    """A health check needs no AppCode and leaves no trace in the ledger."""
    assert desk.request("GET", "/healthz").json() == {"status": "ok"}
    assert desk.ledger()["submits"] == []


def test_each_nonce_has_its_account(desk: Desk) -> None:
    """A nonce that was sent twice is one account with two submissions and one charge; calls without one have none."""
    key = desk.submit(item(), item(), **{"X-Ca-Nonce": "n-1"}).json()["data"]["result_key"]
    desk.submit(**{"X-Ca-Nonce": "n-1"})
    desk.submit(item(steps=1), **{"X-Ca-Nonce": "n-2"})
    desk.submit(**{"X-Ca-Nonce": None})
    assert desk.ledger()["nonces"] == {
        "n-1": {"submits": 2, "accepted": 1, "charged": 2, "result_keys": [key]},
        "n-2": {"submits": 1, "accepted": 0, "charged": 0, "result_keys": []},
    }


def test_each_key_has_its_account() -> None:
    """Charge, questions and downloads of a key stand together, also of one that nobody was given."""
    with open_desk(quality="draft") as desk:
        key = desk.submit(item(num_output=1), **{"X-Ca-Nonce": "n-1"}).json()["data"]["result_key"]
        desk.query(key)
        desk.now += LONG_AFTER
        (url,) = desk.results(key)
        for address in (url, url, url.replace("/0.png", "/7.png")):
            desk.request("GET", address)
        desk.query("unknown")
        desk.query(key, Authorization=None)
        ledger = desk.ledger()
    assert ledger["keys"] == {
        key: {"nonce": "n-1", "charged": 1, "queries": 2, "downloads": 3},
        "unknown": {"nonce": None, "charged": 0, "queries": 1, "downloads": 0},
    }
    assert (ledger["queries"], ledger["downloads"]) == (4, 3)


@pytest.mark.parametrize("rule", ["query-error-unauthorized", "query-drop", "query-gateway-vpc-x500er"])
def test_question_that_went_wrong_is_counted_for_its_key(rule: str) -> None:
    """Whatever its caller was told, a question that was asked is on record, once."""
    with open_desk(scenarios=(rule,)) as desk:
        key = desk.accepted()
        with contextlib.suppress(httpx.RemoteProtocolError):
            desk.query(key)
        assert desk.ledger()["keys"][key]["queries"] == 1


@pytest.mark.parametrize(("scenario", "status", "code"), [
    ("submit-accept-then-timeout", 0, None),
    ("submit-accept-then-drop", 0, None),
    ("submit-accept-then-cut", 200, None),
    ("submit-accept-then-500", 500, "23500000"),
    ("submit-accept-then-504", 504, "D504TO"),
    ("submit-gateway-classic-unavailable", 503, "Service Unavailable"),
    ("submit-gateway-classic-backend-timeout", 504, None),
])  # fmt: skip
def test_charge_and_what_the_caller_was_told_are_two_things(scenario: str, status: int, code: str | None) -> None:
    """A submission that was accepted is charged under its key, with the status and code that its caller saw."""
    with open_desk(scenarios=(scenario,)) as desk:
        with contextlib.suppress(httpx.TransportError):
            desk.submit()
        (entry,) = desk.ledger()["submits"]
        assert (entry["accepted"], entry["charged"], len(entry["result_key"])) == (True, 1, 32)
        assert (entry["http_status"], entry["error_code"], entry["scenario"]) == (status, code, scenario)


def test_long_ledger_is_whole() -> None:
    """A document that is made in pieces has every submission, nonce and key, in order."""
    with open_desk() as desk:
        for number in range(1100):
            desk.simulator.ledger.record_submit(an_entry(number))
            desk.simulator.ledger.record_download(f"key-{number}")
        document = desk.ledger()
        assert document == json.loads(json.dumps(desk.simulator.ledger.as_json()))
    assert [entry["nonce"] for entry in document["submits"]] == [f"nonce-{number}" for number in range(1100)]
    assert (document["charged"], len(document["nonces"]), len(document["keys"])) == (1100, 1100, 1100)


def an_entry(number: int) -> SubmitEntry:
    return SubmitEntry(
        time=START, nonce=f"nonce-{number}", accepted=True, http_status=200, error_code=None,
        result_key=f"key-{number}", charged=1, image="https://a.test/ü.png", mask=None, positive_prompt='"quoted"',
    )  # fmt: skip


def test_others_are_answered_while_the_ledger_is_made(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger takes its time beside the other calls; it tells what was so when it was asked for."""
    began, may_go_on, write = threading.Event(), threading.Event(), ledger_document._written

    def slow(ledger: Ledger) -> bytes:
        began.set()
        assert may_go_on.wait(20)
        return write(ledger)

    monkeypatch.setattr(ledger_document, "_written", slow)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(desk.ledger)
        assert began.wait(20)
        try:
            assert threads_answer(lambda: desk.request("GET", "/healthz").status_code) == 200
            desk.accepted()
        finally:
            may_go_on.set()
        assert asked.result(20)["charged"] == 0
    assert desk.ledger()["charged"] == 1


def threads_answer(ask: Callable[[], int]) -> int:
    """What is answered within ten seconds."""
    threads = ThreadPoolExecutor(1)
    try:
        return threads.submit(ask).result(10)
    finally:
        threads.shutdown(wait=False)


def test_endless_keys_are_kept_short(desk: Desk) -> None:
    """A key that cannot have been given out stands in ledger and journal by its beginning."""
    desk.query("k" * 5000)
    shown = "k" * 255 + "…"
    assert list(desk.ledger()["keys"]) == [shown]
    assert desk.state()["exchanges"][0]["result_key"] == shown


def test_python_and_json_tell_the_same() -> None:
    """What a test reads in the same process is what others read over HTTP."""
    with open_desk(quality="draft", nonces="ignored") as desk:
        key = desk.finished(item(num_output=1))
        desk.request("GET", desk.results(key)[0])
        desk.submit(item(steps=1))
        ledger = desk.simulator.ledger
        assert json.loads(json.dumps(ledger.as_json())) == desk.ledger()
        assert desk.request("GET", "/_sim/ledger?totals=1").json() == ledger.totals()
        assert (ledger.by_key()[key].downloads, ledger.by_key()[key].queries) == (1, 1)
        assert [account.charged for account in ledger.by_nonce().values()] == [1, 0]


def test_journal_says_what_each_call_was_told() -> None:
    """Every exchange has its line, the newest first: an error's code and text, or the tasks' statuses, or what else."""
    with open_desk(quality="draft", gateway="classic", scenarios=("query-gateway-classic-backend-timeout@2",)) as desk:
        key = desk.accepted(item(num_output=1))
        desk.submit(item(steps=1))
        desk.query(key)
        desk.query(key)
        desk.now += LONG_AFTER
        desk.request("GET", desk.results(key)[0])
        exchanges = desk.state()["exchanges"]
    told = [(each["number"], each["exchange"], each["http_status"], each["said"]) for each in reversed(exchanges)]
    assert told == [
        (1, "submit", 200, "WAITING"),
        (2, "submit", 400, "23500013 Illegal input parameter found"),
        (3, "query", 200, "WAITING"),
        (4, "query", 504, "nothing"),
        (5, "query", 200, "SUCCESS"),
        (6, "download", 200, "image/png"),
    ]
    assert [each["scenario"] for each in exchanges if each["scenario"]] == ["query-gateway-classic-backend-timeout"]


def test_journal_keeps_the_latest_200() -> None:
    """Older lines go; numbers go on."""
    with open_desk() as desk:
        for _ in range(205):
            desk.query("fdfd")
        numbers = [each["number"] for each in desk.state()["exchanges"]]
        assert numbers == list(range(205, 5, -1))
