"""The ledger knows every submit call, so that tests can count what was paid for."""

from __future__ import annotations

from tests.unit.simulator.support import START, Desk, item


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
