"""What the job store had confirmed before it lost its last writes, and who still knows of it.

A submission that the store has forgotten is remembered by the worker that sent it, by a worker that has looked since,
or by the intent log in the bucket. Where its only witness was killed, nobody can know that it was ever sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sceneshift.jobs.record import JobRecord
from sceneshift.store.opening import Store
from tests.faults.kernel import Kernel, Process
from tests.faults.state_server import StateServer
from workers.recovery_keeper import INTERVAL_SECONDS

SECONDS_TO_LOOK = 2 * INTERVAL_SECONDS
"""Within this time after a loss, the workers have looked at the job store and remembered it what they know."""


@dataclass(slots=True, eq=False)
class Memory:
    """The harness forgets nothing.

    Attributes:
        forgettable: jobs that the job store may have lost, because it was turned back to before it had them.
        looks: when each process began its last look at the store that it has ended.
        unremembered: by job, submissions that were sent again after the store had forgotten them, while nobody who knew
            of them could have said so: neither their sender nor any worker that has looked since was alive, awake, and
            had had the time to look again.
        unproven: submissions that left us without an intent that the job store knew, or with one of recovery mode.
    """

    kernel: Kernel
    state: StateServer
    store: Store
    forgettable: set[str] = field(default_factory=set)
    unremembered: Counter[str] = field(default_factory=Counter)
    unproven: list[str] = field(default_factory=list)
    looks: dict[Process, float] = field(default_factory=dict)
    _lost_at: dict[str, float] = field(default_factory=dict)
    """When the store lost the intent of a submission that was confirmed, by its nonce."""
    _forgotten: set[str] = field(default_factory=set)
    _begun: frozenset[str] | None = None
    """The intents that there were when a person began recovery mode."""
    _sent: dict[str, tuple[Process, float]] = field(default_factory=dict)
    """Who sent a submission first, and when."""
    _witnesses: dict[str, list[Process]] = field(default_factory=dict)
    """Who knew of a submission when the store forgot it."""

    def note_submission(self, nonce: str | None) -> None:
        """At this moment a submission leaves us: a record must say so already, and be on disk."""
        intents, sender = self._intents(), self.kernel.process
        job = intents.get(nonce or "")
        if job is None and nonce not in self._forgotten:
            self.unproven.append(f"{nonce} was sent, and no record has its intent")
        if self._begun is not None and nonce not in self._begun and self.state.has(self.store.keys.recovery):
            self.unproven.append(f"{nonce} was sent in recovery mode")
        if nonce is None or sender is None:
            return
        first, _ = self._sent.setdefault(nonce, (sender, self.kernel.now))
        if job is not None and nonce in self._lost_at and first is not sender and not self._could_be_told(nonce):
            self.unremembered[job.id] += 1

    def _could_be_told(self, nonce: str) -> bool:
        """Whether anybody who knew of the submission has had the time to tell the store what it forgot."""
        now = self.kernel.now
        has_time = now - self._lost_at[nonce] > SECONDS_TO_LOOK
        return has_time and any(each.is_alive and each.stopped_until <= now for each in self._witnesses[nonce])

    def note_recovery(self) -> None:
        """Recovery mode was begun just now: only what has its intent already may still be sent."""
        self._begun = frozenset(self._intents())

    @contextmanager
    def of_a_loss(self, *, were_confirmed: bool) -> Iterator[None]:
        """The job store loses writes inside: what it knew before is compared with what it knows afterwards.

        Unless these writes were confirmed, a submission among them was sent too early, and nothing excuses that.
        """
        jobs, intents = set(self._known()), self._intents()
        self._forgotten |= set(intents)
        yield
        self.forgettable |= jobs - set(self._known())
        if were_confirmed:
            left = self._intents()
            for nonce in intents.keys() - left.keys():
                self._lost_at[nonce] = self.kernel.now
                self._witnesses[nonce] = self._knowing(nonce)

    def _knowing(self, nonce: str) -> list[Process]:
        """The submission's first sender, and whoever has looked at the store since."""
        if nonce not in self._sent:
            return []
        sender, at = self._sent[nonce]
        return [sender, *(process for process, looked_at in self.looks.items() if looked_at > at)]

    def _intents(self) -> dict[str, JobRecord]:
        """The submissions of which the job store has an intent, by their nonces."""
        with self.state.seen():
            jobs = [self.store.jobs.load(job_id) for job_id in list(self._known())]
        return {job.nonce: job for job in jobs if job is not None and job.intent_at is not None}

    def _known(self) -> Iterator[str]:
        for key in self.state.fake.dbs[0]._dict:
            name = key.decode()
            if name.count(":") == 2 and ":job:" in name:
                yield name.rpartition(":")[2]
