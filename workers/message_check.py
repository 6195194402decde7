"""Is this one of our messages? Decided before Celery sees it, because what Celery cannot take may end the worker.

Two looks: at the envelope, as it lies in a Redis list, and at what is in it. A later release may add headers, which
change nothing here; a message with an argument that this one does not know is dropped, and a worker that knows it gets
the job by its due time.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from celery.app.task import Context
from kombu import Message
from kombu.utils.json import loads

from sceneshift.identifiers import is_delivery_id, is_job_id, is_step, is_system_delivery_id
from sceneshift.messages import TASKS
from sceneshift.store.bad_messages import Reason

MESSAGE_MAX_BYTES = 1 << 16
"""A batch of 500 polls, the longest that can be set, is half of it."""
_TEXT_MAX_CHARACTERS = 4096

_IDENTIFIER = re.compile(r"[A-Za-z0-9_.:@-]{1,200}")
"""Ours, a UUID, the name of a queue or of an exchange: nothing that could end a line or a key."""
_IDENTIFIERS = ("root_id", "parent_id")
_REPRESENTATIONS = ("argsrepr", "kwargsrepr")
_FOLLOW_UPS = frozenset({"callbacks", "errbacks", "chain", "chord", "group", "taskset"})
_NOTHING: tuple[Any, ...] = (False, 0, "", [], {}, [None, None])
_ATTRIBUTES = frozenset(dir(Context))
"""Of the request that Celery makes of the headers."""
_USED = frozenset({"task", "id", "ignore_result", *_IDENTIFIERS, *_REPRESENTATIONS})
_TELLING = _ATTRIBUTES - _USED - {"origin"}


def envelope_fault(item: bytes) -> Reason | None:
    """Why kombu could not make a message of this item of a Redis list or channel; None when it can."""
    if len(item) > MESSAGE_MAX_BYTES:
        return Reason.TOO_LARGE
    try:
        # As kombu reads it, whose JSON has types of its own and errors of every kind.
        envelope = loads(item.decode(errors="replace"))
    except Exception:  # noqa: BLE001  # a recursion too deep, a number too long, an odd type: all the same
        return Reason.UNREADABLE
    return None if _is_envelope(envelope) else Reason.ENVELOPE


def _is_envelope(envelope: Any) -> bool:
    if not isinstance(envelope, dict) or not isinstance(envelope.get("headers"), dict):
        return False
    properties = envelope.get("properties")
    if not isinstance(properties, dict) or not _is_identifier(properties.get("delivery_tag")):
        return False
    delivery = properties.get("delivery_info")
    if not isinstance(delivery, dict) or any(
        delivery.get(name) != "" and not _is_identifier(delivery.get(name)) for name in ("exchange", "routing_key")
    ):
        return False
    return _is_body(envelope.get("body"), properties.get("body_encoding"))


def _is_body(body: Any, encoding: Any) -> bool:
    if not isinstance(body, str) or encoding != "base64":
        return False
    try:
        base64.b64decode(body.encode())
    except ValueError:
        return False
    return True


def message_fault(message: Message) -> Reason | None:
    """Why this is none of our task messages; None when it is one."""
    if (message.content_type, message.content_encoding) != ("application/json", "utf-8"):
        return Reason.CONTENT
    if reason := header_fault(message.headers):
        return reason
    try:
        # The message keeps it: Celery does not decode it again to look at it.
        body = message.decode()
    except Exception:  # noqa: BLE001  # an odd type or a recursion too deep: all the same
        return Reason.CONTENT
    return body_fault(message.headers["task"], body)


def header_fault(headers: Mapping[str, Any]) -> Reason | None:
    """What is wrong with the headers of a task message; None when they are as ours.

    Celery makes them attributes of the task's request, so that what would be one of these is let through only when it
    says nothing.
    """
    if headers.get("task") not in TASKS:
        return Reason.UNKNOWN_TASK
    for name, value in headers.items():
        if name in _TELLING and not _says_nothing(value):
            return Reason.FOLLOW_UPS if name in _FOLLOW_UPS else Reason.OPTIONS
    ids = [headers.get("id"), *(headers[name] for name in _IDENTIFIERS if headers.get(name) is not None)]
    texts = [headers[name] for name in _REPRESENTATIONS if headers.get(name) is not None]
    if not all(map(_is_identifier, ids)) or not all(map(_is_short_line, texts)):
        return Reason.OPTIONS
    return None if headers.get("ignore_result") in (None, False, True) else Reason.OPTIONS


def passed_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers that Celery gets: those that were looked at, and texts that mean nothing to it, such as a trace's."""
    return {
        name: value
        for name, value in headers.items()
        if name in _USED or (isinstance(value, str) and name not in _ATTRIBUTES)
    }


def body_fault(task: str, body: Any) -> Reason | None:
    """What is wrong with the decoded body of a task message; None when it is as ours."""
    if not isinstance(body, list) or len(body) != 3:  # noqa: PLR2004  # arguments, keyword arguments, follow-ups
        return Reason.CONTENT
    arguments, keywords, follow_ups = body
    if follow_ups is not None and not (isinstance(follow_ups, dict) and all(map(_says_nothing, follow_ups.values()))):
        return Reason.FOLLOW_UPS
    if follow_ups and follow_ups.keys() & _ATTRIBUTES - _FOLLOW_UPS:
        return Reason.OPTIONS
    if arguments != [] or not isinstance(keywords, dict) or not _are_ours(task.rpartition(".")[2], keywords):
        return Reason.ARGUMENTS
    return None


def _are_ours(kind: str, keywords: Mapping[str, Any]) -> bool:
    if kind == "poll" and "job_ids" in keywords:
        return _is_batch(keywords, "job_ids", is_job_id, kind)
    if kind == "notify" and "delivery_ids" in keywords:
        return _is_batch(keywords, "delivery_ids", is_delivery_id, kind)
    required = {"job_id", "step", *(["delivery_id"] if kind == "notify" else [])}
    if not required <= keywords.keys() <= {*required, "sku"}:
        return False
    about_no_job = keywords["job_id"] == "" and is_system_delivery_id(keywords.get("delivery_id", ""))
    return (
        (about_no_job or is_job_id(keywords["job_id"]))
        and is_step(keywords["step"], kind)
        and is_delivery_id(keywords.get("delivery_id", f"dlv_{keywords['job_id'][4:]}_1"))
        and isinstance(keywords.get("sku", ""), str)
    )


def _is_batch(keywords: Mapping[str, Any], argument: str, is_id: Callable[[str], bool], kind: str) -> bool:
    ids, steps = keywords[argument], keywords.get("steps")
    return (
        keywords.keys() == {argument, "steps"}
        and isinstance(ids, list)
        and isinstance(steps, list)
        and len(ids) == len(steps)
        and all(is_id(each) for each in ids)
        and all(is_step(step, kind) for step in steps)
    )


def _is_identifier(value: Any) -> bool:
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


def _is_short_line(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _TEXT_MAX_CHARACTERS and value.isprintable()


def _says_nothing(value: Any) -> bool:
    """What Celery writes where nothing was asked for."""
    return value is None or value in _NOTHING
