"""Many threads at one real server: the scripts let one of them win, and lose nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.change import Change
from sceneshift.jobs.events import SubmissionAccepted
from sceneshift.jobs.states import JobState
from sceneshift.settings import Settings
from sceneshift.store.connection import TIMEKEEPER, connect
from sceneshift.store.opening import Store, open_job_store
from tests.factories import NOW, a_job, an_order
from tests.unit.jobs.situations import EVENTS, SITUATIONS
from tests.unit.store.inspection import due_entries, place
from workers.embedded.redis_server import RedisServer

T = TypeVar("T")


@pytest.fixture
def real_store(redis_server: RedisServer, settings: Settings, clock: ManualClock) -> Iterator[Store]:
    """A store on the real server, whose client many threads may share."""
    client = connect(redis_server.url, TIMEKEEPER)
    client.flushdb()
    yield open_job_store(settings, patience=TIMEKEEPER, client=client, clock=clock)
    client.close()


def at_once(count: int, call: Callable[[int], T]) -> list[T]:
    """What `call` returned in each of so many threads that start it together."""
    barrier = threading.Barrier(count)

    def one(number: int) -> T:
        barrier.wait(timeout=30)
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_one_of_sixteen_messages_gets_the_step(real_store: Store) -> None:
    """However many copies of a message arrive at the same moment, one worker starts."""
    job = a_job()
    real_store.jobs.accept(job, publish=True)
    answers = at_once(16, lambda _: real_store.due.begin(job.id, "submit-1", "sceneshift.submit").status)
    assert Counter(answers) == {"begun": 1, "held": 15}
    assert real_store.due.begun_counts() == {"sceneshift.submit": 1}


def test_one_of_fifty_orders_with_one_key_becomes_a_job(real_store: Store) -> None:
    """All callers get the same job, and nothing of the others is stored."""
    jobs = [a_job(order=an_order(idempotency_key="shop:1")) for _ in range(50)]
    answers = at_once(50, lambda number: real_store.jobs.accept(jobs[number], publish=False))
    assert len(set(answers)) == 1
    assert len(due_entries(real_store)) == 1
    assert real_store.jobs.counts()[JobState.QUEUED] == 1
    assert sum(real_store.jobs.load(job.id) is not None for job in jobs) == 1


def test_timekeepers_claim_each_entry_once(real_store: Store) -> None:
    """Eight of them empty the index together, and no entry is given to two."""
    ids = set()
    for number in range(200):
        job = a_job(created_at=NOW - number)
        real_store.jobs.accept(job, publish=False)
        ids.add(job.id)

    def claim_all(_number: int) -> list[str]:
        claimed: list[str] = []
        while steps := real_store.due.claim(7):
            claimed += [step.subject_id for step in steps]
        return claimed

    claimed = [subject_id for share in at_once(8, claim_all) for subject_id in share]
    assert len(claimed) == 200
    assert set(claimed) == ids


def test_one_of_many_outcomes_moves_a_step(real_store: Store) -> None:
    """Eight workers with an answer for the same poll make one change."""
    job = place(real_store, SITUATIONS["rendering"])
    changes = at_once(8, lambda _: real_store.jobs.transition(job, EVENTS["poll later"]))
    assert sum(change is not None for change in changes) == 1
    stored = real_store.jobs.load(job.id)
    assert stored is not None
    assert (stored.polls, stored.step) == (3, "poll-004")


def test_a_wish_and_an_answer_at_the_same_moment_are_both_kept(real_store: Store) -> None:
    """Whichever comes first, the job ends as cancelled and as paid, for each of twenty jobs."""
    jobs = [place(real_store, SITUATIONS["submitting"].evolve(id=a_job().id)) for _ in range(20)]

    def put(number: int) -> Change | None:
        accepted = SubmissionAccepted(result_key=f"key-{number}", request_id=None, first_poll_in_seconds=4.0)
        return real_store.jobs.transition(jobs[number // 2], accepted if number % 2 else EVENTS["cancel"])

    changes = at_once(40, put)
    assert None not in changes
    for job in jobs:
        stored = real_store.jobs.load(job.id)
        assert stored is not None
        assert (stored.state, stored.charge) == (JobState.CANCELLED, "charged")
