"""The doctor's look at job store and broker: are they there, and will the store keep what it is given?"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from redis import Redis
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
    ResponseError,
)

from sceneshift.cli import EXIT_UNREACHABLE, EXIT_USAGE
from sceneshift.cli.findings import Finding, Level, failure, fine, warning
from sceneshift.cli.output import clock_time
from sceneshift.cli.shown_settings import described, is_about_url
from sceneshift.clock import SystemClock
from sceneshift.errors import ConfigurationError
from sceneshift.messages import producer_app
from sceneshift.settings import Settings
from sceneshift.store.connection import CALLER, connect
from sceneshift.store.due import DueIndex
from sceneshift.store.keys import Keys
from sceneshift.store.recovery import Recovery, RecoveryState

OLDEST = (6, 2)
SKEW_MAX_SECONDS = 5.0
_REFUSED = (AuthenticationError, AuthenticationWrongNumberOfArgsError, NoPermissionError)
_NO_FILE = "no append-only file"
_EVICTION = "every key here is a job's: an evicted one is lost, with what was paid for it"


def store_findings(settings: Settings, *, now: Callable[[], float] = time.time) -> list[Finding]:
    """What there is to say of the job store. `now` is this machine's clock in Unix seconds."""
    url = settings.redis_url.get_secret_value()
    try:
        with closing(connect(url, CALLER)) as client:
            client.ping()
            configuration = _configuration(client)
            keys = Keys(settings.key_prefix)
            due = DueIndex(client, keys, SystemClock(), lease_seconds=settings.lease_seconds)
            return [
                fine("job store", "answers"),
                *server_findings(_information(client), configuration),
                *durability_findings(settings, _cannot_wait(client), configuration.get("appendfsync")),
                recovery_finding(Recovery(client, keys, SystemClock()).state()),
                unknown_finding(due.unknown()),
                clock_finding(*_clocks(client, now)),
            ]
    except ConfigurationError as error:
        return [failure("job store", error.message, "correct SCENESHIFT_REDIS_URL", EXIT_USAGE)]
    except Exception as error:  # noqa: BLE001  # an odd host or option of the URL raises whatever it likes
        return [_fault("job store", error, "redis_url", url)]


def _fault(what: str, error: Exception, name: str, url: str) -> Finding:
    """Why a server cannot be used: its URL is wrong, it refuses us, or it does not answer."""
    text, variable = described(error, name, url), f"SCENESHIFT_{name.upper()}"
    if is_about_url(error):
        return failure(what, f"{variable} cannot be used ({text})", f"correct {variable}", EXIT_USAGE)
    if isinstance(error, _REFUSED) or isinstance(error.__cause__, _REFUSED):
        remedy = f"correct user and password in {variable}, or what the server allows them"
        return failure(what, f"answers, but refuses us ({text})", remedy, EXIT_UNREACHABLE)
    return failure(what, f"no answer ({text})", f"start it, or correct {variable}", EXIT_UNREACHABLE)


def _information(client: Redis) -> Mapping[str, Any]:
    try:
        information: Mapping[str, Any] = client.info()
    except ResponseError:
        return {}
    return information


def _configuration(client: Redis) -> Mapping[Any, Any]:
    try:
        # Older servers take one name at a time.
        return {**client.config_get("maxmemory-policy"), **client.config_get("appendfsync")}
    except ResponseError:
        # Managed servers do not let their users read the configuration; many tell the policy in INFO.
        return {}


def _cannot_wait(client: Redis) -> str:
    """Why the server cannot say what is on its disk; empty when it can."""
    try:
        # This connection has written nothing, so that the answer comes at once.
        client.execute_command("WAITAOF", 1, 0, 100)  # type: ignore[no-untyped-call]  # redis-py left it untyped
    except ResponseError as error:
        text = str(error).lower()
        return _NO_FILE if "append" in text else "no WAITAOF, or not for us"
    return ""


def _clocks(client: Redis, now: Callable[[], float]) -> tuple[float, float]:
    before = now()
    seconds, microseconds = client.time()
    return seconds + microseconds / 1e6, (before + now()) / 2


def server_findings(information: Mapping[str, Any], configuration: Mapping[Any, Any]) -> list[Finding]:
    """What a server's INFO and its configuration mean; what it does not tell is absent."""
    return [
        _version_finding(information),
        _role_finding(information.get("role")),
        _policy_finding(configuration.get("maxmemory-policy") or information.get("maxmemory_policy")),
        _persistence_finding(information.get("aof_enabled"), configuration.get("appendfsync")),
    ]


def _version_finding(information: Mapping[str, Any]) -> Finding:
    version = str(information.get("redis_version", ""))
    found = re.match(r"(\d+)\.(\d+)", version)
    if not found:
        return warning("server version", "cannot be read", "make sure that it is 6.2 or newer")
    name = f"Valkey {information['valkey_version']}, as" if "valkey_version" in information else ""
    text = f"{name} Redis {version}".strip()
    if (int(found[1]), int(found[2])) < OLDEST:
        return failure("server version", text, "use a server of 6.2 or newer")
    return fine("server version", text)


