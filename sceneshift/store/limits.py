"""The limits that operators set while the system runs, in place of the settings, for all workers at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sceneshift.errors import InvalidRequestError
from sceneshift.settings import Settings
from sceneshift.store.keys import Keys
from sceneshift.store.permits import LIMITS

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock

_LEGAL = {
    "submit_rate": "a number per second above 0, at most 10000, or none",
    "query_rate": "a number per second above 0, at most 100000, or none",
    "max_in_flight": "a whole number from 1 up, or none",
}
_MOMENTS_OF = {"submit_rate": ("submit", "sent", "bulk"), "query_rate": ("query",)}
"""The rates that are kept by each limit, as in `Keys.rate`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A limit that was set: its value as it is kept (`none` is without limit), who set it, and when (unix seconds)."""

    value: str
    by: str
    at: float


class LimitStore:
    """The limits that were set in one deployment."""

    def __init__(self, client: Redis, keys: Keys, clock: Clock) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock

    def overrides(self) -> dict[str, Override]:
        """The limits that are not those of the settings."""
        stored: Mapping[str, str] = self._client.hgetall(self._keys.limits)  # type: ignore[assignment]
        found = {}
        for name in LIMITS:
            if name in stored:
                by, at = json.loads(stored.get(_author(name), '["", 0]'))
                found[name] = Override(value=stored[name], by=by, at=at)
        return found

    def set(self, values: Mapping[str, str], *, by: str) -> None:
        """These limits hold from now on: texts from `read_limit`. All of them, or none when the store is away."""
        changes: dict[Any, Any] = dict(values)
        for name in values:
            changes[_author(name)] = json.dumps([by, round(self._clock.now(), 3)])
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(self._keys.limits, mapping=changes)
            self._forget_moments(pipeline, values)
            pipeline.execute()

    def reset(self, names: Iterable[str]) -> None:
        """The settings hold again, for these limits."""
        names = list(names)
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hdel(self._keys.limits, *names, *(_author(name) for name in names))
            self._forget_moments(pipeline, names)
            pipeline.execute()

    def _forget_moments(self, pipeline: Redis, names: Iterable[str]) -> None:
        """A queue of moments that the old rate made long is no reason to wait at the new one."""
        moments = [each for name in names for each in _MOMENTS_OF.get(name, ())]
        if moments:
            pipeline.delete(*(self._keys.rate(each) for each in moments))


def _author(name: str) -> str:
    """Where it is kept who set a limit, and when."""
    return f"{name}:by"


def check_limit_name(name: str) -> str:
    """The name of a limit.

    Raises:
        InvalidRequestError: there is no such limit; the text says which is nearest.
    """
    if name in LIMITS:
        return name
    nearest = difflib.get_close_matches(name, LIMITS, n=1, cutoff=0.0)[0]
    raise InvalidRequestError(f"{name!r} is not a limit; the nearest is {nearest} (there are {', '.join(LIMITS)})")


def read_limit(text: str) -> tuple[str, str]:
    """The limit's name and its value, as they are kept, from `NAME=VALUE`.

    Raises:
        InvalidRequestError: it has another form, names no limit, or the value is none for it.
    """
    name, separator, value = text.partition("=")
    if not separator:
        raise InvalidRequestError(f"{text!r}: write NAME=VALUE, such as submit_rate=5 or max_in_flight=none")
    name, value = check_limit_name(name.strip()), value.strip().lower()
    try:
        checked = getattr(Settings.model_validate({name: value}), name)
    except ValidationError:
        raise InvalidRequestError(f"{name}={value}: that is no value for it; give {_LEGAL[name]}") from None
    return name, "none" if checked is None else f"{checked:.15g}"
