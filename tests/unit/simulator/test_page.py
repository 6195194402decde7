"""The simulator's page as it is served: sealed against foreign content, and without influence on what it shows."""

from __future__ import annotations

import contextlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from PIL import Image

import sceneshift.simulator
from sceneshift.simulator.page import SECURITY_HEADERS
from sceneshift.simulator.scenarios.catalogue import SCENARIOS
from tests.unit.simulator.support import SIZE, Desk, item, open_desk, photo

LONG_AFTER = 3000.0
PARTS = ["/", "/_sim/page.css", "/_sim/page.js", "/_sim/page_words.js", "/_sim/page.svg"]
VOID = {"meta", "link", "input"}


class Markup(HTMLParser):
    """The elements of a page; every one must be closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.inline_script = ""
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in {"script", "style"}:
            self.inline_script += data


@pytest.fixture
def markup(desk: Desk) -> Markup:
    return Markup(desk.request("GET", "/").text)


@pytest.mark.parametrize("path", PARTS)
def test_every_part_is_sealed(desk: Desk, path: str) -> None:
    """Page, style, scripts and icon come with the policy that lets only this server's files run."""
    answer = desk.request("GET", path)
    assert answer.status_code == 200
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["img-src"] == policy["connect-src"] == "'self'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_nothing_runs_that_is_written_into_the_page(markup: Markup) -> None:
    """There is no inline script, style or event attribute, which the policy would stop."""
    assert markup.inline_script == ""
    for tag, attributes in markup.elements:
        assert tag != "style"
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)


def test_every_address_on_the_page_is_this_servers_own_and_exists(desk: Desk, markup: Markup) -> None:
    """Links, scripts and styles lead to addresses of the simulator that answer."""
    addresses = {
        attributes[name] for _, attributes in markup.elements for name in ("href", "src") if name in attributes
    }
    assert {"/openapi.json", "/_sim/ledger", "/_sim/page.js", "/_sim/page.css"} <= addresses
    for address in addresses:
        assert address is not None
        if not address.startswith("#"):
            assert re.fullmatch(r"/[a-z_./]+", address)
            assert desk.request("GET", address).status_code == 200