def _role_finding(role: str | None) -> Finding:
    if not role:
        return warning("server role", "cannot be read", "make sure that it is the primary: replicas take no writes")
    if role == "slave":
        return failure("server role", "a replica, which takes no writes", "name the primary in SCENESHIFT_REDIS_URL")
    return fine("server role", "primary")


def _policy_finding(policy: str | None) -> Finding:
    if not policy:
        return warning("eviction policy", "cannot be read", f"make sure that it is noeviction: {_EVICTION}")
    if policy != "noeviction":
        return failure("eviction policy", policy, f"set maxmemory-policy to noeviction: {_EVICTION}")
    return fine("eviction policy", policy)


def _persistence_finding(append_only: Any, fsync: str | None) -> Finding:
    if append_only is None:
        return warning("persistence", "cannot be read", "make sure that the append-only file is on")
    if not int(append_only):
        return warning(
            "persistence", "no append-only file", "set appendonly to yes: a restart may lose jobs that were accepted"
        )
    if fsync != "always":
        text = f"append-only file, appendfsync {fsync or 'cannot be read'}"
        loss = "all that the system has not written yet" if fsync == "no" else "the last second"
        return warning("persistence", text, f"set appendfsync to always: a power failure takes {loss}")
    return fine("persistence", "append-only file, appendfsync always")


def durability_findings(settings: Settings, cannot_wait: str, fsync: str | None) -> list[Finding]:
    """Whether what the store confirms is on a disk, or remembered somewhere else.

    `cannot_wait` is why the server cannot tell what is on its disk; empty when it can.
    """
    disk = _disk_finding(settings.disk_wait_seconds, cannot_wait, fsync)
    if settings.intent_log == "storage":
        return [disk, fine("intent log", "job store and bucket: a job store that forgets is told what was submitted")]
    if disk.level is Level.OK:
        return [disk, fine("intent log", "job store only")]
    remedy = "set SCENESHIFT_INTENT_LOG to storage, or mend the disk wait: a restart may forget what was paid for"
    return [disk, warning("intent log", "job store only, which may lose what it confirmed", remedy)]


def _disk_finding(wait_seconds: float | None, cannot_wait: str, fsync: str | None) -> Finding:
    if fsync == "always" and cannot_wait != _NO_FILE:
        return fine("disk wait", "appendfsync always: what is confirmed is on the server's disk")
    if cannot_wait:
        remedy = "use Redis 7.2 or Valkey or newer, with an append-only file, and let its users call WAITAOF"
        return warning("disk wait", f"the server cannot tell what is on its disk ({cannot_wait})", remedy)
    if fsync == "no":
        return warning("disk wait", "the server leaves its disk to the system", "set appendfsync to everysec or always")
    if wait_seconds is None:
        return warning("disk wait", "WAITAOF is there, and not used", "set SCENESHIFT_DISK_WAIT_SECONDS to 2")
    return fine("disk wait", f"orders, intents and result keys wait for it, up to {wait_seconds:g} s (WAITAOF)")


def recovery_finding(state: RecoveryState | None) -> Finding:
    """Whether anything is submitted at all."""
    if state is None:
        return fine("recovery mode", "off")
    text = f"on since {clock_time(state.since)} UTC, so nothing is submitted: {state.reason}"
    return failure("recovery mode", text, "sceneshift recovery, and docs/how-to/recover-the-job-store.md")


def unknown_finding(ids: Sequence[str]) -> Finding:
    """Whether workers meet records that their release does not understand."""
    if not ids:
        return fine("records", "the workers understand all that they meet")
    text = f"{len(ids)} jobs or webhooks of a later release, such as {ids[0]}, which the workers here leave alone"
    return warning("records", text, "run workers of that release: docs/how-to/upgrade.md")


def clock_finding(theirs: float, ours: float) -> Finding:
    """What two clocks, both in Unix seconds, differ by."""
    skew = theirs - ours
    text = f"the job store's differs by {abs(skew):.1f} s"
    if abs(skew) > SKEW_MAX_SECONDS:
        return warning(
            "clock", text, "synchronise both: due times are the store's, links and signatures this machine's"
        )
    return fine("clock", text)


def broker_finding(settings: Settings) -> Finding:
    """Whether messages can be published."""
    place = "the job store's server" if settings.broker_url is None else "a server of its own"
    try:
        with producer_app(settings).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
    except Exception as error:  # noqa: BLE001  # whatever a broker's client raises is the finding
        name = "redis_url" if settings.broker_url is None else "broker_url"
        return _fault("broker", error, name, settings.effective_broker_url)
    return fine("broker", f"answers ({place})")
