"""The client on a recording transport: what is sent, how often, and what is never kept."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest

from sceneshift.errors import ConfigurationError
from sceneshift.provider.bg_rep import BgRepProvider
from sceneshift.provider.protocol import Accepted, ErrorKind, OutcomeUnknown, Pending, Provider, QueryFailed, Refused
from sceneshift.settings import Settings
from tests.unit.provider.recording import APPCODE, BASE_URL, ITEM, RESULT_KEY, Script, provider_on

ACCEPTED = {"success": True, "code": 0, "data": {"result_key": RESULT_KEY}}
RUNNING = {"success": True, "code": 0, "data": {"result_key": RESULT_KEY, "task_list": [{"status": "RUNNING"}]}}
NONCE_USED = {"X-Ca-Error-Code": "S403NU", "X-Ca-Error-Message": "Nonce Used"}


def test_it_is_a_provider() -> None:
    """The client satisfies the port that the rest of the system knows."""
    provider: Provider = provider_on(Script(httpx.Response(200, json=ACCEPTED)))
    assert provider.submit(provider.request_body(ITEM), nonce="n-1") == Accepted(result_key=RESULT_KEY)


def test_submit_sends_exactly_what_it_was_given() -> None:
    """P2: the stored body and the stored nonce go out once, to the documented path, with the documented headers."""
    script = Script(httpx.Response(200, json=ACCEPTED))
    provider = provider_on(script)
    body = provider.request_body(ITEM)
    provider.submit(body, nonce="5f0c-stored")
    [request] = script.requests
    assert (request.method, str(request.url)) == ("POST", f"{BASE_URL}/submit")
    assert request.content == body
    assert script.nonces == ["5f0c-stored"]
    assert request.headers["authorization"] == f"APPCODE {APPCODE}"
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, json=ACCEPTED),
        httpx.Response(500),
        httpx.Response(503, headers={"Retry-After": "0"}),
        httpx.Response(429, headers={"X-Ca-Error-Code": "T429PA"}),
        httpx.Response(403, headers=NONCE_USED),
        httpx.Response(401),
        httpx.Response(307, headers={"Location": f"{BASE_URL}/submit"}),
        httpx.Response(308, headers={"Location": "https://elsewhere.test/"}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("silence"),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
    ],
    ids=str,
)
def test_one_submission_is_one_request(reply: httpx.Response | Exception) -> None:
    """SUB12: no answer and no fault makes the client send a submission again, or anywhere else."""
    script = Script(reply)
    provider_on(script).submit(b"{}", nonce="n-1")
    assert script.nonces == ["n-1"]


def test_query_takes_a_fresh_nonce_each_time() -> None:
    """Two questions carry two nonces, and ask for the key in the body."""
    script = Script(httpx.Response(200, json=RUNNING))
    provider = provider_on(script)
    assert provider.query(RESULT_KEY) == provider.query(RESULT_KEY) == Pending(provider_status="RUNNING")
    assert script.nonces == ["fresh-1", "fresh-2"]
    assert str(script.requests[0].url) == f"{BASE_URL}/query"
    assert json.loads(script.requests[0].content) == {"data": {"result_key": RESULT_KEY}}


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(403, headers=NONCE_USED),
        httpx.Response(400, json={"message": "Nonce Used"}),
        httpx.Response(400, headers={"X-Ca-Error-Code": "I400NC"}),
        httpx.Response(400, headers={"X-Ca-Error-Message": "X-Ca-Nonce is required"}),
    ],
)
def test_query_replaces_a_used_nonce_once(reply: httpx.Response) -> None:
    """A question that was refused for its nonce alone is asked once more with a new one."""
    script = Script(reply, httpx.Response(200, json=RUNNING))
    assert provider_on(script).query(RESULT_KEY) == Pending(provider_status="RUNNING")
    assert script.nonces == ["fresh-1", "fresh-2"]


def test_query_gives_up_on_the_second_used_nonce() -> None:
    """A gateway that calls every nonce used gets two requests, not an endless row."""
    script = Script(httpx.Response(403, headers=NONCE_USED))
    outcome = provider_on(script).query(RESULT_KEY)
    assert isinstance(outcome, QueryFailed)
    assert outcome.error.kind is ErrorKind.NONCE_USED
    assert len(script.requests) == 2


@pytest.mark.parametrize("reply", [httpx.Response(500), httpx.Response(429), httpx.ReadTimeout("silence")], ids=str)
def test_query_repeats_nothing_else(reply: httpx.Response | Exception) -> None:
    """Any other failed question is the caller's to schedule again."""
    script = Script(reply)
    assert isinstance(provider_on(script).query(RESULT_KEY), QueryFailed)
    assert len(script.requests) == 1


def test_an_answer_sets_no_cookie() -> None:
    """Nothing that one answer says changes the next request."""
    script = Script(httpx.Response(200, json=RUNNING, headers={"Set-Cookie": "session=1; Path=/"}))
    provider = provider_on(script)
    provider.query(RESULT_KEY)
    provider.query(RESULT_KEY)
    assert "cookie" not in script.requests[1].headers


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy variable does not divert paid requests."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:1")
    script = Script(httpx.Response(200, json=ACCEPTED))
    assert isinstance(provider_on(script).submit(b"{}", nonce="n"), Accepted)


