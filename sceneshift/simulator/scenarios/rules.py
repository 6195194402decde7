"""Which call meets which scenario: rules as text, and a choice that repeats with the seed.

A rule is a scenario's name, then perhaps `=` and a probability, then perhaps `@` and the calls that it is for, counted
from 1 for each kind of exchange:

    submit-accept-then-drop          every submission
    submit-accept-then-drop=0.02     two in a hundred
    query-500@3                      the third query
    download-expired@1-2             the first two downloads
    task-failed=0.5@10-              half of the accepted tasks from the tenth on
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final

from sceneshift.errors import ConfigurationError
from sceneshift.simulator.scenarios.catalogue import SCENARIOS
from sceneshift.simulator.scenarios.scenario import Exchange, Scenario

_RULE: Final = re.compile(
    r"(?P<name>[a-z0-9-]{1,99})(=(?P<share>[0-9.]{1,99}))?(@(?P<first>[0-9]{1,9})(?P<range>-(?P<last>[0-9]{1,9})?)?)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A scenario, and when it strikes. `last_call` is None for one without end."""

    text: str
    scenario: Scenario
    probability: float = 1.0
    first_call: int = 1
    last_call: int | None = None

    def strikes(self, call: int, seed: int) -> bool:
        """Whether this call, counted from 1, meets the scenario; the same for the same seed, whatever else happens."""
        if call < self.first_call or (self.last_call is not None and call > self.last_call):
            return False
        drawn = Random(f"{seed}\n{self.scenario.name}\n{call}").random()  # noqa: S311 - a replay needs a seed
        return drawn < self.probability


def read_rule(text: str) -> Rule:
    """The rule in this text.

    Raises:
        ConfigurationError: it is none, or names no scenario; the text says which is nearest.
    """
    found = _RULE.fullmatch(text.strip())
    if not found:
        raise ConfigurationError(
            f"scenario {text[:99]!r}: write NAME, NAME=PROBABILITY, NAME@CALL, NAME@FIRST-LAST or "
            "NAME=PROBABILITY@FIRST-"
        )
    name = found["name"]
    if name not in SCENARIOS:
        nearest = difflib.get_close_matches(name, SCENARIOS, n=1, cutoff=0.0)[0]
        raise ConfigurationError(f"scenario {name!r} is not known; the nearest is {nearest} (--list-scenarios)")
    first = int(found["first"] or 1)
    last = int(found["last"]) if found["last"] else (None if found["range"] or not found["first"] else first)
    if first < 1:
        raise ConfigurationError(f"scenario {text!r}: calls are counted from 1 up")
    if last is not None and last < first:
        raise ConfigurationError(f"scenario {text!r}: the range ends before it begins")
    return Rule(
        text=text.strip(), scenario=SCENARIOS[name], probability=_share(text, found), first_call=first, last_call=last
    )


def _share(text: str, found: re.Match[str]) -> float:
    try:
        share = float(found["share"] or 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigurationError(f"scenario {text!r}: {found['share']} is not a probability from 0 to 1")
    return share


class Director:
    """Counts the calls of each kind and says which scenario a call meets. `struck` is how often each was met."""

    def __init__(self, rules: Iterable[str], seed: int) -> None:
        self._seed = seed
        self.direct(rules)

    def direct(self, rules: Iterable[str]) -> None:
        """These rules hold from now on, and calls are counted anew."""
        self._rules = tuple(read_rule(text) for text in rules)
        self._calls: Counter[Exchange] = Counter()
        self.struck: Counter[str] = Counter()

    @property
    def rules(self) -> tuple[str, ...]:
        return tuple(rule.text for rule in self._rules)

    def next(self, exchange: Exchange) -> Scenario | None:
        """The scenario that the next call of this kind is to meet: the first rule that strikes decides."""
        self._calls[exchange] += 1
        for rule in self._rules:
            if rule.scenario.exchange is exchange and rule.strikes(self._calls[exchange], self._seed):
                return rule.scenario
        return None

    def note(self, met: Scenario | None) -> None:
        """A call has met this scenario. One that was refused for its own fault meets none."""
        if met:
            self.struck[met.name] += 1
