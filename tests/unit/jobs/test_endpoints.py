"""Named endpoints as values: what they take, when which of their secrets signs, and who is told what."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sceneshift import identifiers
from sceneshift.errors import InvalidRequestError, UnknownRecordError
from sceneshift.jobs.endpoints import Endpoint, Endpoints, addressed, is_endpoint_id, new_endpoint
from sceneshift.jobs.lanes import EndpointWarning, lane_of_url
from sceneshift.jobs.system_events import listeners, trial_event, warning_event
from sceneshift.jobs.transitions import advance
from sceneshift.webhooks import EndpointDisabled, EndpointFailing
from sceneshift.webhooks.events import read_event
from sceneshift.webhooks.payloads import event_payload
from tests.factories import NOW, an_order
from tests.unit.jobs.situations import EVENTS, SITUATIONS

HOUR = 3600.0


def an_endpoint(**values: Any) -> Endpoint:
    """A valid endpoint."""
    defaults: dict[str, Any] = {
        "name": "shop",
        "url": "https://shop.example/hook",
        "events": (),
        "now": NOW,
        "ed25519": False,
        "allow_hosts": (),
    }
    return new_endpoint(**{**defaults, **values})


def listing(*endpoints: Endpoint) -> Endpoints:
    return Endpoints(version="7", by_id={each.id: each for each in endpoints})


@pytest.mark.parametrize(
    ("param", "values"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "Shop"}),
        ("name", {"name": "a" * 41}),
        ("name", {"name": "shop\n"}),
        ("url", {"url": "http://127.0.0.1/hook"}),
        ("url", {"url": "ftp://shop.example/hook"}),
        ("url", {"url": "https://metadata.google.internal/"}),
        ("events", {"events": ["job.admired"]}),
        ("events", {"events": ["job.*", "bill.*"]}),
    ],
)
def test_an_endpoint_with_a_wrong_value_is_refused(param: str, values: dict[str, Any]) -> None:
    """The error names the parameter."""
    with pytest.raises(InvalidRequestError) as raised:
        an_endpoint(**values)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("events", "taken", "left"),
    [
        ((), {"job.completed", "endpoint.failing", "webhook.test"}, set()),
        (("job.*",), {"job.completed", "job.overdue", "webhook.test"}, {"endpoint.failing", "batch.completed"}),
        (("job.failed", "endpoint.*"), {"job.failed", "endpoint.disabled", "webhook.test"}, {"job.completed"}),
    ],
)
def test_an_endpoint_takes_what_it_asked_for(events: tuple[str, ...], taken: set[str], left: set[str]) -> None:
    """By types or patterns; a test is for everybody."""
    endpoint = an_endpoint(events=events)
    assert {each for each in taken | left if endpoint.takes(each)} == taken


def test_what_is_stored_is_read_again() -> None:
    """Every value, and what a later release adds does no harm."""
    endpoint = an_endpoint(events=["job.*"], ed25519=True).rotated(NOW, HOUR)
    text = endpoint.to_json()
    assert Endpoint.from_json(text) == endpoint
    assert Endpoint.from_json(text[:-1] + ',"colour":"red"}') == endpoint


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id":"ep_1"}'])
def test_another_form_is_not_guessed(text: str) -> None:
    """A record that cannot be read is said to be unknown."""
    with pytest.raises(UnknownRecordError):
        Endpoint.from_json(text)


def test_rotation_has_an_overlap() -> None:
    """Both secrets sign until it ends, the newest first; then the new one alone."""
    endpoint = an_endpoint()
    assert endpoint.signing(NOW) == (1,)
    rotated = endpoint.rotated(NOW, HOUR)
    assert rotated.signing(NOW) == rotated.signing(NOW + HOUR - 1) == (2, 1)
    assert rotated.signing(NOW + HOUR) == (2,)


def test_rotating_again_never_lengthens_an_older_secret() -> None:
    """A leaked secret that was to end in an hour ends then, or earlier; what has ended is forgotten."""
    twice = an_endpoint().rotated(NOW, HOUR).rotated(NOW + 60.0, 24 * HOUR)
    assert twice.signing(NOW + 60.0) == (3, 2, 1)
    assert twice.signing(NOW + HOUR) == (3, 2)
    assert an_endpoint().rotated(NOW, HOUR).rotated(NOW + 60.0, 0.0).signing(NOW + 60.0) == (3,)
    later = twice.rotated(NOW + 48 * HOUR, HOUR)
    assert [each.number for each in later.generations] == [3, 4]


def test_a_signature_header_stays_short() -> None:
    """Not more than four secrets sign at once: a fifth is refused until one has ended."""
    endpoint = an_endpoint()
    for _ in range(3):
        endpoint = endpoint.rotated(NOW, HOUR)
    with pytest.raises(InvalidRequestError, match="4 secrets"):
        endpoint.rotated(NOW, HOUR)
    assert endpoint.rotated(NOW + HOUR, HOUR).signing(NOW + HOUR) == (5, 4)


def test_an_event_goes_to_its_own_url_and_to_all_who_take_it() -> None:
    """One delivery each, all with the event's own id."""
    job = SITUATIONS["rendering"]
    everything, failures, successes = (
        an_endpoint(),
        an_endpoint(name="failures", events=["job.failed"]),
        an_endpoint(name="successes", events=["job.completed"]),
    )
    change = addressed(advance(job, EVENTS["rendering failed"], NOW), listing(everything, failures, successes))
    own = identifiers.delivery_id(job.id, 1)
    assert [draft.id for draft in change.deliveries] == [
        own, f"{own}_{everything.id[3:]}", f"{own}_{failures.id[3:]}",
    ]  # fmt: skip
    assert [draft.endpoint_id for draft in change.deliveries] == ["", everything.id, failures.id]
    assert {draft.event_id for draft in change.deliveries} == {identifiers.event_id(job.id, 1)}
    assert all(identifiers.is_delivery_id(draft.id) for draft in change.deliveries)
    assert change.endpoints_version == "7"


