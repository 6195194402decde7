"""The doctor's look at the storage: one small object is put, read, listed, fetched by its link and deleted."""

from __future__ import annotations

import importlib
import time
from typing import Any

from sceneshift.cli import EXIT_FAILED, EXIT_REFUSED, EXIT_UNREACHABLE
from sceneshift.cli.findings import Finding, failure, fine, warning
from sceneshift.settings import PREFIX, Settings

_REFUSED = "correct credentials, bucket and policy (docs/how-to/production.md)"
_AWAY = "start the store, correct the address, and look again"
_EXIT_CODES = {"storage_unavailable": (EXIT_UNREACHABLE, _AWAY), "storage_refused": (EXIT_REFUSED, _REFUSED)}
_SLACK_SECONDS = 60.0


def storage_findings(settings: Settings) -> list[Finding]:
    """What the store does of what results need. It can be opened already, and the service is here."""
    trial = importlib.import_module("storage.trial").try_store(
        importlib.import_module("storage.opening").open_store(settings.storage_url),
        lifetime_seconds=settings.url_lifetime_seconds,
    )
    findings = [*_capability_findings(trial, settings)]
    if trial.failed is not None:
        return [_failed(*trial.failed), *findings]
    return [
        fine("stored object", "one was put, read, listed and deleted"),
        _link_finding(trial, settings, now=time.time()),
        *findings,
    ]


def _failed(what: str, error: Any) -> Finding:
    exit_code, remedy = _EXIT_CODES.get(error.code, (EXIT_FAILED, "use a store that keeps what it is given"))
    return failure("stored object", f"cannot {what} one: {error.message}", remedy, exit_code)


def _link_finding(trial: Any, settings: Settings, *, now: float) -> Finding:
    if trial.link is not None:
        text = f"a plain client that follows one finds {trial.link}"
        return failure("links", text, "make the store's address one that shops and the provider reach, too")
    left_seconds = None if trial.link_expires_at is None else trial.link_expires_at - now
    if left_seconds is not None and left_seconds < settings.url_lifetime_seconds - _SLACK_SECONDS:
        text = f"the credentials are temporary: links end with them, in {left_seconds:.0f} s"
        return warning("links", text, f"use a key of its own, or lower {PREFIX}URL_LIFETIME_SECONDS")
    return fine("links", "a plain client finds the object behind one")


def _capability_findings(trial: Any, settings: Settings) -> list[Finding]:
    """What the server heeds, as far as it could be found out."""
    if trial.capabilities is None:
        return []
    return [_conditions(trial, settings), _checksums(trial)]


def _conditions(trial: Any, settings: Settings) -> Finding:
    what = "write conditions"
    if trial.capabilities.conditional_writes:
        return fine(what, "a name that is taken stays as it is")
    text = "ignored: workers that store one image at the same moment overwrite each other"
    if settings.intent_log == "storage":
        text += f", and {PREFIX}INTENT_LOG=storage cannot keep a job from being paid twice"
        return failure(what, text, "use a store with conditional writes, or the intent log `redis`")
    return warning(what, text, "use a store with conditional writes")


def _checksums(trial: Any) -> Finding:
    what = "write checksums"
    if trial.capabilities.checksums:
        return fine(what, "a damaged body is refused")
    text = "ignored: each object is read back, and may be seen damaged until then"
    return warning(what, text, "use a store that checks SHA-256")
