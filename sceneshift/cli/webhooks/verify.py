"""`sceneshift webhooks verify`: a webhook that was kept in files, and every reason why it is believed or not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import BinaryIO

import click

from sceneshift.cli.moments import Moment, MomentType
from sceneshift.cli.output import print_json
from sceneshift.cli.webhooks.keys import secrets_of
from sceneshift.errors import InvalidRequestError
from sceneshift.webhooks.explaining import Explanation, explain

EXIT_NOT_AUTHENTIC = 1


@click.command("verify")
@click.option(
    "--body", type=click.File("rb"), default="-", help="The raw body, byte for byte; standard input unless given."
)
@click.option(
    "--headers",
    "headers_file",
    type=click.Path(path_type=Path),
    help="A JSON object, or lines such as `webhook-id: evt_…`.",
)
@click.option("--header", "lines", multiple=True, metavar="LINE", help="One header, such as 'webhook-id: evt_…'.")
@click.option("--secret-file", type=click.Path(path_type=Path), help="Secrets, instead of SCENESHIFT_WEBHOOK_SECRET.")
@click.option("--public-key", "public_keys", multiple=True, metavar="whpk_…", help="A public key, instead of secrets.")
@click.option("--at", type=MomentType(), help="When it arrived, instead of now.")
@click.option(
    "--tolerance",
    "tolerance_seconds",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    help="So many seconds old or early it may be.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def verify(
    *,
    body: BinaryIO,
    headers_file: Path | None,
    lines: tuple[str, ...],
    secret_file: Path | None,
    public_keys: tuple[str, ...],
    at: Moment | None,
    tolerance_seconds: float,
    as_json: bool,
) -> int:
    """Explain why a webhook is believed or not: each check, also after one has failed."""
    keys = [*public_keys, *(secrets_of(secret_file) if secret_file or not public_keys else [])]
    headers = {**_headers_of(headers_file), **_headers_from("\n".join(lines))}
    now = time.time()
    explanation = explain(
        body.read(), headers, keys, now=at.seconds(now) if at else now, tolerance_seconds=tolerance_seconds
    )
    if as_json:
        print_json(_document(explanation))
    else:
        _print(explanation)
    return 0 if explanation.event else EXIT_NOT_AUTHENTIC


def _headers_of(file: Path | None) -> dict[str, str]:
    if file is None:
        return {}
    try:
        return _headers_from(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise InvalidRequestError(f"{file} cannot be read ({type(error).__name__})", param="headers") from None


def _headers_from(text: str) -> dict[str, str]:
    """The headers in this text: a JSON object, or one to a line; a request line and the like are left out."""
    try:
        document = json.loads(text)
    except ValueError:
        pairs = (line.partition(":") for line in text.splitlines())
        return {
            name.strip().lower(): value.strip() for name, colon, value in pairs if colon and " " not in name.strip()
        }
    if not isinstance(document, dict):
        raise InvalidRequestError(
            "the headers are neither a JSON object nor lines such as webhook-id: …", param="headers"
        )
    return {str(name).lower(): str(value) for name, value in document.items()}


def _document(explanation: Explanation) -> dict[str, object]:
    event = explanation.event
    return {
        "authentic": event is not None,
        "failed": list(explanation.failed),
        "findings": [
            {"subject": each.subject, "passed": each.passed, "check": each.check, "text": each.text}
            for each in explanation.findings
        ],
        "event": None if event is None else {"id": event.id, "type": event.type},
    }


def _print(explanation: Explanation) -> None:
    for finding in explanation.findings:
        click.echo(f"{'ok' if finding.passed else 'FAILED':<8}{finding.subject:<11}{finding.text}")
    failed = explanation.failed
    click.echo(f"\nnot to be believed: {', '.join(failed)}" if failed else "\nauthentic")
