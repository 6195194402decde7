"""What a caller asks for, checked before anything is stored.

The ranges are those of the provider's document (docs/reference/provider.md), so that a wrong value costs an exception
and not a paid call. Where the document is silent, only nonsense is refused.
"""

from __future__ import annotations

import json
import math
import reprlib
import sys
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from sceneshift.errors import ConfigurationError, InvalidRequestError
from sceneshift.fetch_errors import FetchBlockedError
from sceneshift.url_rules import canonical_hosts, check_url

Lane = Literal["interactive", "bulk"]

PROMPT_MAX_CHARACTERS = 500
STEPS_RANGE = (15, 50)
NUM_OUTPUT_RANGE = (1, 4)
SEED_RANGE = (0, 2**31 - 1)
URL_MAX_CHARACTERS = 2048
SKU_MAX_CHARACTERS = 64
IDEMPOTENCY_KEY_MAX_CHARACTERS = 255
METADATA_MAX_ENTRIES = 16
METADATA_KEY_MAX_CHARACTERS = 40
METADATA_VALUE_MAX_CHARACTERS = 512
METADATA_MAX_BYTES = METADATA_MAX_ENTRIES * (METADATA_KEY_MAX_CHARACTERS + METADATA_VALUE_MAX_CHARACTERS)
"""Keys and values together, in UTF-8: they come back in webhooks, which must stay under 20 kB."""
DEADLINE_MAX_SECONDS = 30 * 86_400.0
PRINTABLE_INTEGER_BITS = 64

GENERATING_FIELDS = (
    "image",
    "mask",
    "positive_prompt",
    "negative_prompt",
    "guidance_scale",
    "strength",
    "seed",
    "steps",
    "num_output",
)
"""The fields that decide what is rendered and billed: the same idempotency key must mean the same of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """One order, valid and complete. `deadline_seconds` counts from the job's acceptance."""

    image: str
    mask: str
    positive_prompt: str
    negative_prompt: str = "NSFW"
    guidance_scale: float = 7.5
    strength: float = 0.5
    seed: int | None = None
    steps: int = 50
    num_output: int = 1
    webhook_url: str | None = None
    idempotency_key: str | None = None
    sku: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    lane: Lane = "interactive"
    deadline_seconds: float | None = None
    unknown_fields: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Fields that a later release wrote; they are kept as they are."""

    def to_json(self) -> str:
        """Compact JSON without what is at its default, because a million of them lie in memory."""
        values = {
            item.name: value
            for item in _KNOWN_FIELDS
            if (value := getattr(self, item.name)) != item.default and value != {}
        }
        return json.dumps({**values, **self.unknown_fields}, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> JobOrder:
        """The order that `to_json` wrote.

        Raises:
            AttributeError, TypeError, ValueError: it is something else.
        """
        document: dict[str, Any] = json.loads(text)
        known = {item.name: document.pop(item.name) for item in _KNOWN_FIELDS if item.name in document}
        return cls(**known, unknown_fields=document)

    def differing_fields(self, other: JobOrder) -> tuple[str, ...]:
        """The names of the generating fields in which two orders differ."""
        return tuple(name for name in GENERATING_FIELDS if getattr(self, name) != getattr(other, name))


_KNOWN_FIELDS = tuple(item for item in fields(JobOrder) if item.name != "unknown_fields")


def check_order(*, allow_hosts: Collection[str] = (), **values: Any) -> JobOrder:
    """The order, once every value is in range; `None` stands for the default.

    `image` and `mask` are fetched by the provider, so any host will do; `webhook_url` is called by us, so its host must
    not be a private one unless `allow_hosts` names it.

    Raises:
        InvalidRequestError: a value is not usable; `param` names it. Nothing has been stored.
    """
    defaults = {item.name: item.default for item in _KNOWN_FIELDS}
    given = {name: values.get(name, defaults[name]) for name in defaults}
    for name in ("negative_prompt", "guidance_scale", "strength", "steps", "num_output", "lane"):
        given[name] = defaults[name] if given[name] is None else given[name]
    return JobOrder(
        image=_source("image", given["image"]),
        mask=_source("mask", given["mask"]),
        positive_prompt=_prompt("positive_prompt", given["positive_prompt"], required=True),
        negative_prompt=_prompt("negative_prompt", given["negative_prompt"], required=False),
        guidance_scale=_number("guidance_scale", given["guidance_scale"], low=0.0, high=math.inf),
        strength=_number("strength", given["strength"], low=0.0, high=1.0),
        seed=None if given["seed"] is None else _integer("seed", given["seed"], *SEED_RANGE),
        steps=_integer("steps", given["steps"], *STEPS_RANGE),
        num_output=_integer("num_output", given["num_output"], *NUM_OUTPUT_RANGE),
        webhook_url=check_webhook_url(given["webhook_url"], allow_hosts),
        idempotency_key=_word("idempotency_key", given["idempotency_key"], IDEMPOTENCY_KEY_MAX_CHARACTERS),
        sku=_word("sku", given["sku"], SKU_MAX_CHARACTERS),
        metadata=_metadata(values.get("metadata")),
        lane=_lane(given["lane"]),
        deadline_seconds=_deadline(values.get("deadline")),
    )


def _refuse(param: str, value: object, remedy: str) -> InvalidRequestError:
    # Python refuses to print integers of thousands of digits.
    huge = isinstance(value, int) and value.bit_length() > PRINTABLE_INTEGER_BITS
    shown = "a number of many digits" if huge else reprlib.repr(value)
    return InvalidRequestError(f"{param}={shown}: {remedy}", param=param)


def _text(param: str, value: object) -> str:
    if not isinstance(value, str):
        raise _refuse(param, value, "a string is needed")
    if any(unicodedata.category(character) == "Cc" and character not in "\n\t" for character in value):
        raise _refuse(param, value, "control characters are not allowed")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise _refuse(param, ascii(value), "this is not valid Unicode (a lone surrogate)") from None
    return value


def _source(param: str, value: object) -> str:
    url = _bounded_url(param, value)
    if url.startswith("s3://"):
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if not bucket or not key:
            raise InvalidRequestError(f"{param}: an s3 source is s3://bucket/key", param=param)
        return url
    return _check(param, url, _own_host(url))


def check_webhook_url(value: object, allow_hosts: Collection[str], param: str = "webhook_url") -> str | None:
    """The URL, which webhooks may go to; None stays None. `param` is what the caller calls it.

    Raises:
        InvalidRequestError: they may not go there.
    """
    return None if value is None else _check(param, _bounded_url(param, value), allow_hosts)


def _bounded_url(param: str, value: object) -> str:
    url = _text(param, value)
    if len(url) > URL_MAX_CHARACTERS:
        raise InvalidRequestError(f"{param}: longer than {URL_MAX_CHARACTERS} characters", param=param)
    return url


def _own_host(url: str) -> Collection[str]:
    """The URL's own host as the one that is let through, or nothing when it is no name of a host at all."""
    try:
        return canonical_hosts([urlsplit(url).hostname or ""])
    except (ValueError, ConfigurationError):
        return ()


