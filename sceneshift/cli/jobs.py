"""`sceneshift jobs`: order, look at, follow, cancel and decide about jobs from a shell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sceneshift.cli import job_decisions
from sceneshift.cli.explained import next_of
from sceneshift.cli.output import clock_time, print_json, print_left_out, print_table, snapshot_document
from sceneshift.client import cancel_job, current_client, enqueue_job, get_job
from sceneshift.errors import InvalidRequestError, SceneshiftError, StoreUnavailableError
from sceneshift.handle import JobEvent, JobSnapshot, snapshot_of
from sceneshift.jobs.states import JobState
from sceneshift.settings import current_settings

if TYPE_CHECKING:
    from sceneshift.jobs.endpoints import Endpoint
    from sceneshift.store.deliveries import Delivery

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


@click.group("jobs")
def command() -> None:
    """Order, look at, follow, cancel and decide about jobs."""


command.add_command(job_decisions.retry)
command.add_command(job_decisions.resolve)


@command.command("list")
@click.option("--state", type=click.Choice([str(state) for state in JobState]), help="Only jobs in this state.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many per state.")
@as_json
def list_jobs(state: str | None, limit: int, *, as_json: bool) -> None:
    """List jobs, the newest in each state first."""
    from sceneshift.store.connection import translating  # noqa: PLC0415  # redis is loaded by the commands that need it
    from sceneshift.store.selection import load_jobs  # noqa: PLC0415

    store = current_client().store
    states = [JobState(state)] if state else list(JobState)
    with translating(StoreUnavailableError, "try again"):
        # A job that moves meanwhile may stand under two states.
        ids = dict.fromkeys(job_id for each in states for job_id in store.jobs.ids(each, limit=limit))
        snapshots = [snapshot_of(record) for record in load_jobs(store, ids, on_unknown=print_left_out)]
        counts = store.jobs.counts()
    if as_json:
        print_json([snapshot_document(snapshot) for snapshot in snapshots])
        return
    click.echo(", ".join(f"{count} {each}" for each, count in counts.items() if count) or "no jobs", err=True)
    rows = [
        (each.id, each.state, each.sku, each.polls, clock_time(each.created_at), each.blocked_by or _fault(each))
        for each in snapshots
    ]
    print_table(rows, ("JOB", "STATE", "SKU", "POLLS", "CREATED (UTC)", "WAITS FOR / ERROR"))


def _fault(snapshot: JobSnapshot) -> str | None:
    return snapshot.error.code if snapshot.error else None


@command.command("get")
@click.argument("job_id")
@as_json
def get(job_id: str, *, as_json: bool) -> None:
    """Show a job as it is now."""
    snapshot = get_job(job_id).snapshot()
    if as_json:
        print_json(snapshot_document(snapshot))
        return
    _print_snapshot(snapshot, _webhooks(job_id))


def _webhooks(job_id: str) -> list[tuple[str, object]]:
    from sceneshift.store.connection import translating  # noqa: PLC0415

    client = current_client()
    with translating(StoreUnavailableError, "try again", job_id=job_id):
        named = client.store.endpoints.read().by_id
        deliveries = client.store.deliveries.of_job(client.load(job_id), named)
    return [(f"webhook {each.type}", _webhook_text(each, named.get(each.lane_id))) for each in deliveries]


def _webhook_text(delivery: Delivery, endpoint: Endpoint | None) -> str:
    to = f" to {endpoint.name}" if endpoint else ""
    return f"{delivery.status}{to}, {delivery.attempts} attempts, last answer {delivery.last_status or 'none'}"


def _print_snapshot(snapshot: JobSnapshot, webhooks: list[tuple[str, object]]) -> None:
    rows: list[tuple[str, object]] = [
        ("state", snapshot.state),
        ("sku", snapshot.sku),
        ("charge", snapshot.charge),
        ("created (UTC)", clock_time(snapshot.created_at)),
        ("finished (UTC)", clock_time(snapshot.finished_at)),
        ("submits, polls", f"{snapshot.submits}, {snapshot.polls}"),
        ("waits for", snapshot.blocked_by),
        ("until (UTC)", clock_time(snapshot.blocked_until)),
        ("result key", snapshot.result_key),
        ("provider request", snapshot.request_id or (snapshot.error.request_id if snapshot.error else None)),
        ("nonce", snapshot.nonce),
        ("error", f"{snapshot.error.code}: {snapshot.error.message}" if snapshot.error else None),
        *((f"image {output.index}", output.uri) for output in snapshot.outputs),
        *((f"missing {lost.index}", f"{lost.code}: {lost.message}") for lost in snapshot.missing),
        *webhooks,
    ]
    print_table(rows, (snapshot.id, ""))


@command.command("explain")
@click.argument("job_id")
@as_json
def explain(job_id: str, *, as_json: bool) -> None:
    """Print a job's timeline, what it waits for now, and what happens next and when."""
    events = get_job(job_id).timeline()
    answer = _kept_answer(job_id)
    record = current_client().load(job_id)
    snapshot, comes_next = snapshot_of(record), next_of(current_client(), record)
    if as_json:
        print_json(
            {
                "job": snapshot_document(snapshot),
                "timeline": [_entry(event) for event in events],
                "next": comes_next.document(),
                "unreadable_answer": answer is not None,
            }
        )
        return
    kept = (
        [("unreadable answer", f"{len(answer)} characters are kept: sceneshift jobs answer {job_id}")] if answer else []
    )
    _print_snapshot(snapshot, [*_webhooks(job_id), *kept])
    click.echo()
    for event in events:
        click.echo(_line(event))
    click.echo()
    click.echo(comes_next.text)


