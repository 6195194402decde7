"""The served OpenAPI document: it is valid, it says what is enforced, and whatever it allows is answered as it says."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# jsonschema ships no types, and its stubs are not among the tools of this project.
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from schemathesis import APIOperation, Case, GenerationMode, openapi
from schemathesis.checks import CheckFunction, load_all_checks, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sceneshift.simulator import SimulatorConfig, SimulatorTransport
from sceneshift.simulator.answers import Fault
from sceneshift.simulator.control import read_wishes
from sceneshift.simulator.gateway_forms import FORMS
from sceneshift.simulator.openapi import openapi_document
from tests.unit.simulator.support import BASE_URL, START, Desk, item, mask, open_desk, photo

DOCUMENT = openapi_document(SimulatorConfig())
ITEM = DOCUMENT["components"]["schemas"]["Item"]
LONG_AFTER = 3000.0
EXAMPLES_MAX = 30
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
load_all_checks()
Operation = APIOperation[Any, Any, Any, Any]
AnyCase = Case[Any]


def operations() -> list[Operation]:
    found = list(openapi.from_dict(DOCUMENT).get_all_operations())
    return [result.ok() for result in found if isinstance(result, Ok)]


# The document


def test_document_is_valid_openapi(desk: Desk) -> None:
    """What is served passes the OpenAPI 3.1 meta-schema, and each schema in it that of JSON Schema 2020-12."""
    answer = desk.request("GET", "/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == DOCUMENT
    openapi.from_dict(answer.json()).validate()
    for schema in schemas_in(answer.json()):
        Draft202012Validator.check_schema(schema)


def schemas_in(part: Any) -> Iterator[Any]:
    """Every schema of the document, at whatever depth."""
    if isinstance(part, dict):
        yield from (part[name] for name in ("schema",) if name in part)
        if isinstance(part.get("schemas"), dict):
            yield from part["schemas"].values()
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from schemas_in(each)


def test_document_is_not_valid_when_a_response_lacks_its_description() -> None:
    """The validation sees a fault."""
    broken = openapi_document(SimulatorConfig())
    del broken["paths"]["/healthz"]["get"]["responses"]["200"]["description"]
    with pytest.raises(Exception, match="description"):
        openapi.from_dict(broken).validate()


def test_every_status_of_provider_and_gateway_is_documented() -> None:
    """Both operations name each status of the error table and of both gateways' answers, and no others."""
    known = {200, *(fault.http_status for fault in Fault), *(form.http_status for form in FORMS.values())}
    for endpoint in ("submit", "query"):
        responses = DOCUMENT["paths"][f"/api/v1/bg-rep/{endpoint}"]["post"]["responses"]
        assert {int(status) for status in responses} == known
        assert all(
            ("content" in responses[str(status)]) == (status in {200, *(fault.http_status for fault in Fault)})
            for status in known
        )


@pytest.mark.parametrize("reading", ["A", "B"])
def test_examples_have_the_codes_that_are_sent(reading: Any) -> None:
    """An error's example is its envelope under the simulator's own reading."""
    responses = openapi_document(SimulatorConfig(reading=reading))["paths"]["/api/v1/bg-rep/query"]["post"]["responses"]
    with open_desk(reading=reading) as desk:
        body = desk.query("fdfd").json()
    example = responses["400"]["content"]["application/json"]["examples"]["no-record"]["value"]
    assert example == {**body, "requestId": example["requestId"]}


def test_every_route_is_documented() -> None:
    """Each address that the application routes is in the document."""
    with open_desk() as desk:
        routes = desk.simulator._app._starlette.routes
    paths = {getattr(route, "path", "").replace(":int", "").replace("{key}", "{result_key}") for route in routes}
    assert paths == set(DOCUMENT["paths"])


# The limits, each met and overstepped


