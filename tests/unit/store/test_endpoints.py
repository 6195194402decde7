"""The list of named endpoints, and that no event ever goes by an old one."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from sceneshift.errors import InvalidRequestError, UnknownRecordError
from sceneshift.jobs.change import Change
from sceneshift.jobs.endpoints import ENDPOINTS_MAX, Endpoint
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.transitions import advance
from sceneshift.store.endpoints import EndpointBook
from sceneshift.store.opening import Store
from tests.factories import NOW, a_job
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.jobs.test_endpoints import an_endpoint
from tests.unit.store.inspection import due_at, everything, place


def another_process(store: Store) -> EndpointBook:
    """The same list, in a process that this one does not know of."""
    return EndpointBook(store.client, store.keys)


def a_rendering_job() -> JobRecord:
    return SITUATIONS["rendering"].evolve(id=a_job().id)


def fail(store: Store, job: JobRecord | None = None) -> Change:
    """A job has failed."""
    change = store.jobs.transition(place(store, job or a_rendering_job()), EVENTS["rendering failed"])
    assert change is not None
    return change


def told(store: Store, change: Change, *endpoints: Endpoint) -> list[str]:
    """The lanes of the job's webhooks that are in the outbox and due."""
    deliveries = store.deliveries.of_job(change.after, [each.id for each in endpoints])
    assert all(due_at(store, each.id) is not None for each in deliveries)
    return [each.lane_id for each in deliveries]


def test_a_new_endpoint_gets_every_event_from_then_on(store: Store) -> None:
    """Also from processes that have moved jobs before and knew nothing of it, in the very next transition."""
    endpoint = an_endpoint()
    assert endpoint.id not in told(store, fail(store), endpoint)
    another_process(store).add(endpoint)
    change = fail(store)
    assert endpoint.id in told(store, change, endpoint)
    assert [draft.endpoint_id for draft in change.deliveries] == ["", endpoint.id]


def test_a_removed_endpoint_gets_nothing_more(store: Store) -> None:
    """As soon as `remove` has returned."""
    endpoint = an_endpoint()
    store.endpoints.add(endpoint)
    another_process(store).remove(endpoint.name)
    assert endpoint.id not in told(store, fail(store), endpoint)


def test_a_new_choice_of_events_holds_at_once(store: Store) -> None:
    """Also in processes that have the old one in their memory."""
    endpoint = an_endpoint()
    store.endpoints.add(endpoint)
    fail(store)
    another_process(store).update(endpoint.name, lambda seen: replace(seen, events=("job.completed",)))
    assert endpoint.id not in told(store, fail(store), endpoint)


def test_nothing_is_written_by_an_old_list(store: Store) -> None:
    """The script refuses the change whole, so that it can be addressed anew."""
    place(store, job := a_rendering_job())
    current = store.jobs.load(job.id)
    assert current is not None
    change = replace(_change(current), endpoints_version="0")
    another_process(store).add(an_endpoint())
    before = everything(store.client)
    assert store.jobs.apply(change).answer == "endpoints"
    assert everything(store.client) == before


def _change(job: JobRecord) -> Change:

    return advance(job, EVENTS["rendering failed"], NOW)


def test_two_operators_at_once_lose_no_endpoint(store: Store) -> None:
    """A change is made on the list as it is, not on the one that was seen before."""
    other = another_process(store)
    other.read()
    store.endpoints.add(an_endpoint(name="first"))
    other.add(an_endpoint(name="second"))
    assert {each.name for each in store.endpoints.read().by_id.values()} == {"first", "second"}

    def meanwhile(seen: Endpoint) -> Endpoint:
        if not any(each.name == "third" for each in other.read().by_id.values()):
            other.add(an_endpoint(name="third"))
        return replace(seen, events=("job.*",))

    store.endpoints.update("first", meanwhile)
    names = {each.name: each.events for each in store.endpoints.read().by_id.values()}
    assert names == {"first": ("job.*",), "second": ("*",), "third": ("*",)}


def test_two_changes_of_one_endpoint_at_once_both_hold(store: Store) -> None:
    """A rotation does not undo a move that happens at the same moment, nor take a name that was just given."""
    other, moved = another_process(store), "https://new.example/hook"
    store.endpoints.add(an_endpoint())

    def meanwhile(seen: Endpoint) -> Endpoint:
        if seen.url != moved:
            other.update("shop", lambda endpoint: replace(endpoint, url=moved))
        return seen.rotated(NOW, 3600.0)

    changed = store.endpoints.update("shop", meanwhile)
    assert (changed.url, changed.signing(NOW)) == (moved, (2, 1))
    assert store.endpoints.get(changed.id) == changed


def test_a_name_is_given_once(store: Store) -> None:
    """A second endpoint of the same name is refused, and so is one that there is not."""
    store.endpoints.add(an_endpoint())
    with pytest.raises(InvalidRequestError, match="already"):
        store.endpoints.add(an_endpoint())
    with pytest.raises(InvalidRequestError, match="there are shop"):
        store.endpoints.update("stop", lambda seen: seen)
    with pytest.raises(InvalidRequestError):
        store.endpoints.remove("stop")


def test_there_is_a_last_endpoint(store: Store) -> None:
    """Each event is written once for each of them, so that there may be fifty."""
    for number in range(ENDPOINTS_MAX):
        store.endpoints.add(an_endpoint(name=f"shop-{number}"))
    with pytest.raises(InvalidRequestError, match=str(ENDPOINTS_MAX)):
        store.endpoints.add(an_endpoint(name="one-more"))
    change = fail(store)
    assert len(change.deliveries) == ENDPOINTS_MAX + 1


def test_a_record_of_a_later_release_is_left_alone(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """The others go on, and it is logged; whoever asks for it is told."""
    endpoint = an_endpoint()
    store.endpoints.add(endpoint)
    store.client.hset(store.keys.endpoints, "ep_later", '{"form":2}')
    with caplog.at_level(logging.WARNING):
        assert list(store.endpoints.read().by_id) == [endpoint.id]
    assert [record.message for record in caplog.records] == ["endpoint.unknown"]
    with pytest.raises(UnknownRecordError):
        store.endpoints.get("ep_later")
    assert store.endpoints.get("ep_none") is None


def test_no_secret_is_in_the_store(store: Store) -> None:
    """What is stored of an endpoint are the numbers of its secrets."""
    store.endpoints.add(an_endpoint(ed25519=True).rotated(NOW, 3600.0))
    text = str(everything(store.client))
    assert "whsec_" not in text
    assert "whpk_" not in text
