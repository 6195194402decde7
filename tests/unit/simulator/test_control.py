"""The simulator's own addresses: its behaviour can be changed while it runs, and wrong wishes change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from sceneshift.errors import ConfigurationError
from sceneshift.simulator.control import SUBMISSIONS_SHOWN
from tests.unit.simulator.support import LONG_AFTER, START, Desk, item, open_desk


def test_rules_can_be_changed(desk: Desk) -> None:
    """New rules hold from the next call on, take the place of all others, and an empty list ends them."""
    for rules, status in ((["submit-500"], 500), (["submit-html-502@1"], 502), ([], 200)):
        answer = desk.control({"scenarios": rules})
        assert (answer.status_code, answer.json()["scenarios"]) == (200, rules)
        assert desk.submit().status_code == status


def test_clock_can_be_put_forward(desk: Desk) -> None:
    """The answer says what the time is now."""
    assert desk.control({"advance_seconds": 60.5}).json()["now"] == START + 60.5
    assert desk.control({"advance_seconds": 1}).json()["now"] == START + 61.5


def test_credits_can_be_set(desk: Desk) -> None:
    """The balance is what was set."""
    desk.control({"credits": 0})
    assert desk.submit().json()["message"] == "User credit points are exhausted"


def test_nonces_and_results_can_be_forgotten(desk: Desk) -> None:
    """What is true is done, and what is false is not."""
    key = desk.submit(**{"X-Ca-Nonce": "same"}).json()["data"]["result_key"]
    desk.control({"forget_nonces": False, "forget_results": False})
    assert (desk.submit(**{"X-Ca-Nonce": "same"}).status_code, desk.query(key).status_code) == (403, 200)
    desk.control({"forget_nonces": True, "forget_results": True})
    assert (desk.submit(**{"X-Ca-Nonce": "same"}).status_code, desk.query(key).status_code) == (200, 400)


def test_several_wishes_at_once(desk: Desk) -> None:
    """One document may have several."""
    desk.control({"credits": 1, "advance_seconds": 5, "scenarios": ["query-500"]})
    state = desk.state()
    assert (state["credits"], state["now"], state["scenarios"]) == (1, START + 5, ["query-500"])


def test_empty_document_changes_nothing(desk: Desk) -> None:
    """It is answered with the state of things."""
    desk.control({"scenarios": ["query-500"]})
    assert desk.control({}).json() == {"now": START, "scenarios": ["query-500"]}


BAD_WISHES: list[tuple[Any, str]] = [
    ({"scenarios": "submit-drop"}, "scenarios"),
    ({"scenarios": [1]}, "scenarios"),
    ({"scenarios": None}, "scenarios"),
    ({"scenarios": ["submit-drop", "submit-dorp"]}, "submit-dorp"),
    ({"scenarios": ["submit-drop@" + "9" * 5000]}, "submit-drop@"),
    ({"advance_seconds": -1}, "advance_seconds"),
    ({"advance_seconds": "60"}, "advance_seconds"),
    ({"advance_seconds": True}, "advance_seconds"),
    ({"advance_seconds": 1e13}, "advance_seconds"),
    ({"credits": -1}, "credits"),
    ({"credits": 1.5}, "credits"),
    ({"credits": True}, "credits"),
    ({"credits": None}, "credits"),
    ({"forget_nonces": 1}, "forget_nonces"),
    ({"forget_results": "yes"}, "forget_results"),
    ({"seed": 3}, "seed"),
    ([], "JSON object"),
    ("submit-drop", "JSON object"),
    (0, "JSON object"),
]


@pytest.mark.parametrize(("wish", "named"), BAD_WISHES, ids=lambda value: str(value)[:40])
def test_bad_wish_is_refused_by_name(desk: Desk, wish: Any, named: str) -> None:
    """It is a 400 whose text names the field, or the rule."""
    answer = desk.control(wish)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert named in answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"advance_seconds": ' + b"1" * 5000 + b"}"])
def test_body_that_is_no_json_is_refused(desk: Desk, body: bytes) -> None:
    """Whatever it is, it is a 400 that says so."""
    answer = desk.request("POST", "/_sim/control", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, {"error": "the body is not JSON"})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_number_that_is_none_is_refused(desk: Desk, number: str) -> None:
    """Python's JSON has numbers that are no seconds."""
    content = f'{{"advance_seconds": {number}}}'
    answer = desk.request("POST", "/_sim/control", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert desk.state()["now"] == START


def test_body_beyond_a_mebibyte_is_refused(desk: Desk) -> None:
    """Nobody needs so much, and it is not kept."""
    answer = desk.control({"scenarios": ["x" * (1 << 20)]})
    assert answer.status_code == 400
    assert "1048576 bytes" in answer.json()["error"]


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_other_types_are_refused(desk: Desk, content_type: str | None) -> None:
    """A foreign page in a developer's browser can send these, so they change nothing."""
    headers = {"Content-Type": content_type} if content_type else {}
    answer = desk.request("POST", "/_sim/control", content=b'{"credits": 0}', headers=headers)
    assert answer.status_code == 415
    assert desk.state()["credits"] is None


OWN = [
    (None, "simulator.test"),
    (None, "10.0.0.5:8400"),
    ("http://localhost:3000", "127.0.0.1:8400"),
    ("http://127.0.0.1:8400", "127.0.0.1:8400"),
    ("http://[::1]:8400", "[::1]:8400"),
    ("http://shop.localhost", "localhost:8400"),
    ("http://10.0.0.5:8400", "10.0.0.5:8400"),
    ("http://simulator:8400", "Simulator:8400"),
]
FOREIGN = [
    ("https://evil.test", "127.0.0.1:8400"),
    ("http://evil.test:8400", "evil.test:8400"),
    ("http://10.0.0.6:8400", "10.0.0.5:8400"),
    ("http://10.0.0.5:3000", "10.0.0.5:8400"),
    ("http://localhost.evil.test", "localhost:8400"),
    ("http://127.0.0.1.evil.test", "localhost:8400"),
    ("http://localhost@evil.test", "localhost:8400"),
    ("null", "localhost:8400"),
    ("file://", "localhost:8400"),
    ("http://[", "localhost:8400"),
    ("", "localhost:8400"),
]


@pytest.mark.parametrize(("origin", "host"), OWN)
def test_programs_and_pages_of_this_machine_may_change_it(desk: Desk, origin: str | None, host: str) -> None:
    """No origin, a loopback one, or the called address itself."""
    headers = {"Host": host} | ({"Origin": origin} if origin is not None else {})
    assert desk.control({"credits": 0}, **headers).status_code == 200


@pytest.mark.parametrize(("origin", "host"), FOREIGN)
def test_pages_from_elsewhere_may_not_change_it(desk: Desk, origin: str, host: str) -> None:
    """Nor may one whose owner has let their own name lead to this machine."""
    answer = desk.control({"credits": 0}, Origin=origin, Host=host)
    assert (answer.status_code, list(answer.json())) == (403, ["error"])
    assert desk.state()["credits"] is None


def test_type_may_name_a_charset(desk: Desk) -> None:
    """`application/json; charset=utf-8` is JSON."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert desk.request("POST", "/_sim/control", content=b'{"credits": 0}', headers=headers).status_code == 200


@pytest.mark.parametrize("bad", [{"scenarios": ["nonsense"]}, {"advance_seconds": -1}, {"unknown": 1}])
def test_nothing_is_done_by_half(desk: Desk, bad: dict[str, Any]) -> None:
    """One bad wish undoes the good ones beside it, over HTTP and in Python."""
    desk.control({"scenarios": ["query-500"]})
    good = {"credits": 0, "forget_nonces": True, "forget_results": True, "scenarios": ["query-drop"]}
    key = desk.submit(**{"X-Ca-Nonce": "same"}).json()["data"]["result_key"]
    before = desk.state()
    assert desk.control({**good, **bad}).status_code == 400
    with pytest.raises(ConfigurationError):
        desk.simulator.control(**{**good, **bad})
    assert desk.state() == before
    assert desk.submit(**{"X-Ca-Nonce": "same"}).status_code == 403
    assert desk.query(key).status_code == 500


def test_state_shows_what_goes_on() -> None:
    """Settings, balance, sums, rules and how often they struck, and each submission with its tasks and results."""
    with open_desk(credits=5, scenarios=("query-500@1",), reading="A") as desk:
        key = desk.accepted(item(seed=None))
        desk.query(key)
        desk.now += LONG_AFTER
        desk.submit(item(steps=1))
        state = desk.state()
    (submission,) = state["submissions"]
    (task,) = submission["tasks"]
    assert (submission["result_key"], task["status"], len(task["results"])) == (key, "SUCCESS", 3)
    assert (task["positive_prompt"], 0 <= task["seed_drawn"] < 2**31) == (item()["positive_prompt"], True)
    assert (state["credits"], state["running"], state["struck"]) == (4, 0, {"query-500": 1})
    assert state["totals"] == {"submits": 2, "accepted": 1, "charged": 1, "queries": 1, "downloads": 0}
    assert (state["settings"]["reading"], state["settings"]["median_seconds"]) == ("A", 8.0)


def test_state_shows_the_latest_submissions_only(desk: Desk) -> None:
    """The newest come first, and a long run does not make the page long."""
    keys = [desk.accepted() for _ in range(SUBMISSIONS_SHOWN + 2)]
    assert [each["result_key"] for each in desk.state()["submissions"]] == keys[:1:-1]


def test_state_shows_the_beginning_of_endless_texts(desk: Desk) -> None:
    """Addresses and nonces of more than 256 characters are cut on the page; the ledger has the address."""
    image = f"{item()['image']}?signature={'s' * 500}"
    desk.pictures[image] = desk.pictures[item()["image"]]
    desk.submit(item(image=image), **{"X-Ca-Nonce": "n" * 300})
    (submission,) = desk.state()["submissions"]
    assert submission["tasks"][0]["image"] == f"{image[:255]}…"
    assert submission["tasks"][0]["mask"] == item()["mask"]
    assert submission["nonce"] == "n" * 255 + "…"
    assert desk.ledger()["submits"][0]["image"] == image


def test_looking_leaves_no_trace(desk: Desk) -> None:
    """Reading state and ledger is neither an exchange nor a question."""
    for _ in range(3):
        desk.state()
        desk.ledger()
    assert (desk.state()["exchanges"], desk.ledger()["queries"]) == ([], 0)
