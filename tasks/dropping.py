"""What is said of a message that was dropped: a line of the log, and a note in the job store for people."""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from sceneshift.store.bad_messages import BadMessage
from tasks.services import Services

log = logging.getLogger(__name__)


def note_dropped(services: Services, message: BadMessage, **about: str) -> None:
    """The log has why the message was dropped, and nothing that came with it; the job store has both, when it is there.

    `about` goes to the log: it must not be a stranger's text.
    """
    fields = {"queue": message.queue, "reason": str(message.reason), "size_bytes": message.size_bytes}
    log.warning("message.dropped", extra={**fields, **about})
    try:
        services.store.bad_messages.note(message)
    except RedisError as error:
        log.warning("message.not_noted", extra={"error": type(error).__name__})