def test_every_label_and_reference_finds_its_element(markup: Markup) -> None:
    """What a label, a heading's reference or a skip link names is there, once."""
    ids = [attributes["id"] for _, attributes in markup.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in markup.elements:
        for name in ("for", "aria-labelledby"):
            assert attributes.get(name) in {None, *ids}
        if (target := attributes.get("href") or "").startswith("#"):
            assert target[1:] in ids


def test_script_makes_no_markup_from_text() -> None:
    """No script has a way to turn a text into elements or code."""
    for path in Path(str(sceneshift.simulator.__file__)).parent.glob("*.js"):
        code = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", code)


def test_picture_of_each_kind_is_shown_under_its_own_type() -> None:
    """A task's photo, mask and result can be had while no client has asked for the result yet."""
    with open_desk(quality="draft") as desk:
        desk.pictures["https://img.alicdn.com/photo.jpg"] = photo(image_format="JPEG")
        desk.pictures["https://img.alicdn.com/photo.webp"] = photo(image_format="WEBP")
        orders = [item(image=f"https://img.alicdn.com/photo.{kind}", num_output=1) for kind in ("jpg", "webp")]
        key = desk.accepted(*orders)
        desk.now += LONG_AFTER
        names = {"photo-0": "JPEG", "photo-1": "WEBP", "mask-1": "PNG", "result-0": "PNG", "result-1": "PNG"}
        for name, image_format in names.items():
            answer = desk.request("GET", f"/_sim/pictures/{key}/{name}")
            with Image.open(io.BytesIO(answer.content)) as picture:
                assert (picture.format, picture.size) == (image_format, SIZE)
            assert answer.headers["content-type"] == f"image/{image_format.lower()}"
            assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize("name", ["photo-1", "mask-1", "result-3", "result-0x", "other-0", "result--1", "result-99999"])
def test_picture_that_is_not_there_is_not_found(desk: Desk, name: str) -> None:
    """A number beyond the last, and a name of no picture, are 404."""
    key = desk.accepted()
    desk.now += LONG_AFTER
    assert desk.request("GET", f"/_sim/pictures/{key}/{name}").status_code == 404
    assert desk.request("GET", f"/_sim/pictures/{'0' * 32}/photo-0").status_code == 404


def test_result_is_not_shown_before_the_task_has_ended(desk: Desk) -> None:
    """While a task runs, its result is 404, and its photo is there."""
    key = desk.accepted()
    assert desk.request("GET", f"/_sim/pictures/{key}/result-0").status_code == 404
    assert desk.request("GET", f"/_sim/pictures/{key}/photo-0").status_code == 200


def test_looking_changes_nothing() -> None:
    """A page that is open counts no download, meets no scenario, and goes on when addresses have expired."""
    with open_desk(quality="draft", scenarios=("download-expired", "query-500"), result_lifetime_seconds=1.0) as desk:
        key = desk.accepted()
        desk.now += LONG_AFTER
        ledger = desk.ledger()
        for address in ("/", "/_sim/state", "/_sim/scenarios", f"/_sim/pictures/{key}/result-0"):
            assert desk.request("GET", address).status_code == 200
        assert desk.ledger() == ledger
        assert desk.request("GET", "/_sim/state").json()["struck"] == {}


def test_state_has_what_a_card_shows(desk: Desk) -> None:
    """A submission comes with the nonce of its call, the scenario that it met, and its images' numbers."""
    desk.simulator.control(scenarios=("submit-accept-with-extras",))
    key = desk.accepted(item(), item(num_output=2))
    state = desk.request("GET", "/_sim/state").json()
    (shown,) = state["submissions"]
    assert (shown["result_key"], shown["scenario"]) == (key, "submit-accept-with-extras")
    assert shown["nonce"] == desk.simulator.ledger.submits[0].nonce
    assert [task["first_index"] for task in shown["tasks"]] == [0, 3]
    assert state["provider_url"] == "http://simulator.test/api/v1/bg-rep"


def test_journal_says_what_an_error_was(desk: Desk) -> None:
    """An exchange is told with the error's code and text, and a foreign page by its type."""
    desk.query("unknown")
    desk.query("unknown", **{"X-Ca-Nonce": None})
    desk.simulator.control(scenarios=("query-html",))
    desk.query(desk.accepted())
    said = [entry["said"] for entry in desk.request("GET", "/_sim/state").json()["exchanges"]]
    assert said == [
        "text/html",
        "WAITING",
        "I400NC X-Ca-Nonce is required",
        "23500008 No records found related to the specified resultKey parameter",
    ]


@pytest.mark.parametrize(
    ("scenario", "said", "status"),
    [
        ("query-drop", "dropped", 0),
        ("query-timeout", "silent", 0),
        ("query-cut", "WAITING, cut short", 200),
        ("query-huge", "WAITING, with zeros after it", 200),
    ],
)
def test_journal_says_how_an_answer_was_delivered(desk: Desk, scenario: str, said: str, status: int) -> None:
    """What was done to an answer on its way is told with the answer."""
    key = desk.accepted()
    desk.simulator.control(scenarios=(scenario,))
    with contextlib.suppress(httpx.TransportError):
        desk.query(key)
    entry = desk.request("GET", "/_sim/state").json()["exchanges"][0]
    assert (entry["said"], entry["http_status"], entry["scenario"]) == (said, status, scenario)


def test_scenarios_are_all_listed(desk: Desk) -> None:
    """Whatever can be chosen on the page is told with what it does and what Sceneshift does about it."""
    listed = desk.request("GET", "/_sim/scenarios").json()
    assert [each["name"] for each in listed] == list(SCENARIOS)
    assert all(each["behaviour"] and each["reaction"] and each["name"].startswith(each["exchange"]) for each in listed)
