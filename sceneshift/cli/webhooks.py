"""`sceneshift webhooks`: the receiving end on a developer's machine."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import click

from sceneshift.errors import ConfigurationError, WebhookVerificationError
from sceneshift.settings import current_settings
from sceneshift.webhooks import Event, verify
from sceneshift.webhooks.signing import secret_key

BODY_MAX_BYTES = 1_000_000


@click.group("webhooks")
def command() -> None:
    """Receive webhooks while developing."""


@command.command("listen")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=4000, show_default=True, type=click.IntRange(0, 65_535), help="0 takes a free one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document per webhook on standard output.")
def listen(host: str, port: int, *, as_json: bool) -> None:
    """Print each webhook that arrives, after verifying it with SCENESHIFT_WEBHOOK_SECRET."""
    secrets = [secret.get_secret_value() for secret in current_settings().webhook_secret]
    if not secrets:
        raise ConfigurationError("SCENESHIFT_WEBHOOK_SECRET is not set: nothing could be verified")

    for secret in secrets:
        secret_key(secret)

    def show(event: Event | None, error: WebhookVerificationError | None) -> None:
        click.echo(json.dumps(_document(event, error)) if as_json else _line(event, error))

    try:
        opened = webhook_server(host, port, secrets, show)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    with opened as server:
        click.echo(f"listening on http://{host}:{server.server_port}/", err=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def _document(event: Event | None, error: WebhookVerificationError | None) -> dict[str, object]:
    if event is None:
        return {"verified": False, "check": error.check if error else None}
    return {"verified": True, "id": event.id, "type": event.type, "data": event.raw.get("data")}


def _line(event: Event | None, error: WebhookVerificationError | None) -> str:
    if event is None:
        return f"NOT VERIFIED  {error.check if error else ''}"
    data = event.raw.get("data") or {}
    return f"verified  {event.id}  {event.type}  {data.get('job_id', '')}  {data.get('sku') or ''}".rstrip()


Show = Callable[[Event | None, WebhookVerificationError | None], None]


def webhook_server(host: str, port: int, secrets: list[str], show: Show) -> ThreadingHTTPServer:
    """An HTTP server that verifies what is posted to it, shows it, and answers 204 or 401."""

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(204)

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            if not 0 <= length <= BODY_MAX_BYTES:
                self.close_connection = True
                self._answer(413)
                return
            try:
                event = verify(self.rfile.read(length), dict(self.headers.items()), secrets)
            except WebhookVerificationError as error:
                show(None, error)
                self._answer(401)
                return
            show(event, None)
            self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class's name
            """Requests are shown as webhooks, not as access lines."""

    return ThreadingHTTPServer((host, port), Receiver)
