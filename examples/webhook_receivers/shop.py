"""What a shop keeps of its webhooks, so that one that arrives twice or late does no harm.

SQLite stands for the shop's own database: what matters is that both statements are in one transaction.
"""

from __future__ import annotations

import json
import os
import sqlite3

from sceneshift.webhooks import Event, JobCancelled, JobCompleted, JobFailed, JobNeedsAttention, JobOverdue

DATABASE = os.environ.get("SHOP_DATABASE", "shop.sqlite3")
JOB_EVENTS = (JobCompleted, JobFailed, JobCancelled, JobNeedsAttention, JobOverdue)

SCHEMA = """
CREATE TABLE IF NOT EXISTS webhook (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS job (id TEXT PRIMARY KEY, sequence INTEGER, state TEXT, sku TEXT, images TEXT);
CREATE TABLE IF NOT EXISTS work (job TEXT, sku TEXT, images TEXT);
"""

NEWER_ONLY = """
INSERT INTO job VALUES (:id, :sequence, :state, :sku, :images)
ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, state = excluded.state, images = excluded.images
WHERE excluded.sequence > job.sequence
"""


def record(event: Event) -> bool:
    """The job's row says what the event says, and finished images are noted as work for later.

    False for a duplicate, and for an event older than the row: then there was nothing to do.
    """
    connection = sqlite3.connect(DATABASE)
    try:
        connection.executescript(SCHEMA)
        with connection:
            if connection.execute("INSERT OR IGNORE INTO webhook VALUES (?)", (event.id,)).rowcount == 0:
                return False
            if not isinstance(event, JOB_EVENTS):
                return True
            job = event.data
            row = {
                "id": job.job_id,
                "sequence": job.sequence,
                "state": job.state,
                "sku": job.sku,
                "images": json.dumps([output.key for output in job.outputs]),
            }
            is_news = connection.execute(NEWER_ONLY, row).rowcount == 1
            if is_news and isinstance(event, JobCompleted):
                connection.execute("INSERT INTO work VALUES (:id, :sku, :images)", row)
            return is_news
    finally:
        connection.close()
