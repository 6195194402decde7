"""Bad messages: counted by queue and reason, the latest of each kind kept, in bounded space and for a bounded time."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sceneshift.clock import ManualClock
from sceneshift.messages import TASKS
from sceneshift.settings import Settings
from sceneshift.store.bad_messages import KEPT_SECONDS, MEANINGS, BadKind, BadMessage, Reason
from sceneshift.store.connection import SERVICE
from sceneshift.store.opening import Store, open_job_store
from tests.factories import NOW
from workers.embedded.processes import free_port


def a_message(**values: object) -> BadMessage:
    defaults: dict[str, object] = {
        "queue": "sceneshift.submit",
        "reason": Reason.UNREADABLE,
        "size_bytes": 8,
        "beginning": "not json",
    }
    return BadMessage(**{**defaults, **values})  # type: ignore[arg-type]  # a test's changes


def test_the_latest_of_each_kind_is_kept_with_its_count(store: Store, clock: ManualClock) -> None:
    """Queue and reason make a kind; the most frequent comes first, and it is said since when they are counted."""
    assert store.bad_messages.kinds() == ([], None)
    store.bad_messages.note(a_message(queue="sceneshift.poll"))
    for number in range(3):
        clock.advance(10)
        store.bad_messages.note(a_message(beginning=f"number {number}", size_bytes=number))
    kinds, since = store.bad_messages.kinds()
    assert since == NOW
    assert kinds == [
        BadKind(
            queue="sceneshift.submit",
            reason=Reason.UNREADABLE,
            count=3,
            latest_at=NOW + 30,
            size_bytes=2,
            beginning="number 2",
        ),
        BadKind(
            queue="sceneshift.poll",
            reason=Reason.UNREADABLE,
            count=1,
            latest_at=NOW,
            size_bytes=8,
            beginning="not json",
        ),
    ]


def test_a_flood_fills_no_store(store: Store) -> None:
    """However many there are, there is one count and one short text for each queue and reason."""
    for queue in TASKS:
        for reason in Reason:
            for number in range(3):
                text = f"{number} " + "\xe9" * 100_000
                store.bad_messages.note(a_message(queue=queue, reason=reason, beginning=text))
    keys = (store.keys.bad_messages, store.keys.latest_bad_messages)
    assert [store.client.hlen(key) for key in keys] == [len(TASKS) * len(Reason) + 1, len(TASKS) * len(Reason)]
    longest = max(len(text) for text in store.client.hvals(store.keys.latest_bad_messages))
    assert longest < 400


def test_all_of_it_is_forgotten_a_week_after_the_last(store: Store) -> None:
    """Both keys expire together, and a new bad message prolongs both."""
    keys = (store.keys.bad_messages, store.keys.latest_bad_messages)
    store.bad_messages.note(a_message())
    for key in keys:
        store.client.expire(key, 5)
    store.bad_messages.note(a_message(queue="sceneshift.poll"))
    assert all(KEPT_SECONDS - 60 < store.client.ttl(key) <= KEPT_SECONDS for key in keys)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('a\r\n\x1b[2J"forged"\u2028\x00', 'a [2J"forged"'),
        ("photo https://cdn.example/a.png?sig=canary-token x", "photo https://cdn.example/a.png x"),
        ("redis://:secret@h é", "redis://:secret@h \\xe9"),
        ("https://user:canary-token@shop.example/x", "https://shop.example/x"),
    ],
)
def test_what_is_kept_can_be_shown(store: Store, text: str, shown: str) -> None:
    """One line of printable ASCII, without the credentials and queries of web addresses."""
    store.bad_messages.note(a_message(beginning=text))
    assert store.bad_messages.kinds()[0][0].beginning == shown


def test_what_a_later_release_wrote_can_be_read(store: Store) -> None:
    """Another reason, and another field, are shown as far as they are known."""
    store.bad_messages.note(a_message())
    (kind,) = store.client.hkeys(store.keys.latest_bad_messages)
    latest = json.loads(str(store.client.hget(store.keys.latest_bad_messages, str(kind))))
    later = json.dumps({**latest, "reason": "odd", "tenant": "a"})
    store.client.hset(store.keys.latest_bad_messages, str(kind), later)
    assert [kind.reason for kind in store.bad_messages.kinds()[0]] == ["odd"]


def test_nobody_waits_for_a_note() -> None:
    """A worker drops bad messages between good ones: its note is tried once, the time of day included."""
    settings = Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    store = open_job_store(settings, patience=SERVICE)
    with closing(store.client), closing(store.bad_messages._client) as client:
        assert client is not store.client
        assert client.connection_pool.connection_kwargs["retry"]._retries == 0
        with pytest.raises(RedisConnectionError):
            store.bad_messages.note(a_message())


def test_each_reason_has_a_sentence() -> None:
    """So that an operator can be told what it means."""
    assert set(MEANINGS) == set(Reason)
