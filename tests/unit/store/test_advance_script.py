"""The script of a transition: a compare-and-set that does everything or nothing, by the same table as the code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.change import Change
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import TRANSITIONS, JobState
from sceneshift.store.opening import Store
from tests.factories import NOW, a_job, an_order
from tests.unit.jobs.moves import KEPT, TABLE, Row
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import PLACED_DUE, as_stored, due_at, everything, place, states_listing

LEASE = 20.0
RETENTION_MILLISECONDS = 30 * 86_400_000

every_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)


def move(store: Store, row: Row, **values: Any) -> Change:
    """The row's job is placed, and its event put to it through the store."""
    job = place(store, row.job.evolve(**values))
    change = store.jobs.transition(job, EVENTS[row.event])
    assert change is not None
    return change


def a_change(start: JobState, end: JobState) -> Change:
    before = a_job(state=start, step="poll-001", revision=3)
    after = before.evolve(state=end, step="poll-002", parent_step="poll-001", revision=4)
    return Change(before=before, after=after, due_at=None if end.is_final else NOW + 5.0)


def loaded(store: Store, job_id: str) -> JobRecord:
    job = store.jobs.load(job_id)
    assert job is not None
    return job


@pytest.mark.parametrize("end", JobState)
@pytest.mark.parametrize("start", JobState)
def test_the_script_allows_the_moves_of_the_table_and_no_other(store: Store, start: JobState, end: JobState) -> None:
    """Each of the 81 moves is applied where the published table has it, and otherwise refused without a trace."""
    change = a_change(start, end)
    place(store, change.before)
    before = everything(store.client)
    if end in TRANSITIONS[start]:
        assert store.jobs.apply(change).answer == "applied"
        assert as_stored(loaded(store, change.before.id)) == change.after
    else:
        assert store.jobs.apply(change).answer == "forbidden"
        assert everything(store.client) == before


@every_row
def test_what_is_stored_is_what_was_decided(store: Store, row: Row) -> None:
    """After every event in every situation the record reads as the change says, field by field."""
    change = move(store, row)
    assert as_stored(loaded(store, row.job.id)) == as_stored(change.after)


@every_row
def test_an_unfinished_job_has_its_one_due_time(store: Store, row: Row) -> None:
    """The due entry is moved with the state, removed at the end, and left alone while a step goes on."""
    move(store, row)
    if row.due is KEPT:
        expected = float("inf") if row.job.state is JobState.NEEDS_ATTENTION else PLACED_DUE
    elif row.due is None:
        assert due_at(store, row.job.id) is None
        return
    else:
        expected = NOW + row.due + (LEASE if row.publish else 0.0)
    assert due_at(store, row.job.id) == expected


@every_row
def test_a_job_is_listed_in_its_state_and_in_no_other(store: Store, row: Row) -> None:
    """The state indexes move with the record."""
    move(store, row)
    assert states_listing(store, row.job.id) == [row.to]


@every_row
def test_the_outbox_is_written_with_the_state(store: Store, row: Row) -> None:
    """The webhook of an event is a pending delivery, due after a lease in case its message is lost."""
    change = move(store, row)
    stored = store.deliveries.of_job(change.after)
    assert [(each.type, each.status, each.attempts) for each in stored] == (
        [(row.webhook, "pending", 0)] if row.webhook else []
    )
    for each, draft in zip(stored, change.deliveries, strict=True):
        assert (each.id, each.event_id, each.job_id, each.sequence) == (
            draft.id, draft.event_id, row.job.id, draft.sequence,
        )  # fmt: skip
        assert (each.state, each.error, each.step, each.sku) == (row.to, change.after.error, "notify-01", row.job.sku)
        assert due_at(store, each.id) == NOW + LEASE


@every_row
def test_the_timeline_gets_the_entry_of_the_event(store: Store, row: Row) -> None:
    """One line with time, state and details, after those that were there."""
    change = move(store, row)
    entries = store.timeline.read(row.job.id, start=1)
    expected = [{"at": NOW, "state": str(row.to), "event": name, **about} for name, about in change.timeline]
    assert entries == expected


