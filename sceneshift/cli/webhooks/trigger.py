"""`sceneshift webhooks trigger`: a made-up event, signed like a real one, for an endpoint that is being written."""

from __future__ import annotations

import json
import secrets as random
import shlex
import time
from pathlib import Path
from typing import Any

import click

from sceneshift.cli.output import print_json
from sceneshift.cli.webhooks.keys import secrets_of
from sceneshift.errors import InvalidRequestError
from sceneshift.jobs.attempts import excerpt
from sceneshift.jobs.order import check_webhook_url
from sceneshift.settings import current_settings
from sceneshift.webhooks import event_payload, sign
from sceneshift.webhooks.samples import SAMPLE_TYPES, sample_data

EXIT_NOT_TAKEN = 1
SUCCESS = range(200, 300)


@click.command("trigger")
@click.argument("type_", metavar="TYPE", type=click.Choice(SAMPLE_TYPES))
@click.option("--to", "url", help="Where to send it; without it, the signed request is printed as a curl command.")
@click.option(
    "--override", "overrides", multiple=True, metavar="NAME=VALUE", help="Replace a field, such as data.sku=CHAIR-7."
)
@click.option("--id", "webhook_id", help="The webhook-id, to send a duplicate of an earlier one.")
@click.option("--secret-file", type=click.Path(path_type=Path), help="Secrets, instead of SCENESHIFT_WEBHOOK_SECRET.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def trigger(
    *,
    type_: str,
    url: str | None,
    overrides: tuple[str, ...],
    webhook_id: str | None,
    secret_file: Path | None,
    as_json: bool,
) -> int:
    """Send a made-up event of this TYPE, signed like a real one. No job is behind it."""
    secrets = secrets_of(secret_file)
    now = time.time()
    body = overridden(event_payload(type_, occurred_at=now, data=sample_data(type_, occurred_at=now)), overrides)
    try:
        signed = sign(
            body, webhook_id=webhook_id or f"evt_sample_{random.token_hex(8)}", timestamp=int(now), secrets=secrets
        )
    except ValueError as error:
        raise InvalidRequestError(str(error), param="id") from None
    headers = {"content-type": "application/json", **signed}
    if url is not None:
        return _send(url, body, headers, as_json=as_json)
    if as_json:
        print_json({"headers": headers, "body": body.decode()})
    else:
        click.echo(_curl(body, headers))
    return 0


def overridden(body: bytes, overrides: tuple[str, ...]) -> bytes:
    """The body with these fields replaced: `data.sku=CHAIR-7`, `data.outputs.0.width=512`, `data.error=null`.

    A value that is JSON is taken as such, and any other as text.

    Raises:
        InvalidRequestError: a name leads nowhere.
    """
    document = json.loads(body)
    for text in overrides:
        path, is_there, value = text.partition("=")
        *way, name = path.split(".")
        if not is_there or not all((*way, name)):
            raise InvalidRequestError(f"--override {text!r}: give it as data.sku=CHAIR-7", param="override")
        try:
            place = document
            for each in way:
                place = place[_step(place, each)]
            place[_step(place, name)] = _value(value)
        except (KeyError, IndexError, TypeError, ValueError):
            raise InvalidRequestError(
                f"--override {path}: there is no such place in the event", param="override"
            ) from None
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def _step(place: Any, name: str) -> str | int:
    return int(name) if isinstance(place, list) else name


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _curl(body: bytes, headers: dict[str, str]) -> str:
    parts = [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    return " \\\n  ".join(["curl -i URL", *parts, f"--data-binary {shlex.quote(body.decode())}"])


def _send(url: str, body: bytes, headers: dict[str, str], *, as_json: bool) -> int:
    """The answer, printed. It goes the way that a worker's webhooks go, with the same addresses refused."""
    try:
        from sceneshift.guarded_http import GuardedClient  # noqa: PLC0415  # a shop's environment may be without it
    except ImportError as error:
        raise click.UsageError(f"--to needs the package {error.name}: pip install 'sceneshift[service]'") from None
    settings = current_settings()
    check_webhook_url(url, settings.allow_hosts, "to")
    client = GuardedClient(allow_hosts=settings.allow_hosts)
    try:
        answer = client.post(url, body, headers, timeout_seconds=settings.webhook_timeout_seconds)
    finally:
        client.close()
    milliseconds, said = int(answer.elapsed_seconds * 1000), excerpt(answer.body)
    if as_json:
        document = {"id": headers["webhook-id"], "status": answer.status, "latency_ms": milliseconds, "answer": said}
        print_json(document)
    else:
        click.echo(f"{answer.status} after {milliseconds} ms  {headers['webhook-id']}  {said}".rstrip())
    return 0 if answer.status in SUCCESS else EXIT_NOT_TAKEN
