"""The job store's server in a simulation: the real Lua and the real client, over a connection that has accidents.

fakeredis runs the commands. Around it are what a network and a machine do to them: requests and answers get lost, the
server refuses writes, is away, comes back without its last writes, or is replaced by a copy that had fallen behind.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from fakeredis import FakeRedisConnection, FakeServer
from redis import ConnectionPool, Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from sceneshift.store.connection import Patience
from tests.faults.kernel import Kernel, Process
from tests.faults.quick_socket import QuickSocket

READS = frozenset(
    {"get", "hget", "hgetall", "hmget", "zrange", "zscore", "zcard", "zcount", "lrange", "exists", "time", "info",
     "script", "ping", "multi", "exec"}
)  # fmt: skip
REFUSALS: dict[str, RedisError] = {
    "out of memory": ResponseError("OOM command not allowed when used memory > 'maxmemory'."),
    "read-only": ReadOnlyError("You can't write against a read only replica."),
    "loading": BusyLoadingError("Redis is loading the dataset in memory"),
    "disk full": ResponseError("MISCONF Redis is configured to save, but is currently not able to persist on disk."),
}
EVERY_SECOND = 1.0
_NAME = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Za-z]+)\r\n")
_WAIT = b"*4\r\n$7\r\nWAITAOF\r\n"


@dataclass(slots=True)
class Line:
    """What the network does to the round trips of one kind of process; shares from 0 to 1."""

    lost_requests: float = 0.0
    lost_answers: float = 0.0
    refusal: str = ""
    """What every write is answered, one of `REFUSALS`; empty when the server is well."""


@dataclass(slots=True)
class StateServer:
    """The server, its journal of writes, and what is on its disk."""

    kernel: Kernel
    has_wait: bool = True
    """Whether it knows WAITAOF."""
    line: Line = field(default_factory=Line)
    fake: FakeServer = field(default_factory=lambda: FakeServer(version=(7,)))
    journal: list[tuple[float, bytes]] = field(default_factory=list)
    synced: int = 0
    losses: int = 0
    """How often it has lost anything."""

    def __post_init__(self) -> None:
        # The scripts were loaded by others before; to load them in each world would only take time.
        self.fake.script_cache.update(SCRIPT_TEXTS)

    def client(self, process: Process | None, patience: Patience) -> Redis:
        """A connection of this process; None is the harness, which nothing disturbs."""
        pool = ConnectionPool(
            connection_class=SimulatedConnection,
            simulated=(self, process),
            server=self.fake,
            version=(7,),
            decode_responses=True,
            protocol=2,
            socket_timeout=patience.timeout_seconds,
            retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), patience.retries),
            retry_on_error=[RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError],
        )
        return Redis(connection_pool=pool)

    def record(self, commands: bytes) -> None:
        """These commands were run; what they wrote is on disk within a second."""
        self._sync_every_second()
        self.journal.append((self.kernel.now, commands))

    def sync(self) -> None:
        """All that was written is on disk."""
        self.synced = len(self.journal)

    def _sync_every_second(self) -> None:
        before = self.kernel.now - EVERY_SECOND
        while self.synced < len(self.journal) and self.journal[self.synced][0] <= before:
            self.synced += 1

    def lose(self, count: int) -> None:
        """The last so many writes never happened, as far as the server knows."""
        self.losses += 1
        kept = self.journal[: len(self.journal) - count]
        with self.seen():
            self._rebuild(kept)
        self.journal = kept
        self.synced = len(kept)
        self.drop_connections()

    def _rebuild(self, writes: Sequence[tuple[float, bytes]]) -> None:
        """The server knows these writes, and no others."""
        with self.fake.lock:
            self.fake.dbs[0].clear()
        pool = ConnectionPool(
            connection_class=SimulatedConnection, simulated=(self, None), server=self.fake, protocol=2
        )
        connection = pool.get_connection()
        for _, commands in writes:
            # Not through `record`: this is what was recorded.
            connection.replay(commands)  # type: ignore[attr-defined]  # it is ours
        pool.disconnect()

    @property
    def unsynced(self) -> int:
        """So many of the last writes would be lost in a power failure now."""
        self._sync_every_second()
        return len(self.journal) - self.synced

    def written_since(self, moment: float) -> int:
        """So many writes are younger."""
        return sum(1 for at, _ in self.journal if at > moment)

    def drop_connections(self) -> None:
        """Every open connection is dead; new ones can be made."""
        for sock in list(self.fake.sockets):
            # The garbage collection may close some meanwhile, and those cannot be killed.
            if sock in self.fake.sockets:
                sock.kill()

    @contextmanager
    def seen(self) -> Iterator[None]:
        """The harness sees what the server has, even while nobody else can reach it."""
        connected, self.fake.connected = self.fake.connected, True
        try:
            yield
        finally:
            self.fake.connected = connected

    def due_at(self, key: str) -> float | None:
        """The earliest score of this sorted set, looked at without a command."""
        item = self.fake.dbs[0]._dict.get(key.encode())
        return float(item.value._byscore[0][0]) if item is not None and len(item.value) else None

    def field(self, key: str, name: str) -> str:
        """A field of this hash, looked at without a command; empty when there is none."""
        item = self.fake.dbs[0]._dict.get(key.encode())
        value = None if item is None else item.value.get(name.encode())
        return value.decode() if value is not None else ""

    def has_due_job(self, key: str) -> bool:
        """Whether a job, and not webhooks alone, is in this due index with a time; looked at without a command."""
        item = self.fake.dbs[0]._dict.get(key.encode())
        return item is not None and any(
            float(at) < math.inf and member.startswith(b"job_") for at, member in item.value._byscore
        )

    def has(self, key: str) -> bool:
        """Whether there is such a key, looked at without a command."""
        return key.encode() in self.fake.dbs[0]._dict


class SimulatedConnection(FakeRedisConnection):
    """One connection of one process: each batch of commands is one effect of it."""

    def __init__(self, *, simulated: tuple[StateServer, Process | None], **options: Any) -> None:
        super().__init__(**options)
        self._state, self._process = simulated
        self._is_connecting = False

    def _connect(self) -> QuickSocket:
        server = self._state.fake
        if not server.connected:
            raise RedisConnectionError("the simulated server is away")
        return QuickSocket(server, client_class=Redis, db=0)

    def connect(self) -> None:
        self._is_connecting = True
        try:
            super().connect()
        finally:
            self._is_connecting = False

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # redis-py's own
        if self._is_connecting or self._process is None:
            super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]  # redis-py
            return
        data = command if isinstance(command, bytes) else b"".join(command)
        names = [name.decode().lower() for name in _NAME.findall(data)]
        writes = any(name not in READS for name in names)
        self._state.kernel.effect(f"redis {_label(data, names)}", lambda: self._perform(data, names, writes=writes))

    def _perform(self, data: bytes, names: Sequence[str], *, writes: bool) -> None:
        state, chance = self._state, self._state.kernel.random
        if chance.random() < state.line.lost_requests:
            state.kernel.counts["redis request lost"] += 1
            self._break_off(chance.choice([RedisTimeoutError, RedisConnectionError]))
        if state.line.refusal and writes:
            state.kernel.counts[f"redis {state.line.refusal}"] += 1
            self.connect()
            for _ in names:
                self.get_socket().put_response(REFUSALS[state.line.refusal])
            return
        self._run(data, is_write=writes)
        if chance.random() < state.line.lost_answers:
            state.kernel.counts["redis answer lost"] += 1
            self._break_off(chance.choice([RedisTimeoutError, RedisConnectionError]))

    def _run(self, data: bytes, *, is_write: bool) -> None:
        head, wait, _ = data.partition(_WAIT)
        if head:
            super().send_packed_command([head], check_health=False)  # type: ignore[no-untyped-call]  # redis-py
            if is_write:
                self._state.record(head)
        if wait and self._state.has_wait:
            self._state.sync()
            self.get_socket().put_response([1, 0])
        elif wait:
            self.get_socket().put_response(ResponseError("unknown command 'WAITAOF'"))

    def replay(self, data: bytes) -> None:
        """The commands are run once more, unseen, and their answers thrown away."""
        super().send_packed_command([data], check_health=False)  # type: ignore[no-untyped-call]  # redis-py
        responses = self.get_socket().responses
        while responses is not None and not responses.empty():
            responses.get()

    def _break_off(self, error: type[RedisError]) -> None:
        self.disconnect()  # type: ignore[no-untyped-call]  # redis-py
        raise error("the simulated network failed")


def _label(data: bytes, names: Sequence[str]) -> str:
    """What the commands are, with scripts by their names."""
    if "evalsha" in names or "eval" in names:
        return SCRIPTS.get(data.split(b"\r\n", 5)[4].decode("ascii", "replace"), "script")
    return "+".join(dict.fromkeys(names))


def _scripts() -> dict[str, tuple[str, str]]:
    """The scripts by the digests that Redis gives them: name and text, with the part that some have, and without."""
    folder = resources.files("sceneshift.store") / "lua"
    texts = {path.name.removesuffix(".lua"): path.read_text("utf-8") for path in folder.iterdir()}
    forms = [(name, form) for name, text in texts.items() for form in (text, f"{texts['unpark']}\n{text}")]
    return {hashlib.sha1(text.encode()).hexdigest(): (name, text) for name, text in forms}  # noqa: S324  # Redis's choice


_FOUND = _scripts()
SCRIPTS = {digest: name for digest, (name, _) in _FOUND.items()}
SCRIPT_TEXTS = {digest.encode(): text.encode() for digest, (_, text) in _FOUND.items()}
