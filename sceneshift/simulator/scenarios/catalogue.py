"""All scenarios, by name."""

from __future__ import annotations

from typing import Final

from sceneshift.simulator.scenarios.downloads import DOWNLOADS
from sceneshift.simulator.scenarios.error_answers import error_answers
from sceneshift.simulator.scenarios.queries import QUERIES
from sceneshift.simulator.scenarios.scenario import Scenario
from sceneshift.simulator.scenarios.submissions import SUBMISSIONS
from sceneshift.simulator.scenarios.tasks import TASKS

SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario for scenario in (*SUBMISSIONS, *QUERIES, *TASKS, *DOWNLOADS, *error_answers())
}
