"""Reads request bodies as the provider's document describes them, and refuses what it forbids.

Where the document's "required" column is illegible, the stricter reading holds here: a client that passes is right
under both. Limits that the document does not state (file size, range of `seed` and `guidance_scale`) are not enforced.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final, NoReturn, TypeGuard
from urllib.parse import urlsplit

from sceneshift.simulator.answers import Fault, FaultError

PROMPT_MAX_CHARACTERS: Final = 500
STEPS: Final = range(15, 51)
NUM_OUTPUT: Final = range(1, 5)
TASK_LIST_MAX_ITEMS: Final = 10

_DEFAULT_GUIDANCE: Final = 7.5
_WANTED_MAX_CHARACTERS: Final = 4096
_REQUIRED: Final = ("image", "mask", "positive_prompt", "strength", "steps", "num_output")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOrder:
    """One valid item of `data.task_list`; `echo` is what the answers repeat of it."""

    image: str
    mask: str
    positive_prompt: str
    negative_prompt: str
    guidance_scale: float
    strength: float
    steps: int
    num_output: int
    seed: int | None
    echo: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a submission asks for first, right or wrong; None is what it does not say as a text."""

    image: str | None = None
    mask: str | None = None
    positive_prompt: str | None = None


def read_wanted(raw: bytes) -> Wanted:
    """The first item of a submission as far as it can be read, for the ledger; texts end after 4,096 characters."""
    try:
        item = json.loads(raw)["data"]["task_list"][0]
        texts = {field.name: item.get(field.name) for field in fields(Wanted)}
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return Wanted()
    return Wanted(**{name: text[:_WANTED_MAX_CHARACTERS] for name, text in texts.items() if _is_whole_text(text)})


def _is_whole_text(value: Any) -> TypeGuard[str]:
    """Whether this is a text; one with half a character, which JSON can escape, could not be repeated in a ledger."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_body(raw: bytes, content_type: str | None) -> dict[str, Any]:
    """The object under `data`.

    Raises:
        FaultError: there is no JSON body, or it has no such object.
    """
    if not raw.strip() or (content_type or "").partition(";")[0].strip().lower() != "application/json":
        raise FaultError(Fault.BODY_MISSING)
    try:
        body = json.loads(raw, parse_constant=_refuse_constant)
        # Half a character, which JSON can escape, could not be repeated in an answer.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise FaultError(Fault.PARAMETER_ILLEGAL) from None
    data = body.get("data") if isinstance(body, dict) else None
    if _is_empty(data):
        raise FaultError(Fault.PARAMETER_EMPTY)
    if not isinstance(data, dict):
        raise FaultError(Fault.PARAMETER_ILLEGAL)
    return data


def read_orders(data: dict[str, Any]) -> tuple[TaskOrder, ...]:
    """The items of a submission, in order.

    Raises:
        FaultError: an item lacks a required field, or a value is of the wrong type or out of range.
    """
    items = data.get("task_list")
    if _is_empty(items):
        raise FaultError(Fault.PARAMETER_EMPTY)
    if not isinstance(items, list) or len(items) > TASK_LIST_MAX_ITEMS:
        raise FaultError(Fault.PARAMETER_ILLEGAL)
    return tuple(_read_order(item) for item in items)


def read_result_key(data: dict[str, Any]) -> str:
    """The key that a query asks about.

    Raises:
        FaultError: it is absent, or not a text.
    """
    key = data.get("result_key")
    if _is_empty(key):
        raise FaultError(Fault.PARAMETER_EMPTY)
    if not isinstance(key, str):
        raise FaultError(Fault.PARAMETER_ILLEGAL)
    return key


def _read_order(item: Any) -> TaskOrder:
    if not isinstance(item, dict):
        raise FaultError(Fault.PARAMETER_ILLEGAL)
    if any(_is_empty(item.get(name)) for name in _REQUIRED):
        raise FaultError(Fault.PARAMETER_EMPTY)
    echo = {name: item[name] for name in _LEGAL if name in item}
    if not all(_LEGAL[name](value) for name, value in echo.items() if value is not None):
        raise FaultError(Fault.PARAMETER_ILLEGAL)
    if not (_is_web_address(item["image"]) and _is_web_address(item["mask"])):
        raise FaultError(Fault.IMAGE_UNREACHABLE)
    return TaskOrder(
        image=item["image"],
        mask=item["mask"],
        positive_prompt=item["positive_prompt"],
        negative_prompt=item.get("negative_prompt") or "",
        guidance_scale=_as_float(_DEFAULT_GUIDANCE if item.get("guidance_scale") is None else item["guidance_scale"]),
        strength=float(item["strength"]),
        steps=item["steps"],
        num_output=item["num_output"],
        seed=item.get("seed"),
        echo=echo,
    )


def _is_empty(value: Any) -> bool:
    return value is None or value in ({}, []) or (isinstance(value, str) and not value.strip())


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _is_prompt(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= PROMPT_MAX_CHARACTERS


_LEGAL: Final[dict[str, Callable[[Any], bool]]] = {
    "image": lambda value: isinstance(value, str),
    "mask": lambda value: isinstance(value, str),
    "positive_prompt": _is_prompt,
    "negative_prompt": _is_prompt,
    "guidance_scale": _is_number,
    "strength": lambda value: _is_number(value) and 0 < value <= 1,
    "seed": _is_integer,
    "steps": lambda value: _is_integer(value) and value in STEPS,
    "num_output": lambda value: _is_integer(value) and value in NUM_OUTPUT,
}
"""What the document says of each field of an item, in its order."""