LIMITS: list[tuple[str, Any, bool]] = [
    ("image", "ftp://img.alicdn.com/abc.png", False),
    ("image", "abc.png", False),
    ("mask", "https://", False),
    ("positive_prompt", "x" * ITEM["properties"]["positive_prompt"]["maxLength"], True),
    ("positive_prompt", "x" * (ITEM["properties"]["positive_prompt"]["maxLength"] + 1), False),
    ("positive_prompt", "\N{CAT FACE}" * 500, True),
    ("positive_prompt", " ", False),
    ("positive_prompt", "", False),
    ("negative_prompt", "", True),
    ("negative_prompt", "x" * ITEM["properties"]["negative_prompt"]["maxLength"], True),
    ("negative_prompt", "x" * (ITEM["properties"]["negative_prompt"]["maxLength"] + 1), False),
    ("negative_prompt", 1, False),
    ("guidance_scale", -1e300, True),
    ("guidance_scale", 10**400, True),
    ("guidance_scale", "7.5", False),
    ("strength", ITEM["properties"]["strength"]["exclusiveMinimum"], False),
    ("strength", 5e-324, True),
    ("strength", ITEM["properties"]["strength"]["maximum"], True),
    ("strength", 1.0000000000000002, False),
    ("strength", True, False),
    ("seed", -(10**400), True),
    ("seed", 10**400, True),
    ("seed", 0.5, False),
    ("seed", True, False),
    ("steps", ITEM["properties"]["steps"]["minimum"], True),
    ("steps", ITEM["properties"]["steps"]["minimum"] - 1, False),
    ("steps", ITEM["properties"]["steps"]["maximum"], True),
    ("steps", ITEM["properties"]["steps"]["maximum"] + 1, False),
    ("steps", 20.5, False),
    ("num_output", ITEM["properties"]["num_output"]["minimum"], True),
    ("num_output", ITEM["properties"]["num_output"]["minimum"] - 1, False),
    ("num_output", ITEM["properties"]["num_output"]["maximum"], True),
    ("num_output", ITEM["properties"]["num_output"]["maximum"] + 1, False),
]


@pytest.mark.parametrize(("name", "value", "is_legal"), LIMITS, ids=lambda value: str(value)[:24])
def test_documented_limit_is_the_one_that_is_enforced(desk: Desk, name: str, value: Any, is_legal: bool) -> None:
    """A value at a limit is taken, one beyond it is refused, and the document's schema says the same of both."""
    order = {**item(), name: value}
    assert Draft202012Validator(ITEM).is_valid(order) is is_legal
    assert desk.submit(order).status_code == (200 if is_legal else 400)


@pytest.mark.parametrize("name", list(item()))
def test_documented_requirement_is_the_one_that_is_enforced(desk: Desk, name: str) -> None:
    """A field may be left out, or null, exactly where the document says so."""
    is_optional = name not in ITEM["required"]
    without = {key: value for key, value in item().items() if key != name}
    assert desk.submit(without).status_code == (200 if is_optional else 400)
    assert desk.submit({**item(), name: None}).status_code == (200 if is_optional else 400)
    assert Draft202012Validator(ITEM).is_valid({**item(), name: None}) is is_optional


def test_documented_number_of_items_is_the_one_that_is_enforced(desk: Desk) -> None:
    """One item and ten are taken; none and eleven are refused."""
    task_list = DOCUMENT["components"]["schemas"]["Submission"]["properties"]["data"]["properties"]["task_list"]
    for count, status in ((0, 400), (task_list["minItems"], 200), (task_list["maxItems"], 200), (11, 400)):
        assert desk.post("submit", {"data": {"task_list": [item()] * count}}).status_code == status


def test_documented_wishes_are_those_that_can_be_read() -> None:
    """Every wish of the document is known, and no other is."""
    wishes: dict[str, Any] = DOCUMENT["components"]["schemas"]["Wishes"]["properties"]
    examples = {"array": [], "number": 1.5, "integer": 1, "boolean": True}
    read_wishes({name: examples[schema["type"]] for name, schema in wishes.items()})
    assert set(wishes) == set(read_wishes({}).__dataclass_fields__)


def test_text_that_is_no_unicode_is_refused_and_leaves_nothing_behind(desk: Desk) -> None:
    """Half of a surrogate pair in a JSON escape is an illegal parameter, and state and ledger can still be read."""
    headers = desk.headers()
    body = r'{"data": {"result_key": "\ud800"}}'
    answer = desk.request("POST", "/api/v1/bg-rep/query", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, Fault.PARAMETER_ILLEGAL.code("B"))
    order = item(positive_prompt="LONELY")
    body = json.dumps({"data": {"task_list": [order]}}).replace("LONELY", r"\udfff")
    assert desk.request("POST", "/api/v1/bg-rep/submit", content=body, headers=desk.headers()).status_code == 400
    assert desk.request("GET", "/_sim/state").status_code == 200
    assert desk.ledger()["charged"] == 0


def test_numbers_of_thousands_of_digits_are_ordinary_nonsense(desk: Desk) -> None:
    """Neither an image's number nor a rule's call can be so long that reading it fails."""
    digits = "9" * 5000
    assert desk.request("GET", f"/results/{'0' * 32}/{digits}.png").status_code in {403, 404}
    answer = desk.request("POST", "/_sim/control", json={"scenarios": [f"query-500@{digits}"]})
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


