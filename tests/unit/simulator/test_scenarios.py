"""Every scenario of the catalogue is met once: its caller sees what its sentence says, and the charge is right.

What is expected is written down here a second time. Only the two families of error answers are compared with their own
sentences, whose statuses, codes and texts `test_document` and `test_gateway` hold against the provider's document.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from PIL import Image

from sceneshift.simulator.gateway_forms import FORMS
from sceneshift.simulator.scenarios.catalogue import SCENARIOS
from sceneshift.simulator.scenarios.scenario import Exchange, Scenario
from tests.unit.simulator.support import LONG_AFTER, Desk, item, open_desk

ROW = re.compile(r"The provider's error (\d+) `([^`]+)`(, after the submission was accepted and charged)?\.")
FORM = re.compile(
    r"The (classic|vpc) gateway's (\d+) (?:without a text|`(.+)`)(, after the submission was accepted and charged)?\."
)


OF_SUBMISSIONS = [scenario for scenario in SCENARIOS.values() if scenario.exchange is Exchange.SUBMIT]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a caller saw: an answer, or the name of httpx's error."""

    failure: str = ""
    status: int = 0
    content: bytes = b""
    headers: httpx.Headers

    @property
    def body(self) -> Any:
        return json.loads(self.content)


Check = Callable[[Seen], object]


def fails_with(name: str) -> Check:
    return lambda seen: seen.failure == name


def says(status: int, message: str, **headers: str) -> Check:
    """An error of the provider."""
    return lambda seen: (
        (seen.status, seen.body["success"], seen.body["message"]) == (status, False, message)
        and all(seen.headers[name.replace("_", "-")] == value for name, value in headers.items())
    )


def refuses(status: int, code: str | None, message: str | None) -> Check:
    """An answer of a gateway: headers, and an empty body."""
    return lambda seen: (
        (status, b"", code, message)
        == (seen.status, seen.content, seen.headers.get("X-Ca-Error-Code"), seen.headers.get("X-Ca-Error-Message"))
    )


def holds(status: int, test: Callable[[bytes], object]) -> Check:
    """A whole answer with this status, whose bytes pass."""
    return lambda seen: seen.status == status and len(seen.content) == int(seen.headers["Content-Length"]) and test(
        seen.content
    )  # fmt: skip


def redirects(status: int, location: str) -> Check:
    return lambda seen: (seen.status, seen.content, seen.headers["Location"]) == (status, b"", location)


def succeeds(test: Callable[[Any], object]) -> Check:
    """A success whose body passes."""
    return lambda seen: seen.status == 200 and seen.body["success"] is True and test(seen.body)


def is_html(content: bytes) -> bool:
    return content.startswith(b"<!DOCTYPE html>")


def breaks_off(content: bytes) -> bool:
    return content.startswith(b'{"success":true') and not content.endswith(b"}")


def fills_ten_megabytes(content: bytes) -> bool:
    return len(content) == 10 * 2**20 and content.rstrip(b"\0").endswith(b"}")


def is_whole_picture(content: bytes) -> bool:
    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        picture.load()
    return True


def is_half_a_picture(content: bytes) -> bool:
    return content.startswith(b"\x89PNG") and b"IEND" not in content


def claims_pixels(content: bytes) -> bool:
    return content[16:24] == (50_000).to_bytes(4) * 2 and len(content) < 10_000


def _task(body: Any) -> Any:
    (task,) = body["data"]["task_list"]
    return task


