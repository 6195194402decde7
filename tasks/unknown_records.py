"""What a step does about a record that this release does not understand: nothing, and it says so.

The record stays as it is, no attempt is counted, and a worker of the release that wrote it finds the step due.
"""

from __future__ import annotations

import logging

from sceneshift.errors import UnknownRecordError
from sceneshift.store.due import Hold, Taken
from tasks.services import Services

log = logging.getLogger(__name__)

PAUSE_SECONDS = 60.0
"""What only shows when a step has been taken is looked at again after so long."""


def pass_over(subject_id: str, step: str, taken: Taken) -> None:
    """A message was about a record that is not understood: it ends here, and the step comes back with its lease."""
    _tell(subject_id, step, taken.unknown)


def put_back(services: Services, hold: Hold, error: UnknownRecordError) -> None:
    """The step is as if nobody had taken it, and due again after a pause."""
    services.store.due.put_back(hold, PAUSE_SECONDS)
    _tell(hold.subject_id, hold.step, error.what)


def _tell(subject_id: str, step: str, what: str) -> None:
    log.warning("record.unknown", extra={"subject_id": subject_id, "step": step, "what": what})
