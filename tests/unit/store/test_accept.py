"""Accepting a job: all of it is stored or none, and an idempotency key never means two jobs."""

from __future__ import annotations

from sceneshift.jobs.states import JobState
from sceneshift.store.opening import Store
from tests.factories import NOW, a_job, an_order
from tests.unit.jobs.situations import EVENTS
from tests.unit.store.inspection import as_stored, due_at, everything, states_listing


def test_an_accepted_job_is_whole(store: Store) -> None:
    """Record, order, due time, index and the first line of the timeline are there together."""
    job = a_job(order=an_order(metadata={"shop": "büro"}, lane="bulk"))
    assert store.jobs.accept(job, publish=False) == job.id
    assert store.jobs.load(job.id) == job
    assert due_at(store, job.id) == NOW
    assert states_listing(store, job.id) == [JobState.QUEUED]
    assert store.timeline.read(job.id) == [{"at": NOW, "state": "queued", "event": "enqueued", "lane": "bulk"}]
    assert not any(expires for _value, expires in everything(store.client).values())


def test_a_job_whose_message_follows_is_due_after_a_lease(store: Store) -> None:
    """The first message has a lease's time to arrive; only then do the timekeepers care."""
    job = a_job()
    store.jobs.accept(job, publish=True)
    assert due_at(store, job.id) == NOW + 20.0
    assert store.due.begin(job.id, "submit-1", "sceneshift.submit").is_taken


def test_the_same_call_again_changes_nothing(store: Store) -> None:
    """When the answer is lost and the command is sent again, the job is stored once."""
    for order in (an_order(), an_order(idempotency_key="shop:1")):
        job = a_job(order=order)
        store.jobs.accept(job, publish=True)
        before = everything(store.client)
        assert store.jobs.accept(job, publish=True) == job.id
        assert everything(store.client) == before


def test_the_same_call_again_does_not_restart_a_job_that_has_moved(store: Store) -> None:
    """A repeated command that arrives late finds the job further on, or finished, and leaves it so."""
    job = a_job(order=an_order(idempotency_key="shop:1"))
    store.jobs.accept(job, publish=True)
    assert store.jobs.transition(job, EVENTS["cancel"])
    before = everything(store.client)
    assert store.jobs.accept(job, publish=True) == job.id
    assert everything(store.client) == before


def test_a_key_that_is_taken_names_its_job_and_stores_nothing(store: Store) -> None:
    """The second caller gets the first one's job."""
    first, second = (a_job(order=an_order(idempotency_key="shop:1")) for _ in range(2))
    store.jobs.accept(first, publish=True)
    before = everything(store.client)
    assert store.jobs.accept(second, publish=True) == first.id
    assert everything(store.client) == before


def test_keys_and_jobs_without_keys_do_not_meet(store: Store) -> None:
    """Other keys, and orders without a key, are other jobs."""
    jobs = [a_job(order=an_order(idempotency_key=key)) for key in ("shop:1", "shop:2", None, None)]
    assert [store.jobs.accept(job, publish=False) for job in jobs] == [job.id for job in jobs]


def test_a_key_given_back_orders_anew(store: Store) -> None:
    """After a refusal that cost nothing the same key makes a new job, whose end does not touch the old one."""
    first, second = (a_job(order=an_order(idempotency_key="shop:1")) for _ in range(2))
    store.jobs.accept(first, publish=True)
    assert store.jobs.transition(first, EVENTS["refused"])
    assert store.jobs.accept(second, publish=True) == second.id
    assert store.jobs.accept(a_job(order=first.order), publish=True) == second.id
    stored = store.jobs.load(first.id)
    assert stored is not None
    assert stored.state is JobState.FAILED


def test_a_record_reads_the_same_with_its_hand_out(store: Store) -> None:
    """The hand-out of the first message is all that publishing adds to the record."""
    job = a_job()
    store.jobs.accept(job, publish=True)
    stored = store.jobs.load(job.id)
    assert stored is not None
    assert (stored.fence, as_stored(stored)) == (1, job)


def test_an_unknown_job_cannot_be_loaded(store: Store) -> None:
    """What is not there is None, and a record that has lost its order is not half a job."""
    assert store.jobs.load("job_GONE") is None
    job = a_job()
    store.jobs.accept(job, publish=False)
    store.client.delete(store.keys.order(job.id))
    assert store.jobs.load(job.id) is None
