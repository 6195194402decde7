"""The breaker: what opens it, who may probe and when, what questions change, and what closes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sceneshift.clock import ManualClock
from sceneshift.jobs.gates import ANSWERS, OUTAGE, UNCLEAR, WORKS, Permit
from sceneshift.settings import Settings
from sceneshift.store.breaker import (
    ACCOUNT_PAUSE_SECONDS,
    BLIND_PAUSE_SECONDS,
    CLOSED,
    PROBE_SECONDS,
    QUESTION_LEASE_SECONDS,
    QUESTION_SECONDS,
    SILENCE_SECONDS,
)
from sceneshift.store.connection import TIMEKEEPER, connect
from sceneshift.store.opening import Store, open_job_store
from sceneshift.store.permits import Limits, Permits
from tests.factories import a_job
from tests.unit.jobs.situations import SITUATIONS
from tests.unit.store.inspection import place
from workers.embedded.redis_server import RedisServer

CREDITS = "provider_credits"


def fail(store: Store, count: int = 3) -> list[str]:
    """So many submissions of different jobs came to nothing."""
    return [store.breaker.note_submission(f"job_{n}", f"job_{n}:submit-1", OUTAGE) for n in range(count)]


def ask(store: Store, job_id: str = "job_P", *, holds_moment: bool = False) -> Permit:
    return store.permits.reserve_submission(job_id, holds_moment=holds_moment)


def probe(store: Store, verdict: str, job_id: str = "job_P") -> str:
    """The job is let through, and this is what became of it."""
    assert ask(store, job_id).is_probe
    return store.breaker.note_submission(job_id, f"{job_id}:{store.clock.now()}", verdict)


def test_three_failures_in_a_row_open_it(store: Store, clock: ManualClock) -> None:
    """Two submissions that came to nothing are none of its business; the third stops all that follow."""
    assert fail(store) == ["", "", "opened"]
    permit = ask(store)
    assert (permit.moment, permit.blocked_by, permit.is_probe) == (None, "provider_unavailable", False)
    state = store.breaker.state()
    assert (state.is_open, state.since, state.lets_one_through) == (True, clock.now(), False)
    assert permit.until == state.until == pytest.approx(clock.now() + 1.0, abs=1e-3)


def test_a_success_between_failures_starts_the_count_anew(store: Store) -> None:
    """Failures that are spread among successes are no outage, and leave nothing behind."""
    for _ in range(3):
        assert fail(store, 2) == ["", ""]
        assert store.breaker.note_submission("job_good", "job_good:submit-1", WORKS) == ""
        assert not store.client.exists(store.keys.breaker)
    assert store.breaker.state() == CLOSED


def test_a_failure_that_is_told_twice_counts_once(store: Store) -> None:
    """An answer of the store that was lost makes the client send the script again."""
    for _ in range(5):
        assert store.breaker.note_submission("job_1", "job_1:submit-1", OUTAGE) == ""
    assert not store.breaker.state().is_open


@pytest.mark.parametrize("verdict", [ANSWERS, UNCLEAR])
def test_refusals_for_a_job_s_own_reasons_never_open_it(store: Store, verdict: str) -> None:
    """A throttled answer, a bad order, an answer that nobody can read: however many, other jobs may go."""
    for number in range(20):
        assert store.breaker.note_submission(f"job_{number}", f"job_{number}:submit-1", verdict) == ""
    assert ask(store).moment == store.clock.now()


@pytest.mark.parametrize("reason", [CREDITS, "provider_authorization", "provider_configuration"])
def test_one_refused_account_stops_all_jobs_and_is_probed_once_a_minute(
    store: Store, clock: ManualClock, reason: str
) -> None:
    """SUB13: of any number that ask in five minutes, one goes each minute, and each of the others is told when."""
    assert store.breaker.note_submission("job_1", "job_1:submit-1", reason) == "opened"
    probes = []
    for second in range(0, 300, 4):
        permit = ask(store, f"job_{second}")
        if permit.is_probe:
            probes.append(second)
            assert store.breaker.note_submission(f"job_{second}", f"job_{second}:submit-1", reason) == "failed"
        else:
            assert (permit.moment, permit.blocked_by) == (None, reason)
            assert permit.until is not None
            assert clock.now() < permit.until <= clock.now() + ACCOUNT_PAUSE_SECONDS
        clock.advance(4.0)
    assert probes == [60, 120, 180, 240]


def test_a_refused_account_is_what_is_said_even_in_an_outage(store: Store) -> None:
    """The later reason, which somebody must mend, takes the place of the one that passes by itself."""
    fail(store)
    assert store.breaker.note_submission("job_9", "job_9:submit-1", CREDITS) == "opened"
    assert store.breaker.state().blocked_by == CREDITS


def test_only_one_of_all_workers_probes(redis_server: RedisServer, settings: Settings) -> None:
    """Eight workers that ask at the same time for eighty jobs: one is let through."""
    clock = ManualClock(1_800_000_000.0)
    client = connect(redis_server.url, TIMEKEEPER)
    client.flushdb()
    store = open_job_store(settings, patience=TIMEKEEPER, client=client, clock=clock)
    store.breaker.note_submission("job_1", "job_1:submit-1", CREDITS)
    clock.advance(ACCOUNT_PAUSE_SECONDS)
    assert store.breaker.state().lets_one_through
    with ThreadPoolExecutor(8) as workers:
        permits = list(workers.map(lambda number: ask(store, f"job_{number}"), range(80)))
    assert sum(permit.is_probe for permit in permits) == 1
    assert sum(permit.moment is not None for permit in permits) == 1
    assert not store.breaker.state().lets_one_through
    client.close()


def test_a_probe_s_own_call_may_be_repeated(store: Store, clock: ManualClock) -> None:
    """The same call again, at the same time by the store's clock, has the same answer; a later one has not."""
    store.breaker.note_submission("job_1", "job_1:submit-1", CREDITS)
    clock.advance(ACCOUNT_PAUSE_SECONDS)
    assert [ask(store, "job_P").is_probe for _ in range(2)] == [True, True]
    clock.advance(0.001)
    assert not ask(store, "job_P").is_probe


