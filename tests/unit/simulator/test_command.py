"""`sceneshift simulator`: what its options mean, and what it lists."""

from __future__ import annotations

import dataclasses
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

import sceneshift.simulator.server
from sceneshift.cli.simulator import command
from sceneshift.settings import current_settings
from sceneshift.simulator import RunningSimulator, SimulatorConfig
from sceneshift.simulator.scenarios.catalogue import SCENARIOS

ROOT = Path(__file__).resolve().parents[3]
OPTIONS: list[tuple[str, str, Any]] = [
    ("--appcode", "given", "given"),
    ("--seed", "7", 7),
    ("--scenario", "query-500=0.5@3-", ("query-500=0.5@3-",)),
    ("--median-seconds", "0.5", 0.5),
    ("--failure-rate", "0.25", 0.25),
    ("--result-lifetime-seconds", "60", 60.0),
    ("--retention-seconds", "120", 120.0),
    ("--credits", "5", 5),
    ("--submit-rate", "2", 2.0),
    ("--query-rate", "0.5", 0.5),
    ("--max-running", "3", 3),
    ("--throttled-by", "gateway", "gateway"),
    ("--retry-after-seconds", "30", 30.0),
    ("--reading", "A", "A"),
    ("--gateway", "classic", "classic"),
    ("--nonces", "forgotten", "forgotten"),
    ("--mask-keeps", "black", "black"),
    ("--quality", "draft", "draft"),
    ("--catalogue", str(ROOT / "examples" / "catalogue"), ROOT / "examples" / "catalogue"),
]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SimulatorConfig]:
    """The configuration with which a command line would serve."""
    seen: list[SimulatorConfig] = []

    def serve(config: SimulatorConfig, _listener: socket.socket, **_options: Any) -> None:
        seen.append(config)

    monkeypatch.setattr(sceneshift.simulator.server, "serve_until_signal", serve)

    def run(*arguments: str) -> SimulatorConfig:
        result = CliRunner().invoke(command, ["--port", "0", *arguments])
        assert result.exit_code == 0, result.output
        return seen.pop()

    return run


def invoked(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


@pytest.mark.parametrize(("option", "text", "value"), OPTIONS, ids=lambda value: str(value)[:30])
def test_every_option_reaches_the_configuration(
    configured: Callable[..., SimulatorConfig], option: str, text: str, value: Any
) -> None:
    """One option changes its own setting, and leaves the rest as it is without options."""
    name = {"--scenario": "scenarios"}.get(option, option.removeprefix("--").replace("-", "_"))
    assert configured(option, text) == dataclasses.replace(configured(), **{name: value})


def test_every_setting_has_an_option() -> None:
    """Nothing that can be chosen in Python is out of reach of the command line."""
    names = {"scenarios" if option == "--scenario" else option[2:].replace("-", "_") for option, _, _ in OPTIONS}
    assert names == {field.name for field in dataclasses.fields(SimulatorConfig)}


def test_scenarios_may_be_given_several_times(configured: Callable[..., SimulatorConfig]) -> None:
    """Their order is that of the command line, for the first that strikes decides."""
    rules = ("query-drop", "query-500@2")
    assert configured(*(word for rule in rules for word in ("--scenario", rule))).scenarios == rules


def test_appcode_comes_from_the_settings(
    configured: Callable[..., SimulatorConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the option the simulator accepts what the workers send."""
    assert configured().appcode == "simulator-appcode"
    monkeypatch.setenv("SCENESHIFT_PROVIDER_APPCODE", "from-settings")
    current_settings.cache_clear()
    try:
        assert configured().appcode == "from-settings"
        assert configured("--appcode", "given").appcode == "given"
    finally:
        current_settings.cache_clear()


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("submit-acept-then-drop", "the nearest is submit-accept-then-drop"),
        ("query-500=2", "2 is not a probability from 0 to 1"),
        ("query-500@0", "calls are counted from 1 up"),
        ("query 500", "write NAME"),
    ],
)
def test_bad_rule_ends_with_2_and_says_what_was_meant(rule: str, sentence: str) -> None:
    """Wrong usage is exit code 2, with a sentence about the rule on standard error, and nothing is served."""
    result = invoked("--port", "0", "--scenario", "query-drop", "--scenario", rule)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--scenario" in result.stderr
    assert sentence in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("option", "value"),
    [("--submit-rate", "0"), ("--failure-rate", "1.5"), ("--credits", "-1"), ("--gateway", "new"), ("--reading", "C")],
)
def test_senseless_value_ends_with_2(option: str, value: str) -> None:
    """It is refused by its option's name before anything listens."""
    result = invoked("--port", "0", option, value)
    assert (result.exit_code, option in result.stderr) == (2, True)


def test_scenarios_are_listed_for_people() -> None:
    """Every scenario stands below its exchange, with what it does and what Sceneshift does about it."""
    result = invoked("--list-scenarios")
    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    for scenario in SCENARIOS.values():
        sentences = f"{scenario.name} {scenario.behaviour} Sceneshift: {scenario.reaction.value}"
        assert " ".join(sentences.split()) in words
    headings = [line for line in result.stdout.splitlines() if line and not line.startswith(" ")]
    assert headings == ["submit", "query", "task", "download"]
    assert max(map(len, result.stdout.splitlines())) <= 100


@pytest.mark.parametrize("arguments", [("--list-scenarios", "--json"), ("--json", "--list-scenarios")])
def test_scenarios_are_listed_for_programs(arguments: tuple[str, ...]) -> None:
    """With `--json`, on whichever side, the list is one document with the same sentences."""
    result = invoked(*arguments)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [
        {
            "name": scenario.name,
            "exchange": scenario.name.partition("-")[0],
            "behaviour": scenario.behaviour,
            "reaction": scenario.reaction.value,
        }
        for scenario in SCENARIOS.values()
    ]


def test_process_behaves_as_its_command_line_says(tmp_path: Path) -> None:
    """A real process with every option: it serves under its AppCode, shows its settings, and meets its scenarios."""
    (tmp_path / "note.txt").write_text("served")
    options = [word for option, text, _ in OPTIONS for word in (option, text)]
    arguments = [*options, "--port", "0", "--catalogue", str(tmp_path), "--scenario", "query-error-illegal-service@1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sceneshift", "simulator", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            base_url = process.stdout.readline().split()[-1].removesuffix("/api/v1/bg-rep")
            simulator = RunningSimulator(base_url=base_url, appcode="given")
            headers = {"Authorization": "APPCODE given", "X-Ca-Nonce": "n-1"}
            answer = httpx.post(f"{simulator.url}/query", json={}, headers=headers, trust_env=False)
            state = httpx.get(f"{base_url}/_sim/state", trust_env=False).json()
            note = httpx.get(f"{base_url}/catalogue/note.txt", trust_env=False).text
        finally:
            process.terminate()
            rest, said = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, "")
    assert f"{base_url}/_sim/ledger" in said
    assert "Traceback" not in said
    assert (answer.json()["message"], note) == ("Illegal service name", "served")
    expected = {option[2:].replace("-", "_"): value for option, _, value in OPTIONS}
    assert state["settings"].items() <= {**expected, "quality": "draft"}.items()
    assert (state["credits"], state["scenarios"]) == (5, ["query-500=0.5@3-", "query-error-illegal-service@1"])
