"""Runs that once showed something, kept with all that was drawn for them: a later drawing must not change them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.faults.bucket import Roads
from tests.faults.kernel import KillPoint
from tests.faults.message_broker import Carriage
from tests.faults.outside import Weather
from tests.faults.plan import Plan, StoreFault
from tests.faults.provider import Wire
from tests.faults.state_server import Line
from tests.faults.world import Outcome, run

FOLDER = Path(__file__).parent / "corpus"
_PARTS = {"line": Line, "carriage": Carriage, "wire": Wire, "roads": Roads, "weather": Weather}
_TUPLES = ("rules", "lasting_rules", "outages", "cancels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run: `why` says in a sentence what it once showed."""

    name: str
    why: str
    seed: str
    plan: Plan
    kills: tuple[KillPoint, ...] = ()

    def play(self) -> Outcome:
        """The run once more."""
        return run(self.plan, self.seed, kills=self.kills)


def keep(case: Case) -> Path:
    """The case is part of the corpus; where it is written."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{case.name}.json"
    path.write_text(json.dumps(asdict(case), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def cases() -> Iterator[Case]:
    """All kept cases, by name."""
    for path in sorted(FOLDER.glob("*.json")):
        yield _case(json.loads(path.read_text("utf-8")))


def _case(document: Mapping[str, Any]) -> Case:
    kills = tuple(KillPoint(**kill) for kill in document["kills"])
    return Case(**{**document, "plan": _plan(document["plan"]), "kills": kills})


def _plan(document: Mapping[str, Any]) -> Plan:
    values = dict(document)
    for name, kind in _PARTS.items():
        values[name] = kind(**values[name])
    for name in _TUPLES:
        values[name] = tuple(tuple(each) if isinstance(each, list) else each for each in values[name])
    values["store_faults"] = tuple(StoreFault(**fault) for fault in values["store_faults"])
    return Plan(**values)
