"""Named endpoints: receivers that an operator has added, with secrets and a choice of events of their own.

Besides the URL that a job may name, each of them gets the events that it asked for. Their secrets are derived
(`sceneshift.webhooks.endpoint_secrets`), so what is stored here is none.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Self

from sceneshift import identifiers
from sceneshift.errors import InvalidRequestError, UnknownRecordError
from sceneshift.jobs.change import Change, DeliveryDraft
from sceneshift.jobs.order import check_webhook_url
from sceneshift.webhooks import EVENT_TYPES

ENDPOINTS_MAX = 50
GENERATIONS_MAX = 4
"""So many generations of a secret may sign at once: a signature header has a bounded length."""
TEST_EVENT = "webhook.test"

_NAME = re.compile(r"[a-z0-9-]{1,40}")
_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_CHARACTERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One generation of an endpoint's secret; it signs until this moment (unix seconds), or for good."""

    number: int
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A named endpoint. `events` are types or patterns with `*`; with `ed25519`, a private key signs too."""

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    created_at: float
    generations: tuple[Generation, ...] = (Generation(number=1),)
    ed25519: bool = False

    def takes(self, event_type: str) -> bool:
        """Whether the endpoint has asked for events of this type; a test goes to every endpoint."""
        return event_type == TEST_EVENT or any(fnmatchcase(event_type, pattern) for pattern in self.events)

    def signing(self, now: float) -> tuple[int, ...]:
        """The generations that sign at this moment, the newest first."""
        return tuple(each.number for each in reversed(self.generations) if each.until is None or each.until > now)

    def rotated(self, now: float, overlap_seconds: float) -> Self:
        """The endpoint with a new generation of its secret; those that sign now do so for the overlap at the most.

        Raises:
            InvalidRequestError: too many generations sign already.
        """
        signing = self.signing(now)
        if len(signing) >= GENERATIONS_MAX:
            raise InvalidRequestError(
                f"{self.name} has {len(signing)} secrets that still sign; wait until one has ended, or rotate with a "
                f"shorter overlap next time",
                param="name",
            )
        end = now + overlap_seconds
        kept = tuple(
            replace(each, until=end if each.until is None else min(each.until, end))
            for each in self.generations
            if each.number in signing
        )
        latest = max(each.number for each in self.generations)
        return replace(self, generations=(*kept, Generation(number=latest + 1)))

    def to_json(self) -> str:
        """The endpoint as it is stored."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote; what a later release has appended is passed over.

        Raises:
            UnknownRecordError: a later release wrote it in another form.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            return cls(
                id=document["id"],
                name=document["name"],
                url=document["url"],
                events=tuple(document["events"]),
                created_at=float(document["created_at"]),
                generations=tuple(
                    Generation(number=int(each["number"]), until=each["until"]) for each in document["generations"]
                ),
                ed25519=bool(document["ed25519"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            what = f"a part of another form ({type(error).__name__})"
            text = f"this release does not understand the record of a webhook endpoint: it has {what}"
            raise UnknownRecordError(text, what=what) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """All named endpoints of a deployment, as they were at this version of the list."""

    version: str = "0"
    by_id: Mapping[str, Endpoint]

    def named(self, name: str) -> Endpoint:
        """The endpoint of this name.

        Raises:
            InvalidRequestError: there is none.
        """
        for endpoint in self.by_id.values():
            if endpoint.name == name:
                return endpoint
        names = ", ".join(sorted(endpoint.name for endpoint in self.by_id.values()))
        known = f"there are {names}" if names else "there are none"
        raise InvalidRequestError(f"no endpoint is named {name[:64]!r}; {known}", param="name")


def new_endpoint(
    *, name: str, url: str, events: Iterable[str], now: float, ed25519: bool, allow_hosts: Collection[str]
) -> Endpoint:
    """An endpoint with an id of its own, once its values are right.

    Raises:
        InvalidRequestError: one is not; `param` names it.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(f"name={name[:64]!r}: 1 to 40 of a-z, 0-9 and - are needed", param="name")
    return Endpoint(
        id="ep_" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_CHARACTERS)),
        name=name,
        url=checked_url(url, allow_hosts),
        events=checked_events(events),
        created_at=round(now, 3),
        ed25519=ed25519,
    )


def checked_url(url: str, allow_hosts: Collection[str]) -> str:
    """The URL, which webhooks may go to.

    Raises:
        InvalidRequestError: they may not.
    """
    return check_webhook_url(url, allow_hosts, "url") or ""


def checked_events(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns without repetitions; none at all means every event.

    Raises:
        InvalidRequestError: one of them matches no type of event.
    """
    chosen = tuple(dict.fromkeys(patterns)) or ("*",)
    for pattern in chosen:
        if not any(fnmatchcase(each, pattern) for each in EVENT_TYPES):
            raise InvalidRequestError(
                f"events: {pattern[:64]!r} matches no type; there are {', '.join(EVENT_TYPES)}", param="events"
            )
    return chosen


def is_endpoint_id(lane_id: str) -> bool:
    """Whether a lane is that of a named endpoint, and not that of a URL."""
    return lane_id.startswith("ep_")


def addressed(change: Change, endpoints: Endpoints) -> Change:
    """The change with its events also in the outbox of each named endpoint that takes them."""
    if not change.events:
        return change
    more = tuple(
        DeliveryDraft.of(event, identifiers.endpoint_delivery_id(event.event_id, endpoint.id), endpoint.id)
        for event in change.events
        for endpoint in endpoints.by_id.values()
        if endpoint.takes(event.type)
    )
    return replace(change, deliveries=(*change.deliveries, *more), endpoints_version=endpoints.version)
