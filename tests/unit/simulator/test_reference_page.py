"""The simulator's page in the reference says what the code says, and what it shows works."""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sceneshift.cli.simulator import command
from sceneshift.simulator import SimulatorConfig, running_simulator
from sceneshift.simulator.control import Wishes
from sceneshift.simulator.ledger import KeyAccount, NonceAccount, SubmitEntry
from sceneshift.simulator.scenarios.rules import read_rule
from tests.unit.simulator.scenario_tables import PAGE, with_tables
from tests.unit.simulator.support import LONG_AFTER, Desk, item, open_desk

ROOT = Path(__file__).resolve().parents[3]


def section(heading: str) -> str:
    """The text below this heading, up to the next one that is as high."""
    level = heading.partition(" ")[0]
    pattern = rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)"
    found = re.search(pattern, PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"the page has no heading {heading!r}"
    return found[1]


def rows(text: str) -> list[str]:
    """The rows of the tables in this text, without their heads."""
    return [row for row in re.findall(r"^\|.*\|$", text, re.MULTILINE) if row.startswith(("| `", "| -"))]


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows(text)]


def named(text: str) -> list[str]:
    """The first column, without its marks."""
    return [row[0].strip("`") for row in cells(text)]


def test_page_has_every_scenario() -> None:
    """Its tables are what the catalogue says; `python3 run.py docs` writes them anew."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page)


def test_page_has_every_setting() -> None:
    """Each setting stands with its option and its default, in the order of the configuration."""
    table = cells(section("## Settings"))
    fields = {field.name: field.default for field in dataclasses.fields(SimulatorConfig)}
    assert [row[0].strip("`") for row in table] == list(fields)
    options = {name for parameter in command.params for name in parameter.opts}
    for name, option, default, _ in table:
        assert option.strip("`") in options
        assert (default == "-") == (fields[name.strip("`")] in {None, ()})
        assert default in {"-", f"`{_shown(fields[name.strip('`')])}`"}


def _shown(value: Any) -> str:
    return (
        f"{value:g}"
        if isinstance(value, float) and value < 1e5
        else str(int(value) if isinstance(value, float) else value)
    )


@pytest.mark.parametrize(("heading", "record"), [
    ("## Control", Wishes), ("### Submissions in the ledger", SubmitEntry),
    ("### Accounts of nonces", NonceAccount), ("### Accounts of keys", KeyAccount),
])  # fmt: skip
def test_page_has_every_field(heading: str, record: type[Any]) -> None:
    """Wishes and the records of the ledger have their fields in the page, all of them and no others."""
    assert named(section(heading)) == [field.name for field in dataclasses.fields(record)]


def test_rules_of_the_page_can_be_read() -> None:
    """Each example of a rule is one."""
    examples = named(section("## Rules"))
    assert len(examples) >= 5
    for text in examples:
        assert read_rule(text).text == text


def python_blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", python_blocks(), ids=lambda code: code.partition("\n")[0])
def test_python_of_the_page_runs(code: str, tmp_path: Path) -> None:
    """Each block runs as it stands, in the checkout: a script as a script, a test as a test."""
    is_test = any(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in ast.parse(code).body)
    path = tmp_path / ("test_shown.py" if is_test else "shown.py")
    path.write_text(code, encoding="utf-8")
    # A directory of its own, so that pytest takes nothing from the project's configuration.
    words = ["-m", "pytest", "-q", "--rootdir", str(tmp_path), str(path)] if is_test else [str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def curl_calls() -> Iterator[tuple[str, list[str]]]:
    """The curl commands of the page, as words."""
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("curl "):
                yield line, shlex.split(line.partition(" | ")[0])


def test_curl_commands_of_the_page_are_understood() -> None:
    """Each is answered with success by a simulator; what it pipes into Python is understood there."""
    with running_simulator(SimulatorConfig()) as simulator:
        calls = list(curl_calls())
        assert len(calls) >= 6
        for line, words in calls:
            url = next(word for word in words if word.startswith("http://127.0.0.1:8400"))
            body = words[words.index("-d") + 1] if "-d" in words else None
            headers = dict(words[n + 1].split(": ") for n, word in enumerate(words) if word == "-H")
            answer = httpx.request(
                "GET" if body is None else "POST",
                url.replace("http://127.0.0.1:8400", simulator.base_url),
                content=body, headers=headers, trust_env=False,
            )  # fmt: skip
            assert answer.status_code == 200, (line, answer.text)
            if filtered := line.partition(" | ")[2]:
                _, *arguments = shlex.split(filtered)
                subprocess.run([sys.executable, *arguments], input=answer.content, check=True, capture_output=True)


def test_audits_of_the_page_find_what_was_paid_twice() -> None:
    """The first finds a nonce that was charged twice, the second an order that was; neither finds anything else."""
    audits = [shlex.split(line.partition(" | ")[2])[1:] for line, _ in curl_calls() if " | " in line]
    with open_desk(nonces="forgotten") as desk:
        desk.submit(item(), **{"X-Ca-Nonce": "once"})
        desk.submit(item(steps=1), **{"X-Ca-Nonce": "refused"})
        desk.submit(item(positive_prompt="a beach"), **{"X-Ca-Nonce": "first"})
        found = [_audited(audit, desk) for audit in audits]
        desk.submit(item(positive_prompt="a marble table"), **{"X-Ca-Nonce": "once"})
        desk.submit(item(positive_prompt="a beach"), **{"X-Ca-Nonce": "second"})
        found += [_audited(audit, desk) for audit in audits]
    assert found == [[], [], ["once"], [(item()["image"], "a beach")]]


def _audited(audit: list[str], desk: Desk) -> Any:
    ledger = desk.request("GET", "/_sim/ledger").content
    done = subprocess.run([sys.executable, *audit], input=ledger, check=True, capture_output=True)
    return ast.literal_eval(done.stdout.decode())


def test_page_names_how_long_is_long() -> None:
    """The time that the examples skip is enough for any ordinary task."""
    skipped = [int(text) for text in re.findall(r"advance_seconds\"?[=:] ?(\d+)", PAGE.read_text(encoding="utf-8"))]
    assert skipped
    assert all(60 <= seconds <= LONG_AFTER for seconds in skipped)
