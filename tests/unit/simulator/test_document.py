"""The document's samples and its error table, written down here a second time as the oracle."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sceneshift.simulator.answers import Fault
from sceneshift.simulator.config import Reading
from tests.unit.simulator.support import LONG_AFTER, Desk, item, open_desk

ENVELOPE = ["success", "code", "message", "requestId", "severity", "data"]
REQUEST_ID = re.compile(r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}")

ERROR_TABLE = [
    (500, 23500000, "Internal server error"),
    (401, 23500001, "Authorization required to perform current operation"),
    (404, 23500002, "Specified service does not exist"),
    (403, 23500003, "User credit points are exhausted"),
    (403, 23500004, "Request was denied due to request throttling"),
    (403, 23500005, "The image did not pass the content compliance check"),
    (400, 23500006, "The image url provided is invalid or non-accessible"),
    (400, 23500007, "The uploaded image does not meet the requirements"),
    (400, 23500008, "No records found related to the specified resultKey parameter"),
    (400, 23500009, "Required parameters cannot be empty"),
    (500, 23500011, "Job execution failed"),
    (400, 23500012, "Required request body is missing"),
    (400, 23500013, "Illegal input parameter found"),
    (400, 23500014, "Illegal service name"),
]


def test_error_table_is_the_documents() -> None:
    """Every error row has the document's status, code (reading B) and message, in its order."""
    assert [(fault.http_status, fault.code("B"), fault.message) for fault in Fault] == ERROR_TABLE


def test_codes_of_reading_a_are_the_documents() -> None:
    """In reading A success takes the first code, so the first ten errors have the next; the last four keep theirs."""
    moved = [code + 1 if code < 23500011 else code for _, code, _ in ERROR_TABLE]
    assert [fault.code("A") for fault in Fault] == moved


@pytest.mark.parametrize(("reading", "success", "illegal", "no_record"), [
    ("A", 23500000, 23500013, 23500009),
    ("B", 0, 23500013, 23500008),
])  # fmt: skip
def test_reading_decides_about_the_codes(reading: Reading, success: int, illegal: int, no_record: int) -> None:
    """Success, an error of both readings and one that they disagree on have the code of the chosen reading."""
    with open_desk(reading=reading) as desk:
        codes = [answer.json()["code"] for answer in (desk.submit(), desk.submit(item(steps=1)), desk.query("fdfd"))]
    assert codes == [success, illegal, no_record]


def test_submit_sample_is_answered_as_printed(desk: Desk) -> None:
    """The sample submission gets the envelope, a 32-digit key, and its own fields back as WAITING, with no message."""
    answer = desk.submit(item())
    body = answer.json()
    assert answer.status_code == 200
    assert list(body) == ENVELOPE
    assert (body["success"], body["code"], body["message"], body["severity"]) == (True, 0, "success", "info")
    assert REQUEST_ID.fullmatch(body["requestId"])
    assert answer.headers["X-Ca-Request-Id"] == body["requestId"]
    assert re.fullmatch(r"[0-9a-f]{32}", body["data"]["result_key"])
    assert body["data"]["task_list"] == [{**item(), "status": "WAITING"}]


def test_query_sample_is_answered_as_printed(desk: Desk) -> None:
    """A finished task echoes its inputs, says success, and has as many result addresses as were ordered."""
    key = desk.accepted(item())
    desk.now += LONG_AFTER
    body = desk.query(key).json()
    (task,) = body["data"]["task_list"]
    results = task.pop("results")
    assert list(body) == ENVELOPE
    assert body["data"]["result_key"] == key
    assert task == {**item(), "status": "SUCCESS", "message": "success"}
    assert len(results) == 3
    assert all(re.match(rf"http://simulator\.test/results/{key}/{n}\.png\?", url) for n, url in enumerate(results))


def test_results_stay_empty_until_success(desk: Desk) -> None:
    """Before its end a task has an empty list of results and no message."""
    key = desk.accepted()
    (task,) = desk.tasks(key)
    assert task["results"] == []
    assert "message" not in task


def test_failed_task_says_why_and_has_no_results() -> None:
    """A task that fails is FAILED inside a 200, with the reason in its message."""
    with open_desk(failure_rate=1.0) as desk:
        key = desk.accepted()
        desk.now += LONG_AFTER
        answer = desk.query(key)
        (task,) = answer.json()["data"]["task_list"]
        assert (answer.status_code, answer.json()["success"]) == (200, True)
        assert (task["status"], task["message"], task["results"]) == ("FAILED", "Job execution failed", [])


def test_unknown_key_has_no_record(desk: Desk) -> None:
    """A key that nobody was given is answered with the document's error, in the same envelope."""
    answer = desk.query("fdfd")
    body = answer.json()
    assert answer.status_code == 400
    assert list(body) == ENVELOPE
    assert (body["success"], body["code"], body["data"]) == (False, 23500008, None)


def test_key_is_forgotten_after_its_retention() -> None:
    """A key works until the retention ends, and has no record from then on."""
    with open_desk(retention_seconds=600.0) as desk:
        key = desk.accepted()
        desk.now += 599.0
        assert desk.query(key).status_code == 200
        desk.now += 1.0
        assert desk.query(key).json()["code"] == 23500008


