"""Whoever judges must be able to see: an evidence without a flaw, one thing of it damaged, and the one sentence."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sceneshift.identifiers import delivery_id, event_id, submission_nonce
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import Charge, JobState
from storage.manifest import Manifest
from storage.names import job_folder
from tests.checkers import CHECKS, Bound, Evidence, ReceivedWebhook, StoredObject, problems_of
from tests.checkers.evidence import OwnLedger
from tests.factories import NOW, a_job, an_order
from tests.unit.flawless_evidence import (
    DIGEST,
    DONE,
    GONE,
    HELD,
    IMAGE,
    MANIFEST,
    OTHER_DIGEST,
    PROMPT,
    SECRET,
    an_evidence,
    call,
    delivered,
    received,
    through,
)

CANCELLING = "what_cancelling_cost_was_said_truly"


def with_job(job: JobRecord, **changes: Any) -> Callable[[Evidence], Evidence]:
    """One record is another."""
    return lambda evidence: replace(evidence, jobs={**evidence.jobs, job.id: job.evolve(**changes)})


def in_state(job: JobRecord, state: JobState) -> Callable[[Evidence], Evidence]:
    """One job is in another state, and its index and its timeline say so too."""

    def damage(evidence: Evidence) -> Evidence:
        indexes = {each: ids - {job.id} for each, ids in evidence.indexes.items()}
        indexes[state] |= {job.id}
        return replace(with_job(job, state=state)(evidence), indexes=indexes)

    return damage


def with_(**changes: Any) -> Callable[[Evidence], Evidence]:
    """Some of it is replaced."""
    return lambda evidence: replace(evidence, **changes)


def without(field: str, name: str) -> Callable[[Evidence], Evidence]:
    """One entry of a mapping is missing."""

    def damage(evidence: Evidence) -> Evidence:
        rest: Any = {key: value for key, value in getattr(evidence, field).items() if key != name}
        return replace(evidence, **{field: rest})

    return damage


def also(field: str, name: str, value: Any) -> Callable[[Evidence], Evidence]:
    """One entry of a mapping is there too, or another."""

    def damage(evidence: Evidence) -> Evidence:
        more: Any = {**getattr(evidence, field), name: value}
        return replace(evidence, **{field: more})

    return damage


def told(*webhooks: ReceivedWebhook) -> Callable[[Evidence], Evidence]:
    """The shop received these too."""
    return lambda evidence: replace(evidence, webhooks=[*evidence.webhooks, *webhooks])


def lost(evidence: Evidence) -> Evidence:
    """An order that its caller was told of is nowhere."""
    return replace(evidence, accepted={**evidence.accepted, STRAY.id: "stone"})


TWIN, STRAY = GONE.evolve(id=a_job().id), a_job()


def twin(evidence: Evidence) -> Evidence:
    """One call has become two jobs, and its caller knows of one."""
    indexes = {**evidence.indexes, TWIN.state: evidence.indexes[TWIN.state] | {TWIN.id}}
    seen = told(received(TWIN, "job.cancelled"))(evidence)
    return replace(
        seen,
        jobs={**seen.jobs, TWIN.id: TWIN},
        timelines={**seen.timelines, TWIN.id: through("queued", "cancelled")},
        deliveries={**seen.deliveries, TWIN.id: [delivered(TWIN, "job.cancelled")]},
        indexes=indexes,
    )


def paid_again(evidence: Evidence) -> Evidence:
    """The provider charged a job twice, and all our books know of it."""
    again = call(DONE, nonce=submission_nonce(DONE.id, 2), result_key="key-2")
    seen = with_job(DONE, submits=2, epoch=2)(evidence)
    return replace(seen, submits=[*evidence.submits, again], ledger=OwnLedger(charged=2, unknown=1))


DAMAGES: dict[str, tuple[Callable[[Evidence], Evidence], str]] = {
    "a job is lost": (lost, f"nothing_is_lost: accepted, and not in the job store: {STRAY.id}"),
    "a job still moves": (in_state(GONE, JobState.QUEUED), f"nothing_is_lost: neither final nor held: {GONE.id}"),
    "a job is held for nothing": (with_job(HELD, error=None), f"nothing_is_lost: held without a reason: {HELD.id}"),
    "one call became two jobs": (
        twin,
        f"no_call_became_two_orders: stored beside the job that its caller was told of: {TWIN.id}",
    ),
    "a job is charged twice": (
        lambda evidence: replace(paid_again(evidence), bound=Bound(more_in_all=None)),
        f"nothing_is_paid_twice: {DONE.id} was charged 2 times, and 1 is the most allowed",
    ),
    "more is charged again than the budget": (
        lambda evidence: replace(paid_again(evidence), bound=Bound(more_per_job=1, more_in_all=0)),
        "nothing_is_paid_twice: 1 times a job was paid for again, and 0 times it may be",
    ),
    "a charge had no intent": (
        with_job(HELD, submits=0),
        f"nothing_is_paid_twice: {HELD.id} was charged 1 times with 0 intents",
    ),
    "something else is charged": (
        lambda evidence: replace(
            evidence,
            submits=[*evidence.submits, call(HELD, positive_prompt="smoke", nonce="another")],
            ledger=OwnLedger(charged=1, unknown=2),
        ),
        "nothing_is_paid_twice: charged for no order of ours: smoke",
    ),
    "our ledger has more than was charged": (
        with_(ledger=OwnLedger(charged=3, unknown=0)),
        "the_ledger_is_true: the provider charged 2 images; our ledger says 3 to 3",
    ),
    "our ledger has less than was charged": (
        with_(ledger=OwnLedger(charged=1, unknown=0)),
        "the_ledger_is_true: the provider charged 2 images; our ledger says 1 to 1",
    ),
    "a charged job says that it is free": (
        with_job(HELD, charge=Charge.NOT_CHARGED),
        f"each_job_knows_its_cost: {HELD.id} (needs_attention) says that it was not charged, and it was",
    ),
    "a free job says that it is charged": (
        with_job(GONE, charge=Charge.CHARGED),
        f"each_job_knows_its_cost: {GONE.id} (cancelled) says that it was charged, and it was not",
    ),
    "a charge came under a foreign nonce": (
        with_(submits=[call(DONE), call(HELD, nonce="a stranger's")]),
        f"each_intent_came_first: {HELD.id} was charged under a nonce that it never had",
    ),
    "a nonce is charged twice": (
        lambda evidence: replace(
            with_job(HELD, submits=2)(evidence),
            submits=[*evidence.submits, call(HELD)],
            ledger=OwnLedger(charged=1, unknown=2),
            bound=Bound(more_per_job=1, more_in_all=1),
        ),
        f"each_intent_came_first: one nonce charged twice: {HELD.nonce}",
    ),
    "what was free was charged": (
        with_(cancelled={HELD.id: "free"}),
        f"{CANCELLING}: {HELD.id} was cancelled for free, as its caller was told, and was charged",
    ),
    "what was charged was free": (
        with_(cancelled={GONE.id: "charged_discarded"}),
        f"{CANCELLING}: {GONE.id} was cancelled, its caller was told that it was charged, and it was not",
    ),
    "what was to be dropped is there": (
        with_(cancelled={DONE.id: "charged_discarded"}),
        f"{CANCELLING}: {DONE.id} was cancelled, its result was to be dropped, and is there",
    ),
    "what was to be kept is gone": (
        lambda evidence: replace(
            with_job(GONE, submits=1, charge=Charge.CHARGED, nonce="n")(evidence),
            submits=[*evidence.submits, call(GONE, nonce="n")],
            cancelled={GONE.id: "charged_kept"},
            ledger=OwnLedger(charged=2, unknown=1),
        ),
        f"{CANCELLING}: {GONE.id} was cancelled, its result was to be kept, and nothing is there",
    ),
    "a manifest is missing": (
        lambda evidence: without("objects", MANIFEST)(without("manifests", DONE.id)(evidence)),
        f"what_is_stored_is_right: {DONE.id} is succeeded without a manifest",
    ),
    "a manifest says something else": (
        also("manifests", DONE.id, Manifest(job_id=DONE.id, images=(), missing=(), about={})),
        f"what_is_stored_is_right: {DONE.id}: the manifest and the record name different images",
    ),
    "a dropped job has a manifest": (
        lambda evidence: also("manifests", GONE.id, Manifest(job_id=GONE.id, images=(), missing=(), about={}))(
            with_job(GONE, cancel="discard")(evidence)
        ),
        f"what_is_stored_is_right: {GONE.id} is not wanted, and has a manifest",
    ),
    "a job succeeded with half of its images": (
        with_job(DONE, order=an_order(positive_prompt=PROMPT, num_output=2)),
        f"what_is_stored_is_right: {DONE.id} succeeded with 1 of 2 images",
    ),
    "an image is missing": (
        without("objects", IMAGE),
        f"what_is_stored_is_right: {DONE.id}: {IMAGE} is not in the bucket",
    ),
    "an image has other bytes": (
        also("objects", IMAGE, StoredObject(size_bytes=3, sha256=OTHER_DIGEST, is_image=True)),
        f"what_is_stored_is_right: {DONE.id}: {IMAGE} has other bytes than the record says",
    ),
    "an image is cut": (
        also("objects", IMAGE, StoredObject(size_bytes=3, sha256=DIGEST, is_image=False)),
        f"what_is_stored_is_right: {DONE.id}: {IMAGE} is no whole picture",
    ),
    "an image is another job's": (
        with_(pictures={"key-1": [OTHER_DIGEST]}),
        f"what_is_stored_is_right: {DONE.id}: {IMAGE} is not what the provider made for it",
    ),
    "an image is left of a cancelled job": (
        also("objects", f"{job_folder(GONE.id)}/0.png", StoredObject(size_bytes=3, sha256=DIGEST, is_image=True)),
        f"what_is_stored_is_right: images of no job that has any: {job_folder(GONE.id)}",
    ),
    "an object lies beside the images": (
        also("objects", f"{job_folder(DONE.id)}/9.png", StoredObject(size_bytes=3, sha256=DIGEST, is_image=True)),
        f"what_is_stored_is_right: {DONE.id} has objects that nobody knows of: {job_folder(DONE.id)}/9.png",
    ),
    "a webhook is forged": (
        told(received(DONE, "job.completed", is_authentic=False)),
        f"what_is_told_is_true: {event_id(DONE.id, 1)} arrived with a signature that does not verify",
    ),
    "a webhook tells what never was": (
        told(received(GONE.evolve(state=JobState.FAILED), "job.cancelled")),
        f"what_is_told_is_true: {event_id(GONE.id, 1)} tells that {GONE.id} is failed, and it never was",
    ),
    "a webhook comes under two ids": (
        told(received(DONE, "job.completed", id="evt_another")),
        f"what_is_told_is_true: events told under two ids: {DONE.id} job.completed",
    ),
    "one id stands for two webhooks": (
        told(received(DONE, "job.overdue")),
        f"what_is_told_is_true: {event_id(DONE.id, 1)} stands for 2 events",
    ),
    "a webhook was never sent": (
        lambda evidence: replace(without("deliveries", DONE.id)(evidence), webhooks=evidence.webhooks[1:]),
        f"the_end_was_told: {DONE.id} is succeeded, and no webhook says so",
    ),
    "a webhook is still to come": (
        also("deliveries", DONE.id, [delivered(DONE, "job.completed", status="pending")]),
        f"the_end_was_told: {delivery_id(DONE.id, 1)} (job.completed) is still to be delivered",
    ),
    "a delivered webhook never arrived": (
        lambda evidence: replace(evidence, webhooks=evidence.webhooks[1:]),
        f"the_end_was_told: {delivery_id(DONE.id, 1)} counts as delivered, and nobody has it",
    ),
    "a delivered webhook was refused": (
        lambda evidence: replace(
            evidence, webhooks=[received(DONE, "job.completed", accepted=False), *evidence.webhooks[1:]]
        ),
        f"the_end_was_told: {delivery_id(DONE.id, 1)} counts as delivered, and nobody has it",
    ),
    "a job went back": (
        also("timelines", DONE.id, through("queued", "submitting", "rendering", "queued", "storing", "succeeded")),
        f"the_states_follow_the_table: {DONE.id} went from rendering to queued",
    ),
    "a due entry is left": (
        also("due", DONE.id, NOW),
        f"nothing_is_left_over: due, and not held: {DONE.id}",
    ),
    "a held job is looked at by itself": (
        also("due", HELD.id, NOW),
        f"nothing_is_left_over: held, and looked at by itself: {HELD.id}",
    ),
    "a held job is at no index": (
        without("due", HELD.id),
        f"nothing_is_left_over: held, and looked at by itself: {HELD.id}",
    ),
    "a job is counted in a state that it left": (
        also("indexes", JobState.QUEUED, frozenset({DONE.id})),
        f"nothing_is_left_over: counted as queued, wrongly: {DONE.id}",
    ),
    "a job is not counted": (
        also("indexes", JobState.SUCCEEDED, frozenset()),
        f"nothing_is_left_over: succeeded, and not counted so: {DONE.id}",
    ),
    "a slot leaks": (with_(slots_in_use=1), "nothing_is_left_over: 1 slots are in use, and nothing is at the provider"),
    "a lease is left": (with_(leases=[DONE.id]), f"nothing_is_left_over: leases of nobody: {DONE.id}"),
    "a key is left in the spool": (with_(spooled=["key-9"]), "nothing_is_left_over: left in the spool: key-9"),
    "a secret is in a log": (
        also("captured", "the log", f"url={SECRET}".encode()),
        "no_secret_came_out: the secret key stands in the log (as it is)",
    ),
    "a secret is in a log, URL-encoded": (
        also("captured", "the log", b"url=canary%2Fsecret%2B1"),
        "no_secret_came_out: the secret key stands in the log (URL-encoded)",
    ),
    "a secret is in a log, JSON-escaped": (
        lambda evidence: also("captured", "the log", b'{"key": "canary\\"secret"}')(
            also("canaries", "key", 'canary"secret')(evidence)
        ),
        "no_secret_came_out: the secret key stands in the log (JSON-escaped)",
    ),
    "a secret is in a log, hexadecimal": (
        also("captured", "the log", SECRET.encode().hex().encode()),
        "no_secret_came_out: the secret key stands in the log (hexadecimal)",
    ),
    "a secret is in a log, in base64": (
        also("captured", "the log", base64.b64encode(f"xy{SECRET}".encode())),
        "no_secret_came_out: the secret key stands in the log (base64)",
    ),
    "a prompt is where only the store may have it": (
        also("captured", "the log", PROMPT.encode()),
        "no_secret_came_out: the secret prompt stands in the log (as it is)",
    ),
}


def test_a_run_that_kept_its_promises_has_no_problems() -> None:
    """Nothing is found where nothing is wrong."""
    assert problems_of(an_evidence()) == []


@pytest.mark.parametrize(("damage", "sentence"), DAMAGES.values(), ids=DAMAGES.keys())
def test_each_damage_is_seen(damage: Callable[[Evidence], Evidence], sentence: str) -> None:
    """The one thing that is wrong is said, in one sentence that names it, and nothing else is."""
    assert set(problems_of(damage(an_evidence()))) == {sentence}


def test_no_check_is_without_a_damage() -> None:
    """Each check is held against something that only it can see."""
    seen = {sentence.partition(":")[0] for _, sentence in DAMAGES.values()}
    assert seen == {check.__name__ for check in CHECKS}


def test_what_the_run_explains_is_no_problem() -> None:
    """A job that the store was turned back before, and a second payment that a person asked for."""
    forgotten = replace(lost(an_evidence()), forgettable=frozenset({STRAY.id}))
    assert problems_of(forgotten) == []
    assert problems_of(replace(paid_again(an_evidence()), more_allowed={DONE.id: 1})) == []
