"""A FastAPI app: `uvicorn examples.webhook_receivers.fastapi_app:app`."""

from __future__ import annotations

import logging
import os

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from examples.webhook_receivers.shop import record
from sceneshift.webhooks import WebhookVerificationError, verify

app = FastAPI()
log = logging.getLogger(__name__)


@app.post("/webhooks/sceneshift")
async def sceneshift_webhook(request: Request) -> Response:
    """204 when the event is recorded, 401 when it is not authentic."""
    body = await request.body()
    try:
        event = verify(body, request.headers, os.environ["SCENESHIFT_WEBHOOK_SECRET"].split())
    except WebhookVerificationError as error:
        log.warning("webhook refused: %s", error.check)
        return Response(status_code=401)
    if await run_in_threadpool(record, event):
        log.info("%s %s", event.type, event.id)
    return Response(status_code=204)
