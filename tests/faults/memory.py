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


@dataclass(slots=True, eq=False)
class Memory:
    """The harness forgets nothing.

    Attributes:
        forgettable: jobs that the job store may have lost, because it was turned back to before it had them.
        unremembered: by job, submissions that the store has forgotten and whose sender was dead by then.
        unproven: submissions that left us without an intent that the job store knew.
    """

    kernel: Kernel
    state: StateServer
    store: Store
    forgettable: set[str] = field(default_factory=set)
    unremembered: Counter[str] = field(default_factory=Counter)
    unproven: list[str] = field(default_factory=list)
    _forgotten: set[str] = field(default_factory=set)
    _senders: dict[str, Process] = field(default_factory=dict)

    def note_submission(self, nonce: str | None) -> None:
        """At this moment a submission leaves us: a record must say so already, and be on disk."""
        if nonce not in self._forgotten and nonce not in self._intents():
            self.unproven.append(f"{nonce} was sent, and no record has its intent")
        if nonce is not None and self.kernel.process is not None:
            self._senders[nonce] = self.kernel.process

    @contextmanager
    def of_a_loss(self) -> Iterator[None]:
        """The job store loses writes inside: what it knew before is compared with what it knows afterwards."""
        jobs, intents = set(self._known()), self._intents()
        self._forgotten |= set(intents)
        yield
        self.forgettable |= jobs - set(self._known())
        left = self._intents()
        for nonce, job in intents.items():
            sender = self._senders.get(nonce)
            if nonce not in left and sender is not None and not sender.is_alive:
                self.unremembered[job.id] += 1

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