# Everything that the document allows, and what it does not


@contextmanager
def fuzzed_simulator() -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    """A client of a simulator with a finished submission and a running one, and their keys with an image's address."""
    now = START
    pictures = {item()["mask"]: mask()}
    with SimulatorTransport(
        SimulatorConfig(quality="draft"), clock=lambda: now, fetch=lambda url: pictures.get(url, photo())
    ) as transport:
        client = httpx.Client(transport=transport, base_url=BASE_URL, trust_env=False)
        finished = submitted(client)
        now += LONG_AFTER
        question = {"data": {"result_key": finished}}
        answer = client.post("/api/v1/bg-rep/query", json=question, headers=credentials()).json()
        [address] = answer["data"]["task_list"][0]["results"]
        yield client, {finished: address, submitted(client): address}


def submitted(client: httpx.Client) -> str:
    """The key of a new submission."""
    order = {"data": {"task_list": [item(num_output=1)]}}
    answer = client.post("/api/v1/bg-rep/submit", json=order, headers=credentials())
    key: str = answer.json()["data"]["result_key"]
    return key


def credentials() -> dict[str, str]:
    return {"Authorization": "APPCODE simulator-appcode", "X-Ca-Nonce": str(uuid.uuid4())}


def send(client: httpx.Client, case: AnyCase, headers: dict[str, str]) -> httpx.Response:
    """The case's request, with these headers in place of its own."""
    prepared = requests.Request(**case.as_transport_kwargs(base_url=BASE_URL)).prepare()
    assert prepared.body is None or isinstance(prepared.body, str | bytes)
    given_headers = {name: str(value) for name, value in prepared.headers.items() if name not in headers}
    return client.request(
        str(prepared.method), str(prepared.url), headers={**given_headers, **headers}, content=prepared.body
    )


def check(case: AnyCase, answer: httpx.Response) -> None:
    """The answer is one that the document describes."""
    if any(name in answer.headers for name in ("X-Ca-Error-Code", "X-Ca-Error-Message")):
        # A status can be the provider's, with a body, or the gateway's, without: no document can say that exactly.
        assert (answer.content, answer.headers.get("content-type")) == (b"", None)
        case.validate_response(answer, checks=[not_a_server_error, status_code_conformance])
    else:
        case.validate_response(answer, checks=CHECKS)


def lead_to_what_exists(case: AnyCase, key: str, address: str) -> None:
    """The case asks about a submission and a picture that are there."""
    if "result_key" in case.path_parameters:
        case.path_parameters["result_key"] = key
    if "name" in case.path_parameters:
        case.path_parameters["name"] = "result-0"
    if case.operation.path.startswith("/results/"):
        parts = urlsplit(address)
        case.path_parameters["index"] = 0
        case.query.update(parse_qsl(parts.query))
    if case.operation.path.endswith("/query") and isinstance(case.body, dict):
        case.body = {"data": {"result_key": key}}


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.label)
def test_whatever_is_sent_is_answered_as_documented(operation: Operation, mode: GenerationMode) -> None:
    """Calls that the document allows, and calls that it forbids, get a documented answer and never a 5xx."""
    takes_input = bool(operation.body) or any(True for _ in operation.path_parameters) or bool(operation.query)
    if mode is GenerationMode.NEGATIVE and not takes_input:
        return
    with fuzzed_simulator() as (client, known):

        @settings(
            max_examples=EXAMPLES_MAX if takes_input else 1,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), number=st.integers(0, 3))
        def sends(case: AnyCase, number: int) -> None:
            if number < len(known):
                lead_to_what_exists(case, *list(known.items())[number])
            check(case, send(client, case, credentials()))

        sends()
        assert client.get("/_sim/state").status_code == 200
        assert client.get("/_sim/ledger").status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/bg-rep/submit", "/api/v1/bg-rep/query"])
def test_without_credentials_only_the_gateway_answers(path: str) -> None:
    """Whatever is sent without an AppCode gets the gateway's own answer, and is charged nothing."""
    operation = next(each for each in operations() if each.path == path)
    with fuzzed_simulator() as (client, _):
        charged = client.get("/_sim/ledger?totals=1").json()["charged"]

        @settings(max_examples=10, derandomize=True, database=None, deadline=None)
        @given(case=operation.as_strategy())
        def sends(case: AnyCase) -> None:
            answer = send(client, case, {"Authorization": "APPCODE another"})
            assert answer.headers["X-Ca-Error-Code"] == "A400AC"
            check(case, answer)

        sends()
        assert client.get("/_sim/ledger?totals=1").json()["charged"] == charged
