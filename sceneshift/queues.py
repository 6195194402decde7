"""How many messages wait in the broker's queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sceneshift.messages import producer_app

if TYPE_CHECKING:
    from sceneshift.settings import Settings


def waiting_messages(settings: Settings, queue: str) -> int | None:
    """The number of messages that wait in the queue now; None when the broker does not say."""
    from kombu.exceptions import ChannelError  # noqa: PLC0415  # the broker's client is loaded when it is needed

    app = producer_app(settings)
    try:
        with app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
            return length_of(connection.default_channel, queue)
    except ChannelError:
        return 0
    except Exception:  # noqa: BLE001  # whatever a broker's client raises: it does not say
        return None


def length_of(channel: Any, queue: str) -> int:
    """The number of messages that wait in the queue.

    On Redis, kombu 5.7 answers a passive declaration wrongly when keys have a prefix (its EXISTS goes without it), so
    its virtual channels are asked for the size itself.

    Raises:
        ChannelError: there is no such queue.
    """
    if hasattr(channel, "_size"):
        return int(channel._size(queue))  # noqa: SLF001  # what every virtual transport of kombu implements
    return int(channel.queue_declare(queue, passive=True).message_count)
