"""Client and simulator, each held against the provider's document: a misreading of one is not the other's truth.

The expectations are those of `tests/provider_document.py`, which knows neither side.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from sceneshift.provider.bg_rep import BgRepProvider
from sceneshift.provider.protocol import (
    Accepted,
    ErrorKind,
    Pending,
    QueryFailed,
    Refused,
    RenderFailed,
    RenderItem,
    Succeeded,
)
from tests import provider_document as document
from tests.unit.simulator.support import Desk, mask, open_desk, photo

APPCODE = "document-appcode"
LONG_AFTER = 86_400.0 / 2
REQUEST_ID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")

each_reading = pytest.mark.parametrize("reading", ["A", "B"])


# The client


class Wire:
    """The client on a transport that gives one answer and keeps what it was sent."""

    def __init__(self, http_status: int, answer: Mapping[str, Any] | None) -> None:
        self.requests: list[httpx.Request] = []
        self._reply = httpx.Response(http_status) if answer is None else httpx.Response(http_status, json=dict(answer))
        self.provider = BgRepProvider(
            base_url="https://provider.test/api/v1/bg-rep",
            appcode=APPCODE,
            connect_timeout_seconds=5,
            read_timeout_seconds=5,
            new_nonce=lambda: "a-fresh-nonce",
            transport=httpx.MockTransport(self._answer),
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._reply

    @property
    def sent(self) -> Any:
        [request] = self.requests
        return json.loads(request.content)


def the_item() -> RenderItem:
    return RenderItem(**document.ITEM)


def test_the_client_sends_the_documents_submission() -> None:
    """For the document's values: its path, its method, its headers, and exactly its JSON."""
    wire = Wire(200, document.SUBMIT_ANSWER)
    wire.provider.submit(wire.provider.request_body(the_item()), nonce="the-stored-nonce")
    [request] = wire.requests
    assert (request.method, request.url.path) == ("POST", document.SUBMIT_PATH)
    assert request.headers[document.APPCODE_HEADER] == document.APPCODE_PREFIX + APPCODE
    assert request.headers[document.NONCE_HEADER] == "the-stored-nonce"
    assert request.headers["Content-Type"] == document.CONTENT_TYPE
    assert wire.sent == document.SUBMIT_REQUEST
    item = wire.sent["data"]["task_list"][0]
    assert all(isinstance(value, document.ITEM_TYPES[name]) for name, value in item.items())


def test_the_client_sends_the_documents_question() -> None:
    """For the document's key: its path, its method, its headers, and exactly its JSON."""
    wire = Wire(200, document.QUERY_ANSWER)
    wire.provider.query(document.QUERY_REQUEST["data"]["result_key"])
    [request] = wire.requests
    assert (request.method, request.url.path) == ("POST", document.QUERY_PATH)
    assert request.headers[document.APPCODE_HEADER] == document.APPCODE_PREFIX + APPCODE
    assert request.headers[document.NONCE_HEADER]
    assert request.headers["Content-Type"] == document.CONTENT_TYPE
    assert wire.sent == document.QUERY_REQUEST


@pytest.mark.parametrize("code", [*document.SUCCESS_CODES, document.TABLE[0].code_a, str(document.TABLE[0].code_a)])
def test_the_client_reads_the_documents_acceptance(code: int | str) -> None:
    """The sample gives its key and id, whichever way its damaged code is read, as a number or as a text."""
    outcome = Wire(200, {**document.SUBMIT_ANSWER, "code": code}).provider.submit(b"{}", nonce="n")
    assert outcome == Accepted(result_key=document.RESULT_KEY, request_id=document.SUBMIT_ANSWER["requestId"])


@pytest.mark.parametrize("code", [*document.SUCCESS_CODES, document.TABLE[0].code_a, str(document.TABLE[0].code_a)])
def test_the_client_reads_the_documents_result(code: int | str) -> None:
    """The sample gives its three addresses in their order."""
    outcome = Wire(200, {**document.QUERY_ANSWER, "code": code}).provider.query(document.RESULT_KEY)
    assert outcome == Succeeded(urls=tuple(document.RESULTS))
    assert len(document.RESULTS) == document.ITEM["num_output"] == 3


@pytest.mark.parametrize("status", document.PENDING_STATUSES)
@pytest.mark.parametrize("more", [{}, {"results": []}, {"results": None, "message": ""}])
def test_the_client_waits_while_the_document_says_so(status: str, more: dict[str, Any]) -> None:
    """WAITING and RUNNING are pending, with an empty list of results or none."""
    outcome = Wire(200, state_answer(status=status, **more)).provider.query(document.RESULT_KEY)
    assert outcome == Pending(provider_status=status)
    assert outcome.noted is None


def test_the_client_believes_the_documents_failure() -> None:
    """FAILED ends the rendering, with the item's own message."""
    answer = state_answer(status="FAILED", message="Job execution failed", results=[])
    outcome = Wire(200, answer).provider.query(document.RESULT_KEY)
    assert isinstance(outcome, RenderFailed)
    assert outcome.error.message == "Job execution failed"


def state_answer(**state: Any) -> dict[str, Any]:
    return {
        **document.QUERY_ANSWER,
        "data": {"result_key": document.RESULT_KEY, "task_list": [{**document.ITEM, **state}]},
    }


def test_the_client_reads_the_documents_error() -> None:
    """The sample error is a refusal of the AppCode on both endpoints, with its code, message and id."""
    submitted = Wire(401, document.ERROR_ANSWER).provider.submit(b"{}", nonce="n")
    asked = Wire(401, document.ERROR_ANSWER).provider.query(document.RESULT_KEY)
    assert isinstance(submitted, Refused)
    assert isinstance(asked, QueryFailed)
    for error in (submitted.error, asked.error):
        assert (error.kind, error.code) == (ErrorKind.UNAUTHORIZED, str(document.ERROR_ANSWER["code"]))
        assert (error.message, error.request_id) == (
            document.ERROR_ANSWER["message"],
            document.ERROR_ANSWER["requestId"],
        )


