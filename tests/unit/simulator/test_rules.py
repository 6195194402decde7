"""Rules: how they are written, whom they strike, and that a choice repeats."""

from __future__ import annotations

import re

import pytest

from sceneshift.errors import ConfigurationError
from sceneshift.simulator.scenarios.catalogue import SCENARIOS
from sceneshift.simulator.scenarios.rules import Director, read_rule
from sceneshift.simulator.scenarios.scenario import Exchange
from tests.unit.simulator.support import Desk, item, open_desk


def choices(rules: list[str], exchange: Exchange, calls: int = 40, seed: int = 7) -> list[str | None]:
    director = Director(rules, seed)
    met = [director.next(exchange) for _ in range(calls)]
    return [scenario.name if scenario else None for scenario in met]


@pytest.mark.parametrize(
    ("text", "probability", "first", "last"),
    [
        ("query-500", 1.0, 1, None),
        (" query-500 ", 1.0, 1, None),
        ("query-500=0.02", 0.02, 1, None),
        ("query-500=.5", 0.5, 1, None),
        ("query-500=1", 1.0, 1, None),
        ("query-500=0", 0.0, 1, None),
        ("query-500@3", 1.0, 3, 3),
        ("query-500@1-2", 1.0, 1, 2),
        ("query-500@10-", 1.0, 10, None),
        ("query-500=0.5@10-", 0.5, 10, None),
        ("query-500=0.5@2-9", 0.5, 2, 9),
    ],
)
def test_every_form_of_a_rule_is_read(text: str, probability: float, first: int, last: int | None) -> None:
    """Name, probability and calls are what the text says; what is left out is always."""
    rule = read_rule(text)
    assert (rule.scenario.name, rule.probability, rule.first_call, rule.last_call) == (
        "query-500",
        probability,
        first,
        last,
    )
    assert rule.text == text.strip()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "write NAME"),
        ("=0.5", "write NAME"),
        ("query-500=", "write NAME"),
        ("query-500=1e-3", "write NAME"),
        ("query-500=-0.1", "write NAME"),
        ("query-500@", "write NAME"),
        ("query-500@-3", "write NAME"),
        ("query-500@3=0.5", "write NAME"),
        ("Query-500", "write NAME"),
        ("query-500 query-drop", "write NAME"),
        ("query-500@" + "1" * 5000, "write NAME"),
        ("x" * 5000, "write NAME"),
        ("query-500=1.1", "1.1 is not a probability from 0 to 1"),
        ("query-500=0.1.2", "0.1.2 is not a probability from 0 to 1"),
        ("query-500=.", ". is not a probability from 0 to 1"),
        ("query-500@0", "calls are counted from 1 up"),
        ("query-500@5-4", "the range ends before it begins"),
        ("query-50", "'query-50' is not known; the nearest is query-500"),
        ("submit-acept-then-drop=0.1", "the nearest is submit-accept-then-drop"),
    ],
)
def test_bad_rule_is_named(text: str, complaint: str) -> None:
    """What cannot be meant is refused with a sentence that quotes it; a misspelt name gets the nearest one."""
    with pytest.raises(ConfigurationError, match=re.escape(complaint)) as refused:
        read_rule(text)
    assert text[:9] in refused.value.message
    assert len(refused.value.message) < 400


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_name_can_be_written_in_a_rule(name: str) -> None:
    """A scenario's name is its own rule, and says which exchange it is about."""
    scenario = read_rule(name).scenario
    assert (scenario.name, name.partition("-")[0]) == (name, scenario.exchange.value)


def test_calls_of_a_range_meet_the_scenario_and_no_others() -> None:
    """`@2-3` are the second and the third call, `@5-` all from the fifth on, `@1` the first alone."""
    assert choices(["query-500@2-3", "query-drop@5-", "query-html@1"], Exchange.QUERY, calls=6) == [
        "query-html",
        "query-500",
        "query-500",
        None,
        "query-drop",
        "query-drop",
    ]


def test_calls_are_counted_for_each_kind_of_exchange() -> None:
    """Queries do not count as submissions."""
    director = Director(["submit-drop@2"], seed=0)
    assert director.next(Exchange.SUBMIT) is None
    assert [director.next(Exchange.QUERY) for _ in range(3)] == [None, None, None]
    assert director.next(Exchange.SUBMIT) is SCENARIOS["submit-drop"]