def test_a_closed_provider_makes_no_request() -> None:
    """After `with`, a call is an error of the program, not a network fault."""
    script = Script(httpx.Response(200, json=ACCEPTED))
    with provider_on(script) as provider:
        provider.query(RESULT_KEY)
    with pytest.raises(RuntimeError, match="closed"):
        provider.submit(b"{}", nonce="n")
    assert len(script.requests) == 1


def test_repr_names_the_address_and_not_the_credential() -> None:
    """P8: the AppCode is not in the representation."""
    assert repr(provider_on(Script(httpx.Response(200)))) == f"BgRepProvider('{BASE_URL}')"


def test_from_settings_calls_the_configured_provider() -> None:
    """The settings' URL and AppCode make a provider whose nonces are UUIDs."""
    settings = Settings.from_env({"SCENESHIFT_PROVIDER_URL": f"{BASE_URL}/", "SCENESHIFT_PROVIDER_APPCODE": APPCODE})
    with BgRepProvider.from_settings(settings) as provider:
        assert repr(provider) == f"BgRepProvider('{BASE_URL}')"
        first, second = provider._new_nonce(), provider._new_nonce()
    assert first != second
    assert uuid.UUID(first).version == 4


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "SCENESHIFT_PROVIDER_URL is not set"),
        ({"SCENESHIFT_PROVIDER_APPCODE": APPCODE}, "SCENESHIFT_PROVIDER_URL is not set"),
        ({"SCENESHIFT_PROVIDER_URL": BASE_URL}, "SCENESHIFT_PROVIDER_APPCODE is not set"),
        ({"SCENESHIFT_PROVIDER_URL": "ftp://h/x", "SCENESHIFT_PROVIDER_APPCODE": APPCODE}, "SCENESHIFT_PROVIDER_URL"),
        (
            {"SCENESHIFT_PROVIDER_URL": f"{BASE_URL}?a=b", "SCENESHIFT_PROVIDER_APPCODE": APPCODE},
            "SCENESHIFT_PROVIDER_URL",
        ),
        (
            {"SCENESHIFT_PROVIDER_URL": "https://u:p@h/x", "SCENESHIFT_PROVIDER_APPCODE": APPCODE},
            "SCENESHIFT_PROVIDER_URL",
        ),
        (
            {"SCENESHIFT_PROVIDER_URL": BASE_URL, "SCENESHIFT_PROVIDER_APPCODE": f"APPCODE {APPCODE}"},
            "SCENESHIFT_PROVIDER_APPCODE",
        ),
        (
            {"SCENESHIFT_PROVIDER_URL": BASE_URL, "SCENESHIFT_PROVIDER_APPCODE": f"{APPCODE}é"},
            "SCENESHIFT_PROVIDER_APPCODE",
        ),
    ],
)
def test_from_settings_names_what_is_wrong(environment: dict[str, str], named: str) -> None:
    """A missing or unusable setting is named, and its value is not repeated when it is the credential."""
    settings = Settings.from_env(environment)
    with pytest.raises(ConfigurationError, match=named) as raised:
        BgRepProvider.from_settings(settings)
    assert APPCODE not in str(raised.value)


@pytest.mark.parametrize(
    ("appcode", "rejected"),
    [("", True), ("a b", True), ("a\nb", True), ("a\x00", True), ("0123456789abcdef", False)],
)
def test_an_appcode_that_no_header_can_carry_is_refused_at_once(appcode: str, rejected: bool) -> None:
    """A credential with a line break cannot forge a header: it makes no client."""
    arguments: dict[str, Any] = {
        "base_url": BASE_URL,
        "connect_timeout_seconds": 1,
        "read_timeout_seconds": 1,
        "new_nonce": str,
        "transport": httpx.MockTransport(Script(httpx.Response(200))),
    }
    if rejected:
        with pytest.raises(ConfigurationError):
            BgRepProvider(appcode=appcode, **arguments)
    else:
        BgRepProvider(appcode=appcode, **arguments).close()


def test_a_nonce_that_no_header_can_carry_is_not_sent() -> None:
    """Even a broken nonce comes back as a value."""
    script = Script(httpx.Response(200, json=ACCEPTED))
    outcome = provider_on(script).submit(b"{}", nonce="nön\u20ac")
    assert isinstance(outcome, OutcomeUnknown)
    assert script.requests == []


def test_both_ids_of_a_call_reach_the_error() -> None:
    """The provider's own id of the call is kept for its support, and the gateway's where there is no other."""
    headers = {"X-Ca-Request-Id": "GATEWAY-1", "X-Ca-Error-Message": "Throttled by APP Flow Control"}
    script = Script(
        httpx.Response(403, headers=headers),
        httpx.Response(403, headers=headers, json={"success": False, "requestId": "PROVIDER-1"}),
    )
    provider = provider_on(script)
    ids = []
    for _ in range(2):
        outcome = provider.submit(b"{}", nonce="n")
        assert isinstance(outcome, Refused)
        ids.append(outcome.error.request_id)
    assert ids == ["GATEWAY-1", "PROVIDER-1"]