DROPPED, SILENT = fails_with("RemoteProtocolError"), fails_with("ReadTimeout")
BROKEN = says(500, "Internal server error")
CHECKS: dict[str, Check] = {
    "submit-drop": DROPPED,
    "submit-timeout": SILENT,
    "submit-500": BROKEN,
    "submit-html-502": holds(502, is_html),
    "submit-redirect": redirects(307, "http://127.0.0.1:9/elsewhere"),
    "submit-refused-without-reason": lambda seen: (
        (seen.status, seen.body["success"], seen.body["code"], seen.body["message"]) == (403, False, 23500005, "")
    ),
    "submit-throttled-retry-after": says(403, "Request was denied due to request throttling", retry_after="30"),
    "submit-accept-then-drop": DROPPED,
    "submit-accept-then-timeout": SILENT,
    "submit-accept-then-500": BROKEN,
    "submit-accept-then-503": refuses(503, None, "Service Unavailable"),
    "submit-accept-then-504": refuses(504, "D504TO", None),
    "submit-accept-then-nonce-used": refuses(403, "S403NU", "Nonce Used"),
    "submit-accept-then-html": holds(200, is_html),
    "submit-accept-then-empty": holds(200, lambda content: content == b""),
    "submit-accept-then-truncated": holds(200, breaks_off),
    "submit-accept-then-cut": DROPPED,
    "submit-accept-then-huge": holds(200, fills_ten_megabytes),
    "submit-accept-without-data": succeeds(lambda body: body["data"] is None),
    "submit-accept-without-key": succeeds(lambda body: list(body["data"]) == ["task_list"]),
    "submit-accept-with-two-keys": lambda seen: seen.content.count(b'"result_key":') == 2,
    "submit-accept-with-extras": succeeds(
        lambda body: (
            (body["code"], body["severity"], "traceId" in body, "eta" in body["data"]) == ("0", None, True, True)
        )
    ),
    "query-drop": DROPPED,
    "query-timeout": SILENT,
    "query-500": BROKEN,
    "query-html": holds(200, is_html),
    "query-empty": holds(200, lambda content: content == b""),
    "query-garbage": holds(200, lambda content: content == bytes(range(256)) * 4),
    "query-truncated": holds(200, breaks_off),
    "query-cut": DROPPED,
    "query-huge": holds(200, fills_ten_megabytes),
    "query-without-data": succeeds(lambda body: body["data"] is None),
    "query-without-items": succeeds(lambda body: body["data"] == {"task_list": []}),
    "query-with-two-items": succeeds(lambda body: len(body["data"]["task_list"]) == 2),
    "query-with-two-verdicts": lambda seen: b'"success":false,"success":true' in seen.content,
    "query-about-another": succeeds(lambda body: body["data"]["result_key"] == "0" * 32),
    "query-in-utf16": holds(200, lambda content: json.loads(content.decode("utf-16"))["success"] is True),
    "query-with-bom": holds(200, lambda content: json.loads(content.decode("utf-8-sig"))["success"] is True),
    "query-throttled-retry-after": says(403, "Request was denied due to request throttling", retry_after="30"),
    "task-failed": succeeds(
        lambda body: (_task(body)["status"], _task(body)["message"]) == ("FAILED", "Job execution failed")
    ),
    "task-content-rejected": succeeds(
        lambda body: _task(body)["message"] == "The image did not pass the content compliance check"
    ),
    "task-image-unreachable": succeeds(
        lambda body: _task(body)["message"] == "The image url provided is invalid or non-accessible"
    ),
    "task-cancelled": succeeds(lambda body: (_task(body)["status"], _task(body)["results"]) == ("CANCELED", [])),
    "task-unknown-status": succeeds(lambda body: _task(body)["status"] == "SUCCESS"),
    "task-wavers": succeeds(lambda body: _task(body)["status"] == "SUCCESS"),
    "task-late": succeeds(lambda body: _task(body)["status"] == "RUNNING"),
    "task-never-ends": succeeds(lambda body: _task(body)["status"] == "RUNNING"),
    "task-forgotten": says(400, "No records found related to the specified resultKey parameter"),
    "task-without-results": succeeds(lambda body: (_task(body)["status"], _task(body)["results"]) == ("SUCCESS", [])),
    "task-with-fewer-results": succeeds(lambda body: len(_task(body)["results"]) == 2),
    "task-with-more-results": succeeds(lambda body: len(_task(body)["results"]) == 4),
    "download-expired": holds(403, lambda content: b"<Code>AccessDenied</Code>" in content),
    "download-missing": holds(404, lambda content: b"<Code>NoSuchKey</Code>" in content),
    "download-500": holds(500, is_html),
    "download-drop": DROPPED,
    "download-timeout": SILENT,
    "download-slow": holds(200, is_whole_picture),
    "download-cut": DROPPED,
    "download-truncated": holds(200, is_half_a_picture),
    "download-html": lambda seen: is_html(seen.content) and seen.headers["Content-Type"] == "image/png",
    "download-compressed": lambda seen: (
        seen.headers["Content-Encoding"] == "gzip" and is_whole_picture(gzip.decompress(seen.content))
    ),
    "download-redirect": redirects(302, "http://169.254.169.254/latest/meta-data/"),
    "download-oversized": lambda seen: seen.headers["Content-Length"] == "64000000" and len(seen.content) == 64_000_000,
    "download-endless": lambda seen: "Content-Length" not in seen.headers and len(seen.content) >= 65_000_000,
    "download-wrong-type": holds(200, lambda content: content.startswith(b"GIF89a")),
    "download-bomb": holds(200, claims_pixels),
}


