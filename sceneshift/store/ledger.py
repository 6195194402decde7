"""The ledger: what was submitted on each day, what that cost or may have cost, and who decided so.

A transition moves its lines in the script that moves the job, so that the sums are never behind the jobs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sceneshift.jobs.ledger import Decision, day_of
from sceneshift.jobs.states import Charge
from sceneshift.jobs.unknown_outcomes import UNKNOWN_MIN, UNKNOWN_SHARE_MAX, Grant
from sceneshift.store.changes import DAY_SECONDS, LEDGER_SECONDS, result_key_digest
from sceneshift.store.keys import Keys
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from redis import Redis

    from sceneshift.clock import Clock
    from sceneshift.jobs.record import JobRecord

INCIDENT_MINUTES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """So many submissions, which ordered so many images."""

    submissions: int = 0
    images: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(submissions=self.submissions + other.submissions, images=self.images + other.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDay:
    """One UTC day: the submissions whose intents were stored on it, and the decisions made on it.

    `not_understood` names what a later release wrote, and this one cannot count.
    """

    day: str
    entries: Mapping[tuple[Charge, str], Amount]
    decisions: tuple[Decision, ...]
    not_understood: tuple[str, ...] = ()

    def total(self, *charges: Charge) -> Amount:
        """All submissions of these charges."""
        return sum((amount for (charge, _), amount in self.entries.items() if charge in charges), Amount())


class Ledger:
    """The ledger of one deployment."""

    def __init__(self, client: Redis, keys: Keys, clock: Clock) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock
        self._spend = load_script(client, "spend")
        self._unclaimed = load_script(client, "unclaimed")

    def days(self) -> list[str]:
        """The days of which there is anything, as YYYY-MM-DD, the newest first."""
        now = self._clock.now()
        days = [day_of(now - number * DAY_SECONDS) for number in range(int(LEDGER_SECONDS / DAY_SECONDS) + 1)]
        with self._client.pipeline(transaction=False) as pipeline:
            for day in days:
                pipeline.exists(self._keys.ledger(day), self._keys.decisions(day))
            return [day for day, count in zip(days, pipeline.execute(), strict=True) if count]

    def day(self, day: str) -> LedgerDay:
        """What the ledger has of a day (YYYY-MM-DD); nothing, of a day without submissions."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(self._keys.ledger(day))
            pipeline.lrange(self._keys.decisions(day), 0, -1)
            counts, decisions = pipeline.execute()
        known = {name: text for name, text in counts.items() if _is_known(name)}
        read = [_decision(text) for text in decisions]
        strange = [f"decision {number}" for number, each in enumerate(read, 1) if each is None]
        return LedgerDay(
            day=day,
            entries=_entries(known),
            decisions=tuple(each for each in read if each),
            not_understood=(*sorted(counts.keys() - known.keys()), *strange),
        )

    def may_resubmit(self, images: int, budget_images: int) -> Grant:
        """Whether the policy may have so many images rendered again; they count against its budget of the day."""
        now = self._clock.now()
        minute = int(now // 60)
        answer: Grant = self._spend(
            keys=[
                self._keys.resubmitted(day_of(now)),
                *(self._keys.outcomes(minute - back) for back in range(INCIDENT_MINUTES)),
            ],
            args=[images, budget_images, UNKNOWN_SHARE_MAX, UNKNOWN_MIN],
        )
        return answer

    def note_unclaimed(self, job: JobRecord, result_key: str, *, left_behind: bool) -> bool:
        """The submission of this record is charged under a key that its job does not have; False when that was known.

        `left_behind` says that the job went on with another submission since. Otherwise it is charged beside the one
        that counts: one request was accepted twice.
        """
        now, sent_on = self._clock.now(), day_of(job.intent_at or self._clock.now())
        days = [day_of(moment) for moment in (now, now - DAY_SECONDS)]
        decision = Decision(
            at=now,
            job_id=job.id,
            action="unclaimed",
            by="provider",
            why=f"accepted late, under the result key {result_key[:100]}",
            images=job.order.num_output,
            charge=Charge.CHARGED,
        )
        return bool(
            self._unclaimed(
                keys=[
                    self._keys.result_keys(days[0], result_key),
                    self._keys.ledger(sent_on),
                    self._keys.decisions(days[0]),
                    self._keys.result_keys(days[1], result_key),
                ],
                args=[
                    result_key_digest(result_key),
                    job.id.removeprefix("job_"),
                    job.order.num_output,
                    json.dumps(asdict(decision), ensure_ascii=False, separators=(",", ":")),
                    int(LEDGER_SECONDS * 1000),
                    sent_on if left_behind else "",
                ],
            )
        )


def _is_known(name: str) -> bool:
    charge, _, rest = name.partition(":")
    return charge in _CHARGES and rest.count(":") == 1 and rest.rpartition(":")[2] in _UNITS


_CHARGES = frozenset(Charge)
_UNITS = Amount.__slots__


def _entries(counts: Mapping[str, str]) -> dict[tuple[Charge, str], Amount]:
    entries: dict[tuple[Charge, str], Amount] = {}
    for name, text in sorted(counts.items()):
        charge, state, unit = name.split(":")
        if int(text):
            key = (Charge(charge), state)
            entries[key] = entries.get(key, Amount()) + Amount(**{unit: int(text)})
    return entries


def _decision(text: str) -> Decision | None:
    """The decision, without fields of a later release; None when this one cannot read it."""
    try:
        fields = json.loads(text)
        known = {name: fields[name] for name in Decision.__slots__}
        return Decision(**{**known, "charge": Charge(known["charge"])})
    except (KeyError, TypeError, ValueError):
        return None
