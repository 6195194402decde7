"""`sceneshift webhooks listen`: the receiving end on a developer's machine."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click

from sceneshift.cli.webhooks.forwarding import Forward, forward_to, is_wanted
from sceneshift.cli.webhooks.keys import secrets_of
from sceneshift.errors import WebhookVerificationError
from sceneshift.jobs.endpoints import checked_events
from sceneshift.webhooks import Event, verify

BODY_MAX_BYTES = 1_000_000
RECEIVED = 204


@click.command("listen")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=4000, show_default=True, type=click.IntRange(0, 65_535), help="0 takes a free one.")
@click.option("--forward-to", "url", help="Pass each verified webhook on to this URL, and answer what it answers.")
@click.option(
    "--events", "patterns", multiple=True, metavar="TYPE", help="Only these types, such as job.completed or 'job.*'."
)
@click.option("--secret-file", type=click.Path(path_type=Path), help="Secrets, instead of SCENESHIFT_WEBHOOK_SECRET.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document per webhook on standard output.")
def listen(
    host: str, port: int, *, url: str | None, patterns: tuple[str, ...], secret_file: Path | None, as_json: bool
) -> None:
    """Print each webhook that arrives, after verifying it with SCENESHIFT_WEBHOOK_SECRET."""
    secrets = secrets_of(secret_file)
    checked_events(patterns)
    forward = forward_to(url) if url else None

    def show(event: Event | None, error: WebhookVerificationError | None) -> None:
        if event is None or is_wanted(event.type, patterns):
            click.echo(json.dumps(_document(event, error)) if as_json else _line(event, error))

    def pass_on(event: Event, body: bytes, headers: Mapping[str, str]) -> int:
        return forward(event, body, headers) if forward and is_wanted(event.type, patterns) else RECEIVED

    try:
        opened = webhook_server(host, port, secrets, show, pass_on)
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


def webhook_server(
    host: str, port: int, secrets: list[str], show: Show, pass_on: Forward | None = None
) -> ThreadingHTTPServer:
    """An HTTP server that verifies what is posted to it and shows it; it answers 401, or what passing it on gives."""

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(RECEIVED)

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            if not 0 <= length <= BODY_MAX_BYTES:
                self.close_connection = True
                self._answer(413)
                return
            body, headers = self.rfile.read(length), dict(self.headers.items())
            try:
                event = verify(body, headers, secrets)
            except WebhookVerificationError as error:
                show(None, error)
                self._answer(401)
                return
            show(event, None)
            self._answer(pass_on(event, body, headers) if pass_on else RECEIVED)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class's name
            """Requests are shown as webhooks, not as access lines."""

    return ThreadingHTTPServer((host, port), Receiver)
