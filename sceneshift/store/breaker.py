"""The breaker: while the provider cannot work for us, nothing is submitted but one job's probe now and then.

It is one hash for all workers. While it is open for an outage, one of them asks the provider a question every few
seconds, which starts no rendering: a question costs nothing, and a probe may cost a submission whose answer is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sceneshift.jobs.gates import OUTAGE
from sceneshift.store.keys import Keys
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis import Redis

    from sceneshift.clock import Clock

FAILURES_MAX = 3
"""So many submissions in a row that came to nothing, of all workers, are an outage."""
OUTAGE_PAUSE_FIRST_SECONDS = 5.0
OUTAGE_PAUSE_MAX_SECONDS = 600.0
"""While questions are answered and only submissions fail: the pauses between probes, doubling."""
ACCOUNT_PAUSE_SECONDS = 60.0
"""An account without credits, a refused key or a wrong setting is probed once a minute: people mend those."""
BLIND_PAUSE_SECONDS = 1800.0
"""While questions fail too there is no probe; but a provider that cannot answer just these may not stop us for good."""
QUESTION_SECONDS = 3.0
QUESTION_LEASE_SECONDS = 10.0
"""A question that takes longer than this is asked again, by whoever comes next: its worker may be dead."""
SILENCE_SECONDS = 30.0
"""A silence of so long that ends is the end of an outage: one job probes at once, whatever its pause has grown to."""
PROBE_SECONDS = 60.0
"""After so long another job may probe: the worker of the last one is dead."""
SOON_SECONDS = 1.0
SEEN_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """The breaker at one moment. Times are unix seconds.

    Attributes:
        is_open: nothing is submitted but a probe.
        blocked_by: why, as on a job's record; '' while it is closed.
        until: when the provider is looked at next, by a question or a probe.
        since: when it opened.
        lets_one_through: one job may probe now.
    """

    is_open: bool
    blocked_by: str = ""
    until: float | None = None
    since: float | None = None
    lets_one_through: bool = False


CLOSED = BreakerState(is_open=False)


def next_look(reason: str, *, probe_at: float, question_at: float, now: float) -> float:
    """When the provider is looked at next while the breaker is open, at least a moment from now."""
    look_at = min(probe_at, question_at) if reason == OUTAGE else probe_at
    return max(look_at, now + SOON_SECONDS)


class Breaker:
    """The breaker of one deployment."""

    def __init__(self, client: Redis, keys: Keys, clock: Clock) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock
        self._note_submission = load_script(client, "note_submission")
        self._begin_question = load_script(client, "begin_question")
        self._note_question = load_script(client, "note_question")
        self._seen_at = float("-inf")
        self._seen = CLOSED

    def state(self) -> BreakerState:
        """The breaker as it is now."""
        fields: Mapping[str, str] = self._client.hgetall(self._keys.breaker)  # type: ignore[assignment]
        reason = fields.get("reason", "")
        if not reason:
            return CLOSED
        now, probe_at = self._clock.now(), float(fields["next"])
        return BreakerState(
            is_open=True,
            blocked_by=reason,
            until=next_look(reason, probe_at=probe_at, question_at=float(fields["question_at"]), now=now),
            since=float(fields["since"]),
            lets_one_through=now >= probe_at,
        )

    def wants_answers(self) -> bool:
        """Whether it was open for an outage when this process last looked, at most a second ago."""
        now = self._clock.now()
        if not self._seen_at <= now < self._seen_at + SEEN_SECONDS:
            self._seen, self._seen_at = self.state(), now
        return self._seen.blocked_by == OUTAGE

    def note_submission(self, job_id: str, submission: str, verdict: str) -> str:
        """What became of a submission is known (`gates.verdict_of`); returns what it changed.

        `submission` is a text that no other submission has: the same one again changes nothing. The answer is `opened`,
        `closed`, `failed` (of the probe: the breaker stays open) or nothing.
        """
        answer: str = self._note_submission(
            keys=[self._keys.breaker],
            args=[
                f"{self._clock.now():.6f}",
                verdict,
                job_id,
                submission,
                OUTAGE,
                FAILURES_MAX,
                OUTAGE_PAUSE_FIRST_SECONDS,
                OUTAGE_PAUSE_MAX_SECONDS,
                ACCOUNT_PAUSE_SECONDS,
                BLIND_PAUSE_SECONDS,
            ],
        )
        return answer

    def begin_question(self) -> bool:
        """Whether it is for this caller, of all workers, to ask the provider a question now."""
        answer = self._begin_question(
            keys=[self._keys.breaker], args=[f"{self._clock.now():.6f}", OUTAGE, QUESTION_LEASE_SECONDS]
        )
        return bool(answer)

    def note_question(self, *, is_answered: bool) -> str:
        """Whether the provider answered a question is known; returns `answered` or `failed` when that is news."""
        answer: str = self._note_question(
            keys=[self._keys.breaker],
            args=[
                f"{self._clock.now():.6f}",
                "1" if is_answered else "0",
                OUTAGE,
                QUESTION_SECONDS,
                SILENCE_SECONDS,
                BLIND_PAUSE_SECONDS,
            ],
        )
        return answer
