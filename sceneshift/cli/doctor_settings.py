"""The doctor's look at what a worker needs from its settings: without a failure here, it starts.

The service is there in a checkout and its image only. The library alone, in a shop's process, needs none of this, and
hears of it as a warning.
"""

from __future__ import annotations

import importlib

from sceneshift.cli import EXIT_FAILED, EXIT_USAGE
from sceneshift.cli.findings import Finding, failure, fine, warning
from sceneshift.cli.shown_settings import MASKED, shown_url
from sceneshift.errors import ConfigurationError, SceneshiftError
from sceneshift.service import OpenStore, service_store
from sceneshift.settings import PREFIX, Settings
from sceneshift.url_rules import canonical_hosts
from sceneshift.webhooks.signing import secret_key

CAN_BE_OPENED = "can be opened"
_CORRECT = "correct the variable (docs/reference/settings.md)"


def worker_findings(settings: Settings) -> list[Finding]:
    """Whether provider, webhook secrets, allowed hosts and storage are set so that a worker starts."""
    try:
        open_store = service_store()
    except ImportError as error:
        storage = failure("storage", f"the package {error.name} is missing", "install what the service needs")
        return [*_checked_values(settings, is_service=True), storage]
    is_service = open_store is not None
    spool = [_spool_finding(settings)] if is_service else []
    return [*_checked_values(settings, is_service=is_service), _storage_finding(settings, open_store), *spool]


def _checked_values(settings: Settings, *, is_service: bool) -> list[Finding]:
    return [_provider_finding(settings, is_service=is_service), _webhook_finding(settings), _hosts_finding(settings)]


def _provider_finding(settings: Settings, *, is_service: bool) -> Finding:
    unset = [name for name in ("provider_url", "provider_appcode") if getattr(settings, name) is None]
    if unset:
        text = f"{' and '.join(PREFIX + name.upper() for name in unset)} not set"
        remedy = "a worker does not start without"
        return failure("provider", text, remedy, EXIT_USAGE) if is_service else warning("provider", text, remedy)
    try:
        # The HTTP library comes with an extra that a shop's process must not need.
        from sceneshift.provider.bg_rep import BgRepProvider  # noqa: PLC0415

        BgRepProvider.from_settings(settings).close()
    except ImportError as error:
        text, remedy = f"not checked: {error.name} is missing", "pip install 'sceneshift[service]'"
        return failure("provider", text, remedy) if is_service else warning("provider", text, remedy)
    except ConfigurationError as error:
        return failure("provider", error.message, _CORRECT, EXIT_USAGE)
    return fine("provider", "address and AppCode have the right form; --provider asks")


def _webhook_finding(settings: Settings) -> Finding:
    for name in ("webhook_secret", "webhook_endpoint_key"):
        try:
            for secret in getattr(settings, name):
                secret_key(secret.get_secret_value())
        except ConfigurationError as error:
            return failure("webhook secrets", f"{PREFIX}{name.upper()}: {error.message}", _CORRECT, EXIT_USAGE)
    if not settings.webhook_secret and settings.webhook_url is not None:
        return warning("webhook secrets", "none is set", f"set {PREFIX}WEBHOOK_SECRET: nothing is sent unsigned")
    return fine("webhook secrets", f"{len(settings.webhook_secret)} set")


def _hosts_finding(settings: Settings) -> Finding:
    try:
        hosts = canonical_hosts(settings.allow_hosts)
    except ConfigurationError:
        text = f"{PREFIX}ALLOW_HOSTS: an entry is not a host"
        return failure("allowed hosts", text, "write names or addresses, without scheme or port", EXIT_USAGE)
    return fine("allowed hosts", f"{len(hosts)} set")


def _storage_finding(settings: Settings, open_store: OpenStore | None) -> Finding:
    if open_store is None:
        return warning("storage", "not checked: the service is not here", "run it in a worker's environment too")
    try:
        open_store(settings.storage_url)
    except Exception as error:  # noqa: BLE001  # whatever a store's client raises is the finding
        is_plain = "@" not in settings.storage_url and shown_url("storage_url", settings.storage_url) != MASKED
        may_be_told = isinstance(error, SceneshiftError) and is_plain
        text = str(error) if may_be_told else f"{PREFIX}STORAGE_URL cannot be used ({type(error).__name__})"
        is_wrong = isinstance(error, ConfigurationError | ValueError)
        return failure("storage", text, _CORRECT, EXIT_USAGE if is_wrong else EXIT_FAILED)
    return fine("storage", CAN_BE_OPENED)


def _spool_finding(settings: Settings) -> Finding:
    if settings.spool_path is None:
        text = "none: a worker that is killed at the wrong moment leaves a job to a person"
        return warning("spool", text, f"set {PREFIX}SPOOL_DIRECTORY to a directory on a local disk")
    try:
        importlib.import_module("tasks.spool").Spool(settings.spool_path).check()
    except ConfigurationError as error:
        return failure("spool", error.message, _CORRECT, EXIT_USAGE)
    return fine("spool", "can be written")
