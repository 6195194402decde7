"""What others might push into a queue: each with the reason for which a worker drops it."""

from __future__ import annotations

import base64
import bz2
import json
import pickle
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sceneshift.identifiers import delivery_id
from sceneshift.messages import TASKS
from sceneshift.store.bad_messages import Reason
from tests.factories import a_job

CANARY = "canary-in-garbage"
NESTED = 100_000
NOBODY = a_job().id
STEPS = {"submit": "submit-1", "poll": "poll-001", "finalize": "finalize-1", "notify": "notify-01"}


@dataclass(frozen=True, slots=True)
class Garbage:
    """An item of a queue, and why it is dropped."""

    name: str
    item: bytes
    reason: Reason


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))


def nested(levels: int) -> list[Any]:
    """A list in a list in a list."""
    whole: list[Any] = []
    for _ in range(levels):
        whole = [whole]
    return whole


def good_keywords(task: str) -> dict[str, Any]:
    """The arguments of this task's message, about a job that nobody has ordered."""
    kind = task.rpartition(".")[2]
    keywords = {"job_id": NOBODY, "sku": CANARY, "step": STEPS[kind]}
    return {**keywords, "delivery_id": delivery_id(NOBODY, 1)} if kind == "notify" else keywords


def good_headers(task: str) -> dict[str, Any]:
    """The headers that Celery 5.7 gives this task's message."""
    task_id = f"{NOBODY}:{STEPS[task.rpartition('.')[2]]}"
    return {
        "lang": "py", "task": task, "id": task_id, "shadow": None, "eta": None, "expires": None, "group": None,
        "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": task_id, "parent_id": None,
        "argsrepr": "()", "kwargsrepr": "{}", "origin": "gen1@shop", "ignore_result": False,
        "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {},
    }  # fmt: skip


NO_FOLLOW_UPS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def envelope(task: str, body: bytes | None = None, headers: Mapping[str, Any] | None = None, **parts: Any) -> bytes:
    """A message as kombu puts it into a Redis list: a good one, except for what is given."""
    body = json.dumps([[], good_keywords(task), NO_FOLLOW_UPS]).encode() if body is None else body
    whole = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {**good_headers(task), **(headers or {})},
        "properties": {
            "correlation_id": "c",
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": task},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
        **{name.replace("_", "-"): value for name, value in parts.items()},
    }
    return json.dumps(whole).encode()


def garbage(task: str, bomb: Path) -> list[Garbage]:
    """All of it, for the queue of this task; none of it may create the file."""
    return [*_no_envelopes(task), *_contents(task, bomb), *_headers(task), *_arguments(task), *_follow_ups(task)]


def _no_envelopes(task: str) -> list[Garbage]:
    properties = json.loads(envelope(task))["properties"]
    odd = {
        "a number": b"17",
        "null": b"null",
        "a list": b"[1, 2]",
        "an empty object": b"{}",
        "no properties": _without(task, "properties"),
        "properties that are a list": envelope(task, properties=[]),
        "no headers": _without(task, "headers"),
        "no delivery tag": envelope(task, properties={**properties, "delivery_tag": None}),
        "a delivery tag with line breaks": envelope(task, properties={**properties, "delivery_tag": "a\r\nDEL b\r\n"}),
        "no delivery information": envelope(task, properties={**properties, "delivery_info": None}),
        "a routing key of Redis": envelope(
            task, properties={**properties, "delivery_info": {"exchange": "", "routing_key": "*\r\nFLUSHALL"}}
        ),
        "wrong base64": _with(task, "body", "abc"),
        "an unknown body encoding": envelope(task, properties={**properties, "body_encoding": "rot13"}),
        "a body that is a list": _with(task, "body", [[], {}, {}]),
    }
    unreadable = {
        "text": CANARY.encode(),
        "nothing": b" ",
        "half an envelope": envelope(task)[:-40],
        "invalid UTF-8": b"\xff\xfe\x00" + CANARY.encode(),
        "deep nesting": b"[" * NESTED + b"]" * NESTED,
        "nesting without end": b'{"a":' * 9_000,
        "a number of ten thousand digits": b"1" * 10_000,
        "an odd type of kombu's": b'{"__type__": "uuid", "__value__": {"int": "x"}}',
        "control characters": b'\x1b[2J\x00\r\n{"event": "forged"}',
    }
    return [
        *(Garbage(name, item, Reason.ENVELOPE) for name, item in odd.items()),
        *(
            Garbage(name, item, Reason.TOO_LARGE if len(item) > 1 << 16 else Reason.UNREADABLE)
            for name, item in unreadable.items()
        ),
        Garbage("a string of a megabyte", json.dumps("x" * 1_000_000).encode(), Reason.TOO_LARGE),
        Garbage("a body of two megabytes", envelope(task, body=b"x" * 2_000_000), Reason.TOO_LARGE),
    ]


