"""What a job waits for, what happens to it next, and when: each gate's word as a sentence for people."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sceneshift.cli.output import clock_time
from sceneshift.identifiers import step_kind
from sceneshift.jobs.decisions import STARTS_MAX
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState

if TYPE_CHECKING:
    from sceneshift.client import Client

WAITS = {
    "backlog": "Its message, or the room for one, waits in the queue: the workers have more to do than they get done.",
    "blocked": "An image lies at an address that is not allowed. The provider is asked for fresh addresses.",
    "broker": "The broker does not answer, so that no message can be sent.",
    "fetch_failed": "An image could not be fetched from the provider.",
    "fetch_timeout": "An image came too slowly from the provider.",
    "http_status": "The address of an image was answered with an error. The provider is asked for fresh addresses.",
    "in_flight": "The provider is at as many jobs as it may be. The job takes a slot as soon as it finds one free.",
    "intent_log": "The intent could not be written to the bucket, and nothing is sent without it.",
    "job_store_disk": "The job store's disk did not confirm the intent in time, so nothing was sent.",
    "lane": "It is a bulk job: urgent ones go first, and no more are handed out than may be submitted.",
    "manifest_unknown": "A later release has written its manifest in a form that the workers here do not know.",
    "operator": "It waits for a person.",
    "provider_authorization": "The provider does not accept the AppCode. All jobs wait until somebody mends that.",
    "provider_configuration": "The provider's address or our settings of it are wrong.",
    "provider_credits": "The provider's account has no credits left. All jobs wait until somebody buys some.",
    "provider_throttled": "The provider says that it is asked too often.",
    "provider_unavailable": "The provider does not work. The job keeps its place until it is back.",
    "provider_unreachable": "No connection to the provider could be made, so nothing was sent.",
    "provider_verdict": "What the provider says about the job is grave, and it is asked again before that is believed.",
    "query_rate": "Our own rate of questions is used up.",
    "recovery": "The job store has lost recent writes. Nothing is submitted until the intents are merged back.",
    "storage_refused": "The object store says no: credentials, bucket, permissions or space.",
    "storage_unavailable": "The object store does not answer, or asks for patience.",
    "submit_rate": "Our own rate of submissions is used up. The job has a moment of its own, which is reserved for it.",
    "truncated": "The download of an image broke off.",
    "unknown_outcome": "The answer to its submission is lost, and the policy for that has the request sent again.",
}
"""Each word of `blocked_by` that has a sentence of its own."""

SOURCE = "Its image or mask cannot be had now ({word})."
STORING = "An image could not be stored ({word})."
OTHER = "It was put off ({word})."

ACTIONS = {
    "submit": "It is taken up for its submission",
    "poll": "The provider is asked for its result",
    "finalize": "Its images are copied",
}
"""What a step does, at a time that follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What happens to a job next. Times are unix seconds.

    Attributes:
        step: the step that comes next, or is going on; None when there is none any more.
        at: when it is taken up; None when nobody can say.
        blocked_by: what the job waits for; None when nothing is in its way.
        until: when that is expected to end.
        text: all of it as sentences.
    """

    step: str | None = None
    at: float | None = None
    blocked_by: str | None = None
    until: float | None = None
    text: str

    def document(self) -> dict[str, Any]:
        """The value as JSON."""
        return asdict(self)


def wait_sentence(word: str, kind: str) -> str:
    """What a job at a step of this kind waits for, when its `blocked_by` is this word."""
    if word in WAITS:
        return WAITS[word]
    if word.startswith("source_"):
        return SOURCE.format(word=word)
    return (STORING if kind == "finalize" else OTHER).format(word=word)


def what_next(job: JobRecord, due_at: float | None, now: float, waiting_messages: Callable[[str], int | None]) -> Next:
    """What happens to the job next; `due_at` is its entry in the due index, and `waiting_messages` asks a queue."""
    if job.state.is_final or due_at is None:
        ended = f" since {clock_time(job.finished_at)} UTC" if job.finished_at else ""
        return Next(text=f"Nothing happens any more: the job is {job.state}{ended}.")
    if math.isinf(due_at):
        about = f" {job.error.code}: {job.error.message.rstrip('.')}." if job.error else ""
        text = f"{WAITS['operator']}{about} Nothing happens by itself; decide with: sceneshift jobs resolve {job.id}"
        return Next(step=job.step, blocked_by=job.blocked_by or "operator", text=text)
    if job.begun and job.begun >= job.fence:
        return _at_work(job, due_at, now)
    is_marked = bool(job.blocked_by) and (job.blocked_until is None or job.blocked_until > now)
    if job.fence > job.begun and not is_marked:
        return _in_queue(job, due_at, now, waiting_messages)
    return _waiting(job, due_at, now)


def _at_work(job: JobRecord, due_at: float, now: float) -> Next:
    doing = "sending its request to the provider" if job.state is JobState.SUBMITTING else f"at {job.step}"
    text = f"A worker is {doing}. Should that worker be dead, another takes over {_when(due_at, now)}."
    if job.starts > 1:
        text += f" This is start {job.starts} of {job.step}; after {STARTS_MAX} without an end, the job is held."
    return Next(step=job.step, at=due_at, text=text)


def _in_queue(job: JobRecord, due_at: float, now: float, waiting_messages: Callable[[str], int | None]) -> Next:
    queue = f"sceneshift.{step_kind(job.step)}"
    count = waiting_messages(queue)
    messages = "an unknown number of messages" if count is None else f"{count} messages" if count != 1 else "1 message"
    text = f"Its message waits in the queue {queue} ({messages}) for a worker. "
    text += f"If none has taken it by then, it is looked after {_when(due_at, now)}."
    return Next(step=job.step, at=due_at, blocked_by="backlog", until=due_at, text=text)


def _waiting(job: JobRecord, due_at: float, now: float) -> Next:
    kind = step_kind(job.step)
    at = max(due_at, job.blocked_until or due_at) if job.blocked_by else due_at
    why = f"{wait_sentence(job.blocked_by, kind)} " if job.blocked_by else _untroubled(job)
    if at <= now:
        then = f"{job.step} is due, and a worker hands it out. If this does not change, no worker is running."
    else:
        then = f"{ACTIONS.get(kind, 'It goes on')} ({job.step}) {_when(at, now)}."
    return Next(step=job.step, at=at, blocked_by=job.blocked_by or None, until=job.blocked_until, text=f"{why}{then}")


def _untroubled(job: JobRecord) -> str:
    """Why a job waits although nothing is in its way."""
    if job.state is JobState.RENDERING:
        return "It is past its deadline; it is paid, so it goes on. " if job.overdue else "The provider renders it. "
    return "It waits for its turn; urgent jobs go first. " if job.state is JobState.QUEUED else ""


def _when(at: float, now: float) -> str:
    left_seconds = max(0, round(at - now))
    return f"at {clock_time(at)} UTC, in {left_seconds} s"


def next_of(client: Client, job: JobRecord) -> Next:
    """What happens to the job next, by the job store's clock.

    Raises:
        StoreUnavailableError: the job store could not be reached.
    """
    from sceneshift.errors import StoreUnavailableError  # noqa: PLC0415
    from sceneshift.queues import waiting_messages  # noqa: PLC0415
    from sceneshift.store.connection import translating  # noqa: PLC0415  # redis is loaded by the commands that need it

    with translating(StoreUnavailableError, "try again", job_id=job.id):
        due_at, now = client.store.due.due_at(job.id), client.store.clock.now()
    return what_next(job, due_at, now, lambda queue: waiting_messages(client.settings, queue))