def call_for(desk: Desk, exchange: Exchange) -> Callable[[], tuple[httpx.Response, bytes]]:
    """The call that meets a scenario of this kind, after all that has to go before it."""

    def answered(call: Callable[[], httpx.Response]) -> tuple[httpx.Response, bytes]:
        answer = call()
        return answer, answer.content

    def downloaded(url: str) -> tuple[httpx.Response, bytes]:
        received = bytearray()
        return desk.download(url, received, most_bytes=65_000_000), bytes(received)

    if exchange is Exchange.SUBMIT:
        return lambda: answered(lambda: desk.submit(item(num_output=1)))
    if exchange is Exchange.DOWNLOAD:
        (url,) = desk.results(desk.finished(item(num_output=1)))
        return lambda: downloaded(url)
    key = desk.finished(item(num_output=3))
    return lambda: answered(lambda: desk.query(key))


def look(call: Callable[[], tuple[httpx.Response, bytes]]) -> Seen:
    try:
        answer, content = call()
    except httpx.TransportError as error:
        return Seen(failure=type(error).__name__, headers=httpx.Headers())
    return Seen(status=answer.status_code, content=content, headers=answer.headers)


def check_for(scenario: Scenario) -> Check:
    if found := ROW.fullmatch(scenario.behaviour):
        return says(int(found[1]), found[2])
    if found := FORM.fullmatch(scenario.behaviour):
        texts = (found[3] or "").split("` `")
        code = texts.pop(0) if found[1] == "vpc" else None
        return refuses(int(found[2]), code, "` `".join(texts) or None)
    return CHECKS[scenario.name]


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)
def test_scenario_is_met_as_its_sentence_says(scenario: Scenario) -> None:
    """The caller sees what the sentence says, and one item is charged where it says that it was accepted."""
    with open_desk(scenarios=(scenario.name,), quality="draft") as desk:
        seen = look(call_for(desk, scenario.exchange))
        ledger = desk.ledger()
        struck = desk.state()["struck"]
    assert check_for(scenario)(seen), seen
    accepted = scenario.exchange is not Exchange.SUBMIT or "ccepted" in scenario.behaviour
    assert (ledger["accepted"], ledger["charged"]) == (int(accepted), int(accepted))
    assert struck == {scenario.name: 1}
    if scenario.exchange is Exchange.SUBMIT:
        (entry,) = ledger["submits"]
        told = 200 if scenario.name.endswith("-cut") else seen.status
        assert (entry["scenario"], entry["http_status"]) == (scenario.name, told)


def test_every_scenario_has_its_own_expectation() -> None:
    """No scenario of the catalogue goes without one, and none is expected that is not there."""
    families = {name for name in SCENARIOS if re.match(r"(submit|query)-(error|gateway)-", name)}
    assert set(CHECKS) == set(SCENARIOS) - families
    assert len(families) == 2 * (14 + len(FORMS))


@pytest.mark.parametrize("scenario", OF_SUBMISSIONS, ids=lambda scenario: scenario.name)
def test_scenario_never_strikes_a_call_that_the_gateway_refuses(scenario: Scenario) -> None:
    """A stranger's submission gets the gateway's answer, whatever the rules say, and is not counted as struck."""
    with open_desk(scenarios=(scenario.name,)) as desk:
        answer = desk.submit(Authorization=None)
        assert (answer.status_code, answer.headers["X-Ca-Error-Code"]) == (400, "A400MA")
        assert desk.ledger()["submits"][0]["scenario"] is None
        assert desk.state()["struck"] == {}


@pytest.mark.parametrize(
    "scenario", [each for each in OF_SUBMISSIONS if each.works], ids=lambda scenario: scenario.name
)
def test_scenario_after_acceptance_never_strikes_a_refused_call(scenario: Scenario) -> None:
    """What was not accepted cannot go wrong afterwards: the refusal is told as it is, and nothing is charged."""
    with open_desk(scenarios=(scenario.name,)) as desk:
        answer = desk.submit(item(steps=1))
        (entry,) = desk.ledger()["submits"]
        assert (answer.status_code, answer.json()["message"]) == (400, "Illegal input parameter found")
        assert (entry["charged"], entry["scenario"], entry["http_status"]) == (0, None, 400)
        assert desk.state()["struck"] == {}


@pytest.mark.parametrize("rule", ["query-html", "query-about-another", "query-drop", "query-gateway-vpc-d504to"])
def test_scenario_of_an_answer_never_strikes_a_question_without_one(rule: str) -> None:
    """A question about an unknown key is answered with the error that it deserves."""
    with open_desk(scenarios=(rule,)) as desk:
        assert desk.query("fdfd").json()["code"] == 23500008
        assert desk.query("fdfd", Authorization=None).headers["X-Ca-Error-Code"] == "A400MA"
        assert desk.state()["struck"] == {}