def _with(task: str, name: str, value: Any) -> bytes:
    return json.dumps({**json.loads(envelope(task)), name: value}).encode()


def _without(task: str, name: str) -> bytes:
    return json.dumps({key: value for key, value in json.loads(envelope(task)).items() if key != name}).encode()


def _contents(task: str, bomb: Path) -> list[Garbage]:
    pickled = pickle.dumps(Bomb(bomb))
    yaml = f"!!python/object/apply:os.mkdir ['{bomb}']".encode()
    packed = bz2.compress(b"0" * 50_000_000)
    deep = b"[" * 20_000 + b"]" * 20_000
    contents = {
        "pickle": envelope(
            task, body=pickled, content_type="application/x-python-serialize", content_encoding="binary"
        ),
        "pickle in JSON's name": envelope(task, body=pickled),
        "pickle as data": envelope(task, body=pickled, content_type="application/data"),
        "yaml": envelope(task, body=yaml, content_type="application/x-yaml"),
        "msgpack": envelope(task, body=b"\x93\x90\x80\x80", content_type="application/x-msgpack"),
        "an unknown type": envelope(task, content_type="application/x-tar"),
        "a type that is a list": envelope(task, content_type=["application/json"]),
        "an encoding that is a number": envelope(task, content_encoding=8),
        "no type": envelope(task, content_type=None),
        "another coding": envelope(task, content_encoding="rot13"),
        "packed": envelope(task, body=packed, headers={"compression": "bzip2"}),
        "packed by nobody": envelope(task, headers={"compression": ["x"]}),
        "a body of text": envelope(task, body=CANARY.encode()),
        "an empty body": envelope(task, body=b""),
        "a body of invalid UTF-8": envelope(task, body=b"\xff\xfe"),
        "a deep body": envelope(task, body=deep),
        "a body without its parts": envelope(task, body=b"[[], {}]"),
        "a body that is an object": envelope(task, body=b'{"args": [], "kwargs": {}}'),
        "a body of the first protocol": envelope(task, body=json.dumps({"task": task, "id": "x"}).encode()),
    }
    return [Garbage(name, item, Reason.CONTENT) for name, item in contents.items()]


def _headers(task: str) -> list[Garbage]:
    unknown: dict[str, Any] = {
        "an unknown task": f"{CANARY}.task",
        "a task of Celery's": "celery.chord",
        "a mapping task": "celery.map",
        "a task with line breaks": "sceneshift.submit\r\n",
        "a task that is a list": ["sceneshift.submit"],
        "no task": None,
        "a task that is nested deep": nested(900),
    }
    options: dict[str, dict[str, Any]] = {
        "a time years away": {"eta": "2101-01-01T00:00:00+00:00"},
        "a time that is none": {"eta": "tomorrow"},
        "expired long ago": {"expires": "2001-01-01T00:00:00+00:00"},
        "expires never": {"expires": "NaN"},
        "an id that is null": {"id": None},
        "an id that is a list": {"id": ["a"]},
        "an id with control characters": {"id": 'x\r\n\x1b[31m{"event": "forged"}'},
        "a long id": {"id": "x" * 5_000},
        "an odd root": {"root_id": {"a": 1}},
        "a long argument list": {"kwargsrepr": "x" * 10_000},
        "an argument list with control characters": {"argsrepr": "\x1b]0;x\x07"},
        "a time limit that is text": {"timelimit": "soon"},
        "not a number": {"retries": float("nan")},
        "another name": {"shadow": f"{CANARY}\n"},
        "an attribute of the request": {"get": "x"},
        "whether to keep results, in words": {"ignore_result": "no"},
    }
    return [
        *(
            Garbage(name, envelope(task, headers={"task": value}), Reason.UNKNOWN_TASK)
            for name, value in unknown.items()
        ),
        *(Garbage(name, envelope(task, headers=value), Reason.OPTIONS) for name, value in options.items()),
        Garbage("no id", _without_id(task), Reason.OPTIONS),
    ]


def _without_id(task: str) -> bytes:
    headers = {name: value for name, value in good_headers(task).items() if name != "id"}
    return _with(task, "headers", headers)


