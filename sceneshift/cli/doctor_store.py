"""The doctor's look at job store and broker: are they there, and will the store keep what it is given?"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from sceneshift.cli import EXIT_UNREACHABLE, EXIT_USAGE
from sceneshift.cli.findings import Finding, failure, fine, warning
from sceneshift.errors import ConfigurationError
from sceneshift.messages import producer_app
from sceneshift.settings import Settings
from sceneshift.store.connection import CALLER, connect, without_password

OLDEST = (6, 2)
SKEW_MAX_SECONDS = 5.0
_EVICTION = "every key here is a job's: an evicted one is lost, with what was paid for it"


def store_findings(settings: Settings, *, now: Callable[[], float] = time.time) -> list[Finding]:
    """What there is to say of the job store. `now` is this machine's clock in Unix seconds."""
    try:
        client = connect(settings.redis_url.get_secret_value(), CALLER)
    except ConfigurationError as error:
        return [failure("job store", error.message, "correct SCENESHIFT_REDIS_URL", EXIT_USAGE)]
    with closing(client):
        try:
            client.ping()
            return [
                fine("job store", "answers"),
                *server_findings(_information(client), _configured_policy(client)),
                clock_finding(*_clocks(client, now)),
            ]
        except RedisError as error:
            text = f"no answer ({type(error).__name__}: {without_password(str(error))})"
            return [failure("job store", text, "start it, or correct SCENESHIFT_REDIS_URL", EXIT_UNREACHABLE)]


def _information(client: Redis) -> Mapping[str, Any]:
    try:
        information: Mapping[str, Any] = client.info()
    except ResponseError:
        return {}
    return information


def _configured_policy(client: Redis) -> str | None:
    try:
        policy: Mapping[Any, Any] = client.config_get("maxmemory-policy")
    except ResponseError:
        # Managed servers do not let their users read the configuration; many tell the policy in INFO.
        return None
    return policy.get("maxmemory-policy")


def _clocks(client: Redis, now: Callable[[], float]) -> tuple[float, float]:
    before = now()
    seconds, microseconds = client.time()
    return seconds + microseconds / 1e6, (before + now()) / 2


def server_findings(information: Mapping[str, Any], policy: str | None) -> list[Finding]:
    """What a server's INFO and its eviction policy mean; what it does not tell is None or absent."""
    return [
        _version_finding(information),
        _policy_finding(policy or information.get("maxmemory_policy")),
        _persistence_finding(information.get("aof_enabled")),
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


def _policy_finding(policy: str | None) -> Finding:
    if not policy:
        return warning("eviction policy", "cannot be read", f"make sure that it is noeviction: {_EVICTION}")
    if policy != "noeviction":
        return failure("eviction policy", policy, f"set maxmemory-policy to noeviction: {_EVICTION}")
    return fine("eviction policy", policy)


def _persistence_finding(append_only: Any) -> Finding:
    if append_only is None:
        return warning("persistence", "cannot be read", "make sure that the append-only file is on")
    if not int(append_only):
        return warning(
            "persistence", "no append-only file", "set appendonly to yes: a restart may lose jobs that were accepted"
        )
    return fine("persistence", "append-only file")


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
        text = f"no answer ({type(error).__name__}: {without_password(str(error))})"
        return failure("broker", text, "start it, or correct SCENESHIFT_BROKER_URL", EXIT_UNREACHABLE)
    return fine("broker", f"answers ({place})")
