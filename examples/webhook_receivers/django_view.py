"""A Django view: `path("webhooks/sceneshift", sceneshift_webhook)` in `urls.py`."""

from __future__ import annotations

import logging
import os

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from examples.webhook_receivers.shop import record
from sceneshift.webhooks import WebhookVerificationError, verify

log = logging.getLogger(__name__)


@csrf_exempt  # type: ignore[untyped-decorator]  # Django ships no types
@require_POST  # type: ignore[untyped-decorator]  # Django ships no types
def sceneshift_webhook(request: HttpRequest) -> HttpResponse:
    """204 when the event is recorded, 401 when it is not authentic."""
    try:
        event = verify(request.body, request.headers, os.environ["SCENESHIFT_WEBHOOK_SECRET"].split())
    except WebhookVerificationError as error:
        log.warning("webhook refused: %s", error.check)
        return HttpResponse(status=401)
    if record(event):
        log.info("%s %s", event.type, event.id)
    return HttpResponse(status=204)
