"""The doctor's look at job store and broker: are they there, and will the store keep what it is given?"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
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
from sceneshift.cli.findings import Finding, failure, fine, warning
from sceneshift.cli.shown_settings import described, is_about_url
from sceneshift.errors import ConfigurationError
from sceneshift.messages import producer_app
from sceneshift.settings import Settings
from sceneshift.store.connection import CALLER, connect

OLDEST = (6, 2)
SKEW_MAX_SECONDS = 5.0
_REFUSED = (AuthenticationError, AuthenticationWrongNumberOfArgsError, NoPermissionError)
_EVICTION = "every key here is a job's: an evicted one is lost, with what was paid for it"


def store_findings(settings: Settings, *, now: Callable[[], float] = time.time) -> list[Finding]:
    """What there is to say of the job store. `now` is this machine's clock in Unix seconds."""
    url = settings.redis_url.get_secret_value()
    try:
        with closing(connect(url, CALLER)) as client:
            client.ping()
            return [
                fine("job store", "answers"),
                *server_findings(_information(client), _configuration(client)),
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
