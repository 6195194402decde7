"""Recovery mode: nothing is submitted while the job store may have forgotten what was submitted already.

A server that lost recent writes shows a job as `queued` whose request was sent and is paid for; to go on from there is
to pay twice. So every process is a witness. It knows how many of its intents the store has confirmed, which identity
the store has, and how far its stream of writes had come; when the store knows less than that, the deployment goes into
recovery mode. `advance.lua` then stores no intent; everything else goes on.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from redis.exceptions import ResponseError

from sceneshift.jobs.intents import Intent, Merged
from sceneshift.jobs.record import JobRecord
from sceneshift.store.keys import Keys
from sceneshift.store.rollback import DAY_SECONDS, WITNESS_DAYS, Replication, Sight, loss, witness_day
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock

log = logging.getLogger(__name__)

REMEMBERED_MAX = 5000
REMEMBERED_SECONDS = 86_400.0
"""A process remembers its intents for a day, and the latest 5,000 at the most: some megabytes."""
_MERGED = "merged:"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryState:
    """Recovery mode as it is on. Times are unix seconds by the job store's clock.

    Attributes:
        begins: how many processes have found that something is lost.
        merged: what each process has merged back, by its name.
    """

    since: float
    reason: str
    by: str
    begins: int
    merged: Mapping[str, Merged]

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Self | None:
        """What the hash says; None when the mode is off."""
        if "since" not in fields:
            return None
        return cls(
            since=float(fields["since"]),
            reason=fields.get("reason", ""),
            by=fields.get("by", ""),
            begins=int(fields.get("begins", "1")),
            merged={
                name.removeprefix(_MERGED): Merged.from_json(json.loads(text))
                for name, text in fields.items()
                if name.startswith(_MERGED)
            },
        )


class Recovery:
    """One process's memory of the job store, and the mode that all processes share. Thread-safe."""

    def __init__(self, client: Redis, keys: Keys, clock: Clock) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._asked = threading.local()
        self._witness = ""
        self._count = 0
        self._seen: Sight | None = None
        self._intents: deque[Intent] = deque(maxlen=REMEMBERED_MAX)
        self.latest = 0
        """How many intents this process has ever remembered: more than before, and there is something new to merge."""
        self._know = load_script(client, "know_generation")
        self._begin = load_script(client, "begin_recovery")
        self._claim = load_script(client, "claim_recovery")
        self._note = load_script(client, "note_merge")
        self._end = load_script(client, "end_recovery")

    @property
    def process(self) -> str:
        """What this process is called where it leaves its name."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def witness(self) -> tuple[str, int]:
        """This process's witness, and how many of its intents the store has confirmed: it may not know of fewer."""
        today = self._today()
        with self._lock:
            if witness_day(self._witness) != today:
                self._begin_witness(today)
            self._asked.witness = self._witness
            return self._witness, self._count

    def witnessed(self, job: JobRecord | None = None) -> None:
        """The store has confirmed the intent for which this thread asked last; `job` is the record that it made."""
        with self._lock:
            # Meanwhile the witness may have been replaced: the store counted this intent for the old one.
            if getattr(self._asked, "witness", None) == self._witness:
                self._count += 1
            if job is not None:
                self._intents.append(Intent.of(job))
                self.latest += 1

    def remembered(self) -> list[Intent]:
        """The intents of this process, the oldest first."""
        oldest = self._clock.now() - REMEMBERED_SECONDS
        with self._lock:
            while self._intents and self._intents[0].at < oldest:
                self._intents.popleft()
            return list(self._intents)

    def look(self) -> RecoveryState | None:
        """Whether recovery mode is on; it has been begun when the store knows less than this process.

        The first look, and the first after the mode was begun here, only learns what there is.
        """
        today = self._today()
        # Before the store is read: an intent that is stored meanwhile may only raise what is found.
        with self._lock:
            seen, own = self._seen, {self._witness: self._count} if self._count else {}
        found, recovery = self._sight(is_first=seen is None)
        before = seen or Sight(generation=found.generation)
        reason = loss(replace(before, counts={**before.counts, **own}), found, today=today)
        if reason:
            self.begin(reason)
            return self.state()
        self._learn(found, seen)
        self._forget_old_witnesses(found.counts, today)
        return RecoveryState.from_fields(recovery)

    def state(self) -> RecoveryState | None:
        """Recovery mode as it is on; None when it is off."""
        fields: Mapping[str, str] = self._client.hgetall(self._keys.recovery)  # type: ignore[assignment]  # redis-py: maybe awaitable
        return RecoveryState.from_fields(fields)

    def last(self) -> Mapping[str, Any] | None:
        """How recovery mode ended the last time: since, reason, begun_by, ended_at, ended_by, note, merged."""
        text: str | None = self._client.hget(self._keys.generation, "last_recovery")  # type: ignore[assignment]  # redis-py: maybe awaitable
        return json.loads(text) if text else None

    def begin(self, reason: str, *, by: str = "") -> bool:
        """Recovery mode is on; True when this call began it. What was known of the store before counts no more."""
        by = by or self.process
        is_first = self._begin(
            keys=[self._keys.recovery, self._keys.generation],
            args=[f"{self._clock.now():.3f}", reason, by, secrets.token_hex(8)],
        )
        today = self._today()
        with self._lock:
            self._seen = None
            self._begin_witness(today)
        log.error("recovery.begun" if is_first else "recovery.confirmed", extra={"reason": reason, "by": by})
        return bool(is_first)

    def claim(self, seconds: float) -> bool:
        """Whether it is this process that merges for all, for so long."""
        now = self._clock.now()
        args = [self.process, f"{now:.3f}", f"{now + seconds:.3f}"]
        return bool(self._claim(keys=[self._keys.recovery], args=args))

    def note_merge(self, merged: Merged, *, of: str = "") -> None:
        """What was merged stands in the mode's description, under the name of whose intents they were."""
        args = [merged.intents, merged.held, merged.restored, merged.unclaimed, merged.unknown]
        self._note(
            keys=[self._keys.recovery],
            args=[_MERGED + (of or self.process), f"{self._clock.now():.3f}", secrets.token_hex(8), *args],
        )

    def end(self, *, by: str, note: str, begins: int | None = None) -> str:
        """Recovery mode is off: `ended`, or `off` when it was not on.

        `again`: it stays on, because it was begun more often than the `begins` that the caller knew of.
        """
        answer = self._end(
            keys=[self._keys.recovery, self._keys.generation],
            args=[
                f"{self._clock.now():.3f}",
                by,
                note,
                "" if begins is None else str(begins),
                secrets.token_hex(8),
            ],
        )
        if answer == "ended":
            log.warning("recovery.ended", extra={"by": by, "note": note})
        return str(answer)

    def _today(self) -> int:
        return int(self._clock.now() // DAY_SECONDS)

    def _begin_witness(self, today: int) -> None:
        self._witness, self._count = f"{today}-{secrets.token_hex(6)}", 0

    def _sight(self, *, is_first: bool) -> tuple[Sight, Mapping[str, str]]:
        keys = self._keys
        if is_first:
            self._know(keys=[keys.generation], args=[secrets.token_hex(8)])
        # The offset first: what is found out after it may only be more.
        replication = self._replication()
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hget(keys.generation, "id")
            pipeline.hgetall(keys.witnesses)
            pipeline.hgetall(keys.recovery)
            generation, counts, recovery = pipeline.execute()
        numbers = {witness: int(count) for witness, count in counts.items()}
        return Sight(generation=generation or "", counts=numbers, replication=replication), recovery

    def _replication(self) -> Replication | None:
        try:
            return Replication.from_info(self._client.info("replication"))
        except ResponseError:
            # Not every server lets its users ask; the witnesses and the identity remain.
            return None

    def _learn(self, found: Sight, seen: Sight | None) -> None:
        """The sight is what counts from now on; where the server did not say how far it was, the last word remains."""
        replication = found.replication or (seen.replication if seen else None)
        with self._lock:
            if self._seen is seen:
                self._seen = Sight(generation=found.generation, counts=found.counts, replication=replication)

    def _forget_old_witnesses(self, counts: Mapping[str, int], today: int) -> None:
        old = [witness for witness in counts if witness_day(witness) < today - WITNESS_DAYS]
        if old:
            self._client.hdel(self._keys.witnesses, *old)
