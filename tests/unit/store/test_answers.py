"""Odd answers: a job's unreadable ones, and how often each came, in bounded space and without patience."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sceneshift.provider.protocol import Endpoint, NotedAnswer
from sceneshift.settings import Settings
from sceneshift.store.answers import DISTINCT_MAX, KEPT_MAX
from sceneshift.store.connection import NOTES, SERVICE
from sceneshift.store.opening import Store, open_job_store
from tests.factories import a_job
from workers.embedded.processes import free_port


def an_answer(number: int = 0, **values: object) -> NotedAnswer:
    defaults: dict[str, object] = {
        "endpoint": Endpoint.QUERY,
        "http_status": 400,
        "code": "23500008",
        "message": f"No record {number} “here”",
    }
    return NotedAnswer(**{**defaults, **values})  # type: ignore[arg-type]  # a test's changes


def test_the_latest_unreadable_answer_is_kept(store: Store) -> None:
    """Line by line as it was given; before there is one there is none, and another job has its own."""
    job, other = a_job(), a_job()
    assert store.answers.kept(job.id) is None
    store.answers.keep(job.id, "first")
    store.answers.keep(job.id, "<html>\n  é\n</html>")
    assert store.answers.kept(job.id) == "<html>\n  é\n</html>"
    assert store.answers.kept(other.id) is None


def test_an_unreadable_answer_is_kept_as_long_as_a_finished_job(store: Store, settings: Settings) -> None:
    """It expires by itself."""
    store.answers.keep("job_X", "text")
    left_milliseconds = store.client.pttl(store.keys.answer("job_X"))
    assert settings.job_retention_seconds * 1000 - 60_000 < left_milliseconds <= settings.job_retention_seconds * 1000


def test_a_query_s_answer_takes_no_other_s_place(store: Store) -> None:
    """P3: a submission's, which may hold the paid key, stays and is shown; of a query's, the first stays."""
    store.answers.keep("job_X", "first page", Endpoint.QUERY)
    store.answers.keep("job_X", "second page", Endpoint.QUERY)
    assert store.answers.kept("job_X") == "first page"
    store.answers.keep("job_X", "key 6c8d")
    store.answers.keep("job_X", "third page", Endpoint.QUERY)
    assert store.answers.kept("job_X") == "key 6c8d"


def test_a_query_s_answer_is_kept_for_a_day_from_its_first(store: Store) -> None:
    """Polling does not write it again, nor prolong it."""
    store.answers.keep("job_X", "page", Endpoint.QUERY)
    key = store.keys.answer("job_X", Endpoint.QUERY)
    assert 86_340_000 < store.client.pttl(key) <= 86_400_000
    store.client.pexpire(key, 5_000)
    store.answers.keep("job_X", "page", Endpoint.QUERY)
    assert store.client.pttl(key) <= 5_000


def texts_kept(store: Store) -> int:
    return len(list(store.client.scan_iter("*:answer*", count=10_000)))


def test_no_more_than_five_hundred_submissions_answers_are_kept(store: Store) -> None:
    """A provider that breaks for a whole night fills no store: the newest are kept, whoever was there before."""
    for number in range(KEPT_MAX + 3):
        store.answers.keep(f"job_{number}", f"text {number}")
    assert texts_kept(store) == KEPT_MAX == 500
    assert [store.answers.kept(f"job_{number}") for number in (0, 2, 3, KEPT_MAX + 2)] == [
        None,
        None,
        "text 3",
        f"text {KEPT_MAX + 2}",
    ]
    store.answers.keep("job_3", "again")
    store.answers.keep("job_new", "new")
    assert (store.answers.kept("job_3"), store.answers.kept("job_4")) == ("again", None)


def test_no_more_than_five_hundred_queries_answers_are_kept(store: Store) -> None:
    """The first ones: jobs that are asked about over and over do not drive each other out."""
    for number in range(KEPT_MAX + 3):
        store.answers.keep(f"job_{number}", "page", Endpoint.QUERY)
    assert texts_kept(store) == KEPT_MAX
    assert store.answers.kept("job_0") == "page"
    assert store.answers.kept(f"job_{KEPT_MAX}") is None
    store.answers.keep("job_S", "submission")
    assert store.answers.kept("job_S") == "submission"


def test_answers_that_have_expired_make_room(store: Store) -> None:
    """A day later others are kept, and when nothing is left of them, nothing is left of their list."""
    for number in range(KEPT_MAX):
        store.answers.keep(f"job_{number}", "page", Endpoint.QUERY)
    index = store.keys.kept_answers(Endpoint.QUERY)
    assert 0 < store.client.ttl(index) <= 86_400
    for member in store.client.zrange(index, 0, -1):
        store.client.zincrby(index, -86_401e6, str(member))
    store.answers.keep("job_new", "page", Endpoint.QUERY)
    assert store.answers.kept("job_new") == "page"
    assert store.client.zcard(index) == 1


def test_answers_are_counted_by_all_their_parts(store: Store) -> None:
    """Endpoint, status, code and message tell answers apart, the first is news, and the most frequent comes first."""
    others = [
        an_answer(endpoint=Endpoint.SUBMIT),
        an_answer(http_status=403),
        an_answer(code=""),
        an_answer(message=""),
    ]
    assert [store.answers.count(answer) for answer in [*others, an_answer()]] == [True] * 5
    assert [store.answers.count(an_answer()) for _ in range(2)] == [False, False]
    counts, more = store.answers.counts()
    assert counts == {an_answer(): 3, **dict.fromkeys(others, 1)}
    assert (next(iter(counts)), more) == (an_answer(), 0)


def test_no_more_than_two_hundred_answers_are_told_apart(store: Store) -> None:
    """A provider that writes an id into its messages fills no store: all beyond are one count, and no news."""
    assert [store.answers.count(an_answer(number)) for number in range(DISTINCT_MAX + 7)].count(True) == DISTINCT_MAX
    assert store.answers.count(an_answer(DISTINCT_MAX + 1)) is False
    assert store.answers.count(an_answer(3)) is False
    counts, more = store.answers.counts()
    assert (len(counts), counts[an_answer(3)], more) == (DISTINCT_MAX, 2, 8)
    assert store.client.hlen(store.keys.provider_answers) == DISTINCT_MAX + 1 == 201


def test_many_workers_lose_no_count(store: Store) -> None:
    """One of them hears that the answer is new."""
    news: list[bool] = []

    def work() -> None:
        news.extend(store.answers.count(an_answer()) for _ in range(25))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (news.count(True), len(news)) == (1, 200)
    assert store.answers.counts() == ({an_answer(): 200}, 0)


def test_nobody_waits_for_a_note() -> None:
    """In a worker, whose store has the patience of half a minute, a note is tried once."""
    settings = Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    store = open_job_store(settings, patience=SERVICE)
    with closing(store.client), closing(store.answers._client) as client:
        options = client.connection_pool.connection_kwargs
        assert (options["socket_timeout"], options["retry"]._retries) == (NOTES.timeout_seconds, 0) == (1.0, 0)
        assert store.client.connection_pool.connection_kwargs["retry"]._retries == SERVICE.retries
        with pytest.raises(RedisConnectionError):
            store.answers.count(an_answer())
