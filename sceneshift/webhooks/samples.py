"""Made-up events, one of each type, to try an endpoint with: they are about no real job, and no link leads anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sceneshift import identifiers
from sceneshift.webhooks.payloads import timestamp_text

LINK_LIFETIME_SECONDS = 86_400


def sample_data(type: str, *, occurred_at: float, job_id: str | None = None, sequence: int = 1) -> dict[str, Any]:  # noqa: A002 - the wire's name
    """The `data` of an event of this type, as its JSON Schema asks.

    Raises:
        ValueError: there is no such type.
    """
    job_id = job_id or identifiers.new_job_id(occurred_at)
    if type in _JOB_STATES:
        return _job(_JOB_STATES[type], occurred_at, job_id, sequence)
    if type not in _OTHERS:
        raise ValueError(f"{type!r} is not one of {', '.join(SAMPLE_TYPES)}")
    return _OTHERS[type](occurred_at)


def _job(state: str, occurred_at: float, job_id: str, sequence: int) -> dict[str, Any]:
    is_done = state == "succeeded"
    code = {"failed": "bad_input", "needs_attention": "outcome_unknown"}.get(state)
    return {
        "job_id": job_id,
        "sequence": sequence,
        "state": state,
        "sku": "SAMPLE-1",
        "idempotency_key": None,
        "metadata": {"sample": "true"},
        "requested": 1,
        "outputs": [_output(job_id, occurred_at)] if is_done else [],
        "missing": [],
        "source": {"image": "https://shop.example/sample.jpg"},
        "provenance": {"digital_source_type": "compositeWithTrainedAlgorithmicMedia"},
        "charge": {"succeeded": "charged", "needs_attention": "unknown"}.get(state, "not_charged"),
        "timings": {"queued_seconds": 0.3, "total_seconds": 76.1},
        "error": {"code": code, "message": "This is a sample."} if code else None,
        "late": False,
    }


def _output(job_id: str, occurred_at: float) -> dict[str, Any]:
    key = f"results/sample/{job_id}/0.png"
    return {
        "index": 0,
        "key": key,
        "s3_uri": f"s3://sample/{key}",
        "url": f"https://images.example/{key}",
        "url_expires_at": timestamp_text(occurred_at + LINK_LIFETIME_SECONDS),
        "sha256": "0" * 64,
        "content_type": "image/png",
        "width": 1024,
        "height": 1024,
        "size_bytes": 1_830_422,
    }


def _batch(_occurred_at: float) -> dict[str, Any]:
    return {"batch_id": "batch_sample", "total": 3, "counts": {"succeeded": 2, "failed": 1}}


def _test(_occurred_at: float) -> dict[str, Any]:
    return {"endpoint": _ENDPOINT}


def _failing(occurred_at: float) -> dict[str, Any]:
    return _warning(occurred_at, percent=50, disables_at=occurred_at + _WARNED_SECONDS)


def _disabled(occurred_at: float) -> dict[str, Any]:
    return _warning(occurred_at, percent=100, disables_at=occurred_at)


def _warning(occurred_at: float, *, percent: int, disables_at: float) -> dict[str, Any]:
    return {
        "endpoint": _ENDPOINT,
        "failing_since": timestamp_text(occurred_at - _WARNED_SECONDS),
        "percent": percent,
        "disables_at": timestamp_text(disables_at),
        "last_status": "503",
        "reason": "failing",
    }


_WARNED_SECONDS = 216_000.0
_ENDPOINT = {"id": "ep_sample0000", "name": "sample", "url": "https://shop.example/webhooks"}
_JOB_STATES: Mapping[str, str] = {
    "job.completed": "succeeded",
    "job.failed": "failed",
    "job.cancelled": "cancelled",
    "job.needs_attention": "needs_attention",
    "job.overdue": "rendering",
}
_OTHERS: Mapping[str, Callable[[float], dict[str, Any]]] = {
    "batch.completed": _batch,
    "webhook.test": _test,
    "endpoint.failing": _failing,
    "endpoint.disabled": _disabled,
}

SAMPLE_TYPES = (*_JOB_STATES, *_OTHERS)
