"""The promises as functions: each takes the evidence of a run and returns sentences, none when it was kept."""

from __future__ import annotations

import base64
import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from urllib.parse import quote

from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import TRANSITIONS, Charge, JobState
from storage.manifest import Manifest
from storage.names import job_folder, manifest_name
from tests.checkers.evidence import Evidence

NAMED_MAX = 20
STORED = frozenset({JobState.SUCCEEDED, JobState.PARTIAL})
SETTLED = frozenset({JobState.NEEDS_ATTENTION, *(state for state in JobState if state.is_final)})
FINAL_WEBHOOKS = {
    JobState.SUCCEEDED: "job.completed",
    JobState.PARTIAL: "job.completed",
    JobState.FAILED: "job.failed",
    JobState.CANCELLED: "job.cancelled",
}


def nothing_is_lost(evidence: Evidence) -> Iterator[str]:
    """Accepted orders are final or held, all of them."""
    missing = [job_id for job_id in evidence.accepted if job_id not in evidence.jobs]
    yield from _named("accepted, and not in the job store", set(missing) - evidence.forgettable)
    moving = [job.id for job in evidence.jobs.values() if job.state not in SETTLED]
    yield from _named("neither final nor held", moving)
    silent = [job.id for job in evidence.jobs.values() if job.state is JobState.NEEDS_ATTENTION and not job.error]
    yield from _named("held without a reason", silent)


def no_call_became_two_orders(evidence: Evidence) -> Iterator[str]:
    """A caller who repeats a call with its idempotency key has one job, and there is no other of that order."""
    told = set(evidence.accepted.values())
    doubles = [
        job.id
        for job in evidence.jobs.values()
        if job.id not in evidence.accepted and job.order.positive_prompt in told
    ]
    yield from _named("stored beside the job that its caller was told of", doubles)


def nothing_is_paid_twice(evidence: Evidence) -> Iterator[str]:
    """The provider has charged each order as often as the policy allows at most, and only for what was intended."""
    charges = _charges_by_prompt(evidence)
    jobs = {job.order.positive_prompt: job for job in evidence.jobs.values()}
    prompts = {*jobs, *evidence.accepted.values()}
    yield from _named("charged for no order of ours", [prompt for prompt in charges if prompt not in prompts])
    for prompt, job in jobs.items():
        forgotten = evidence.unremembered.get(job.id, 0)
        most = 1 + evidence.bound.more_per_job + evidence.more_allowed.get(job.id, 0) + forgotten
        if charges[prompt] > most:
            yield f"{job.id} was charged {charges[prompt]} times, and {most} is the most allowed"
        if charges[prompt] > job.submits + forgotten:
            yield f"{job.id} was charged {charges[prompt]} times with {job.submits} intents"
    if evidence.bound.more_in_all is not None:
        explained = {
            job.id: evidence.more_allowed.get(job.id, 0) + evidence.unremembered.get(job.id, 0) for job in jobs.values()
        }
        again = sum(max(0, charges[prompt] - 1 - explained[job.id]) for prompt, job in jobs.items())
        if again > evidence.bound.more_in_all:
            yield f"{again} times a job was paid for again, and {evidence.bound.more_in_all} times it may be"


def the_ledger_is_true(evidence: Evidence) -> Iterator[str]:
    """What our ledger says was charged, and may have been, holds the provider's sum between them.

    A ledger that went back with its store is not rebuilt: then there is nothing to compare.
    """
    if evidence.was_turned_back:
        return
    if contradiction := evidence.ledger.contradicts(sum(1 for call in evidence.submits if call["charged"])):
        yield contradiction


def each_job_knows_its_cost(evidence: Evidence) -> Iterator[str]:
    """No job says that it cost nothing when it was charged, or that it was when it was not."""
    charges = _charges_by_prompt(evidence)
    for job in evidence.jobs.values():
        paid = charges[job.order.positive_prompt] > 0
        if paid and job.charge is Charge.NOT_CHARGED:
            yield f"{job.id} ({job.state}) says that it was not charged, and it was"
        if not paid and job.charge is Charge.CHARGED:
            yield f"{job.id} ({job.state}) says that it was charged, and it was not"


def what_cancelling_cost_was_said_truly(evidence: Evidence) -> Iterator[str]:
    """Whoever was told that a cancelled job is free did not pay for it, and whoever was told that it is paid for did.

    What was to be kept is there when the provider has made it; what was to be dropped is not. After a job store was
    turned back, a job may not know of its cancelling.
    """
    if evidence.was_turned_back:
        return
    charges = _charges_by_prompt(evidence)
    for job_id, answer in evidence.cancelled.items():
        job = evidence.jobs.get(job_id)
        if job is None:
            continue
        paid = charges[job.order.positive_prompt] > 0
        if answer == "free" and paid:
            yield f"{job_id} was cancelled for free, as its caller was told, and was charged"
        if answer.startswith("charged") and not paid:
            yield f"{job_id} was cancelled, its caller was told that it was charged, and it was not"
        if answer == "charged_kept" and job.state is JobState.CANCELLED and not (job.outputs or job.missing):
            yield f"{job_id} was cancelled, its result was to be kept, and nothing is there"
        if answer == "charged_discarded" and job.outputs:
            yield f"{job_id} was cancelled, its result was to be dropped, and is there"