@every_row
def test_a_new_step_starts_without_the_old_one_s_hand_outs(store: Store, row: Row) -> None:
    """The counts of hand-outs and starts belong to one step; a published one is handed out once already."""
    move(store, row, fence=4, begun=4, starts=3)
    job = loaded(store, row.job.id)
    if row.step == row.job.step:
        assert (job.fence, job.begun, job.starts) == (4, 4, 3)
    else:
        assert (job.fence, job.begun, job.starts) == (1 if row.publish else 0, 0, 0)


@every_row
def test_only_a_final_job_expires(store: Store, row: Row) -> None:
    """Everything of a finished job is kept for the retention, and nothing of an unfinished one has an end."""
    move(store, row)
    keys, job_id = store.keys, row.job.id
    own = [keys.job(job_id), keys.order(job_id), keys.timeline(job_id), keys.results(job_id)]
    times = [store.client.pttl(key) for key in own if store.client.exists(key)]
    if row.to.is_final:
        assert all(RETENTION_MILLISECONDS - 10_000 < milliseconds <= RETENTION_MILLISECONDS for milliseconds in times)
    else:
        assert set(times) == {-1}


@every_row
def test_a_change_that_is_sent_twice_is_applied_once(store: Store, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the answer is lost and the same command is sent again, it says "applied" and changes nothing more."""
    script, states = store.jobs._advance, []

    def sent_twice(keys: Any, args: Any, client: Any = None) -> Any:
        assert client is None, "these tests do not wait for the disk, which takes a pipeline"
        script(keys, args)
        states.append(everything(store.client))
        answer = script(keys, args)
        states.append(everything(store.client))
        return answer

    monkeypatch.setattr(store.jobs, "_advance", sent_twice)
    move(store, row)
    once, twice = states
    assert twice == once


@pytest.mark.parametrize(
    "moved",
    [{"state": JobState.STORING}, {"step": "poll-004"}, {"revision": 5}],
    ids=["another state", "another step", "another revision"],
)
def test_a_change_of_what_has_moved_is_stale_and_leaves_no_trace(store: Store, moved: dict[str, Any]) -> None:
    """State, step and revision must all be those that the change was decided on."""
    job = SITUATIONS["rendering"]
    place(store, job.evolve(**moved))
    before = everything(store.client)
    after = job.evolve(state=JobState.CANCELLED, step="done-4", revision=5)
    assert store.jobs.apply(Change(before=job, after=after, due_at=None)).answer == "stale"
    assert everything(store.client) == before


def test_a_change_of_a_job_that_is_gone_is_stale(store: Store) -> None:
    """A job whose retention has ended is not brought back by a late step."""
    assert store.jobs.apply(a_change(JobState.RENDERING, JobState.STORING)).answer == "stale"
    assert everything(store.client) == {}


@pytest.mark.parametrize(
    ("situation", "event", "kept"),
    [
        ("queued", "refused", False),
        ("queued", "cancel", False),
        ("queued again by a person", "refused", True),
        ("rendering", "rendering failed", True),
        ("storing", "all stored", True),
        ("rendering", "cancel", True),
    ],
)
def test_an_idempotency_key_is_given_back_when_nothing_was_charged(
    store: Store, situation: str, event: str, *, kept: bool
) -> None:
    """A key may order again after a free end; otherwise it is kept as long as the job."""
    job = place(store, SITUATIONS[situation].evolve(order=an_order(idempotency_key="shop:1", num_output=2)))
    assert store.jobs.transition(job, EVENTS[event])
    key = store.keys.idempotency("shop:1")
    assert store.client.get(key) == (job.id if kept else None)
    if kept:
        assert RETENTION_MILLISECONDS - 10_000 < store.client.pttl(key) <= RETENTION_MILLISECONDS


def test_a_key_that_belongs_to_another_job_is_left_alone(store: Store) -> None:
    """The end of a job does not touch a key that has ordered again since."""
    job = place(store, SITUATIONS["queued"].evolve(order=an_order(idempotency_key="shop:1", num_output=2)))
    key = store.keys.idempotency("shop:1")
    store.client.set(key, "job_OTHER")
    assert store.jobs.transition(job, EVENTS["cancel"])
    assert (store.client.get(key), store.client.pttl(key)) == ("job_OTHER", -1)


def test_an_unfinished_job_keeps_its_key_without_an_end(store: Store) -> None:
    """However long a job takes, its key finds it."""
    job = place(store, SITUATIONS["rendering"].evolve(order=an_order(idempotency_key="shop:1")))
    assert store.jobs.transition(job, EVENTS["poll later"])
    key = store.keys.idempotency("shop:1")
    assert (store.client.get(key), store.client.pttl(key)) == (job.id, -1)


@pytest.mark.parametrize("event", ["poll later", "results", "cancel"])
def test_fields_of_a_later_version_survive_every_change(store: Store, event: str) -> None:
    """A worker of this version moves a job without losing what a newer one has noted."""
    job = place(store, SITUATIONS["rendering"])
    store.client.hset(store.keys.job(job.id), "palette", "warm")
    order = json.dumps({**json.loads(job.order.to_json()), "palette": "cold"})
    store.client.set(store.keys.order(job.id), order)
    assert store.jobs.transition(loaded(store, job.id), EVENTS[event])
    assert store.client.hget(store.keys.job(job.id), "palette") == "warm"
    assert loaded(store, job.id).unknown_fields == {"palette": "warm"}
    assert store.client.get(store.keys.order(job.id)) == order


def test_a_field_that_became_empty_is_removed(store: Store) -> None:
    """What a job no longer waits for leaves the hash."""
    job = place(store, SITUATIONS["queued after a refusal"])
    assert store.jobs.transition(job, EVENTS["intent"])
    stored: dict[str, str] = store.client.hgetall(store.keys.job(job.id))  # type: ignore[assignment]  # redis-py: maybe awaitable
    assert not {"blocked_by", "blocked_until"} & set(stored)


def test_results_without_content_are_removed(store: Store) -> None:
    """When every URL is used and no image came of it, the results are gone and not an empty document."""
    job = place(store, SITUATIONS["storing"])
    change = Change(before=job, after=job.evolve(urls=(), revision=6), due_at=NOW)
    assert store.jobs.apply(change).answer == "applied"
    assert not store.client.exists(store.keys.results(job.id))


def test_the_index_of_a_state_is_ordered_by_entry(store: Store, clock: ManualClock) -> None:
    """The newest in a state is listed first, by when it came into the state and not by its age."""
    first, second = (place(store, SITUATIONS["queued"].evolve(id=a_job().id)) for _ in range(2))
    for job in (second, first):
        clock.advance(1.0)
        assert store.jobs.transition(job, EVENTS["intent"])
    assert list(store.jobs.ids(JobState.SUBMITTING, limit=10)) == [first.id, second.id]
    assert list(store.jobs.ids(JobState.SUBMITTING, limit=1)) == [first.id]
    assert store.jobs.counts() == {state: 2 if state is JobState.SUBMITTING else 0 for state in JobState}


def test_expired_jobs_leave_the_indexes(store: Store, clock: ManualClock) -> None:
    """A finished job is listed as long as its record is kept; an unfinished one for ever."""
    done = place(store, SITUATIONS["rendering"])
    waiting = place(store, SITUATIONS["held, answer lost"])
    assert store.jobs.transition(done, EVENTS["cancel"])
    clock.advance(30 * 86_400.0 - 1.0)
    assert store.jobs.forget_expired() == 0
    clock.advance(1.0)
    assert store.jobs.forget_expired() == 1
    assert states_listing(store, done.id) == []
    assert states_listing(store, waiting.id) == [JobState.NEEDS_ATTENTION]
