"""The nets under both looks: what nobody foresaw is dropped where it is raised; a lost broker is not taken for that."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from queue import Empty
from typing import Any

import pytest
from celery.worker.consumer import Consumer
from kombu import Message, compression
from kombu.transport import redis as redis_transport
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

import tasks.services
from sceneshift.settings import Settings
from sceneshift.store.bad_messages import Reason
from sceneshift.store.connection import NOTES
from sceneshift.store.opening import Store, open_job_store
from tests.garbage import NO_FOLLOW_UPS, good_headers, good_keywords
from workers.embedded.processes import ROOT, free_port
from workers.message_guard import GuardedChannel, GuardedConsumer

TASK = "sceneshift.submit"


class Received(Message):
    """A good message, which remembers that it was acknowledged."""

    def __init__(self, **values: Any) -> None:
        super().__init__(
            body="[]",
            content_type="application/json",
            content_encoding="utf-8",
            delivery_info={"exchange": "", "routing_key": TASK},
            headers=good_headers(TASK),
            **values,
        )
        self._decoded_cache = [[], good_keywords(TASK), NO_FOLLOW_UPS]
        self.times_acknowledged = 0

    def ack(self, multiple: bool = False) -> None:  # noqa: ARG002  # kombu's signature
        self.times_acknowledged += 1
        self._state = "ACK"


@pytest.fixture(autouse=True)
def noted_in(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Store:
    """This process's services, with the test's job store."""
    monkeypatch.setattr(tasks.services, "_services", replace(tasks.services.open_services(settings), store=store))
    return store


def a_consumer(monkeypatch: pytest.MonkeyPatch, take: Callable[[Message], None]) -> GuardedConsumer:
    """A consumer whose own way to take a message is this."""
    monkeypatch.setattr(Consumer, "create_task_handler", lambda _self: take)
    consumer = GuardedConsumer.__new__(GuardedConsumer)
    consumer.connection_errors = redis_transport.Transport.connection_errors  # type: ignore[attr-defined]
    return consumer


def reasons(store: Store) -> dict[tuple[str, str], int]:
    return {(kind.queue, kind.reason): kind.count for kind in store.bad_messages.kinds()[0]}


def test_a_good_message_is_taken_with_the_headers_that_were_looked_at(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is left to Celery to acknowledge it."""
    taken: list[Message] = []
    message = Received()
    message.headers["tenant"] = {"a": 1}  # type: ignore[assignment]
    a_consumer(monkeypatch, taken.append).create_task_handler()(message)
    assert taken == [message]
    assert "tenant" not in message.headers
    assert message.times_acknowledged == 0
    assert reasons(store) == {}


def test_what_celery_cannot_take_for_a_reason_that_nobody_foresaw_is_dropped(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, with a traceback in the log, instead of ending the worker and coming back to the next one."""

    def take(_message: Message) -> None:
        raise KeyError("another header")

    message = Received()
    a_consumer(monkeypatch, take).create_task_handler()(message)
    assert message.times_acknowledged == 1
    assert reasons(store) == {(TASK, Reason.UNFORESEEN): 1}
    assert "another header" in caplog.text


def test_a_message_that_was_taken_is_not_acknowledged_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong behind the acknowledgement."""

    def take(message: Message) -> None:
        message.ack()
        raise KeyError("too late")

    message = Received()
    a_consumer(monkeypatch, take).create_task_handler()(message)
    assert message.times_acknowledged == 1
    assert reasons(store) == {(TASK, Reason.UNFORESEEN): 1}


def test_a_lost_broker_is_no_bad_message(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery must hear of it, to connect again; the message is not dropped."""

    def take(_message: Message) -> None:
        raise RedisConnectionError

    message = Received()
    with pytest.raises(RedisConnectionError):
        a_consumer(monkeypatch, take).create_task_handler()(message)
    assert message.times_acknowledged == 0
    assert reasons(store) == {}


def test_a_bad_message_is_dropped_also_when_the_job_store_is_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says why, and that it could not be noted."""
    away = settings.model_copy(update={"redis_url": Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0").redis_url})
    store = open_job_store(away, patience=NOTES)
    monkeypatch.setattr(tasks.services, "_services", replace(tasks.services.current_services(), store=store))
    message = Received()
    message.headers["eta"] = "2101-01-01T00:00:00+00:00"
    caplog.set_level(logging.WARNING)
    a_consumer(monkeypatch, lambda _message: None).create_task_handler()(message)
    assert message.times_acknowledged == 1
    assert [record.message for record in caplog.records] == ["message.dropped", "message.not_noted"]
    store.client.close()


@pytest.mark.parametrize("read", ["_brpop_read", "_receive"])
@pytest.mark.parametrize(
    ("raised", "comes_out", "noted"),
    [
        (KeyError("delivery"), Empty, {("other", Reason.UNFORESEEN): 1}),
        (RecursionError(), Empty, {("other", Reason.UNFORESEEN): 1}),
        (Empty(), Empty, {}),
        (RedisConnectionError(), RedisConnectionError, {}),
        (ResponseError("WRONGTYPE"), ResponseError, {}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_kombu_cannot_read_is_as_if_there_were_none(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    *,
    read: str,
    raised: Exception,
    comes_out: type[Exception],
    noted: dict[tuple[str, Reason], int],
) -> None:
    """`Empty` is what kombu expects when there is nothing; what the broker itself says goes on to Celery."""

    def fails(*_arguments: Any, **_options: Any) -> None:
        raise raised

    monkeypatch.setattr(GuardedChannel.__base__, read, fails)
    with pytest.raises(comes_out):
        getattr(GuardedChannel.__new__(GuardedChannel), read)()
    assert reasons(store) == noted


def test_nothing_is_unpacked_in_a_worker() -> None:
    """Whatever kombu can unpack: a packed message of a few bytes may be as large as the machine's memory."""
    code = (
        "from kombu import compression; from workers import message_guard; message_guard.install()\n"
        "for kind in compression.encoders():\n"
        "    try: compression.decompress(b'', kind)\n"
        "    except Exception as error: print(kind, type(error).__name__)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout.splitlines() == [f"{kind} ContentDisallowed" for kind in compression.encoders()]