def test_a_job_without_a_url_is_told_to_named_endpoints() -> None:
    """They do not need the order's help; and a change without an event is told to nobody."""
    job = SITUATIONS["rendering"].evolve(order=an_order(webhook_url=None))
    change = addressed(advance(job, EVENTS["rendering failed"], NOW), listing(an_endpoint()))
    assert len(change.deliveries) == 1
    quiet = addressed(advance(job, EVENTS["poll later"], NOW), listing(an_endpoint()))
    assert (quiet.deliveries, quiet.endpoints_version) == ((), "")


def a_warning(percent: int, lane_id: str = "ep_0123456789") -> EndpointWarning:
    return EndpointWarning(
        lane_id=lane_id,
        name="shop",
        url="https://shop.example/hook",
        percent=percent,
        failing_since=NOW - 60 * HOUR,
        disables_at=NOW + 60 * HOUR,
        last_status="503",
    )


def test_a_warning_is_a_typed_event() -> None:
    """Its body is read as what it is about, at 50 % and when the endpoint is disabled."""
    for percent, kind in ((50, EndpointFailing), (100, EndpointDisabled)):
        told = warning_event(a_warning(percent), NOW)
        event = read_event(told.id, json.loads(event_payload(told.type, occurred_at=NOW, data=told.data)))
        assert isinstance(event, kind)
        assert (event.data.endpoint_id, event.data.name, event.data.percent) == ("ep_0123456789", "shop", percent)
        assert (event.data.failing_since.timestamp(), event.data.last_status) == (NOW - 60 * HOUR, "503")


def test_the_same_threshold_is_the_same_event() -> None:
    """Whoever tells it, and whenever; another threshold or endpoint is another one."""
    ids = {warning_event(a_warning(percent), now).id for percent in (50, 70) for now in (NOW, NOW + 5)}
    assert len(ids) == 2
    assert warning_event(a_warning(50, lane_of_url("https://other.example/")), NOW).id not in ids


def test_the_failing_endpoint_is_not_told_of_itself() -> None:
    """The others are, when they take such events."""
    failing, watching, jobs_only = (
        an_endpoint(), an_endpoint(name="pager", events=["endpoint.*"]), an_endpoint(name="jobs", events=["job.*"]),
    )  # fmt: skip
    event = warning_event(a_warning(50, failing.id), NOW)
    assert listeners(listing(failing, watching, jobs_only), event, about=failing.id) == [watching]


def test_a_token_in_a_url_is_told_to_nobody() -> None:
    """A test names its endpoint without the query."""
    endpoint = replace(an_endpoint(), url="https://shop.example/hook?token=abc#x")
    assert trial_event(endpoint, NOW).data["endpoint"]["url"] == "https://shop.example/hook"


def test_lanes_of_urls_are_none_of_ours() -> None:
    """An id says by itself whether an endpoint is named."""
    assert is_endpoint_id(an_endpoint().id)
    assert not is_endpoint_id(lane_of_url("https://shop.example/hook"))
