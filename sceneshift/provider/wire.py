"""The provider's JSON, both ways: exact request bodies, and a reading of whatever comes back that never raises.

Facts and doubts about the format: docs/reference/provider.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sceneshift.provider.documented import ITEM_STATUSES, SUCCESS_CODES
from sceneshift.provider.protocol import RenderItem

_RESULT_KEY = re.compile(r"[A-Za-z0-9_.:=+/-]{1,256}")
# What a program writes that has no key.
_NO_KEYS = frozenset({"null", "none", "undefined", "true", "false"})
_URL_LENGTH = 8192
# Two different values for one of these leave open what the provider meant.
_DECISIVE_FIELDS = frozenset({"success", "code", "data", "result_key", "task_list", "status", "results"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The JSON object around every answer; what was absent or of a wrong type is None or empty.

    `speaks_of_submission`: somewhere in it is a key, results, or an item's documented status, so that there may be one.
    `is_damaged`: it had bytes that are no text in its encoding, so that no part of it can be trusted to be whole.
    """

    success: bool | None = None
    code: str | None = None
    message: str = ""
    request_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    speaks_of_submission: bool = False
    is_damaged: bool = False

    @property
    def says_failed(self) -> bool:
        """The provider itself says that this call failed; its flag outranks its code."""
        return self.success is False or (self.success is None and self.code not in {None, *SUCCESS_CODES})

    @property
    def contradicts_itself(self) -> bool:
        """Flag and code are both there, and the samples know no such pair."""
        return None not in {self.success, self.code} and self.success is not (self.code == "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemState:
    """What a query says about one image: `status` is the provider's word, `urls` are absolute http(s) URLs."""

    status: str
    message: str
    urls: tuple[str, ...] = field(repr=False)


def submit_body(item: RenderItem) -> bytes:
    """The same bytes for the same item, always; every field is named, because the provider's defaults are unknown.

    An absent seed is left out, which is how the provider is told to choose one.

    Raises:
        ValueError: a number is not finite.
    """
    fields: dict[str, Any] = {
        "image": item.image,
        "mask": item.mask,
        "positive_prompt": item.positive_prompt,
        "negative_prompt": item.negative_prompt,
        "guidance_scale": float(item.guidance_scale),
        "strength": float(item.strength),
        "seed": item.seed,
        "steps": item.steps,
        "num_output": item.num_output,
    }
    if item.seed is None:
        del fields["seed"]
    return _encode({"data": {"task_list": [fields]}})


def query_body(result_key: str) -> bytes:
    """The question about one submission."""
    return _encode({"data": {"result_key": result_key}})


def _encode(document: Mapping[str, Any]) -> bytes:
    # ASCII escapes read the same whatever charset the other end assumes.
    return json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def parse_envelope(body: bytes) -> Envelope | None:
    """The envelope in this body, or None when it holds no JSON object, or one that contradicts itself."""
    try:
        text, is_damaged = _decode(body)
        document = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_agreeing_fields)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    data = document.get("data")
    return Envelope(
        success=_flag(document.get("success")),
        code=_code(document.get("code")),
        message=_text(document.get("message")),
        request_id=_text(document.get("requestId")),
        data=data if isinstance(data, dict) else {},
        speaks_of_submission=_speaks_of_submission(document),
        is_damaged=is_damaged,
    )


def _decode(body: bytes) -> tuple[str, bool]:
    """The text, with marks where it is damaged; and whether it is."""
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding), False
    except UnicodeDecodeError:
        return body.decode(encoding, errors="replace"), True


def _speaks_of_submission(envelope: Mapping[str, Any]) -> bool:
    rest: list[Any] = [envelope]
    while rest:
        value = rest.pop()
        if isinstance(value, list):
            rest.extend(value)
        elif isinstance(value, dict):
            if any(_is_sign(name, content, in_item=value is not envelope) for name, content in value.items()):
                return True
            rest.extend(value.values())
    return False


def _is_sign(name: str, content: Any, *, in_item: bool) -> bool:
    spelled = name.replace("_", "").replace("-", "").casefold()
    if spelled == "status":
        return in_item and isinstance(content, str) and content.strip().upper() in ITEM_STATUSES
    empty = not content.strip() if isinstance(content, str) else content in (None, False, [], {})
    return spelled in {"resultkey", "results"} and not empty


def _agreeing_fields(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in _DECISIVE_FIELDS and name in fields and fields[name] != value:
            raise ValueError(f"two different values for {name}")
        fields[name] = value
    return fields


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return bool(value) if value in (0, 1) else None


def _code(value: Any) -> str | None:
    """The code as text: documented as a string, shown as an integer."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip()
    if text.isascii() and text.isdecimal():
        return text.lstrip("0") or "0"
    return text or None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def result_key_of(data: Mapping[str, Any]) -> str | None:
    """The key of a submission, or None when it is absent or cannot be one."""
    key = named_key_of(data)
    return key if _RESULT_KEY.fullmatch(key) and key.casefold() not in _NO_KEYS else None


def named_key_of(data: Mapping[str, Any]) -> str:
    """What stands in the key's place, be it a key or not; empty when that is no text."""
    return _text(data.get("result_key")).strip()


def item_states_of(data: Mapping[str, Any]) -> tuple[ItemState, ...]:
    """The items of an answer in its order; empty when it lists none, or anything that is not an object."""
    listed = data.get("task_list")
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        return ()
    return tuple(
        ItemState(
            status=_status(entry.get("status")),
            message=_text(entry.get("message")),
            urls=_absolute_urls(entry.get("results")),
        )
        for entry in listed
    )


def _status(value: Any) -> str:
    if isinstance(value, dict | list) or value == "":
        return "(none)"
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _absolute_urls(value: Any) -> tuple[str, ...]:
    entries = value if isinstance(value, list) else []
    return tuple(entry.strip() for entry in entries if isinstance(entry, str) and _is_absolute_url(entry.strip()))


def _is_absolute_url(text: str) -> bool:
    if len(text) > _URL_LENGTH or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False
