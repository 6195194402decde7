"""Values that many tests need, with everything that a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from sceneshift import identifiers
from sceneshift.jobs.order import JobOrder
from sceneshift.jobs.record import JobRecord, OutputImage
from sceneshift.jobs.states import JobState

NOW = 1_795_392_000.0
"""2026-11-23 00:00 UTC, when most of these tests play."""

WEBHOOK_URL = "https://shop.example/webhooks/sceneshift"


def an_order(**values: Any) -> JobOrder:
    """A valid order."""
    defaults: dict[str, Any] = {
        "image": "https://shop.example/perfume.jpg",
        "mask": "https://shop.example/perfume-mask.png",
        "positive_prompt": "The perfume bottle is placed on soft pale yellow silk.",
        "webhook_url": WEBHOOK_URL,
        "sku": "PERF-050",
    }
    return JobOrder(**{**defaults, **values})


def a_job(**values: Any) -> JobRecord:
    """A queued job; any field of the record, or `order`, may be given."""
    defaults: dict[str, Any] = {
        "id": identifiers.new_job_id(NOW),
        "state": JobState.QUEUED,
        "step": "submit-1",
        "order": an_order(),
        "created_at": NOW,
        "deadline_at": NOW + 1800.0,
    }
    return JobRecord(**{**defaults, **values})


def an_output(index: int = 0, **values: Any) -> OutputImage:
    """A stored image."""
    defaults: dict[str, Any] = {
        "index": index,
        "key": f"results/2026/11/23/job_X/{index}.png",
        "uri": f"s3://shots/results/2026/11/23/job_X/{index}.png",
        "sha256": "0" * 64,
        "content_type": "image/png",
        "width": 800,
        "height": 800,
        "size_bytes": 12_345,
    }
    return OutputImage(**{**defaults, **values})