def test_two_simulators_never_share_a_key() -> None:
    """A restart with the same seed gives out other keys: a client must never see one key for two jobs."""
    keys = set()
    for _ in range(2):
        with open_desk(seed=5) as desk:
            keys.add(desk.accepted())
    assert len(keys) == 2


REFUSED: list[tuple[str, dict[str, Any], int]] = [
    ("no image", {"image": None}, 23500009),
    ("empty mask", {"mask": ""}, 23500009),
    ("blank prompt", {"positive_prompt": "  "}, 23500009),
    ("no strength", {"strength": None}, 23500009),
    ("no steps", {"steps": None}, 23500009),
    ("no num_output", {"num_output": None}, 23500009),
    ("prompt too long", {"positive_prompt": "x" * 501}, 23500013),
    ("negative prompt too long", {"negative_prompt": "x" * 501}, 23500013),
    ("strength zero", {"strength": 0}, 23500013),
    ("strength above one", {"strength": 1.01}, 23500013),
    ("strength as text", {"strength": "0.5"}, 23500013),
    ("too few steps", {"steps": 14}, 23500013),
    ("too many steps", {"steps": 51}, 23500013),
    ("steps as float", {"steps": 20.0}, 23500013),
    ("steps as boolean", {"steps": True}, 23500013),
    ("no images ordered", {"num_output": 0}, 23500013),
    ("five images ordered", {"num_output": 5}, 23500013),
    ("seed as text", {"seed": "7"}, 23500013),
    ("guidance as boolean", {"guidance_scale": True}, 23500013),
    ("image as list", {"image": ["https://img.alicdn.com/abc.png"]}, 23500013),
    ("image as data address", {"image": "data:image/png;base64,AAAA"}, 23500006),
    ("mask without host", {"mask": "https:///abc.png"}, 23500006),
    ("image that is not there", {"image": "https://img.alicdn.com/none.png"}, 23500006),
]


@pytest.mark.parametrize(("changes", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_illegal_item_is_refused(desk: Desk, changes: dict[str, Any], code: int) -> None:
    """An item that breaks a rule of the document is refused with that rule's code, and nothing is charged."""
    answer = desk.submit(item(**changes))
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert desk.ledger()["charged"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 15, "strength": 1, "num_output": 1, "positive_prompt": "x" * 500},
        {"steps": 50, "strength": 0.001, "num_output": 4, "seed": 2**31 - 1},
        {"negative_prompt": None, "guidance_scale": None, "seed": None},
    ],
    ids=["lower limits", "upper limits", "optional fields left out"],
)
def test_item_at_its_limits_is_accepted(desk: Desk, changes: dict[str, Any]) -> None:
    """The limits themselves are legal, and the optional fields may be left out; the echo repeats what was given."""
    answer = desk.submit(item(**changes))
    assert answer.json()["data"]["task_list"] == [{**item(**changes), "status": "WAITING"}]


@pytest.mark.parametrize(
    ("raw", "content_type", "code"),
    [
        (b"", "application/json", 23500012),
        (b'{"data": {}}', "text/plain", 23500012),
        (b"{", "application/json", 23500013),
        (b'{"data": {"task_list": [{"strength": NaN}]}}', "application/json", 23500013),
        (b"[" * 100_000, "application/json", 23500013),
        (b"[]", "application/json", 23500009),
        (b"{}", "application/json", 23500009),
        (b'{"data": {"task_list": []}}', "application/json", 23500009),
        (b'{"data": {"task_list": {"image": "x"}}}', "application/json", 23500013),
        (b'{"data": {"task_list": [1]}}', "application/json", 23500013),
        (b'{"data": {"task_list": [{"positive_prompt": "\\ud800"}]}}', "application/json", 23500013),
    ],
)
def test_broken_body_is_refused(desk: Desk, raw: bytes, content_type: str, code: int) -> None:
    """A body that is missing, no JSON or of another shape is refused with a code of the document, never a crash."""
    headers = desk.headers(**{"Content-Type": content_type})
    answer = desk.request("POST", "/api/v1/bg-rep/submit", content=raw, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_several_items_keep_their_order_and_number_their_pictures_through(desk: Desk) -> None:
    """One key covers all items of a call, in order; no two of their pictures have the same address."""
    key = desk.accepted(item(num_output=2), item(num_output=1, positive_prompt="a marble table"))
    desk.now += LONG_AFTER
    tasks = desk.tasks(key)
    paths = [url.partition("?")[0].rpartition("/")[2] for task in tasks for url in task["results"]]
    assert [task["positive_prompt"] for task in tasks] == ["on soft pale yellow silk", "a marble table"]
    assert paths == ["0.png", "1.png", "2.png"]
    assert desk.ledger()["charged"] == 2


def test_too_many_items_are_refused(desk: Desk) -> None:
    """Eleven items in one call are more than the provider takes."""
    assert desk.submit(*[item()] * 11).json()["code"] == 23500013
