"""The gateway before the provider: AppCode, nonce, paths and size."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from sceneshift.simulator.config import Gateway
from sceneshift.simulator.gateway_forms import CLASSIC, FORMS, VPC, GatewayForm
from tests.unit.simulator.support import Desk, open_desk


@pytest.mark.parametrize(
    ("authorization", "code", "message"),
    [
        (None, "A400MA", None),
        ("Bearer simulator-appcode", "A400MA", None),
        ("APPCODE another", "A400AC", "Invalid AppCode `not exists`"),
        ("APPCODE  simulator-appcode", "A400AC", "Invalid AppCode `not exists`"),
    ],
)
@pytest.mark.parametrize("endpoint", ["submit", "query"])
def test_wrong_appcode_stops_at_the_gateway(
    desk: Desk, endpoint: str, authorization: str | None, code: str, message: str | None
) -> None:
    """Without the right AppCode, after exactly one space, the gateway answers: headers, and an empty body."""
    answer = desk.post(endpoint, {"data": {}}, Authorization=authorization)
    assert (answer.status_code, answer.content) == (400, b"")
    assert answer.headers["X-Ca-Error-Code"] == code
    assert answer.headers.get("X-Ca-Error-Message") == message
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


def repeated(desk: Desk) -> httpx.Response:
    desk.submit(**{"X-Ca-Nonce": "same"})
    return desk.submit(**{"X-Ca-Nonce": "same"})


def too_large(desk: Desk) -> httpx.Response:
    content = b" " * (8 * 1024 * 1024 + 1)
    return desk.request("POST", "/api/v1/bg-rep/submit", content=content, headers=desk.headers())


REFUSALS: dict[str, tuple[Callable[[Desk], httpx.Response], tuple[int, str], tuple[int, str, str | None]]] = {
    "AppCode missing": (
        lambda desk: desk.submit(Authorization=None), (403, "Unauthorized"), (400, "A400MA", None)),
    "AppCode wrong": (
        lambda desk: desk.submit(Authorization="APPCODE other"),
        (400, "Invalid AppCode `not exists`"), (400, "A400AC", "Invalid AppCode `not exists`")),
    "nonce missing": (
        lambda desk: desk.submit(**{"X-Ca-Nonce": None}),
        (400, "X-Ca-Nonce is required"), (400, "I400NC", "X-Ca-Nonce is required")),
    "nonce used": (repeated, (400, "Nonce Used"), (403, "S403NU", "Nonce Used")),
    "no such path": (
        lambda desk: desk.post("list", {}), (400, "Invalid Url"), (404, "I404NF", None)),
    "body too large": (too_large, (400, "Invalid Request Body"), (413, "I413RL", None)),
}  # fmt: skip
"""What is done wrong, and what a classic gateway and a newer one answer."""


@pytest.mark.parametrize(("wrong", "classic", "vpc"), REFUSALS.values(), ids=REFUSALS)
def test_each_generation_refuses_in_its_own_form(
    wrong: Callable[[Desk], httpx.Response], classic: tuple[int, str], vpc: tuple[int, str, str | None]
) -> None:
    """A classic gateway sends a text and never a code; a newer one sends a code. Neither sends a body."""
    with open_desk(gateway="classic") as desk:
        answer = wrong(desk)
        assert (answer.status_code, answer.headers["X-Ca-Error-Message"]) == classic
        assert ("X-Ca-Error-Code" in answer.headers, answer.content) == (False, b"")
        assert desk.ledger()["accepted"] == (wrong is repeated)
    with open_desk(gateway="vpc") as desk:
        answer = wrong(desk)
        told = (answer.status_code, answer.headers["X-Ca-Error-Code"], answer.headers.get("X-Ca-Error-Message"))
        assert (told, answer.content) == (vpc, b"")


DOCUMENTED_CLASSIC = {
    "Throttled by USER Flow Control": 403,
    "Throttled by APP Flow Control": 403,
    "Throttled by API Flow Control": 403,
    "Throttled by DOMAIN Flow Control": 403,
    "Quota Exhausted": 403,
    "Api Market Subscription quota exhausted": 403,
    "Quota Expired": 403,
    "User Arrears": 403,
    "Expiry of Authorization": 403,
    "Unauthorized": 403,
    "Invalid AppCode `not exists`": 400,
    "Invalid Domain": 400,
    "Invalid Url": 400,
    "Invalid Param Location": 400,
    "Empty Request Body": 400,
    "Invalid Request Body": 400,
    "X-Ca-Nonce is required": 400,
    "Nonce Used": 400,
    "Internal Error": 500,
    "Failed To Call Backend Service": 500,
    "Service Unavailable": 503,
    None: 504,
}
DOCUMENTED_CODES = (
    "T429ID T429IN T429GR T429PA T429PR T429SR T429MR B403MQ B403ME B403MI B403OD B403MO A403EP A400MA A400AC A401AC "
    "I404DO I404NF I405UM I400NC I413RL I413UL S403NU X500ER X503BZ X504TO D504TO D504CO D504RE D502FC D503BB D503CB"
)


def test_forms_are_the_documented_ones() -> None:
    """Each text of a classic gateway has its status; each code of a newer one has the status in its digits."""
    assert {form.message: form.http_status for form in CLASSIC} == DOCUMENTED_CLASSIC
    assert [form.code for form in VPC] == DOCUMENTED_CODES.split()
    assert all(str(form.http_status) == str(form.code)[1:4] for form in VPC)
    assert len(FORMS) == len(CLASSIC) + len(VPC)


@pytest.mark.parametrize("form", FORMS.values(), ids=lambda form: form.name)
def test_only_failures_on_the_way_back_may_follow_a_call(form: GatewayForm) -> None:
    """A back end may have been called before any 5xx, but for the open circuit breaker, and before no 4xx."""
    assert form.called == (form.http_status >= 500 and form.code != "D503CB")


def test_ignored_nonces_are_not_looked_at() -> None:
    """A gateway that does not check takes a call without a nonce, and the same nonce twice, and charges each."""
    with open_desk(nonces="ignored") as desk:
        calls = [desk.submit(**{"X-Ca-Nonce": nonce}).status_code for nonce in (None, "same", "same")]
        assert (calls, desk.ledger()["charged"]) == ([200, 200, 200], 3)


def test_forgotten_nonces_are_demanded_and_charged_again() -> None:
    """A gateway that has lost its memory wants a nonce, and a repeated submission is another paid one."""
    with open_desk(nonces="forgotten") as desk:
        assert desk.submit(**{"X-Ca-Nonce": None}).headers["X-Ca-Error-Code"] == "I400NC"
        first, second = (desk.submit(**{"X-Ca-Nonce": "same"}).json()["data"]["result_key"] for _ in range(2))
        account = desk.ledger()["nonces"]["same"]
        assert account == {"submits": 2, "accepted": 2, "charged": 2, "result_keys": [first, second]}


def test_gateway_that_forgets_takes_a_nonce_again() -> None:
    """After `forget_nonces` a used nonce passes once more, and is remembered from then on."""
    with open_desk() as desk:
        statuses = [desk.submit(**{"X-Ca-Nonce": "same"}).status_code for _ in range(2)]
        desk.simulator.control(forget_nonces=True)
        statuses += [desk.submit(**{"X-Ca-Nonce": "same"}).status_code for _ in range(2)]
        assert (statuses, desk.ledger()["charged"]) == ([200, 403, 200, 403], 2)


@pytest.mark.parametrize("gateway", ["classic", "vpc"])
def test_wrong_appcode_with_foreign_letters_is_only_wrong(gateway: Gateway) -> None:
    """Bytes beyond ASCII in a header are compared, not stumbled over."""
    with open_desk(gateway=gateway) as desk:
        headers = desk.headers() | {"Authorization": "APPCODE Schlüssel"}
        encoded = {name: value.encode() for name, value in headers.items()}
        answer = desk.request("POST", "/api/v1/bg-rep/query", content=b"{}", headers=encoded)
        assert answer.headers["X-Ca-Error-Message"] == "Invalid AppCode `not exists`"
