"""The gateway before the provider: AppCode, nonce, paths and size."""

from __future__ import annotations

import pytest

from tests.unit.simulator.support import Desk


@pytest.mark.parametrize(
    ("authorization", "code", "message"),
    [
        (None, "A400MA", "Missing Authorization: an AppCode is required"),
        ("Bearer simulator-appcode", "A400MA", "Missing Authorization: an AppCode is required"),
        ("APPCODE another", "A400AC", "Invalid AppCode `not exists`"),
        ("APPCODE  simulator-appcode", "A400AC", "Invalid AppCode `not exists`"),
    ],
)
@pytest.mark.parametrize("endpoint", ["submit", "query"])
def test_wrong_appcode_stops_at_the_gateway(
    desk: Desk, endpoint: str, authorization: str | None, code: str, message: str
) -> None:
    """Without the right AppCode, after exactly one space, the gateway answers: headers, and an empty body."""
    answer = desk.post(endpoint, {"data": {}}, Authorization=authorization)
    assert (answer.status_code, answer.content) == (400, b"")
    assert answer.headers["X-Ca-Error-Code"] == code
    assert answer.headers["X-Ca-Error-Message"] == message
    assert answer.headers["X-Ca-Request-Id"]


def test_nonce_is_required(desk: Desk) -> None:
    """A call without a nonce is refused as an invalid request."""
    answer = desk.submit(**{"X-Ca-Nonce": None})
    assert (answer.status_code, answer.headers["X-Ca-Error-Code"]) == (400, "I400NC")


def test_nonce_works_once_within_15_minutes(desk: Desk) -> None:
    """The same nonce is refused until 15 minutes are over, on both endpoints together, and charges nothing more."""
    assert desk.submit(**{"X-Ca-Nonce": "same"}).status_code == 200
    for refused in (desk.submit(**{"X-Ca-Nonce": "same"}), desk.query("any", **{"X-Ca-Nonce": "same"})):
        assert (refused.status_code, refused.headers["X-Ca-Error-Code"]) == (403, "S403NU")
        assert refused.headers["X-Ca-Error-Message"] == "Nonce Used"
    desk.now += 899.0
    assert desk.submit(**{"X-Ca-Nonce": "same"}).status_code == 403
    desk.now += 1.0
    assert desk.submit(**{"X-Ca-Nonce": "same"}).status_code == 200
    assert desk.ledger()["charged"] == 2


def test_nonce_of_a_call_without_appcode_stays_unused(desk: Desk) -> None:
    """A stranger cannot use up somebody's nonce."""
    desk.submit(Authorization=None, **{"X-Ca-Nonce": "mine"})
    assert desk.submit(**{"X-Ca-Nonce": "mine"}).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/bg-rep/list"), ("GET", "/api/v1/bg-rep/query")])
def test_unknown_path_or_method_is_the_gateways_answer(desk: Desk, method: str, path: str) -> None:
    """What the gateway has no entry for is its 404, not the provider's."""
    answer = desk.request(method, path, headers=desk.headers())
    assert (answer.status_code, answer.headers["X-Ca-Error-Code"]) == (404, "I404NF")


def test_body_above_the_gateways_limit_is_refused(desk: Desk) -> None:
    """More than 8 MiB never reach the provider."""
    content = b" " * (8 * 1024 * 1024 + 1)
    answer = desk.request("POST", "/api/v1/bg-rep/submit", content=content, headers=desk.headers())
    assert (answer.status_code, answer.headers["X-Ca-Error-Code"]) == (413, "I413RL")