def test_first_rule_that_strikes_decides() -> None:
    """Where two rules would strike, the one that was given first does."""
    assert choices(["query-500", "query-drop"], Exchange.QUERY, calls=1) == ["query-500"]
    assert choices(["query-drop", "query-500"], Exchange.QUERY, calls=1) == ["query-drop"]
    assert choices(["query-drop=0", "query-500"], Exchange.QUERY, calls=1) == ["query-500"]


def test_same_seed_gives_the_same_choices_and_another_gives_others() -> None:
    """A run repeats with its seed."""
    rules = ["query-500=0.3", "query-drop=0.2"]
    assert choices(rules, Exchange.QUERY) == choices(rules, Exchange.QUERY)
    assert choices(rules, Exchange.QUERY) != choices(rules, Exchange.QUERY, seed=8)


def test_choices_do_not_depend_on_other_rules() -> None:
    """Adding a rule, or calls of another kind, changes nothing about the calls that the first rule strikes."""
    alone = choices(["query-500=0.3"], Exchange.QUERY)
    among = choices(["query-500=0.3", "query-drop=0.5", "submit-drop=0.5", "task-failed=0.5"], Exchange.QUERY)
    assert [name == "query-500" for name in alone] == [name == "query-500" for name in among]
    director = Director(["submit-drop=0.5", "query-500=0.3"], seed=7)
    mixed = []
    for _ in range(40):
        director.next(Exchange.SUBMIT)
        director.next(Exchange.TASK)
        mixed.append(director.next(Exchange.QUERY))
    assert [scenario.name if scenario else None for scenario in mixed] == alone


def test_choices_do_not_depend_on_the_history_before_a_rule() -> None:
    """A range strikes the same calls as the whole rule does within it."""
    whole = choices(["query-500=0.4"], Exchange.QUERY)
    later = choices(["query-500=0.4@21-"], Exchange.QUERY)
    assert (later[:20], later[20:]) == ([None] * 20, whole[20:])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_probability_is_about_right(share: float) -> None:
    """Over 2,000 calls about that share is struck."""
    struck = sum(name is not None for name in choices([f"query-500={share}"], Exchange.QUERY, calls=2000))
    spread = (2000 * share * (1 - share)) ** 0.5
    assert abs(struck - 2000 * share) < 4 * spread


def test_two_scenarios_are_chosen_independently() -> None:
    """Where the first of two even chances fails, the second still is an even chance."""
    chosen = choices(["query-500=0.5", "query-drop=0.5"], Exchange.QUERY, calls=2000)
    assert 400 < chosen.count("query-drop") < 600
    assert 900 < chosen.count("query-500") < 1100


def test_new_rules_count_anew() -> None:
    """After `direct` the next call is the first, and nothing has been struck."""
    director = Director(["query-500@1"], seed=0)
    director.note(director.next(Exchange.QUERY))
    assert dict(director.struck) == {"query-500": 1}
    director.direct(["query-drop@1"])
    assert (director.rules, dict(director.struck)) == (("query-drop@1",), {})
    assert director.next(Exchange.QUERY) is SCENARIOS["query-drop"]


def test_bad_rule_among_good_ones_changes_nothing() -> None:
    """The rules before hold on, with their counts."""
    director = Director(["query-500@2"], seed=0)
    director.next(Exchange.QUERY)
    with pytest.raises(ConfigurationError):
        director.direct(["query-drop", "nonsense"])
    assert director.rules == ("query-500@2",)
    assert director.next(Exchange.QUERY) is SCENARIOS["query-500"]


def test_simulator_does_not_start_with_a_bad_rule() -> None:
    """The sentence about it comes when the simulator is made, not with the first call."""
    with pytest.raises(ConfigurationError, match="nearest is query-500"), open_desk(scenarios=("query-5000",)):
        pass


def test_whole_run_repeats_with_its_seed() -> None:
    """Two simulators with one seed meet the same calls with the same scenarios, and end the same tasks alike."""

    def run(seed: int) -> list[str]:
        rules = ("submit-error-throttled=0.3", "task-failed=0.3", "query-error-throttled=0.3")
        with open_desk(seed=seed, scenarios=rules, failure_rate=0.2) as desk:
            return [told for _ in range(12) for told in _one_life(desk)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def _one_life(desk: Desk) -> list[str]:
    answer = desk.submit(item(num_output=1))
    if answer.status_code != 200:
        return ["refused"]
    desk.now += 8.0
    return [desk.query(answer.json()["data"]["result_key"]).text.partition('"status":')[2][:10]]