@pytest.mark.parametrize("picture", ["0", "first", "1" * 5000])
def test_scenario_of_a_download_never_strikes_a_wrong_address(picture: str) -> None:
    """An address that nobody gave out stays forbidden, whatever stands in it."""
    with open_desk(scenarios=("download-html",)) as desk:
        assert desk.request("GET", f"/results/none/{picture}.png?expires=9999999999&signature=none").status_code == 403
        assert desk.state()["struck"] == {}


def test_wavering_task_alternates() -> None:
    """Every other answer about a finished task takes its success back."""
    with open_desk(scenarios=("task-wavers",)) as desk:
        key = desk.finished()
        assert [desk.statuses(key) for _ in range(4)] == [["SUCCESS"], ["RUNNING"], ["SUCCESS"], ["RUNNING"]]


def test_undocumented_status_lasts_until_the_end() -> None:
    """A task that is PAUSED is so from its submission on, and succeeds in its time."""
    with open_desk(scenarios=("task-unknown-status",)) as desk:
        key = desk.accepted()
        assert desk.statuses(key) == ["PAUSED"]
        desk.now += LONG_AFTER
        assert desk.statuses(key) == ["SUCCESS"]


def test_late_task_succeeds_in_the_end_and_an_endless_one_never() -> None:
    """Two hours more are enough for the one, and no time for the other."""
    with open_desk(scenarios=("task-late@1", "task-never-ends@2")) as desk:
        late, endless = desk.accepted(), desk.accepted()
        desk.now += 7200.0 + LONG_AFTER
        assert (desk.statuses(late), desk.statuses(endless)) == (["SUCCESS"], ["RUNNING"])
        assert [each["tasks"][0]["ends_at"] is None for each in desk.state()["submissions"]] == [True, False]


def test_forgotten_task_is_known_until_it_ends() -> None:
    """Its key works while it runs."""
    with open_desk(scenarios=("task-forgotten",)) as desk:
        key = desk.accepted()
        assert desk.query(key).status_code == 200
        desk.now += LONG_AFTER
        assert desk.query(key).json()["code"] == 23500008


@pytest.mark.parametrize(("ordered", "named"), [(1, 1), (2, 1), (4, 3)])
def test_fewer_results_than_ordered_are_at_least_one(ordered: int, named: int) -> None:
    """One image is missing, but a single one stays; the images that are named can be fetched."""
    with open_desk(scenarios=("task-with-fewer-results",), quality="draft") as desk:
        urls = desk.results(desk.finished(item(num_output=ordered)))
        assert len(urls) == named
        assert is_whole_picture(desk.request("GET", urls[-1]).content)


def test_surplus_image_can_be_fetched() -> None:
    """The address beyond what was ordered leads to a picture too."""
    with open_desk(scenarios=("task-with-more-results",), quality="draft") as desk:
        urls = desk.results(desk.finished(item(num_output=1)))
        assert len(urls) == 2
        assert is_whole_picture(desk.request("GET", urls[1]).content)


def test_expired_address_works_again_after_a_new_question() -> None:
    """`download-expired@1` strikes once: the next address of the same picture opens."""
    with open_desk(scenarios=("download-expired@1",), quality="draft") as desk:
        key = desk.finished(item(num_output=1))
        assert desk.request("GET", desk.results(key)[0]).status_code == 403
        assert desk.request("GET", desk.results(key)[0]).status_code == 200


def test_key_of_an_answer_that_was_lost_can_be_asked_about() -> None:
    """The rendering behind a lost answer goes on: its key, known from the ledger, leads to the result."""
    with open_desk(scenarios=("submit-accept-then-drop",)) as desk:
        with pytest.raises(httpx.RemoteProtocolError):
            desk.submit()
        desk.now += LONG_AFTER
        assert desk.statuses(desk.ledger()["submits"][0]["result_key"]) == ["SUCCESS"]


def test_endless_life_is_no_number_in_json() -> None:
    """What a page reads is JSON without infinities."""
    with open_desk(scenarios=("task-never-ends",)) as desk:
        desk.accepted()
        (submission,) = json.loads(desk.request("GET", "/_sim/state").content, parse_constant=lambda _: math.nan)[
            "submissions"
        ]
        assert submission["tasks"][0]["ends_at"] is None
