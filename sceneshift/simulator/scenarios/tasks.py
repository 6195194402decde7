"""Scenarios of an accepted task: it is charged, and its life is not the ordinary one."""

from __future__ import annotations

import math
from typing import Final

from sceneshift.simulator.answers import Fault
from sceneshift.simulator.scenarios.scenario import Fate, Reaction, Scenario

TASKS: Final = (
    Scenario(
        name="task-failed",
        behaviour="Ends as FAILED with `Job execution failed`, after it was charged.",
        reaction=Reaction.RENDERING_FAILED,
        fate=Fate(message=Fault.EXECUTION_FAILED.message),
    ),
    Scenario(
        name="task-content-rejected",
        behaviour="Ends as FAILED because of its content, after it was charged.",
        reaction=Reaction.RENDERING_REJECTED,
        fate=Fate(message=Fault.CONTENT_REJECTED.message),
    ),
    Scenario(
        name="task-image-unreachable",
        behaviour="Ends as FAILED because an image could not be fetched, after it was charged.",
        reaction=Reaction.RENDERING_UNREACHABLE,
        fate=Fate(message=Fault.IMAGE_UNREACHABLE.message),
    ),
    Scenario(
        name="task-cancelled",
        behaviour="Ends with the undocumented status `CANCELED`.",
        reaction=Reaction.RENDERING_FAILED,
        fate=Fate(final_word="CANCELED"),
    ),
    Scenario(
        name="task-unknown-status",
        behaviour="Has the undocumented status `PAUSED` until it succeeds.",
        reaction=Reaction.GOES_ON,
        fate=Fate(running_word="PAUSED"),
    ),
    Scenario(
        name="task-wavers",
        behaviour="After every SUCCESS, the next answer says RUNNING again.",
        reaction=Reaction.GOES_ON,
        fate=Fate(wavers=True),
    ),
    Scenario(
        name="task-late",
        behaviour="Succeeds two hours later than usual.",
        reaction=Reaction.OVERDUE,
        fate=Fate(late_seconds=7200.0),
    ),
    Scenario(
        name="task-never-ends",
        behaviour="Is RUNNING for ever.",
        reaction=Reaction.ABANDONED,
        fate=Fate(late_seconds=math.inf),
    ),
    Scenario(
        name="task-forgotten",
        behaviour="Its `result_key` is unknown as soon as it has ended.",
        reaction=Reaction.RESULT_LOST,
        fate=Fate(forgotten=True),
    ),
    Scenario(
        name="task-without-results",
        behaviour="SUCCESS, with an empty list of results.",
        reaction=Reaction.EMPTY_RESULT,
        fate=Fate(no_images=True),
    ),
    Scenario(
        name="task-with-fewer-results",
        behaviour="SUCCESS with one image fewer than ordered (one image of one stays).",
        reaction=Reaction.PARTIAL,
        fate=Fate(surplus=-1),
    ),
    Scenario(
        name="task-with-more-results",
        behaviour="SUCCESS with one image more than ordered.",
        reaction=Reaction.SURPLUS_IGNORED,
        fate=Fate(surplus=1),
    ),
)
