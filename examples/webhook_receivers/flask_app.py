"""A Flask app: `flask --app examples.webhook_receivers.flask_app run`."""

from __future__ import annotations

import os

from flask import Flask, request

from examples.webhook_receivers.shop import record
from sceneshift.webhooks import WebhookVerificationError, verify

app = Flask(__name__)


@app.post("/webhooks/sceneshift")
def sceneshift_webhook() -> tuple[str, int]:
    """204 when the event is recorded, 401 when it is not authentic."""
    try:
        event = verify(request.get_data(), request.headers, os.environ["SCENESHIFT_WEBHOOK_SECRET"].split())
    except WebhookVerificationError as error:
        app.logger.warning("webhook refused: %s", error.check)
        return "", 401
    if record(event):
        app.logger.info("%s %s", event.type, event.id)
    return "", 204
