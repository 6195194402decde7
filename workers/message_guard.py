"""Drops what is none of our messages before Celery or kombu takes it, counts it, and keeps its beginning.

With kombu 5.7.0 and Celery 5.7.0 an item of a queue that is no JSON ends the worker. An envelope or a task message
without its parts does so too, or is taken for a lost connection, and comes back for ever. Other bad messages are logged
with all that is in them. One that has expired makes the worker refuse its task's id for hours, and a packed one is
unpacked, whatever its size.

So each message is looked at twice: as an item of a Redis list or channel, and as a message, whatever the broker is.
What neither look foresees is dropped where it was raised. Nothing is lost with a dropped message that was meant for a
job: the due index brings the job back.

`tests/integration/test_bad_messages.py` fails without this.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any, NoReturn

from celery.worker.consumer import Consumer
from kombu import Message, compression
from kombu.exceptions import ContentDisallowed
from kombu.transport import redis as redis_transport

from sceneshift.messages import TASKS
from sceneshift.store.bad_messages import BEGINNING_CHARACTERS, BadMessage, Reason
from tasks.dropping import note_dropped
from tasks.services import current_services
from workers.message_check import envelope_fault, message_fault, passed_headers

log = logging.getLogger(__name__)

CONTROL_QUEUE = "control"
"""In place of a queue: what was sent to all workers at once."""
ELSEWHERE = "other"


class GuardedConsumer(Consumer):
    """Celery's consumer, which gets our own messages only."""

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Message], None]:
        take = super().create_task_handler(*arguments, **options)

        def on_message(message: Message) -> None:
            if reason := message_fault(message):
                self._drop(message, reason)
                return
            message.headers = passed_headers(message.headers)
            try:
                take(message)
            except Exception as error:
                if _is_of_the_broker(error, self.connection_errors):  # type: ignore[attr-defined]
                    raise
                log.exception("message.not_taken")
                self._drop(message, Reason.UNFORESEEN)

        return on_message

    def on_decode_error(self, message: Message, exc: Exception) -> None:  # noqa: ARG002  # Celery's signature
        """The message is dropped: what is in it cannot be had."""
        self._drop(message, Reason.CONTROL if _queue_of(message) == CONTROL_QUEUE else Reason.CONTENT)

    def _drop(self, message: Message, reason: Reason) -> None:
        task = message.headers.get("task")
        note(_queue_of(message), reason, message.body, task=task if isinstance(task, str) else "")
        if not message.acknowledged:
            message.ack_log_error(log, self.connection_errors)  # type: ignore[attr-defined]


class GuardedChannel(redis_transport.Channel):
    """Kombu's channel to Redis, to which items that are no envelopes are as if there were none."""

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous)  # type: ignore[misc]  # its stubs leave these out
        if asynchronous:
            client.set_response_callback("BRPOP", _only_envelopes)
        return client

    def _handle_message(self, client: Any, response: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._handle_message(client, response)  # type: ignore[misc]
        data = payload["data"]
        if isinstance(data, bytes) and (reason := envelope_fault(data)):
            note(CONTROL_QUEUE, reason, data)
            return {**payload, "data": None}
        return payload

    def _brpop_read(self, **options: Any) -> Any:
        with self._dropping():
            return super()._brpop_read(**options)  # type: ignore[misc]

    def _receive(self) -> Any:
        with self._dropping():
            return super()._receive()  # type: ignore[misc]

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        """A message that could not be taken after all is as if there were none."""
        try:
            yield
        except Empty:
            raise
        except Exception as error:
            transport = redis_transport.Transport
            if _is_of_the_broker(error, (*transport.connection_errors, *transport.channel_errors)):
                raise
            log.exception("message.not_taken")
            note(ELSEWHERE, Reason.UNFORESEEN, b"")
            raise Empty from None


def _only_envelopes(answer: Any, **_options: Any) -> Any:
    """The answer to a BRPOP, or None as if its time had passed."""
    if answer and (reason := envelope_fault(answer[1])):
        name = answer[0].decode(errors="replace")
        note(next((task for task in TASKS if task in name), ELSEWHERE), reason, answer[1])
        return None
    return answer


def _is_of_the_broker(error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
    """Whether it says something of the broker. Kombu counts `KeyError` as a lost connection, which it never is here."""
    return isinstance(error, kinds) and not isinstance(error, KeyError)


def _queue_of(message: Message) -> str:
    delivery = message.delivery_info
    if str(delivery.get("exchange")).endswith("pidbox"):
        return CONTROL_QUEUE
    return next((task for task in TASKS if task == delivery.get("routing_key")), ELSEWHERE)


def note(queue: str, reason: Reason, body: Any, *, task: str = "") -> None:
    """A message of this task, or of none, was dropped: it is logged and counted, and its beginning is kept."""
    content = body.encode(errors="replace") if isinstance(body, str) else bytes(body or b"")
    beginning = f"{task[:BEGINNING_CHARACTERS]} {content[: 10 * BEGINNING_CHARACTERS].decode(errors='replace')}"
    message = BadMessage(queue=queue, reason=reason, size_bytes=len(content), beginning=beginning)
    note_dropped(current_services(), message)


def _refuse(*_arguments: Any) -> NoReturn:
    raise ContentDisallowed("no message of ours is packed")


def install() -> None:
    """Channels that are opened from now on are guarded, and nothing is unpacked."""
    redis_transport.Transport.Channel = GuardedChannel
    for kind in compression.encoders():
        compression.register(_refuse, _refuse, kind)
