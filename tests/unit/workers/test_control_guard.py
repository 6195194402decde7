"""What is a command of remote control: all that Celery's own clients send, and nothing that a worker cannot use."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery
from celery.worker.control import Panel

from sceneshift.store.bad_messages import Reason
from tests.garbage import Garbage, control_garbage
from tests.unit.workers.test_message_check import a_message
from workers.control_guard import is_command
from workers.message_check import envelope_fault

REPLY_TO = {"exchange": "reply.celery.pidbox", "routing_key": "8d0a1c1e-0a0b-3c4d-9e8f-000000000001"}


@pytest.mark.parametrize(
    "body",
    [
        {"method": "ping", "arguments": {}, "destination": None, "pattern": None, "matcher": None},
        {"method": "stats", "arguments": {}, "destination": ["w1@host"], "ticket": "a-b", "reply_to": REPLY_TO},
        {"method": "revoke", "arguments": {"task_id": ["a", "b"], "terminate": False}, "destination": None},
        {"method": "ping", "pattern": "w*@host", "matcher": "glob"},
        {"method": "ping", "something": "of a later release"},
    ],
)
def test_a_command_is_heard(body: dict[str, Any]) -> None:
    """With and without an address for the answer, to all workers or to some."""
    assert is_command(body, 17, Panel.data)
    assert is_command(body, None, Panel.data)


@pytest.mark.parametrize(
    "each", [each for each in control_garbage() if each.reason is Reason.CONTROL], ids=lambda each: str(each.name)
)
def test_what_is_none_is_not(each: Garbage) -> None:
    """Its envelope may be good, and yet a worker can do nothing with it."""
    assert envelope_fault(each.item) is None
    message = a_message(each.item)
    readable = message.content_type == "application/json"
    assert not readable or not is_command(message.decode(), message.headers["clock"], Panel.data)


def test_what_celery_s_client_sends_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Flower sends it: the answer is to go to a queue of the client's own."""
    app = Celery("client", broker="memory://", set_as_current=False)
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr("kombu.messaging.Producer.publish", lambda _self, body, **_options: sent.append(body))
    app.control.inspect(timeout=0.01).active_queues()
    [body] = sent
    assert is_command(json.loads(json.dumps(body)), 1, Panel.data)