def _arguments(task: str) -> list[Garbage]:
    good = good_keywords(task)
    odd_ids: dict[str, Any] = {
        "a list": [NOBODY], "an object": {"id": NOBODY}, "a number": 17, "null": None, "not a number": float("nan"),
        "a long text": "job_" + "0" * 40_000, "line breaks": f"{NOBODY}\r\nFLUSHALL\r\n", "a wildcard": "job_*",
        "hash tags": f"{{a}}{NOBODY}", "a path": f"../../{NOBODY}", "another key": f"{NOBODY}:order",
        "digits of another script": NOBODY[:-1] + "\u0660",
    }  # fmt: skip
    odd: dict[str, dict[str, Any]] = {
        "none at all": {},
        "no step": {name: value for name, value in good.items() if name != "step"},
        "an argument of a later release": {**good, "tenant": CANARY},
        "a step of another task": {**good, "step": "refund-1"},
        "a step that is no step": {**good, "step": "submit-1\n"},
        "an sku that is a list": {**good, "sku": [CANARY]},
        "a delivery of another key": {**good, "delivery_id": f"dlv_{NOBODY[4:]}_1:*"},
        "many jobs": {"job_ids": [NOBODY, "job_*"], "steps": ["poll-001", "poll-001"]},
        "jobs without steps": {"job_ids": [NOBODY], "steps": []},
        **{f"a job id that is {name}": {**good, "job_id": value} for name, value in odd_ids.items()},
    }
    bodies = {name: json.dumps([[], keywords, NO_FOLLOW_UPS]).encode() for name, keywords in odd.items()}
    bodies["positional arguments beside the others"] = json.dumps([[NOBODY], good, NO_FOLLOW_UPS]).encode()
    bodies["positional arguments"] = json.dumps([[NOBODY, "submit-1"], {}, NO_FOLLOW_UPS]).encode()
    bodies["keyword arguments in a list"] = json.dumps([[], [NOBODY], NO_FOLLOW_UPS]).encode()
    return [
        *(Garbage(name, envelope(task, body=body), Reason.ARGUMENTS) for name, body in bodies.items()),
        Garbage("a job of nobody", envelope(task), Reason.UNKNOWN_JOB),
        Garbage("a job of nobody, with keys twice", _twice(envelope(task)), Reason.UNKNOWN_JOB),
        Garbage("a header that is half a character", envelope(task, headers={"\ud800": "\ud800"}), Reason.UNKNOWN_JOB),
        Garbage("a header of a later release", envelope(task, headers={"tenant": CANARY}), Reason.UNKNOWN_JOB),
    ]


def _twice(item: bytes) -> bytes:
    """The same envelope, each of whose keys is there twice: the last one counts, for whoever reads it."""
    return b'{"body": 1, "headers": [], "properties": 0, ' + item[1:]


def _follow_ups(task: str) -> list[Garbage]:
    signature = {"task": TASKS[0], "args": [], "kwargs": good_keywords(TASKS[0]), "options": {}}
    embedded: dict[str, Any] = {
        "callbacks": {**NO_FOLLOW_UPS, "callbacks": [signature]},
        "error callbacks": {**NO_FOLLOW_UPS, "errbacks": [signature]},
        "a chain": {**NO_FOLLOW_UPS, "chain": [signature]},
        "a chord": {**NO_FOLLOW_UPS, "chord": signature},
        "follow-ups in a list": [signature],
    }
    bodies = {name: json.dumps([[], good_keywords(task), follow_ups]).encode() for name, follow_ups in embedded.items()}
    return [
        *(Garbage(name, envelope(task, body=body), Reason.FOLLOW_UPS) for name, body in bodies.items()),
        *(
            Garbage(f"{name} in the headers", envelope(task, headers={name: [signature]}), Reason.FOLLOW_UPS)
            for name in ("callbacks", "chain", "chord", "group")
        ),
    ]


def control_garbage() -> list[Garbage]:
    """What is no command, for the channel on which all workers hear of remote control."""
    items = {
        Reason.UNREADABLE: [CANARY.encode(), b"[" * 50_000],
        Reason.ENVELOPE: [b"{}", b"[]", b'{"properties": 1}'],
        Reason.TOO_LARGE: [b'"' + b"x" * 1_000_000 + b'"'],
    }
    ping: dict[str, Any] = {"method": "ping"}
    commands: list[Any] = [
        [], None, CANARY, {}, {"method": f"{CANARY}\r\n"}, {"method": ["ping"]}, {**ping, "arguments": [1]},
        {**ping, "destination": 5}, {**ping, "pattern": "(a+)+$", "matcher": "pcre"}, {**ping, "reply_to": "x"},
        {**ping, "reply_to": {"exchange": "", "routing_key": "*\r\nFLUSHALL"}}, {**ping, "ticket": ["x"]},
    ]  # fmt: skip
    clocks: list[Any] = ["noon", -1, 1 << 70, 1.5]
    return [
        *(Garbage(str(item[:8]), item, reason) for reason, each in items.items() for item in each),
        *(Garbage(str(body), command(body), Reason.CONTROL) for body in commands),
        *(Garbage(f"at {clock}", command(ping, clock=clock), Reason.CONTROL) for clock in clocks),
        Garbage("pickle", command(ping, content_type="application/x-python-serialize"), Reason.CONTROL),
    ]


def command(body: Any, *, clock: Any = 1, **parts: Any) -> bytes:
    """A message of remote control as kombu publishes it."""
    whole = json.loads(envelope(TASKS[0], body=json.dumps(body).encode(), **parts))
    whole["headers"] = {"clock": clock, "expires": 0}
    whole["properties"]["delivery_info"] = {"exchange": "celery.pidbox", "routing_key": ""}
    return json.dumps(whole).encode()
