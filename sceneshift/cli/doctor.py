"""`sceneshift doctor`: is this deployment set up so that it works, and so that it loses nothing?"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from typing import Any

import click

from sceneshift.cli import EXIT_USAGE
from sceneshift.cli.findings import Finding, exit_code_of, failure, fine, warning
from sceneshift.cli.output import print_json, print_table
from sceneshift.errors import ConfigurationError
from sceneshift.provider.protocol import NotedAnswer
from sceneshift.settings import PREFIX, Settings, current_settings

NOTICE = (
    "one query is sent, about a key that cannot exist: it starts no rendering. "
    "Whether the provider charges for queries is not known."
)


@click.command("doctor")
@click.option("--provider", "ask_provider", is_flag=True, help="Ask the provider one question instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(*, ask_provider: bool, as_json: bool) -> None:
    """Check the settings of a worker, the job store and the broker; or, with --provider, the provider.

    Each line says ok, warn or fail, what was looked at, what was found, and what to do about it.
    """
    try:
        settings = current_settings()
    except ConfigurationError as error:
        remedy = "correct the variable (docs/reference/settings.md)"
        _report([failure("settings", error.message, remedy, EXIT_USAGE)], {}, as_json=as_json)
        return
    if ask_provider:
        findings, more = _ask_provider(settings)
    else:
        # Redis and Celery are loaded by the commands that need them.
        from sceneshift.cli.doctor_messages import bad_messages  # noqa: PLC0415
        from sceneshift.cli.doctor_settings import CAN_BE_OPENED, worker_findings  # noqa: PLC0415
        from sceneshift.cli.doctor_storage import storage_findings  # noqa: PLC0415
        from sceneshift.cli.doctor_store import broker_finding, store_findings  # noqa: PLC0415

        about_messages, dropped = bad_messages(settings)
        findings = worker_findings(settings)
        if any((each.what, each.finding) == ("storage", CAN_BE_OPENED) for each in findings):
            findings += storage_findings(settings)
        findings += [*store_findings(settings), broker_finding(settings), *about_messages]
        more = {"bad_messages": dropped}
    from sceneshift.cli.shown_settings import shown_settings  # noqa: PLC0415

    shown = shown_settings(settings)
    document = {"settings": shown, **more}
    _report([_settings_finding(settings, shown), *findings], document, as_json=as_json)


def _report(findings: list[Finding], more: Mapping[str, Any], *, as_json: bool) -> None:
    exit_code = exit_code_of(findings)
    if as_json:
        checks = [{name: value for name, value in asdict(each).items() if name != "exit_code"} for each in findings]
        print_json({"checks": checks, **more, "exit_code": exit_code})
    else:
        for each in findings:
            remedy = f"  -> {each.remedy}" if each.remedy else ""
            click.echo(f"{each.level:<4}  {each.what:<16}  {each.finding}{remedy}")
        if answers := more.get("answers"):
            click.echo()
            print_table([tuple(each.values()) for each in answers], ("COUNT", "CALL", "STATUS", "CODE", "MESSAGE"))
        if dropped := more.get("bad_messages"):
            from sceneshift.cli.doctor_messages import print_messages  # noqa: PLC0415

            click.echo()
            print_messages(dropped)
    raise click.exceptions.Exit(exit_code)


def _settings_finding(settings: Settings, shown: Mapping[str, str]) -> Finding:
    given = ", ".join(f"{PREFIX}{name.upper()}={shown[name]}" for name in shown if name in settings.model_fields_set)
    return fine("settings", f"{len(settings.model_fields_set)} of {len(shown)} are set{': ' if given else ''}{given}")


def _ask_provider(settings: Settings) -> tuple[list[Finding], dict[str, Any]]:
    """What one query shows, and what was counted of earlier answers."""
    from sceneshift.cli.doctor_provider import provider_findings, reading_finding  # noqa: PLC0415
    from sceneshift.provider.answer import Answer  # noqa: PLC0415
    from sceneshift.provider.outcomes import query_outcome  # noqa: PLC0415

    try:
        # The HTTP library comes with an extra that the other checks must not need.
        from sceneshift.provider.bg_rep import BgRepProvider  # noqa: PLC0415
    except ImportError as error:
        raise click.ClickException(f"{error.name} is missing: pip install 'sceneshift[service]'") from None

    key = secrets.token_hex(16)
    try:
        provider = BgRepProvider.from_settings(settings)
    except ConfigurationError as error:
        return [failure("provider", error.message, "set what a worker needs too", EXIT_USAGE)], {}
    click.echo(NOTICE, err=True)
    with provider:
        began = time.monotonic()
        reply = provider.ask(key)
        latency_seconds = time.monotonic() - began
    findings = provider_findings(reply, latency_seconds=latency_seconds, now=time.time())
    noted = query_outcome(reply, key).noted if isinstance(reply, Answer) else None
    counts, counting = _counted(settings, noted)
    document = {"answers": [{"count": count, **asdict(answer)} for answer, count in counts.items()]}
    return [*findings, counting, reading_finding(counts)], document


def _counted(settings: Settings, noted: NotedAnswer | None) -> tuple[dict[NotedAnswer, int], Finding]:
    """The answers that this deployment has counted, this one included; this one alone when the job store is away."""
    from sceneshift.cli.shown_settings import described  # noqa: PLC0415
    from sceneshift.store.answers import AnswerStore  # noqa: PLC0415
    from sceneshift.store.connection import NOTES, connect  # noqa: PLC0415
    from sceneshift.store.keys import Keys  # noqa: PLC0415

    own, url = {noted: 1} if noted else {}, settings.redis_url.get_secret_value()
    try:
        with closing(connect(url, NOTES)) as client:
            answers = AnswerStore(client, Keys(settings.key_prefix), retention_seconds=settings.job_retention_seconds)
            if noted:
                answers.count(noted)
            counts, others = answers.counts()
    except Exception as error:  # noqa: BLE001  # the answer is worth telling, whatever is wrong with the store
        text = f"the job store is away ({described(error, 'redis_url', url)}): only this answer is known"
        return own, warning("counted answers", text, "start the job store, and look again")
    text = f"{sum(counts.values())} in all, of {len(counts)} kinds"
    # Among too many different ones it may have been counted with the others.
    return counts | {each: 1 for each in own if each not in counts}, fine(
        "counted answers", f"{text}, and {others} more" if others else text
    )