def what_is_stored_is_right(evidence: Evidence) -> Iterator[str]:
    """A job that succeeded has its images in the bucket: whole, the provider's own, with one manifest that says so."""
    contents: dict[str, set[str]] = defaultdict(set)
    for name in evidence.objects:
        contents[name.rpartition("/")[0]].add(name)
    # Whoever stored them was told that they are stored; the job store forgot it, and the job took another way.
    forgotten = evidence.accepted if evidence.was_turned_back else evidence.forgettable
    for job in evidence.jobs.values():
        manifest = evidence.manifests.get(job.id)
        if job.state in STORED:
            yield from _wrongly_stored(evidence, job, manifest, contents[job_folder(job.id)])
        elif manifest is not None and job.cancel == "discard" and job.id not in forgotten:
            yield f"{job.id} is not wanted, and has a manifest"
    wanted = {job_folder(job.id) for job in evidence.jobs.values() if job.outputs}
    folders = {folder for folder, names in contents.items() if names and folder.startswith("results/")}
    unfinished = {
        job_folder(job.id) for job in evidence.jobs.values() if job.state not in {*STORED, JobState.CANCELLED}
    }
    forgotten_folders = {job_folder(job_id) for job_id in forgotten}
    yield from _named("images of no job that has any", folders - wanted - unfinished - forgotten_folders)


def _differing(said: Mapping[str, str], found: Mapping[str, str]) -> set[str]:
    return {key for key, value in said.items() if found.get(key) != value}


def _wrongly_stored(evidence: Evidence, job: JobRecord, manifest: Manifest | None, there: set[str]) -> Iterator[str]:
    if manifest is None:
        yield f"{job.id} is {job.state} without a manifest"
        return
    if (manifest.images, manifest.missing) != (job.outputs, job.missing):
        yield f"{job.id}: the manifest and the record name different images"
    if job.state is JobState.SUCCEEDED and len(job.outputs) != job.order.num_output:
        yield f"{job.id} succeeded with {len(job.outputs)} of {job.order.num_output} images"
    made = evidence.pictures.get(job.result_key, ())
    for output in job.outputs:
        found = evidence.objects.get(output.key)
        if found is None:
            yield f"{job.id}: {output.key} is not in the bucket"
        elif (found.sha256, found.size_bytes) != (output.sha256, output.size_bytes):
            yield f"{job.id}: {output.key} has other bytes than the record says"
        elif not found.is_image:
            yield f"{job.id}: {output.key} is no whole picture"
        elif made and output.sha256 != made[output.index]:
            yield f"{job.id}: {output.key} is not what the provider made for it"
    renditions = {each["key"]: each["sha256"] for each in manifest.about.get("renditions", ())}
    stored = {key: evidence.objects[key].sha256 for key in there & renditions.keys()}
    yield from _named(f"{job.id} has renditions that are not as the manifest says", _differing(renditions, stored))
    expected = {manifest_name(job.id), *(output.key for output in job.outputs), *renditions}
    yield from _named(f"{job.id} has objects that nobody knows of", there - expected)


def what_is_told_is_true(evidence: Evidence) -> Iterator[str]:
    """Webhooks are authentic, tell states that were stored, and have one id for each event."""
    bodies: dict[str, set[tuple[str, str, int]]] = defaultdict(set)
    for webhook in evidence.webhooks:
        if not webhook.is_authentic:
            yield f"{webhook.id} arrived with a signature that does not verify"
        data = webhook.body["data"]
        job_id, state, sequence = data["job_id"], data["state"], data["sequence"]
        bodies[webhook.id].add((job_id, str(webhook.body["type"]), sequence))
        states = {entry["state"] for entry in evidence.timelines.get(job_id, ())}
        if job_id in evidence.jobs and state not in states and not evidence.was_turned_back:
            yield f"{webhook.id} tells that {job_id} is {state}, and it never was"
    for webhook_id, events in bodies.items():
        if len(events) > 1 and not evidence.was_turned_back:
            yield f"{webhook_id} stands for {len(events)} events"
    ids = Counter(event for events in bodies.values() for event in events)
    yield from _named(
        "events told under two ids", [f"{job_id} {kind}" for (job_id, kind, _), n in ids.items() if n > 1]
    )


