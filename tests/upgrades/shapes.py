"""What kinds of things a scene has, without their values: keys, fields, words of closed lists, parts of documents.

Two scenes with the same shapes can be read by the same code.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.upgrades.corpus import Scene

WORDS = frozenset(
    {"version", "state", "step", "charge", "earlier_charge", "cancel", "status", "type", "event", "action"}
)
"""The fields whose values are words that other releases must know."""
_NAMES = (
    (re.compile(r"(job_|dlv_|evt_)?[0-7][0-9A-HJKMNP-TV-Z]{25}(_\d+(_[0-9a-z]{10})?)?"), "ID"),
    (re.compile(r"url_[0-9a-f]{16}|ep_[0-9a-z]{10}"), "ID"),
    (re.compile(r"\d{4}[-/]\d\d[-/]\d\d"), "DAY"),
    (re.compile(r"\d+-[0-9a-f]{12}"), "WITNESS"),
    (re.compile(r"[0-9a-f]{32}"), "DIGEST"),
    (re.compile(r"merged:.*"), "merged:PROCESS"),
    (re.compile(r"(?<=result_keys:DAY:)[0-9a-f]{2}"), "NN"),
    (re.compile(r"(?<=outcomes:)\d+"), "MINUTE"),
    (re.compile(r"(?<=latency:)\d+:\d+"), "STEPS:OUTPUTS"),
    (re.compile(r"(?<=/)\d+(?=\.)"), "NUMBER"),
    (re.compile(r"^\d+(?=\.jsonl)"), "FILE"),
)


def shapes_of(scene: Scene) -> set[str]:
    """Each kind of thing in a scene, as a line of text."""
    return {
        *_of_store(scene.redis),
        *(shape for queue, messages in scene.queues.items() for each in messages for shape in _of_message(queue, each)),
        *(
            shape
            for text in scene.spool.values()
            for line in text.splitlines()
            for shape in _of_document("spool", json.loads(line))
        ),
        *(
            shape
            for name, entry in scene.objects.items()
            for shape in (
                *_of_text(f"object {_general(name)}", str(entry.get("body", ""))),
                *(f"object {_general(name)} metadata {each}" for each in entry["metadata"]),
            )
        ),
    }


def _of_store(dump: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for key, entry in dump.items():
        name, value = _general(key.partition(":")[2]), entry["value"]
        yield f"key {name} ({entry['type']})"
        match entry["type"]:
            case "hash" if name in {"provider:answers", "result_keys:DAY:NN"}:
                yield from (f"key {name} {'+' if '+' in text else 'plain'}" for text in value.values())
            case "hash":
                yield from _of_fields(f"key {name}", value)
            case "string":
                yield from _of_text(f"key {name}", value)
            case "list":
                for text in value:
                    yield from _of_text(f"key {name}", text)
            case "stream":
                for _, fields in value:
                    yield from _of_fields(f"key {name}", fields)


def _of_fields(where: str, fields: Mapping[str, str]) -> Iterator[str]:
    for field, text in fields.items():
        yield from _of_field(where, _general(field), text)


def _of_field(where: str, field: str, value: Any) -> Iterator[str]:
    yield f"{where} {field}"
    if field in WORDS:
        yield f"{where} {field}={str(value).rpartition('-')[0] if field == 'step' else value}"
    elif isinstance(value, str):
        yield from _of_text(f"{where} {field}", value)


def _of_text(where: str, text: str) -> Iterator[str]:
    """Only documents have parts."""
    if text.startswith("{"):
        try:
            document = json.loads(text)
        except ValueError:
            return
        yield from _of_document(where, document)


def _of_document(where: str, document: Any) -> Iterator[str]:
    if isinstance(document, list):
        for each in document:
            yield from _of_document(f"{where}[]", each)
    elif isinstance(document, Mapping) and not where.endswith("metadata"):
        for name, value in document.items():
            yield from _of_field(where, name, value)
            yield from _of_document(f"{where} {name}", value)


def _of_message(queue: str, envelope: Mapping[str, Any]) -> Iterator[str]:
    args, kwargs, embedded = json.loads(base64.b64decode(envelope["body"]))
    where = f"message in {queue}"
    yield f"{where}: task {envelope['headers']['task']}, {len(args)} positional arguments"
    yield f"{where}: {envelope['content-type']}, {envelope['content-encoding']}"
    for part, names in (
        ("argument", kwargs),
        ("embedded", embedded),
        ("header", envelope["headers"]),
        ("property", envelope["properties"]),
    ):
        yield from (f"{where}: {part} {name}" for name in names)


def _general(name: str) -> str:
    for pattern, replacement in _NAMES:
        name = pattern.sub(replacement, name)
    return name
