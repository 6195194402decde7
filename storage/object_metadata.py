"""What an image in the bucket says of itself to whoever finds it there: no secrets, no URLs, no prompt."""

from __future__ import annotations

import hashlib

from sceneshift.jobs.record import JobRecord


def object_metadata(job: JobRecord) -> dict[str, str]:
    """The job, the product, and a hash by which images of one prompt are found without reading what it says."""
    prompt = hashlib.sha256(job.order.positive_prompt.encode()).hexdigest()
    return {"job-id": job.id, "sku": job.sku or "", "prompt-sha256": prompt}
