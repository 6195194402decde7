"""Whether a receiver of webhooks does right: named checks, each with what to do when it fails.

Made for the shop's own tests. The pytest plugin beside this module has them as a fixture; `check_consumer` is the same
for every other way of testing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sceneshift.webhooks import consumer_situations as situations
from sceneshift.webhooks.consumer_trial import Consumer, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that a receiver must do.

    Attributes:
        remedy: what to change where it does not.
        run: tries it, and returns what went wrong; '' when nothing did.
        needs: the attribute of the consumer without which it cannot be tried.
    """

    name: str
    remedy: str
    run: Callable[[Trial], str]
    needs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A check that failed: what went wrong, and what to do about it."""

    name: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}\n    {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerReport:
    """What came of a trial: the names of the checks that passed and of those that were not tried, and the failures."""

    passed: tuple[str, ...]
    failed: tuple[Failed, ...]
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        if not self.failed:
            return f"the consumer of webhooks passed {len(self.passed)} checks"
        tried = len(self.passed) + len(self.failed)
        head = f"the consumer of webhooks failed {len(self.failed)} of {tried} checks"
        tail = f"\nnot tried: {', '.join(self.left_out)}" if self.left_out else ""
        return "\n".join([head, *map(str, self.failed)]) + tail


def check_consumer(consumer: Consumer, *, without: Collection[str] = ()) -> ConsumerReport:
    """All checks were tried, except those in `without` and those that the consumer gives no means for.

    Where not even an ordinary event is accepted, the others would say nothing and are not tried.

    Raises:
        ValueError: `without` has a name that is no check.
    """
    if unknown := set(without) - {check.name for check in CHECKS}:
        raise ValueError(f"no such check: {', '.join(sorted(unknown))}; there are {', '.join(CHECK_NAMES)}")
    trial = Trial(consumer)
    wanted = [each for each in CHECKS if each.name not in without and _can_be_tried(each, consumer)]
    failed, tried = [], []
    for check in [_first_of(trial)] if not _accepts(trial) else wanted:
        tried.append(check.name)
        if what := check.run(trial):
            failed.append(Failed(name=check.name, what=what, remedy=check.remedy))
    failures = {failure.name for failure in failed}
    return ConsumerReport(
        passed=tuple(name for name in tried if name not in failures),
        failed=tuple(failed),
        left_out=tuple(name for name in CHECK_NAMES if name not in tried),
    )


def _can_be_tried(check: Check, consumer: Consumer) -> bool:
    return not check.needs or getattr(consumer, check.needs) is not None


def _accepts(trial: Trial) -> bool:
    return trial.send(trial.event()).is_accepted


def _first_of(trial: Trial) -> Check:
    """The check that says why nothing is accepted: a receiver may look at another text than the one that it got."""
    return RAW_BODY if situations.accepts_dumped_again(trial) else VALID_EVENT


VALID_EVENT = Check(
    name="valid_event_accepted",
    run=situations.valid_event,
    remedy="Verify with the sender's secret and answer 2xx. Does the endpoint listen at this address, is the secret "
    "the right one, and is the route exempt from CSRF checks and from logging in?",
)
RAW_BODY = Check(
    name="raw_body_verified",
    run=situations.raw_body,
    remedy="Verify the bytes as they arrived: request.body (Django), request.get_data() (Flask), await request.body() "
    "(FastAPI, Starlette). A body that was parsed and dumped again has other bytes.",
)
_REFUSE = "Verify before anything else, with sceneshift.webhooks.verify, and answer 401 when it raises."

CHECKS = (
    VALID_EVENT,
    Check(
        name="answered_in_time",
        run=situations.in_time,
        remedy="Record the event and answer; do the work afterwards. A sender gives up after 15 s and tries again.",
    ),
    Check(
        name="duplicate_acts_once",
        run=situations.duplicate,
        remedy="Keep webhook-id under a unique key, inserted in the transaction that does the work, and answer 2xx to "
        "an id that is there already.",
        needs="acted",
    ),
    Check(
        name="old_secret_accepted",
        run=situations.old_secret,
        remedy="Give verify both secrets while one replaces the other.",
        needs="old_secret",
    ),
    Check(
        name="several_signatures_accepted",
        run=situations.several_signatures,
        remedy="webhook-signature holds several signatures, separated by spaces: one that matches is enough.",
    ),
    Check(name="wrong_secret_refused", run=situations.wrong_secret, remedy=_REFUSE),
    Check(
        name="tampered_event_refused",
        run=situations.tampered,
        remedy=_REFUSE + " The id and the time are signed as well.",
    ),
    Check(
        name="late_event_refused",
        run=situations.late,
        remedy="Refuse a webhook-timestamp more than five minutes away from now: somebody plays back what they caught.",
    ),
    Check(name="unsigned_event_refused", run=situations.unsigned, remedy=_REFUSE),
    Check(
        name="forgery_leaves_no_trace",
        run=situations.forgery_first,
        remedy="Note webhook-id as seen after the signature was verified, never before.",
    ),
    Check(
        name="reordered_events_end_right",
        run=situations.reordered,
        remedy="Write a job's state only when data.sequence is higher than the one that you have, and answer 2xx "
        "to an older event.",
        needs="state",
    ),
    Check(
        name="every_type_accepted",
        run=situations.every_type,
        remedy="Answer 2xx to every authentic event, also to those that you do nothing about.",
    ),
    Check(
        name="unknown_type_accepted",
        run=situations.unknown_type,
        remedy="Answer 2xx to types that you do not know: later releases have more of them.",
    ),
    Check(
        name="unknown_fields_accepted",
        run=situations.unknown_fields,
        remedy="Ignore fields that you do not know: later releases have more of them.",
    ),
    RAW_BODY,
)

CHECK_NAMES = tuple(check.name for check in CHECKS)