NEEDED_URLS = {
    "image": "an absolute http or https URL, or s3://bucket/key, is needed",
    "mask": "an absolute http or https URL, or s3://bucket/key, is needed",
}
NEEDED_WEBHOOK_URL = "an absolute http or https URL of a public host, or of one in SCENESHIFT_ALLOW_HOSTS, is needed"


def _check(param: str, url: str, allow_hosts: Collection[str]) -> str:
    # The URL may carry a signature, so the text names the rule that it breaks and not the URL.
    try:
        check_url(url, allow_hosts=allow_hosts)
    except FetchBlockedError as error:
        needed = NEEDED_URLS.get(param, NEEDED_WEBHOOK_URL)
        raise InvalidRequestError(f"{param}: {needed} ({error.reason})", param=param) from None
    return url


def _prompt(param: str, value: object, *, required: bool) -> str:
    text = _text(param, value)
    if required and not text.strip():
        raise InvalidRequestError(f"{param}: say what the new background is to be", param=param)
    if len(text) > PROMPT_MAX_CHARACTERS:
        raise InvalidRequestError(
            f"{param}: {len(text)} characters, the provider takes {PROMPT_MAX_CHARACTERS} at the most", param=param
        )
    return text


def _number(param: str, value: object, *, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124  # NaN
        raise _refuse(param, value, "a finite number is needed")
    if not low < value <= min(high, sys.float_info.max):
        limit = f"above {low:g}" + ("" if math.isinf(high) else f" and at most {high:g}")
        raise _refuse(param, value, f"must be {limit}")
    return float(value)


def _integer(param: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refuse(param, value, "a whole number is needed")
    if not low <= value <= high:
        raise _refuse(param, value, f"must be between {low} and {high}")
    return value


def _word(param: str, value: object, longest: int) -> str | None:
    if value is None:
        return None
    text = _text(param, value)
    if not text.strip() or len(text) > longest or "\n" in text or "\t" in text:
        raise _refuse(param, value, f"1 to {longest} characters on one line are needed")
    return text


def _metadata(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(value) > METADATA_MAX_ENTRIES:
        raise InvalidRequestError(
            f"metadata: a mapping of at most {METADATA_MAX_ENTRIES} strings to strings is needed", param="metadata"
        )
    for key, entry in value.items():
        if len(_text("metadata", key)) > METADATA_KEY_MAX_CHARACTERS or not key:
            raise _refuse("metadata", key, f"keys have 1 to {METADATA_KEY_MAX_CHARACTERS} characters")
        if len(_text("metadata", entry)) > METADATA_VALUE_MAX_CHARACTERS:
            raise _refuse("metadata", key, f"its value has more than {METADATA_VALUE_MAX_CHARACTERS} characters")
    if sum(len(key.encode()) + len(entry.encode()) for key, entry in value.items()) > METADATA_MAX_BYTES:
        raise InvalidRequestError(f"metadata: more than {METADATA_MAX_BYTES} bytes in all", param="metadata")
    return dict(value)


def _lane(value: object) -> Lane:
    if value not in get_args(Lane):
        raise _refuse("lane", value, "must be 'interactive' or 'bulk'")
    return value  # type: ignore[return-value]  # just compared with the literal's own members


def _deadline(value: object) -> float | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return _number("deadline", seconds, low=0.0, high=DEADLINE_MAX_SECONDS)
