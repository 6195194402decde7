"""What a release leaves behind, as files that every later one is tried on: `tests/upgrades/RELEASE/SCENE.json`.

A scene is a deployment at one moment: every key of its job store, the messages in its queues as the broker has them,
the spool of a worker, and its bucket. What is text in there stays text, byte for byte.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis

ROOT = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A deployment at one moment.

    Attributes:
        now: unix seconds by the job store's clock.
        settings: those that are not the tests' own.
        ends: by job, the state in which a later release must bring it to rest.
        paid: the nonces under which something was or may have been accepted, so that they may not be sent again.
        redis: by key, its type, how long it lives (None: for good), and its value; a sorted set has texts as scores,
            and a stream pairs of ids and fields.
        queues: by queue, the messages as the broker has them.
        spool: by file, its text.
        objects: by name, `body` (text, or base64 as `bytes`), `content_type` and `metadata`.
    """

    now: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    ends: Mapping[str, str] = field(default_factory=dict)
    paid: tuple[str, ...] = ()
    redis: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    queues: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    spool: Mapping[str, str] = field(default_factory=dict)
    objects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_text(self) -> str:
        """The scene as a file that people can read and compare."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Scene:
        """What `to_text` wrote."""
        document = json.loads(text)
        return cls(**{**document, "paid": tuple(document["paid"])})


def releases() -> list[str]:
    """The releases of which there is a corpus, the oldest first."""
    names = [path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0].isdigit()]
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")])


def scenes_of(release: str) -> dict[str, Scene]:
    """The scenes of a release, by name."""
    return {
        path.stem: Scene.from_text(path.read_text(encoding="utf-8")) for path in sorted((ROOT / release).glob("*.json"))
    }


def dumped(client: Redis) -> dict[str, dict[str, Any]]:
    """Every key of a server."""
    reader: Any = client
    readers: dict[str, Any] = {
        "hash": lambda key: dict(sorted(reader.hgetall(key).items())),
        "string": client.get,
        "list": lambda key: client.lrange(key, 0, -1),
        "zset": lambda key: {member: repr(score) for member, score in reader.zrange(key, 0, -1, withscores=True)},
        "stream": lambda key: [[place, fields] for place, fields in reader.xrange(key)],
    }
    dump: dict[str, dict[str, Any]] = {}
    keys: list[str] = sorted(client.keys("*"))  # type: ignore[arg-type]  # redis-py: maybe awaitable
    for key in keys:
        kind = str(client.type(key))
        dump[key] = {"type": kind, "ttl_seconds": _lifetime(client, key), "value": readers[kind](key)}
    return dump


def _lifetime(client: Redis, key: str) -> int | None:
    milliseconds = int(client.pttl(key))
    if milliseconds < 0:
        return None
    return math.ceil(milliseconds / 1000)


def restore(client: Redis, dump: Mapping[str, Mapping[str, Any]]) -> None:
    """The server has these keys too."""
    for key, entry in dump.items():
        value = entry["value"]
        match entry["type"]:
            case "hash":
                client.hset(key, mapping=value)
            case "string":
                client.set(key, value)
            case "list":
                client.rpush(key, *value)
            case "zset":
                client.zadd(key, {member: float(score) for member, score in value.items()})
            case "stream":
                for place, fields in value:
                    client.xadd(key, fields, id=place)
        if entry["ttl_seconds"] is not None:
            client.expire(key, entry["ttl_seconds"])


def packed(body: bytes) -> dict[str, str]:
    """An object's body, as text where it is text."""
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"bytes": base64.b64encode(body).decode()}


def unpacked(entry: Mapping[str, Any]) -> bytes:
    """What `packed` packed."""
    return str(entry["body"]).encode() if "body" in entry else base64.b64decode(entry["bytes"])
