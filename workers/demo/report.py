"""What the demonstration leaves behind: `report.json` for programs, and the gallery for people."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sceneshift.handle import timings_of
from sceneshift.jobs.record import JobRecord
from sceneshift.jobs.states import JobState
from sceneshift.store.deliveries import Delivery
from sceneshift.store.opening import Store
from workers.demo.gallery import write_gallery
from workers.demo.receiver import Received
from workers.demo.stack import CATALOGUE

FINAL_EVENTS = frozenset({"job.completed", "job.failed", "job.cancelled"})


def write_report(
    directory: Path,
    jobs: list[tuple[dict[str, Any], JobRecord]],
    store: Store,
    received: Received,
    about: dict[str, Any],
) -> dict[str, Any]:
    """`report.json` and `index.html` are in the directory, with copies of the original photos; returns the report."""
    report = {"jobs": [_job(directory, entry, job, store, received) for entry, job in jobs], **about}
    (directory / "report.json").write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    write_gallery(report, directory)
    return report


def _job(directory: Path, entry: dict[str, Any], job: JobRecord, store: Store, received: Received) -> dict[str, Any]:
    deliveries = store.deliveries.of_job(job)
    return {
        "id": job.id,
        "sku": job.sku,
        "title": entry.get("title"),
        "prompt": job.order.positive_prompt,
        "state": str(job.state),
        "charge": str(job.charge),
        "before": _copied_original(directory, entry["image"]),
        "attempts": {"submit": job.submits, "poll": job.polls},
        "outputs": [{**output.to_json(), "path": _relative_path(directory, output.uri)} for output in job.outputs],
        "webhook": _webhook(job, deliveries, received),
        "timings": asdict(timings_of(job)),
        "error": asdict(job.error) if job.error else None,
    }


def _webhook(job: JobRecord, deliveries: list[Delivery], received: Received) -> dict[str, Any]:
    final = [delivery for delivery in deliveries if delivery.type in FINAL_EVENTS]
    return {
        "delivered": bool(final) and all(delivery.status == "delivered" for delivery in final),
        "verified": any(name in FINAL_EVENTS for name in received.of_job(job.id)),
        "attempts": sum(delivery.attempts for delivery in final),
    }


def _copied_original(directory: Path, name: str) -> str:
    target = directory / "before" / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CATALOGUE / name, target)
    return f"before/{name}"


def _relative_path(directory: Path, uri: str) -> str:
    return Path(unquote(urlsplit(uri).path)).relative_to(directory.resolve()).as_posix()


def problems(report: dict[str, Any]) -> list[str]:
    """What a demonstration must not show; empty when all went well."""
    final = {str(state) for state in JobState if state.is_final}
    jobs = report["jobs"]
    found = [f"{job['id']} is {job['state']}, which is not final" for job in jobs if job["state"] not in final]
    found += [f"{job['id']} failed: {job['error']}" for job in jobs if job["state"] in {"failed", "partial"}]
    found += [f"{job['id']}: its webhook was not delivered and verified" for job in jobs
              if not (job["webhook"]["delivered"] and job["webhook"]["verified"])]  # fmt: skip
    if report["charged"] != len(jobs):
        found.append(f"{report['charged']} charges for {len(jobs)} jobs")
    return found