def _kept_answer(job_id: str) -> str | None:
    from sceneshift.store.connection import translating  # noqa: PLC0415

    with translating(StoreUnavailableError, "try again", job_id=job_id):
        return current_client().store.answers.kept(job_id)


@command.command("answer")
@click.argument("job_id")
@as_json
def answer(job_id: str, *, as_json: bool) -> None:
    """Print the provider's last answer about a job that could not be read; a lost result key may be in it."""
    get_job(job_id)
    text = _kept_answer(job_id)
    if text is None:
        raise SceneshiftError("no unreadable answer of the provider is kept", job_id=job_id)
    if as_json:
        print_json({"job_id": job_id, "answer": text})
    else:
        click.echo(text)


@command.command("watch")
@click.argument("job_id")
@click.option("--timeout", type=float, help="Give up after this many seconds; the job goes on.")
@as_json
def watch(job_id: str, timeout: float | None, *, as_json: bool) -> None:
    """Print a job's timeline as it is written, until the job is final."""
    for event in get_job(job_id).events(timeout=timeout):
        click.echo(json.dumps(_entry(event), ensure_ascii=False) if as_json else _line(event))


def _entry(event: JobEvent) -> dict[str, Any]:
    return {"at": event.at, "state": str(event.state), "event": event.event, **event.details}


def _line(event: JobEvent) -> str:
    times = {name: f"{clock_time(value)}Z" for name, value in event.details.items() if name == "until"}
    details = " ".join(f"{name}={value}" for name, value in {**event.details, **times}.items())
    return f"{clock_time(event.at)}  {event.state:<15}  {event.event:<18}  {details}".rstrip()


@command.command("cancel")
@click.argument("job_id")
@click.option("--keep-result", is_flag=True, help="What is paid for already is stored nevertheless.")
@as_json
def cancel(job_id: str, *, keep_result: bool, as_json: bool) -> None:
    """Cancel a job and say whether it cost money."""
    outcome = cancel_job(job_id, keep_result=keep_result)
    if as_json:
        print_json({"job_id": job_id, "outcome": str(outcome)})
    else:
        click.echo(str(outcome))


@command.command("enqueue")
@click.option("--catalogue", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--base-url", help="Where the provider finds the catalogue's files.")
@click.option("--stage", is_flag=True, help="Instead: put the files into the bucket, where the provider finds them.")
@click.option("--limit", type=click.IntRange(1), help="Only so many of its entries.")
@click.option("--key-prefix", default="catalogue", show_default=True, help="Begins every idempotency key.")
@as_json
def enqueue(
    catalogue: Path, base_url: str | None, limit: int | None, *, stage: bool, key_prefix: str, as_json: bool
) -> None:
    """Order every entry of a catalogue: a folder with photos, masks and a catalogue.json.

    The same entry is ordered once, however often this is called; another --key-prefix orders it anew. With --stage, so
    does another photo of the same name.
    """
    place = _placing(catalogue, base_url, stage=stage)
    jobs = [
        enqueue_job(
            image=place(entry["image"]),
            mask=place(entry["mask"]),
            positive_prompt=entry["positive_prompt"],
            num_output=entry.get("num_output"),
            seed=entry.get("seed"),
            sku=entry.get("sku"),
            idempotency_key=f"{key_prefix}:{_digest(entry, base_url or place(entry['image']) + place(entry['mask']))}",
        )
        for entry in read_catalogue(catalogue)[:limit]
    ]
    if as_json:
        print_json([{"id": job.id} for job in jobs])
    else:
        for job in jobs:
            click.echo(job.id)


def _placing(catalogue: Path, base_url: str | None, *, stage: bool) -> Callable[[str], str]:
    """From a file's name in the catalogue to the URL at which the provider finds it."""
    if stage == (base_url is not None):
        raise click.UsageError("give either --base-url or --stage")
    if base_url is not None:
        return lambda name: f"{base_url.rstrip('/')}/{name}"
    from sceneshift.cli.staging import stager  # noqa: PLC0415 - the service, which other commands do not need

    staged = stager(current_settings())
    return lambda name: staged(_inside(catalogue, name))


def _inside(catalogue: Path, name: str) -> Path:
    """The file of this name, which lies in the catalogue."""
    path = (catalogue / name).resolve()
    if not path.is_relative_to(catalogue.resolve()):
        raise InvalidRequestError(f"{name!r} is not inside of the catalogue", param="catalogue")
    return path


def _digest(entry: dict[str, Any], place: str) -> str:
    return hashlib.sha256(json.dumps([place, entry], sort_keys=True).encode()).hexdigest()[:32]


def read_catalogue(directory: Path) -> list[dict[str, Any]]:
    """The entries of `catalogue.json`.

    Raises:
        InvalidRequestError: there is none, or it is not a list of entries with image, mask and prompt.
    """
    path = directory / "catalogue.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        complete = isinstance(entries, list) and all(
            {"image", "mask", "positive_prompt"} <= set(each) for each in entries
        )
    except (OSError, ValueError, TypeError) as error:
        raise InvalidRequestError(f"{path} cannot be read ({type(error).__name__})", param="catalogue") from None
    if not complete:
        raise InvalidRequestError(
            f"{path}: a list of entries with image, mask and positive_prompt is needed", param="catalogue"
        )
    return list(entries)
