"""What this release knows of stored records, and so what it leaves alone, because a later release wrote it.

Each record says in `version` what a release must know to move it: the lowest version that is enough. A release that
writes what older ones may pass over, such as one more field, leaves the version as it is: older ones keep that field. A
release that writes what older ones must not pass over (a state, a kind of step, a word for a charge, a field that
changes what is sent or paid for) raises `RECORD_VERSION`, and gives the new version to the records that hold such a
thing, in the transition that puts it there. So a job goes on under an older release as long as that can do it right.

What is not known is not guessed: the record stays as it is, byte for byte, until a release comes that knows it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sceneshift.identifiers import step_kind
from sceneshift.jobs.states import Charge, JobState

RECORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The fields of a kind of record that hold a word of a closed list, with the words that are known.

    Of the field `step` it is the kind that counts.
    """

    words: Mapping[str, frozenset[str]]

    def unknown_in(self, fields: Mapping[str, str | None]) -> str:
        """What is not known of a record, for people; empty when all of it is. A field that is not there is known."""
        return ", ".join(
            f"{name} {text!r}"
            for name, known in self.words.items()
            if (text := fields.get(name)) and (step_kind(text) if name == "step" else text) not in known
        )

    def to_json(self) -> str:
        """The same for a script: by field, each word that is known."""
        return json.dumps({name: dict.fromkeys(sorted(known), True) for name, known in self.words.items()})


_VERSIONS = frozenset(str(version) for version in range(1, RECORD_VERSION + 1))
_STATES = frozenset(map(str, JobState))
_CHARGES = frozenset(map(str, Charge))

JOB_WORDS = Vocabulary(
    {
        "version": _VERSIONS,
        "state": _STATES,
        "step": frozenset({"submit", "poll", "finalize", "resolve", "done"}),
        "charge": _CHARGES,
        "earlier_charge": _CHARGES,
        "cancel": frozenset({"discard", "keep"}),
    }
)
DELIVERY_WORDS = Vocabulary(
    {
        "version": frozenset({"1"}),
        "status": frozenset({"pending", "delivered", "exhausted", "missed", "aborted"}),
        "type": frozenset(
            {
                *("job.completed", "job.failed", "job.cancelled", "job.needs_attention", "job.overdue"),
                *("webhook.test", "endpoint.failing", "endpoint.disabled"),
            }
        ),
        "state": _STATES,
        "step": frozenset({"notify"}),
    }
)
