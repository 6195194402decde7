"""Drops what is no command of Celery's remote control, counts it, and keeps its beginning.

Remote control is on because Flower asks workers through it what they are at. What is no command would be logged with a
traceback and with what is in it, and makes the worker open its channel anew.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any

from celery.app.control import Control
from kombu import Message
from kombu.pidbox import Mailbox, Node

from sceneshift.store.bad_messages import Reason
from workers.message_guard import CONTROL_QUEUE, note

_PLACE = re.compile(r"[A-Za-z0-9_.:@-]{0,200}")
_CLOCK_MAX = 1 << 62


class GuardedNode(Node):
    """A worker's end of remote control, which hears commands only."""

    def handle_message(self, body: Any, message: Message | None = None) -> None:
        headers = message.headers if message else {}
        if is_command(body, headers.get("clock"), self.handlers or {}):
            super().handle_message(body, message)
        else:
            note(CONTROL_QUEUE, Reason.CONTROL, message.body if message else "")


class GuardedMailbox(Mailbox):
    """Remote control whose workers are guarded."""

    node_cls = GuardedNode


class GuardedControl(Control):
    """What an app has as its `control`."""

    Mailbox = GuardedMailbox


def is_command(body: Any, clock: Any, commands: Container[str]) -> bool:
    """Whether a worker can do something with this body of a message, sent at this logical time."""
    if not isinstance(body, dict) or not isinstance(body.get("method"), str) or body["method"] not in commands:
        return False
    arguments, destination = body.get("arguments"), body.get("destination")
    return (
        (clock is None or (isinstance(clock, int) and 0 <= clock <= _CLOCK_MAX))
        and (arguments is None or isinstance(arguments, dict))
        and (destination is None or _are_texts(destination))
        and _is_pattern(body.get("pattern"), body.get("matcher"))
        and _is_address(body.get("reply_to"))
        and (body.get("ticket") is None or _is_place(body["ticket"]))
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_pattern(pattern: Any, matcher: Any) -> bool:
    """No regular expression: one can be written that is never done."""
    return pattern is None or matcher is None or (isinstance(pattern, str) and matcher == "glob")


def _is_address(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and _is_place(value.get("exchange")) and _is_place(value.get("routing_key"))
    )


def _is_place(value: Any) -> bool:
    return isinstance(value, str) and _PLACE.fullmatch(value) is not None