# The simulator


@pytest.fixture
def desk() -> Iterator[Desk]:
    with open_desk() as opened:
        # The sample names one address for both.
        opened.pictures = {document.ITEM["image"]: photo()}
        yield opened


def post(desk: Desk, path: str, body: Mapping[str, Any], nonce: str) -> httpx.Response:
    """The request as the document describes it, with nothing of the client's."""
    headers = {
        document.APPCODE_HEADER: document.APPCODE_PREFIX + desk.appcode,
        document.NONCE_HEADER: nonce,
        "Content-Type": document.CONTENT_TYPE,
    }
    return desk.request("POST", path, content=json.dumps(body).encode(), headers=headers)


def check_envelope(answer: Mapping[str, Any], sample: Mapping[str, Any]) -> None:
    """The fields of the sample, in its order, with the documented types."""
    assert [name for name in answer if name in sample] == list(sample)
    for name, types in document.ENVELOPE_TYPES.items():
        assert isinstance(answer[name], types), name
    assert REQUEST_ID.fullmatch(answer["requestId"].upper())


def check_item(item: Mapping[str, Any], sample: Mapping[str, Any]) -> None:
    for name, types in document.ITEM_TYPES.items():
        assert isinstance(item[name], types), name
    assert {name: item[name] for name in document.ITEM} == {name: sample[name] for name in document.ITEM}


def test_the_simulator_answers_the_documents_submission(desk: Desk) -> None:
    """It accepts the sample, and answers with the sample's fields, types and status."""
    response = post(desk, document.SUBMIT_PATH, document.SUBMIT_REQUEST, "n-1")
    assert response.status_code == 200
    answer = response.json()
    check_envelope(answer, document.SUBMIT_ANSWER)
    assert (answer["success"], answer["code"], answer["message"], answer["severity"]) == (True, 0, "success", "info")
    assert set(answer["data"]) == set(document.SUBMIT_ANSWER["data"])
    assert re.fullmatch("[0-9a-f]{32}", answer["data"]["result_key"])
    [item], [sample] = answer["data"]["task_list"], document.SUBMIT_ANSWER["data"]["task_list"]
    check_item(item, sample)
    assert item["status"] == sample["status"]
    assert "message" not in item


def test_the_simulator_answers_the_documents_question(desk: Desk) -> None:
    """First pending with empty results, and in the end the sample's fields with as many addresses as were ordered."""
    submitted = post(desk, document.SUBMIT_PATH, document.SUBMIT_REQUEST, "n-1").json()
    question = {"data": {"result_key": submitted["data"]["result_key"]}}
    [waiting] = post(desk, document.QUERY_PATH, question, "n-2").json()["data"]["task_list"]
    assert waiting["status"] in document.PENDING_STATUSES
    assert not waiting.get("results")
    desk.now += LONG_AFTER
    answer = post(desk, document.QUERY_PATH, question, "n-3").json()
    check_envelope(answer, document.QUERY_ANSWER)
    assert answer["data"]["result_key"] == question["data"]["result_key"]
    [item], [sample] = answer["data"]["task_list"], document.QUERY_ANSWER["data"]["task_list"]
    check_item(item, sample)
    assert (item["status"], item["message"]) == (sample["status"], sample["message"])
    assert len(item["results"]) == document.ITEM["num_output"]
    assert all(re.match(r"https?://.*\.png", url) for url in item["results"])


@each_reading
def test_the_simulator_answers_the_documents_error(reading: document.Reading) -> None:
    """The document's sample key is unknown to it: status, code and message of that row, in the error envelope."""
    [row] = [row for row in document.ERRORS if row.class_ == "query"]
    with open_desk(reading=reading) as desk:
        response = post(desk, document.QUERY_PATH, document.QUERY_REQUEST, "n-1")
    answer = response.json()
    check_envelope(answer, document.ERROR_ANSWER)
    assert response.status_code == row.http_status
    assert (answer["success"], answer["code"], answer["message"]) == (False, row.code(reading), row.message)
    assert not answer.get("data")


@each_reading
def test_client_and_simulator_agree_in_either_reading(reading: document.Reading) -> None:
    """The client's own bytes are accepted and asked about, whichever codes the simulator uses."""
    with open_desk(reading=reading) as desk:
        desk.pictures = {document.ITEM["image"]: photo(), document.ITEM["mask"]: mask()}

        def pass_on(request: httpx.Request) -> httpx.Response:
            headers = {name: request.headers[name] for name in ("Authorization", "X-Ca-Nonce", "Content-Type")}
            return desk.request("POST", request.url.path, content=request.read(), headers=headers)

        provider = BgRepProvider(
            base_url="https://provider.test/api/v1/bg-rep",
            appcode=desk.appcode,
            connect_timeout_seconds=5,
            read_timeout_seconds=5,
            new_nonce=iter("abc").__next__,
            transport=httpx.MockTransport(pass_on),
        )
        accepted = provider.submit(provider.request_body(the_item()), nonce="n-1")
        assert isinstance(accepted, Accepted)
        assert isinstance(provider.query(accepted.result_key), Pending)
        desk.now += LONG_AFTER
        finished = provider.query(accepted.result_key)
        assert isinstance(finished, Succeeded)
        assert len(finished.urls) == document.ITEM["num_output"]
        unknown = provider.query("fdfd")
        assert isinstance(unknown, QueryFailed)
        assert unknown.error.kind is ErrorKind.NO_RECORD