def test_a_probe_whose_worker_died_is_followed_by_another(store: Store, clock: ManualClock) -> None:
    """Nobody tells what became of it: after a minute the next job may."""
    fail(store)
    clock.advance(5.0)
    assert ask(store, "job_dead").is_probe
    clock.advance(PROBE_SECONDS - 0.001)
    assert not ask(store, "job_next").is_probe
    clock.advance(0.001)
    assert ask(store, "job_next").is_probe


def test_pauses_between_probes_double_up_to_ten_minutes(store: Store, clock: ManualClock) -> None:
    """Only submissions fail and questions are answered: after 5 s, 10 s, 20 s … and never more often."""
    fail(store)
    opened_at, probes = clock.now(), []
    for _ in range(720):
        store.breaker.note_question(is_answered=True)
        if ask(store).is_probe:
            probes.append(clock.now() - opened_at)
            assert store.breaker.note_submission("job_P", f"job_P:{len(probes)}", OUTAGE) == "failed"
        clock.advance(5.0)
    assert probes == [5, 15, 35, 75, 155, 315, 635, 1235, 1835, 2435, 3035]


def test_no_job_probes_while_questions_fail_too(store: Store, clock: ManualClock) -> None:
    """A question costs nothing: as long as it is not answered, nothing is submitted, but for a look each half hour."""
    fail(store)
    probes = 0
    for _ in range(int(BLIND_PAUSE_SECONDS) // 10):
        store.breaker.note_question(is_answered=False)
        probes += ask(store).is_probe
        clock.advance(10.0)
    assert probes == 0
    assert ask(store).is_probe


def test_a_job_probes_at_once_when_questions_are_answered_again(store: Store, clock: ManualClock) -> None:
    """The end of a silence is the end of the outage, and the probe's success closes the breaker."""
    fail(store)
    store.breaker.note_question(is_answered=False)
    clock.advance(1200.0)
    assert not ask(store).is_probe
    assert store.breaker.note_question(is_answered=True) == "answered"
    assert probe(store, WORKS) == "closed"
    assert store.breaker.state() == CLOSED
    assert ask(store, "job_next").moment == clock.now()


def test_a_provider_that_comes_and_goes_is_not_probed_each_time(store: Store, clock: ManualClock) -> None:
    """Questions that are answered every other time shorten no pause: ten minutes see fewer than ten probes."""
    fail(store)
    probes = 0
    for number in range(200):
        store.breaker.note_question(is_answered=number % 2 == 1)
        if ask(store).is_probe:
            probes += 1
            store.breaker.note_submission("job_P", f"job_P:{number}", OUTAGE)
        clock.advance(3.0)
    assert 1 <= probes < 10


def test_the_end_of_a_long_silence_shortens_a_pause_that_has_grown(store: Store, clock: ManualClock) -> None:
    """After probes that failed, and then half a minute without any answer, the next answer is probed at once."""
    fail(store)
    for _ in range(6):
        clock.advance((store.breaker.state().until or 0.0) + 600.0 - clock.now())
        assert probe(store, OUTAGE) == "failed"
    store.breaker.note_question(is_answered=False)
    clock.advance(SILENCE_SECONDS)
    store.breaker.note_question(is_answered=True)
    assert ask(store).is_probe


@pytest.mark.parametrize(
    ("reason", "verdict", "closes"),
    [
        (OUTAGE, WORKS, True),
        (OUTAGE, ANSWERS, True),
        (OUTAGE, UNCLEAR, True),
        (OUTAGE, OUTAGE, False),
        (CREDITS, WORKS, True),
        (CREDITS, ANSWERS, True),
        (CREDITS, UNCLEAR, False),
        (CREDITS, OUTAGE, False),
        (CREDITS, CREDITS, False),
    ],
)
def test_what_became_of_the_probe_decides(
    store: Store, clock: ManualClock, reason: str, verdict: str, *, closes: bool
) -> None:
    """An acceptance closes it, and so does a refusal that is not its reason; the rest waits for the next probe."""
    for number in range(3):
        store.breaker.note_submission(f"job_{number}", f"job_{number}:submit-1", reason)
    clock.advance(ACCOUNT_PAUSE_SECONDS)
    assert probe(store, verdict) == ("closed" if closes else "failed")
    assert store.breaker.state().is_open is not closes


def test_what_others_sent_before_it_opened_decides_nothing(store: Store, clock: ManualClock) -> None:
    """Answers that were under way neither prolong a pause, nor say that an account has credits again."""
    store.breaker.note_submission("job_1", "job_1:submit-1", CREDITS)
    before = store.breaker.state()
    clock.advance(10.0)
    for verdict in (CREDITS, WORKS, ANSWERS, OUTAGE):
        assert store.breaker.note_submission("job_2", "job_2:submit-1", verdict) == ""
    assert (store.breaker.state().since, store.breaker.state().until) == (before.since, before.until)


def test_a_success_that_was_under_way_ends_an_outage(store: Store) -> None:
    """A provider that accepts is there."""
    fail(store)
    assert store.breaker.note_submission("job_slow", "job_slow:submit-1", WORKS) == "closed"


def test_a_moment_that_was_reserved_before_is_no_way_past_it(store: Store, clock: ManualClock) -> None:
    """A job that waited for its moment is stopped like all others, and may be the probe like all others."""
    fail(store)
    assert ask(store, "job_early", holds_moment=True).blocked_by == OUTAGE
    clock.advance(5.0)
    assert ask(store, "job_early", holds_moment=True).is_probe


def test_when_it_closes_jobs_go_at_the_ordinary_rate(store: Store, clock: ManualClock) -> None:
    """Five hundred that ask at once each get a moment of their own, the first of them after the probe's."""
    permits = Permits(store.client, store.keys, store.clock, Limits(submit_rate=100.0))
    fail(store)
    clock.advance(5.0)
    assert permits.reserve_submission("job_P").is_probe
    store.breaker.note_submission("job_P", "job_P:submit-2", WORKS)
    moments = [permits.reserve_submission(f"job_{number}").moment for number in range(500)]
    assert moments == pytest.approx([clock.now() + 0.01 * (number + 1) for number in range(500)], abs=1e-3)


def test_a_probe_waits_for_a_slot_like_everyone(store: Store, clock: ManualClock) -> None:
    """The provider is at as many jobs as it may be: nobody probes, and whoever asks when one is done does."""
    permits = Permits(store.client, store.keys, store.clock, Limits(max_in_flight=1))
    fail(store)
    clock.advance(5.0)
    running = place(store, SITUATIONS["rendering"].evolve(id=a_job().id))
    assert permits.reserve_submission("job_P").blocked_by == "in_flight"
    store.client.zrem(store.keys.jobs(running.state), running.id)
    assert permits.reserve_submission("job_P").is_probe


def test_one_worker_asks_every_three_seconds_and_only_in_an_outage(store: Store, clock: ManualClock) -> None:
    """Whoever is first asks; the others, and a breaker that is closed or open for another reason, ask nothing."""
    assert not store.breaker.begin_question()
    store.breaker.note_submission("job_1", "job_1:submit-1", CREDITS)
    assert not store.breaker.begin_question()
    store.client.delete(store.keys.breaker)
    fail(store)
    asked = 0
    for _ in range(60):
        if store.breaker.begin_question():
            assert not store.breaker.begin_question()
            asked += 1
            store.breaker.note_question(is_answered=False)
        clock.advance(1.0)
    assert asked == 60 / QUESTION_SECONDS


def test_a_question_whose_worker_died_is_asked_by_another(store: Store, clock: ManualClock) -> None:
    """Nobody tells its answer: after ten seconds the next worker asks."""
    fail(store)
    assert store.breaker.begin_question()
    clock.advance(QUESTION_LEASE_SECONDS - 0.001)
    assert not store.breaker.begin_question()
    clock.advance(0.001)
    assert store.breaker.begin_question()


def test_an_outage_names_the_next_question_and_an_account_the_next_probe(store: Store, clock: ManualClock) -> None:
    """`until` is when the provider is looked at next, which lies ahead however late it is."""
    fail(store)
    store.breaker.begin_question()
    store.breaker.note_question(is_answered=False)
    assert store.breaker.state().until == clock.now() + QUESTION_SECONDS
    clock.advance(100.0)
    assert store.breaker.state().until == clock.now() + 1.0
    store.breaker.note_submission("job_1", "job_1:submit-1", CREDITS)
    assert store.breaker.state().until == clock.now() + ACCOUNT_PAUSE_SECONDS


def test_polls_need_tell_nothing_while_it_is_closed(store: Store, clock: ManualClock) -> None:
    """Each process looks at it once a second at the most, and says within a second that answers are wanted."""
    assert not store.breaker.wants_answers()
    fail(store)
    assert not store.breaker.wants_answers()
    clock.advance(1.0)
    assert store.breaker.wants_answers()