def the_end_was_told(evidence: Evidence) -> Iterator[str]:
    """Whoever gave a webhook address was told the end, unless the delivery was given up in sight of all."""
    told = {(hook.body["data"]["job_id"], hook.body["type"]) for hook in evidence.webhooks if hook.accepted}
    for job in evidence.jobs.values():
        deliveries = evidence.deliveries.get(job.id, ())
        for delivery in deliveries:
            if delivery.status == "delivered" and (job.id, delivery.type) not in told:
                yield f"{delivery.id} counts as delivered, and nobody has it"
            if delivery.status == "pending":
                yield f"{delivery.id} ({delivery.type}) is still to be delivered"
        expected = FINAL_WEBHOOKS.get(job.state)
        if job.order.webhook_url and expected and all(delivery.type != expected for delivery in deliveries):
            yield f"{job.id} is {job.state}, and no webhook says so"


def the_states_follow_the_table(evidence: Evidence) -> Iterator[str]:
    """Each job went through its states as the table of moves allows, and times never ran backwards."""
    for job_id, entries in evidence.timelines.items():
        states = [JobState(entry["state"]) for entry in entries]
        for before, after in itertools.pairwise(states):
            if after not in TRANSITIONS[before]:
                yield f"{job_id} went from {before} to {after}"


def nothing_is_left_over(evidence: Evidence) -> Iterator[str]:
    """No due entry, index entry, slot or lease is left of a job that has ended."""
    held = {job.id for job in evidence.jobs.values() if job.state is JobState.NEEDS_ATTENTION}
    yield from _named("due, and not held", [name for name in evidence.due if name not in held])
    yield from _named("held, and looked at by itself", [name for name in held if evidence.due.get(name) != math.inf])
    for state, ids in evidence.indexes.items():
        real = {job.id for job in evidence.jobs.values() if job.state is state}
        yield from _named(f"counted as {state}, wrongly", ids - real)
        yield from _named(f"{state}, and not counted so", real - ids)
    yield from _named("leases of nobody", evidence.leases)
    yield from _named("left in the spool", evidence.spooled)
    if evidence.slots_in_use:
        yield f"{evidence.slots_in_use} slots are in use, and nothing is at the provider"


def each_intent_came_first(evidence: Evidence) -> Iterator[str]:
    """Each request to the provider had a nonce that a record knows, unless a later one took its place."""
    by_prompt = {job.order.positive_prompt: job for job in evidence.jobs.values()}
    forgotten = {job.order.positive_prompt for job in by_prompt.values() if evidence.unremembered.get(job.id)}
    accepted = [call for call in evidence.submits if call["charged"] and str(call["positive_prompt"]) not in forgotten]
    for call in accepted:
        job = by_prompt.get(str(call["positive_prompt"]))
        if job is not None and job.epoch == 1 and job.nonce and call["nonce"] != job.nonce:
            yield f"{job.id} was charged under a nonce that it never had"
    yield from _named(
        "one nonce charged twice",
        [nonce for nonce, times in Counter(str(call["nonce"]) for call in accepted).items() if times > 1],
    )


def no_secret_came_out(evidence: Evidence) -> Iterator[str]:
    """No canary is in anything that others could read, in whatever form it may have taken."""
    for name, secret in evidence.canaries.items():
        # A secret without special characters looks the same in several forms: the first one names it.
        needles = {needle: form for form, needle in reversed(list(_forms(secret)))}
        for needle, form in needles.items():
            for place, content in evidence.captured.items():
                if name not in evidence.known_there.get(place, ()) and needle in content:
                    yield f"the secret {name} stands in {place} ({form})"


def _forms(secret: str) -> Iterator[tuple[str, bytes]]:
    plain = secret.encode()
    yield "as it is", plain
    yield "URL-encoded", quote(secret, safe="").encode()
    yield "JSON-escaped", json.dumps(secret)[1:-1].encode()
    yield "hexadecimal", plain.hex().encode()
    # Whatever stands before it, one of the three alignments keeps its middle.
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + plain)
        # Of a very short one nothing is left, and nothing stands everywhere.
        if middle := encoded[4 * bool(shift) : len(encoded) // 4 * 4 - 4]:
            yield "base64", middle


def _charges_by_prompt(evidence: Evidence) -> Counter[str]:
    charges = Counter[str]()
    for call in evidence.submits:
        if call["charged"]:
            charges[str(call["positive_prompt"])] += 1
    return charges


def _named(what: str, names: Collection[str]) -> Iterator[str]:
    if names:
        listed = ", ".join(sorted(names)[:NAMED_MAX])
        more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
        yield f"{what}: {listed}{more}"


CHECKS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    nothing_is_lost,
    no_call_became_two_orders,
    nothing_is_paid_twice,
    the_ledger_is_true,
    each_job_knows_its_cost,
    each_intent_came_first,
    what_cancelling_cost_was_said_truly,
    what_is_stored_is_right,
    what_is_told_is_true,
    the_end_was_told,
    the_states_follow_the_table,
    nothing_is_left_over,
    no_secret_came_out,
)


def problems_of(evidence: Evidence) -> list[str]:
    """What breaks the promises, as sentences that name the jobs; empty when all of them were kept."""
    return [f"{check.__name__}: {problem}" for check in CHECKS for problem in check(evidence)]
