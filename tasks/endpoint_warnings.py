"""What is told when an endpoint has been failing for long: each threshold once, also when a worker dies over it."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from sceneshift.jobs.lanes import WARN_AT_PERCENT, EndpointWarning
from sceneshift.jobs.system_events import listeners, warning_event
from tasks.services import Services

log = logging.getLogger(__name__)


def announce(services: Services, warning: EndpointWarning) -> None:
    """The operators have been told: in the log, and by an event at each other named endpoint that takes it.

    It is a warning, and an error when the endpoint is disabled.

    Of a URL the log has the host alone: a path may be as good as a password.
    """
    disabled = warning.percent >= WARN_AT_PERCENT[-1]
    log.log(
        logging.ERROR if disabled else logging.WARNING,
        "webhook.endpoint_disabled" if disabled else "webhook.endpoint_failing",
        extra={
            "lane_id": warning.lane_id,
            "endpoint": warning.name or urlsplit(warning.url).hostname,
            "percent": warning.percent,
            "failing_since": warning.failing_since,
            "disables_at": warning.disables_at,
            "last_status": warning.last_status,
            "reason": warning.reason,
        },
    )
    event = warning_event(warning, services.store.clock.now())
    for endpoint in listeners(services.store.endpoints.read(), event, about=warning.lane_id):
        services.store.deliveries.tell(event, endpoint.id)
    services.store.lanes.note_warning(warning)
