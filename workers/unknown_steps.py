"""Due steps whose records this release does not understand: they are put off, and nothing else.

While old and new workers run side by side, a step of the new release is soon due again, so that a new worker gets it;
after a rollback, when there is none, it is looked at less and less often.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence

from sceneshift.store.due import DueIndex, DueStep

log = logging.getLogger(__name__)

PAUSE_FIRST_SECONDS = 5.0
PAUSE_MAX_SECONDS = 300.0
REMEMBERED_MAX = 10_000
NAMED_MAX = 5


class UnknownSteps:
    """How often one timekeeper has met each of them."""

    def __init__(self, due: DueIndex) -> None:
        self._due = due
        self._looks: dict[tuple[str, str], int] = {}

    def put_off(self, steps: Sequence[DueStep]) -> None:
        """These claimed steps are due again after a pause that doubles with each look; the log says what they have."""
        if not steps:
            return
        self._due.put_off_unknown([(step, self._pause_seconds(step)) for step in steps])
        by_reason: dict[str, list[str]] = defaultdict(list)
        for step in steps:
            by_reason[step.unknown].append(step.subject_id)
        for what, ids in by_reason.items():
            log.warning(
                "record.unknown",
                extra={
                    "what": what,
                    "count": len(ids),
                    "subject_ids": ids[:NAMED_MAX],
                    "remedy": "a later release wrote them: run its workers (docs/how-to/upgrade.md)",
                },
            )

    def _pause_seconds(self, step: DueStep) -> float:
        key = (step.subject_id, step.step)
        looks = self._looks.pop(key, 0)
        if len(self._looks) >= REMEMBERED_MAX:
            del self._looks[next(iter(self._looks))]
        self._looks[key] = looks + 1
        return float(min(PAUSE_FIRST_SECONDS * 2 ** min(looks, 10), PAUSE_MAX_SECONDS))
